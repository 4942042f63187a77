/* exec.c - the end of an exec, and its workspace. Backends make them (backend.h). */
#include "kernels/exec.h"

#include "base/alloc.h"
#include "kernels/backend.h"

void plm_exec_destroy(plm_exec *exec) {
  if (exec == NULL) return;
  if (exec->workspace != NULL) exec->device->free(exec->device, exec->workspace);
  if (exec->backend != NULL) exec->backend->close(exec);
  plm_pool_destroy(exec->pool);
  if (exec->owns_device) plm_device_destroy(exec->device);
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
