/* gemm_own.c - linear layers on our own products: where oneDNN is absent, for row-invariant fp32 products, and for bf16
 * where the processor has no instruction for it. On Zen 4 at 0.85 to 0.95 of oneDNN's fp32 rate; bf16 is widened to
 * fp32 while packing and runs at that rate too.
 *
 *     c [M,N] (+)= a [M,K] b [K,N]
 *
 * The columns of b go in blocks that fit the shared cache; a block is packed as panels [K][columns] of the register
 * tile. A task is TASK_ROWS rows of c: it packs its rows of a as panels [K][rows] and runs the tile over all panels of
 * b (Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication", without blocking over K: the tile
 * needs few bytes per step). An element of c is one chain of fused multiply-adds over k, whatever M, N and the threads:
 * rows are invariant by construction. */
#include <string.h>

#include "kernels/bf16.h"
#include "kernels/check.h"
#include "kernels/cpu/cpu.h"
#include "kernels/flops.h"

enum { TASK_ROWS = 48, MAX_TILE = 8 * 48, BLOCK_BYTES = 8 << 20 };

typedef struct operand {
  const void *data;
  plm_dtype type;
  int64_t outer, inner; /* element (i, k) at i*outer + k*inner, i a row of a or a column of b */
} operand;

typedef struct gemm_job {
  int64_t M, N, K;
  operand a, b;
  void *c;
  plm_dtype c_type;
  int64_t c_stride;
  const float *bias; /* [N], optional */
  const void *add;   /* like c, optional */

  const plm_cpu_product_kernels *kernels;
  int64_t first, columns, block; /* columns of c in work; the most there are */
  float *b_panels, *a_panels;    /* [block, K]; per worker [TASK_ROWS, K] */
} gemm_job;

static int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/* panel [K][width] = elements (first + i, k) of `from`, i < width, zero from `end` on. */
static void pack_panel(const operand *from, int64_t first, int64_t end, int64_t K, int64_t width, float *panel) {
  for (int64_t i = 0; i < width; i++) {
    int64_t start = (first + i) * from->outer;
    if (first + i >= end)
      for (int64_t k = 0; k < K; k++) panel[k * width + i] = 0;
    else if (from->type == PLM_BF16)
      for (int64_t k = 0; k < K; k++)
        panel[k * width + i] = plm_bf16_to_float(((const plm_bf16 *)from->data)[start + k * from->inner]);
    else
      for (int64_t k = 0; k < K; k++) panel[k * width + i] = ((const float *)from->data)[start + k * from->inner];
  }
}

/* The same where i is the contiguous direction. */
static void pack_panel_across(const operand *from, int64_t first, int64_t end, int64_t K, int64_t width, float *panel) {
  int64_t lanes = end - first < width ? end - first : width;
  for (int64_t k = 0; k < K; k++, panel += width) {
    int64_t start = first + k * from->inner;
    if (from->type == PLM_BF16)
      for (int64_t i = 0; i < lanes; i++) panel[i] = plm_bf16_to_float(((const plm_bf16 *)from->data)[start + i]);
    else
      memcpy(panel, (const float *)from->data + start, (size_t)lanes * sizeof *panel);
    for (int64_t i = lanes; i < width; i++) panel[i] = 0;
  }
}

static void pack(const operand *from, int64_t first, int64_t end, int64_t K, int64_t width, float *panel) {
  if (from->outer == 1)
    pack_panel_across(from, first, end, K, width, panel);
  else
    pack_panel(from, first, end, K, width, panel);
}

static void pack_b_range(void *context, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const gemm_job *j = context;
  int64_t width = j->kernels->columns;
  for (int64_t panel = begin; panel < end; panel++)
    pack(&j->b, j->first + panel * width, j->first + j->columns, j->K, width, j->b_panels + panel * width * j->K);
}

static float get(const void *p, plm_dtype type, int64_t at) {
  return type == PLM_BF16 ? plm_bf16_to_float(((const plm_bf16 *)p)[at]) : ((const float *)p)[at];
}

/* Write a finished tile's valid part: + bias, + add, in c's type. */
static void store_tile(const gemm_job *j, const float *tile, int64_t row, int64_t rows, int64_t column,
                       int64_t columns) {
  for (int64_t r = 0; r < rows; r++) {
    const float *t = tile + r * j->kernels->columns;
    int64_t at = (row + r) * j->c_stride + column;
    for (int64_t i = 0; i < columns; i++) {
      float value = t[i] + (j->bias == NULL ? 0.0f : j->bias[column + i]) +
                    (j->add == NULL ? 0.0f : get(j->add, j->c_type, at + i));
      if (j->c_type == PLM_BF16)
        ((plm_bf16 *)j->c)[at + i] = plm_bf16_from_float(value);
      else
        ((float *)j->c)[at + i] = value;
    }
  }
}

static void rows_task(void *context, int64_t task, int worker) {
  const gemm_job *j = context;
  const plm_cpu_product_kernels *kernels = j->kernels;
  int64_t first = task * TASK_ROWS, end = first + TASK_ROWS < j->M ? first + TASK_ROWS : j->M, height = kernels->rows,
          width = kernels->columns;
  float *a_panels = j->a_panels + worker * TASK_ROWS * j->K, tile[MAX_TILE];
  for (int64_t row = first; row < end; row += height)
    pack(&j->a, row, end, j->K, height, a_panels + (row - first) * j->K);
  for (int64_t column = 0; column < j->columns; column += width) {
    const float *b_panel = j->b_panels + column * j->K;
    int64_t columns = j->columns - column < width ? j->columns - column : width;
    for (int64_t row = first; row < end; row += height) {
      kernels->tile(j->K, a_panels + (row - first) * j->K, b_panel, tile);
      store_tile(j, tile, row, end - row < height ? end - row : height, j->first + column, columns);
    }
  }
}

/* Claim workspace, and multiply unless the exec is dry or there is no c (a frozen weight). */
static plm_status multiply(plm_exec *x, gemm_job *j) {
  j->kernels = plm_cpu_products(plm_cpu_context_of(x)->level);
  PLM_ASSERT(j->kernels != NULL && j->kernels->rows * j->kernels->columns <= MAX_TILE &&
             TASK_ROWS % j->kernels->rows == 0);
  int64_t width = j->kernels->columns, all = round_up(j->N, width), most = BLOCK_BYTES / (int64_t)sizeof(float);
  int64_t fitting = most / (j->K + 1) / width * width;
  j->block = fitting > all ? all : fitting < width ? width : fitting;
  int64_t b_floats = j->block == all       ? all * j->K
                     : most > width * j->K ? most
                                           : width * j->K; /* grows with K, as a plan must */
  int64_t floats = b_floats + TASK_ROWS * plm_pool_threads(x->pool) * j->K;
  void *workspace = NULL;
  if (j->c != NULL || x->dry) x->flops += plm_flops_product(j->M, j->N, j->K);
  PLM_TRY(plm_exec_workspace(x, (size_t)floats * sizeof(float), &workspace));
  if (x->dry || j->c == NULL || j->M == 0) return PLM_OK;
  j->b_panels = workspace;
  j->a_panels = j->b_panels + b_floats;
  for (j->first = 0; j->first < j->N; j->first += j->block) {
    j->columns = j->N - j->first < j->block ? j->N - j->first : j->block;
    plm_parallel_for(x->pool, (j->columns + width - 1) / width, pack_b_range, j);
    plm_parallel_tasks(x->pool, (j->M + TASK_ROWS - 1) / TASK_ROWS, rows_task, j);
  }
  return PLM_OK;
}

static plm_status linear_forward(plm_exec *x, const plm_linear_forward_args *a) {
  const plm_weight *w = a->weight;
  if (w->dtype == PLM_F64) return plm_ops_ref()->linear_forward(x, a);
  PLM_TRY(plm_check_linear_forward(x, a));
  gemm_job j = {
      .M = a->N,
      .N = w->out,
      .K = w->in,
      .c = a->y,
      .c_type = a->y_dtype,
      .c_stride = plm_row_stride(a->y_stride, w->out),
      .bias = a->bias,
      .add = a->add,
  };
  j.a = (operand){.data = a->x, .type = w->dtype, .outer = plm_row_stride(a->x_stride, w->in), .inner = 1};
  j.b = (operand){.data = w->data, .type = w->dtype, .outer = plm_row_stride(w->stride, w->in), .inner = 1};
  return multiply(x, &j);
}

static plm_status linear_backward_input(plm_exec *x, const plm_linear_backward_input_args *a) {
  const plm_weight *w = a->weight;
  if (w->dtype == PLM_F64) return plm_ops_ref()->linear_backward_input(x, a);
  PLM_TRY(plm_check_linear_backward_input(x, a));
  gemm_job j = {
      .M = a->N,
      .N = w->in,
      .K = w->out,
      .c = a->d_x,
      .c_type = a->d_x_dtype,
      .c_stride = plm_row_stride(a->d_x_stride, w->in),
  };
  j.a = (operand){.data = a->d_y, .type = w->dtype, .outer = plm_row_stride(a->d_y_stride, w->out), .inner = 1};
  j.b = (operand){.data = w->data, .type = w->dtype, .outer = 1, .inner = plm_row_stride(w->stride, w->in)};
  return multiply(x, &j);
}

static plm_status linear_backward_weight(plm_exec *x, const plm_linear_backward_weight_args *a) {
  if (a->dtype == PLM_F64) return plm_ops_ref()->linear_backward_weight(x, a);
  PLM_TRY(plm_check_linear_backward_weight(x, a));
  gemm_job j = {
      .M = a->O,
      .N = a->I,
      .K = a->N,
      .c = a->d_weight,
      .c_type = PLM_F32,
      .c_stride = a->I,
      .add = a->d_weight,
  };
  j.a = (operand){.data = a->d_y, .type = a->dtype, .outer = 1, .inner = plm_row_stride(a->d_y_stride, a->O)};
  j.b = (operand){.data = a->x, .type = a->dtype, .outer = 1, .inner = plm_row_stride(a->x_stride, a->I)};
  PLM_TRY(multiply(x, &j));
  if (a->d_bias != NULL && !x->dry) plm_cpu_bias_gradient(x, a);
  return PLM_OK;
}

/* ---- bias gradients: a worker owns columns ---- */

enum { SUM_COLUMNS = 64 };

typedef struct bias_job {
  const plm_linear_backward_weight_args *a;
  const plm_cpu_product_kernels *kernels;
} bias_job;

static void bias_range(void *context, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const bias_job *j = context;
  const plm_linear_backward_weight_args *a = j->a;
  int64_t first = begin * SUM_COLUMNS, last = end * SUM_COLUMNS < a->O ? end * SUM_COLUMNS : a->O;
  j->kernels->column_sums((const char *)a->d_y + (size_t)first * plm_dtype_size(a->dtype), a->dtype, a->N, last - first,
                          plm_row_stride(a->d_y_stride, a->O), (float *)a->d_bias + first);
}

void plm_cpu_bias_gradient(plm_exec *x, const plm_linear_backward_weight_args *a) {
  bias_job job = {.a = a, .kernels = plm_cpu_products(plm_cpu_context_of(x)->level)};
  plm_parallel_for(x->pool, (a->O + SUM_COLUMNS - 1) / SUM_COLUMNS, bias_range, &job);
}

const plm_ops plm_cpu_layer_gemm = {
    .linear_forward = linear_forward,
    .linear_backward_input = linear_backward_input,
    .linear_backward_weight = linear_backward_weight,
};
