/* The CPU device counts and aligns its memory; the guarded one lets nobody in but operators; total memory respects
 * cgroups. */
#define _GNU_SOURCE
#include "support/unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "kernels/cpu/backend_cpu.h"
#include "kernels/device.h"
#include "kernels/ops.h"
#include "support/guarded.h"
#include "support/late.h"

typedef plm_status create_fn(plm_device **ret_device);

static void use_device(create_fn *create) {
  plm_device *device;
  void *a, *b, *empty;
  char text[6] = "", *source = "hello";
  assert_ok(create(&device));
  assert_ok(device->alloc(device, 1000, &a));
  assert_ok(device->alloc(device, 1, &b));
  assert_ok(device->alloc(device, 0, &empty));
  assert_int_equal((uintptr_t)a % 256, 0);
  assert_int_equal((uintptr_t)b % 256, 0);
  assert_int_equal(device->bytes_in_use, 1001);
  assert_ok(device->copy(device, a, source, 6, PLM_COPY_TO_DEVICE));
  assert_ok(device->copy(device, (char *)a + 500, a, 6, PLM_COPY_ON_DEVICE));
  assert_ok(device->copy(device, text, (char *)a + 500, 6, PLM_COPY_TO_HOST));
  assert_string_equal(text, source);
  assert_ok(device->synchronize(device));
  device->free(device, a);
  assert_int_equal(device->bytes_in_use, 1);
  assert_int_equal(device->bytes_peak, 1001);
  device->free(device, b);
  device->free(device, empty);
  device->free(device, NULL);
  plm_device_destroy(device);
  plm_device_destroy(NULL);
}

/* What is queued on a device that does everything at once: nothing is waited for but what comes to the host. */
static void queue_on(create_fn *create, bool is_host) {
  plm_device *device;
  void *there;
  char *here, *back;
  plm_event *begin, *end;
  double seconds = -1;
  assert_ok(create(&device));
  assert_int_equal(device->is_host, is_host);
  assert_ok(device->alloc(device, 6, &there));
  assert_ok(device->alloc_host(device, 6, (void **)&here));
  assert_ok(device->alloc_host(device, 7, (void **)&back));
  assert_int_equal((uintptr_t)here % 256, 0);
  assert_int_equal(device->host_bytes_in_use, 13);
  assert_int_equal(device->bytes_in_use, 6);
  assert_ok(device->event_create(device, &begin));
  assert_ok(device->event_create(device, &end));
  assert_ok(device->event_wait(device, begin));
  assert_ok(device->event_record(device, begin));
  strcpy(here, "hello");
  assert_ok(device->enqueue_copy(device, there, here, 6, PLM_COPY_TO_DEVICE));
  assert_ok(device->enqueue_copy(device, back, there, 6, PLM_COPY_TO_HOST));
  assert_ok(device->event_record(device, end));
  assert_ok(device->event_wait(device, end));
  assert_string_equal(back, "hello");
  assert_int_equal(device->waits, 0);
  assert_int_equal(device->queued, 2);
  assert_ok(device->event_seconds(device, begin, end, &seconds));
  assert_true(seconds >= 0 && seconds < 60);
  assert_ok(device->copy(device, back, there, 6, PLM_COPY_TO_HOST));
  assert_ok(device->synchronize(device));
  assert_int_equal(device->waits, 2);
  device->event_destroy(device, begin);
  device->event_destroy(device, end);
  device->event_destroy(device, NULL);
  device->free_host(device, here);
  device->free_host(device, back);
  device->free_host(device, NULL);
  assert_int_equal(device->host_bytes_in_use, 0);
  device->free(device, there);
  plm_device_destroy(device);
}

static void devices_queue_copies_and_count_waits(void **state) {
  (void)state;
  int64_t live = plm_alloc_live();
  queue_on(plm_device_cpu_create, true);
  queue_on(plm_device_guarded_create, false);
  assert_int_equal(plm_alloc_live(), live);
}

static void devices_align_count_and_copy(void **state) {
  (void)state;
  int64_t live = plm_alloc_live();
  use_device(plm_device_cpu_create);
  use_device(plm_device_guarded_create);
  use_device(plm_device_late_create);
  assert_int_equal(plm_alloc_live(), live);
}

/* Create a device and a block, with the n-th allocation failing; true when all went well. */
static bool survives_failure(create_fn *create, int64_t n) {
  plm_device *device = NULL;
  void *memory = NULL;
  plm_alloc_fail_at(n);
  plm_status status = create(&device);
  if (status == PLM_OK) status = device->alloc(device, 100, &memory);
  plm_alloc_fail_at(0);
  if (status != PLM_OK) assert_int_equal(status, PLM_E_RESOURCE);
  if (memory != NULL) device->free(device, memory);
  plm_device_destroy(device);
  return status == PLM_OK;
}

static void failed_allocations_are_reported_and_leak_nothing(void **state) {
  (void)state;
  create_fn *const creates[] = {plm_device_cpu_create, plm_device_guarded_create};
  for (int i = 0; i < 2; i++) {
    int64_t live = plm_alloc_live(), n = 1;
    while (!survives_failure(creates[i], n)) n++;
    assert_int_equal(n, 3);
    assert_int_equal(plm_alloc_live(), live);
  }
}

static void impossible_sizes_are_refused(void **state) {
  (void)state;
  plm_device *device;
  void *memory = NULL;
  assert_ok(plm_device_cpu_create(&device));
  assert_fails(device->alloc(device, SIZE_MAX, &memory), PLM_E_RESOURCE, "out of memory");
  assert_int_equal(device->bytes_in_use, 0);
  plm_device_destroy(device);
}

/* In a child process: the touch must kill it. */
static void touching_guarded_memory_outside_an_operator_dies(void **state) {
  (void)state;
  plm_device *device;
  void *memory;
  assert_ok(plm_device_guarded_create(&device));
  assert_ok(device->alloc(device, 4, &memory));
  pid_t child = fork();
  if (child == 0) {
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    signal(SIGSEGV, SIG_DFL); /* cmocka's handler would carry on with the next test */
    *(volatile char *)memory = 1;
    _exit(0);
  }
  int result;
  assert_int_equal(waitpid(child, &result, 0), child);
  assert_true(WIFSIGNALED(result) && WTERMSIG(result) == SIGSEGV);
  device->free(device, memory);
  plm_device_destroy(device);
}

/* The same memory inside an operator, on several threads. */
static void guarded_operators_may_touch_it(void **state) {
  (void)state;
  plm_device *device;
  plm_exec *exec;
  void *memory;
  unsigned char bytes[5000];
  assert_ok(plm_device_guarded_create(&device));
  assert_ok(plm_exec_create_cpu(device, 3, "ref", &exec));
  exec->ops = plm_ops_guarded(exec->ops);
  assert_ok(device->alloc(device, sizeof bytes, &memory));
  plm_fill_args fill = {.to = memory, .bytes = sizeof bytes, .value = 7};
  assert_ok(exec->ops->fill(exec, &fill));
  assert_ok(device->copy(device, bytes, memory, sizeof bytes, PLM_COPY_TO_HOST));
  assert_int_equal(bytes[0] + bytes[4999], 14);
  device->free(device, memory);
  plm_exec_destroy(exec);
  plm_device_destroy(device);
}

/* ---- memory limits: made-up /proc and /sys below a temporary folder ---- */

static char root[64];

static void write_file(const char *path, const char *text) {
  char full[512], *slash;
  snprintf(full, sizeof full, "%s%s", root, path);
  for (slash = full + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
    *slash = '\0';
    mkdir(full, 0755);
    *slash = '/';
  }
  FILE *file = fopen(full, "w");
  assert_non_null(file);
  fputs(text, file);
  assert_int_equal(fclose(file), 0);
}

static int make_root(void **state) {
  (void)state;
  strcpy(root, "/tmp/plm_memory_XXXXXX");
  if (mkdtemp(root) == NULL) return 1;
  write_file("/proc/meminfo", "MemTotal:  1000 kB\nMemFree:  10 kB\nMemAvailable:  800 kB\n");
  return 0;
}

static int remove_root(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", root);
  return system(command);
}

static void assert_memory(size_t total, size_t available) {
  size_t got_total, got_free;
  assert_ok(plm_host_memory(root, &got_total, &got_free));
  assert_int_equal(got_total, total);
  assert_int_equal(got_free, available);
}

static void without_a_cgroup_all_memory_counts(void **state) {
  (void)state;
  assert_memory(1000 * 1024, 800 * 1024);
}

/* The limit stands at the job, the process in a step below it; page cache that can be dropped is not used up. */
static void a_version_2_limit_of_an_ancestor_counts(void **state) {
  (void)state;
  write_file("/proc/self/cgroup", "0::/slurm/job_1/step_0\n");
  write_file("/sys/fs/cgroup/slurm/job_1/step_0/memory.max", "max\n");
  write_file("/sys/fs/cgroup/slurm/job_1/memory.max", "500000\n");
  write_file("/sys/fs/cgroup/slurm/job_1/memory.current", "300000\n");
  write_file("/sys/fs/cgroup/slurm/job_1/memory.stat", "anon 5\ninactive_file 100000\n");
  assert_memory(500000, 300000);
}

/* Inside a container the group's path does not exist below the mount; the mount's own limit holds. */
static void a_version_1_limit_in_a_container_counts(void **state) {
  (void)state;
  write_file("/proc/self/cgroup", "12:cpu,cpuacct:/docker/x\n7:memory:/docker/x\n");
  write_file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "600000\n");
  write_file("/sys/fs/cgroup/memory/memory.usage_in_bytes", "700000\n");
  assert_memory(600000, 0);
}

static void an_absurdly_high_limit_is_none(void **state) {
  (void)state;
  write_file("/proc/self/cgroup", "7:memory:/\n");
  write_file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  assert_memory(1000 * 1024, 800 * 1024);
}

static void the_running_system_has_memory(void **state) {
  (void)state;
  plm_device *device;
  size_t total, available;
  assert_ok(plm_device_cpu_create(&device));
  assert_ok(device->memory_info(device, &total, &available));
  assert_true(total > 1 << 20 && available <= total);
  plm_device_destroy(device);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(devices_align_count_and_copy),
      cmocka_unit_test(devices_queue_copies_and_count_waits),
      cmocka_unit_test(failed_allocations_are_reported_and_leak_nothing),
      cmocka_unit_test(impossible_sizes_are_refused),
      cmocka_unit_test(touching_guarded_memory_outside_an_operator_dies),
      cmocka_unit_test(guarded_operators_may_touch_it),
      cmocka_unit_test_setup_teardown(without_a_cgroup_all_memory_counts, make_root, remove_root),
      cmocka_unit_test_setup_teardown(a_version_2_limit_of_an_ancestor_counts, make_root, remove_root),
      cmocka_unit_test_setup_teardown(a_version_1_limit_in_a_container_counts, make_root, remove_root),
      cmocka_unit_test_setup_teardown(an_absurdly_high_limit_is_none, make_root, remove_root),
      cmocka_unit_test(the_running_system_has_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
