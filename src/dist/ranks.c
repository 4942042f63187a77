/* ranks.c - the table of several ranks, as the thread of the run sees it: see ranks.h. Contents: waiting, what all do at
 * the same time, buckets, sections and ends, opening. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/system.h"
#include "dist/agree.h"
#include "dist/pieces.h"
#include "dist/ranks_internal.h"
#include "protlm/log.h"

static const double usual_timeout = 600; /* seconds */

static ranks *ranks_of(plm_comm *comm) { return (ranks *)(void *)comm; }

/* ---- waiting ---- */

/* Both with the lock held. From here on the watchdog counts, and the communication thread makes haste. */
static void begin_waiting(ranks *r, const char *stage) {
  r->where.is_waiting = true;
  r->where.waiting_since = plm_clock_monotonic();
  snprintf(r->where.stage, sizeof r->where.stage, "%s", stage);
  pthread_cond_signal(&r->posted);
}

static void end_waiting(ranks *r) {
  r->where.is_waiting = false;
  r->comm.traffic.sent = r->traffic.sent;
  r->comm.traffic.busy = r->traffic.busy;
}

/* What ended the communication, if it has ended. */
static plm_status check_alive(const ranks *r) {
  return r->failure.code == PLM_OK ? PLM_OK : plm_error_give(&r->failure);
}

/* ---- what all do at the same time ---- */

/* A stage at which tests break the transport, on this rank. */
static void notice_fault(ranks *r, const char *stage) {
  if (r->fault[0] != '\0' && strcmp(r->fault, stage) == 0) r->is_fault_due = true;
}

static plm_status call(ranks *r, ranks_call_kind kind, const char *stage, const void *mine, void *all, int64_t bytes,
                       int root) {
  pthread_mutex_lock(&r->lock);
  plm_status status = check_alive(r);
  if (status == PLM_OK) {
    notice_fault(r, stage);
    plm_ranks_call_prepare(r, kind, stage, mine, all, bytes, root);
    r->is_called = true;
    begin_waiting(r, stage);
    while ((r->is_called || r->is_doomed) && r->failure.code == PLM_OK) pthread_cond_wait(&r->finished, &r->lock);
    end_waiting(r);
    status = check_alive(r);
  }
  pthread_mutex_unlock(&r->lock);
  memset(r->was_started, 0, sizeof r->was_started); /* whatever step that was, all ranks have ended it */
  return status != PLM_OK ? status : plm_ranks_call_outcome(r);
}

static plm_status ranks_exchange(plm_comm *comm, const char *stage, const void *mine, size_t bytes, void *ret_all) {
  PLM_ASSERT(bytes <= PLM_EXCHANGE_MAX);
  return call(ranks_of(comm), RANKS_CALL_EXCHANGE, stage, mine, ret_all, (int64_t)bytes, 0);
}

static plm_status ranks_broadcast(plm_comm *comm, const char *stage, void *data, int64_t bytes, int root) {
  PLM_ASSERT(bytes >= 0 && root >= 0 && root < comm->size);
  return call(ranks_of(comm), RANKS_CALL_BROADCAST, stage, NULL, data, bytes, root);
}

/* ---- buckets ---- */

/* By something of this bucket that is under way. */
static bool is_held_up(const ranks *r, int bucket) {
  const ranks_op *op = r->first;
  while (op != NULL && ((bucket != PLM_EVERY_BUCKET && op->bucket != bucket) || op->is_done)) op = op->next;
  return op != NULL || r->is_doomed;
}

/* With the lock held: until nothing of this bucket is under way. */
static void wait_for(ranks *r, int bucket, const char *stage) {
  if (!is_held_up(r, bucket)) return;
  const double began = plm_clock_monotonic();
  begin_waiting(r, stage);
  while (is_held_up(r, bucket) && r->failure.code == PLM_OK) pthread_cond_wait(&r->finished, &r->lock);
  end_waiting(r);
  r->comm.traffic.exposed += plm_clock_monotonic() - began;
}

/* With the lock held: the oldest of this bucket that is done, or NULL. */
static ranks_op *take_done(ranks *r, int bucket) {
  ranks_op *found = NULL, **link = &r->first;
  while (*link != NULL) {
    ranks_op *op = *link;
    const bool is_it = found == NULL && op->is_done && (bucket == PLM_EVERY_BUCKET || op->bucket == bucket);
    if (is_it) {
      found = op;
      *link = op->next;
    } else {
      link = &op->next;
    }
  }
  r->end = link;
  return found;
}

/* With the lock held, but while the device is at work. */
static plm_status put_away_done(ranks *r, int bucket) {
  plm_status status = PLM_OK;
  for (ranks_op *op; (op = take_done(r, bucket)) != NULL;) {
    pthread_mutex_unlock(&r->lock);
    if (status == PLM_OK) status = plm_ranks_store(r, op);
    plm_ranks_release_host(op);
    pthread_mutex_lock(&r->lock);
    op->next = r->spare;
    r->spare = op;
  }
  return status;
}

static plm_status wait_and_put_away(ranks *r, int bucket, const char *stage) {
  wait_for(r, bucket, stage);
  const plm_status status = put_away_done(r, bucket);
  return r->failure.code != PLM_OK ? check_alive(r) : status;
}

/* The op is copied; its host memory becomes the communicator's. */
static plm_status post(ranks *r, ranks_op *op, const char *stage) {
  pthread_mutex_lock(&r->lock);
  plm_status status = r->spare == NULL ? wait_and_put_away(r, PLM_EVERY_BUCKET, stage) : check_alive(r);
  if (status == PLM_OK) {
    notice_fault(r, stage);
    ranks_op *own = r->spare;
    r->spare = own->next;
    *own = *op;
    *r->end = own;
    r->end = &own->next;
    if (r->under_way++ == 0) r->busy_from = plm_clock_monotonic();
    pthread_cond_signal(&r->posted);
  }
  pthread_mutex_unlock(&r->lock);
  if (status != PLM_OK) plm_ranks_release_host(op);
  return status;
}

static plm_status fetch_and_post(ranks *r, plm_exec *x, ranks_op *op, const char *stage) {
  const plm_status status = plm_ranks_fetch(r, x, op);
  if (status == PLM_OK) return post(r, op, stage);
  plm_ranks_release_host(op);
  return status;
}

static plm_status post_reduction(ranks *r, plm_exec *x, int bucket, float *gradient, int64_t n, bool keep_shard) {
  ranks_op op = {.kind = RANKS_REDUCE,
                 .bucket = bucket,
                 .data = gradient,
                 .n = n,
                 .keep_shard = keep_shard,
                 .is_bf16 = r->comm.gradient_dtype == PLM_BF16};
  PLM_ASSERT(bucket >= 0 && bucket < RANKS_BUCKETS && n % ((int64_t)PLM_PIECE_ALIGN * r->comm.size) == 0);
  if (r->comm.size == 1 || n == 0) return PLM_OK;
  PLM_TRY(fetch_and_post(r, x, &op, "reduce"));
  r->was_started[bucket] = true;
  return PLM_OK;
}

static plm_status ranks_reduce(plm_comm *comm, plm_exec *x, int bucket, float *gradient, int64_t n, bool keep_shard) {
  return post_reduction(ranks_of(comm), x, bucket, gradient, n, keep_shard);
}

static plm_status ranks_gather(plm_comm *comm, plm_exec *x, int bucket, const plm_span *spans, int count, int root) {
  ranks_op op = {.kind = RANKS_GATHER, .bucket = bucket, .span_count = count, .root = root};
  PLM_ASSERT(bucket >= 0 && bucket < RANKS_BUCKETS && root >= PLM_EVERY_RANK && root < comm->size);
  if (comm->size == 1 || count == 0) return PLM_OK;
  PLM_TRY(PLM_NEW(&op.spans, count));
  memcpy(op.spans, spans, (size_t)count * sizeof *spans);
  return fetch_and_post(ranks_of(comm), x, &op, "gather");
}

static plm_status ranks_wait(plm_comm *comm, plm_exec *x, int bucket) {
  ranks *r = ranks_of(comm);
  (void)x;
  pthread_mutex_lock(&r->lock);
  const plm_status status = wait_and_put_away(r, bucket, "buckets");
  pthread_mutex_unlock(&r->lock);
  return status;
}

/* From the last bucket to the first, as backward completes them, so that ranks serve them in one order. */
static plm_status ranks_drain(plm_comm *comm, const int64_t *sizes, int count, bool keep_shard) {
  ranks *r = ranks_of(comm);
  for (int bucket = count - 1; bucket >= 0; bucket--)
    if (!r->was_started[bucket]) PLM_TRY(post_reduction(r, NULL, bucket, NULL, sizes[bucket], keep_shard));
  return ranks_wait(comm, NULL, PLM_EVERY_BUCKET);
}

/* ---- sections and ends ---- */

static void ranks_section(plm_comm *comm, const char *name, double timeout_s) {
  ranks *r = ranks_of(comm);
  pthread_mutex_lock(&r->lock);
  snprintf(r->where.section, sizeof r->where.section, "%s", name);
  r->where.since = plm_clock_monotonic();
  r->where.limit = timeout_s > 0 ? timeout_s : comm->timeout;
  r->where.doubt = comm->timeout;
  pthread_mutex_unlock(&r->lock);
}

/* Returns in tests only, where a transport cannot end the process. The communication thread, which may have met a page
 * of a file that is gone, does not wait for itself. */
static void ranks_abort(plm_comm *comm, const plm_error_record *why) {
  ranks *r = ranks_of(comm);
  plm_error_record copy = *why;
  if (pthread_equal(pthread_self(), r->thread)) {
    plm_ranks_end_all(r, why, r->where.section);
    return;
  }
  pthread_mutex_lock(&r->lock);
  r->abort_words = &copy;
  r->is_ready = true;
  pthread_cond_signal(&r->posted);
  while (!r->is_over) pthread_cond_wait(&r->finished, &r->lock);
  r->abort_words = NULL;
  pthread_mutex_unlock(&r->lock);
}

/* All ranks come here. Where others are still elsewhere, this one left before its end: it comes to theirs, as failed. */
static void meet_for_the_last_time(plm_comm *comm) {
  char none = 0;
  while (comm->exchange(comm, RANKS_LEAVING, &none, 0, &none) != PLM_OK && comm->parted) {
    comm->parted = false;
    if (plm_comm_end(comm, plm_fail(PLM_E_FAILURE, "it left while others went on")) != PLM_OK) continue;
  }
  plm_error_clear();
}

static void ranks_destroy(plm_comm *comm) {
  ranks *r = ranks_of(comm);
  plm_error_record of_caller; /* who may be about to tell why it leaves */
  plm_error_take(PLM_OK, &of_caller);
  if (ranks_wait(comm, NULL, PLM_EVERY_BUCKET) != PLM_OK) plm_error_clear();
  meet_for_the_last_time(comm);
  plm_error_give(&of_caller);
  const int rank = comm->rank;
  char name[sizeof r->transport->name];
  snprintf(name, sizeof name, "%s", r->transport->name);
  if (plm_ranks_thread_stop(r)) {
    plm_ranks_release(r);
    return;
  }
  if (rank == 0) plm_warn("%s does not come to its end: left without it; everything has been done and written", name);
}

/* ---- opening ---- */

static const plm_comm table = {
    .gradient_dtype = PLM_F32,
    .exchange = ranks_exchange,
    .broadcast = ranks_broadcast,
    .reduce = ranks_reduce,
    .gather = ranks_gather,
    .wait = ranks_wait,
    .drain = ranks_drain,
    .section = ranks_section,
    .abort = ranks_abort,
    .destroy = ranks_destroy,
};

/* Signals come to the threads that expect them, not to this one. */
static plm_status start_thread(ranks *r) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const bool has_started = pthread_create(&r->thread, NULL, plm_ranks_thread, r) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (!has_started) return plm_fail(PLM_E_RESOURCE, "could not start the communication thread");
  r->is_thread_running = true;
  pthread_mutex_lock(&r->lock);
  while (!r->has_opened) pthread_cond_wait(&r->finished, &r->lock);
  const plm_status status = check_alive(r);
  pthread_mutex_unlock(&r->lock);
  return status;
}

/* PROTLM_TEST_TRANSPORT=fail:RANK:STAGE, for tests of what happens when MPI fails. */
static void read_fault(ranks *r) {
  const char *text = getenv("PROTLM_TEST_TRANSPORT");
  char stage[RANKS_STAGE];
  int rank;
  if (text != NULL && sscanf(text, "fail:%d:%47[^\n]", &rank, stage) == 2 && rank == r->comm.rank)
    memcpy(r->fault, stage, sizeof stage);
}

static plm_status fill_in(ranks *r) {
  const plm_transport *t = r->transport;
  r->comm = table;
  r->comm.name = t->name;
  r->comm.rank = t->rank;
  r->comm.size = t->size;
  r->comm.local_rank = t->local_rank;
  r->comm.local_size = t->local_size;
  r->comm.node = t->node;
  r->comm.nodes = t->nodes;
  r->comm.timeout = usual_timeout;
  ranks_section(&r->comm, "start", 0);
  read_fault(r);
  for (int i = 0; i < RANKS_OPS; i++) r->ops[i].next = i + 1 < RANKS_OPS ? &r->ops[i + 1] : NULL;
  r->spare = r->ops;
  r->end = &r->first;
  PLM_TRY(PLM_NEW(&r->places, t->size));
  PLM_TRY(plm_alloc_bytes(&r->comm.scratch, (size_t)t->size, PLM_AGREE_BYTES));
  r->comm.places = r->places;
  plm_host_name(r->places[t->rank].host, sizeof r->places[t->rank].host);
  PLM_TRY(plm_ranks_caller_create(r));
  PLM_TRY(plm_ranks_reducer_create(r));
  PLM_TRY(plm_ranks_gatherer_create(r));
  return plm_ranks_watch_create(r);
}

static plm_status learn_places(ranks *r) {
  plm_rank_place own = {.node = r->comm.node,
                        .local_rank = r->comm.local_rank,
                        .process = getpid(),
                        .process_namespace = plm_ranks_dead_namespace()};
  plm_host_name(own.host, sizeof own.host);
  pthread_mutex_lock(&r->lock);
  r->is_ready = true;
  pthread_cond_signal(&r->posted);
  pthread_mutex_unlock(&r->lock);
  PLM_TRY(r->comm.exchange(&r->comm, "start", &own, sizeof own, r->places));
  return plm_ranks_dead_create(r);
}

/* The others are in MPI, or on their way to it, and wait for this rank: a finalize here would wait for them. */
static void end_before_the_start(ranks *r, plm_status status) {
  plm_error_record why;
  char host[PLM_HOST_NAME];
  plm_host_name(host, sizeof host);
  plm_error_take(status, &why);
  plm_log(PLM_LOG_ERROR, "rank %d (%s): %s", r->transport->rank, host, why.message);
  r->transport->abort(r->transport, plm_status_exit_code(status));
  pthread_mutex_lock(&r->lock);
  r->failure = why; /* in tests, where this goes on: nothing is left to be closed */
  pthread_mutex_unlock(&r->lock);
  plm_error_give(&why);
}

plm_status plm_comm_ranks_create(plm_transport_opener *open, void *context, plm_comm **ret_comm) {
  ranks *r;
  plm_status status;
  PLM_TRY(PLM_NEW(&r, 1));
  r->open = open;
  r->open_context = context;
  r->run_thread = pthread_self();
  plm_ranks_prepare_lock(r);
  PLM_TRY_GOTO(start_thread(r), fail);
  PLM_TRY_GOTO(fill_in(r), fail);
  PLM_TRY_GOTO(learn_places(r), fail);
  *ret_comm = &r->comm;
  return PLM_OK;
fail:
  if (r->transport != NULL && r->transport->size > 1 && r->failure.code == PLM_OK) end_before_the_start(r, status);
  if (plm_ranks_thread_stop(r)) plm_ranks_release(r);
  return status;
}
