/* load.c - a verified checkpoint back into what it was made from. That it is whole has been checked (list.c); that it
 * is this run's, and ours, is checked here and by the parts. */
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "checkpoint/internal.h"
#include "checkpoint/manifest.h"

static plm_status read_part(const char *path, const plm_checkpoint_part *part) {
  char *file;
  if (part->read != NULL) return part->read(part->user, path);
  if (part->tensors == NULL || part->tensors->take == NULL) return PLM_OK;
  PLM_TRY(plm_path_join(path, part->name, &file));
  plm_status status = plm_tensor_list_read(part->tensors, file);
  plm_free(file);
  return status;
}

plm_status plm_checkpoint_read_state(const char *path, json_t **ret_state) {
  char *file;
  PLM_TRY(plm_path_join(path, PLM_CHECKPOINT_STATE, &file));
  plm_status status = plm_json_load(file, ret_state);
  plm_free(file);
  return plm_as_checkpoint_failure(status);
}

static plm_status load_all(const char *path, const plm_checkpoint_part *parts, size_t count, json_t **ret_state) {
  plm_manifest manifest;
  PLM_TRY(plm_manifest_read(path, &manifest));
  if (strcmp(manifest.kind, "full") != 0)
    return plm_fail(PLM_E_CHECKPOINT, "%s is a checkpoint of kind '%s'; training goes on from kind 'full' only", path,
                    manifest.kind);
  PLM_TRY(plm_manifest_check(&manifest, path, false));
  for (size_t i = 0; i < count; i++) PLM_TRY(read_part(path, &parts[i]));
  return plm_checkpoint_read_state(path, ret_state);
}

plm_status plm_checkpoint_load(const char *path, const plm_checkpoint_part *parts, size_t count, json_t **ret_state) {
  return plm_as_checkpoint_failure(load_all(path, parts, count, ret_state));
}
