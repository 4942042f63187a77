/* linear.c - a linear layer, a norm and rows as the blocks use them: one operator call each, with the model's storage
 * types filled in. All tensors here are packed (rows without gaps). */
#include "model/blocks.h"

plm_status plm_linear_apply(const plm_pass *pass, const plm_linear *linear, int64_t n, const void *x, const void *add,
                            void *y, plm_dtype y_dtype) {
  const plm_linear_forward_args args = {
      .N = n,
      .weight = &linear->weight,
      .bias = linear->bias,
      .x = x,
      .add = add,
      .y = y,
      .y_dtype = y_dtype,
      .row_invariant = pass->row_invariant,
  };
  return pass->x->ops->linear_forward(pass->x, &args);
}

plm_status plm_linear_gradient(const plm_pass *pass, const plm_linear *linear, int64_t n, const void *d_y,
                               const void *x) {
  const int64_t O = linear->weight.out, element = (int64_t)plm_dtype_size(linear->weight.dtype);
  for (int i = 0; i < linear->part_count; i++) {
    const plm_linear_part *part = &linear->parts[i];
    const plm_linear_backward_weight_args args = {
        .N = n,
        .O = part->count,
        .I = linear->weight.in,
        .dtype = linear->weight.dtype,
        .d_y = (const char *)d_y + part->first * element,
        .d_y_stride = part->count == O ? 0 : O,
        .x = x,
        .d_weight = part->d_weight,
        .d_bias = part->d_bias,
    };
    PLM_TRY(pass->x->ops->linear_backward_weight(pass->x, &args));
  }
  return PLM_OK;
}

plm_status plm_linear_input_gradient(const plm_pass *pass, const plm_linear *linear, int64_t n, const void *d_y,
                                     void *d_x, plm_dtype d_x_dtype) {
  return pass->x->ops->linear_backward_input(pass->x, &(plm_linear_backward_input_args){
                                                          .N = n,
                                                          .weight = &linear->weight,
                                                          .d_y = d_y,
                                                          .d_x = d_x,
                                                          .d_x_dtype = d_x_dtype,
                                                      });
}

plm_status plm_norm_apply(const plm_pass *pass, const plm_norm *norm, int64_t n, const void *x, plm_dtype x_dtype,
                          void *y, plm_dtype y_dtype, float *mean, float *rstd) {
  const plm_norm_forward_args args = {
      .N = n,
      .C = pass->model->config.hidden_size,
      .x = x,
      .x_dtype = x_dtype,
      .weight = norm->weight,
      .bias = norm->bias,
      .eps = pass->model->config.layer_norm_eps,
      .y = y,
      .y_dtype = y_dtype,
      .mean = mean,
      .rstd = rstd,
  };
  return pass->x->ops->norm_forward(pass->x, &args);
}

plm_status plm_norm_gradient(const plm_pass *pass, const plm_norm *norm, int64_t n, const float *d_y, const void *x,
                             plm_dtype x_dtype, const float *mean, const float *rstd, const void *add, void *d_x,
                             plm_dtype d_x_dtype) {
  const plm_norm_backward_args args = {
      .N = n,
      .C = pass->model->config.hidden_size,
      .d_y = d_y,
      .d_y_dtype = PLM_F32,
      .x = x,
      .x_dtype = x_dtype,
      .weight = norm->weight,
      .mean = mean,
      .rstd = rstd,
      .add = add,
      .d_x = d_x,
      .d_x_dtype = d_x_dtype,
      .d_weight = norm->d_weight,
      .d_bias = norm->d_bias,
  };
  return pass->x->ops->norm_backward(pass->x, &args);
}

plm_status plm_as_operand(const plm_pass *pass, const float *x, int64_t count, const void **ret_operand) {
  plm_dtype type = pass->model->options.dtype;
  *ret_operand = x;
  if (type == PLM_F32) return PLM_OK;
  void *copy;
  PLM_TRY(PLM_TAKE(&pass->model->stack, count, type, &copy));
  *ret_operand = copy;
  return pass->x->ops->convert(
      pass->x, &(plm_convert_args){.n = count, .from = x, .from_dtype = PLM_F32, .to = copy, .to_dtype = type});
}

plm_status plm_gather(const plm_pass *pass, const plm_rows *rows, const void *from, plm_dtype dtype, void *to) {
  const plm_gather_rows_args args = {
      .M = rows->count,
      .C = pass->model->config.hidden_size,
      .rows = rows->ids,
      .from = from,
      .to = to,
      .dtype = dtype,
  };
  return pass->x->ops->gather_rows(pass->x, &args);
}

plm_status plm_scatter(const plm_pass *pass, const plm_rows *rows, const float *from, float *to, bool accumulate) {
  const plm_scatter_rows_args args = {
      .M = rows->count,
      .N = pass->in.N,
      .C = pass->model->config.hidden_size,
      .rows = rows->ids,
      .from = from,
      .to = to,
      .dtype = PLM_F32,
      .accumulate = accumulate,
  };
  return pass->x->ops->scatter_rows(pass->x, &args);
}
