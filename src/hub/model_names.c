/* model_names.c - names of a file's tensors, rid of what wrappers put before them, brought by the family
 * to those of the table.
 *
 *   module.X, _orig_mod.X         X      (DDP, torch.compile)
 *   _fsdp_wrapped_module.X        X      (FSDP)
 *   base_model.model.X            X      (PEFT)
 *   model.X, if every name has it X
 */
#include <stdlib.h>
#include <string.h>

#include "hub/internal.h"

static bool starts_with(const char *text, const char *start) { return strncmp(text, start, strlen(start)) == 0; }

static const char *strip_wrappers(const char *name) {
  static const char *const wrappers[] = {"module.", "_orig_mod.", "_fsdp_wrapped_module.", "base_model.model."};
  for (;;) {
    size_t length = 0;
    for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers && length == 0; i++)
      if (starts_with(name, wrappers[i])) length = strlen(wrappers[i]);
    if (length == 0) return name;
    name += length;
  }
}

static bool have_all_model_prefix(const plm_safetensors *file) {
  for (size_t i = 0; i < plm_safetensors_count(file); i++)
    if (!starts_with(strip_wrappers(plm_safetensors_at(file, i)->name), "model.")) return false;
  return true;
}

static plm_status resolve_name(const plm_family *family, const plm_tensor_info *info, bool strip_model,
                               plm_arena *memory, plm_named_tensor *ret_tensor) {
  char name[PLM_PARAM_NAME];
  const char *bare = strip_wrappers(info->name) + (strip_model ? strlen("model.") : 0);
  *ret_tensor = (plm_named_tensor){.info = info};
  const plm_tensor_use use = family->rename(bare, name);
  if (use == PLM_TENSOR_USELESS) return PLM_OK;
  ret_tensor->is_alias = use == PLM_TENSOR_ALIAS;
  ret_tensor->renamed = strcmp(name, info->name) != 0;
  return plm_arena_strdup(memory, name, &ret_tensor->name);
}

static int compare(const void *a, const void *b) {
  const plm_named_tensor *x = a, *y = b;
  if (x->name == NULL || y->name == NULL) return (x->name == NULL) - (y->name == NULL);
  int order = strcmp(x->name, y->name);
  if (order == 0) order = x->is_alias - y->is_alias;
  return order != 0 ? order : strcmp(x->info->name, y->info->name);
}

plm_status plm_model_names_resolve(const plm_family *family, const plm_safetensors *file, plm_arena *memory,
                                   plm_named_tensor **ret_tensors) {
  size_t count = plm_safetensors_count(file);
  bool strip_model = have_all_model_prefix(file);
  plm_named_tensor *tensors;
  PLM_TRY(PLM_NEW(&tensors, count));
  for (size_t i = 0; i < count; i++) {
    plm_status status = resolve_name(family, plm_safetensors_at(file, i), strip_model, memory, &tensors[i]);
    if (status != PLM_OK) {
      plm_free(tensors);
      return status;
    }
  }
  qsort(tensors, count, sizeof *tensors, compare);
  *ret_tensors = tensors;
  return PLM_OK;
}
