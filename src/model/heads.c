/* heads.c - final norm and MLM head at the rows that are read (model_spec 3.6, 3.7), their loss and backward:
 *
 *   y = norm(x)    t = y W_d^T + b_d    h = norm(gelu(t))    z = h E^T + b_lm      E is the token embedding
 */
#include "model/internal.h"

static plm_status take_head(const plm_pass *pass, plm_head_state *head) {
  plm_stack *stack = &pass->model->stack;
  plm_dtype type = pass->model->options.dtype;
  int64_t M = pass->in.M, C = pass->model->config.hidden_size, V = pass->model->config.vocab_size;
  *head = (plm_head_state){0};
  if (pass->keep) {
    PLM_TRY(PLM_TAKE(stack, M, PLM_F32, &head->mean1));
    PLM_TRY(PLM_TAKE(stack, M, PLM_F32, &head->rstd1));
    PLM_TRY(PLM_TAKE(stack, M, PLM_F32, &head->mean2));
    PLM_TRY(PLM_TAKE(stack, M, PLM_F32, &head->rstd2));
  }
  PLM_TRY(PLM_TAKE(stack, M * C, type, &head->y));
  PLM_TRY(PLM_TAKE(stack, M * C, type, &head->dense));
  PLM_TRY(PLM_TAKE(stack, M * C, type, &head->gelu));
  PLM_TRY(PLM_TAKE(stack, M * C, type, &head->normed));
  PLM_TRY(PLM_TAKE(stack, M * V, PLM_F32, &head->logits));
  head->d_logits = head->logits;
  if (pass->keep && type != PLM_F32) PLM_TRY(PLM_TAKE(stack, M * V, type, &head->d_logits));
  return PLM_OK;
}

plm_status plm_head_forward(const plm_pass *pass, float *x, plm_head_state *head) {
  plm_model *model = pass->model;
  plm_dtype type = model->options.dtype;
  int64_t M = pass->in.M;
  PLM_TRY(take_head(pass, head));
  head->x = x;
  PLM_TRY(plm_norm_apply(pass, &model->final_norm, M, x, PLM_F32, head->y, type, head->mean1, head->rstd1));
  PLM_TRY(plm_linear_apply(pass, model->head_dense, M, head->y, NULL, head->dense, type));
  PLM_TRY(pass->x->ops->activation_forward(pass->x, &(plm_activation_forward_args){
                                                        .n = M * model->config.hidden_size,
                                                        .kind = PLM_GELU_ERF,
                                                        .dtype = type,
                                                        .x = head->dense,
                                                        .y = head->gelu,
                                                    }));
  PLM_TRY(plm_norm_apply(pass, &model->head_norm, M, head->gelu, type, head->normed, type, head->mean2, head->rstd2));
  return plm_linear_apply(pass, model->decoder, M, head->normed, NULL, head->logits, PLM_F32);
}

plm_status plm_head_loss(const plm_pass *pass, plm_head_state *head, bool per_row) {
  plm_model *model = pass->model;
  if (per_row) {
    PLM_TRY(PLM_TAKE(&model->stack, pass->in.M, PLM_F32, &head->row_nll));
    PLM_TRY(PLM_TAKE(&model->stack, pass->in.M, PLM_I32, &head->row_prediction));
  }
  const plm_cross_entropy_args args = {
      .M = pass->in.M,
      .V = model->config.vocab_size,
      .logits = head->logits,
      .dtype = PLM_F32,
      .targets = pass->in.targets,
      .sums = model->sums,
      .d_logits = pass->keep ? head->d_logits : NULL,
      .d_dtype = model->options.dtype,
      .row_nll = head->row_nll,
      .row_prediction = head->row_prediction,
  };
  return pass->x->ops->cross_entropy(pass->x, &args);
}

/* d_x [M,C]: gradient of the stream before the final norm, written. */
plm_status plm_head_backward(const plm_pass *pass, const plm_head_state *head, float *d_x) {
  plm_model *model = pass->model;
  plm_dtype type = model->options.dtype;
  int64_t M = pass->in.M, C = model->config.hidden_size;
  size_t mark = plm_stack_mark(&model->stack);
  float *d_normed; /* [M,C] gradient of h, then of y */
  void *d_dense;   /* [M,C] gradient of gelu(t), then of t */
  PLM_TRY(PLM_TAKE(&model->stack, M * C, PLM_F32, &d_normed));
  PLM_TRY(PLM_TAKE(&model->stack, M * C, type, &d_dense));

  PLM_TRY(plm_linear_gradient(pass, model->decoder, M, head->d_logits, head->normed));
  PLM_TRY(plm_linear_input_gradient(pass, model->decoder, M, head->d_logits, d_normed, PLM_F32));
  PLM_TRY(plm_norm_gradient(pass, &model->head_norm, M, d_normed, head->gelu, type, head->mean2, head->rstd2, NULL,
                            d_dense, type));
  PLM_TRY(pass->x->ops->activation_backward(pass->x, &(plm_activation_backward_args){
                                                         .n = M * C,
                                                         .kind = PLM_GELU_ERF,
                                                         .dtype = type,
                                                         .x = head->dense,
                                                         .d_y = d_dense,
                                                         .d_x = d_dense,
                                                     }));
  PLM_TRY(plm_linear_gradient(pass, model->head_dense, M, d_dense, head->y));
  PLM_TRY(plm_linear_input_gradient(pass, model->head_dense, M, d_dense, d_normed, PLM_F32));
  PLM_TRY(plm_norm_gradient(pass, &model->final_norm, M, d_normed, head->x, PLM_F32, head->mean1, head->rstd1, NULL,
                            d_x, PLM_F32));
  plm_stack_release(&model->stack, mark);
  return PLM_OK;
}
