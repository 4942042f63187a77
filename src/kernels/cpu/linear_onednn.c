/* linear_onednn.c - linear layers on oneDNN's matrix products (onednn.h).
 *
 * A primitive is made for one shape, which takes about 0.3 ms, and N differs from batch to batch. So rows go in pieces
 * of few sizes:
 *
 *     N = 2048 * i + 256 * j + rest     j < 8; a rest of 1..255 rows is copied and padded with zeros to a multiple of
 *                                       64
 *
 * That is at most twelve primitives for each kind of product, all made when the plan runs dry: none later, and
 * workspace that only grows with N. Measured on 2 Zen 4 cores with oneDNN 2.6 at the shapes of ESM-2 8M: pieces of 256
 * rows on run at the rate of whole batches (fp32 ~220, bf16 ~430 GFLOP/s). Run-time dimensions (DNNL_RUNTIME_DIM_VAL)
 * cost 2-5 % and allocate inside every call. Packed weights gain nothing there. Weight gradients add piece by piece in
 * fp32, in order: repeatable for a thread count.
 *
 * Row-invariant bf16 products are cut into blocks of INVARIANT_ROWS x INVARIANT_COLUMNS of y, the last rows padded with
 * zeros. A block is a task, done by one thread with a primitive made for one thread: always the same one, so a row's
 * bits depend on neither N, nor its place, nor the number of threads. Copies keep the strides of what they copy, so
 * that they meet the same primitive. */
#include <stdatomic.h>
#include <string.h>

#include "kernels/check.h"
#include "kernels/cpu/onednn.h"
#include "kernels/flops.h"

enum { LARGE_ROWS = 2048, MIDDLE_ROWS = 256, SMALL_ROWS = 64, INVARIANT_ROWS = 128, INVARIANT_COLUMNS = 256 };

static int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/* ---- row operands: what is cut into pieces ---- */

typedef struct rows {
  const void *data;
  plm_dtype type;
  int64_t width, stride;
} rows;

static const void *row_at(const rows *r, int64_t n) {
  return (const char *)r->data + (size_t)(n * r->stride) * plm_dtype_size(r->type);
}
static size_t copy_bytes(const rows *r, int64_t count) {
  return (size_t)round_up(count * r->stride * (int64_t)plm_dtype_size(r->type), 64);
}

/* Rows n.. of r at `to`, at the stride they have; zero from `count` to `size`. */
static void copy_in(const rows *r, int64_t n, int64_t count, int64_t size, void *to) {
  size_t bytes = (size_t)r->width * plm_dtype_size(r->type), step = (size_t)r->stride * plm_dtype_size(r->type);
  for (int64_t i = 0; i < size; i++) {
    char *row = (char *)to + (size_t)i * step;
    if (i < count)
      memcpy(row, row_at(r, n + i), bytes);
    else
      memset(row, 0, bytes);
  }
}

static void copy_out(const rows *r, int64_t n, int64_t count, const void *from) {
  size_t bytes = (size_t)r->width * plm_dtype_size(r->type), step = (size_t)r->stride * plm_dtype_size(r->type);
  for (int64_t i = 0; i < count; i++) memcpy((void *)row_at(r, n + i), (const char *)from + (size_t)i * step, bytes);
}

/* ---- a call in pieces ---- */

typedef struct piece {
  int64_t rows; /* of the call */
  int64_t size; /* of the primitive; more than rows: through copies */
} piece;

static piece piece_of(int64_t left) {
  if (left < MIDDLE_ROWS) return (piece){.rows = left, .size = round_up(left, SMALL_ROWS)};
  int64_t whole = left < LARGE_ROWS ? left / MIDDLE_ROWS * MIDDLE_ROWS : LARGE_ROWS;
  return (piece){.rows = whole, .size = whole};
}

typedef struct linear_call {
  plm_onednn *library;
  int64_t N;
  plm_onednn_product shape; /* but for the size of the piece, which is M, or K when the rows are summed over */
  bool sums_rows;
  rows first, second; /* src and dst, or, when the rows are summed over, src and wei */
} linear_call;

static plm_onednn_product product_of(const linear_call *call, int64_t size) {
  plm_onednn_product product = call->shape;
  *(call->sums_rows ? &product.K : &product.M) = size;
  return product;
}

static plm_status add_scratch(plm_onednn *library, const plm_onednn_product *product, size_t *scratch) {
  plm_onednn_entry *entry;
  PLM_TRY(plm_onednn_find(library, product, &entry));
  size_t bytes = plm_onednn_scratch_bytes(entry);
  if (bytes > *scratch) *scratch = bytes;
  return PLM_OK;
}

typedef struct workspace {
  void *scratch, *first, *second; /* the library's; copied rows */
} workspace;

/* Make every primitive that a call of up to N rows can want (a look-up each, once they exist), and claim the largest of
 * their scratches and room for copies: as much for every call of up to N rows. */
static plm_status claim_workspace(plm_exec *x, const linear_call *call, workspace *ret_workspace) {
  size_t scratch = 0, first = copy_bytes(&call->first, MIDDLE_ROWS), second = copy_bytes(&call->second, MIDDLE_ROWS);
  for (int64_t size = SMALL_ROWS; size <= LARGE_ROWS; size += size < MIDDLE_ROWS ? SMALL_ROWS : MIDDLE_ROWS) {
    plm_onednn_product product = product_of(call, size);
    if (size <= MIDDLE_ROWS || size <= call->N) PLM_TRY(add_scratch(call->library, &product, &scratch));
  }
  scratch = (size_t)round_up((int64_t)scratch, 64);
  void *base = NULL;
  PLM_TRY(plm_exec_workspace(x, scratch + first + second, &base));
  if (base != NULL)
    *ret_workspace =
        (workspace){.scratch = base, .first = (char *)base + scratch, .second = (char *)base + scratch + first};
  return PLM_OK;
}

/* dst rows from src rows. */
static plm_status run_rows(const linear_call *call, const workspace *room, const void *wei, const void *bias) {
  for (int64_t n = 0; n < call->N;) {
    piece p = piece_of(call->N - n);
    plm_onednn_product product = product_of(call, p.size);
    bool copies = p.size > p.rows;
    plm_onednn_operands o = {
        .src = row_at(&call->first, n),
        .wei = wei,
        .bias = bias,
        .dst = (void *)row_at(&call->second, n),
        .scratch = room->scratch,
    };
    if (copies) {
      copy_in(&call->first, n, p.rows, p.size, room->first);
      if (product.accumulates) copy_in(&call->second, n, p.rows, p.size, room->second);
      o.src = room->first;
      o.dst = room->second;
    }
    PLM_TRY(plm_onednn_run(call->library, &product, &o));
    if (copies) copy_out(&call->second, n, p.rows, room->second);
    n += p.rows;
  }
  return PLM_OK;
}

/* dst += a product that sums over the rows of src and wei. */
static plm_status run_sums(const linear_call *call, const workspace *room, void *dst) {
  for (int64_t n = 0; n < call->N;) {
    piece p = piece_of(call->N - n);
    plm_onednn_product product = product_of(call, p.size);
    plm_onednn_operands o = {
        .src = row_at(&call->first, n),
        .wei = row_at(&call->second, n),
        .dst = dst,
        .scratch = room->scratch,
    };
    if (p.size > p.rows) {
      copy_in(&call->first, n, p.rows, p.size, room->first);
      copy_in(&call->second, n, p.rows, p.size, room->second);
      o.src = room->first;
      o.wei = room->second;
    }
    PLM_TRY(plm_onednn_run(call->library, &product, &o));
    n += p.rows;
  }
  return PLM_OK;
}

/* ---- row-invariant blocks ---- */

typedef struct invariant_job {
  const linear_call *call;
  const plm_linear_forward_args *a;
  const plm_onednn_entry *full, *last; /* for INVARIANT_COLUMNS outputs and for the rest */
  int64_t column_blocks;
  char *room; /* per worker: scratch, copied src, copied dst */
  size_t scratch_bytes, first_bytes, room_bytes;
  _Atomic bool has_failed; /* the first failure is kept in `failure` */
  plm_error_record failure;
} invariant_job;

static plm_status run_block(const invariant_job *j, int64_t n, int64_t column, char *room) {
  const plm_linear_forward_args *a = j->a;
  const plm_weight *w = a->weight;
  int64_t left = j->call->N - n, count = left < INVARIANT_ROWS ? left : INVARIANT_ROWS, columns = w->out - column;
  rows src = j->call->first, dst = j->call->second;
  dst.data = (const char *)dst.data + (size_t)column * plm_dtype_size(dst.type);
  dst.width = columns < INVARIANT_COLUMNS ? columns : INVARIANT_COLUMNS;
  plm_onednn_operands o = {
      .src = row_at(&src, n),
      .dst = (void *)row_at(&dst, n),
      .scratch = room,
      .wei = (const char *)w->data + (size_t)(column * plm_row_stride(w->stride, w->in)) * plm_dtype_size(w->dtype),
      .bias = a->bias == NULL ? NULL : (const float *)a->bias + column,
  };
  if (count < INVARIANT_ROWS) {
    o.src = room + j->scratch_bytes;
    o.dst = room + j->scratch_bytes + j->first_bytes;
    copy_in(&src, n, count, INVARIANT_ROWS, room + j->scratch_bytes);
    if (a->add != NULL) copy_in(&dst, n, count, INVARIANT_ROWS, o.dst);
  }
  PLM_TRY(plm_onednn_run_entry(j->call->library, columns < INVARIANT_COLUMNS ? j->last : j->full, &o));
  if (count < INVARIANT_ROWS) copy_out(&dst, n, count, o.dst);
  return PLM_OK;
}

static void invariant_task(void *context, int64_t task, int worker) {
  invariant_job *j = context;
  char *room = j->room + (size_t)worker * j->room_bytes;
  plm_status status =
      run_block(j, task / j->column_blocks * INVARIANT_ROWS, task % j->column_blocks * INVARIANT_COLUMNS, room);
  if (status != PLM_OK && !atomic_exchange(&j->has_failed, true)) plm_error_take(status, &j->failure);
}

/* Find the two primitives, claim workspace. */
static plm_status prepare_invariant(plm_exec *x, const linear_call *call, invariant_job *j) {
  size_t scratch = 0;
  int64_t rest = call->shape.N % INVARIANT_COLUMNS;
  plm_onednn_product product = call->shape;
  plm_onednn_entry *full = NULL, *last = NULL;
  product.M = INVARIANT_ROWS;
  product.threads = 1;
  product.N = INVARIANT_COLUMNS;
  if (call->shape.N >= INVARIANT_COLUMNS) {
    PLM_TRY(add_scratch(call->library, &product, &scratch));
    PLM_TRY(plm_onednn_find(call->library, &product, &full));
  }
  product.N = rest;
  if (rest > 0) {
    PLM_TRY(add_scratch(call->library, &product, &scratch));
    PLM_TRY(plm_onednn_find(call->library, &product, &last));
  }
  j->full = full;
  j->last = last;
  j->column_blocks = (call->shape.N + INVARIANT_COLUMNS - 1) / INVARIANT_COLUMNS;
  j->scratch_bytes = (size_t)round_up((int64_t)scratch, 64);
  j->first_bytes = copy_bytes(&call->first, INVARIANT_ROWS);
  j->room_bytes = j->scratch_bytes + j->first_bytes + copy_bytes(&call->second, INVARIANT_ROWS);
  void *base = NULL;
  PLM_TRY(plm_exec_workspace(x, j->room_bytes * (size_t)plm_pool_threads(x->pool), &base));
  j->room = base;
  return PLM_OK;
}

static plm_status run_invariant(plm_exec *x, invariant_job *j) {
  int64_t row_blocks = (j->call->N + INVARIANT_ROWS - 1) / INVARIANT_ROWS;
  plm_parallel_tasks(x->pool, row_blocks * j->column_blocks, invariant_task, j);
  return atomic_load(&j->has_failed) ? plm_error_give(&j->failure) : PLM_OK;
}

/* ---- the operators ---- */

static bool does_library(const plm_exec *x, plm_dtype type, int64_t out, int64_t in) {
  return x->context != NULL && plm_onednn_does(plm_cpu_context_of(x)->onednn, type) && out > 0 && in > 0;
}

typedef struct add_job {
  const rows *y;
  const void *add;
} add_job;

static void copy_add_range(void *context, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const add_job *j = context;
  rows add = *j->y;
  add.data = j->add;
  for (int64_t n = begin; n < end; n++) copy_out(j->y, n, 1, row_at(&add, n));
}

static plm_status linear_forward(plm_exec *x, const plm_linear_forward_args *a) {
  const plm_weight *w = a->weight;
  bool is_own = a->row_invariant && w->dtype == PLM_F32; /* as fast, and invariant without further ado */
  if (is_own || !does_library(x, w->dtype, w->out, w->in)) return plm_cpu_layer_gemm.linear_forward(x, a);
  PLM_TRY(plm_check_linear_forward(x, a));
  int64_t x_stride = plm_row_stride(a->x_stride, w->in), y_stride = plm_row_stride(a->y_stride, w->out);
  linear_call call = {.library = plm_cpu_context_of(x)->onednn, .N = a->N};
  call.first = (rows){.data = a->x, .type = w->dtype, .width = w->in, .stride = x_stride};
  call.second = (rows){.data = a->y, .type = a->y_dtype, .width = w->out, .stride = y_stride};
  call.shape = (plm_onednn_product){
      .K = w->in,
      .N = w->out,
      .src_strides = {x_stride, 1},
      .wei_strides = {1, plm_row_stride(w->stride, w->in)},
      .dst_stride = y_stride,
      .type = w->dtype,
      .dst_type = a->y_dtype,
      .has_bias = a->bias != NULL,
      .accumulates = a->add != NULL,
      .threads = plm_pool_threads(x->pool),
  };
  workspace room = {0};
  invariant_job invariant = {.call = &call, .a = a};
  plm_status status = a->row_invariant ? prepare_invariant(x, &call, &invariant) : claim_workspace(x, &call, &room);
  if (status == PLM_E_UNSUPPORTED) return plm_cpu_layer_gemm.linear_forward(x, a);
  PLM_TRY(status);
  x->flops += plm_flops_product(a->N, w->out, w->in);
  if (x->dry) return PLM_OK;
  if (a->add != NULL && a->add != a->y)
    plm_parallel_for(x->pool, a->N, copy_add_range, &(add_job){.y = &call.second, .add = a->add});
  return a->row_invariant ? run_invariant(x, &invariant) : run_rows(&call, &room, w->data, a->bias);
}

static plm_status linear_backward_input(plm_exec *x, const plm_linear_backward_input_args *a) {
  const plm_weight *w = a->weight;
  if (!does_library(x, w->dtype, w->out, w->in)) return plm_cpu_layer_gemm.linear_backward_input(x, a);
  PLM_TRY(plm_check_linear_backward_input(x, a));
  int64_t d_y_stride = plm_row_stride(a->d_y_stride, w->out), d_x_stride = plm_row_stride(a->d_x_stride, w->in);
  linear_call call = {.library = plm_cpu_context_of(x)->onednn, .N = a->N};
  call.first = (rows){.data = a->d_y, .type = w->dtype, .width = w->out, .stride = d_y_stride};
  call.second = (rows){.data = a->d_x, .type = a->d_x_dtype, .width = w->in, .stride = d_x_stride};
  call.shape = (plm_onednn_product){
      .K = w->out,
      .N = w->in,
      .src_strides = {d_y_stride, 1},
      .wei_strides = {plm_row_stride(w->stride, w->in), 1},
      .dst_stride = d_x_stride,
      .type = w->dtype,
      .dst_type = a->d_x_dtype,
      .threads = plm_pool_threads(x->pool),
  };
  workspace room = {0};
  plm_status status = claim_workspace(x, &call, &room);
  if (status == PLM_E_UNSUPPORTED) return plm_cpu_layer_gemm.linear_backward_input(x, a);
  PLM_TRY(status);
  x->flops += plm_flops_product(a->N, w->out, w->in);
  return x->dry ? PLM_OK : run_rows(&call, &room, w->data, NULL);
}

static plm_status linear_backward_weight(plm_exec *x, const plm_linear_backward_weight_args *a) {
  if (!does_library(x, a->dtype, a->O, a->I)) return plm_cpu_layer_gemm.linear_backward_weight(x, a);
  PLM_TRY(plm_check_linear_backward_weight(x, a));
  int64_t d_y_stride = plm_row_stride(a->d_y_stride, a->O), x_stride = plm_row_stride(a->x_stride, a->I);
  linear_call call = {.library = plm_cpu_context_of(x)->onednn, .N = a->N, .sums_rows = true};
  call.first = (rows){.data = a->d_y, .type = a->dtype, .width = a->O, .stride = d_y_stride};
  call.second = (rows){.data = a->x, .type = a->dtype, .width = a->I, .stride = x_stride};
  call.shape = (plm_onednn_product){
      .M = a->O,
      .N = a->I,
      .src_strides = {1, d_y_stride},
      .wei_strides = {x_stride, 1},
      .dst_stride = a->I,
      .type = a->dtype,
      .dst_type = PLM_F32,
      .accumulates = 1,
      .threads = plm_pool_threads(x->pool),
  };
  workspace room = {0};
  plm_status status = claim_workspace(x, &call, &room);
  if (status == PLM_E_UNSUPPORTED) return plm_cpu_layer_gemm.linear_backward_weight(x, a);
  PLM_TRY(status);
  if (a->d_weight != NULL || x->dry) x->flops += plm_flops_product(a->N, a->O, a->I);
  if (x->dry) return PLM_OK;
  if (a->d_weight != NULL) PLM_TRY(run_sums(&call, &room, a->d_weight));
  if (a->d_bias != NULL) plm_cpu_bias_gradient(x, a);
  return PLM_OK;
}

const plm_ops plm_cpu_layer_onednn = {
    .linear_forward = linear_forward,
    .linear_backward_input = linear_backward_input,
    .linear_backward_weight = linear_backward_weight,
};
