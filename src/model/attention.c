/* attention.c - residual + attention(q(a), k(a), v(a)) W_o, forward and backward (model_spec 3.6).
 *
 * Keys and values are computed at all N tokens; queries, and everything after them, at the rows that somebody reads.
 * Queries are not scaled by D^-0.5 before rotary, as the published code does, but the scores after it: the same number,
 * one pass less. */
#include <math.h>

#include "model/blocks.h"

static int64_t inner_width(const plm_pass *pass) {
  return pass->model->config.num_attention_heads * pass->model->config.head_width;
}

plm_status plm_bind_attention(plm_model *model, const char *prefix, bool split, const char *const weights[2],
                              const char *const biases[2], plm_attention *ret_attention) {
  const char *none[2] = {NULL, NULL};
  const char *const *b = biases != NULL ? biases : none;
  ret_attention->split = split;
  if (!split) return plm_bind_linear(model, prefix, weights[0], 3, b[0], &ret_attention->query_key_value);
  PLM_TRY(plm_bind_linear(model, prefix, weights[0], 1, b[0], &ret_attention->query));
  return plm_bind_linear(model, prefix, weights[1], 2, b[1], &ret_attention->key_value);
}

/* Rotate the first `heads` heads of each row of x in place. */
static plm_status rotate(const plm_pass *pass, const plm_rows *rows, int64_t heads, void *x, int64_t stride,
                         bool inverse) {
  const plm_model *model = pass->model;
  if (!model->config.family->rotary) return PLM_OK;
  const plm_rope_args args = {
      .N = rows->count,
      .H = heads,
      .D = model->config.head_width,
      .x = x,
      .dtype = model->options.dtype,
      .stride = stride,
      .positions = rows->positions,
      .cos_table = model->cos_table,
      .sin_table = model->sin_table,
      .inverse = inverse,
  };
  return pass->x->ops->rope(pass->x, &args);
}

static plm_attention_forward_args attention_args(const plm_pass *pass, const plm_rows *queries, const plm_rows *keys,
                                                 const plm_attention_state *state) {
  const plm_model_config *config = &pass->model->config;
  return (plm_attention_forward_args){
      .S = pass->in.S,
      .H = config->num_attention_heads,
      .D = config->head_width,
      .Nq = queries->count,
      .Nk = keys->count,
      .cu_seqlens_q = queries->cu_seqlens,
      .cu_seqlens_k = keys->cu_seqlens,
      .host_cu_seqlens_q = queries->host_cu_seqlens,
      .host_cu_seqlens_k = keys->host_cu_seqlens,
      .q = state->q,
      .k = state->k,
      .v = state->v,
      .q_stride = state->q_stride,
      .k_stride = state->kv_stride,
      .v_stride = state->kv_stride,
      .dtype = pass->model->options.dtype,
      .scale = 1 / sqrt((double)config->head_width),
      .o = state->o,
      .lse = state->lse,
  };
}

/* ---- forward ---- */

/* Lay q, k, v out: one [N,3HD] tensor, or q [n,HD] and k, v [N,2HD]. */
static plm_status take_qkv(const plm_pass *pass, const plm_attention *block, const plm_rows *queries,
                           const plm_rows *keys, plm_attention_state *state) {
  plm_stack *stack = &pass->model->stack;
  plm_dtype type = pass->model->options.dtype;
  int64_t HD = inner_width(pass), bytes = HD * (int64_t)plm_dtype_size(type);
  if (block->split) {
    PLM_TRY(PLM_TAKE(stack, queries->count * HD, type, &state->q));
    PLM_TRY(PLM_TAKE(stack, keys->count * 2 * HD, type, &state->k));
    state->q_stride = HD;
    state->kv_stride = 2 * HD;
  } else {
    PLM_TRY(PLM_TAKE(stack, keys->count * 3 * HD, type, &state->q));
    state->k = state->q + bytes;
    state->q_stride = state->kv_stride = 3 * HD;
  }
  state->v = state->k + bytes;
  return PLM_OK;
}

plm_status plm_attention_take(const plm_pass *pass, const plm_attention *block, const plm_rows *queries,
                              const plm_rows *keys, plm_attention_state *state) {
  plm_stack *stack = &pass->model->stack;
  state->lse = NULL;
  if (pass->keep)
    PLM_TRY(PLM_TAKE(stack, queries->count * pass->model->config.num_attention_heads, PLM_F32, &state->lse));
  PLM_TRY(take_qkv(pass, block, queries, keys, state));
  return PLM_TAKE(stack, queries->count * inner_width(pass), pass->model->options.dtype, &state->o);
}

plm_status plm_attention_project(const plm_pass *pass, const plm_attention *block, const plm_rows *queries,
                                 const plm_rows *keys, const void *a, plm_attention_state *state) {
  plm_dtype type = pass->model->options.dtype;
  int64_t H = pass->model->config.num_attention_heads;
  if (!block->split) {
    PLM_TRY(plm_linear_apply(pass, &block->query_key_value, keys->count, a, NULL, state->q, type));
    return rotate(pass, keys, 2 * H, state->q, state->q_stride, false); /* k's heads follow q's */
  }
  PLM_TRY(plm_linear_apply(pass, &block->key_value, keys->count, a, NULL, state->k, type));
  PLM_TRY(rotate(pass, keys, H, state->k, state->kv_stride, false));
  const void *a_rows = a;
  if (queries->ids != NULL) {
    void *gathered;
    PLM_TRY(PLM_TAKE(&pass->model->stack, queries->count * pass->model->config.hidden_size, type, &gathered));
    PLM_TRY(plm_gather(pass, queries, a, type, gathered));
    a_rows = gathered;
  }
  PLM_TRY(plm_linear_apply(pass, &block->query, queries->count, a_rows, NULL, state->q, type));
  return rotate(pass, queries, H, state->q, state->q_stride, false);
}

plm_status plm_attention_attend(const plm_pass *pass, const plm_attention *block, const plm_rows *queries,
                                const plm_rows *keys, plm_attention_state *state, const float *residual, float *out) {
  const plm_attention_forward_args args = attention_args(pass, queries, keys, state);
  PLM_TRY(pass->x->ops->attention_forward(pass->x, &args));
  return plm_linear_apply(pass, &block->output, queries->count, state->o, residual, out, PLM_F32);
}

/* ---- backward ---- */

plm_status plm_attention_gradient(const plm_pass *pass, const plm_attention *block, const plm_rows *queries,
                                  const plm_rows *keys, const plm_attention_state *state, const float *d_out,
                                  plm_attention_state *d) {
  plm_stack *stack = &pass->model->stack;
  plm_dtype type = pass->model->options.dtype;
  const int64_t n = queries->count;
  PLM_TRY(take_qkv(pass, block, queries, keys, d));
  size_t mark = plm_stack_mark(stack);
  const void *operand; /* [n,C] */
  void *d_o;           /* [n,HD] */
  PLM_TRY(plm_as_operand(pass, d_out, n * pass->model->config.hidden_size, &operand));
  PLM_TRY(PLM_TAKE(stack, n * inner_width(pass), type, &d_o));
  PLM_TRY(plm_linear_gradient(pass, &block->output, n, operand, state->o));
  PLM_TRY(plm_linear_input_gradient(pass, &block->output, n, operand, d_o, type));
  const plm_attention_backward_args args = {
      .forward = attention_args(pass, queries, keys, state),
      .d_o = d_o,
      .d_q = d->q,
      .d_k = d->k,
      .d_v = d->v,
      .d_q_stride = d->q_stride,
      .d_k_stride = d->kv_stride,
      .d_v_stride = d->kv_stride,
  };
  PLM_TRY(pass->x->ops->attention_backward(pass->x, &args));
  plm_stack_release(stack, mark);
  return PLM_OK;
}

/* The queries' part, where they are fewer: added to d_a at their rows. */
static plm_status query_gradient(const plm_pass *pass, const plm_attention *block, const plm_rows *queries,
                                 const void *a, const plm_attention_state *d, float *d_a) {
  plm_stack *stack = &pass->model->stack;
  plm_dtype type = pass->model->options.dtype;
  const int64_t n = queries->count, C = pass->model->config.hidden_size;
  void *a_rows;    /* [n,C] */
  float *d_a_rows; /* [n,C] */
  PLM_TRY(PLM_TAKE(stack, n * C, type, &a_rows));
  PLM_TRY(PLM_TAKE(stack, n * C, PLM_F32, &d_a_rows));
  PLM_TRY(plm_gather(pass, queries, a, type, a_rows));
  PLM_TRY(rotate(pass, queries, pass->model->config.num_attention_heads, d->q, d->q_stride, true));
  PLM_TRY(plm_linear_gradient(pass, &block->query, n, d->q, a_rows));
  PLM_TRY(plm_linear_input_gradient(pass, &block->query, n, d->q, d_a_rows, PLM_F32));
  return plm_scatter(pass, queries, d_a_rows, d_a, true);
}

plm_status plm_attention_project_gradient(const plm_pass *pass, const plm_attention *block, const plm_rows *queries,
                                          const plm_rows *keys, const void *a, const plm_attention_state *d,
                                          float *d_a) {
  int64_t H = pass->model->config.num_attention_heads;
  if (!block->split) {
    PLM_TRY(rotate(pass, keys, 2 * H, d->q, d->q_stride, true));
    PLM_TRY(plm_linear_gradient(pass, &block->query_key_value, keys->count, d->q, a));
    return plm_linear_input_gradient(pass, &block->query_key_value, keys->count, d->q, d_a, PLM_F32);
  }
  PLM_TRY(rotate(pass, keys, H, d->k, d->kv_stride, true));
  PLM_TRY(plm_linear_gradient(pass, &block->key_value, keys->count, d->k, a));
  PLM_TRY(plm_linear_input_gradient(pass, &block->key_value, keys->count, d->k, d_a, PLM_F32));
  return query_gradient(pass, block, queries, a, d, d_a);
}
