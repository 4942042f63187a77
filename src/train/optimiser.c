/* optimiser.c - see optimiser.h. Contents: kinds, states, ranges, memory, norms, the update, what is kept. */
#include "train/optimiser.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "hub/model_dir.h"

/* ---- kinds ---- */

static plm_status update_adamw(plm_exec *x, const plm_optimiser_update_args *u) {
  const plm_optimiser_options *options = u->options;
  const plm_adamw_args args = {
      .n = u->n,
      .w = u->w,
      .grad = u->grad,
      .m = u->state[0],
      .v = u->state[1],
      .copy = u->copy,
      .lr = u->learning_rate,
      .beta1 = options->beta1,
      .beta2 = options->beta2,
      .eps = options->epsilon,
      .decay = u->weight_decay,
      .bias1 = 1 - pow(options->beta1, (double)u->t),
      .bias2 = 1 - pow(options->beta2, (double)u->t),
      .grad_scale = u->gradient_scale,
  };
  return x->ops->adamw(x, &args);
}

static const plm_optimiser_kind adamw = {
    .name = "AdamW",
    .states = {{.suffix = ".exp_avg"}, {.suffix = ".exp_avg_sq"}},
    .state_count = 2,
    .updates_ranges = true,
    .update = update_adamw,
};

static const plm_optimiser_kind *kind_or_default(const plm_optimiser_kind *kind) {
  return kind != NULL ? kind : &adamw;
}

/* ---- states ---- */

enum { ALIGNMENT = 256 /* bytes, as blocks of a model */, ALIGNED = ALIGNMENT / sizeof(float) };

/* Shape and elements of one parameter's part. */
static int shape_of(const plm_optimiser_state *state, const plm_param *p, int64_t shape[PLM_TENSOR_MAX_DIMS],
                    int64_t *ret_count) {
  int dims = p->dims;
  if (state->shape != NULL)
    dims = state->shape(p, shape);
  else
    memcpy(shape, p->shape, sizeof p->shape);
  *ret_count = 1;
  for (int d = 0; d < dims; d++) *ret_count *= shape[d];
  return dims;
}

/* Elements before the part of parameter `index`; for params->count: of the whole. A state of the parameters' shapes is
 * laid out as the train block. */
static int64_t offset_of(const plm_optimiser_state *state, const plm_params *params, int index) {
  int64_t shape[PLM_TENSOR_MAX_DIMS], count, offset = 0;
  if (state->shape == NULL) return index < params->count ? params->items[index].train_offset : params->train_size;
  for (int i = 0; i < index; i++) {
    if (params->items[i].train_offset < 0) continue;
    shape_of(state, &params->items[i], shape, &count);
    offset += (int64_t)plm_round_up((size_t)count, ALIGNED);
  }
  return offset;
}

static int64_t planned_bytes(const void *kind, const plm_params *params) {
  const plm_optimiser_kind *k = kind;
  int64_t bytes = 0;
  for (int s = 0; s < k->state_count; s++)
    bytes += (int64_t)plm_round_up((size_t)offset_of(&k->states[s], params, params->count) * sizeof(float), ALIGNMENT);
  return bytes;
}

int64_t plm_optimiser_saved_bytes(const plm_optimiser_kind *kind, int64_t trainable) {
  return kind_or_default(kind)->state_count * trainable * (int64_t)sizeof(float);
}

static plm_status planned_update(const void *kind, plm_exec *x, int64_t n, float *w, const float *grad) {
  const plm_optimiser_kind *k = kind;
  const plm_optimiser_options options = {.kind = k};
  const plm_optimiser_update_args args = {.options = &options, .n = n, .t = 1, .w = w, .grad = grad};
  return k->update(x, &args);
}

plm_planned_optimiser plm_optimiser_planned(const plm_optimiser_kind *kind) {
  return (plm_planned_optimiser){kind_or_default(kind), planned_bytes, planned_update};
}

/* Elements begin..begin+n of the train block, which lie without gaps in the other blocks too. */
typedef struct range {
  int64_t n, train, master, half; /* half: -1 = no bf16 copy */
  int first;                      /* index of the first parameter in it */
  bool decay;
} range;

struct plm_optimiser {
  plm_optimiser_options options; /* kind is set */
  plm_model *model;
  plm_device *device;
  float *states[PLM_OPTIMISER_MAX_STATES]; /* device memory */
  range *ranges;
  size_t range_count;
};

/* ---- ranges ---- */

static bool continues(const range *r, const plm_param *p, int64_t half) {
  return p->train_offset == r->train + r->n && p->offset == r->master + r->n && p->decay == r->decay &&
         (half < 0 ? r->half < 0 : r->half >= 0 && half == r->half + r->n);
}

static plm_status find_ranges(plm_optimiser *o, const plm_params *params, bool has_half) {
  PLM_TRY(PLM_NEW(&o->ranges, params->count));
  for (int i = 0; i < params->count; i++) {
    const plm_param *p = &params->items[i];
    int64_t half = has_half ? p->half_offset : -1;
    if (p->train_offset < 0) continue;
    range *last = o->range_count > 0 ? &o->ranges[o->range_count - 1] : NULL;
    if (last != NULL && o->options.kind->updates_ranges && continues(last, p, half))
      last->n += p->count;
    else
      o->ranges[o->range_count++] = (range){
          .n = p->count,
          .train = p->train_offset,
          .master = p->offset,
          .half = half,
          .first = i,
          .decay = p->decay,
      };
  }
  return PLM_OK;
}

/* ---- memory ---- */

static plm_status alloc_zero(plm_exec *x, size_t bytes, void *ret_pointer) {
  void *memory = NULL;
  PLM_TRY(x->device->alloc(x->device, bytes, &memory));
  memcpy(ret_pointer, &memory, sizeof memory); /* a float * lies there */
  const plm_fill_args fill = {.to = memory, .bytes = (int64_t)bytes};
  return x->ops->fill(x, &fill);
}

static plm_status prepare(plm_optimiser *o, plm_exec *x) {
  const plm_params *params = plm_model_get_params(o->model);
  const plm_optimiser_kind *kind = o->options.kind;
  PLM_TRY(find_ranges(o, params, plm_model_half(o->model) != NULL));
  for (int s = 0; s < kind->state_count; s++) {
    PLM_ASSERT(kind->states[s].shape == NULL || !kind->updates_ranges);
    int64_t size = offset_of(&kind->states[s], params, params->count);
    PLM_TRY(alloc_zero(x, (size_t)size * sizeof(float), &o->states[s]));
  }
  return PLM_OK;
}

plm_status plm_optimiser_create(plm_model *model, plm_exec *x, const plm_optimiser_options *options,
                                plm_optimiser **ret_optimiser) {
  plm_optimiser *o;
  PLM_TRY(PLM_NEW(&o, 1));
  o->options = *options;
  o->options.kind = kind_or_default(options->kind);
  o->model = model;
  o->device = x->device;
  plm_status status = prepare(o, x);
  if (status != PLM_OK) {
    plm_optimiser_destroy(o);
    return status;
  }
  *ret_optimiser = o;
  return PLM_OK;
}

void plm_optimiser_destroy(plm_optimiser *o) {
  if (o == NULL) return;
  for (int s = 0; s < PLM_OPTIMISER_MAX_STATES; s++)
    if (o->states[s] != NULL) o->device->free(o->device, o->states[s]);
  plm_free(o->ranges);
  plm_free(o);
}

/* ---- norms ---- */

static plm_status reset_sums(plm_optimiser *o, plm_exec *x) {
  const plm_fill_args fill = {.to = plm_model_norm_sums(o->model), .bytes = sizeof(plm_norm_sums)};
  return x->ops->fill(x, &fill);
}

static plm_status add_norm(plm_optimiser *o, plm_exec *x, const float *values, int64_t n) {
  const plm_square_norm_args args = {.n = n, .x = values, .dtype = PLM_F32, .sums = plm_model_norm_sums(o->model)};
  return x->ops->square_norm(x, &args);
}

plm_status plm_optimiser_norm(plm_optimiser *o, plm_exec *x) {
  PLM_TRY(reset_sums(o, x));
  return add_norm(o, x, plm_model_gradient(o->model), plm_model_get_params(o->model)->train_size);
}

plm_status plm_optimiser_count_nonfinite(plm_optimiser *o, plm_exec *x, int64_t *ret_count) {
  const plm_params *params = plm_model_get_params(o->model);
  const plm_optimiser_kind *kind = o->options.kind;
  plm_step_sums sums;
  PLM_TRY(reset_sums(o, x));
  for (size_t i = 0; i < o->range_count; i++)
    PLM_TRY(add_norm(o, x, plm_model_full(o->model) + o->ranges[i].master, o->ranges[i].n));
  for (int s = 0; s < kind->state_count; s++)
    PLM_TRY(add_norm(o, x, o->states[s], offset_of(&kind->states[s], params, params->count)));
  PLM_TRY(plm_model_read_sums(o->model, x, &sums));
  *ret_count = sums.norm.nonfinite;
  return PLM_OK;
}

/* ---- the update ---- */

double plm_optimiser_scale(const plm_optimiser_options *options, double sum_norm, int64_t M) {
  double mean = 1.0 / (double)M, clip = options->max_grad_norm / (sum_norm * mean + 1e-6);
  return options->max_grad_norm > 0 && clip < 1 ? mean * clip : mean;
}

/* The part of state `s` that belongs to the parameter of this index. */
static float *state_of(const plm_optimiser *o, int s, int index) {
  return o->states[s] + offset_of(&o->options.kind->states[s], plm_model_get_params(o->model), index);
}

plm_status plm_optimiser_update(plm_optimiser *o, plm_exec *x, int64_t t, double learning_rate, double gradient_scale) {
  const plm_optimiser_kind *kind = o->options.kind;
  float *master = plm_model_full(o->model);
  const float *gradient = plm_model_gradient(o->model);
  uint16_t *half = plm_model_half(o->model);
  for (size_t i = 0; i < o->range_count; i++) {
    const range *r = &o->ranges[i];
    plm_optimiser_update_args args = {
        .options = &o->options,
        .param = &plm_model_get_params(o->model)->items[r->first],
        .n = r->n,
        .t = t,
        .w = master + r->master,
        .grad = gradient + r->train,
        .copy = r->half >= 0 ? half + r->half : NULL,
        .learning_rate = learning_rate,
        .weight_decay = r->decay ? o->options.weight_decay : 0,
        .gradient_scale = gradient_scale,
    };
    for (int s = 0; s < kind->state_count; s++) args.state[s] = state_of(o, s, r->first);
    PLM_TRY(kind->update(x, &args));
  }
  return PLM_OK;
}

/* ---- what is kept: tensors whose key is parameter x states + state ---- */

static float *values_of(const plm_optimiser *o, const plm_tensor_info *tensor) {
  int states = o->options.kind->state_count;
  return state_of(o, tensor->key % states, tensor->key / states);
}

static plm_status fill_state(void *user, const plm_tensor_info *tensor, void *buffer) {
  const plm_optimiser *o = user;
  return o->device->copy(o->device, buffer, values_of(o, tensor), (size_t)tensor->bytes, PLM_COPY_TO_HOST);
}

static plm_status take_state(void *user, const plm_tensor_info *tensor, const void *data) {
  const plm_optimiser *o = user;
  return o->device->copy(o->device, values_of(o, tensor), data, (size_t)tensor->bytes, PLM_COPY_TO_DEVICE);
}

static plm_status add_states(const plm_optimiser *o, int index, plm_tensor_list *list) {
  const plm_optimiser_kind *kind = o->options.kind;
  const plm_param *param = &plm_model_get_params(o->model)->items[index];
  for (int s = 0; s < kind->state_count && param->train_offset >= 0; s++) {
    char name[sizeof param->name + 32];
    int64_t shape[PLM_TENSOR_MAX_DIMS], count;
    int dims = shape_of(&kind->states[s], param, shape, &count);
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
