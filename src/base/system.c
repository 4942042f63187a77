/* system.c - processors: the affinity mask, and the cpu controller of cgroup version 2 and 1.
 *
 *   /proc/self/cgroup       "0::/a/b" (version 2) or "4:cpu,cpuacct:/a/b" (version 1)
 *   /sys/fs/cgroup/a/b/...  version 2: cpu.max, "200000 100000" = 2 processors, or "max 100000"
 *   /sys/fs/cgroup/cpu/...  version 1: cpu.cfs_quota_us (-1 = none) and cpu.cfs_period_us
 *
 * Any ancestor may hold the limit. Inside a container the path may not exist below the mount; then the mount itself is what there is.
 */
#define _GNU_SOURCE
#include "base/system.h"

#include <math.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

/* The first line of a small file; false when there is none. */
static bool read_line(const char *path, char *line, int bytes) {
  FILE *file = fopen(path, "re");
  bool found = file != NULL && fgets(line, bytes, file) != NULL;
  if (file != NULL) fclose(file);
  return found;
}

static double read_number(const char *folder, const char *name) {
  char path[PATH_BYTES + 64], line[128];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return read_line(path, line, sizeof line) ? strtod(line, NULL) : -1;
}

/* Processors that the group in `folder` may use; 0 = no limit. */
static double quota_of(const char *folder, bool is_version_2) {
  char path[PATH_BYTES + 64], line[128];
  double quota, period;
  if (is_version_2) {
    snprintf(path, sizeof path, "%s/cpu.max", folder);
    if (!read_line(path, line, sizeof line) || sscanf(line, "%lf %lf", &quota, &period) != 2) return 0;
  } else {
    quota = read_number(folder, "cpu.cfs_quota_us");
    period = read_number(folder, "cpu.cfs_period_us");
  }
  return quota > 0 && period > 0 ? quota / period : 0;
}

/* The smallest quota from `group` up to the mount point. */
static double lowest_quota(const char *root, const char *mount, const char *group, bool is_version_2) {
  char folder[PATH_BYTES];
  double lowest = 0;
  int length = snprintf(folder, sizeof folder, "%s%s%s", root, mount, group);
  if (length < 0 || (size_t)length >= sizeof folder) return 0;
  for (;;) {
    double quota = quota_of(folder, is_version_2);
    if (quota > 0 && (lowest == 0 || quota < lowest)) lowest = quota;
    if (strlen(folder) <= strlen(root) + strlen(mount)) return lowest;
    *strrchr(folder, '/') = '\0';
  }
}

static bool has_word(const char *list, const char *word) {
  size_t n = strlen(word);
  for (const char *p = list; *p != '\0'; p += strcspn(p, ","), p += *p == ',')
    if (strncmp(p, word, n) == 0 && (p[n] == ',' || p[n] == '\0')) return true;
  return false;
}

double plm_system_cpu_quota(const char *root) {
  char path[PATH_BYTES], line[PATH_BYTES];
  double lowest = 0;
  snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
  FILE *file = fopen(path, "re");
  if (file == NULL) return 0;
  while (fgets(line, sizeof line, file) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':'), *group = controllers == NULL ? NULL : strchr(++controllers, ':');
    if (group == NULL) continue;
    *group++ = '\0';
    double quota = 0;
    if (*controllers == '\0') quota = lowest_quota(root, "/sys/fs/cgroup", group, true);
    if (has_word(controllers, "cpu")) quota = lowest_quota(root, "/sys/fs/cgroup/cpu", group, false);
    if (quota > 0 && (lowest == 0 || quota < lowest)) lowest = quota;
  }
  fclose(file);
  return lowest;
}

static int affinity(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return (int)sysconf(_SC_NPROCESSORS_ONLN); /* more processors than the set has room for */
}

int plm_system_cpus(void) {
  int cpus = affinity();
  double quota = plm_system_cpu_quota("");
  if (quota > 0 && ceil(quota) < cpus) cpus = (int)ceil(quota);
  return cpus > 0 ? cpus : 1;
}
