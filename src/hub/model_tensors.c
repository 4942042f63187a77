/* model_tensors.c - the parameters of a model as a list of tensors, under the names that every transformers version
 * reads. */
#include <stdio.h>
#include <string.h>

#include "hub/internal.h"
#include "kernels/bf16.h"

/* What gives a parameter's values: the key is its index, and inv_freq stands once for each layer. */
typedef struct source {
  const plm_model *model;
  float *values; /* a parameter on its way to BF16 */
} source;

static plm_status fill(void *user, const plm_tensor_info *tensor, void *buffer) {
  const source *s = user;
  if (tensor->dtype[0] != 'B') return plm_model_get(s->model, tensor->key, buffer);
  PLM_TRY(plm_model_get(s->model, tensor->key, s->values));
  if (buffer == NULL) return PLM_OK; /* of another rank, which only sends: see plm_model_get */
  plm_bf16 *half = buffer;
  for (int64_t k = 0; k < tensor->bytes / 2; k++) half[k] = plm_bf16_from_float(s->values[k]);
  return PLM_OK;
}

/* inv_freq stays F32 in half files: fewer bits would move the angles (model_spec 3.5). */
static plm_status add_param(const plm_model *model, int index, bool half, plm_tensor_list *list) {
  const plm_param *p = &plm_model_get_params(model)->items[index];
  const char *dtype = half && p->role != PLM_ROLE_INV_FREQ ? "BF16" : "F32";
  if (p->written == NULL) return plm_tensor_list_add(list, p->name, dtype, p->dims, p->shape, NULL, index);
  for (int64_t layer = 0; layer < p->written_count; layer++) {
    char name[PLM_PARAM_NAME];
    snprintf(name, sizeof name, p->written, (long long)layer);
    PLM_TRY(plm_tensor_list_add(list, name, dtype, p->dims, p->shape, NULL, index));
  }
  return PLM_OK;
}

static plm_status make_list(const plm_model *model, bool half, plm_tensor_list *list) {
  const plm_params *params = plm_model_get_params(model);
  int64_t largest = 0;
  void *memory;
  for (int i = 0; i < params->count; i++) {
    largest = params->items[i].count > largest ? params->items[i].count : largest;
    PLM_TRY(add_param(model, i, half, list));
  }
  PLM_TRY(plm_tensor_list_alloc(list, sizeof(source), &memory));
  source *s = list->user = memory;
  s->model = model;
  if (!half) return PLM_OK;
  PLM_TRY(plm_tensor_list_alloc(list, (size_t)largest * sizeof *s->values, &memory));
  s->values = memory;
  return PLM_OK;
}

plm_status plm_model_tensors(const plm_model *model, bool half, plm_tensor_list *ret_list) {
  *ret_list = (plm_tensor_list){.fill = fill, .foreign = ", which this model has not"};
  plm_status status = make_list(model, half, ret_list);
  if (status != PLM_OK) plm_tensor_list_free(ret_list);
  return status;
}
