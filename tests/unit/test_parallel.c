/* Loops do every piece once, cut the same way each time, on the workers they say. */
#include "support/unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/parallel.h"

enum { MOST_WORKERS = 8, N = 1000 };

typedef struct record {
  plm_pool *pool;
  pthread_t caller;
  atomic_int times[N];
  int64_t begin[MOST_WORKERS], end[MOST_WORKERS];
  atomic_int signals_open;
  int64_t scratch[MOST_WORKERS]; /* one writer each, or the thread sanitizer objects */
} record;

static void mark_range(void *context, int64_t begin, int64_t end, int worker) {
  record *r = context;
  r->begin[worker] = begin;
  r->end[worker] = end;
  for (int64_t i = begin; i < end; i++) r->times[i]++;
  sigset_t blocked;
  pthread_sigmask(SIG_SETMASK, NULL, &blocked);
  if (!pthread_equal(pthread_self(), r->caller) && !sigismember(&blocked, SIGTERM)) r->signals_open++;
}

static void mark_task(void *context, int64_t task, int worker) {
  record *r = context;
  r->times[task]++;
  r->scratch[worker]++;
}

static void the_pool_is_the_one_this_program_was_built_with(void **state) {
  (void)state;
#if defined(_OPENMP) && !defined(PLM_PTHREAD_POOL)
  assert_string_equal(plm_pool_kind(), "OpenMP");
#else
  assert_string_equal(plm_pool_kind(), "pthreads");
#endif
}

static void a_range_is_cut_the_same_way_for_the_same_threads(void **state) {
  (void)state;
  const int64_t sizes[] = {0, 1, 2, 3, 7, 8, 9, N};
  for (int threads = 1; threads <= MOST_WORKERS; threads++) {
    record *r;
    assert_ok(PLM_NEW(&r, 1));
    r->caller = pthread_self();
    assert_ok(plm_pool_create(threads, &r->pool));
    assert_int_equal(plm_pool_threads(r->pool), threads);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
      for (int w = 0; w < threads; w++) r->begin[w] = r->end[w] = -1;
      for (int i = 0; i < N; i++) r->times[i] = 0;
      plm_parallel_for(r->pool, sizes[s], mark_range, r);
      for (int64_t i = 0; i < N; i++) assert_int_equal(r->times[i], i < sizes[s]);
      for (int w = 0; w < threads; w++) {
        int64_t begin = plm_range_begin(sizes[s], threads, w), end = plm_range_begin(sizes[s], threads, w + 1);
        assert_int_equal(r->begin[w], begin < end ? begin : -1);
        assert_int_equal(r->end[w], begin < end ? end : -1);
      }
    }
    assert_int_equal(r->signals_open, 0);
    plm_pool_destroy(r->pool);
    plm_free(r);
  }
}

static void every_task_is_done_once(void **state) {
  (void)state;
  for (int threads = 1; threads <= 4; threads++) {
    record *r;
    assert_ok(PLM_NEW(&r, 1));
    assert_ok(plm_pool_create(threads, &r->pool));
    for (int repeat = 0; repeat < 20; repeat++) plm_parallel_tasks(r->pool, N, mark_task, r);
    for (int i = 0; i < N; i++) assert_int_equal(r->times[i], 20);
    int64_t total = 0;
    for (int w = 0; w < threads; w++) total += r->scratch[w];
    assert_int_equal(total, 20 * N);
    plm_pool_destroy(r->pool);
    plm_free(r);
  }
}

static void inner_range(void *context, int64_t begin, int64_t end, int worker) {
  ((record *)context)->scratch[worker] += end - begin;
}

static void outer_task(void *context, int64_t task, int worker) {
  record *r = context;
  int64_t before = r->scratch[worker];
  plm_parallel_for(r->pool, task, inner_range, r);
  plm_parallel_tasks(r->pool, 1, mark_task, r); /* task 0 */
  if (r->scratch[worker] != before + task + 1) r->signals_open++;
}

static void a_loop_inside_a_loop_runs_whole_on_its_worker_under_its_number(void **state) {
  (void)state;
  record *r;
  assert_ok(PLM_NEW(&r, 1));
  assert_ok(plm_pool_create(4, &r->pool));
  plm_parallel_tasks(r->pool, 200, outer_task, r);
  assert_int_equal(r->signals_open, 0);
  assert_int_equal(r->times[0], 200);
  plm_parallel_for(r->pool, N, mark_range, r); /* and afterwards loops are parallel again */
  assert_int_equal(r->end[3], N);
  plm_pool_destroy(r->pool);
  plm_free(r);
}

static void *use_a_pool(void *argument) {
  (void)argument;
  record *r = NULL;
  if (PLM_NEW(&r, 1) == PLM_OK && plm_pool_create(3, &r->pool) == PLM_OK)
    for (int repeat = 0; repeat < 50; repeat++) plm_parallel_tasks(r->pool, N, mark_task, r);
  for (int i = 0; r != NULL && i < N; i++)
    if (r->times[i] != 50) return r;
  if (r != NULL) plm_pool_destroy(r->pool);
  plm_free(r);
  return NULL;
}

static void threads_with_pools_of_their_own_do_not_meet(void **state) {
  (void)state;
  pthread_t thread[3];
  for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&thread[i], NULL, use_a_pool, NULL), 0);
  for (int i = 0; i < 3; i++) {
    void *failed;
    pthread_join(thread[i], &failed);
    assert_null(failed);
  }
}

static void any_failed_allocation_ends_in_a_status_without_a_leak(void **state) {
  (void)state;
  int64_t live = plm_alloc_live();
  for (int64_t n = 1;; n++) {
    plm_pool *pool = NULL;
    plm_alloc_fail_at(n);
    plm_status status = plm_pool_create(2, &pool);
    plm_alloc_fail_at(0);
    plm_pool_destroy(pool);
    assert_int_equal(plm_alloc_live(), live);
    if (status == PLM_OK) break;
    assert_int_equal(status, PLM_E_RESOURCE);
  }
  plm_pool *pool;
  assert_fails(plm_pool_create(0, &pool), PLM_E_BUG, "threads >= 1");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_pool_is_the_one_this_program_was_built_with),
      cmocka_unit_test(a_range_is_cut_the_same_way_for_the_same_threads),
      cmocka_unit_test(every_task_is_done_once),
      cmocka_unit_test(a_loop_inside_a_loop_runs_whole_on_its_worker_under_its_number),
      cmocka_unit_test(threads_with_pools_of_their_own_do_not_meet),
      cmocka_unit_test(any_failed_allocation_ends_in_a_status_without_a_leak),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
