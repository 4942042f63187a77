/* exec.h - what an operator runs on: device, operator table, threads, workspace. */
#ifndef PLM_KERNELS_EXEC_H
#define PLM_KERNELS_EXEC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/parallel.h"
#include "kernels/device.h"

typedef struct plm_ops plm_ops;
typedef struct plm_cpu_cache plm_cpu_cache; /* private to kernels/cpu: oneDNN engine and primitives by shape */

/* Instruction-set level of the CPU kernels. `PROTLM_CPU=ref|avx2|avx512|avx512bf16|amx` masks features down. */
typedef enum plm_cpu_level {
  PLM_CPU_REF,
  PLM_CPU_AVX2,
  PLM_CPU_AVX512,
  PLM_CPU_AVX512_BF16,
  PLM_CPU_AMX
} plm_cpu_level;

typedef struct plm_exec {
  plm_device *device;
  const plm_ops *ops;
  plm_pool *pool;
  plm_cpu_level level;
  plm_cpu_cache *cpu_cache; /* NULL for the reference table */

  /* Scratch memory of one operator call, device memory; contents are lost between calls. */
  void *workspace;
  size_t workspace_bytes;

  /* The query. On a dry exec an operator checks its arguments, says how much workspace the call needs (raising
   * workspace_needed) or fails with PLM_E_UNSUPPORTED and a reason, touches no tensor and returns. So the memory plan
   * is the model's own code run dry, and a query can never disagree with the call. */
  bool dry;
  size_t workspace_needed; /* largest so far */
  double flops;            /* multiply-adds x 2 of products and attention, summed over calls (dry or not): MFU, plans */
} plm_exec;

/* An exec on `device` with the fastest table this machine and build allow, masked by `level_mask` (NULL: environment
 * PROTLM_CPU or all). Owns its pool, not the device. Fails with PLM_E_USAGE on an unknown level name. */
PLM_CHECKED plm_status plm_exec_create_cpu(plm_device *device, int threads, const char *level_mask,
                                           plm_exec **ret_exec);
void plm_exec_destroy(plm_exec *exec); /* accepts NULL */

/* Make the workspace at least `bytes` (device memory). Called once, from the plan. */
PLM_CHECKED plm_status plm_exec_reserve(plm_exec *exec, size_t bytes);

/* For operators: claim this call's scratch. On a dry exec records `bytes` and sets *ret_pointer = NULL. Fails with
 * PLM_E_BUG when the plan reserved less than the call needs. */
PLM_CHECKED plm_status plm_exec_workspace(plm_exec *exec, size_t bytes, void **ret_pointer);

const char *plm_cpu_level_name(plm_cpu_level level);
void plm_cpu_products_name(
    char ret_name[32]); /* what computes matrix products above level ref: "oneDNN 2.6.3", as loaded, or "own" */
plm_cpu_level plm_cpu_level_detect(void); /* what the processor and this build can do, unmasked */

#endif
