/* model_tensors.c - the parameters of a model as entries of a safetensors file, under the names that every transformers
 * version reads. */
#include <stdio.h>
#include <string.h>

#include "hub/internal.h"
#include "kernels/bf16.h"

static bool is_half_entry(const plm_model_tensors *tensors, size_t i) { return tensors->entries[i].dtype[0] == 'B'; }

/* inv_freq stays F32 in half files: fewer bits would move the angles (model_spec 3.5). */
static plm_status add_entry(plm_model_tensors *tensors, int param, const char *name, bool half) {
  const plm_param *p = &plm_model_get_params(tensors->model)->items[param];
  plm_tensor_info *entry = &tensors->entries[tensors->count];
  bool is_half = half && p->role != PLM_ROLE_INV_FREQ;
  entry->dtype = is_half ? "BF16" : "F32";
  entry->dims = p->dims;
  for (int d = 0; d < p->dims; d++) entry->shape[d] = p->shape[d];
  entry->bytes = p->count * (is_half ? 2 : 4);
  tensors->param[tensors->count++] = param;
  return plm_arena_strdup(tensors->memory, name, &entry->name);
}

static plm_status add_entries(plm_model_tensors *tensors, bool half) {
  const plm_params *params = plm_model_get_params(tensors->model);
  int64_t layers = plm_model_get_config(tensors->model)->num_hidden_layers, largest = 0;
  size_t room = (size_t)params->count + (size_t)layers;
  PLM_TRY(PLM_NEW(&tensors->entries, room));
  PLM_TRY(PLM_NEW(&tensors->param, room));
  for (int i = 0; i < params->count; i++) {
    const plm_param *p = &params->items[i];
    largest = p->count > largest ? p->count : largest;
    for (int64_t layer = 0; layer < p->written_count; layer++) {
      char name[PLM_PARAM_NAME];
      snprintf(name, sizeof name, p->written, (long long)layer);
      PLM_TRY(add_entry(tensors, i, name, half));
    }
    if (p->written == NULL) PLM_TRY(add_entry(tensors, i, p->name, half));
  }
  return half ? PLM_NEW(&tensors->values, largest) : PLM_OK;
}

plm_status plm_model_tensors_create(const plm_model *model, bool half, plm_model_tensors **ret_tensors) {
  plm_model_tensors *tensors;
  plm_status status;
  PLM_TRY(PLM_NEW(&tensors, 1));
  tensors->model = model;
  PLM_TRY_GOTO(plm_arena_create(&tensors->memory), fail);
  PLM_TRY_GOTO(add_entries(tensors, half), fail);
  *ret_tensors = tensors;
  return PLM_OK;
fail:
  plm_model_tensors_destroy(tensors);
  return status;
}

void plm_model_tensors_destroy(plm_model_tensors *tensors) {
  if (tensors == NULL) return;
  plm_free(tensors->values);
  plm_free(tensors->param);
  plm_free(tensors->entries);
  plm_arena_destroy(tensors->memory);
  plm_free(tensors);
}

plm_status plm_model_tensors_fill(void *user, size_t i, void *buffer) {
  plm_model_tensors *tensors = user;
  if (!is_half_entry(tensors, i)) return plm_model_get(tensors->model, tensors->param[i], buffer);
  PLM_TRY(plm_model_get(tensors->model, tensors->param[i], tensors->values));
  plm_bf16 *half = buffer;
  for (int64_t k = 0; k < tensors->entries[i].bytes / 2; k++) half[k] = plm_bf16_from_float(tensors->values[k]);
  return PLM_OK;
}
