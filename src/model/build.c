/* build.c - a model's memory: blocks of parameters, typed views of them, and what goes in and out of them. */
#include "model/internal.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "kernels/bf16.h"

enum { ALIGNMENT = 256 };

/* ---- blocks ---- */

/* Device memory for one block, counted under *taken. A dry model gets an address at which nothing lives. */
static plm_status reserve_block(plm_model *model, size_t bytes, int64_t *taken, void *ret_pointer) {
  void *pointer = NULL;
  size_t rounded = plm_round_up(bytes, ALIGNMENT);
  if (bytes > 0 && model->device == NULL) {
    pointer = (void *)model->dry_address;
    model->dry_address += rounded;
  } else if (bytes > 0) {
    PLM_TRY(model->device->alloc(model->device, rounded, &pointer));
  }
  *taken += (int64_t)rounded;
  /* what lies there is a float *, a char *, ...: an assignment would break the aliasing rules */
  memcpy(ret_pointer, &pointer, sizeof pointer);
  return PLM_OK;
}

static plm_status reserve_parameters(plm_model *model) {
  const plm_params *params = model->params;
  const plm_model_options *options = &model->options;
  plm_memory_plan *taken = &model->taken;
  size_t table = (size_t)(options->max_length * model->config.head_width / 2) * sizeof(float);
  size_t train = (size_t)params->train_size * sizeof(float);
  PLM_TRY(reserve_block(model, (size_t)params->full_size * sizeof(float), &taken->parameters, &model->full));
  if (options->dtype == PLM_BF16)
    PLM_TRY(reserve_block(model, (size_t)params->half_size * sizeof(uint16_t), &taken->parameters, &model->half));
  if (model->config.family->rotary) {
    PLM_TRY(reserve_block(model, table, &taken->parameters, &model->cos_table));
    PLM_TRY(reserve_block(model, table, &taken->parameters, &model->sin_table));
  }
  PLM_TRY(reserve_block(model, sizeof(plm_step_sums), &taken->parameters, &model->sums));
  if (options->optimiser.bytes != NULL) taken->optimizer = options->optimiser.bytes(options->optimiser.kind, params);
  return reserve_block(model, train, &taken->gradients, &model->gradient);
}

static plm_status reserve_slots(plm_model *model) {
  const int64_t elements = plm_inputs_room(model->options.max_tokens);
  plm_device *device = model->device;
  for (int i = 0; i < PLM_SLOTS; i++) {
    plm_slot *slot = &model->slots[i];
    void *host;
    if (device == NULL) {
      PLM_TRY(PLM_NEW(&slot->host, elements));
      continue;
    }
    PLM_TRY(device->alloc_host(device, (size_t)elements * sizeof *slot->host, &host));
    slot->host = host;
    PLM_TRY(device->event_create(device, &slot->sent));
  }
  return PLM_OK;
}

static void free_slot(plm_device *device, plm_slot *slot) {
  if (device == NULL) {
    plm_free(slot->host);
    return;
  }
  device->event_destroy(device, slot->sent);
  device->free_host(device, slot->host);
}

/* ---- views ---- */

plm_status plm_bind_param(const plm_model *model, const char *prefix, const char *name, const plm_param **ret_param) {
  char full[PLM_PARAM_NAME];
  snprintf(full, sizeof full, "%s%s", prefix, name);
  *ret_param = plm_params_find(model->params, full);
  return *ret_param != NULL ? PLM_OK : plm_fail(PLM_E_BUG, "the table of parameters has no %s", full);
}

static float *gradient_of(const plm_model *model, const plm_param *p) {
  return p == NULL || p->train_offset < 0 ? NULL : model->gradient + p->train_offset;
}

/* Does `next` carry on where `p` ends, in the train block? Both frozen: it does. */
static bool trains_on(const plm_param *p, const plm_param *next) {
  if (p == NULL) return true;
  return p->train_offset < 0 ? next->train_offset < 0 : next->train_offset == p->train_offset + p->count;
}

/* Rows that train as one: neighbours whose gradients are neighbours too. w, b: [count], b NULL where
 * there is no bias. */
static void find_parts(const plm_model *model, const plm_param *w, const plm_param *b, int count, plm_linear *linear) {
  int64_t row = 0;
  for (int i = 0; i < count; row += w[i++].shape[0]) {
    const plm_param *bias = b != NULL ? &b[i] : NULL;
    plm_linear_part *last = &linear->parts[linear->part_count - (linear->part_count > 0)];
    const bool trains = w[i].train_offset >= 0 || (bias != NULL && bias->train_offset >= 0);
    const bool goes_on = linear->part_count > 0 && last->first + last->count == row && trains_on(&w[i] - 1, &w[i]) &&
                         trains_on(bias != NULL ? bias - 1 : NULL, bias);
    if (trains && goes_on)
      last->count += w[i].shape[0];
    else if (trains)
      linear->parts[linear->part_count++] =
          (plm_linear_part){row, w[i].shape[0], gradient_of(model, &w[i]), gradient_of(model, bias)};
  }
}

plm_status plm_bind_linear(plm_model *model, const char *prefix, const char *weight, int count, const char *bias,
                           plm_linear *ret_linear) {
  const plm_param *w, *b = NULL;
  PLM_ASSERT(count <= PLM_LINEAR_PARTS);
  PLM_TRY(plm_bind_param(model, prefix, weight, &w));
  if (bias != NULL) PLM_TRY(plm_bind_param(model, prefix, bias, &b));
  for (int i = 1; i < count; i++) PLM_ASSERT(w[i].group == w->group && (b == NULL || b[i].group == b->group));
  const bool half = w->half_offset >= 0;
  *ret_linear = (plm_linear){
      .weight =
          {
              .data = half ? (const void *)(model->half + w->half_offset) : (const void *)(model->full + w->offset),
              .dtype = model->options.dtype,
              .out = w->shape[0] * count,
              .in = w->shape[1],
          },
      .bias = b != NULL ? model->full + b->offset : NULL,
      .bucket = w->bucket,
  };
  find_parts(model, w, b, count, ret_linear);
  PLM_TRY(PLM_GROW(&model->linears, &model->linear_room, model->linear_count + 1));
  model->linears[model->linear_count++] = ret_linear;
  return PLM_OK;
}

plm_status plm_bind_norm(plm_model *model, const char *prefix, const char *weight, const char *bias,
                         plm_norm *ret_norm) {
  const plm_param *w, *b;
  PLM_TRY(plm_bind_param(model, prefix, weight, &w));
  PLM_TRY(plm_bind_param(model, prefix, bias, &b));
  *ret_norm =
      (plm_norm){model->full + w->offset, model->full + b->offset, gradient_of(model, w), gradient_of(model, b)};
  return PLM_OK;
}

plm_status plm_bind_table(plm_model *model, const char *name, const float **ret_table, float **ret_gradient) {
  const plm_param *p;
  PLM_TRY(plm_bind_param(model, "", name, &p));
  *ret_table = model->full + p->offset;
  if (ret_gradient != NULL) *ret_gradient = gradient_of(model, p);
  return PLM_OK;
}

/* Ask the backend what room its forms of the weights want, and give it. */
static plm_status reserve_packed(plm_model *model, plm_exec *x) {
  size_t total = 0;
  for (size_t i = 0; i < model->linear_count; i++) {
    plm_weight *weight = &model->linears[i]->weight;
    const plm_weight_refresh_args ask = {.weight = weight, .ret_packed_bytes = &weight->packed_bytes};
    PLM_TRY(x->ops->weight_refresh(x, &ask));
    total += plm_round_up(weight->packed_bytes, ALIGNMENT);
  }
  PLM_TRY(reserve_block(model, total, &model->taken.parameters, &model->packed));
  char *next = model->packed;
  for (size_t i = 0; i < model->linear_count; i++) {
    plm_weight *weight = &model->linears[i]->weight;
    if (weight->packed_bytes == 0) continue;
    weight->packed = next;
    next += plm_round_up(weight->packed_bytes, ALIGNMENT);
  }
  return PLM_OK;
}

/* ---- creation ---- */

static plm_status check_options(const plm_model_options *options) {
  PLM_ASSERT(options->dtype == PLM_F32 || options->dtype == PLM_BF16);
  if (options->max_tokens < 1 || options->max_tokens > INT32_MAX / 8)
    return plm_fail(PLM_E_USAGE, "a batch of %lld tokens: it must be from 1 to %d", (long long)options->max_tokens,
                    INT32_MAX / 8);
  if (options->max_length < 1 || options->max_length > INT32_MAX / 8)
    return plm_fail(PLM_E_USAGE, "sequences of %lld tokens: they must have from 1 to %d",
                    (long long)options->max_length, INT32_MAX / 8);
  return PLM_OK;
}

static plm_status build_blocks(plm_model *model, plm_exec *x, size_t activation_bytes) {
  const plm_model_options *options = &model->options;
  const plm_params_options params = {
      .dtype = options->dtype,
      .training = options->training,
      .decay_all = options->decay_all,
      .patterns = options->patterns,
      .pattern_count = options->pattern_count,
      .ranks = options->ranks,
      .sharded = options->sharded,
  };
  PLM_TRY(plm_params_create(&model->config, &params, &model->params));
  PLM_TRY(reserve_slots(model));
  PLM_TRY(reserve_parameters(model));
  PLM_TRY(model->config.family->bind(model));
  PLM_TRY(reserve_packed(model, x));
  if (model->device == NULL) {
    model->stack.base = (char *)model->dry_address;
    model->stack.size = SIZE_MAX;
    return PLM_OK;
  }
  model->stack.size = plm_round_up(activation_bytes, ALIGNMENT);
  return reserve_block(model, activation_bytes, &model->taken.activations, &model->stack.base);
}

plm_status plm_model_build(const plm_model_config *config, const plm_model_options *options, plm_exec *x, bool dry,
                           size_t activation_bytes, plm_model **ret_model) {
  PLM_TRY(plm_model_config_check(config));
  PLM_TRY(check_options(options));
  plm_model *model;
  PLM_TRY(PLM_NEW(&model, 1));
  model->config = *config;
  model->options = *options;
  model->device = dry ? NULL : x->device;
  model->pool = x->pool;
  model->dry_address = (uintptr_t)1 << 32;
  plm_status status = build_blocks(model, x, activation_bytes);
  if (status != PLM_OK) {
    plm_model_destroy(model);
    return status;
  }
  *ret_model = model;
  return PLM_OK;
}

/* Refuse before the first allocation rather than in the middle of a run. */
static plm_status check_room(const plm_memory_plan *plan, const plm_exec *x) {
  size_t total, available;
  PLM_TRY(x->device->memory_info(x->device, &total, &available));
  int64_t need =
      plan->total - (plan->workspace < (int64_t)x->workspace_bytes ? plan->workspace : (int64_t)x->workspace_bytes);
  if ((size_t)need <= available) return PLM_OK;
  char text[7][PLM_NUMBER_TEXT];
  return plm_hint(
      plm_fail(
          PLM_E_RESOURCE,
          "the model needs %s of memory, but of %s only %s is available: parameters %s, gradients %s, optimizer %s, activations %s",
          plm_bytes_text(need, text[0]), plm_bytes_text((int64_t)total, text[1]),
          plm_bytes_text((int64_t)available, text[2]), plm_bytes_text(plan->parameters, text[3]),
          plm_bytes_text(plan->gradients, text[4]), plm_bytes_text(plan->optimizer, text[5]),
          plm_bytes_text(plan->activations, text[6])),
      "activations shrink with --micro-batch-tokens, the rest with a smaller model");
}

plm_status plm_model_create(const plm_model_config *config, const plm_model_options *options, plm_exec *x,
                            plm_model **ret_model) {
  plm_memory_plan plan;
  plm_model *model;
  plm_status status;
  PLM_TRY(plm_model_plan(config, options, x, &plan));
  PLM_TRY(check_room(&plan, x));
  PLM_TRY(plm_exec_reserve(x, (size_t)plan.workspace));
  PLM_TRY(plm_model_build(config, options, x, false, (size_t)plan.activations, &model));
  const int64_t full = model->params->full_size, half = model->half != NULL ? model->params->half_size : 0;
  const plm_fill_args zero_full = {.to = model->full, .bytes = full * (int64_t)sizeof *model->full};
  const plm_fill_args zero_half = {.to = model->half, .bytes = half * (int64_t)sizeof *model->half};
  PLM_TRY_GOTO(x->ops->fill(x, &zero_full), fail);
  PLM_TRY_GOTO(x->ops->fill(x, &zero_half), fail);
  PLM_TRY_GOTO(plm_model_reset_sums(model, x), fail);
  if (options->training) PLM_TRY_GOTO(plm_model_zero_gradient(model, x), fail);
  *ret_model = model;
  return PLM_OK;
fail:
  plm_model_destroy(model);
  return status;
}

void plm_model_destroy(plm_model *model) {
  if (model == NULL) return;
  void *blocks[] = {model->full, model->half,     model->cos_table, model->sin_table,
                    model->sums, model->gradient, model->packed,    model->stack.base};
  for (size_t i = 0; model->device != NULL && i < sizeof blocks / sizeof *blocks; i++)
    model->device->free(model->device, blocks[i]);
  for (int i = 0; i < PLM_SLOTS; i++) free_slot(model->device, &model->slots[i]);
  plm_free(model->parts);
  plm_free(model->linears);
  plm_params_destroy(model->params);
  plm_free(model);
}

/* ---- in and out ---- */

const plm_model_config *plm_model_get_config(const plm_model *model) { return &model->config; }
const plm_params *plm_model_get_params(const plm_model *model) { return model->params; }
plm_dtype plm_model_get_dtype(const plm_model *model) { return model->options.dtype; }
float *plm_model_full(plm_model *model) { return model->full; }
float *plm_model_gradient(plm_model *model) { return model->gradient; }
uint16_t *plm_model_half(plm_model *model) { return model->half; }
plm_norm_sums *plm_model_norm_sums(plm_model *model) { return &model->sums->norm; }

static plm_status copy_values(const plm_model *model, void *to, const void *from, int64_t count, plm_dtype dtype,
                              plm_copy_kind kind) {
  return model->device->copy(model->device, to, from, (size_t)count * plm_dtype_size(dtype), kind);
}

/* Is its master with the owners of its pieces? */
static bool has_keeper(const plm_model *model, const plm_param *p) {
  return plm_param_is_in_pieces(p) && model->shards.get != NULL;
}

/* The bf16 copies of a parameter that has an F32 form too are made by plm_model_refresh. */
plm_status plm_model_set_range(plm_model *model, const plm_param *p, int64_t first, int64_t count,
                               const float *values) {
  enum { PIECE = 4096 };
  plm_bf16 piece[PIECE];
  PLM_TRY(plm_model_arrive(model, p->bucket));
  if (p->offset >= 0)
    return copy_values(model, model->full + p->offset + first, values, count, PLM_F32, PLM_COPY_TO_DEVICE);
  for (int64_t done = 0; done < count; done += PIECE) {
    const int64_t n = count - done < PIECE ? count - done : PIECE;
    for (int64_t i = 0; i < n; i++) piece[i] = plm_bf16_from_float(values[done + i]);
    PLM_TRY(copy_values(model, model->half + p->half_offset + first + done, piece, n, PLM_BF16, PLM_COPY_TO_DEVICE));
  }
  return has_keeper(model, p) ? model->shards.set(model->shards.user, p, first, count, values) : PLM_OK;
}

plm_status plm_model_set(plm_model *model, int index, const float *values) {
  PLM_ASSERT(index >= 0 && index < model->params->count);
  const plm_param *p = &model->params->items[index];
  return plm_model_set_range(model, p, 0, p->count, values);
}

/* bf16 values lie in the upper half of the room, and are widened from its front. */
static plm_status get_half(const plm_model *model, const plm_param *p, float *ret_values) {
  char *half = (char *)ret_values + (size_t)p->count * sizeof(plm_bf16);
  PLM_TRY(copy_values(model, half, model->half + p->half_offset, p->count, PLM_BF16, PLM_COPY_TO_HOST));
  for (int64_t i = 0; i < p->count; i++) {
    plm_bf16 value;
    memcpy(&value, half + (size_t)i * sizeof value, sizeof value);
    ret_values[i] = plm_bf16_to_float(value);
  }
  return PLM_OK;
}

plm_status plm_model_get(const plm_model *model, int index, float *ret_values) {
  PLM_ASSERT(index >= 0 && index < model->params->count);
  const plm_param *p = &model->params->items[index];
  PLM_TRY(plm_model_arrive(model, p->bucket));
  if (has_keeper(model, p)) return model->shards.get(model->shards.user, p, ret_values);
  if (ret_values == NULL) return PLM_OK;
  if (p->offset < 0) return get_half(model, p, ret_values);
  return copy_values(model, ret_values, model->full + p->offset, p->count, PLM_F32, PLM_COPY_TO_HOST);
}

plm_status plm_model_get_gradient(const plm_model *model, int index, float *ret_values) {
  PLM_ASSERT(index >= 0 && index < model->params->count);
  const plm_param *p = &model->params->items[index];
  PLM_ASSERT(model->gradient != NULL && p->train_offset >= 0);
  return copy_values(model, ret_values, model->gradient + p->train_offset, p->count, PLM_F32, PLM_COPY_TO_HOST);
}

static plm_status make_half_copies(plm_model *model, plm_exec *x, int bucket) {
  for (int i = 0; i < model->params->count; i++) {
    const plm_param *p = &model->params->items[i];
    if (p->bucket != bucket || p->half_offset < 0 || p->offset < 0) continue;
    const plm_convert_args args = {
        .n = p->count,
        .from = model->full + p->offset,
        .from_dtype = PLM_F32,
        .to = model->half + p->half_offset,
        .to_dtype = PLM_BF16,
    };
    PLM_TRY(x->ops->convert(x, &args));
  }
  return PLM_OK;
}

static plm_status make_rotary_tables(plm_model *model, plm_exec *x) {
  const plm_rope_table_args args = {
      .P = model->options.max_length,
      .half = model->config.head_width / 2,
      .inv_freq = model->inv_freq,
      .cos_table = model->cos_table,
      .sin_table = model->sin_table,
  };
  return model->config.family->rotary ? x->ops->rope_table(x, &args) : PLM_OK;
}

static plm_status pack_weights(plm_model *model, plm_exec *x, int bucket) {
  for (size_t i = 0; i < model->linear_count; i++)
    if (model->linears[i]->bucket == bucket && model->linears[i]->weight.packed != NULL)
      PLM_TRY(x->ops->weight_refresh(x, &(plm_weight_refresh_args){.weight = &model->linears[i]->weight}));
  return PLM_OK;
}

plm_status plm_model_refresh_bucket(plm_model *model, plm_exec *x, int bucket) {
  PLM_TRY(make_half_copies(model, x, bucket));
  return pack_weights(model, x, bucket);
}

plm_status plm_model_refresh(plm_model *model, plm_exec *x, plm_refresh what) {
  if (what == PLM_REFRESH_UPDATED && model->shards.arrive != NULL) return PLM_OK;
  for (int b = 0; b < model->params->bucket_count; b++) {
    PLM_TRY(plm_model_arrive(model, b));
    PLM_TRY(what == PLM_REFRESH_ALL ? plm_model_refresh_bucket(model, x, b) : pack_weights(model, x, b));
  }
  return what == PLM_REFRESH_ALL ? make_rotary_tables(model, x) : PLM_OK;
}
