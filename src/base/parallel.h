/* parallel.h - the only way to run on several cores.
 *
 * Two forms. A *range* loop splits 0..n-1 into one contiguous piece a worker, always the same way for the same n and
 * thread count, so partial sums kept per worker and added in worker order are repeatable. A *task* loop hands out
 * indices as workers come free; use it where each task writes its own output only, so that who did it cannot matter.
 *
 * Release builds use OpenMP when the compiler has it; otherwise, and under the thread sanitizer, a pool of pthreads.
 * Loops don't nest: a loop started inside a loop runs whole on the calling worker, under its number. One thread at a
 * time starts loops on a pool; each has its own. Signals are blocked in pool threads.
 */
#ifndef PLM_BASE_PARALLEL_H
#define PLM_BASE_PARALLEL_H

#include <stdint.h>

#include "protlm/status.h"

typedef struct plm_pool plm_pool;

/* threads >= 1. The calling thread is worker 0. */
PLM_CHECKED plm_status plm_pool_create(int threads, plm_pool **ret_pool);
void plm_pool_destroy(plm_pool *pool); /* accepts NULL */
int plm_pool_threads(const plm_pool *pool);
const char *plm_pool_kind(void); /* "OpenMP" or "pthreads" */
int plm_pool_most_threads(void); /* that a pool can have: OMP_THREAD_LIMIT; INT_MAX without a limit */

typedef void plm_range_fn(void *context, int64_t begin, int64_t end, int worker);
void plm_parallel_for(plm_pool *pool, int64_t n, plm_range_fn *body, void *context);

typedef void plm_task_fn(void *context, int64_t task, int worker);
void plm_parallel_tasks(plm_pool *pool, int64_t tasks, plm_task_fn *body, void *context);

/* Piece `worker` of 0..n-1 as plm_parallel_for cuts it. */
static inline int64_t plm_range_begin(int64_t n, int threads, int worker) { return n * worker / threads; }

#endif
