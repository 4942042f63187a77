/* training_parts.c - what a checkpoint keeps of a model and its optimiser: see optimiser.h. Contents: states as tensors,
 * the parts of a checkpoint. */
#include <stdio.h>

#include "hub/model_dir.h"
#include "train/optimiser_internal.h"

/* ---- states: tensors whose key is parameter x states + state ---- */

static int state_in(const plm_optimiser *o, const plm_tensor_info *tensor) {
  return tensor->key % o->options.kind->state_count;
}

static int param_in(const plm_optimiser *o, const plm_tensor_info *tensor) {
  return tensor->key / o->options.kind->state_count;
}

static plm_status fill_state(void *user, const plm_tensor_info *tensor, void *buffer) {
  const plm_optimiser *o = user;
  const int s = state_in(o, tensor), index = param_in(o, tensor);
  if (o->shards != NULL)
    return plm_shards_whole(o->shards, &plm_model_get_params(o->model)->items[index], o->states[s], buffer);
  if (buffer == NULL) return PLM_OK;
  return o->device->copy(o->device, buffer, plm_optimiser_state_of(o, s, index), (size_t)tensor->bytes,
                         PLM_COPY_TO_HOST);
}

/* What was read from a file need not be aligned; what is kept of it is copied as bytes. */
static plm_status take_state(void *user, const plm_tensor_info *tensor, const void *data) {
  const plm_optimiser *o = user;
  const int s = state_in(o, tensor), index = param_in(o, tensor);
  const plm_param *p = &plm_model_get_params(o->model)->items[index];
  if (o->shards != NULL) return plm_shards_keep(o->shards, p, 0, p->count, data, o->states[s]);
  return o->device->copy(o->device, plm_optimiser_state_of(o, s, index), data, (size_t)tensor->bytes,
                         PLM_COPY_TO_DEVICE);
}

static plm_status add_states(const plm_optimiser *o, int index, plm_tensor_list *list) {
  const plm_optimiser_kind *kind = o->options.kind;
  const plm_param *param = &plm_model_get_params(o->model)->items[index];
  for (int s = 0; s < kind->state_count && param->train_offset >= 0; s++) {
    char name[sizeof param->name + 32];
    int64_t shape[PLM_TENSOR_MAX_DIMS], count;
    int dims = plm_optimiser_shape(&kind->states[s], param, shape, &count);
    snprintf(name, sizeof name, "%s%s", param->name, kind->states[s].suffix);
    PLM_TRY(plm_tensor_list_add(list, name, "F32", dims, shape, NULL, index * kind->state_count + s));
  }
  return PLM_OK;
}

plm_status plm_optimiser_tensors(plm_optimiser *o, plm_tensor_list *ret_list) {
  const plm_params *params = plm_model_get_params(o->model);
  plm_tensor_list list = {
      .fill = fill_state,
      .take = take_state,
      .user = o,
      .lacking = ", which this run trains",
      .foreign = ", which this run does not train",
  };
  plm_status status = PLM_OK;
  for (int i = 0; i < params->count && status == PLM_OK; i++) status = add_states(o, i, &list);
  if (status != PLM_OK) plm_tensor_list_free(&list);
  *ret_list = list;
  return status;
}

/* ---- the parts of a checkpoint ---- */

static plm_status write_description(void *user, const char *directory) {
  const plm_training_parts *parts = user;
  return plm_model_dir_save(directory, parts->model, &(plm_save_options){.origin = parts->origin});
}

static plm_status read_model(void *user, const char *directory) {
  const plm_training_parts *parts = user;
  return plm_model_dir_load_own(directory, parts->model);
}

plm_status plm_training_parts_create(plm_model *model, plm_optimiser *o, const plm_model_origin *origin,
                                     plm_training_parts *ret_parts) {
  plm_training_parts *parts = ret_parts;
  *parts = (plm_training_parts){
      .items =
          {
              {.write = write_description, .read = read_model, .user = parts},
              {.name = PLM_CHECKPOINT_WEIGHTS, .tensors = &parts->weights},
              {.name = PLM_CHECKPOINT_OPTIMIZER, .tensors = &parts->states},
          },
      .model = model,
      .origin = origin,
  };
  plm_status status = plm_model_tensors(model, false, &parts->weights);
  if (status == PLM_OK) status = plm_optimiser_tensors(o, &parts->states);
  if (status != PLM_OK) plm_training_parts_free(parts);
  return status;
}

void plm_training_parts_free(plm_training_parts *parts) {
  plm_tensor_list_free(&parts->weights);
  plm_tensor_list_free(&parts->states);
}

plm_status plm_training_load(const char *path, plm_model *model, plm_optimiser *o, json_t **ret_state) {
  plm_training_parts parts;
  json_t *state = NULL;
  PLM_TRY(plm_training_parts_create(model, o, NULL, &parts));
  plm_status status = plm_checkpoint_load(path, parts.items, sizeof parts.items / sizeof *parts.items, &state);
  plm_training_parts_free(&parts);
  if (status == PLM_OK && ret_state != NULL)
    *ret_state = state;
  else
    json_decref(state);
  return status;
}
