/* How many threads a command gets, for machines, environments and wishes of every kind. The machine is a made-up one. */
#include "support/unit.h"
#include "support/warnings.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/thread_count.h"

static const plm_cpu_limits whole = {.online = 64, .affinity = 64, .cgroup = INT_MAX, .openmp = INT_MAX};

static int begin(void **state) {
  (void)state;
  unsetenv("OMP_NUM_THREADS");
  unsetenv("SLURM_CPUS_PER_TASK");
  warnings_listen();
  return 0;
}

static int end(void **state) {
  begin(state);
  warnings_stop();
  return 0;
}

static plm_thread_count judge(plm_thread_request request, plm_cpu_limits limits) {
  plm_thread_count count;
  assert_ok(plm_thread_count_judge(&request, &limits, &count));
  return count;
}

static void expect(plm_thread_count count, int threads, const char *why) {
  assert_int_equal(count.threads, threads);
  assert_string_equal(count.why, why);
}

/* ---- nothing asked for ---- */

static void the_smallest_of_what_the_machine_grants_is_taken_and_named(void **state) {
  static const struct {
    plm_cpu_limits limits;
    int threads;
    const char *why;
  } cases[] = {
      {{64, 64, INT_MAX, INT_MAX}, 64, ""},
      {{1, 1, INT_MAX, INT_MAX}, 1, ""},
      {{64, 4, INT_MAX, INT_MAX}, 4, "processor affinity: 4 of 64 processors"},
      {{64, 64, 3, INT_MAX}, 3, "control group: 3 of 64 processors"},
      {{64, 8, 3, INT_MAX}, 3, "control group: 3 of 64 processors"},
      {{64, 64, INT_MAX, 2}, 2, "OpenMP's thread limit: 2 of 64 processors"},
      {{64, 64, 100, 200}, 64, ""},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const plm_thread_count count = judge((plm_thread_request){0}, cases[i].limits);
    expect(count, cases[i].threads, cases[i].why);
    assert_int_equal(count.usable, cases[i].threads);
  }
  assert_int_equal(warnings_count(), 0);
}

static void the_environment_lowers_it_and_never_raises_it(void **state) {
  static const struct {
    const char *openmp, *slurm;
    int threads;
    const char *why;
  } cases[] = {
      {"1", NULL, 1, "OMP_NUM_THREADS=1; 64 usable: --threads 64"},
      {"4,2", NULL, 4, "OMP_NUM_THREADS=4; 64 usable: --threads 64"},
      {" 8 ", NULL, 8, "OMP_NUM_THREADS=8; 64 usable: --threads 64"},
      {NULL, "6", 6, "SLURM_CPUS_PER_TASK=6; 64 usable: --threads 64"},
      {"12", "6", 6, "SLURM_CPUS_PER_TASK=6; 64 usable: --threads 64"},
      {"2", "6", 2, "OMP_NUM_THREADS=2; 64 usable: --threads 64"},
      {"64", "64", 64, ""},
      {"500", NULL, 64, ""},
      {"99999999999999999999", NULL, 64, ""},
      {"", " ", 64, ""},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    begin(NULL);
    if (cases[i].openmp != NULL) setenv("OMP_NUM_THREADS", cases[i].openmp, 1);
    if (cases[i].slurm != NULL) setenv("SLURM_CPUS_PER_TASK", cases[i].slurm, 1);
    expect(judge((plm_thread_request){0}, whole), cases[i].threads, cases[i].why);
    assert_int_equal(warnings_count(), 0);
  }
}

static void nonsense_in_the_environment_is_said_once_and_ignored(void **state) {
  static const char *const nonsense[] = {"many", "0", "-3", "4x", "2;3", ",2", "0x10"};
  (void)state;
  for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
    begin(NULL);
    setenv(i % 2 == 0 ? "OMP_NUM_THREADS" : "SLURM_CPUS_PER_TASK", nonsense[i], 1);
    expect(judge((plm_thread_request){0}, whole), 64, "");
    assert_int_equal(warnings_count(), 1);
    assert_non_null(strstr(warnings_text(), nonsense[i]));
    assert_non_null(strstr(warnings_text(), "no number of threads: ignored"));
  }
}

/* What is meant for each process is not divided once more. */
static void ranks_on_one_machine_share_it(void **state) {
  (void)state;
  expect(judge((plm_thread_request){.local_ranks = 4}, whole), 16, "64 usable, shared by 4 ranks");
  expect(judge((plm_thread_request){.local_ranks = 100}, whole), 1, "64 usable, shared by 100 ranks");
  expect(judge((plm_thread_request){.local_ranks = 1}, whole), 64, "");
  setenv("SLURM_CPUS_PER_TASK", "8", 1);
  expect(judge((plm_thread_request){.local_ranks = 4}, whole), 8, "SLURM_CPUS_PER_TASK=8; 16 usable: --threads 16");
}

/* A launcher gave each of four ranks 16 of 64 processors of its own; the quota of their container holds all of them. */
static void each_limit_is_divided_by_those_it_holds(void **state) {
  const plm_cpu_limits bound = {.online = 64, .affinity = 16, .cgroup = INT_MAX, .openmp = INT_MAX};
  const plm_cpu_limits held = {.online = 64, .affinity = 16, .cgroup = 12, .openmp = INT_MAX};
  const plm_cpu_limits limited = {.online = 64, .affinity = 64, .cgroup = INT_MAX, .openmp = 2};
  (void)state;
  expect(judge((plm_thread_request){.local_ranks = 1, .quota_ranks = 4}, bound), 16,
         "processor affinity: 16 of 64 processors");
  expect(judge((plm_thread_request){.local_ranks = 1, .quota_ranks = 4}, held), 3, "12 usable, shared by 4 ranks");
  expect(judge((plm_thread_request){.local_ranks = 2, .quota_ranks = 4}, bound), 8, "16 usable, shared by 2 ranks");
  expect(judge((plm_thread_request){.local_ranks = 2, .quota_ranks = 2}, limited), 2,
         "OpenMP's thread limit: 2 of 64 processors"); /* each process's own */
}

/* Begun by one rank, with all that there is; gone on with by four. */
static void a_run_keeps_its_number_only_where_its_ranks_have_it(void **state) {
  (void)state;
  expect(judge((plm_thread_request){.saved = 64, .local_ranks = 4}, whole), 16, "64 usable, shared by 4 ranks");
  assert_int_equal(warnings_count(), 1);
  assert_non_null(
      strstr(warnings_text(), "began with 64 threads, and goes on with 16 threads (64 usable, shared by 4"));
  expect(judge((plm_thread_request){.saved = 8, .local_ranks = 4}, whole), 8,
         "as this run began: --threads N changes it");
}

/* ---- asked for, or kept ---- */

static void what_is_asked_for_is_taken_up_to_four_on_each_processor(void **state) {
  const plm_cpu_limits two = {.online = 64, .affinity = 2, .cgroup = INT_MAX, .openmp = INT_MAX};
  plm_thread_count count;
  (void)state;
  setenv("OMP_NUM_THREADS", "1", 1);
  expect(judge((plm_thread_request){.asked = 2, .saved = 1}, two), 2, "");
  assert_int_equal(warnings_count(), 0);
  expect(judge((plm_thread_request){.asked = 8}, two), 8, "");
  assert_int_equal(warnings_count(), 1);
  assert_non_null(
      strstr(warnings_text(), "--threads 8: this process may use 2 processors (processor affinity: 2 of 64"));
  assert_fails(plm_thread_count_judge(&(plm_thread_request){.asked = 9}, &two, &count), PLM_E_USAGE,
               "--threads 9: this process may use 2 processors");
  assert_string_equal(plm_error_hint(), "--threads 2, or leave it out");
  assert_fails(plm_thread_count_judge(&(plm_thread_request){.asked = 257}, &whole, &count), PLM_E_USAGE,
               "64 processors, and 4 threads on each");
  const plm_cpu_limits one = {.online = 1, .affinity = 1, .cgroup = INT_MAX, .openmp = INT_MAX};
  assert_fails(plm_thread_count_judge(&(plm_thread_request){.asked = 5}, &one, &count), PLM_E_USAGE,
               "may use 1 processor, and");
  plm_error_clear();
}

static void a_run_keeps_its_number_unless_the_machine_forbids_it(void **state) {
  const plm_cpu_limits two = {.online = 64, .affinity = 64, .cgroup = 2, .openmp = INT_MAX};
  (void)state;
  expect(judge((plm_thread_request){.saved = 64}, whole), 64, "");
  expect(judge((plm_thread_request){.saved = 4}, whole), 4, "as this run began: --threads N changes it");
  setenv("OMP_NUM_THREADS", "1", 1);
  expect(judge((plm_thread_request){.saved = 4}, whole), 4, "as this run began: --threads N changes it");
  unsetenv("OMP_NUM_THREADS");
  assert_int_equal(warnings_count(), 0);
  expect(judge((plm_thread_request){.saved = 4}, two), 2, "control group: 2 of 64 processors");
  assert_int_equal(warnings_count(), 1);
  assert_non_null(strstr(warnings_text(), "began with 4 threads, and goes on with 2 threads (control group: 2 of 64"));
}

static void this_process_gets_what_it_may_use(void **state) {
  plm_thread_count count;
  plm_cpu_limits limits;
  (void)state;
  plm_cpu_limits_read(&limits);
  assert_true(limits.online >= 1 && limits.affinity >= 1 && limits.cgroup >= 1 && limits.openmp >= 1);
  assert_ok(plm_thread_count_decide(&(plm_thread_request){0}, &count));
  assert_true(count.threads == count.usable && count.usable <= limits.affinity);
  setenv("OMP_NUM_THREADS", "1", 1);
  assert_ok(plm_thread_count_decide(&(plm_thread_request){0}, &count));
  assert_int_equal(count.threads, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(the_smallest_of_what_the_machine_grants_is_taken_and_named, begin),
      cmocka_unit_test_setup(the_environment_lowers_it_and_never_raises_it, begin),
      cmocka_unit_test_setup(nonsense_in_the_environment_is_said_once_and_ignored, begin),
      cmocka_unit_test_setup(ranks_on_one_machine_share_it, begin),
      cmocka_unit_test_setup(each_limit_is_divided_by_those_it_holds, begin),
      cmocka_unit_test_setup(a_run_keeps_its_number_only_where_its_ranks_have_it, begin),
      cmocka_unit_test_setup(what_is_asked_for_is_taken_up_to_four_on_each_processor, begin),
      cmocka_unit_test_setup(a_run_keeps_its_number_unless_the_machine_forbids_it, begin),
      cmocka_unit_test_setup(this_process_gets_what_it_may_use, begin),
  };
  return cmocka_run_group_tests_name("thread_count", tests, NULL, end);
}
