/* made_up.c - see made_up.h. Contents: config.json, parameters, views, forward, backward. */
#include "support/made_up.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "model/blocks.h"
#include "support/made_up_alphabet.h"
#include "support/unit.h"

/* ---- config.json ---- */

static bool claims(const json_t *document) {
  const char *type = json_string_value(json_object_get(document, "model_type"));
  return type != NULL && strcmp(type, "made_up") == 0;
}

static void fill_preset(plm_model_config *config) {
  const plm_alphabet *alphabet = made_up_alphabet();
  config->vocab_size = alphabet->size;
  config->mask_token_id = alphabet->mask;
  config->pad_token_id = alphabet->pad;
  config->layer_norm_eps = 1e-6;
  config->initializer_range = 0.05;
  config->max_position_embeddings = 40;
}

static plm_status read_config(const json_t *document, const char *what, plm_model_config *config) {
  fill_preset(config);
  PLM_TRY(plm_config_read_sizes(document, what, config->vocab_size, config));
  return plm_config_read_numbers(document, what, config);
}

static plm_status write_config(const plm_model_config *c, json_t **ret_document) {
  *ret_document = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f}", "model_type", "made_up", "vocab_size",
                            (json_int_t)c->vocab_size, "hidden_size", (json_int_t)c->hidden_size, "num_hidden_layers",
                            (json_int_t)c->num_hidden_layers, "num_attention_heads", (json_int_t)c->num_attention_heads,
                            "intermediate_size", (json_int_t)c->intermediate_size, "max_position_embeddings",
                            (json_int_t)c->max_position_embeddings, "layer_norm_eps", c->layer_norm_eps,
                            "initializer_range", c->initializer_range);
  return *ret_document != NULL ? PLM_OK : plm_fail(PLM_E_RESOURCE, "out of memory");
}

static int64_t intermediate_size(int64_t hidden_size) { return 3 * hidden_size; }

static const plm_preset presets[] = {{"made_up_tiny", 3, 24, 3}};

/* ---- parameters ---- */

static plm_status add_layer(plm_params_builder *builder, const plm_model_config *config, int64_t i) {
  const int64_t C = config->hidden_size, F = config->intermediate_size;
  const plm_param_row rows[] = {
      {"q.weight", PLM_ROLE_MATRIX, C, C, false},      {"k.weight", PLM_ROLE_MATRIX, C, C, true},
      {"v.weight", PLM_ROLE_MATRIX, C, C, true},       {"o.weight", PLM_ROLE_MATRIX, C, C, false},
      {"o.bias", PLM_ROLE_BIAS, C, 0, false},          {"norm1.weight", PLM_ROLE_NORM_WEIGHT, C, 0, false},
      {"norm1.bias", PLM_ROLE_NORM_BIAS, C, 0, false}, {"up.weight", PLM_ROLE_MATRIX, F, C, false},
      {"up.bias", PLM_ROLE_BIAS, F, 0, false},         {"down.weight", PLM_ROLE_MATRIX, C, F, false},
      {"down.bias", PLM_ROLE_BIAS, C, 0, false},       {"norm2.weight", PLM_ROLE_NORM_WEIGHT, C, 0, false},
      {"norm2.bias", PLM_ROLE_NORM_BIAS, C, 0, false},
  };
  char prefix[PLM_PARAM_NAME];
  snprintf(prefix, sizeof prefix, "block.%d.", (int)i);
  PLM_TRY(plm_params_next_bucket(builder));
  return plm_params_add(builder, prefix, rows, sizeof rows / sizeof *rows);
}

static plm_status parameters(plm_params_builder *builder, const plm_model_config *config) {
  const int64_t C = config->hidden_size, V = config->vocab_size;
  const plm_param_row embedding[] = {
      {"tokens.weight", PLM_ROLE_EMBEDDING, V, C, false},
      {"positions.weight", PLM_ROLE_POSITIONS, config->max_position_embeddings, C, false},
      {"norm.weight", PLM_ROLE_NORM_WEIGHT, C, 0, false},
      {"norm.bias", PLM_ROLE_NORM_BIAS, C, 0, false},
  };
  const plm_param_row head[] = {
      {"head.dense.weight", PLM_ROLE_MATRIX, C, C, false},
      {"head.dense.bias", PLM_ROLE_BIAS, C, 0, false},
      {"head.norm.weight", PLM_ROLE_NORM_WEIGHT, C, 0, false},
      {"head.norm.bias", PLM_ROLE_NORM_BIAS, C, 0, false},
      {"head.bias", PLM_ROLE_BIAS, V, 0, false},
  };
  PLM_TRY(plm_params_add(builder, "", embedding, sizeof embedding / sizeof *embedding));
  for (int64_t i = 0; i < config->num_hidden_layers; i++) PLM_TRY(add_layer(builder, config, i));
  PLM_TRY(plm_params_next_bucket(builder));
  return plm_params_add(builder, "", head, sizeof head / sizeof *head);
}

static plm_tensor_use rename_tensor(const char *name, char ret_name[PLM_PARAM_NAME]) {
  snprintf(ret_name, PLM_PARAM_NAME, "%s", name);
  return PLM_TENSOR_OWN;
}

/* ---- parts ---- */

typedef struct layer {
  plm_attention attention;
  plm_ffn ffn;
  plm_norm norm1, norm2;
  float *x, *s, *y, *t, *mean1, *rstd1, *mean2, *rstd2; /* s, t: what the norms read; y: between them */
  plm_attention_state state;
  void *up;
} layer;

typedef struct parts {
  const float *embedding, *positions;
  float *d_embedding, *d_positions;
  plm_norm norm;
  plm_mlm_head head;
  float *sum, *mean, *rstd; /* of the embedding's norm */
  plm_mlm_head_state state;
  layer layers[];
} parts;

static plm_status bind_layer(plm_model *model, int64_t i, layer *l) {
  static const char *const weights[] = {"q.weight", "k.weight"};
  char prefix[PLM_PARAM_NAME];
  snprintf(prefix, sizeof prefix, "block.%d.", (int)i);
  l->ffn.activation = PLM_RELU;
  PLM_TRY(plm_bind_attention(model, prefix, plm_layer_reads_fewer(model, i), weights, NULL, &l->attention));
  PLM_TRY(plm_bind_linear(model, prefix, "o.weight", 1, "o.bias", &l->attention.output));
  PLM_TRY(plm_bind_norm(model, prefix, "norm1.weight", "norm1.bias", &l->norm1));
  PLM_TRY(plm_bind_linear(model, prefix, "up.weight", 1, "up.bias", &l->ffn.up));
  PLM_TRY(plm_bind_linear(model, prefix, "down.weight", 1, "down.bias", &l->ffn.down));
  return plm_bind_norm(model, prefix, "norm2.weight", "norm2.bias", &l->norm2);
}

static plm_status bind(plm_model *model) {
  const int64_t L = model->config.num_hidden_layers;
  PLM_TRY(plm_alloc_bytes(&model->parts, 1, sizeof(parts) + (size_t)L * sizeof(layer)));
  parts *p = model->parts;
  PLM_TRY(plm_bind_table(model, "tokens.weight", &p->embedding, &p->d_embedding));
  PLM_TRY(plm_bind_table(model, "positions.weight", &p->positions, &p->d_positions));
  PLM_TRY(plm_bind_norm(model, "", "norm.weight", "norm.bias", &p->norm));
  for (int64_t i = 0; i < L; i++) PLM_TRY(bind_layer(model, i, &p->layers[i]));
  PLM_TRY(plm_bind_linear(model, "head.dense.", "weight", 1, "bias", &p->head.dense));
  PLM_TRY(plm_bind_norm(model, "head.norm.", "weight", "bias", &p->head.norm));
  return plm_bind_linear(model, "", "tokens.weight", 1, "head.bias", &p->head.decoder);
}

/* ---- forward ---- */

/* A tensor, and room for the statistics of the norm that reads it. */
static plm_status take(const plm_pass *pass, int64_t n, float **tensor, float **mean, float **rstd) {
  plm_stack *stack = &pass->model->stack;
  PLM_TRY(PLM_TAKE(stack, n * pass->model->config.hidden_size, PLM_F32, tensor));
  PLM_TRY(PLM_TAKE(stack, n, PLM_F32, mean));
  return PLM_TAKE(stack, n, PLM_F32, rstd);
}

static plm_status embed(const plm_pass *pass, parts *p, float **ret_x) {
  const plm_model_config *config = &pass->model->config;
  const int64_t N = pass->in.N;
  PLM_TRY(take(pass, N, &p->sum, &p->mean, &p->rstd));
  PLM_TRY(PLM_TAKE(&pass->model->stack, N * config->hidden_size, PLM_F32, ret_x));
  const plm_embed_forward_args args = {
      .N = N,
      .C = config->hidden_size,
      .V = config->vocab_size,
      .tokens = pass->in.tokens,
      .table = p->embedding,
      .table_dtype = PLM_F32,
      .out = p->sum,
      .P = config->max_position_embeddings,
      .positions = pass->in.all.positions,
      .position_table = p->positions,
  };
  PLM_TRY(pass->x->ops->embed_forward(pass->x, &args));
  return plm_norm_apply(pass, &p->norm, N, p->sum, PLM_F32, *ret_x, PLM_F32, p->mean, p->rstd);
}

/* y = norm(x + attention(x)), *ret_z = norm(y + ffn(y)) */
static plm_status layer_forward(const plm_pass *pass, const plm_rows *queries, layer *l, float **ret_z) {
  plm_stack *stack = &pass->model->stack;
  const plm_model_config *config = &pass->model->config;
  const int64_t N = pass->in.N, n = queries->count, C = config->hidden_size;
  const void *a, *f;
  PLM_TRY(take(pass, n, &l->s, &l->mean1, &l->rstd1));
  PLM_TRY(plm_attention_take(pass, &l->attention, queries, &pass->in.all, &l->state));
  PLM_TRY(plm_as_operand(pass, l->x, N * C, &a));
  PLM_TRY(plm_attention_project(pass, &l->attention, queries, &pass->in.all, a, &l->state));
  if (queries->ids != NULL) PLM_TRY(plm_gather(pass, queries, l->x, PLM_F32, l->s));
  const float *residual = queries->ids != NULL ? l->s : l->x;
  PLM_TRY(plm_attention_attend(pass, &l->attention, queries, &pass->in.all, &l->state, residual, l->s));
  PLM_TRY(PLM_TAKE(stack, n * C, PLM_F32, &l->y));
  PLM_TRY(plm_norm_apply(pass, &l->norm1, n, l->s, PLM_F32, l->y, PLM_F32, l->mean1, l->rstd1));

  PLM_TRY(take(pass, n, &l->t, &l->mean2, &l->rstd2));
  PLM_TRY(PLM_TAKE(stack, n * config->intermediate_size, pass->model->options.dtype, &l->up));
  PLM_TRY(plm_as_operand(pass, l->y, n * C, &f));
  PLM_TRY(plm_ffn_up(pass, &l->ffn, n, f, l->up));
  PLM_TRY(plm_ffn_down(pass, &l->ffn, n, l->up, l->y, l->t));
  PLM_TRY(PLM_TAKE(stack, n * C, PLM_F32, ret_z));
  return plm_norm_apply(pass, &l->norm2, n, l->t, PLM_F32, *ret_z, PLM_F32, l->mean2, l->rstd2);
}

static plm_status head_forward(const plm_pass *pass, parts *p, const float *x) {
  const int64_t count = pass->in.read.count * pass->model->config.hidden_size;
  PLM_TRY(plm_mlm_head_take(pass, &p->state));
  const plm_convert_args args = {
      .n = count,
      .from = x,
      .from_dtype = PLM_F32,
      .to = p->state.y,
      .to_dtype = pass->model->options.dtype,
  };
  PLM_TRY(pass->x->ops->convert(pass->x, &args));
  return plm_mlm_head_forward(pass, &p->head, &p->state);
}

static plm_status forward(plm_pass *pass) {
  parts *p = pass->model->parts;
  float *x;
  PLM_TRY(plm_bucket_needed(pass, 0));
  PLM_TRY(embed(pass, p, &x));
  for (int64_t i = 0; i < pass->layers; i++) {
    PLM_TRY(plm_pass_give_hidden(pass, i, x));
    PLM_TRY(plm_bucket_needed(pass, (int)i + 1));
    p->layers[i].x = x;
    PLM_TRY(layer_forward(pass, plm_pass_queries(pass, i), &p->layers[i], &x));
  }
  PLM_TRY(plm_pass_give_hidden(pass, pass->layers, x));
  if (!plm_pass_reads_head(pass)) return PLM_OK;
  PLM_TRY(plm_bucket_needed(pass, plm_head_bucket(pass)));
  return head_forward(pass, p, x);
}

/* ---- backward ----
 * A stream that a residual leaves has two gradients, and what reads their sum is a norm, which is linear in it: it is
 * asked twice, and adds up. */

typedef struct gradients {
  float *direct, *residual; /* residual NULL: there is none */
} gradients;

/* d_x = the norm's gradient of both; written over `residual` or `direct`. */
static plm_status norm_backward(const plm_pass *pass, const plm_norm *norm, int64_t n, gradients d, const float *x,
                                const float *mean, const float *rstd, float *d_x) {
  const float *add = NULL;
  if (d.residual != NULL) {
    PLM_TRY(plm_norm_gradient(pass, norm, n, d.residual, x, PLM_F32, mean, rstd, NULL, d_x, PLM_F32));
    add = d_x;
  }
  return plm_norm_gradient(pass, norm, n, d.direct, x, PLM_F32, mean, rstd, add, d_x, PLM_F32);
}

static plm_status ffn_backward(const plm_pass *pass, int64_t n, const layer *l, gradients d, float *d_s) {
  const int64_t C = pass->model->config.hidden_size;
  plm_stack *stack = &pass->model->stack;
  void *d_up;
  const void *f;
  float *d_t, *d_f;
  PLM_TRY(PLM_TAKE(stack, n * C, PLM_F32, &d_t));
  PLM_TRY(PLM_TAKE(stack, n * C, PLM_F32, &d_f));
  PLM_TRY(norm_backward(pass, &l->norm2, n, d, l->t, l->mean2, l->rstd2, d_t));
  PLM_TRY(plm_ffn_down_gradient(pass, &l->ffn, n, l->up, d_t, &d_up));
  PLM_TRY(plm_as_operand(pass, l->y, n * C, &f));
  PLM_TRY(plm_ffn_up_gradient(pass, &l->ffn, n, f, d_up, d_f));
  return norm_backward(pass, &l->norm1, n, (gradients){d_f, d_t}, l->s, l->mean1, l->rstd1, d_s);
}

/* Of z in, of x out: in both cases all that `d` points to. */
static plm_status layer_backward(const plm_pass *pass, const plm_rows *queries, const layer *l, gradients d,
                                 gradients ret_d) {
  const int64_t N = pass->in.N, n = queries->count, C = pass->model->config.hidden_size;
  plm_stack *stack = &pass->model->stack;
  size_t mark = plm_stack_mark(stack);
  plm_attention_state d_state = {0};
  const void *a;
  float *d_s;
  PLM_TRY(PLM_TAKE(stack, n * C, PLM_F32, &d_s));
  PLM_TRY(ffn_backward(pass, n, l, d, d_s));
  PLM_TRY(plm_attention_gradient(pass, &l->attention, queries, &pass->in.all, &l->state, d_s, &d_state));
  PLM_TRY(plm_as_operand(pass, l->x, N * C, &a));
  PLM_TRY(plm_attention_project_gradient(pass, &l->attention, queries, &pass->in.all, a, &d_state, ret_d.direct));
  if (queries->ids != NULL) {
    PLM_TRY(plm_scatter(pass, queries, d_s, ret_d.residual, false));
  } else {
    const plm_convert_args copy = {
        .n = N * C,
        .from = d_s,
        .from_dtype = PLM_F32,
        .to = ret_d.residual,
        .to_dtype = PLM_F32,
    };
    PLM_TRY(pass->x->ops->convert(pass->x, &copy));
  }
  plm_stack_release(stack, mark);
  return PLM_OK;
}

static plm_status embed_backward(const plm_pass *pass, const parts *p, gradients d) {
  const plm_model_config *config = &pass->model->config;
  float *d_sum;
  PLM_TRY(PLM_TAKE(&pass->model->stack, pass->in.N * config->hidden_size, PLM_F32, &d_sum));
  PLM_TRY(norm_backward(pass, &p->norm, pass->in.N, d, p->sum, p->mean, p->rstd, d_sum));
  const plm_embed_backward_args args = {
      .N = pass->in.N,
      .C = config->hidden_size,
      .V = config->vocab_size,
      .tokens = pass->in.tokens,
      .d_out = d_sum,
      .dtype = PLM_F32,
      .d_table = p->d_embedding,
      .P = config->max_position_embeddings,
      .positions = pass->in.all.positions,
      .d_position_table = p->d_positions,
  };
  return pass->x->ops->embed_backward(pass->x, &args);
}

static plm_status backward(plm_pass *pass) {
  parts *p = pass->model->parts;
  const int64_t C = pass->model->config.hidden_size;
  plm_stack *stack = &pass->model->stack;
  gradients of_head = {0}, of_x = {0};
  PLM_TRY(PLM_TAKE(stack, pass->in.read.count * C, PLM_F32, &of_head.direct));
  PLM_TRY(PLM_TAKE(stack, pass->in.N * C, PLM_F32, &of_x.direct));
  PLM_TRY(PLM_TAKE(stack, pass->in.N * C, PLM_F32, &of_x.residual));
  PLM_TRY(plm_mlm_head_backward(pass, &p->head, &p->state, of_head.direct));
  PLM_TRY(plm_bucket_ready(pass, plm_head_bucket(pass)));
  for (int64_t i = pass->layers - 1; i >= 0; i--) {
    const plm_rows *queries = plm_pass_queries(pass, i);
    PLM_TRY(layer_backward(pass, queries, &p->layers[i], i == pass->layers - 1 ? of_head : of_x, of_x));
    PLM_TRY(plm_bucket_ready(pass, (int)i + 1));
  }
  PLM_TRY(embed_backward(pass, p, of_x));
  return plm_bucket_ready(pass, 0);
}

const plm_family made_up_family = {
    .name = "made_up",
    .words = "made-up model",
    .alphabet = "made-up",
    .model_type = "\"made_up\"",
    .claim = "\"model_type\": \"made_up\"",
    .claims = claims,
    .architecture = "MadeUpForMaskedLM",
    .head = "head.",
    .read_config = read_config,
    .write_config = write_config,
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

void made_up_register(void) {
  made_up_alphabet();
  assert_ok(plm_family_register(&made_up_family));
}

plm_model_config made_up_config(void) {
  plm_model_config config;
  assert_ok(plm_model_config_preset("made_up_tiny", &config));
  return config;
}
