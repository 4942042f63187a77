/* child_watch.c - see child_watch.h */
#define _GNU_SOURCE
#include "data/read/child_watch.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"

enum { PATIENCE_MS = 100 };

struct plm_child_watch {
  pid_t child;
  bool (*interrupted)(void);
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t over;
  bool is_over, has_killed;
};

/* Under the lock, until it is over or PATIENCE_MS have passed. */
static void wait_a_little(plm_child_watch *w) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_nsec += PATIENCE_MS * 1000000L;
  until.tv_sec += until.tv_nsec / 1000000000L;
  until.tv_nsec %= 1000000000L;
  pthread_cond_clockwait(&w->over, &w->lock, CLOCK_MONOTONIC, &until);
}

static void *watch(void *user) {
  plm_child_watch *w = user;
  pthread_mutex_lock(&w->lock);
  while (!w->is_over && !w->has_killed) {
    w->has_killed = w->interrupted();
    if (w->has_killed)
      kill(w->child, SIGKILL);
    else
      wait_a_little(w);
  }
  pthread_mutex_unlock(&w->lock);
  return NULL;
}

static void destroy(plm_child_watch *w) {
  pthread_cond_destroy(&w->over);
  pthread_mutex_destroy(&w->lock);
  plm_free(w);
}

plm_status plm_child_watch_begin(pid_t child, bool (*interrupted)(void), plm_child_watch **ret_watch) {
  sigset_t all, before;
  plm_child_watch *w;
  *ret_watch = NULL;
  if (interrupted == NULL) return PLM_OK;
  PLM_TRY(PLM_NEW(&w, 1));
  w->child = child;
  w->interrupted = interrupted;
  pthread_mutex_init(&w->lock, NULL);
  pthread_cond_init(&w->over, NULL);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's business */
  const int error = pthread_create(&w->thread, NULL, watch, w);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (error != 0) {
    destroy(w);
    return plm_fail(PLM_E_RESOURCE, "the thread that watches a process could not be started: %s", strerror(error));
  }
  *ret_watch = w;
  return PLM_OK;
}

bool plm_child_watch_end(plm_child_watch *w) {
  if (w == NULL) return false;
  pthread_mutex_lock(&w->lock);
  w->is_over = true;
  pthread_cond_signal(&w->over);
  pthread_mutex_unlock(&w->lock);
  pthread_join(w->thread, NULL);
  const bool has_killed = w->has_killed;
  destroy(w);
  return has_killed;
}
