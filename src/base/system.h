/* system.h - what the machine lends this process. */
#ifndef PLM_BASE_SYSTEM_H
#define PLM_BASE_SYSTEM_H

/* Processors this process may use: its affinity mask, and no more than the cgroup's quota of processor time, rounded up. At least 1. */
int plm_system_cpus(void);

/* The quota alone, in processors, as files below `root` ("" = the real ones) describe it; 0 = none. For tests. */
double plm_system_cpu_quota(const char *root);

#endif
