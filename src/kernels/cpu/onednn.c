/* onednn.c - linear layers on oneDNN's matrix products (library versions 2.6 and 3.x; only make_primitive knows the difference).
 *
 * A primitive is made for one shape, which takes about 0.3 ms, and N differs from batch to batch. So rows go in pieces of few sizes:
 *
 *     N = 2048 * i + 256 * j + rest     j < 8; a rest of 1..255 rows is copied and padded with zeros to a multiple of 64
 *
 * That is at most twelve primitives for each kind of product, all made when the plan runs dry: none later, no allocation, and workspace
 * that only grows with N. Measured on 2 Zen 4 cores with oneDNN 2.6 at the shapes of ESM-2 8M: pieces of 256 rows on run at the rate of
 * whole batches (fp32 ~220, bf16 ~430 GFLOP/s). Run-time dimensions (DNNL_RUNTIME_DIM_VAL) cost 2-5 %, and allocate inside every call.
 * Packed weights gain nothing there, plain rows are as fast.
 *
 * Row-invariant products always take the same primitive of INVARIANT_ROWS rows, so a row's bits depend on neither N nor its place.
 * Weight gradients add piece by piece in fp32, in order: repeatable for a thread count. */
#include <dnnl.h>
#include <omp.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "kernels/check.h"
#include "kernels/cpu/cpu.h"
#include "kernels/flops.h"

enum { LARGE_ROWS = 2048, MIDDLE_ROWS = 256, SMALL_ROWS = 64, INVARIANT_ROWS = 128, CACHE_ENTRIES = 512 };

/* dst [M,N] (+)= src [M,K] wei [K,N] + bias [N]. All fields are 64 bits wide: a product is also its own cache key. */
typedef struct product {
  int64_t M, K, N;
  int64_t src_strides[2], wei_strides[2], dst_stride;
  int64_t type, dst_type; /* plm_dtype: of src and wei; of dst */
  int64_t has_bias, accumulates;
} product;

typedef struct entry {
  dnnl_primitive_t primitive;
  dnnl_memory_t src, wei, bias, dst, scratch;
  size_t scratch_bytes;
  int64_t last_use;
} entry;

struct plm_onednn {
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  int threads;
  bool has_bf16;
  int64_t uses;
  size_t count;
  uint64_t hashes[CACHE_ENTRIES];
  entry entries[CACHE_ENTRIES];
};

static plm_status fail_library(dnnl_status_t code, const char *what) {
  return plm_fail(code == dnnl_out_of_memory ? PLM_E_RESOURCE : PLM_E_FAILURE, "oneDNN: %s failed with status %d", what, (int)code);
}

#define TRY_DNNL(call)                                      \
  do {                                                      \
    dnnl_status_t dnnl_code_ = (call);                      \
    if (dnnl_code_ != dnnl_success) return fail_library(dnnl_code_, #call); \
  } while (0)

/* ---- the library and its primitives ---- */

/* Sets the highest instruction set of the library. It obeys before its first use in the process only; later it keeps what it has. */
static void mask_instructions(plm_cpu_level level) {
  dnnl_cpu_isa_t isa = level >= PLM_CPU_AVX512_BF16 ? dnnl_cpu_isa_avx512_core_bf16
                       : level == PLM_CPU_AVX512    ? dnnl_cpu_isa_avx512_core
                                                    : dnnl_cpu_isa_avx2;
  if (level < PLM_CPU_AMX) dnnl_set_max_cpu_isa(isa);
}

plm_status plm_onednn_create(plm_cpu_level level, int threads, plm_onednn **ret_library) {
  plm_onednn *library;
  *ret_library = NULL;
  if (level < PLM_CPU_AVX2) return PLM_OK;
  PLM_TRY(PLM_NEW(&library, 1));
  mask_instructions(level);
  library->threads = threads;
  library->has_bf16 = level >= PLM_CPU_AVX512;
  dnnl_status_t code = dnnl_engine_create(&library->engine, dnnl_cpu, 0);
  if (code == dnnl_success) code = dnnl_stream_create(&library->stream, library->engine, dnnl_stream_default_flags);
  if (code != dnnl_success) {
    plm_onednn_destroy(library);
    return fail_library(code, "creating the CPU engine");
  }
  *ret_library = library;
  return PLM_OK;
}

static void destroy_entry(entry *e) {
  dnnl_memory_t memories[] = {e->src, e->wei, e->bias, e->dst, e->scratch};
  for (size_t i = 0; i < sizeof memories / sizeof memories[0]; i++)
    if (memories[i] != NULL) dnnl_memory_destroy(memories[i]);
  if (e->primitive != NULL) dnnl_primitive_destroy(e->primitive);
  *e = (entry){0};
}

void plm_onednn_destroy(plm_onednn *library) {
  if (library == NULL) return;
  for (size_t i = 0; i < library->count; i++) destroy_entry(&library->entries[i]);
  if (library->stream != NULL) dnnl_stream_destroy(library->stream);
  if (library->engine != NULL) dnnl_engine_destroy(library->engine);
  plm_free(library);
}

static dnnl_data_type_t library_type(int64_t type) { return type == PLM_BF16 ? dnnl_bf16 : dnnl_f32; }

/* The primitive descriptor of a product. */
static dnnl_status_t describe(const plm_onednn *library, const product *p, const_dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *ret_pd) {
  dnnl_dims_t src_dims = {p->M, p->K}, wei_dims = {p->K, p->N}, bias_dims = {1, p->N}, dst_dims = {p->M, p->N};
  dnnl_dims_t src_strides = {p->src_strides[0], p->src_strides[1]}, wei_strides = {p->wei_strides[0], p->wei_strides[1]};
  dnnl_dims_t bias_strides = {p->N, 1}, dst_strides = {p->dst_stride, 1};
  dnnl_data_type_t type = library_type(p->type), dst_type = library_type(p->dst_type);
#if DNNL_VERSION_MAJOR >= 3
  dnnl_memory_desc_t src = NULL, wei = NULL, bias = NULL, dst = NULL;
  dnnl_status_t code = dnnl_memory_desc_create_with_strides(&src, 2, src_dims, type, src_strides);
  if (code == dnnl_success) code = dnnl_memory_desc_create_with_strides(&wei, 2, wei_dims, type, wei_strides);
  if (code == dnnl_success) code = dnnl_memory_desc_create_with_strides(&bias, 2, bias_dims, dnnl_f32, bias_strides);
  if (code == dnnl_success) code = dnnl_memory_desc_create_with_strides(&dst, 2, dst_dims, dst_type, dst_strides);
  if (code == dnnl_success)
    code = dnnl_matmul_primitive_desc_create(ret_pd, library->engine, src, wei, p->has_bias ? bias : NULL, dst, attr);
  if (src != NULL) dnnl_memory_desc_destroy(src);
  if (wei != NULL) dnnl_memory_desc_destroy(wei);
  if (bias != NULL) dnnl_memory_desc_destroy(bias);
  if (dst != NULL) dnnl_memory_desc_destroy(dst);
#else
  dnnl_memory_desc_t src, wei, bias, dst;
  dnnl_matmul_desc_t desc;
  dnnl_status_t code = dnnl_memory_desc_init_by_strides(&src, 2, src_dims, type, src_strides);
  if (code == dnnl_success) code = dnnl_memory_desc_init_by_strides(&wei, 2, wei_dims, type, wei_strides);
  if (code == dnnl_success) code = dnnl_memory_desc_init_by_strides(&bias, 2, bias_dims, dnnl_f32, bias_strides);
  if (code == dnnl_success) code = dnnl_memory_desc_init_by_strides(&dst, 2, dst_dims, dst_type, dst_strides);
  if (code == dnnl_success) code = dnnl_matmul_desc_init(&desc, &src, &wei, p->has_bias ? &bias : NULL, &dst);
  if (code == dnnl_success) code = dnnl_primitive_desc_create(ret_pd, &desc, attr, library->engine, NULL);
#endif
  return code;
}

static dnnl_status_t append_sum(dnnl_post_ops_t post_ops) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_post_ops_append_sum(post_ops, 1.0f, 0, dnnl_data_type_undef);
#else
  return dnnl_post_ops_append_sum(post_ops, 1.0f);
#endif
}

static dnnl_status_t describe_with_attributes(const plm_onednn *library, const product *p, dnnl_primitive_desc_t *ret_pd) {
  dnnl_primitive_attr_t attr = NULL;
  dnnl_post_ops_t post_ops = NULL;
  dnnl_status_t code = dnnl_primitive_attr_create(&attr);
  if (code == dnnl_success) code = dnnl_post_ops_create(&post_ops);
  if (code == dnnl_success && p->accumulates) code = append_sum(post_ops);
  if (code == dnnl_success) code = dnnl_primitive_attr_set_post_ops(attr, post_ops);
  if (code == dnnl_success) code = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
  if (code == dnnl_success) code = describe(library, p, attr, ret_pd);
  if (post_ops != NULL) dnnl_post_ops_destroy(post_ops);
  if (attr != NULL) dnnl_primitive_attr_destroy(attr);
  return code;
}

static dnnl_status_t make_entry(const plm_onednn *library, const product *p, entry *e) {
  dnnl_primitive_desc_t pd = NULL;
  dnnl_status_t code = describe_with_attributes(library, p, &pd);
  if (code != dnnl_success) return code;
  const struct {
    dnnl_memory_t *memory;
    dnnl_query_t query;
    int index;
  } memories[] = {{&e->src, dnnl_query_src_md, 0}, {&e->wei, dnnl_query_weights_md, 0}, {&e->bias, dnnl_query_weights_md, 1},
                  {&e->dst, dnnl_query_dst_md, 0}, {&e->scratch, dnnl_query_scratchpad_md, 0}};
  code = dnnl_primitive_create(&e->primitive, pd);
  for (size_t i = 0; i < sizeof memories / sizeof memories[0] && code == dnnl_success; i++)
    if (memories[i].index == 0 || p->has_bias)
      code = dnnl_memory_create(memories[i].memory, dnnl_primitive_desc_query_md(pd, memories[i].query, memories[i].index),
                                library->engine, DNNL_MEMORY_NONE);
  e->scratch_bytes = dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0));
  dnnl_primitive_desc_destroy(pd);
  if (code != dnnl_success) destroy_entry(e);
  return code;
}

/* Run `body` with the library's team as large as the exec's pool. */
static int enter_team(const plm_onednn *library) {
  int before = omp_get_max_threads();
  if (before != library->threads) omp_set_num_threads(library->threads);
  return before;
}
static void leave_team(const plm_onednn *library, int before) {
  if (before != library->threads) omp_set_num_threads(before);
}

static size_t oldest_entry(const plm_onednn *library) {
  size_t oldest = 0;
  for (size_t i = 1; i < library->count; i++)
    if (library->entries[i].last_use < library->entries[oldest].last_use) oldest = i;
  return oldest;
}

/* The primitive of a product, made if it isn't there. PLM_E_UNSUPPORTED when the library has none. */
static plm_status find_entry(plm_onednn *library, const product *p, entry **ret_entry) {
  uint64_t hash = plm_hash64(p, sizeof *p);
  for (size_t i = 0; i < library->count; i++) {
    if (library->hashes[i] != hash) continue;
    library->entries[i].last_use = ++library->uses;
    *ret_entry = &library->entries[i];
    return PLM_OK;
  }
  entry made = {.last_use = ++library->uses};
  int before = enter_team(library);
  dnnl_status_t code = make_entry(library, p, &made);
  leave_team(library, before);
  if (code == dnnl_unimplemented)
    return plm_fail(PLM_E_UNSUPPORTED, "oneDNN has no product [%lld,%lld]x[%lld,%lld] of this type", (long long)p->M, (long long)p->K,
                    (long long)p->K, (long long)p->N);
  if (code != dnnl_success) return fail_library(code, "making a product");
  size_t at = library->count < CACHE_ENTRIES ? library->count++ : oldest_entry(library);
  destroy_entry(&library->entries[at]);
  library->hashes[at] = hash;
  library->entries[at] = made;
  *ret_entry = &library->entries[at];
  return PLM_OK;
}

typedef struct operands {
  const void *src, *wei, *bias;
  void *dst, *scratch;
} operands;

static plm_status run_product(plm_onednn *library, const product *p, const operands *o) {
  entry *e;
  PLM_TRY(find_entry(library, p, &e));
  TRY_DNNL(dnnl_memory_set_data_handle(e->src, (void *)o->src));
  TRY_DNNL(dnnl_memory_set_data_handle(e->wei, (void *)o->wei));
  TRY_DNNL(dnnl_memory_set_data_handle(e->dst, o->dst));
  TRY_DNNL(dnnl_memory_set_data_handle(e->scratch, o->scratch));
  if (p->has_bias) TRY_DNNL(dnnl_memory_set_data_handle(e->bias, (void *)o->bias));
  dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, e->src}, {DNNL_ARG_WEIGHTS, e->wei}, {DNNL_ARG_DST, e->dst},
                            {DNNL_ARG_SCRATCHPAD, e->scratch}, {DNNL_ARG_BIAS, e->bias}};
  int before = enter_team(library);
  dnnl_status_t code = dnnl_primitive_execute(e->primitive, library->stream, p->has_bias ? 5 : 4, args);
  if (code == dnnl_success) code = dnnl_stream_wait(library->stream);
  leave_team(library, before);
  return code == dnnl_success ? PLM_OK : fail_library(code, "a product");
}

/* ---- rows in pieces ---- */

typedef struct piece {
  int64_t first, rows; /* of the call's rows */
  int64_t size;        /* rows of the primitive; rows < size or a size below MIDDLE_ROWS: through copies */
  bool is_copied;
} piece;

static int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/* The piece that starts at row `first` of N. */
static piece piece_at(int64_t first, int64_t N, bool row_invariant) {
  int64_t left = N - first;
  if (row_invariant) {
    int64_t rows = left < INVARIANT_ROWS ? left : INVARIANT_ROWS;
    return (piece){.first = first, .rows = rows, .size = INVARIANT_ROWS, .is_copied = rows < INVARIANT_ROWS};
  }
  if (left < MIDDLE_ROWS) return (piece){.first = first, .rows = left, .size = round_up(left, SMALL_ROWS), .is_copied = true};
  int64_t rows = left < LARGE_ROWS ? left / MIDDLE_ROWS * MIDDLE_ROWS : LARGE_ROWS;
  return (piece){.first = first, .rows = rows, .size = rows};
}

/* A linear call as products: `shape` turns a piece into one. */
typedef struct linear_call {
  plm_onednn *library;
  int64_t N;
  bool row_invariant;
  product direct, copied; /* M (or K, for weight gradients) is the piece's size, filled in for each piece */
  bool rows_are_terms;    /* the rows are summed over: K */
  int64_t copy_widths[2]; /* elements per row of the two row operands of a copied piece */
  size_t copy_sizes[2];   /* their element sizes */
} linear_call;

static product product_of(const linear_call *call, const piece *p) {
  product result = p->is_copied ? call->copied : call->direct;
  *(call->rows_are_terms ? &result.K : &result.M) = p->size;
  return result;
}

typedef struct workspace_layout {
  void *scratch;
  void *copies[2];
} workspace_layout;

static size_t align_bytes(size_t bytes) { return (bytes + 63) / 64 * 64; }

static plm_status add_scratch(const linear_call *call, const piece *p, size_t *scratch) {
  entry *e;
  product shape = product_of(call, p);
  PLM_TRY(find_entry(call->library, &shape, &e));
  if (e->scratch_bytes > *scratch) *scratch = e->scratch_bytes;
  return PLM_OK;
}

/* Dry: make every primitive that a call of up to N rows can want, and take the largest of their scratches. */
static plm_status plan_scratch(const linear_call *call, size_t *scratch) {
  for (int64_t size = SMALL_ROWS; size <= MIDDLE_ROWS && !call->row_invariant; size += SMALL_ROWS)
    PLM_TRY(add_scratch(call, &(piece){.size = size, .is_copied = true}, scratch));
  for (int64_t size = MIDDLE_ROWS; size <= LARGE_ROWS && size <= call->N && !call->row_invariant; size += MIDDLE_ROWS)
    PLM_TRY(add_scratch(call, &(piece){.size = size}, scratch));
  for (int copied = 0; copied < 2 && call->row_invariant; copied++)
    PLM_TRY(add_scratch(call, &(piece){.size = INVARIANT_ROWS, .is_copied = copied != 0}, scratch));
  return PLM_OK;
}

/* Claim scratch and the room for copied rows. */
static plm_status claim_workspace(plm_exec *x, const linear_call *call, workspace_layout *ret_layout) {
  size_t scratch = 0, copies[2];
  if (x->dry) {
    PLM_TRY(plan_scratch(call, &scratch));
  } else {
    for (int64_t n = 0; n < call->N;) {
      piece p = piece_at(n, call->N, call->row_invariant);
      PLM_TRY(add_scratch(call, &p, &scratch));
      n += p.rows;
    }
  }
  scratch = align_bytes(scratch);
  for (int i = 0; i < 2; i++) copies[i] = align_bytes((size_t)(MIDDLE_ROWS * call->copy_widths[i]) * call->copy_sizes[i]);
  void *base = NULL;
  PLM_TRY(plm_exec_workspace(x, scratch + copies[0] + copies[1], &base));
  if (base == NULL) return PLM_OK;
  *ret_layout = (workspace_layout){.scratch = base, .copies = {(char *)base + scratch, (char *)base + scratch + copies[0]}};
  return PLM_OK;
}

/* to [size, width] = rows of from, zero beyond `rows`; from NULL: only zeros. */
static void copy_in(void *to, const void *from, int64_t rows, int64_t size, int64_t width, int64_t stride, size_t element) {
  size_t row_bytes = (size_t)width * element;
  for (int64_t r = 0; r < size; r++) {
    char *row = (char *)to + (size_t)r * row_bytes;
    if (r < rows)
      memcpy(row, (const char *)from + (size_t)(r * stride) * element, row_bytes);
    else
      memset(row, 0, row_bytes);
  }
}

static void copy_out(void *to, int64_t stride, const void *from, int64_t rows, int64_t width, size_t element) {
  for (int64_t r = 0; r < rows; r++)
    memcpy((char *)to + (size_t)(r * stride) * element, (const char *)from + (size_t)(r * width) * element, (size_t)width * element);
}

static const void *row_of(const void *base, int64_t row, int64_t stride, size_t element) {
  return (const char *)base + (size_t)(row * stride) * element;
}

/* ---- the operators ---- */

static bool does_library(const plm_exec *x, plm_dtype type) {
  const plm_onednn *library = x->cpu_cache == NULL ? NULL : x->cpu_cache->onednn;
  return library != NULL && (type == PLM_F32 || (type == PLM_BF16 && library->has_bf16));
}

typedef struct add_job {
  const plm_linear_forward_args *a;
  int64_t stride;
} add_job;

static void copy_add_range(void *context, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const add_job *j = context;
  size_t element = plm_dtype_size(j->a->y_dtype);
  for (int64_t n = begin; n < end; n++)
    memcpy((char *)j->a->y + (size_t)(n * j->stride) * element, row_of(j->a->add, n, j->stride, element), (size_t)j->a->weight->out * element);
}

/* One product per piece: x rows times the weight turned over. */
static plm_status run_rows(const linear_call *call, const workspace_layout *room, const void *src, int64_t src_stride, const void *wei,
                           const void *bias, void *dst, int64_t dst_stride) {
  size_t src_size = call->copy_sizes[0], dst_size = call->copy_sizes[1];
  for (int64_t n = 0; n < call->N;) {
    piece p = piece_at(n, call->N, call->row_invariant);
    product shape = product_of(call, &p);
    const void *src_rows = row_of(src, n, src_stride, src_size);
    void *dst_rows = (char *)dst + (size_t)(n * dst_stride) * dst_size;
    operands o = {.src = src_rows, .wei = wei, .bias = bias, .dst = dst_rows, .scratch = room->scratch};
    if (p.is_copied) {
      copy_in(room->copies[0], src_rows, p.rows, p.size, shape.K, src_stride, src_size);
      if (shape.accumulates) copy_in(room->copies[1], dst_rows, p.rows, p.size, shape.N, dst_stride, dst_size);
      o.src = room->copies[0];
      o.dst = room->copies[1];
    }
    PLM_TRY(run_product(call->library, &shape, &o));
    if (p.is_copied) copy_out(dst_rows, dst_stride, room->copies[1], p.rows, shape.N, dst_size);
    n += p.rows;
  }
  return PLM_OK;
}

static plm_status linear_forward(plm_exec *x, const plm_linear_forward_args *a) {
  const plm_weight *w = a->weight;
  if (!does_library(x, w->dtype) || w->in == 0 || w->out == 0) return plm_cpu_layer_gemm.linear_forward(x, a);
  PLM_TRY(plm_check_linear_forward(x, a));
  int64_t x_stride = plm_row_stride(a->x_stride, w->in), y_stride = plm_row_stride(a->y_stride, w->out);
  linear_call call = {.library = x->cpu_cache->onednn, .N = a->N, .row_invariant = a->row_invariant,
                      .copy_widths = {w->in, w->out}, .copy_sizes = {plm_dtype_size(w->dtype), plm_dtype_size(a->y_dtype)}};
  call.direct = (product){.K = w->in, .N = w->out, .src_strides = {x_stride, 1}, .wei_strides = {1, plm_row_stride(w->stride, w->in)},
                          .dst_stride = y_stride, .type = w->dtype, .dst_type = a->y_dtype, .has_bias = a->bias != NULL,
                          .accumulates = a->add != NULL};
  call.copied = call.direct;
  call.copied.src_strides[0] = w->in;
  call.copied.dst_stride = w->out;
  workspace_layout room = {0};
  plm_status status = claim_workspace(x, &call, &room);
  if (status == PLM_E_UNSUPPORTED) return plm_cpu_layer_gemm.linear_forward(x, a);
  PLM_TRY(status);
  x->flops += plm_flops_product(a->N, w->out, w->in);
  if (x->dry) return PLM_OK;
  if (a->add != NULL && a->add != a->y) {
    add_job job = {.a = a, .stride = y_stride};
    plm_parallel_for(x->pool, a->N, copy_add_range, &job);
  }
  return run_rows(&call, &room, a->x, x_stride, w->data, a->bias, a->y, y_stride);
}

static plm_status linear_backward_input(plm_exec *x, const plm_linear_backward_input_args *a) {
  const plm_weight *w = a->weight;
  if (!does_library(x, w->dtype) || w->in == 0 || w->out == 0) return plm_cpu_layer_gemm.linear_backward_input(x, a);
  PLM_TRY(plm_check_linear_backward_input(x, a));
  int64_t d_y_stride = plm_row_stride(a->d_y_stride, w->out), d_x_stride = plm_row_stride(a->d_x_stride, w->in);
  linear_call call = {.library = x->cpu_cache->onednn, .N = a->N, .copy_widths = {w->out, w->in},
                      .copy_sizes = {plm_dtype_size(w->dtype), plm_dtype_size(a->d_x_dtype)}};
  call.direct = (product){.K = w->out, .N = w->in, .src_strides = {d_y_stride, 1}, .wei_strides = {plm_row_stride(w->stride, w->in), 1},
                          .dst_stride = d_x_stride, .type = w->dtype, .dst_type = a->d_x_dtype};
  call.copied = call.direct;
  call.copied.src_strides[0] = w->out;
  call.copied.dst_stride = w->in;
  workspace_layout room = {0};
  plm_status status = claim_workspace(x, &call, &room);
  if (status == PLM_E_UNSUPPORTED) return plm_cpu_layer_gemm.linear_backward_input(x, a);
  PLM_TRY(status);
  x->flops += plm_flops_product(a->N, w->out, w->in);
  if (x->dry) return PLM_OK;
  return run_rows(&call, &room, a->d_y, d_y_stride, w->data, NULL, a->d_x, d_x_stride);
}

/* d_weight [O,I] += d_y^T x, the rows being the terms. */
static plm_status run_terms(const linear_call *call, const workspace_layout *room, const plm_linear_backward_weight_args *a,
                            int64_t d_y_stride, int64_t x_stride) {
  size_t element = plm_dtype_size(a->dtype);
  for (int64_t n = 0; n < call->N;) {
    piece p = piece_at(n, call->N, false);
    product shape = product_of(call, &p);
    operands o = {.src = row_of(a->d_y, n, d_y_stride, element), .wei = row_of(a->x, n, x_stride, element), .dst = a->d_weight,
                  .scratch = room->scratch};
    if (p.is_copied) {
      copy_in(room->copies[0], o.src, p.rows, p.size, a->O, d_y_stride, element);
      copy_in(room->copies[1], o.wei, p.rows, p.size, a->I, x_stride, element);
      o.src = room->copies[0];
      o.wei = room->copies[1];
    }
    PLM_TRY(run_product(call->library, &shape, &o));
    n += p.rows;
  }
  return PLM_OK;
}

static plm_status linear_backward_weight(plm_exec *x, const plm_linear_backward_weight_args *a) {
  if (!does_library(x, a->dtype) || a->O == 0 || a->I == 0) return plm_cpu_layer_gemm.linear_backward_weight(x, a);
  PLM_TRY(plm_check_linear_backward_weight(x, a));
  int64_t d_y_stride = plm_row_stride(a->d_y_stride, a->O), x_stride = plm_row_stride(a->x_stride, a->I);
  linear_call call = {.library = x->cpu_cache->onednn, .N = a->N, .rows_are_terms = true, .copy_widths = {a->O, a->I},
                      .copy_sizes = {plm_dtype_size(a->dtype), plm_dtype_size(a->dtype)}};
  call.direct = (product){.M = a->O, .N = a->I, .src_strides = {1, d_y_stride}, .wei_strides = {x_stride, 1}, .dst_stride = a->I,
                          .type = a->dtype, .dst_type = PLM_F32, .accumulates = 1};
  call.copied = call.direct;
  call.copied.src_strides[1] = a->O;
  call.copied.wei_strides[0] = a->I;
  workspace_layout room = {0};
  bool has_product = a->d_weight != NULL || x->dry;
  if (has_product) {
    plm_status status = claim_workspace(x, &call, &room);
    if (status == PLM_E_UNSUPPORTED) return plm_cpu_layer_gemm.linear_backward_weight(x, a);
    PLM_TRY(status);
    x->flops += plm_flops_product(a->N, a->O, a->I);
  }
  if (x->dry) return PLM_OK;
  if (has_product) PLM_TRY(run_terms(&call, &room, a, d_y_stride, x_stride));
  if (a->d_bias != NULL) plm_cpu_bias_gradient(x, a);
  return PLM_OK;
}

const plm_ops plm_cpu_layer_onednn = {.linear_forward = linear_forward,
                                      .linear_backward_input = linear_backward_input,
                                      .linear_backward_weight = linear_backward_weight};
