/* esm2.c - ESM-2: an encoder with the norms before its blocks, rotary positions, token dropout, and an MLM head tied to
 * the token embedding (model_spec 3). Contents: config.json, parameters, names, views, forward, backward. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "model/blocks.h"

/* ---- config.json: keys, class defaults of transformers' EsmConfig, what is refused (model_spec 3.1) ---- */

static bool claims(const json_t *document) {
  const json_t *type = json_object_get(document, "model_type");
  if (json_is_string(type)) return strcmp(json_string_value(type), "esm") == 0;
  const char *first = json_string_value(json_array_get(json_object_get(document, "architectures"), 0));
  return first != NULL && strncmp(first, "Esm", 3) == 0;
}

/* Everything that would make it another model than an ESM-2 for masked-language modelling. */
static plm_status refuse_others(const json_t *object, const char *what) {
  static const char *const flags[][2] = {
      {"is_folding_model", "false (ESMFold cannot be trained here)"},
      {"emb_layer_norm_before", "false (true is ESM-1b's)"},
      {"is_decoder", "false"},
      {"add_cross_attention", "false"},
  };
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
    PLM_TRY(plm_config_require_false(object, what, flags[i][0], flags[i][1]));
  bool tied = true;
  PLM_TRY(plm_json_get_bool(object, what, "tie_word_embeddings", false, &tied));
  if (!tied)
    return plm_config_refuse(what, json_object_get(object, "tie_word_embeddings"), "tie_word_embeddings", "true");
  const json_t *quantized = json_object_get(object, "quantization_config");
  if (quantized != NULL && !json_is_null(quantized))
    return plm_config_refuse(what, quantized, "quantization_config", "weights in float32, float16 or bfloat16");
  return PLM_OK;
}

static plm_status check_positions(const json_t *object, const char *what) {
  const json_t *type = json_object_get(object, "position_embedding_type");
  const char *name = json_string_value(type);
  if (name == NULL || strcmp(name, "rotary") != 0)
    return plm_config_refuse(what, type, "position_embedding_type",
                             "\"rotary\" (ESM-2); absolute positions are ESM-1b's and ESM-1v's");
  return plm_config_check_rotary(object, what);
}

static plm_status read_config(const json_t *document, const char *what, plm_model_config *config) {
  config->max_position_embeddings = 1026;
  config->mask_token_id = 32;
  config->pad_token_id = 1;
  config->layer_norm_eps = 1e-12; /* the class default; published files say 1e-05 */
  config->initializer_range = 0.02;
  config->inv_freq_is_fp16 = true;
  PLM_TRY(refuse_others(document, what));
  PLM_TRY(plm_config_read_sizes(document, what, config->alphabet->size, config));
  PLM_TRY(plm_config_read_token(document, what, "mask_token_id", config, &config->mask_token_id));
  PLM_TRY(plm_config_read_token(document, what, "pad_token_id", config, &config->pad_token_id));
  PLM_TRY(plm_json_get_bool(document, what, "token_dropout", false, &config->token_dropout));
  PLM_TRY(plm_config_read_numbers(document, what, config));
  return check_positions(document, what);
}

static plm_status write_config(const plm_model_config *c, json_t **ret_document) {
  json_t *document = json_pack(
      "{s:[s], s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:s, s:b, s:b, s:i, s:i, s:I, s:f, s:f, s:s, s:f, s:b, s:n, s:n, s:b, s:b, s:s}",
      "architectures", "EsmForMaskedLM", "model_type", "esm", "vocab_size", (json_int_t)c->vocab_size, "hidden_size",
      (json_int_t)c->hidden_size, "num_hidden_layers", (json_int_t)c->num_hidden_layers, "num_attention_heads",
      (json_int_t)c->num_attention_heads, "intermediate_size", (json_int_t)c->intermediate_size, "layer_norm_eps",
      c->layer_norm_eps, "position_embedding_type", "rotary", "token_dropout", c->token_dropout,
      "emb_layer_norm_before", 0, "mask_token_id", (int)c->mask_token_id, "pad_token_id", (int)c->pad_token_id,
      "max_position_embeddings", (json_int_t)c->max_position_embeddings, "attention_probs_dropout_prob", 0.0,
      "hidden_dropout_prob", 0.0, "hidden_act", "gelu", "initializer_range", c->initializer_range, "is_folding_model",
      0, "esmfold_config", "vocab_list", "use_cache", 1, "tie_word_embeddings", 1, "torch_dtype", "float32");
  if (document == NULL) return plm_fail(PLM_E_RESOURCE, "out of memory writing a model's configuration");
  *ret_document = document;
  return PLM_OK;
}

/* ---- from scratch ---- */

static const plm_preset presets[] = {
    {"esm2_t6_8M", 6, 320, 20},      {"esm2_t12_35M", 12, 480, 20}, {"esm2_t30_150M", 30, 640, 20},
    {"esm2_t33_650M", 33, 1280, 20}, {"esm2_t36_3B", 36, 2560, 40}, {"esm2_t48_15B", 48, 5120, 40},
};

static int64_t intermediate_size(int64_t hidden_size) { return 4 * hidden_size; }

static void fill_preset(plm_model_config *config) {
  const plm_alphabet *alphabet = config->alphabet;
  config->vocab_size = alphabet->size;
  config->layer_norm_eps = 1e-5;
  config->initializer_range = 0.02;
  config->token_dropout = true;
  config->mask_token_id = alphabet->mask;
  config->pad_token_id = alphabet->pad;
  config->max_position_embeddings = 1026;
}

/* ---- parameters ---- */

static const char embedding_name[] = "esm.embeddings.word_embeddings.weight";
static const char inv_freq_name[] = "esm.rotary_embeddings.inv_freq";
#define LAYERS "esm.encoder.layer."
#define INV_FREQ ".attention.self.rotary_embeddings.inv_freq" /* of a layer */

static const char *layer_prefix(int64_t layer, char prefix[PLM_PARAM_NAME]) {
  snprintf(prefix, PLM_PARAM_NAME, LAYERS "%d.", (int)layer);
  return prefix;
}

static plm_status add_layer(plm_params_builder *builder, const plm_model_config *config, int64_t layer) {
  const int64_t C = config->hidden_size, F = config->intermediate_size;
  const int64_t HD = config->num_attention_heads * config->head_width;
  const plm_param_row rows[] = {
      {"attention.LayerNorm.weight", PLM_ROLE_NORM_WEIGHT, C, 0, false},
      {"attention.LayerNorm.bias", PLM_ROLE_NORM_BIAS, C, 0, false},
      {"attention.self.query.weight", PLM_ROLE_MATRIX, HD, C, false},
      {"attention.self.key.weight", PLM_ROLE_MATRIX, HD, C, true},
      {"attention.self.value.weight", PLM_ROLE_MATRIX, HD, C, true},
      {"attention.self.query.bias", PLM_ROLE_BIAS, HD, 0, false},
      {"attention.self.key.bias", PLM_ROLE_BIAS, HD, 0, true},
      {"attention.self.value.bias", PLM_ROLE_BIAS, HD, 0, true},
      {"attention.output.dense.weight", PLM_ROLE_MATRIX, C, HD, false},
      {"attention.output.dense.bias", PLM_ROLE_BIAS, C, 0, false},
      {"LayerNorm.weight", PLM_ROLE_NORM_WEIGHT, C, 0, false},
      {"LayerNorm.bias", PLM_ROLE_NORM_BIAS, C, 0, false},
      {"intermediate.dense.weight", PLM_ROLE_MATRIX, F, C, false},
      {"intermediate.dense.bias", PLM_ROLE_BIAS, F, 0, false},
      {"output.dense.weight", PLM_ROLE_MATRIX, C, F, false},
      {"output.dense.bias", PLM_ROLE_BIAS, C, 0, false},
  };
  char prefix[PLM_PARAM_NAME];
  PLM_TRY(plm_params_next_bucket(builder));
  return plm_params_add(builder, layer_prefix(layer, prefix), rows, sizeof rows / sizeof *rows);
}

static plm_status parameters(plm_params_builder *builder, const plm_model_config *config) {
  const int64_t C = config->hidden_size, V = config->vocab_size, L = config->num_hidden_layers;
  const plm_param_row embedding = {embedding_name, PLM_ROLE_EMBEDDING, V, C, false};
  const plm_param_row head[] = {
      {"esm.encoder.emb_layer_norm_after.weight", PLM_ROLE_NORM_WEIGHT, C, 0, false},
      {"esm.encoder.emb_layer_norm_after.bias", PLM_ROLE_NORM_BIAS, C, 0, false},
      {"lm_head.dense.weight", PLM_ROLE_MATRIX, C, C, false},
      {"lm_head.dense.bias", PLM_ROLE_BIAS, C, 0, false},
      {"lm_head.layer_norm.weight", PLM_ROLE_NORM_WEIGHT, C, 0, false},
      {"lm_head.layer_norm.bias", PLM_ROLE_NORM_BIAS, C, 0, false},
      {"lm_head.bias", PLM_ROLE_BIAS, V, 0, false},
      {inv_freq_name, PLM_ROLE_INV_FREQ, config->head_width / 2, 0, false},
  };
  const plm_param_row contacts[] = {
      {"esm.contact_head.regression.weight", PLM_ROLE_CONTACT, 1, L * config->num_attention_heads, false},
      {"esm.contact_head.regression.bias", PLM_ROLE_CONTACT, 1, 0, false},
  };
  PLM_TRY(plm_params_add(builder, "", &embedding, 1));
  for (int64_t i = 0; i < L; i++) PLM_TRY(add_layer(builder, config, i));
  PLM_TRY(plm_params_next_bucket(builder));
  PLM_TRY(plm_params_add(builder, "", head, sizeof head / sizeof *head));
  plm_params_written_as(builder, LAYERS "%lld" INV_FREQ, L);
  return plm_params_add(builder, "", contacts, sizeof contacts / sizeof *contacts);
}

/* ---- names that one tensor has had (model_spec 2.5, 2.6, 3.3), brought to the one in the table:
 *
 *   embeddings.X, encoder.X, ... (from EsmModel)  esm.X
 *   ...LayerNorm.gamma, .beta                     ...LayerNorm.weight, .bias  (transformers 5, and TF-era files)
 *   esm.encoder.layer.{i or *}.attention.self.rotary_embeddings.inv_freq      esm.rotary_embeddings.inv_freq
 *   lm_head.decoder.weight, lm_head.decoder.bias  the token embedding, lm_head.bias   (tied) ---- */

static bool starts_with(const char *text, const char *start) { return strncmp(text, start, strlen(start)) == 0; }

static void replace_end(char *text, const char *end, const char *by) {
  size_t length = strlen(text), tail = strlen(end);
  if (length < tail || strcmp(text + length - tail, end) != 0) return;
  snprintf(text + length - tail, PLM_PARAM_NAME - (length - tail), "%s", by);
}

/* Of one layer, or with a literal asterisk for its number. */
static bool is_layer_inv_freq(const char *name) {
  if (!starts_with(name, LAYERS)) return false;
  const char *rest = name + strlen(LAYERS);
  if (*rest == '*')
    rest++;
  else
    while (isdigit((unsigned char)*rest)) rest++;
  return strcmp(rest, INV_FREQ) == 0;
}

/* Tensors that published files carry and an ESM-2 does not use: positions are rotary, the pooler was never trained. */
static bool is_useless(const char *name) {
  return strcmp(name, "esm.embeddings.position_embeddings.weight") == 0 ||
         strcmp(name, "esm.embeddings.position_ids") == 0 || starts_with(name, "esm.pooler.");
}

static plm_tensor_use rename_tensor(const char *name, char ret_name[PLM_PARAM_NAME]) {
  static const char *const bare[] = {"embeddings.", "encoder.", "rotary_embeddings.", "contact_head.", "pooler."};
  const char *prefix = "";
  for (size_t i = 0; i < sizeof bare / sizeof *bare; i++)
    if (starts_with(name, bare[i])) prefix = "esm.";
  snprintf(ret_name, PLM_PARAM_NAME, "%s%s", prefix, name);
  replace_end(ret_name, "LayerNorm.gamma", "LayerNorm.weight");
  replace_end(ret_name, "LayerNorm.beta", "LayerNorm.bias");
  if (is_layer_inv_freq(ret_name)) strcpy(ret_name, inv_freq_name);
  if (is_useless(ret_name)) return PLM_TENSOR_USELESS;
  if (strcmp(ret_name, "lm_head.decoder.weight") == 0) {
    strcpy(ret_name, embedding_name);
    return PLM_TENSOR_ALIAS;
  }
  if (strcmp(ret_name, "lm_head.decoder.bias") != 0) return PLM_TENSOR_OWN;
  strcpy(ret_name, "lm_head.bias");
  return PLM_TENSOR_ALIAS;
}

/* ---- the model's parts, and what forward leaves in them for backward ---- */

typedef struct layer {
  plm_norm attention_norm, ffn_norm;
  plm_attention attention;
  plm_ffn ffn;
  /* of the pass; shapes in activations.h */
  float *x, *mean1, *rstd1;
  plm_attention_state state;
  float *middle, *mean2, *rstd2;
  void *up;
} layer;

typedef struct parts {
  const float *embedding;
  float *d_embedding;
  plm_norm final_norm;
  plm_mlm_head head;
  /* of the pass */
  float *x, *mean, *rstd; /* [M,C] the last layer's output; its norm's statistics */
  plm_mlm_head_state state;
  layer layers[];
} parts;

static plm_status bind_layer(plm_model *model, int64_t i, layer *l) {
  static const char *const weights[] = {"attention.self.query.weight", "attention.self.key.weight"};
  static const char *const biases[] = {"attention.self.query.bias", "attention.self.key.bias"};
  char name[PLM_PARAM_NAME];
  const char *prefix = layer_prefix(i, name);
  l->ffn.activation = PLM_GELU_ERF;
  PLM_TRY(plm_bind_norm(model, prefix, "attention.LayerNorm.weight", "attention.LayerNorm.bias", &l->attention_norm));
  PLM_TRY(plm_bind_attention(model, prefix, plm_layer_reads_fewer(model, i), weights, biases, &l->attention));
  PLM_TRY(plm_bind_linear(model, prefix, "attention.output.dense.weight", 1, "attention.output.dense.bias",
                          &l->attention.output));
  PLM_TRY(plm_bind_norm(model, prefix, "LayerNorm.weight", "LayerNorm.bias", &l->ffn_norm));
  PLM_TRY(plm_bind_linear(model, prefix, "intermediate.dense.weight", 1, "intermediate.dense.bias", &l->ffn.up));
  return plm_bind_linear(model, prefix, "output.dense.weight", 1, "output.dense.bias", &l->ffn.down);
}

static plm_status bind(plm_model *model) {
  const int64_t L = model->config.num_hidden_layers;
  PLM_TRY(plm_alloc_bytes(&model->parts, 1, sizeof(parts) + (size_t)L * sizeof(layer)));
  parts *p = model->parts;
  PLM_TRY(plm_bind_table(model, embedding_name, &p->embedding, &p->d_embedding));
  PLM_TRY(plm_bind_table(model, inv_freq_name, &model->inv_freq, NULL));
  for (int64_t i = 0; i < L; i++) PLM_TRY(bind_layer(model, i, &p->layers[i]));
  PLM_TRY(plm_bind_norm(model, "esm.encoder.emb_layer_norm_after.", "weight", "bias", &p->final_norm));
  PLM_TRY(plm_bind_norm(model, "lm_head.layer_norm.", "weight", "bias", &p->head.norm));
  PLM_TRY(plm_bind_linear(model, "lm_head.dense.", "weight", 1, "bias", &p->head.dense));
  return plm_bind_linear(model, "", embedding_name, 1, "lm_head.bias", &p->head.decoder);
}

/* ---- forward ---- */

static plm_status embed(const plm_pass *pass, const parts *p, float **ret_x) {
  const plm_model_config *config = &pass->model->config;
  PLM_TRY(PLM_TAKE(&pass->model->stack, pass->in.N * config->hidden_size, PLM_F32, ret_x));
  const plm_embed_forward_args args = {
      .N = pass->in.N,
      .C = config->hidden_size,
      .V = config->vocab_size,
      .tokens = pass->in.tokens,
      .table = p->embedding,
      .table_dtype = PLM_F32,
      .row_scale = pass->in.row_scale,
      .out = *ret_x,
  };
  return pass->x->ops->embed_forward(pass->x, &args);
}

/* middle = x + attention(norm(x)), at the rows of `queries`. */
static plm_status attention_forward(const plm_pass *pass, const plm_rows *queries, layer *l) {
  plm_stack *stack = &pass->model->stack;
  plm_dtype type = pass->model->options.dtype;
  const int64_t N = pass->in.N, C = pass->model->config.hidden_size;
  const bool gathers = queries->ids != NULL;
  l->mean1 = l->rstd1 = NULL;
  l->middle = l->x;
  if (pass->keep) {
    PLM_TRY(PLM_TAKE(stack, N, PLM_F32, &l->mean1));
    PLM_TRY(PLM_TAKE(stack, N, PLM_F32, &l->rstd1));
  }
  if (pass->keep || gathers) PLM_TRY(PLM_TAKE(stack, queries->count * C, PLM_F32, &l->middle));
  size_t inference_mark = plm_stack_mark(stack);
  PLM_TRY(plm_attention_take(pass, &l->attention, queries, &pass->in.all, &l->state));

  size_t mark = plm_stack_mark(stack);
  void *a; /* [N,C] */
  PLM_TRY(PLM_TAKE(stack, N * C, type, &a));
  PLM_TRY(plm_norm_apply(pass, &l->attention_norm, N, l->x, PLM_F32, a, type, l->mean1, l->rstd1));
  PLM_TRY(plm_attention_project(pass, &l->attention, queries, &pass->in.all, a, &l->state));
  plm_stack_release(stack, mark);

  if (gathers) PLM_TRY(plm_gather(pass, queries, l->x, PLM_F32, l->middle));
  PLM_TRY(plm_attention_attend(pass, &l->attention, queries, &pass->in.all, &l->state, gathers ? l->middle : l->x,
                               l->middle));
  if (!pass->keep) plm_stack_release(stack, inference_mark);
  return PLM_OK;
}

/* *ret_out [n,C] = middle + ffn(norm(middle)) */
static plm_status ffn_forward(const plm_pass *pass, int64_t n, layer *l, float **ret_out) {
  plm_stack *stack = &pass->model->stack;
  plm_dtype type = pass->model->options.dtype;
  const int64_t C = pass->model->config.hidden_size, F = pass->model->config.intermediate_size;
  float *out = l->middle;
  l->mean2 = l->rstd2 = NULL;
  if (pass->keep) {
    PLM_TRY(PLM_TAKE(stack, n, PLM_F32, &l->mean2));
    PLM_TRY(PLM_TAKE(stack, n, PLM_F32, &l->rstd2));
    PLM_TRY(PLM_TAKE(stack, n * C, PLM_F32, &out));
  }
  size_t inference_mark = plm_stack_mark(stack);
  PLM_TRY(PLM_TAKE(stack, n * F, type, &l->up));
  size_t mark = plm_stack_mark(stack);
  void *f; /* [n,C] */
  PLM_TRY(PLM_TAKE(stack, n * C, type, &f));
  PLM_TRY(plm_norm_apply(pass, &l->ffn_norm, n, l->middle, PLM_F32, f, type, l->mean2, l->rstd2));
  PLM_TRY(plm_ffn_up(pass, &l->ffn, n, f, l->up));
  plm_stack_release(stack, mark);
  PLM_TRY(plm_ffn_down(pass, &l->ffn, n, l->up, l->middle, out));
  if (!pass->keep) plm_stack_release(stack, inference_mark);
  *ret_out = out;
  return PLM_OK;
}

static plm_status head_forward(const plm_pass *pass, parts *p) {
  plm_stack *stack = &pass->model->stack;
  const int64_t M = pass->in.read.count;
  p->mean = p->rstd = NULL;
  if (pass->keep) {
    PLM_TRY(PLM_TAKE(stack, M, PLM_F32, &p->mean));
    PLM_TRY(PLM_TAKE(stack, M, PLM_F32, &p->rstd));
  }
  PLM_TRY(plm_mlm_head_take(pass, &p->state));
  PLM_TRY(
      plm_norm_apply(pass, &p->final_norm, M, p->x, PLM_F32, p->state.y, pass->model->options.dtype, p->mean, p->rstd));
  return plm_mlm_head_forward(pass, &p->head, &p->state);
}

static plm_status forward(plm_pass *pass) {
  parts *p = pass->model->parts;
  float *x; /* [N,C], then in the last layer [n,C] */
  PLM_TRY(plm_bucket_needed(pass, 0));
  PLM_TRY(embed(pass, p, &x));
  for (int64_t i = 0; i < pass->layers; i++) {
    const plm_rows *queries = plm_pass_queries(pass, i);
    layer *l = &p->layers[i];
    PLM_TRY(plm_pass_give_hidden(pass, i, x));
    PLM_TRY(plm_bucket_needed(pass, (int)i + 1));
    l->x = x;
    PLM_TRY(attention_forward(pass, queries, l));
    PLM_TRY(ffn_forward(pass, queries->count, l, &x));
  }
  p->x = x;
  if (pass->layers < pass->model->config.num_hidden_layers) return plm_pass_give_hidden(pass, pass->layers, x);
  PLM_TRY(plm_bucket_needed(pass, plm_head_bucket(pass)));
  PLM_TRY(plm_pass_give_last_hidden(pass, &p->final_norm, x));
  return plm_pass_reads_head(pass) ? head_forward(pass, p) : PLM_OK;
}

/* ---- backward ---- */

/* d [n,C]: gradient of the block's output in, of its input (through the residual too) out. */
static plm_status ffn_backward(const plm_pass *pass, int64_t n, const layer *l, float *d) {
  plm_stack *stack = &pass->model->stack;
  plm_dtype type = pass->model->options.dtype;
  const int64_t C = pass->model->config.hidden_size;
  size_t mark = plm_stack_mark(stack);
  void *d_up, *f; /* [n,F]; [n,C] recomputed */
  float *d_f;     /* [n,C] */
  PLM_TRY(plm_ffn_down_gradient(pass, &l->ffn, n, l->up, d, &d_up));
  PLM_TRY(PLM_TAKE(stack, n * C, type, &f));
  PLM_TRY(PLM_TAKE(stack, n * C, PLM_F32, &d_f));
  PLM_TRY(plm_norm_apply(pass, &l->ffn_norm, n, l->middle, PLM_F32, f, type, NULL, NULL));
  PLM_TRY(plm_ffn_up_gradient(pass, &l->ffn, n, f, d_up, d_f));
  PLM_TRY(plm_norm_gradient(pass, &l->ffn_norm, n, d_f, l->middle, PLM_F32, l->mean2, l->rstd2, d, d, PLM_F32));
  plm_stack_release(stack, mark);
  return PLM_OK;
}

/* d_out [n,C]: gradient of the block's output. d_x [N,C]: of its input, written; the same unless rows are fewer. */
static plm_status attention_backward(const plm_pass *pass, const plm_rows *queries, const layer *l, float *d_out,
                                     float *d_x) {
  plm_stack *stack = &pass->model->stack;
  plm_dtype type = pass->model->options.dtype;
  const int64_t N = pass->in.N, C = pass->model->config.hidden_size;
  size_t mark = plm_stack_mark(stack);
  plm_attention_state d = {0}; /* gradients of q, k, v */
  void *a;                     /* [N,C] recomputed */
  float *d_a;                  /* [N,C] */
  PLM_TRY(plm_attention_gradient(pass, &l->attention, queries, &pass->in.all, &l->state, d_out, &d));
  PLM_TRY(PLM_TAKE(stack, N * C, type, &a));
  PLM_TRY(PLM_TAKE(stack, N * C, PLM_F32, &d_a));
  PLM_TRY(plm_norm_apply(pass, &l->attention_norm, N, l->x, PLM_F32, a, type, NULL, NULL));
  PLM_TRY(plm_attention_project_gradient(pass, &l->attention, queries, &pass->in.all, a, &d, d_a));
  if (d_x != d_out) PLM_TRY(plm_scatter(pass, queries, d_out, d_x, false));
  PLM_TRY(plm_norm_gradient(pass, &l->attention_norm, N, d_a, l->x, PLM_F32, l->mean1, l->rstd1, d_x, d_x, PLM_F32));
  plm_stack_release(stack, mark);
  return PLM_OK;
}

/* d_x [M,C]: gradient of the stream before the final norm, written. */
static plm_status head_backward(const plm_pass *pass, parts *p, float *d_x) {
  plm_stack *stack = &pass->model->stack;
  const int64_t M = pass->in.read.count;
  size_t mark = plm_stack_mark(stack);
  float *d_y; /* [M,C] */
  PLM_TRY(PLM_TAKE(stack, M * pass->model->config.hidden_size, PLM_F32, &d_y));
  PLM_TRY(plm_mlm_head_backward(pass, &p->head, &p->state, d_y));
  PLM_TRY(plm_norm_gradient(pass, &p->final_norm, M, d_y, p->x, PLM_F32, p->mean, p->rstd, NULL, d_x, PLM_F32));
  plm_stack_release(stack, mark);
  return plm_bucket_ready(pass, plm_head_bucket(pass));
}

static plm_status embed_backward(const plm_pass *pass, const parts *p, const float *d_x) {
  const plm_model_config *config = &pass->model->config;
  const plm_embed_backward_args args = {
      .N = pass->in.N,
      .C = config->hidden_size,
      .V = config->vocab_size,
      .tokens = pass->in.tokens,
      .d_out = d_x,
      .dtype = PLM_F32,
      .row_scale = pass->in.row_scale,
      .has_padding_id = true,
      .padding_id = config->pad_token_id,
      .d_table = p->d_embedding,
  };
  return p->d_embedding != NULL ? pass->x->ops->embed_backward(pass->x, &args) : PLM_OK;
}

static plm_status backward(plm_pass *pass) {
  parts *p = pass->model->parts;
  const int64_t C = pass->model->config.hidden_size;
  float *d_x, *d_rows; /* [N,C] [M,C] */
  PLM_TRY(PLM_TAKE(&pass->model->stack, pass->in.N * C, PLM_F32, &d_x));
  PLM_TRY(PLM_TAKE(&pass->model->stack, pass->in.read.count * C, PLM_F32, &d_rows));
  PLM_TRY(head_backward(pass, p, d_rows));
  for (int64_t i = pass->layers - 1; i >= 0; i--) {
    const plm_rows *queries = plm_pass_queries(pass, i);
    float *d = queries == &pass->in.read ? d_rows : d_x;
    PLM_TRY(ffn_backward(pass, queries->count, &p->layers[i], d));
    PLM_TRY(attention_backward(pass, queries, &p->layers[i], d, d_x));
    PLM_TRY(plm_bucket_ready(pass, (int)i + 1));
  }
  PLM_TRY(embed_backward(pass, p, d_x));
  return plm_bucket_ready(pass, 0);
}

const plm_family plm_family_esm2 = {
    .name = "esm2",
    .words = "ESM-2",
    .alphabet = "esm2",
    .rotary = true,
    .model_type = "\"esm\" (ESM-2)",
    .claim = "\"model_type\": \"esm\" or an architecture Esm...",
    .claims = claims,
    .read_config = read_config,
    .write_config = write_config,
    .architecture = "EsmForMaskedLM",
    .head = "lm_head.",
    .presets = presets,
    .preset_count = sizeof presets / sizeof *presets,
    .preset = fill_preset,
    .intermediate_size = intermediate_size,
    .parameters = parameters,
    .rename = rename_tensor,
    .bind = bind,
    .forward = forward,
    .backward = backward,
};
