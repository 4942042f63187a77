/* cgroup.h - what the control groups of this process (a container, a Slurm job) let it have. */
#ifndef PLM_BASE_CGROUP_H
#define PLM_BASE_CGROUP_H

#include <stdint.h>

/* No limit: INFINITY processors' worth of time, INT_MAX processors, INT64_MAX bytes. */
typedef struct plm_cgroup_limits {
  double cpus;
  int cpuset;          /* processors that the groups' members may run on, however a launcher binds each of them */
  int64_t memory;      /* bytes in all */
  int64_t memory_left; /* bytes still to be had; page cache that the kernel gives back on demand counts as such */
} plm_cgroup_limits;

/* Versions 1 and 2; the tightest limit on the way from the process's group to the root. Files are read below `root`: ""
 * for the running system, a made-up tree in tests. Never fails: what cannot be read is no limit. */
plm_cgroup_limits plm_cgroup_read(const char *root);

#endif
