/* backend_cpu.h - what kernels/ asks of kernels/cpu beside the table itself (ops.h). */
#ifndef PLM_KERNELS_CPU_BACKEND_CPU_H
#define PLM_KERNELS_CPU_BACKEND_CPU_H

#include "kernels/ops.h"

/* The highest level that this build has kernels for: what the compiler could not compile cannot be chosen. */
plm_cpu_level plm_ops_cpu_built(void);

/* What an exec of this level keeps between calls; *ret_cache may be NULL, if nothing. */
PLM_CHECKED plm_status plm_cpu_cache_create(plm_cpu_level level, int threads, plm_cpu_cache **ret_cache);
void plm_cpu_cache_destroy(plm_cpu_cache *cache); /* accepts NULL */

#endif
