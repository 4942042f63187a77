/* exec.c - creation of an exec, its workspace, and the level mask. */
#include "kernels/exec.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/cpu/backend_cpu.h"

/* The level called `name`; an unknown name is the user's mistake. */
static plm_status parse_level(const char *name, plm_cpu_level *ret_level) {
  for (int level = PLM_CPU_REF; level <= PLM_CPU_AMX; level++) {
    if (strcmp(name, plm_cpu_level_name((plm_cpu_level)level)) != 0) continue;
    *ret_level = (plm_cpu_level)level;
    return PLM_OK;
  }
  return plm_hint(plm_fail(PLM_E_USAGE, "there is no processor level '%s'", name),
                  "set PROTLM_CPU to ref, avx2, avx512, avx512bf16 or amx, or leave it unset for the fastest");
}

/* The lower one of what there is and what the mask allows. */
static plm_status choose_level(const char *level_mask, plm_cpu_level *ret_level) {
  const char *name = level_mask != NULL ? level_mask : getenv("PROTLM_CPU");
  plm_cpu_level allowed = PLM_CPU_AMX;
  if (name != NULL && name[0] != '\0') PLM_TRY(parse_level(name, &allowed));
  plm_cpu_level available = plm_cpu_level_detect();
  *ret_level = available < allowed ? available : allowed;
  return PLM_OK;
}

plm_status plm_exec_create_cpu(plm_device *device, int threads, const char *level_mask, plm_exec **ret_exec) {
  plm_cpu_level level;
  plm_exec *exec;
  plm_status status;
  PLM_ASSERT(device != NULL);
  PLM_TRY(choose_level(level_mask, &level));
  PLM_TRY(PLM_NEW(&exec, 1));
  exec->device = device;
  exec->level = level;
  exec->ops = plm_ops_cpu(level);
  PLM_TRY_GOTO(plm_pool_create(threads, &exec->pool), fail);
  PLM_TRY_GOTO(plm_cpu_cache_create(level, threads, &exec->cpu_cache), fail);
  *ret_exec = exec;
  return PLM_OK;
fail:
  plm_exec_destroy(exec);
  return status;
}

void plm_exec_destroy(plm_exec *exec) {
  if (exec == NULL) return;
  if (exec->workspace != NULL) exec->device->free(exec->device, exec->workspace);
  plm_cpu_cache_destroy(exec->cpu_cache);
  plm_pool_destroy(exec->pool);
  plm_free(exec);
}

plm_status plm_exec_reserve(plm_exec *exec, size_t bytes) {
  if (bytes <= exec->workspace_bytes) return PLM_OK;
  void *bigger = NULL;
  PLM_TRY(exec->device->alloc(exec->device, bytes, &bigger));
  if (exec->workspace != NULL) exec->device->free(exec->device, exec->workspace);
  exec->workspace = bigger;
  exec->workspace_bytes = bytes;
  return PLM_OK;
}

plm_status plm_exec_workspace(plm_exec *exec, size_t bytes, void **ret_pointer) {
  if (bytes > exec->workspace_needed) exec->workspace_needed = bytes;
  *ret_pointer = NULL;
  if (exec->dry || bytes == 0) return PLM_OK;
  if (bytes > exec->workspace_bytes)
    return plm_fail(PLM_E_BUG, "an operator needs %zu bytes of workspace but the plan reserved %zu", bytes,
                    exec->workspace_bytes);
  *ret_pointer = exec->workspace;
  return PLM_OK;
}
