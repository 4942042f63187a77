/* heads.c - the MLM head at the rows that are read (model_spec 3.6, 3.7), its loss and backward. */
#include "model/blocks.h"

plm_status plm_mlm_head_take(const plm_pass *pass, plm_mlm_head_state *state) {
  plm_stack *stack = &pass->model->stack;
  plm_dtype type = pass->model->options.dtype;
  int64_t M = pass->in.read.count, C = pass->model->config.hidden_size, V = pass->model->config.vocab_size;
  *state = (plm_mlm_head_state){0};
  if (pass->keep) {
    PLM_TRY(PLM_TAKE(stack, M, PLM_F32, &state->mean));
    PLM_TRY(PLM_TAKE(stack, M, PLM_F32, &state->rstd));
  }
  PLM_TRY(PLM_TAKE(stack, M * C, type, &state->y));
  PLM_TRY(PLM_TAKE(stack, M * C, type, &state->dense));
  PLM_TRY(PLM_TAKE(stack, M * C, type, &state->gelu));
  PLM_TRY(PLM_TAKE(stack, M * C, type, &state->normed));
  PLM_TRY(PLM_TAKE(stack, M * V, PLM_F32, &state->logits));
  state->d_logits = state->logits;
  if (pass->keep && type != PLM_F32) PLM_TRY(PLM_TAKE(stack, M * V, type, &state->d_logits));
  return PLM_OK;
}

/* ---- forward ---- */

static plm_status compute_logits(const plm_pass *pass, const plm_mlm_head *head, plm_mlm_head_state *state) {
  plm_dtype type = pass->model->options.dtype;
  int64_t M = pass->in.read.count;
  PLM_TRY(plm_linear_apply(pass, &head->dense, M, state->y, NULL, state->dense, type));
  const plm_activation_forward_args gelu = {
      .n = M * pass->model->config.hidden_size,
      .kind = PLM_GELU_ERF,
      .dtype = type,
      .x = state->dense,
      .y = state->gelu,
  };
  PLM_TRY(pass->x->ops->activation_forward(pass->x, &gelu));
  PLM_TRY(plm_norm_apply(pass, &head->norm, M, state->gelu, type, state->normed, type, state->mean, state->rstd));
  return plm_linear_apply(pass, &head->decoder, M, state->normed, NULL, state->logits, PLM_F32);
}

/* What the pass returns of each row, computed where it is asked for. */
typedef struct row_results {
  float *nll;          /* [M] */
  int32_t *prediction; /* [M] */
} row_results;

static plm_status take_rows(const plm_pass *pass, row_results *rows) {
  plm_stack *stack = &pass->model->stack;
  *rows = (row_results){0};
  const plm_request *request = pass->request;
  if (request != NULL && request->row_nll != NULL) PLM_TRY(PLM_TAKE(stack, pass->in.read.count, PLM_F32, &rows->nll));
  if (request == NULL || request->row_prediction == NULL) return PLM_OK;
  return PLM_TAKE(stack, pass->in.read.count, PLM_I32, &rows->prediction);
}

static plm_status compute_loss(const plm_pass *pass, const plm_mlm_head_state *state) {
  plm_model *model = pass->model;
  const int64_t M = pass->in.read.count;
  row_results rows;
  PLM_TRY(take_rows(pass, &rows));
  const plm_cross_entropy_args args = {
      .M = M,
      .V = model->config.vocab_size,
      .logits = state->logits,
      .dtype = PLM_F32,
      .targets = pass->in.targets,
      .sums = &model->sums->objective[0],
      .d_logits = pass->keep ? state->d_logits : NULL,
      .d_dtype = model->options.dtype,
      .row_nll = rows.nll,
      .row_prediction = rows.prediction,
  };
  PLM_TRY(pass->x->ops->cross_entropy(pass->x, &args));
  if (pass->request == NULL) return PLM_OK;
  PLM_TRY(plm_pass_give(pass, pass->request->row_nll, rows.nll, M, PLM_F32));
  return plm_pass_give(pass, pass->request->row_prediction, rows.prediction, M, PLM_I32);
}

plm_status plm_mlm_head_forward(const plm_pass *pass, const plm_mlm_head *head, plm_mlm_head_state *state) {
  const int64_t logits = pass->in.read.count * pass->model->config.vocab_size;
  PLM_TRY(compute_logits(pass, head, state));
  if (pass->request != NULL) PLM_TRY(plm_pass_give(pass, pass->request->logits, state->logits, logits, PLM_F32));
  return pass->in.targets != NULL ? compute_loss(pass, state) : PLM_OK;
}

/* ---- backward ---- */

plm_status plm_mlm_head_backward(const plm_pass *pass, const plm_mlm_head *head, const plm_mlm_head_state *state,
                                 float *d_y) {
  plm_stack *stack = &pass->model->stack;
  plm_dtype type = pass->model->options.dtype;
  int64_t M = pass->in.read.count, C = pass->model->config.hidden_size;
  size_t mark = plm_stack_mark(stack);
  float *d_normed = d_y; /* [M,C] */
  void *d_dense;         /* [M,C] gradient of gelu(t), then of t */
  PLM_TRY(PLM_TAKE(stack, M * C, type, &d_dense));

  PLM_TRY(plm_linear_gradient(pass, &head->decoder, M, state->d_logits, state->normed));
  PLM_TRY(plm_linear_input_gradient(pass, &head->decoder, M, state->d_logits, d_normed, PLM_F32));
  PLM_TRY(plm_norm_gradient(pass, &head->norm, M, d_normed, state->gelu, type, state->mean, state->rstd, NULL, d_dense,
                            type));
  const plm_activation_backward_args gelu = {
      .n = M * C,
      .kind = PLM_GELU_ERF,
      .dtype = type,
      .x = state->dense,
      .d_y = d_dense,
      .d_x = d_dense,
  };
  PLM_TRY(pass->x->ops->activation_backward(pass->x, &gelu));
  PLM_TRY(plm_linear_gradient(pass, &head->dense, M, d_dense, state->y));
  PLM_TRY(plm_linear_input_gradient(pass, &head->dense, M, d_dense, d_y, PLM_F32));
  plm_stack_release(stack, mark);
  return PLM_OK;
}
