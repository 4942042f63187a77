/* Processors as affinity and cgroups lend them. */
#include "support/unit.h"

#include <stdio.h>

#include "base/file.h"
#include "base/system.h"
#include "support/scratch.h"

static void make(const char *directory, const char *name, const char *text) {
  char path[256];
  assert_ok(plm_directory_make(scratch_path(directory)));
  snprintf(path, sizeof path, "%s/%s", directory, name);
  scratch_write_text(path, text);
}

static void there_is_at_least_one_processor(void **state) {
  (void)state;
  assert_true(plm_system_cpus() >= 1);
}

static void quota_of_any_ancestor_counts(void **state) {
  (void)state;
  make("v2/proc/self", "cgroup", "0::/job/step\n");
  make("v2/sys/fs/cgroup/job", "cpu.max", "150000 100000\n");
  make("v2/sys/fs/cgroup/job/step", "cpu.max", "max 100000\n");
  assert_true(plm_system_cpu_quota(scratch_path("v2")) == 1.5);
}

static void version_1_is_understood(void **state) {
  (void)state;
  make("v1/proc/self", "cgroup", "9:cpuset:/x\n4:cpu,cpuacct:/x\n");
  make("v1/sys/fs/cgroup/cpu/x", "cpu.cfs_quota_us", "400000\n");
  make("v1/sys/fs/cgroup/cpu/x", "cpu.cfs_period_us", "100000\n");
  make("v1/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "-1\n");
  assert_true(plm_system_cpu_quota(scratch_path("v1")) == 4);
}

static void no_quota_is_no_limit(void **state) {
  (void)state;
  make("none/proc/self", "cgroup", "0::/not/there\nnonsense\n");
  assert_true(plm_system_cpu_quota(scratch_path("none")) == 0);
  assert_true(plm_system_cpu_quota(scratch_path("absent")) == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(there_is_at_least_one_processor),
      cmocka_unit_test(quota_of_any_ancestor_counts),
      cmocka_unit_test(version_1_is_understood),
      cmocka_unit_test(no_quota_is_no_limit),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
