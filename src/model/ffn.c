/* ffn.c - residual + act(f W_up^T + b) W_down^T + b, forward and backward (model_spec 3.6). */
#include "model/blocks.h"

static plm_status activate(const plm_pass *pass, const plm_ffn *ffn, int64_t count, const void *x, void *y) {
  const plm_activation_forward_args args = {
      .n = count,
      .kind = ffn->activation,
      .dtype = pass->model->options.dtype,
      .x = x,
      .y = y,
  };
  return pass->x->ops->activation_forward(pass->x, &args);
}

/* d becomes the gradient before the activation, in place. */
static plm_status activation_gradient(const plm_pass *pass, const plm_ffn *ffn, int64_t count, const void *x, void *d) {
  const plm_activation_backward_args args = {
      .n = count,
      .kind = ffn->activation,
      .dtype = pass->model->options.dtype,
      .x = x,
      .d_y = d,
      .d_x = d,
  };
  return pass->x->ops->activation_backward(pass->x, &args);
}

static int64_t width(const plm_ffn *ffn) { return ffn->down.weight.in; }

plm_status plm_ffn_up(const plm_pass *pass, const plm_ffn *ffn, int64_t n, const void *f, void *up) {
  return plm_linear_apply(pass, &ffn->up, n, f, NULL, up, pass->model->options.dtype);
}

plm_status plm_ffn_down(const plm_pass *pass, const plm_ffn *ffn, int64_t n, void *up, const float *residual,
                        float *out) {
  plm_stack *stack = &pass->model->stack;
  const int64_t F = width(ffn);
  size_t mark = plm_stack_mark(stack);
  void *g = up; /* [n,F] */
  if (pass->keep) PLM_TRY(PLM_TAKE(stack, n * F, pass->model->options.dtype, &g));
  PLM_TRY(activate(pass, ffn, n * F, up, g));
  PLM_TRY(plm_linear_apply(pass, &ffn->down, n, g, residual, out, PLM_F32));
  plm_stack_release(stack, mark);
  return PLM_OK;
}

plm_status plm_ffn_down_gradient(const plm_pass *pass, const plm_ffn *ffn, int64_t n, const void *up,
                                 const float *d_out, void **ret_d_up) {
  plm_stack *stack = &pass->model->stack;
  plm_dtype type = pass->model->options.dtype;
  const int64_t F = width(ffn);
  void *g; /* [n,F] the activation's output, then the gradient of it, then of its input */
  PLM_TRY(PLM_TAKE(stack, n * F, type, &g));
  size_t mark = plm_stack_mark(stack);
  const void *operand; /* [n,C] */
  PLM_TRY(plm_as_operand(pass, d_out, n * pass->model->config.hidden_size, &operand));
  PLM_TRY(activate(pass, ffn, n * F, up, g));
  PLM_TRY(plm_linear_gradient(pass, &ffn->down, n, operand, g));
  PLM_TRY(plm_linear_input_gradient(pass, &ffn->down, n, operand, g, type));
  PLM_TRY(activation_gradient(pass, ffn, n * F, up, g));
  plm_stack_release(stack, mark);
  *ret_d_up = g;
  return PLM_OK;
}

plm_status plm_ffn_up_gradient(const plm_pass *pass, const plm_ffn *ffn, int64_t n, const void *f, const void *d_up,
                               float *d_f) {
  PLM_TRY(plm_linear_gradient(pass, &ffn->up, n, d_up, f));
  return plm_linear_input_gradient(pass, &ffn->up, n, d_up, d_f, PLM_F32);
}
