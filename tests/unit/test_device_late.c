/* The late device shows what an eager one hides: a slot refilled or read before its event, memory used after it was
 * handed back, a wait too many. */
#define _GNU_SOURCE
#include "support/unit.h"

#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "kernels/ops.h"
#include "support/late.h"

enum { N = 4 };

typedef struct fixture {
  plm_exec *x;
  plm_device *d;
  float *slot, *back;    /* from alloc_host */
  float *there, *result; /* on the device */
  plm_event *event;
} fixture;

static fixture f;
static int64_t live_before;

static int open_late(void **state) {
  (void)state;
  live_before = plm_alloc_live();
  assert_ok(plm_exec_late_open(2, &f.x));
  f.d = f.x->device;
  assert_ok(f.d->alloc_host(f.d, N * sizeof(float), (void **)&f.slot));
  assert_ok(f.d->alloc_host(f.d, N * sizeof(float), (void **)&f.back));
  assert_ok(f.d->alloc(f.d, N * sizeof(float), (void **)&f.there));
  assert_ok(f.d->alloc(f.d, N * sizeof(float), (void **)&f.result));
  assert_ok(f.d->event_create(f.d, &f.event));
  return 0;
}

static int close_late(void **state) {
  (void)state;
  f.d->event_destroy(f.d, f.event);
  plm_exec_destroy(f.x);
  return plm_alloc_live() == live_before ? 0 : 1;
}

static void fill_slot(float value) {
  for (int i = 0; i < N; i++) f.slot[i] = value;
}

static void upload(void) { assert_ok(f.d->enqueue_copy(f.d, f.there, f.slot, N * sizeof(float), PLM_COPY_TO_DEVICE)); }

/* result = there, by an operator. */
static void run_operator(void) {
  const plm_convert_args a = {.n = N, .from = f.there, .from_dtype = PLM_F32, .to = f.result, .to_dtype = PLM_F32};
  assert_ok(f.x->ops->convert(f.x, &a));
}

static float value_of(const float *there) {
  float values[N];
  assert_ok(f.d->copy(f.d, values, there, sizeof values, PLM_COPY_TO_HOST));
  return values[N - 1];
}

static void a_slot_refilled_before_its_event_sends_the_new_bytes(void **state) {
  (void)state;
  fill_slot(1);
  upload();
  assert_ok(f.d->event_record(f.d, f.event));
  fill_slot(2); /* wrong: the event has not happened */
  run_operator();
  assert_true(value_of(f.result) == 2);
}

static void a_slot_refilled_after_its_event_does_not(void **state) {
  (void)state;
  fill_slot(1);
  upload();
  assert_ok(f.d->event_record(f.d, f.event));
  assert_ok(f.d->event_wait(f.d, f.event));
  assert_int_equal(f.d->waits, 1);
  fill_slot(2);
  run_operator();
  assert_true(value_of(f.result) == 1);
}

/* As a loop with two slots finds it: by the time a slot is wanted again, its copy is long done. */
static void an_operator_sees_what_was_queued_and_the_wait_is_none(void **state) {
  (void)state;
  fill_slot(3);
  upload();
  assert_ok(f.d->event_record(f.d, f.event));
  run_operator();
  assert_ok(f.d->event_wait(f.d, f.event));
  assert_int_equal(f.d->waits, 0);
  fill_slot(4);
  assert_true(value_of(f.result) == 3);
}

static void a_download_is_nan_until_an_event_behind_it(void **state) {
  (void)state;
  plm_event *early;
  fill_slot(5);
  f.back[0] = 1;
  upload();
  run_operator();
  assert_ok(f.d->event_create(f.d, &early));
  assert_ok(f.d->event_record(f.d, early));
  assert_ok(f.d->enqueue_copy(f.d, f.back, f.result, N * sizeof(float), PLM_COPY_TO_HOST));
  assert_ok(f.d->event_record(f.d, f.event));
  assert_ok(f.d->event_wait(f.d, early));
  assert_true(isnan(f.back[0]));
  fill_slot(6); /* the queue's order holds: what comes later does not show in it */
  upload();
  run_operator();
  assert_true(isnan(f.back[0]) && f.d->waits == 0);
  assert_ok(f.d->event_wait(f.d, f.event));
  assert_true(f.back[0] == 5 && f.d->waits == 1);
  assert_ok(f.d->event_wait(f.d, f.event));
  assert_int_equal(f.d->waits, 1);
  f.d->event_destroy(f.d, early);
}

static void synchronize_finishes_everything(void **state) {
  (void)state;
  fill_slot(7);
  upload();
  assert_ok(f.d->enqueue_copy(f.d, f.result, f.there, N * sizeof(float), PLM_COPY_ON_DEVICE));
  assert_ok(f.d->enqueue_copy(f.d, f.back, f.result, N * sizeof(float), PLM_COPY_TO_HOST));
  assert_ok(f.d->synchronize(f.d));
  assert_true(f.back[0] == 7);
  assert_int_equal(f.d->waits, 1);
}

static void what_was_handed_back_is_nan(void **state) {
  (void)state;
  fill_slot(8);
  upload();
  f.d->free_host(f.d, f.slot); /* wrong: the copy is queued */
  run_operator();
  assert_true(isnan(value_of(f.result)));

  const plm_fill_args zero = {.to = f.there, .bytes = N * sizeof(float)};
  assert_ok(f.x->ops->fill(f.x, &zero));
  f.d->free(f.d, f.there); /* wrong: an operator still reads it */
  run_operator();
  assert_true(isnan(value_of(f.result)));
}

static void new_memory_is_nan(void **state) {
  (void)state;
  assert_true(isnan(f.slot[0]) && isnan(f.slot[N - 1]));
  assert_true(isnan(value_of(f.there)));
}

static void other_host_memory_is_refused(void **state) {
  (void)state;
  float mine[N] = {0};
  assert_fails(f.d->enqueue_copy(f.d, f.there, mine, sizeof mine, PLM_COPY_TO_DEVICE), PLM_E_BUG, "alloc_host");
  assert_fails(f.d->enqueue_copy(f.d, f.slot, f.there, (N + 1) * sizeof(float), PLM_COPY_TO_HOST), PLM_E_BUG,
               "alloc_host");
}

/* In a child process: the touch must kill it. */
static void memory_is_for_operators_only(void **state) {
  (void)state;
  pid_t child = fork();
  if (child == 0) {
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    signal(SIGSEGV, SIG_DFL);
    *(volatile float *)f.there = 1;
    _exit(0);
  }
  int result;
  assert_int_equal(waitpid(child, &result, 0), child);
  assert_true(WIFSIGNALED(result) && WTERMSIG(result) == SIGSEGV);
}

static void it_counts_what_it_was_asked_for(void **state) {
  (void)state;
  fill_slot(1);
  upload();
  run_operator();
  assert_ok(f.d->enqueue_copy(f.d, f.back, f.result, N * sizeof(float), PLM_COPY_TO_HOST));
  value_of(f.result);
  const late_counts counts = plm_device_late_counts(f.d);
  assert_int_equal(counts.uploads, 1);
  assert_int_equal(counts.downloads, 1);
  assert_int_equal(counts.allocations, 4);
  assert_int_equal(counts.blocking_copies, 1);
  assert_int_equal(counts.operators, 1);
  assert_int_equal(f.d->queued, 3);
  assert_int_equal(f.d->waits, 1);
  assert_int_equal(f.d->host_bytes_in_use, 2 * N * sizeof(float));
  assert_int_equal(f.d->bytes_in_use, 2 * N * sizeof(float));
}

static void it_is_a_backend_that_auto_never_takes(void **state) {
  (void)state;
  plm_exec *x;
  assert_ptr_equal(f.x->backend, &plm_backend_late);
  assert_true(f.x->owns_device && !f.d->is_host);
  assert_string_equal(f.x->kernels, "ref");
  assert_ok(plm_exec_open(&(plm_exec_options){.threads = 1}, &x));
  assert_ptr_equal(x->backend, &plm_backend_cpu);
  plm_exec_destroy(x);
}

#define WITH_LATE(test) cmocka_unit_test_setup_teardown(test, open_late, close_late)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_LATE(a_slot_refilled_before_its_event_sends_the_new_bytes),
      WITH_LATE(a_slot_refilled_after_its_event_does_not),
      WITH_LATE(an_operator_sees_what_was_queued_and_the_wait_is_none),
      WITH_LATE(a_download_is_nan_until_an_event_behind_it),
      WITH_LATE(synchronize_finishes_everything),
      WITH_LATE(what_was_handed_back_is_nan),
      WITH_LATE(new_memory_is_nan),
      WITH_LATE(other_host_memory_is_refused),
      WITH_LATE(memory_is_for_operators_only),
      WITH_LATE(it_counts_what_it_was_asked_for),
      WITH_LATE(it_is_a_backend_that_auto_never_takes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
