/* system.h - facts about this machine and process, for `protlm info`, env.json, defaults and messages. Processor time is in clock.h. */
#ifndef PLM_BASE_SYSTEM_H
#define PLM_BASE_SYSTEM_H

#include <stdbool.h>
#include <stdint.h>

typedef struct plm_system {
  char hostname[256];
  char cpu[128];  /* "AMD EPYC 9R14"; the architecture where the kernel has no name */
  char os[256];   /* "Debian GNU/Linux 12 (bookworm), Linux 6.1.0, x86_64" */
  int cpus;       /* that this process may use: affinity, control group, OpenMP's limits; at least 1 */
  int64_t memory; /* bytes that this process may use: the machine's or the control group's. A fixed number, not what is free now */
} plm_system;
void plm_system_read(plm_system *ret_system);

int64_t plm_peak_memory(void); /* largest resident size of this process so far, bytes */

/* Limits of the control groups a process is in (versions 1 and 2; the tightest on the way to the root). `membership` is
 * /proc/self/cgroup and `root` /sys/fs/cgroup, except in tests. No limit: INFINITY processors, INT64_MAX bytes. */
typedef struct plm_cgroup_limits {
  double cpus;
  int64_t memory;
} plm_cgroup_limits;
plm_cgroup_limits plm_cgroup_read(const char *membership, const char *root);

#endif
