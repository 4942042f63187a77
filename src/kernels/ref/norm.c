/* norm.c - LayerNorm (model_spec 1.2): xhat = (x - mean) * rstd, y = xhat * weight + bias. */
#include <math.h>

#include "kernels/ref/element.h"
#include "kernels/ref/ref.h"

typedef struct forward_job {
  const plm_norm_forward_args *a;
  ref_scratch scratch; /* one row of x, then of y */
} forward_job;

static void forward_rows(void *context, int64_t begin, int64_t end, int worker) {
  const forward_job *job = context;
  const plm_norm_forward_args *a = job->a;
  plm_dtype wide = plm_wide_type(a->x_dtype);
  int64_t C = a->C, x_stride = plm_row_stride(a->x_stride, C), y_stride = plm_row_stride(a->y_stride, C);
  double *row = ref_scratch_of(&job->scratch, worker);
  for (int64_t n = begin; n < end; n++) {
    row_load(row, a->x, a->x_dtype, n * x_stride, C);
    double sum = 0, squares = 0;
    for (int64_t c = 0; c < C; c++) sum += row[c];
    double mean = sum / (double)C;
    for (int64_t c = 0; c < C; c++) squares += (row[c] - mean) * (row[c] - mean);
    double rstd = 1 / sqrt(squares / (double)C + a->eps);
    for (int64_t c = 0; c < C; c++)
      row[c] = (row[c] - mean) * rstd * element_get(a->weight, wide, c) + element_get(a->bias, wide, c);
    row_store(a->y, a->y_dtype, n * y_stride, row, C);
    if (a->mean == NULL) continue;
    element_set(a->mean, wide, n, mean);
    element_set(a->rstd, wide, n, rstd);
  }
}

plm_status plm_ref_norm_forward(plm_exec *x, const plm_norm_forward_args *a) {
  PLM_TRY(plm_check_norm_forward(x, a));
  forward_job job = {.a = a};
  PLM_TRY(ref_scratch_claim(x, a->C, &job.scratch));
  if (x->dry || a->C == 0) return PLM_OK;
  plm_parallel_for(x->pool, a->N, forward_rows, &job);
  return PLM_OK;
}

typedef struct backward_job {
  const plm_norm_backward_args *a;
  ref_scratch scratch; /* two rows */
} backward_job;

/* d_weight and d_bias: a worker owns columns and goes down all rows. */
static void backward_columns(void *context, int64_t begin, int64_t end, int worker) {
  const backward_job *job = context;
  const plm_norm_backward_args *a = job->a;
  plm_dtype wide = plm_wide_type(a->x_dtype);
  int64_t x_stride = plm_row_stride(a->x_stride, a->C), d_y_stride = plm_row_stride(a->d_y_stride, a->C);
  double *weight_sum = ref_scratch_of(&job->scratch, worker), *bias_sum = weight_sum + (end - begin);
  for (int64_t c = begin; c < end; c++) weight_sum[c - begin] = bias_sum[c - begin] = 0;
  for (int64_t n = 0; n < a->N; n++) {
    double mean = element_get(a->mean, wide, n), rstd = element_get(a->rstd, wide, n);
    for (int64_t c = begin; c < end; c++) {
      double d_y = element_get(a->d_y, a->d_y_dtype, n * d_y_stride + c);
      double xhat = (element_get(a->x, a->x_dtype, n * x_stride + c) - mean) * rstd;
      weight_sum[c - begin] += d_y * xhat;
      bias_sum[c - begin] += d_y;
    }
  }
  for (int64_t c = begin; c < end; c++) {
    if (a->d_weight != NULL) element_add(a->d_weight, wide, c, weight_sum[c - begin]);
    if (a->d_bias != NULL) element_add(a->d_bias, wide, c, bias_sum[c - begin]);
  }
}

/* d_x = rstd * (g - mean(g) - xhat * mean(g * xhat)) + add, with g = d_y * weight. */
static void backward_rows(void *context, int64_t begin, int64_t end, int worker) {
  const backward_job *job = context;
  const plm_norm_backward_args *a = job->a;
  plm_dtype wide = plm_wide_type(a->x_dtype);
  int64_t C = a->C, x_stride = plm_row_stride(a->x_stride, C);
  int64_t d_y_stride = plm_row_stride(a->d_y_stride, C), d_x_stride = plm_row_stride(a->d_x_stride, C);
  double *xhat = ref_scratch_of(&job->scratch, worker), *g = xhat + C;
  for (int64_t n = begin; n < end; n++) {
    double mean = element_get(a->mean, wide, n), rstd = element_get(a->rstd, wide, n);
    double sum = 0, product_sum = 0;
    row_load(xhat, a->x, a->x_dtype, n * x_stride, C);
    row_load(g, a->d_y, a->d_y_dtype, n * d_y_stride, C);
    for (int64_t c = 0; c < C; c++) {
      xhat[c] = (xhat[c] - mean) * rstd;
      g[c] *= element_get(a->weight, wide, c);
      sum += g[c];
      product_sum += g[c] * xhat[c];
    }
    double g_mean = sum / (double)C, product_mean = product_sum / (double)C;
    for (int64_t c = 0; c < C; c++) {
      double add = a->add == NULL ? 0 : element_get(a->add, a->d_x_dtype, n * d_x_stride + c);
      g[c] = rstd * (g[c] - g_mean - xhat[c] * product_mean) + add;
    }
    row_store(a->d_x, a->d_x_dtype, n * d_x_stride, g, C);
  }
}

plm_status plm_ref_norm_backward(plm_exec *x, const plm_norm_backward_args *a) {
  PLM_TRY(plm_check_norm_backward(x, a));
  backward_job job = {.a = a};
  PLM_TRY(ref_scratch_claim(x, 2 * a->C, &job.scratch));
  if (x->dry || a->C == 0) return PLM_OK;
  /* Columns first: d_x may be d_y's memory. */
  if (a->d_weight != NULL || a->d_bias != NULL) plm_parallel_for(x->pool, a->C, backward_columns, &job);
  plm_parallel_for(x->pool, a->N, backward_rows, &job);
  return PLM_OK;
}
