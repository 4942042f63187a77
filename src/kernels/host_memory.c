/* host_memory.c - /proc/meminfo, and what control groups leave of it. */
#include "kernels/host_memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cgroup.h"

/* The kB on the line of `path` that begins with `key`, as bytes. */
static bool read_kilobytes(const char *path, const char *key, int64_t *ret_bytes) {
  char line[256];
  long long kilobytes;
  bool is_found = false;
  FILE *file = fopen(path, "re");
  if (file == NULL) return false;
  while (!is_found && fgets(line, sizeof line, file) != NULL)
    is_found = strncmp(line, key, strlen(key)) == 0 && sscanf(line + strlen(key), "%lld", &kilobytes) == 1;
  fclose(file);
  if (is_found) *ret_bytes = kilobytes * 1024;
  return is_found;
}

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

plm_status plm_host_memory(const char *root, size_t *ret_total, size_t *ret_free) {
  char path[4096];
  int64_t total, available;
  snprintf(path, sizeof path, "%s/proc/meminfo", root);
  if (!read_kilobytes(path, "MemTotal:", &total) || !read_kilobytes(path, "MemAvailable:", &available))
    return plm_fail(PLM_E_FAILURE, "cannot read how much memory there is from %s", path);
  const plm_cgroup_limits limits = plm_cgroup_read(root);
  total = smaller(total, limits.memory);
  *ret_total = (size_t)total;
  *ret_free = (size_t)smaller(total, smaller(available, limits.memory_left));
  return PLM_OK;
}
