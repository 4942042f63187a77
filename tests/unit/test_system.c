/* Facts about the machine are sane, and control groups hold a process within what it was given. */
#include "support/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/system.h"
#include "support/scratch.h"

static void the_machine_is_described(void **state) {
  (void)state;
  plm_system s;
  plm_system_read(&s);
  assert_true(strlen(s.hostname) > 0 && strlen(s.cpu) > 0 && strstr(s.os, "Linux") != NULL);
  assert_true(s.cpus >= 1 && s.cpus <= sysconf(_SC_NPROCESSORS_CONF));
  assert_true(s.memory > 1 << 20);
  assert_true(plm_peak_memory() > 1 << 20 && plm_peak_memory() <= (int64_t)1 << 50);
}

static plm_cgroup_limits read_limits(const char *membership) {
  char root[1024];
  snprintf(root, sizeof root, "%s", scratch_path("cgroup"));
  scratch_write_text("membership", membership);
  return plm_cgroup_read(scratch_path("membership"), root);
}

static void version_2_limits_are_the_tightest_on_the_way_up(void **state) {
  (void)state;
  assert_ok(plm_tree_remove(scratch_path("cgroup")));
  assert_ok(plm_directory_make(scratch_path("cgroup/slurm/job/step")));
  scratch_write_text("cgroup/slurm/job/memory.max", "17179869184\n");
  scratch_write_text("cgroup/slurm/job/step/memory.max", "max\n");
  scratch_write_text("cgroup/slurm/memory.max", "34359738368\n");
  scratch_write_text("cgroup/slurm/job/step/cpu.max", "max 100000\n");
  scratch_write_text("cgroup/slurm/cpu.max", "250000 100000\n");
  plm_cgroup_limits limits = read_limits("0::/slurm/job/step\n");
  assert_true(limits.memory == 17179869184);
  assert_true(limits.cpus == 2.5);
  limits = read_limits("0::/\n");
  assert_true(limits.memory == INT64_MAX && isinf(limits.cpus));
}

static void version_1_limits_are_found_under_their_controllers(void **state) {
  (void)state;
  assert_ok(plm_tree_remove(scratch_path("cgroup")));
  assert_ok(plm_directory_make(scratch_path("cgroup/memory/job")));
  assert_ok(plm_directory_make(scratch_path("cgroup/cpu,cpuacct")));
  scratch_write_text("cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  scratch_write_text("cgroup/memory/job/memory.limit_in_bytes", "1073741824\n");
  scratch_write_text("cgroup/cpu,cpuacct/cpu.cfs_quota_us", "400000\n");
  scratch_write_text("cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  plm_cgroup_limits limits = read_limits("9:name=systemd:/\n4:memory:/job\n1:cpu,cpuacct:/host/path/not/mounted/here\n0::/\n");
  assert_true(limits.memory == 1073741824);
  assert_true(limits.cpus == 4);
}

static void nonsense_is_no_limit(void **state) {
  (void)state;
  assert_ok(plm_tree_remove(scratch_path("cgroup")));
  assert_ok(plm_directory_make(scratch_path("cgroup")));
  scratch_write_text("cgroup/memory.max", "\n");
  scratch_write_text("cgroup/cpu.max", "-1\n");
  const char *const memberships[] = {"", "0::/", "nonsense\n", "1:2\n", "::::\n", "0::no/slash\n"};
  for (size_t i = 0; i < sizeof memberships / sizeof *memberships; i++) {
    plm_cgroup_limits limits = read_limits(memberships[i]);
    assert_true(limits.memory == INT64_MAX && isinf(limits.cpus));
  }
  plm_cgroup_limits limits = plm_cgroup_read(scratch_path("absent"), scratch_path("absent"));
  assert_true(limits.memory == INT64_MAX && isinf(limits.cpus));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_machine_is_described),
      cmocka_unit_test(version_2_limits_are_the_tightest_on_the_way_up),
      cmocka_unit_test(version_1_limits_are_found_under_their_controllers),
      cmocka_unit_test(nonsense_is_no_limit),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
