/* ffn.c - x + gelu(norm(x) W_up^T + b) W_down^T + b, forward and backward (model_spec 3.6). */
#include "model/internal.h"

static plm_status gelu(const plm_pass *pass, int64_t count, const void *x, void *y) {
  return pass->x->ops->activation_forward(pass->x, &(plm_activation_forward_args){
                                                       .n = count,
                                                       .kind = PLM_GELU_ERF,
                                                       .dtype = pass->model->options.dtype,
                                                       .x = x,
                                                       .y = y,
                                                   });
}

/* d becomes the gradient before GELU, in place. */
static plm_status gelu_gradient(const plm_pass *pass, int64_t count, const void *x, void *d) {
  return pass->x->ops->activation_backward(pass->x, &(plm_activation_backward_args){
                                                        .n = count,
                                                        .kind = PLM_GELU_ERF,
                                                        .dtype = pass->model->options.dtype,
                                                        .x = x,
                                                        .d_y = d,
                                                        .d_x = d,
                                                    });
}

plm_status plm_ffn_block_forward(const plm_pass *pass, const plm_layer *layer, plm_layer_state *state,
                                 float **ret_out) {
  plm_stack *stack = &pass->model->stack;
  plm_dtype type = pass->model->options.dtype;
  int64_t n = plm_layer_rows(pass, layer), C = pass->model->config.hidden_size,
          F = pass->model->config.intermediate_size;

  float *out = state->middle;
  state->mean2 = state->rstd2 = NULL;
  if (pass->keep) {
    PLM_TRY(PLM_TAKE(stack, n, PLM_F32, &state->mean2));
    PLM_TRY(PLM_TAKE(stack, n, PLM_F32, &state->rstd2));
    PLM_TRY(PLM_TAKE(stack, n * C, PLM_F32, &out));
  }
  size_t inference_mark = plm_stack_mark(stack);
  PLM_TRY(PLM_TAKE(stack, n * F, type, &state->up));

  size_t mark = plm_stack_mark(stack);
  void *f; /* [n,C] */
  PLM_TRY(PLM_TAKE(stack, n * C, type, &f));
  PLM_TRY(plm_norm_apply(pass, &layer->ffn_norm, n, state->middle, PLM_F32, f, type, state->mean2, state->rstd2));
  PLM_TRY(plm_linear_apply(pass, layer->ffn_up, n, f, NULL, state->up, type));
  plm_stack_release(stack, mark);

  void *g = state->up; /* [n,F] */
  if (pass->keep) PLM_TRY(PLM_TAKE(stack, n * F, type, &g));
  PLM_TRY(gelu(pass, n * F, state->up, g));
  PLM_TRY(plm_linear_apply(pass, layer->ffn_down, n, g, state->middle, out, PLM_F32));
  plm_stack_release(stack, pass->keep ? mark : inference_mark);
  *ret_out = out;
  return PLM_OK;
}

plm_status plm_ffn_block_backward(const plm_pass *pass, const plm_layer *layer, const plm_layer_state *state,
                                  float *d_x) {
  plm_stack *stack = &pass->model->stack;
  plm_dtype type = pass->model->options.dtype;
  int64_t n = plm_layer_rows(pass, layer), C = pass->model->config.hidden_size,
          F = pass->model->config.intermediate_size;
  size_t mark = plm_stack_mark(stack);

  void *g;           /* [n,F] the GELU's output, then the gradient of it, then of its input */
  const void *d_out; /* [n,C] */
  PLM_TRY(PLM_TAKE(stack, n * F, type, &g));
  size_t down_mark = plm_stack_mark(stack);
  PLM_TRY(plm_as_operand(pass, d_x, n * C, &d_out));
  PLM_TRY(gelu(pass, n * F, state->up, g));
  PLM_TRY(plm_linear_gradient(pass, layer->ffn_down, n, d_out, g));
  PLM_TRY(plm_linear_input_gradient(pass, layer->ffn_down, n, d_out, g, type));
  PLM_TRY(gelu_gradient(pass, n * F, state->up, g));
  plm_stack_release(stack, down_mark);

  void *f;    /* [n,C] recomputed */
  float *d_f; /* [n,C] */
  PLM_TRY(PLM_TAKE(stack, n * C, type, &f));
  PLM_TRY(PLM_TAKE(stack, n * C, PLM_F32, &d_f));
  PLM_TRY(plm_norm_apply(pass, &layer->ffn_norm, n, state->middle, PLM_F32, f, type, NULL, NULL));
  PLM_TRY(plm_linear_gradient(pass, layer->ffn_up, n, g, f));
  PLM_TRY(plm_linear_input_gradient(pass, layer->ffn_up, n, g, d_f, PLM_F32));
  PLM_TRY(plm_norm_gradient(pass, &layer->ffn_norm, n, d_f, state->middle, PLM_F32, state->mean2, state->rstd2, d_x,
                            d_x, PLM_F32));
  plm_stack_release(stack, mark);
  return PLM_OK;
}
