/* backend_cpu.h - the CPU's kernels: levels, their tables, and execs on a device of the caller's. For kernels/cpu and
 * for tests; the program opens execs by way of the registry (kernels/backend.h). */
#ifndef PLM_KERNELS_CPU_BACKEND_CPU_H
#define PLM_KERNELS_CPU_BACKEND_CPU_H

#include "kernels/ops.h"

/* Instruction-set level of the CPU kernels. `PROTLM_CPU=ref|avx2|avx512|avx512bf16|amx` masks features down. */
typedef enum plm_cpu_level {
  PLM_CPU_REF,
  PLM_CPU_AVX2,
  PLM_CPU_AVX512,
  PLM_CPU_AVX512_BF16,
  PLM_CPU_AMX
} plm_cpu_level;

const char *plm_cpu_level_name(plm_cpu_level level);
plm_cpu_level plm_cpu_level_detect(void); /* what the processor and this build can do, unmasked */

/* The level in use: what there is, or less if `level_mask` (NULL: environment PROTLM_CPU, or all) says so. Fails with
 * PLM_E_USAGE on an unknown name. */
PLM_CHECKED plm_status plm_cpu_level_choose(const char *level_mask, plm_cpu_level *ret_level);

/* The highest level that this build has kernels for: what the compiler could not compile cannot be chosen. */
plm_cpu_level plm_ops_cpu_built(void);

/* The reference with faster entries for `level` laid over it. */
const plm_ops *plm_ops_cpu(plm_cpu_level level);

/* Where an entry of plm_ops_cpu(level) comes from: "ref", "avx2", "avx512", "onednn", ... */
const char *plm_ops_cpu_origin(plm_cpu_level level, const char *op);

/* What computes matrix products above level ref: "oneDNN 2.6.3", as loaded, or "own". */
void plm_cpu_products_name(char ret_name[32]);

/* An exec on `device`, which stays the caller's, with the table of plm_cpu_level_choose(level_mask): a
 * mask goes before the environment. */
PLM_CHECKED plm_status plm_exec_create_cpu(plm_device *device, int threads, const char *level_mask,
                                           plm_exec **ret_exec);

#endif
