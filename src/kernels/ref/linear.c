/* linear.c - y = x W^T + bias and its two gradients (model_spec 1.2), on the loops of panel.h. */
#include "kernels/flops.h"
#include "kernels/ref/panel.h"
#include "kernels/ref/ref.h"

plm_status plm_ref_weight_refresh(plm_exec *x, const plm_weight_refresh_args *a) {
  PLM_TRY(plm_check_weight_refresh(x, a));
  if (a->ret_packed_bytes != NULL) *a->ret_packed_bytes = 0;
  return PLM_OK;
}

/* ---- forward: a task is one panel of rows times one block of outputs ---- */

enum { OUTPUT_BLOCK = 64 };

typedef struct forward_job {
  const plm_linear_forward_args *a;
  ref_scratch scratch; /* a panel of x and a row of W */
  int64_t blocks;
} forward_job;

static void forward_task(void *context, int64_t task, int worker) {
  const forward_job *job = context;
  const plm_linear_forward_args *a = job->a;
  const plm_weight *w = a->weight;
  plm_dtype wide = plm_wide_type(w->dtype);
  int64_t x_stride = plm_row_stride(a->x_stride, w->in), y_stride = plm_row_stride(a->y_stride, w->out);
  int64_t n0 = task / job->blocks * PANEL, rows = panel_rows(n0, a->N);
  int64_t first = task % job->blocks * OUTPUT_BLOCK,
          last = first + OUTPUT_BLOCK < w->out ? first + OUTPUT_BLOCK : w->out;
  double *panel = ref_scratch_of(&job->scratch, worker), *w_row = panel + PANEL * w->in, dot[PANEL];
  panel_load(panel, a->x, w->dtype, n0 * x_stride, x_stride, rows, w->in);
  for (int64_t o = first; o < last; o++) {
    row_load(w_row, w->data, w->dtype, o * plm_row_stride(w->stride, w->in), w->in);
    panel_dot(panel, w_row, w->in, dot);
    double bias = a->bias == NULL ? 0 : element_get(a->bias, wide, o);
    for (int64_t r = 0; r < rows; r++) {
      int64_t at = (n0 + r) * y_stride + o;
      double add = a->add == NULL ? 0 : element_get(a->add, a->y_dtype, at);
      element_set(a->y, a->y_dtype, at, dot[r] + bias + add);
    }
  }
}

plm_status plm_ref_linear_forward(plm_exec *x, const plm_linear_forward_args *a) {
  PLM_TRY(plm_check_linear_forward(x, a));
  const plm_weight *w = a->weight;
  forward_job job = {.a = a, .blocks = (w->out + OUTPUT_BLOCK - 1) / OUTPUT_BLOCK};
  x->flops += plm_flops_product(a->N, w->out, w->in);
  PLM_TRY(ref_scratch_claim(x, (PANEL + 1) * w->in, &job.scratch));
  if (x->dry) return PLM_OK;
  plm_parallel_tasks(x->pool, (a->N + PANEL - 1) / PANEL * job.blocks, forward_task, &job);
  return PLM_OK;
}

/* ---- backward to the input: a task is one panel of rows ---- */

typedef struct backward_input_job {
  const plm_linear_backward_input_args *a;
  ref_scratch scratch; /* a panel of d_y, a row of W, PANEL rows of d_x */
} backward_input_job;

static void backward_input_task(void *context, int64_t task, int worker) {
  const backward_input_job *job = context;
  const plm_linear_backward_input_args *a = job->a;
  const plm_weight *w = a->weight;
  int64_t d_y_stride = plm_row_stride(a->d_y_stride, w->out), d_x_stride = plm_row_stride(a->d_x_stride, w->in);
  int64_t n0 = task * PANEL, rows = panel_rows(n0, a->N);
  double *panel = ref_scratch_of(&job->scratch, worker), *w_row = panel + PANEL * w->out, *sums = w_row + w->in;
  panel_load(panel, a->d_y, w->dtype, n0 * d_y_stride, d_y_stride, rows, w->out);
  memset(sums, 0, (size_t)(PANEL * w->in) * sizeof *sums);
  for (int64_t o = 0; o < w->out; o++) {
    row_load(w_row, w->data, w->dtype, o * plm_row_stride(w->stride, w->in), w->in);
    panel_add_outer(sums, panel + o * PANEL, w_row, rows, w->in);
  }
  for (int64_t r = 0; r < rows; r++) row_store(a->d_x, a->d_x_dtype, (n0 + r) * d_x_stride, sums + r * w->in, w->in);
}

plm_status plm_ref_linear_backward_input(plm_exec *x, const plm_linear_backward_input_args *a) {
  PLM_TRY(plm_check_linear_backward_input(x, a));
  const plm_weight *w = a->weight;
  backward_input_job job = {.a = a};
  x->flops += plm_flops_product(a->N, w->out, w->in);
  PLM_TRY(ref_scratch_claim(x, PANEL * w->out + (PANEL + 1) * w->in, &job.scratch));
  if (x->dry || w->in == 0) return PLM_OK;
  plm_parallel_tasks(x->pool, (a->N + PANEL - 1) / PANEL, backward_input_task, &job);
  return PLM_OK;
}

/* ---- backward to the weight: a task is PANEL rows of d_weight, summed over all n in order ---- */

typedef struct backward_weight_job {
  const plm_linear_backward_weight_args *a;
  ref_scratch scratch; /* a row of x, PANEL rows of d_weight */
} backward_weight_job;

static void backward_weight_task(void *context, int64_t task, int worker) {
  const backward_weight_job *job = context;
  const plm_linear_backward_weight_args *a = job->a;
  plm_dtype wide = plm_wide_type(a->dtype);
  int64_t x_stride = plm_row_stride(a->x_stride, a->I), d_y_stride = plm_row_stride(a->d_y_stride, a->O);
  int64_t o0 = task * PANEL, rows = panel_rows(o0, a->O);
  double *x_row = ref_scratch_of(&job->scratch, worker), *sums = x_row + a->I, factor[PANEL], bias_sum[PANEL] = {0};
  memset(sums, 0, (size_t)(PANEL * a->I) * sizeof *sums);
  for (int64_t n = 0; n < a->N; n++) {
    row_load(factor, a->d_y, a->dtype, n * d_y_stride + o0, rows);
    for (int64_t r = 0; r < rows; r++) bias_sum[r] += factor[r];
    if (a->d_weight == NULL) continue;
    row_load(x_row, a->x, a->dtype, n * x_stride, a->I);
    panel_add_outer(sums, factor, x_row, rows, a->I);
  }
  for (int64_t r = 0; r < rows; r++) {
    if (a->d_bias != NULL) element_add(a->d_bias, wide, o0 + r, bias_sum[r]);
    if (a->d_weight == NULL) continue;
    for (int64_t i = 0; i < a->I; i++) element_add(a->d_weight, wide, (o0 + r) * a->I + i, sums[r * a->I + i]);
  }
}

plm_status plm_ref_linear_backward_weight(plm_exec *x, const plm_linear_backward_weight_args *a) {
  PLM_TRY(plm_check_linear_backward_weight(x, a));
  backward_weight_job job = {.a = a};
  if (a->d_weight != NULL || x->dry) x->flops += plm_flops_product(a->N, a->O, a->I);
  PLM_TRY(ref_scratch_claim(x, (PANEL + 1) * a->I, &job.scratch));
  if (x->dry) return PLM_OK;
  plm_parallel_tasks(x->pool, (a->O + PANEL - 1) / PANEL, backward_weight_task, &job);
  return PLM_OK;
}
