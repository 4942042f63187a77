/* loader_threads.c - see loader_threads.h
 *
 * Step s lives in slot s mod n. A slot is FREE, then BUSY in one thread's hands, then READY, and FREE again once the
 * caller has asked for the step after it. Threads take steps in order, so the slot a thread needs next becomes free
 * when the caller moves on, never later.
 */
#define _GNU_SOURCE
#include "data/loader_threads.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"

typedef enum slot_state { FREE, BUSY, READY } slot_state;

typedef struct ring_slot {
  plm_loader_slot slot;
  slot_state state;
  plm_status status; /* when READY */
  plm_error_record error;
} ring_slot;

struct plm_loader_threads {
  const plm_view *view;
  const plm_loader_options *options;
  plm_sampler *sampler; /* used under `lock` */
  pthread_t *thread;
  int thread_count;
  pthread_mutex_t lock; /* guards all below, but not a slot that is BUSY (its thread's) or taken (the caller's) */
  pthread_cond_t work, ready;
  ring_slot *ring;
  int64_t ring_count;
  int64_t next;  /* step that a thread begins next; -1: not started */
  int64_t taken; /* step that the caller holds; -1: none */
  bool closing;
};

/* Under the lock: wait for a step to prepare and give the sampler's part of it. NULL: closing. */
static ring_slot *begin_step(plm_loader_threads *t) {
  while (!t->closing && (t->next < 0 || t->ring[t->next % t->ring_count].state != FREE))
    pthread_cond_wait(&t->work, &t->lock);
  if (t->closing) return NULL;
  int64_t step = t->next++;
  ring_slot *r = &t->ring[step % t->ring_count];
  r->state = BUSY;
  r->status = plm_loader_slot_sample(&r->slot, t->sampler, step);
  return r;
}

static void *run(void *user) {
  plm_loader_threads *t = user;
  pthread_mutex_lock(&t->lock);
  for (ring_slot *r; (r = begin_step(t)) != NULL;) {
    pthread_mutex_unlock(&t->lock);
    if (r->status == PLM_OK) r->status = plm_loader_slot_pack(&r->slot, t->view, t->options);
    if (r->status != PLM_OK) plm_error_take(r->status, &r->error);
    pthread_mutex_lock(&t->lock);
    r->state = READY;
    pthread_cond_signal(&t->ready);
  }
  pthread_mutex_unlock(&t->lock);
  return NULL;
}

static plm_status start_threads(plm_loader_threads *t, int count) {
  sigset_t all, before;
  int error = 0;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before); /* threads inherit it: signals are the main thread's business */
  for (int i = 0; i < count && error == 0; i++) {
    error = pthread_create(&t->thread[i], NULL, run, t);
    if (error == 0) t->thread_count++;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (error == 0) return PLM_OK;
  return plm_fail(PLM_E_RESOURCE, "thread %d of %d for loading data could not be started: %s", t->thread_count + 1,
                  count, strerror(error));
}

plm_status plm_loader_threads_create(const plm_view *view, const plm_loader_options *options, plm_sampler *sampler,
                                     plm_loader_threads **ret_threads) {
  PLM_ASSERT(options->workers >= 1 && options->ahead >= 1);
  plm_status status = PLM_OK;
  plm_loader_threads *t = NULL;
  PLM_TRY(PLM_NEW(&t, 1));
  t->view = view;
  t->options = options;
  t->sampler = sampler;
  t->ring_count = (int64_t)options->ahead + 1;
  t->next = t->taken = -1;
  pthread_mutex_init(&t->lock, NULL);
  pthread_cond_init(&t->work, NULL);
  pthread_cond_init(&t->ready, NULL);
  PLM_TRY_GOTO(PLM_NEW(&t->ring, t->ring_count), fail);
  PLM_TRY_GOTO(PLM_NEW(&t->thread, options->workers), fail);
  PLM_TRY_GOTO(start_threads(t, options->workers), fail);
  *ret_threads = t;
  return PLM_OK;
fail:
  plm_loader_threads_destroy(t);
  return status;
}

void plm_loader_threads_destroy(plm_loader_threads *t) {
  if (t == NULL) return;
  pthread_mutex_lock(&t->lock);
  t->closing = true;
  pthread_cond_broadcast(&t->work);
  pthread_mutex_unlock(&t->lock);
  for (int i = 0; i < t->thread_count; i++) pthread_join(t->thread[i], NULL);
  for (int64_t i = 0; t->ring != NULL && i < t->ring_count; i++) plm_loader_slot_clear(&t->ring[i].slot);
  pthread_mutex_destroy(&t->lock);
  pthread_cond_destroy(&t->work);
  pthread_cond_destroy(&t->ready);
  plm_free(t->thread);
  plm_free(t->ring);
  plm_free(t);
}

plm_status plm_loader_threads_take(plm_loader_threads *t, int64_t step, const plm_loader_slot **ret_slot) {
  PLM_ASSERT(t->taken < 0 || step == t->taken + 1);
  pthread_mutex_lock(&t->lock);
  if (t->taken < 0)
    t->next = step;
  else
    t->ring[t->taken % t->ring_count].state = FREE;
  t->taken = step;
  pthread_cond_broadcast(&t->work);
  ring_slot *r = &t->ring[step % t->ring_count];
  while (r->state != READY) pthread_cond_wait(&t->ready, &t->lock);
  pthread_mutex_unlock(&t->lock);
  if (r->status != PLM_OK) return plm_error_give(&r->error);
  *ret_slot = &r->slot;
  return PLM_OK;
}
