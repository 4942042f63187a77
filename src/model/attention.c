/* attention.c - x + attention(norm(x)) W_o, forward and backward (model_spec 3.6).
 *
 * The last layer's queries, and everything after them, exist only at the M rows that the loss reads; its keys and
 * values at all N tokens. Queries are not scaled by D^-0.5 before rotary, as the published code does, but the scores
 * after it: the same number, one pass less. */
#include <math.h>

#include "model/internal.h"

static int64_t inner_width(const plm_pass *pass) {
  return pass->model->config.num_attention_heads * pass->model->config.head_width;
}

static bool is_gathering(const plm_pass *pass, const plm_layer *layer) { return layer->is_last && !pass->in.every_row; }

/* Rotate the first `heads` heads of each row of x in place. */
static plm_status rotate(const plm_pass *pass, int64_t n, int64_t heads, void *x, int64_t stride,
                         const int32_t *positions, bool inverse) {
  const plm_model *model = pass->model;
  const plm_rope_args args = {
      .N = n,
      .H = heads,
      .D = model->config.head_width,
      .x = x,
      .dtype = model->options.dtype,
      .stride = stride,
      .positions = positions,
      .cos_table = model->cos_table,
      .sin_table = model->sin_table,
      .inverse = inverse,
  };
  return pass->x->ops->rope(pass->x, &args);
}

/* Rows of a [N,C] tensor to [M,C]. */
static plm_status gather(const plm_pass *pass, const void *from, plm_dtype dtype, void *to) {
  return pass->x->ops->gather_rows(pass->x, &(plm_gather_rows_args){
                                                .M = pass->in.M,
                                                .C = pass->model->config.hidden_size,
                                                .rows = pass->in.rows,
                                                .from = from,
                                                .to = to,
                                                .dtype = dtype,
                                            });
}

static plm_status scatter(const plm_pass *pass, const float *from, float *to, bool accumulate) {
  const plm_scatter_rows_args args = {
      .M = pass->in.M,
      .N = pass->in.N,
      .C = pass->model->config.hidden_size,
      .rows = pass->in.rows,
      .from = from,
      .to = to,
      .dtype = PLM_F32,
      .accumulate = accumulate,
  };
  return pass->x->ops->scatter_rows(pass->x, &args);
}

static plm_attention_forward_args attention_args(const plm_pass *pass, const plm_layer *layer,
                                                 const plm_layer_state *state) {
  const plm_inputs *in = &pass->in;
  const plm_model_config *config = &pass->model->config;
  return (plm_attention_forward_args){
      .S = in->S,
      .H = config->num_attention_heads,
      .D = config->head_width,
      .Nq = plm_layer_rows(pass, layer),
      .Nk = in->N,
      .cu_seqlens_q = layer->is_last ? in->row_cu_seqlens : in->cu_seqlens,
      .cu_seqlens_k = in->cu_seqlens,
      .host_cu_seqlens_q = layer->is_last ? in->host_row_cu_seqlens : in->host_cu_seqlens,
      .host_cu_seqlens_k = in->host_cu_seqlens,
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

/* ---- q, k, v ---- */

/* Lay q, k, v out: one [N,3HD] tensor, or in the last layer q [M,HD] and k, v [N,2HD]. */
static plm_status take_qkv(const plm_pass *pass, const plm_layer *layer, plm_layer_state *state) {
  plm_stack *stack = &pass->model->stack;
  plm_dtype type = pass->model->options.dtype;
  int64_t HD = inner_width(pass), bytes = HD * (int64_t)plm_dtype_size(type);
  if (layer->is_last) {
    PLM_TRY(PLM_TAKE(stack, pass->in.M * HD, type, &state->q));
    PLM_TRY(PLM_TAKE(stack, pass->in.N * 2 * HD, type, &state->k));
    state->q_stride = HD;
    state->kv_stride = 2 * HD;
  } else {
    PLM_TRY(PLM_TAKE(stack, pass->in.N * 3 * HD, type, &state->q));
    state->k = state->q + bytes;
    state->q_stride = state->kv_stride = 3 * HD;
  }
  state->v = state->k + bytes;
  return PLM_OK;
}

/* a [N,C] A: the norm's output. */
static plm_status project_qkv(const plm_pass *pass, const plm_layer *layer, const void *a, plm_layer_state *state) {
  const plm_inputs *in = &pass->in;
  plm_dtype type = pass->model->options.dtype;
  int64_t H = pass->model->config.num_attention_heads;
  if (!layer->is_last) {
    PLM_TRY(plm_linear_apply(pass, layer->query_key_value, in->N, a, NULL, state->q, type));
    return rotate(pass, in->N, 2 * H, state->q, state->q_stride, in->positions, false); /* k's heads follow q's */
  }
  PLM_TRY(plm_linear_apply(pass, layer->key_value, in->N, a, NULL, state->k, type));
  PLM_TRY(rotate(pass, in->N, H, state->k, state->kv_stride, in->positions, false));
  const void *a_rows = a;
  if (!in->every_row) {
    void *gathered;
    PLM_TRY(PLM_TAKE(&pass->model->stack, in->M * pass->model->config.hidden_size, type, &gathered));
    PLM_TRY(gather(pass, a, type, gathered));
    a_rows = gathered;
  }
  PLM_TRY(plm_linear_apply(pass, layer->query, in->M, a_rows, NULL, state->q, type));
  return rotate(pass, in->M, H, state->q, state->q_stride, in->row_positions, false);
}

/* ---- forward ---- */

plm_status plm_attention_block_forward(const plm_pass *pass, const plm_layer *layer, plm_layer_state *state) {
  plm_stack *stack = &pass->model->stack;
  plm_dtype type = pass->model->options.dtype;
  int64_t N = pass->in.N, n = plm_layer_rows(pass, layer), C = pass->model->config.hidden_size;

  state->mean1 = state->rstd1 = state->lse = NULL;
  state->middle = state->x;
  if (pass->keep) {
    PLM_TRY(PLM_TAKE(stack, N, PLM_F32, &state->mean1));
    PLM_TRY(PLM_TAKE(stack, N, PLM_F32, &state->rstd1));
    PLM_TRY(PLM_TAKE(stack, n * pass->model->config.num_attention_heads, PLM_F32, &state->lse));
  }
  if (pass->keep || is_gathering(pass, layer)) PLM_TRY(PLM_TAKE(stack, n * C, PLM_F32, &state->middle));
  size_t inference_mark = plm_stack_mark(stack);
  PLM_TRY(take_qkv(pass, layer, state));
  PLM_TRY(PLM_TAKE(stack, n * inner_width(pass), type, &state->o));

  size_t mark = plm_stack_mark(stack);
  void *a; /* [N,C] */
  PLM_TRY(PLM_TAKE(stack, N * C, type, &a));
  PLM_TRY(plm_norm_apply(pass, &layer->attention_norm, N, state->x, PLM_F32, a, type, state->mean1, state->rstd1));
  PLM_TRY(project_qkv(pass, layer, a, state));
  plm_stack_release(stack, mark);

  plm_attention_forward_args attention = attention_args(pass, layer, state);
  PLM_TRY(pass->x->ops->attention_forward(pass->x, &attention));

  const float *residual = state->x;
  if (is_gathering(pass, layer)) {
    PLM_TRY(gather(pass, state->x, PLM_F32, state->middle));
    residual = state->middle;
  }
  PLM_TRY(plm_linear_apply(pass, layer->attention_output, n, state->o, residual, state->middle, PLM_F32));
  if (!pass->keep) plm_stack_release(stack, inference_mark);
  return PLM_OK;
}

/* ---- backward ---- */

/* Gradients of q, k, v after rotary become those of the norm's output, d_a [N,C] F32, and of the projections'
 * parameters. */
static plm_status backward_qkv(const plm_pass *pass, const plm_layer *layer, const void *a, const plm_layer_state *d,
                               float *d_a) {
  plm_stack *stack = &pass->model->stack;
  const plm_inputs *in = &pass->in;
  plm_dtype type = pass->model->options.dtype;
  int64_t H = pass->model->config.num_attention_heads, C = pass->model->config.hidden_size;
  if (!layer->is_last) {
    PLM_TRY(rotate(pass, in->N, 2 * H, d->q, d->q_stride, in->positions, true));
    PLM_TRY(plm_linear_gradient(pass, layer->query_key_value, in->N, d->q, a));
    return plm_linear_input_gradient(pass, layer->query_key_value, in->N, d->q, d_a, PLM_F32);
  }
  PLM_TRY(rotate(pass, in->N, H, d->k, d->kv_stride, in->positions, true));
  PLM_TRY(plm_linear_gradient(pass, layer->key_value, in->N, d->k, a));
  PLM_TRY(plm_linear_input_gradient(pass, layer->key_value, in->N, d->k, d_a, PLM_F32));

  void *a_rows;    /* [M,C] */
  float *d_a_rows; /* [M,C] */
  PLM_TRY(PLM_TAKE(stack, in->M * C, type, &a_rows));
  PLM_TRY(PLM_TAKE(stack, in->M * C, PLM_F32, &d_a_rows));
  PLM_TRY(gather(pass, a, type, a_rows));
  PLM_TRY(rotate(pass, in->M, H, d->q, d->q_stride, in->row_positions, true));
  PLM_TRY(plm_linear_gradient(pass, layer->query, in->M, d->q, a_rows));
  PLM_TRY(plm_linear_input_gradient(pass, layer->query, in->M, d->q, d_a_rows, PLM_F32));
  return scatter(pass, d_a_rows, d_a, true);
}

plm_status plm_attention_block_backward(const plm_pass *pass, const plm_layer *layer, const plm_layer_state *state,
                                        float *d_rows, float *d_x) {
  plm_stack *stack = &pass->model->stack;
  plm_dtype type = pass->model->options.dtype;
  int64_t N = pass->in.N, n = plm_layer_rows(pass, layer), C = pass->model->config.hidden_size;
  size_t mark = plm_stack_mark(stack);

  plm_layer_state d = {0}; /* gradients of q, k, v */
  PLM_TRY(take_qkv(pass, layer, &d));
  size_t attention_mark = plm_stack_mark(stack);
  const void *d_out; /* [n,C] */
  void *d_o;         /* [n,HD] */
  PLM_TRY(plm_as_operand(pass, d_rows, n * C, &d_out));
  PLM_TRY(PLM_TAKE(stack, n * inner_width(pass), type, &d_o));
  PLM_TRY(plm_linear_gradient(pass, layer->attention_output, n, d_out, state->o));
  PLM_TRY(plm_linear_input_gradient(pass, layer->attention_output, n, d_out, d_o, type));
  const plm_attention_backward_args args = {
      .forward = attention_args(pass, layer, state),
      .d_o = d_o,
      .d_q = d.q,
      .d_k = d.k,
      .d_v = d.v,
      .d_q_stride = d.q_stride,
      .d_k_stride = d.kv_stride,
      .d_v_stride = d.kv_stride,
  };
  PLM_TRY(pass->x->ops->attention_backward(pass->x, &args));
  plm_stack_release(stack, attention_mark);

  void *a;    /* [N,C] recomputed */
  float *d_a; /* [N,C] */
  PLM_TRY(PLM_TAKE(stack, N * C, type, &a));
  PLM_TRY(PLM_TAKE(stack, N * C, PLM_F32, &d_a));
  PLM_TRY(plm_norm_apply(pass, &layer->attention_norm, N, state->x, PLM_F32, a, type, NULL, NULL));
  PLM_TRY(backward_qkv(pass, layer, a, &d, d_a));
  if (d_x != d_rows) PLM_TRY(scatter(pass, d_rows, d_x, false));
  PLM_TRY(plm_norm_gradient(pass, &layer->attention_norm, N, d_a, state->x, PLM_F32, state->mean1, state->rstd1, d_x,
                            d_x, PLM_F32));
  plm_stack_release(stack, mark);
  return PLM_OK;
}
