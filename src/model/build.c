/* build.c - a model's memory: blocks of parameters, typed views of them, and what goes in and out of them. */
#include "model/internal.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"

enum { ALIGNMENT = 256, LINEARS_PER_LAYER = 5, LINEARS_OUTSIDE = 2 };

static size_t round_up(size_t n) { return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

/* ---- blocks ---- */

/* Device memory for one block, counted under *taken. A dry model gets an address at which nothing lives. */
static plm_status reserve_block(plm_model *model, size_t bytes, int64_t *taken, void *ret_pointer) {
  void *pointer = NULL;
  size_t rounded = round_up(bytes);
  if (bytes > 0 && model->device == NULL) {
    pointer = (void *)model->dry_address;
    model->dry_address += rounded;
  } else if (bytes > 0) {
    PLM_TRY(model->device->alloc(model->device, rounded, &pointer));
  }
  *taken += (int64_t)rounded;
  memcpy(
      ret_pointer, &pointer,
      sizeof pointer); /* what lies there is a float *, a char *, ...: an assignment would break the aliasing rules */
  return PLM_OK;
}

static plm_status reserve_parameters(plm_model *model) {
  const plm_params *params = model->params;
  const plm_model_options *options = &model->options;
  plm_memory_plan *taken = &model->taken;
  size_t table = (size_t)(options->max_length * model->config.head_width / 2) * sizeof(float);
  PLM_TRY(reserve_block(model, (size_t)params->master_size * sizeof(float), &taken->parameters, &model->master));
  if (options->dtype == PLM_BF16)
    PLM_TRY(reserve_block(model, (size_t)params->half_size * sizeof(uint16_t), &taken->parameters, &model->half));
  PLM_TRY(reserve_block(model, table, &taken->parameters, &model->cos_table));
  PLM_TRY(reserve_block(model, table, &taken->parameters, &model->sin_table));
  PLM_TRY(reserve_block(model, sizeof(plm_loss_sums), &taken->parameters, &model->sums));
  if (!options->training) return PLM_OK;
  taken->optimizer =
      2 * (int64_t)round_up((size_t)params->train_size * sizeof(float)); /* m and v, which the optimiser allocates */
  return reserve_block(model, (size_t)params->train_size * sizeof(float), &taken->gradients, &model->gradient);
}

/* ---- views ---- */

static plm_status find_param(const plm_model *model, int64_t layer, const char *name, const plm_param **ret_param) {
  char full[96];
  if (layer < 0)
    snprintf(full, sizeof full, "%s", name);
  else
    snprintf(full, sizeof full, "esm.encoder.layer.%d.%s", (int)layer, name);
  *ret_param = plm_params_find(model->params, full);
  return *ret_param != NULL ? PLM_OK : plm_fail(PLM_E_BUG, "the table of parameters has no %s", full);
}

static float *gradient_of(const plm_model *model, const plm_param *p) {
  return model->gradient == NULL || p->train_offset < 0 ? NULL : model->gradient + p->train_offset;
}

/* `count` neighbouring matrices from `weight` on, seen as one, with the neighbouring biases from `bias` on. */
static plm_status view_linear(plm_model *model, int64_t layer, const char *weight, int count, const char *bias,
                              plm_linear **ret_linear) {
  const plm_param *w, *b;
  PLM_TRY(find_param(model, layer, weight, &w));
  PLM_TRY(find_param(model, layer, bias, &b));
  for (int i = 1; i < count; i++) PLM_ASSERT(w[i].group == w->group && b[i].group == b->group);
  plm_linear *linear = &model->linears[model->linear_count++];
  linear->weight = (plm_weight){
      .data = model->half != NULL ? (const void *)(model->half + w->half_offset)
                                  : (const void *)(model->master + w->offset),
      .dtype = model->options.dtype,
      .out = w->shape[0] * count,
      .in = w->shape[1],
  };
  linear->bias = model->master + b->offset;
  linear->d_weight = gradient_of(model, w);
  linear->d_bias = gradient_of(model, b);
  *ret_linear = linear;
  return PLM_OK;
}

static plm_status view_norm(plm_model *model, int64_t layer, const char *weight, plm_norm *ret_norm) {
  const plm_param *w;
  PLM_TRY(find_param(model, layer, weight, &w));
  const plm_param *b = w + 1;
  PLM_ASSERT(b->role == PLM_ROLE_NORM_BIAS);
  *ret_norm =
      (plm_norm){model->master + w->offset, model->master + b->offset, gradient_of(model, w), gradient_of(model, b)};
  return PLM_OK;
}

static plm_status view_layer(plm_model *model, int64_t i, plm_layer *layer) {
  layer->is_last = i == model->config.num_hidden_layers - 1;
  PLM_TRY(view_norm(model, i, "attention.LayerNorm.weight", &layer->attention_norm));
  if (layer->is_last) {
    PLM_TRY(view_linear(model, i, "attention.self.query.weight", 1, "attention.self.query.bias", &layer->query));
    PLM_TRY(view_linear(model, i, "attention.self.key.weight", 2, "attention.self.key.bias", &layer->key_value));
  } else {
    PLM_TRY(
        view_linear(model, i, "attention.self.query.weight", 3, "attention.self.query.bias", &layer->query_key_value));
  }
  PLM_TRY(view_linear(model, i, "attention.output.dense.weight", 1, "attention.output.dense.bias",
                      &layer->attention_output));
  PLM_TRY(view_norm(model, i, "LayerNorm.weight", &layer->ffn_norm));
  PLM_TRY(view_linear(model, i, "intermediate.dense.weight", 1, "intermediate.dense.bias", &layer->ffn_up));
  return view_linear(model, i, "output.dense.weight", 1, "output.dense.bias", &layer->ffn_down);
}

static plm_status view_model(plm_model *model) {
  const plm_param *embedding, *inv_freq;
  PLM_TRY(find_param(model, -1, "esm.embeddings.word_embeddings.weight", &embedding));
  PLM_TRY(find_param(model, -1, "esm.rotary_embeddings.inv_freq", &inv_freq));
  model->embedding = model->master + embedding->offset;
  model->d_embedding = gradient_of(model, embedding);
  model->inv_freq = model->master + inv_freq->offset;
  for (int64_t i = 0; i < model->config.num_hidden_layers; i++) PLM_TRY(view_layer(model, i, &model->layers[i]));
  PLM_TRY(view_norm(model, -1, "esm.encoder.emb_layer_norm_after.weight", &model->final_norm));
  PLM_TRY(view_norm(model, -1, "lm_head.layer_norm.weight", &model->head_norm));
  PLM_TRY(view_linear(model, -1, "lm_head.dense.weight", 1, "lm_head.dense.bias", &model->head_dense));
  return view_linear(model, -1, "esm.embeddings.word_embeddings.weight", 1, "lm_head.bias", &model->decoder);
}

/* Ask the backend what room its forms of the weights want, and give it. */
static plm_status reserve_packed(plm_model *model, plm_exec *x) {
  size_t total = 0;
  for (int i = 0; i < model->linear_count; i++) {
    plm_weight *weight = &model->linears[i].weight;
    PLM_TRY(x->ops->weight_refresh(
        x, &(plm_weight_refresh_args){.weight = weight, .ret_packed_bytes = &weight->packed_bytes}));
    total += round_up(weight->packed_bytes);
  }
  PLM_TRY(reserve_block(model, total, &model->taken.parameters, &model->packed));
  char *next = model->packed;
  for (int i = 0; i < model->linear_count; i++) {
    plm_weight *weight = &model->linears[i].weight;
    if (weight->packed_bytes == 0) continue;
    weight->packed = next;
    next += round_up(weight->packed_bytes);
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
  int64_t L = model->config.num_hidden_layers;
  PLM_TRY(plm_params_create(&model->config, model->options.decay_all, &model->params));
  PLM_TRY(PLM_NEW(&model->linears, L * LINEARS_PER_LAYER + LINEARS_OUTSIDE));
  PLM_TRY(PLM_NEW(&model->layers, L));
  PLM_TRY(PLM_NEW(&model->states, L));
  PLM_TRY(PLM_NEW(&model->staging, plm_inputs_room(model->options.max_tokens)));
  PLM_TRY(reserve_parameters(model));
  PLM_TRY(view_model(model));
  PLM_TRY(reserve_packed(model, x));
  if (model->device == NULL) {
    model->stack.base = (char *)model->dry_address;
    model->stack.size = SIZE_MAX;
    return PLM_OK;
  }
  model->stack.size = round_up(activation_bytes);
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
  PLM_TRY_GOTO(x->ops->fill(x,
                            &(plm_fill_args){
                                .to = model->master,
                                .bytes = model->params->master_size * (int64_t)sizeof(float),
                            }),
               fail);
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
  void *blocks[] = {model->master, model->half,     model->cos_table, model->sin_table,
                    model->sums,   model->gradient, model->packed,    model->stack.base};
  for (size_t i = 0; model->device != NULL && i < sizeof blocks / sizeof *blocks; i++)
    model->device->free(model->device, blocks[i]);
  plm_free(model->staging);
  plm_free(model->states);
  plm_free(model->layers);
  plm_free(model->linears);
  plm_params_destroy(model->params);
  plm_free(model);
}

/* ---- in and out ---- */

const plm_model_config *plm_model_get_config(const plm_model *model) { return &model->config; }
const plm_params *plm_model_get_params(const plm_model *model) { return model->params; }
plm_dtype plm_model_get_dtype(const plm_model *model) { return model->options.dtype; }
float *plm_model_master(plm_model *model) { return model->master; }
float *plm_model_gradient(plm_model *model) { return model->gradient; }
uint16_t *plm_model_half(plm_model *model) { return model->half; }

static plm_status copy_values(const plm_model *model, void *to, const void *from, int64_t count, plm_copy_kind kind) {
  return model->device->copy(model->device, to, from, (size_t)count * sizeof(float), kind);
}

plm_status plm_model_get(const plm_model *model, int index, float *ret_values) {
  PLM_ASSERT(index >= 0 && index < model->params->count);
  const plm_param *p = &model->params->items[index];
  return copy_values(model, ret_values, model->master + p->offset, p->count, PLM_COPY_TO_HOST);
}

plm_status plm_model_set(plm_model *model, int index, const float *values) {
  PLM_ASSERT(index >= 0 && index < model->params->count);
  const plm_param *p = &model->params->items[index];
  return copy_values(model, model->master + p->offset, values, p->count, PLM_COPY_TO_DEVICE);
}

plm_status plm_model_get_gradient(const plm_model *model, int index, float *ret_values) {
  PLM_ASSERT(index >= 0 && index < model->params->count);
  const plm_param *p = &model->params->items[index];
  PLM_ASSERT(model->gradient != NULL && p->train_offset >= 0);
  return copy_values(model, ret_values, model->gradient + p->train_offset, p->count, PLM_COPY_TO_HOST);
}

plm_status plm_model_refresh(plm_model *model, plm_exec *x, bool copies_written) {
  for (int i = 0; i < model->params->count && model->half != NULL && !copies_written; i++) {
    const plm_param *p = &model->params->items[i];
    if (p->half_offset < 0) continue;
    PLM_TRY(x->ops->convert(x, &(plm_convert_args){
                                   .n = p->count,
                                   .from = model->master + p->offset,
                                   .from_dtype = PLM_F32,
                                   .to = model->half + p->half_offset,
                                   .to_dtype = PLM_BF16,
                               }));
  }
  for (int i = 0; i < model->linear_count; i++)
    if (model->linears[i].weight.packed != NULL)
      PLM_TRY(x->ops->weight_refresh(x, &(plm_weight_refresh_args){.weight = &model->linears[i].weight}));
  return x->ops->rope_table(x, &(plm_rope_table_args){
                                   .P = model->options.max_length,
                                   .half = model->config.head_width / 2,
                                   .inv_freq = model->inv_freq,
                                   .cos_table = model->cos_table,
                                   .sin_table = model->sin_table,
                               });
}
