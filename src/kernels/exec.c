/* exec.c - the making and the end of an exec, its workspace, and the end of a device. */
#include "kernels/exec.h"

#include "base/alloc.h"
#include "kernels/backend.h"
#include "kernels/device.h"

plm_status plm_exec_create(const plm_backend *backend, plm_device *device, const plm_exec_options *options,
                           plm_exec **ret_exec) {
  plm_exec *exec;
  plm_status status;
  PLM_TRY(PLM_NEW(&exec, 1));
  exec->device = device;
  PLM_TRY_GOTO(plm_pool_create(options->threads, &exec->pool), fail);
  exec->backend = backend;
  PLM_TRY_GOTO(backend->open(options, exec), fail);
  *ret_exec = exec;
  return PLM_OK;
fail:
  plm_exec_destroy(exec);
  return status;
}

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

/* ---- devices ---- */

void plm_device_destroy(plm_device *device) {
  if (device != NULL) device->destroy(device);
}
