/* exec.h - what an operator runs on: device, operator table, threads, workspace. */
#ifndef PLM_KERNELS_EXEC_H
#define PLM_KERNELS_EXEC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/parallel.h"
#include "kernels/device.h"

typedef struct plm_ops plm_ops;
typedef struct plm_backend plm_backend;

typedef struct plm_exec {
  plm_device *device;
  bool owns_device;
  const plm_ops *ops;
  plm_pool *pool; /* of the host, under any backend: the reference and initialisation run on it */
  const plm_backend *backend;
  void *context; /* the backend's own: its level, libraries, what it keeps between calls */

  /* What the backend answers for. */
  char kernels[16];          /* the kernels in use, a word that is saved with a run: "avx512bf16" */
  int level;                 /* their place among the backend's: higher ones need more of the machine */
  char products[32];         /* what computes matrix products: "oneDNN 2.6.3", "own" */
  bool computes_bf16;        /* in hardware: faster than fp32 */
  int64_t usual_micro_batch; /* tokens that keep it busy: more is no faster, and takes memory */
  double plan_share;         /* of the device's memory, that an automatic choice may plan for */

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

/* Made by plm_exec_open (backend.h). Takes its device along if it owns it. */
void plm_exec_destroy(plm_exec *exec); /* accepts NULL */

/* Make the workspace at least `bytes` (device memory). Called once, from the plan. */
PLM_CHECKED plm_status plm_exec_reserve(plm_exec *exec, size_t bytes);

/* For operators: claim this call's scratch. On a dry exec records `bytes` and sets *ret_pointer = NULL. Fails with
 * PLM_E_BUG when the plan reserved less than the call needs. */
PLM_CHECKED plm_status plm_exec_workspace(plm_exec *exec, size_t bytes, void **ret_pointer);

#endif
