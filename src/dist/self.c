/* self.c - the communicator of one process: every collective is already done. */
#include <stdbool.h>

#include "base/alloc.h"
#include "dist/comm.h"

static plm_status self_control(plm_comm *comm, plm_control *control) {
  (void)comm;
  (void)control;
  return PLM_OK;
}

static plm_status self_bucket_ready(plm_comm *comm, int bucket, float *gradient, int64_t count) {
  (void)comm;
  (void)bucket;
  (void)gradient;
  (void)count;
  return PLM_OK;
}

static plm_status self_bucket_needed(plm_comm *comm, int bucket) {
  (void)comm;
  (void)bucket;
  return PLM_OK;
}

static plm_status self_nothing(plm_comm *comm) {
  (void)comm;
  return PLM_OK;
}

static plm_status self_sum(plm_comm *comm, double *values, int count) {
  (void)comm;
  (void)values;
  (void)count;
  return PLM_OK;
}

static plm_status self_broadcast(plm_comm *comm, void *data, size_t bytes, int root) {
  (void)comm;
  (void)data;
  (void)bytes;
  (void)root;
  return PLM_OK;
}

static plm_status self_agree(plm_comm *comm, plm_status mine, plm_status *ret_worst) {
  (void)comm;
  *ret_worst = mine;
  return PLM_OK;
}

static void self_destroy(plm_comm *comm) { plm_free(comm); }

plm_status plm_comm_self_create(plm_comm **ret_comm) {
  plm_comm *comm;
  PLM_TRY(PLM_NEW(&comm, 1));
  *comm = (plm_comm){
      .name = "self",
      .rank = 0,
      .size = 1,
      .control = self_control,
      .bucket_ready = self_bucket_ready,
      .bucket_needed = self_bucket_needed,
      .finish_gradients = self_nothing,
      .sum = self_sum,
      .broadcast = self_broadcast,
      .agree = self_agree,
      .barrier = self_nothing,
      .destroy = self_destroy,
  };
  *ret_comm = comm;
  return PLM_OK;
}

void plm_comm_destroy(plm_comm *comm) {
  if (comm != NULL) comm->destroy(comm);
}
