/* system.c - read from the kernel's files, without fail: a fact that cannot be had gets its neutral value. */
#define _GNU_SOURCE
#include "base/system.h"

#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/parallel.h"

/* ---- control groups ---- */

static bool read_line(const char *directory, const char *name, char *ret_line, int size) {
  char path[PATH_MAX];
  if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path) return false;
  FILE *file = fopen(path, "re");
  if (file == NULL) return false;
  bool has_line = fgets(ret_line, size, file) != NULL;
  fclose(file);
  return has_line;
}

static void tighten_memory(plm_cgroup_limits *limits, const char *directory, const char *name) {
  char line[64], *end;
  if (!read_line(directory, name, line, sizeof line)) return;
  long long bytes = strtoll(line, &end, 10);
  if (end != line && bytes > 0 && bytes < limits->memory) limits->memory = bytes; /* "max" is no number: no limit */
}

static void tighten_cpus(plm_cgroup_limits *limits, double quota, double period) {
  if (quota > 0 && period > 0 && quota / period < limits->cpus) limits->cpus = quota / period;
}

/* One group, of either version: files of the other one don't exist. */
static void tighten(plm_cgroup_limits *limits, const char *directory) {
  char quota[64], period[64];
  long long microseconds, of;
  tighten_memory(limits, directory, "memory.max");
  tighten_memory(limits, directory, "memory.limit_in_bytes");
  if (read_line(directory, "cpu.max", quota, sizeof quota) && sscanf(quota, "%lld %lld", &microseconds, &of) == 2)
    tighten_cpus(limits, (double)microseconds, (double)of);
  if (read_line(directory, "cpu.cfs_quota_us", quota, sizeof quota) && read_line(directory, "cpu.cfs_period_us", period, sizeof period))
    tighten_cpus(limits, (double)atoll(quota), (double)atoll(period));
}

/* Every group from `path` up to the root counts. In a container the path may be the host's; then only the root is there. */
static void tighten_upwards(plm_cgroup_limits *limits, const char *root, const char *controller, char *path) {
  for (;;) {
    char directory[PATH_MAX];
    if (snprintf(directory, sizeof directory, "%s%s%s%s", root, *controller != '\0' ? "/" : "", controller, path) < (int)sizeof directory)
      tighten(limits, directory);
    char *slash = strrchr(path, '/');
    if (slash == NULL) return;
    *slash = '\0';
  }
}

plm_cgroup_limits plm_cgroup_read(const char *membership, const char *root) {
  plm_cgroup_limits limits = {.cpus = INFINITY, .memory = INT64_MAX};
  FILE *file = fopen(membership, "re");
  if (file == NULL) return limits;
  char line[PATH_MAX];
  while (fgets(line, sizeof line, file) != NULL) { /* "4:memory:/job", or "0::/job" in version 2 */
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':');
    char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (path == NULL) continue;
    *path++ = '\0';
    controllers++;
    if (strcmp(path, "/") == 0) *path = '\0';
    bool matters = *controllers == '\0' || strcmp(controllers, "memory") == 0 || strstr(controllers, "cpu") != NULL;
    if (matters) tighten_upwards(&limits, root, controllers, path);
  }
  fclose(file);
  return limits;
}

/* ---- processors and memory ---- */

/* More than 1024 processors need a larger set than the usual one. */
static int count_allowed_cpus(void) {
  enum { MOST_CPUS = 1 << 16 };
  int count = 0;
  cpu_set_t *set = CPU_ALLOC(MOST_CPUS);
  if (set != NULL && sched_getaffinity(0, CPU_ALLOC_SIZE(MOST_CPUS), set) == 0) count = CPU_COUNT_S(CPU_ALLOC_SIZE(MOST_CPUS), set);
  CPU_FREE(set);
  if (count < 1) count = (int)sysconf(_SC_NPROCESSORS_ONLN);
  return count < 1 ? 1 : count;
}

static void trim(char *words) {
  size_t length = strlen(words);
  while (length > 0 && isspace((unsigned char)words[length - 1])) words[--length] = '\0';
}

/* The value of the first line "name : value" or NAME="value" of a file. */
static bool find_value(const char *path, const char *name, char *ret_value, size_t size) {
  FILE *file = fopen(path, "re");
  if (file == NULL) return false;
  char line[512];
  bool is_found = false;
  while (!is_found && fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, name, strlen(name)) != 0) continue;
    char *value = line + strcspn(line, ":=");
    if (*value == '\0') continue;
    value += 1 + strspn(value + 1, " \t\"");
    value[strcspn(value, "\"\n")] = '\0';
    trim(value);
    snprintf(ret_value, size, "%s", value);
    is_found = *value != '\0';
  }
  fclose(file);
  return is_found;
}

void plm_system_read(plm_system *ret_system) {
  plm_system s = {.cpus = count_allowed_cpus()};
  struct utsname kernel;
  char distribution[100] = "";
  if (uname(&kernel) != 0) memset(&kernel, 0, sizeof kernel);
  if (gethostname(s.hostname, sizeof s.hostname - 1) != 0) snprintf(s.hostname, sizeof s.hostname, "unknown");
  if (!find_value("/proc/cpuinfo", "model name", s.cpu, sizeof s.cpu)) snprintf(s.cpu, sizeof s.cpu, "%.64s", kernel.machine);
  bool is_named = find_value("/etc/os-release", "PRETTY_NAME", distribution, sizeof distribution);
  snprintf(s.os, sizeof s.os, "%s%s%.32s %.64s, %.32s", distribution, is_named ? ", " : "", kernel.sysname, kernel.release, kernel.machine);

  plm_cgroup_limits limits = plm_cgroup_read("/proc/self/cgroup", "/sys/fs/cgroup");
  if (limits.cpus < s.cpus) s.cpus = (int)ceil(limits.cpus);
  if (plm_pool_most_threads() < s.cpus) s.cpus = plm_pool_most_threads();
  s.memory = (int64_t)sysconf(_SC_PHYS_PAGES) * (int64_t)sysconf(_SC_PAGESIZE);
  if (limits.memory < s.memory) s.memory = limits.memory;
  *ret_system = s;
}

int64_t plm_peak_memory(void) {
  struct rusage usage;
  return getrusage(RUSAGE_SELF, &usage) == 0 ? (int64_t)usage.ru_maxrss * 1024 : 0;
}
