/* Control groups hold a process within what it was given. */
#include "support/unit.h"

#include <limits.h>
#include <math.h>

#include "base/cgroup.h"
#include "base/file.h"
#include "support/scratch.h"

static plm_cgroup_limits read_limits(const char *membership) {
  assert_ok(plm_directory_make(scratch_path("root/proc/self")));
  scratch_write_text("root/proc/self/cgroup", membership);
  return plm_cgroup_read(scratch_path("root"));
}

static void version_2_limits_are_the_tightest_on_the_way_up(void **state) {
  (void)state;
  assert_ok(plm_tree_remove(scratch_path("root")));
  assert_ok(plm_directory_make(scratch_path("root/sys/fs/cgroup/slurm/job/step")));
  scratch_write_text("root/sys/fs/cgroup/slurm/job/memory.max", "17179869184\n");
  scratch_write_text("root/sys/fs/cgroup/slurm/job/step/memory.max", "max\n");
  scratch_write_text("root/sys/fs/cgroup/slurm/memory.max", "34359738368\n");
  scratch_write_text("root/sys/fs/cgroup/slurm/memory.current", "34359737368\n"); /* the outer group is nearly full */
  scratch_write_text("root/sys/fs/cgroup/slurm/memory.stat", "anon 5\ninactive_file 24\n");
  scratch_write_text("root/sys/fs/cgroup/slurm/job/step/cpu.max", "max 100000\n");
  scratch_write_text("root/sys/fs/cgroup/slurm/cpu.max", "250000 100000\n");
  scratch_write_text("root/sys/fs/cgroup/slurm/cpuset.cpus.effective", "0-127\n");
  scratch_write_text("root/sys/fs/cgroup/slurm/job/cpuset.cpus.effective", "8-11,40\n");
  plm_cgroup_limits limits = read_limits("0::/slurm/job/step\n");
  assert_true(limits.memory == 17179869184);
  assert_true(limits.memory_left == 1024);
  assert_true(limits.cpus == 2.5);
  assert_int_equal(limits.cpuset, 5);
  limits = read_limits("0::/\n");
  assert_true(limits.memory == INT64_MAX && limits.memory_left == INT64_MAX && isinf(limits.cpus));
  assert_int_equal(limits.cpuset, INT_MAX);
}

static void version_1_limits_are_found_under_their_controllers(void **state) {
  (void)state;
  assert_ok(plm_tree_remove(scratch_path("root")));
  assert_ok(plm_directory_make(scratch_path("root/sys/fs/cgroup/memory/job")));
  assert_ok(plm_directory_make(scratch_path("root/sys/fs/cgroup/cpu,cpuacct")));
  scratch_write_text("root/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  scratch_write_text("root/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "1073741824\n");
  scratch_write_text("root/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "400000\n");
  scratch_write_text("root/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  assert_ok(plm_directory_make(scratch_path("root/sys/fs/cgroup/cpuset/job")));
  scratch_write_text("root/sys/fs/cgroup/cpuset/job/cpuset.effective_cpus", "3\n");
  plm_cgroup_limits limits =
      read_limits("9:name=systemd:/\n4:memory:/job\n2:cpuset:/job\n1:cpu,cpuacct:/host/path/not/mounted/here\n0::/\n");
  assert_true(limits.memory == 1073741824);
  assert_true(limits.cpus == 4);
  assert_int_equal(limits.cpuset, 1);
}

static void nonsense_is_no_limit(void **state) {
  (void)state;
  assert_ok(plm_tree_remove(scratch_path("root")));
  assert_ok(plm_directory_make(scratch_path("root/sys/fs/cgroup")));
  scratch_write_text("root/sys/fs/cgroup/memory.max", "\n");
  scratch_write_text("root/sys/fs/cgroup/cpu.max", "-1\n");
  scratch_write_text("root/sys/fs/cgroup/cpuset.cpus.effective", "7-3\n");
  const char *const memberships[] = {"", "0::/", "nonsense\n", "1:2\n", "::::\n", "0::no/slash\n"};
  for (size_t i = 0; i < sizeof memberships / sizeof *memberships; i++) {
    plm_cgroup_limits limits = read_limits(memberships[i]);
    assert_true(limits.memory == INT64_MAX && limits.memory_left == INT64_MAX && isinf(limits.cpus));
    assert_int_equal(limits.cpuset, INT_MAX);
  }
  plm_cgroup_limits limits = plm_cgroup_read(scratch_path("absent"));
  assert_true(limits.memory == INT64_MAX && limits.memory_left == INT64_MAX && isinf(limits.cpus));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(version_2_limits_are_the_tightest_on_the_way_up),
      cmocka_unit_test(version_1_limits_are_found_under_their_controllers),
      cmocka_unit_test(nonsense_is_no_limit),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
