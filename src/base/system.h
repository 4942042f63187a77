/* system.h - facts about this machine and process, for `protlm info`, env.json, defaults and messages. Processor time
 * is in clock.h. */
#ifndef PLM_BASE_SYSTEM_H
#define PLM_BASE_SYSTEM_H

#include <stddef.h>
#include <stdint.h>

#include "protlm/status.h"

/* What holds the processors of this process back, each at least 1; INT_MAX = does not. */
typedef struct plm_cpu_limits {
  int online;   /* the machine's */
  int affinity; /* that it may run on: taskset, a cpuset, a launcher's binding */
  int cgroup;   /* what its control group's quota comes to, rounded up */
  int openmp;   /* the most threads that OpenMP starts: OMP_THREAD_LIMIT */
} plm_cpu_limits;
void plm_cpu_limits_read(plm_cpu_limits *ret_limits);

typedef struct plm_system {
  char hostname[256];
  char cpu[128]; /* "AMD EPYC 9R14"; the architecture where the kernel has no name */
  char os[256];  /* "Debian GNU/Linux 12 (bookworm), Linux 6.1.0, x86_64" */
  int cpus;      /* that this process may use: affinity, control group, OpenMP's limits; at least 1 */
  /* bytes that this process may use: the machine's or the control group's. A fixed number, not what is free now */
  int64_t memory;
} plm_system;
void plm_system_read(plm_system *ret_system);

/* This machine's name, cut to the buffer and fit to stand in a file's name; "localhost" where it has none. */
void plm_host_name(char *buffer, size_t size);

/* The command line that started this process, quoted as a shell wants it typed; "" where the kernel doesn't tell. To be
 * freed with plm_free. */
PLM_CHECKED plm_status plm_own_command(char **ret_line);

int64_t plm_peak_memory(void); /* largest resident size of this process so far, bytes */

#endif
