/* parallel.c - plm_parallel_for over OpenMP, or over a pool of our own (no OpenMP, or PLM_PTHREAD_POOL for the thread
 * sanitizer, which cannot see into libgomp). */
#include "base/parallel.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/alloc.h"
#include "base/text.h"

#if defined(_OPENMP) && !defined(PLM_PTHREAD_POOL)
#define USE_OPENMP 1
#include <omp.h>
#else
#define USE_OPENMP 0
#endif

typedef struct job {
  int64_t n;
  plm_range_fn *range; /* one of the two is set */
  plm_task_fn *task;
  void *context;
  _Atomic int64_t next; /* next task to hand out */
} job;

/* The loop that this thread is in, if any. */
static _Thread_local const plm_pool *active_pool;
static _Thread_local int active_worker;

/* What one worker does of a job. */
static void work(const plm_pool *pool, job *j, int worker, int workers) {
  active_pool = pool;
  active_worker = worker;
  if (j->range != NULL) {
    int64_t begin = plm_range_begin(j->n, workers, worker), end = plm_range_begin(j->n, workers, worker + 1);
    if (begin < end) j->range(j->context, begin, end, worker);
  } else {
    for (int64_t task; (task = atomic_fetch_add(&j->next, 1)) < j->n;) j->task(j->context, task, worker);
  }
  active_pool = NULL;
}

/* A loop inside a loop runs whole on the worker that meets it, under that worker's number: scratch memory kept per
 * worker stays its own. */
static void run_nested(const plm_pool *pool, job *j) {
  int worker = pool == active_pool ? active_worker : 0;
  if (j->range != NULL) {
    if (j->n > 0) j->range(j->context, 0, j->n, worker);
  } else {
    for (int64_t task = 0; task < j->n; task++) j->task(j->context, task, worker);
  }
}

static void dispatch(plm_pool *pool, job *j);

static void run(plm_pool *pool, job *j) {
  if (active_pool != NULL)
    run_nested(pool, j);
  else if (plm_pool_threads(pool) == 1)
    work(pool, j, 0, 1);
  else
    dispatch(pool, j);
}

void plm_parallel_for(plm_pool *pool, int64_t n, plm_range_fn *body, void *context) {
  job j = {.n = n, .range = body, .context = context};
  run(pool, &j);
}

void plm_parallel_tasks(plm_pool *pool, int64_t tasks, plm_task_fn *body, void *context) {
  job j = {.n = tasks, .task = body, .context = context};
  run(pool, &j);
}

#if USE_OPENMP

struct plm_pool {
  int threads;
};

const char *plm_pool_kind(void) { return "OpenMP"; }
int plm_pool_most_threads(void) { return omp_get_max_active_levels() < 1 ? 1 : omp_get_thread_limit(); }

/* Our loops would do every piece with any team, but oneDNN computes wrong products in a smaller one than it was
 * promised. */
static plm_status check_team(int started, int wanted) {
  if (started == wanted) return PLM_OK;
  return plm_hint(plm_fail(PLM_E_RESOURCE, "OpenMP starts only %d of %d threads", started, wanted),
                  "raise or unset OMP_THREAD_LIMIT and OMP_MAX_ACTIVE_LEVELS, or ask for --threads %d", started);
}

plm_status plm_pool_create(int threads, plm_pool **ret_pool) {
  PLM_ASSERT(threads >= 1);
  omp_set_dynamic(0);
  /* The first region starts the threads. They inherit our mask, so that signals come to the thread
   * that waits for them. */
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  atomic_int started = 0; /* an empty region would be optimised away */
#pragma omp parallel num_threads(threads)
  atomic_fetch_add(&started, 1);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  PLM_TRY(check_team(started, threads));
  PLM_TRY(PLM_NEW(ret_pool, 1));
  (*ret_pool)->threads = threads;
  return PLM_OK;
}

void plm_pool_destroy(plm_pool *pool) { plm_free(pool); }
int plm_pool_threads(const plm_pool *pool) { return pool->threads; }

static void dispatch(plm_pool *pool, job *j) {
  int workers = pool->threads;
  /* Should OpenMP give fewer threads than it did at first, every piece is done all the same. */
#pragma omp parallel num_threads(workers)
  for (int worker = omp_get_thread_num(); worker < workers; worker += omp_get_num_threads())
    work(pool, j, worker, workers);
}

#else

/* Workers sleep until `generation` moves, do their part of `current`, and count down `running`. */
struct plm_pool {
  int threads;
  pthread_t *thread;
  struct worker_start *start;
  pthread_mutex_t lock;
  pthread_cond_t wake, done;
  job *current;
  uint64_t generation;
  int running;
  bool closing;
};

typedef struct worker_start {
  plm_pool *pool;
  int worker;
} worker_start;

const char *plm_pool_kind(void) { return "pthreads"; }
int plm_pool_most_threads(void) { return INT_MAX; }
int plm_pool_threads(const plm_pool *pool) { return pool->threads; }

static void *worker_main(void *argument) {
  plm_pool *pool = ((worker_start *)argument)->pool;
  int worker = ((worker_start *)argument)->worker;
  uint64_t seen = 0;
  pthread_mutex_lock(&pool->lock);
  for (;;) {
    while (pool->generation == seen && !pool->closing) pthread_cond_wait(&pool->wake, &pool->lock);
    if (pool->closing) break;
    seen = pool->generation;
    job *j = pool->current;
    pthread_mutex_unlock(&pool->lock);
    work(pool, j, worker, pool->threads);
    pthread_mutex_lock(&pool->lock);
    if (--pool->running == 0) pthread_cond_signal(&pool->done);
  }
  pthread_mutex_unlock(&pool->lock);
  return NULL;
}

static void dispatch(plm_pool *pool, job *j) {
  pthread_mutex_lock(&pool->lock);
  pool->current = j;
  pool->running = pool->threads - 1;
  pool->generation++;
  pthread_cond_broadcast(&pool->wake);
  pthread_mutex_unlock(&pool->lock);
  work(pool, j, 0, pool->threads);
  pthread_mutex_lock(&pool->lock);
  while (pool->running > 0) pthread_cond_wait(&pool->done, &pool->lock);
  pthread_mutex_unlock(&pool->lock);
}

/* Start workers 1..threads-1 with all signals blocked; `threads` shrinks to those that started. */
static plm_status start_workers(plm_pool *pool) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int wanted = pool->threads, started = 1;
  for (; started < wanted; started++) {
    pool->start[started] = (worker_start){.pool = pool, .worker = started};
    if (pthread_create(&pool->thread[started], NULL, worker_main, &pool->start[started]) != 0) break;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pool->threads = started;
  return started == wanted
             ? PLM_OK
             : plm_fail(PLM_E_RESOURCE, "could not start %d %s", wanted, plm_plural(wanted, "thread", "threads"));
}

plm_status plm_pool_create(int threads, plm_pool **ret_pool) {
  PLM_ASSERT(threads >= 1);
  plm_pool *pool;
  plm_status status;
  PLM_TRY(PLM_NEW(&pool, 1));
  pool->threads = 1;
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->wake, NULL);
  pthread_cond_init(&pool->done, NULL);
  PLM_TRY_GOTO(PLM_NEW(&pool->thread, threads), fail);
  PLM_TRY_GOTO(PLM_NEW(&pool->start, threads), fail);
  pool->threads = threads;
  PLM_TRY_GOTO(start_workers(pool), fail);
  *ret_pool = pool;
  return PLM_OK;
fail:
  plm_pool_destroy(pool);
  return status;
}

void plm_pool_destroy(plm_pool *pool) {
  if (pool == NULL) return;
  pthread_mutex_lock(&pool->lock);
  pool->closing = true;
  pthread_cond_broadcast(&pool->wake);
  pthread_mutex_unlock(&pool->lock);
  for (int i = 1; i < pool->threads; i++) pthread_join(pool->thread[i], NULL);
  pthread_cond_destroy(&pool->done);
  pthread_cond_destroy(&pool->wake);
  pthread_mutex_destroy(&pool->lock);
  plm_free(pool->start);
  plm_free(pool->thread);
  plm_free(pool);
}

#endif
