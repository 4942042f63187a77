/* comm.c - opening and ending: see comm.h. */
#include "dist/comm.h"

#include "dist/launch.h"

plm_status plm_comm_open(plm_comm **ret_comm) {
  PLM_TRY(plm_launch_expect_ranks());
  PLM_TRY(plm_launch_expect_one("train"));
  return plm_comm_self_create(ret_comm);
}

void plm_comm_destroy(plm_comm *comm) {
  if (comm != NULL) comm->destroy(comm);
}
