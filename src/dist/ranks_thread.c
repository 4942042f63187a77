/* ranks_thread.c - the communication thread: see ranks.h. Contents: what is under way, waiting, the
 * loop, the end. */
#define _DEFAULT_SOURCE /* on_exit */
#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "dist/ranks_internal.h"
#include "protlm/log.h"

/* While something is under way it sleeps between looks for a 16th of the time since something moved, but from the
 * shortest to the longest nap (two ranks took 37 ms for 100 MB with naps of 50 us, 66 with 500). While the thread of the
 * run waits, it first looks again at once; while that one computes, which may need the same processor, it makes no
 * haste. With nothing under way it only answers who asks where it is. Seconds. */
static const double eager = 1e-3, shortest_nap = 50e-6, longest_nap = 1e-3, longest_nap_waiting = 200e-6,
                    idle_nap = 0.1;
/* A loop that did not come by for so long was not running: the process was stopped, or its machine was. */
static const double standstill_seconds = 2;
/* How long MPI may take to end, at most; less where --timeout is less. */
static const double most_seconds_to_end = 30;

/* ---- what is under way ---- */

static void advance_call(ranks *r) {
  pthread_mutex_lock(&r->lock);
  const bool is_called = r->is_called;
  pthread_mutex_unlock(&r->lock);
  if (!is_called || !plm_ranks_call_advance(r)) return;
  pthread_mutex_lock(&r->lock);
  r->is_called = false;
  r->traffic.sent = r->sent;
  pthread_cond_broadcast(&r->finished);
  pthread_mutex_unlock(&r->lock);
}

/* Buckets are begun in the order in which they came, so that all ranks serve the same ones. */
static void begin_buckets(ranks *r) {
  bool is_full[2] = {false, false};
  pthread_mutex_lock(&r->lock);
  for (ranks_op *op = r->first; op != NULL; op = op->next) {
    if (op->is_done || op->is_active || is_full[op->kind]) continue;
    op->is_active = op->kind == RANKS_REDUCE ? plm_ranks_reduce_begin(r, op) : plm_ranks_gather_begin(r, op);
    is_full[op->kind] = !op->is_active;
  }
  pthread_mutex_unlock(&r->lock);
}

/* ---- waiting ---- */

static struct timespec after(double seconds) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  time.tv_nsec += (long)(seconds * 1e9);
  time.tv_sec += time.tv_nsec / 1000000000;
  time.tv_nsec %= 1000000000;
  return time;
}

/* Something is under way, and nothing has moved for `quiet` seconds. What the thread of the run does ends the nap. */
static void rest(ranks *r, double quiet) {
  pthread_mutex_lock(&r->lock);
  const bool is_waiting = r->where.is_waiting;
  const bool is_eager = is_waiting && quiet < eager;
  if (!is_eager) {
    const double longest = is_waiting ? longest_nap_waiting : longest_nap;
    const struct timespec until = after(fmin(fmax(quiet / 16, shortest_nap), longest));
    pthread_cond_timedwait(&r->posted, &r->lock, &until);
  }
  pthread_mutex_unlock(&r->lock);
  if (is_eager) sched_yield();
}

/* Until there is something to do, or it is time to see whether somebody asks. */
static void sleep_idle(ranks *r) {
  const struct timespec until = after(idle_nap);
  while (!r->is_called && r->under_way == 0 && !r->is_leaving && r->abort_words == NULL)
    if (pthread_cond_timedwait(&r->posted, &r->lock, &until) == ETIMEDOUT) break;
}

/* Time that passed while nothing of this process ran counts for no limit. */
static void notice_standstill(ranks *r) {
  const double now = plm_clock_monotonic();
  const double gap = now - r->seen;
  r->seen = now;
  if (gap < standstill_seconds) return;
  r->woken = now;
  pthread_mutex_lock(&r->lock);
  r->where.since += gap;
  r->where.waiting_since += gap;
  pthread_mutex_unlock(&r->lock);
}

/* ---- the loop ---- */

typedef struct errand {
  bool is_leaving, is_idle;
  const plm_error_record *abort_words;
} errand;

static errand next_errand(ranks *r, bool is_watching) {
  pthread_mutex_lock(&r->lock);
  if (!is_watching) sleep_idle(r);
  const errand next = {.is_leaving = r->is_leaving && !r->is_doomed,
                       .is_idle = !r->is_called && r->under_way == 0,
                       .abort_words = r->abort_words};
  pthread_mutex_unlock(&r->lock);
  return next;
}

static void end_broken(ranks *r) {
  plm_error_record why;
  char stage[RANKS_STAGE];
  pthread_mutex_lock(&r->lock);
  snprintf(stage, sizeof stage, "%s", r->where.is_waiting ? r->where.stage : r->where.section);
  pthread_mutex_unlock(&r->lock);
  plm_hint(plm_fail(PLM_E_FAILURE, "rank %d (%s): %s failed in stage \"%s\": %s", r->comm.rank,
                    r->places[r->comm.rank].host, r->transport->name, stage, r->transport->words),
           "start again: the run goes on from its last checkpoint");
  plm_error_take(PLM_E_FAILURE, &why);
  plm_ranks_end_all(r, &why, stage);
}

/* Until this rank leaves, or all are ended. */
static void serve(ranks *r) {
  double moved = plm_clock_monotonic();
  bool is_watching = false;
  r->seen = moved;
  for (;;) {
    const errand next = next_errand(r, is_watching);
    notice_standstill(r);
    r->has_moved = false;
    if (next.abort_words != NULL) {
      plm_ranks_end_all(r, next.abort_words, r->where.section);
      return;
    }
    if (next.is_leaving) return;
    advance_call(r);
    begin_buckets(r);
    plm_ranks_reduce_advance(r);
    plm_ranks_gather_advance(r);
    plm_ranks_collect(r);
    is_watching = plm_ranks_watch_poll(r);
    if (r->is_broken && r->failure.code == PLM_OK) end_broken(r);
    if (r->failure.code != PLM_OK) return;
    if (r->has_moved) {
      moved = r->seen;
    } else if (!next.is_idle || is_watching) {
      rest(r, r->seen - moved);
    }
  }
}

/* The thread of the run fills in the table when it knows how many there are. */
static void wait_until_ready(ranks *r) {
  pthread_mutex_lock(&r->lock);
  while (!r->is_ready) pthread_cond_wait(&r->posted, &r->lock);
  pthread_mutex_unlock(&r->lock);
}

/* True: nobody waits for this thread any more. */
static bool report(ranks *r, plm_status status, bool is_over) {
  pthread_mutex_lock(&r->lock);
  if (status != PLM_OK) plm_error_take(status, &r->failure);
  r->has_opened = true;
  r->is_over = is_over;
  const bool is_left_behind = r->is_left_behind;
  pthread_cond_broadcast(&r->finished);
  pthread_mutex_unlock(&r->lock);
  return is_left_behind;
}

void *plm_ranks_thread(void *context) {
  ranks *r = context;
  const plm_status status = r->open(r->open_context, &r->transport);
  report(r, status, status != PLM_OK);
  if (status != PLM_OK) return NULL;
  wait_until_ready(r);
  serve(r);
  if (r->failure.code == PLM_OK) r->transport->close(r->transport);
  if (report(r, PLM_OK, true)) plm_ranks_release(r);
  return NULL;
}

/* ---- the end, on the thread of the run ---- */

/* MPI must not hold up a process that has done all it had to: registered by whoever leaves it behind, and so called
 * before what MPI's own libraries have registered. */
static void leave_at_once(int code, void *unused) {
  (void)unused;
  fflush(NULL);
  _exit(code);
}

/* With the lock held. False: it has not ended by itself in time. */
static bool wait_until_over(ranks *r, double seconds) {
  const double until = plm_clock_monotonic() + seconds;
  const struct timespec time = {.tv_sec = (time_t)until, .tv_nsec = (long)((until - floor(until)) * 1e9)};
  while (!r->is_over)
    if (pthread_cond_timedwait(&r->finished, &r->lock, &time) == ETIMEDOUT) return r->is_over;
  return true;
}

/* False: MPI does not come back from its end, where nothing is left to be done (MPICH 4.0.2 over UCX does so now and
 * then). The thread then stays behind, and what it uses is its own. Rank 0, which still may have something to say,
 * leaves first: there are launchers that end the others then. */
bool plm_ranks_thread_stop(ranks *r) {
  if (!r->is_thread_running) return true;
  const double patience = fmin(r->comm.timeout, most_seconds_to_end) + (r->comm.rank > 0 ? 1 : 0);
  pthread_mutex_lock(&r->lock);
  r->is_ready = r->is_leaving = true;
  pthread_cond_signal(&r->posted);
  const pthread_t thread = r->thread; /* it may release r as soon as the lock is free */
  const bool is_over = wait_until_over(r, patience);
  r->is_left_behind = !is_over;
  pthread_mutex_unlock(&r->lock);
  if (is_over)
    pthread_join(thread, NULL);
  else if (pthread_detach(thread) == 0)
    on_exit(leave_at_once, NULL);
  return is_over;
}
