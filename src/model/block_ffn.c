/* block_ffn.c - x + gelu(norm(x) W_up^T + b) W_down^T + b, forward and backward (model_spec 3.6). */
#include "model/model_internal.h"

static plm_status gelu(const plm_run *run, int64_t count, const void *x, void *y) {
  return run->x->ops->activation_forward(
      run->x, &(plm_activation_forward_args){.n = count, .kind = PLM_GELU_ERF, .dtype = run->model->options.dtype, .x = x, .y = y});
}

/* d becomes the gradient before GELU, in place. */
static plm_status gelu_gradient(const plm_run *run, int64_t count, const void *x, void *d) {
  return run->x->ops->activation_backward(
      run->x, &(plm_activation_backward_args){.n = count, .kind = PLM_GELU_ERF, .dtype = run->model->options.dtype, .x = x, .d_y = d, .d_x = d});
}

plm_status plm_ffn_block_forward(const plm_run *run, const plm_layer *layer, plm_layer_state *state, float **ret_out) {
  plm_stack *stack = &run->model->stack;
  plm_dtype type = run->model->options.dtype;
  int64_t n = plm_layer_rows(run, layer), C = run->model->config.hidden_size, F = run->model->config.intermediate_size;

  float *out = state->middle;
  state->mean2 = state->rstd2 = NULL;
  if (run->keep) {
    PLM_TRY(PLM_TAKE(stack, n, PLM_F32, &state->mean2));
    PLM_TRY(PLM_TAKE(stack, n, PLM_F32, &state->rstd2));
    PLM_TRY(PLM_TAKE(stack, n * C, PLM_F32, &out));
  }
  size_t inference_mark = plm_stack_mark(stack);
  PLM_TRY(PLM_TAKE(stack, n * F, type, &state->up));

  size_t mark = plm_stack_mark(stack);
  void *f; /* [n,C] */
  PLM_TRY(PLM_TAKE(stack, n * C, type, &f));
  PLM_TRY(plm_norm_apply(run, &layer->ffn_norm, n, state->middle, PLM_F32, f, type, state->mean2, state->rstd2));
  PLM_TRY(plm_linear_apply(run, layer->ffn_up, n, f, NULL, state->up, type));
  plm_stack_release(stack, mark);

  void *g = state->up; /* [n,F] */
  if (run->keep) PLM_TRY(PLM_TAKE(stack, n * F, type, &g));
  PLM_TRY(gelu(run, n * F, state->up, g));
  PLM_TRY(plm_linear_apply(run, layer->ffn_down, n, g, state->middle, out, PLM_F32));
  plm_stack_release(stack, run->keep ? mark : inference_mark);
  *ret_out = out;
  return PLM_OK;
}

plm_status plm_ffn_block_backward(const plm_run *run, const plm_layer *layer, const plm_layer_state *state, float *d_x) {
  plm_stack *stack = &run->model->stack;
  plm_dtype type = run->model->options.dtype;
  int64_t n = plm_layer_rows(run, layer), C = run->model->config.hidden_size, F = run->model->config.intermediate_size;
  size_t mark = plm_stack_mark(stack);

  void *g;           /* [n,F] the GELU's output, then the gradient of it, then of its input */
  const void *d_out; /* [n,C] */
  PLM_TRY(PLM_TAKE(stack, n * F, type, &g));
  size_t down_mark = plm_stack_mark(stack);
  PLM_TRY(plm_as_operand(run, d_x, n * C, &d_out));
  PLM_TRY(gelu(run, n * F, state->up, g));
  PLM_TRY(plm_linear_gradient(run, layer->ffn_down, n, d_out, g));
  PLM_TRY(plm_linear_input_gradient(run, layer->ffn_down, n, d_out, g, type));
  PLM_TRY(gelu_gradient(run, n * F, state->up, g));
  plm_stack_release(stack, down_mark);

  void *f;    /* [n,C] recomputed */
  float *d_f; /* [n,C] */
  PLM_TRY(PLM_TAKE(stack, n * C, type, &f));
  PLM_TRY(PLM_TAKE(stack, n * C, PLM_F32, &d_f));
  PLM_TRY(plm_norm_apply(run, &layer->ffn_norm, n, state->middle, PLM_F32, f, type, NULL, NULL));
  PLM_TRY(plm_linear_gradient(run, layer->ffn_up, n, g, f));
  PLM_TRY(plm_linear_input_gradient(run, layer->ffn_up, n, g, d_f, PLM_F32));
  PLM_TRY(plm_norm_gradient(run, &layer->ffn_norm, n, d_f, state->middle, PLM_F32, state->mean2, state->rstd2, d_x, d_x, PLM_F32));
  plm_stack_release(stack, mark);
  return PLM_OK;
}
