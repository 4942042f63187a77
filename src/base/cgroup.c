/* cgroup.c - control groups, version 1 and 2.
 *
 *   /proc/self/cgroup         "0::/a/b" (version 2), "7:memory:/a/b" and "3:cpu,cpuacct:/a/b" (version 1)
 *   /sys/fs/cgroup/a/b/...    version 2: memory.max ("max" = none), memory.current, memory.stat, cpu.max
 *   /sys/fs/cgroup/memory/..  version 1: memory.limit_in_bytes (huge = none), memory.usage_in_bytes, memory.stat; cpu/:
 *                             cpu.cfs_*; cpuset/: cpuset.effective_cpus (version 2: cpuset.cpus.effective)
 *
 * Any ancestor may hold the limit, so every level up to the mount is looked at. Inside a container the path may be the
 * host's; then only the mount itself is there, and holds what counts. */
#include "base/cgroup.h"

#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu_set.h"

enum { LINE_BYTES = 4096 };

/* The number after `key` at the start of a line of a group's file; of its first line when key is "". */
static bool read_number(const char *directory, const char *name, const char *key, int64_t *ret_number) {
  char path[PATH_MAX], line[LINE_BYTES];
  if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path) return false;
  FILE *file = fopen(path, "re");
  if (file == NULL) return false;
  bool is_found = false;
  while (!is_found && fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, key, strlen(key)) != 0) continue;
    char *end;
    long long number = strtoll(line + strlen(key), &end, 10); /* "max" is no number: no limit */
    is_found = end != line + strlen(key);
    if (is_found) *ret_number = number;
  }
  fclose(file);
  return is_found;
}

/* ---- one group, of either version: files of the other one don't exist ---- */

typedef struct memory_files {
  const char *limit, *usage, *reclaimable; /* the last one: a line of memory.stat */
} memory_files;

static const memory_files version_1 = {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "};
static const memory_files version_2 = {"memory.max", "memory.current", "inactive_file "};

static void tighten_memory(plm_cgroup_limits *limits, const char *directory, const memory_files *names) {
  int64_t limit, usage = 0, reclaimable = 0;
  if (!read_number(directory, names->limit, "", &limit) || limit <= 0) return;
  read_number(directory, names->usage, "", &usage);
  read_number(directory, "memory.stat", names->reclaimable, &reclaimable);
  const int64_t held = usage > reclaimable ? usage - reclaimable : 0, left = limit > held ? limit - held : 0;
  if (limit < limits->memory) limits->memory = limit;
  if (left < limits->memory_left) limits->memory_left = left;
}

static void tighten_cpus(plm_cgroup_limits *limits, double quota, double period) {
  if (quota > 0 && period > 0 && quota / period < limits->cpus) limits->cpus = quota / period;
}

/* "quota period", in one line; "max 100000" is no limit. */
static void tighten_cpus_2(plm_cgroup_limits *limits, const char *directory) {
  char path[PATH_MAX];
  long long quota, period;
  if (snprintf(path, sizeof path, "%s/cpu.max", directory) >= (int)sizeof path) return;
  FILE *file = fopen(path, "re");
  if (file == NULL) return;
  if (fscanf(file, "%lld %lld", &quota, &period) == 2) tighten_cpus(limits, (double)quota, (double)period);
  fclose(file);
}

static void tighten_cpus_1(plm_cgroup_limits *limits, const char *directory) {
  int64_t quota, period;
  if (read_number(directory, "cpu.cfs_quota_us", "", &quota) &&
      read_number(directory, "cpu.cfs_period_us", "", &period))
    tighten_cpus(limits, (double)quota, (double)period);
}

static void tighten_cpuset(plm_cgroup_limits *limits, const char *directory, const char *name) {
  char path[PATH_MAX], line[LINE_BYTES] = "";
  plm_cpu_set set;
  if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path) return;
  FILE *file = fopen(path, "re");
  if (file == NULL) return;
  if (fgets(line, sizeof line, file) != NULL && plm_cpu_set_parse(line, &set)) {
    const int count = plm_cpu_set_count(&set);
    if (count < limits->cpuset) limits->cpuset = count;
  }
  fclose(file);
}

static void tighten(plm_cgroup_limits *limits, const char *directory) {
  tighten_cpuset(limits, directory, "cpuset.cpus.effective");
  tighten_cpuset(limits, directory, "cpuset.effective_cpus");
  tighten_memory(limits, directory, &version_2);
  tighten_memory(limits, directory, &version_1);
  tighten_cpus_2(limits, directory);
  tighten_cpus_1(limits, directory);
}

/* ---- all groups of the process ---- */

/* Every group from `group` up to the mount. `controllers`: "" in version 2. */
static void tighten_upwards(plm_cgroup_limits *limits, const char *root, const char *controllers, char *group) {
  for (;;) {
    char directory[PATH_MAX];
    int length = snprintf(directory, sizeof directory, "%s/sys/fs/cgroup%s%s%s", root, *controllers != '\0' ? "/" : "",
                          controllers, group);
    if (length < (int)sizeof directory) tighten(limits, directory);
    char *slash = strrchr(group, '/');
    if (slash == NULL) return;
    *slash = '\0';
  }
}

/* A line "4:memory:/job", or "0::/job" in version 2. */
static void apply_membership(plm_cgroup_limits *limits, const char *root, char *line) {
  line[strcspn(line, "\n")] = '\0';
  char *controllers = strchr(line, ':');
  char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
  if (group == NULL) return;
  *group++ = '\0';
  controllers++;
  if (strcmp(group, "/") == 0) *group = '\0';
  if (*controllers == '\0' || strcmp(controllers, "memory") == 0 || strstr(controllers, "cpu") != NULL)
    tighten_upwards(limits, root, controllers, group);
}

plm_cgroup_limits plm_cgroup_read(const char *root) {
  plm_cgroup_limits limits = {.cpus = INFINITY, .cpuset = INT_MAX, .memory = INT64_MAX, .memory_left = INT64_MAX};
  char path[PATH_MAX], line[LINE_BYTES];
  if (snprintf(path, sizeof path, "%s/proc/self/cgroup", root) >= (int)sizeof path) return limits;
  FILE *file = fopen(path, "re");
  if (file == NULL) return limits;
  while (fgets(line, sizeof line, file) != NULL) apply_membership(&limits, root, line);
  fclose(file);
  return limits;
}
