/* ranks_watch.c - who is where, and the end of all. */
#include "base/alloc.h"
#include "base/clock.h"
#include "dist/ranks_internal.h"
#include "protlm/log.h"

plm_status plm_ranks_watch_create(ranks *r) {
  (void)r;
  return PLM_OK;
}

void plm_ranks_watch_destroy(ranks *r) { (void)r; }

bool plm_ranks_watch_poll(ranks *r) {
  (void)r;
  return false;
}

void plm_ranks_end_all(ranks *r, const plm_error_record *why, const char *stage, bool is_writer) {
  plm_log(PLM_LOG_ERROR, "%s", why->message);
  if (why->hint[0] != '\0') plm_log(PLM_LOG_ERROR, "%s", why->hint);
  if (r->comm.before_abort != NULL) r->comm.before_abort(r->comm.user, why, r->comm.rank, stage, is_writer);
  r->transport->abort(r->transport, plm_status_exit_code(why->code));
  pthread_mutex_lock(&r->lock);
  r->failure = *why;
  pthread_cond_broadcast(&r->finished);
  pthread_mutex_unlock(&r->lock);
}
