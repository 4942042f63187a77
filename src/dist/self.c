/* self.c - the communicator of one process: every collective is already done. */
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/system.h"
#include "dist/comm.h"

typedef struct self_comm {
  plm_comm comm; /* first: the table is what the caller holds */
  plm_rank_place place;
} self_comm;

static plm_status self_exchange(plm_comm *comm, const char *stage, const void *mine, size_t bytes, void *ret_all) {
  (void)comm;
  (void)stage;
  PLM_ASSERT(bytes <= PLM_EXCHANGE_MAX);
  memmove(ret_all, mine, bytes);
  return PLM_OK;
}

static plm_status self_broadcast(plm_comm *comm, const char *stage, void *data, int64_t bytes, int root) {
  (void)comm;
  (void)stage;
  (void)data;
  (void)bytes;
  PLM_ASSERT(root == 0);
  return PLM_OK;
}

static plm_status self_reduce(plm_comm *comm, plm_exec *x, int bucket, float *gradient, int64_t n, bool keep_shard) {
  (void)comm;
  (void)x;
  (void)bucket;
  (void)gradient;
  (void)n;
  (void)keep_shard;
  return PLM_OK;
}

static plm_status self_gather(plm_comm *comm, plm_exec *x, int bucket, const plm_span *spans, int count, int root) {
  (void)comm;
  (void)x;
  (void)bucket;
  (void)spans;
  (void)count;
  (void)root;
  return PLM_OK;
}

static plm_status self_wait(plm_comm *comm, plm_exec *x, int bucket) {
  (void)comm;
  (void)x;
  (void)bucket;
  return PLM_OK;
}

static plm_status self_drain(plm_comm *comm, const int64_t *sizes, int count, bool keep_shard) {
  (void)comm;
  (void)sizes;
  (void)count;
  (void)keep_shard;
  return PLM_OK;
}

static void self_section(plm_comm *comm, const char *name, double timeout_s) {
  (void)comm;
  (void)name;
  (void)timeout_s;
}

/* There is nobody else to end. */
static void self_abort(plm_comm *comm, const plm_error_record *why) {
  (void)comm;
  (void)why;
}

static void self_destroy(plm_comm *comm) { plm_free(comm); }

plm_status plm_comm_self_create(plm_comm **ret_comm) {
  self_comm *self;
  PLM_TRY(PLM_NEW(&self, 1));
  self->place.process = getpid();
  plm_host_name(self->place.host, sizeof self->place.host);
  self->comm = (plm_comm){
      .name = "self",
      .size = 1,
      .local_size = 1,
      .nodes = 1,
      .places = &self->place,
      .exchange = self_exchange,
      .broadcast = self_broadcast,
      .reduce = self_reduce,
      .gather = self_gather,
      .wait = self_wait,
      .drain = self_drain,
      .section = self_section,
      .abort = self_abort,
      .destroy = self_destroy,
  };
  *ret_comm = &self->comm;
  return PLM_OK;
}
