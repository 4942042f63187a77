/* comm.c - opening and ending: see comm.h. */
#include "dist/comm.h"

#include <stdlib.h>
#include <string.h>

#include "dist/mpi_library.h"
#include "dist/ranks.h"

/* PMIx tells a rank, but not of how many: MPI has to be asked. */
static bool may_be_several(const plm_launch *launch) {
  return launch->size > 1 || (strcmp(launch->by, "nothing") == 0 && getenv("PMIX_NAMESPACE") != NULL);
}

static plm_status open_ranks(const plm_launch *launch, plm_comm **ret_comm) {
  plm_mpi_library library;
  plm_comm *comm;
  PLM_TRY(plm_mpi_library_open(launch, &library));
  PLM_TRY(plm_comm_ranks_create(plm_mpi_transport_open, &library, &comm));
  if (comm->size > 1) {
    *ret_comm = comm;
    return PLM_OK;
  }
  plm_status status = plm_launch_expect_size(1, comm->name);
  plm_comm_destroy(comm);
  return status != PLM_OK ? status : plm_comm_self_create(ret_comm);
}

plm_status plm_comm_open(plm_comm **ret_comm) {
  plm_launch launch;
  PLM_TRY(plm_launch_expect_ranks());
  plm_launch_detect(&launch);
  return may_be_several(&launch) ? open_ranks(&launch, ret_comm) : plm_comm_self_create(ret_comm);
}

void plm_comm_destroy(plm_comm *comm) {
  if (comm != NULL) comm->destroy(comm);
}
