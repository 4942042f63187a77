/* host_memory.c - /proc/meminfo, and the memory controller of cgroup version 1 and 2.
 *
 *   /proc/self/cgroup        "0::/a/b" (version 2) or "7:memory:/a/b" (version 1)
 *   /sys/fs/cgroup/a/b/...   version 2: memory.max ("max" = none), memory.current, memory.stat
 *   /sys/fs/cgroup/memory/.. version 1: memory.limit_in_bytes (huge = none), memory.usage_in_bytes, memory.stat
 *
 * Any ancestor may hold the limit, so every level up to the mount is looked at. Inside a container the path may not exist below the
 * mount; then its nearest existing ancestor is what there is. */
#include "kernels/host_memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 4096, LINE_BYTES = 4096 };

typedef struct controller {
  const char *mount, *limit, *usage, *reclaimable; /* the last one: page cache that is given back on demand, in memory.stat */
} controller;

static const controller version_1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};
static const controller version_2 = {"/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"};

typedef struct memory_bounds {
  size_t total, free;
} memory_bounds;

/* The number after `key` at the start of a line of `path`, or the file's first number when key is "". */
static int read_number(const char *path, const char *key, size_t *ret_value) {
  FILE *file = fopen(path, "re");
  if (file == NULL) return 0;
  char line[LINE_BYTES];
  int found = 0;
  size_t length = strlen(key);
  while (!found && fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, key, length) != 0) continue;
    char *end;
    unsigned long long value = strtoull(line + length, &end, 10);
    found = end != line + length;
    if (found) *ret_value = value > SIZE_MAX ? SIZE_MAX : (size_t)value;
  }
  fclose(file);
  return found;
}

/* Lower `bounds` to the limit of the group in `folder`, if it has one. */
static void apply_group(const controller *c, const char *folder, memory_bounds *bounds) {
  char path[PATH_BYTES + 64];
  size_t limit, usage = 0, reclaimable = 0;
  snprintf(path, sizeof path, "%s/%s", folder, c->limit);
  if (!read_number(path, "", &limit) || limit >= bounds->total) return;
  bounds->total = limit;
  snprintf(path, sizeof path, "%s/%s", folder, c->usage);
  read_number(path, "", &usage);
  snprintf(path, sizeof path, "%s/memory.stat", folder);
  read_number(path, c->reclaimable, &reclaimable);
  usage = usage > reclaimable ? usage - reclaimable : 0;
  size_t left = limit > usage ? limit - usage : 0;
  if (left < bounds->free) bounds->free = left;
}

/* Every group from `group` up to the mount point. */
static void apply_hierarchy(const char *root, const controller *c, const char *group, memory_bounds *bounds) {
  char folder[PATH_BYTES];
  int length = snprintf(folder, sizeof folder, "%s%s%s", root, c->mount, group);
  if (length < 0 || (size_t)length >= sizeof folder) return;
  size_t mount_length = strlen(root) + strlen(c->mount);
  for (;;) {
    apply_group(c, folder, bounds);
    if (strlen(folder) <= mount_length) return;
    *strrchr(folder, '/') = '\0';
  }
}

static void apply_cgroups(const char *root, memory_bounds *bounds) {
  char path[PATH_BYTES], line[LINE_BYTES];
  snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
  FILE *file = fopen(path, "re");
  if (file == NULL) return;
  while (fgets(line, sizeof line, file) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':'), *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (group == NULL) continue;
    *group++ = '\0';
    if (strcmp(line, "0:") == 0 && controllers[1] == '\0')
      apply_hierarchy(root, &version_2, group, bounds);
    else if (strcmp(controllers + 1, "memory") == 0)
      apply_hierarchy(root, &version_1, group, bounds);
  }
  fclose(file);
}

plm_status plm_host_memory(const char *root, size_t *ret_total, size_t *ret_free) {
  char path[PATH_BYTES];
  memory_bounds bounds;
  snprintf(path, sizeof path, "%s/proc/meminfo", root);
  if (!read_number(path, "MemTotal:", &bounds.total) || !read_number(path, "MemAvailable:", &bounds.free))
    return plm_fail(PLM_E_FAILURE, "cannot read how much memory there is from %s", path);
  bounds.total *= 1024;
  bounds.free *= 1024;
  apply_cgroups(root, &bounds);
  *ret_total = bounds.total;
  *ret_free = bounds.free < bounds.total ? bounds.free : bounds.total;
  return PLM_OK;
}
