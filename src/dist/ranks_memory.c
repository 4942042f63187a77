/* ranks_memory.c - what both threads share: its lock, and its end by whichever of the two is the last. */
#include <time.h>

#include "base/alloc.h"
#include "dist/ranks_internal.h"

void plm_ranks_prepare_lock(ranks *r) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_mutex_init(&r->lock, NULL);
  pthread_cond_init(&r->posted, &attributes);
  pthread_cond_init(&r->finished, &attributes);
  pthread_condattr_destroy(&attributes);
}

void plm_ranks_release(ranks *r) {
  pthread_mutex_lock(&r->lock);
  for (ranks_op *op = r->first; op != NULL; op = op->next) plm_ranks_release_host(op);
  pthread_mutex_unlock(&r->lock);
  plm_ranks_caller_destroy(r);
  plm_ranks_reducer_destroy(r);
  plm_ranks_gatherer_destroy(r);
  plm_ranks_watch_destroy(r);
  plm_ranks_dead_destroy(r);
  pthread_cond_destroy(&r->posted);
  pthread_cond_destroy(&r->finished);
  pthread_mutex_destroy(&r->lock);
  plm_free(r->places);
  plm_free(r->comm.scratch);
  plm_free(r);
}
