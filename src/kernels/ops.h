/* ops.h - the operator table: everything a model computes.
 *
 * Read first: exec.h (what a call runs on), docs/NOTATION.md (dimension letters).
 *
 * One struct of typed function pointers; every entry has the form
 *
 *     plm_status op(plm_exec *x, const plm_<op>_args *a);
 *
 * Rules, the same for every entry and every backend:
 *   - `args` is zero-initialisable: a NULL pointer or 0 turns an optional feature off. It may grow at the end.
 *   - Sizes are int64_t; a size of 0 is legal and does nothing (gradients still count as written).
 *   - Tensors are row-major; `*_stride` is the distance between rows in elements, 0 = packed (the row length).
 *   - Pointers are device pointers, aligned to their element only, unless an entry says host memory.
 *   - Host memory in `args` (the struct, a plm_weight, host_cu_seqlens_*) is read before the call returns and is the
 *     caller's again then; device memory may be read and written later, in the order of the device's queue (device.h).
 *   - Parameter gradients (`d_weight`, `d_bias`, `d_table`, `d_position_table`) are F32 and ACCUMULATED. Activation
 *     gradients are WRITTEN, unless an `add` argument says otherwise. Sums are taken in fp32 or wider whatever the
 *     storage type, in a fixed order: the same call on the same machine with the same thread count gives the same bits.
 *   - Outputs may alias inputs only where the entry says so.
 *   - Scalar results (sums, counts, flags) stay in device memory.
 *   - On a dry exec (exec.h) a call is the query for its workspace.
 *
 * Storage types: F32, F64 and BF16 for activations and weights, as each entry lists. F64 exists in the reference table
 * only; there it is the truth that everything else is held against (sums in fp64 throughout, gradients of F64 calls are
 * F64 too).
 *
 * Tables: plm_ops_ref() fills every entry in plain C; a backend starts from it, or from nothing, and overrides what it
 * does faster. A new operator: an args struct and a line in PLM_OPS here, a reference in ref/, a case in tests/op. See
 * docs/extending.md.
 */
#ifndef PLM_KERNELS_OPS_H
#define PLM_KERNELS_OPS_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/exec.h"

typedef enum plm_dtype { PLM_F32, PLM_F64, PLM_BF16, PLM_I32, PLM_I64 } plm_dtype;

static inline size_t plm_dtype_size(plm_dtype t) {
  switch (t) {
    case PLM_F64:
    case PLM_I64:
      return 8;
    case PLM_F32:
    case PLM_I32:
      return 4;
    case PLM_BF16:
      return 2;
  }
  return 0;
}
const char *plm_dtype_name(plm_dtype t); /* "fp32", "bf16", ... */

/* ---- weights --------------------------------------------------------------------------------------------------------
 * A linear layer's matrix as operators see it: a view of table rows, plus a private packed form that a backend may
 * keep. */
typedef struct plm_weight {
  const void *data; /* [out, in], row-major */
  plm_dtype dtype;  /* F32, F64, BF16 */
  int64_t out, in;
  int64_t stride; /* elements between rows, 0 = in */
  void *packed;   /* device memory of packed_bytes, owned by whoever allocated it for weight_refresh; NULL = none */
  size_t packed_bytes;
} plm_weight;

/* weight_refresh: bring the packed form up to date with `data`, after an update or a load. With weight->packed == NULL
 * it only reports how much room the form wants in *ret_packed_bytes (host memory; 0 = this backend needs none). */
typedef struct plm_weight_refresh_args {
  const plm_weight *weight;
  size_t *ret_packed_bytes; /* optional */
} plm_weight_refresh_args;

/* ---- embedding ----------------------------------------------------------------------------------------------------*/

/* out[n,:] = row_scale[n] * table[tokens[n],:] + position_table[positions[n],:], summed before it is rounded. ESM-2's
 * token dropout is a row scale: 0 at <mask>, 0.88/(1-rho) elsewhere (model_spec 3.4). It scales the token's row alone:
 * positions are added after it, unscaled (model_spec 3.11). With scale 0 the token's row counts as exactly 0, whatever
 * it holds. A token outside 0..V-1 or a position outside 0..P-1 is PLM_E_BUG in the reference, undefined elsewhere. */
typedef struct plm_embed_forward_args {
  int64_t N, C, V;
  const int32_t *tokens;  /* [N] */
  const void *table;      /* [V,C] table_dtype */
  plm_dtype table_dtype;  /* F32, F64 */
  const float *row_scale; /* [N] F32; NULL = 1 */
  void *out;              /* [N,C] table_dtype */
  int64_t P;
  const int32_t *positions;   /* [N] */
  const void *position_table; /* [P,C] table_dtype; NULL = none */
} plm_embed_forward_args;

/* d_table[tokens[n],:] += row_scale[n] * d_out[n,:] and d_position_table[positions[n],:] += d_out[n,:], in order of n.
 * Row `padding_id` of d_table (set has_padding_id) gets nothing. */
typedef struct plm_embed_backward_args {
  int64_t N, C, V;
  const int32_t *tokens; /* [N] */
  const void *d_out;     /* [N,C] dtype */
  plm_dtype dtype;       /* F32, F64 */
  const float *row_scale;
  bool has_padding_id;
  int32_t padding_id;
  void *d_table; /* [V,C] dtype, accumulated; NULL = frozen */
  int64_t P;
  const int32_t *positions; /* [N] */
  void *d_position_table;   /* [P,C] dtype, accumulated; NULL = none, or frozen */
} plm_embed_backward_args;

/* ---- norm ---------------------------------------------------------------------------------------------------------*/

/* LayerNorm over the last axis, biased variance: y = (x - mean) * rstd * weight + bias (model_spec 1.2). y may alias x
 * when the types match. */
typedef struct plm_norm_forward_args {
  int64_t N, C;
  const void *x;     /* [N,C] x_dtype, x_stride */
  plm_dtype x_dtype; /* F32, F64, BF16 */
  int64_t x_stride;
  const void *weight, *bias; /* [C] F32 (F64 when x is) */
  double eps;
  void *y; /* [N,C] y_dtype, y_stride */
  plm_dtype y_dtype;
  int64_t y_stride;
  void *mean, *rstd; /* [N] F32 (F64 when x is); both or neither (inference) */
} plm_norm_forward_args;

/* d_x = norm gradient (+ add), d_weight += sum d_y * xhat, d_bias += sum d_y. `add` [N,C] (type and stride of d_x)
 * carries the residual branch; d_x may alias add or d_y when types and strides match. */
typedef struct plm_norm_backward_args {
  int64_t N, C;
  const void *d_y;
  plm_dtype d_y_dtype; /* F32, F64, BF16 */
  int64_t d_y_stride;
  const void *x; /* as given to forward */
  plm_dtype x_dtype;
  int64_t x_stride;
  const void *weight;
  const void *mean, *rstd; /* from forward */
  const void *add;         /* optional */
  void *d_x;
  plm_dtype d_x_dtype; /* F32, F64, BF16 */
  int64_t d_x_stride;
  void *d_weight, *d_bias; /* [C] accumulated; NULL = frozen */
} plm_norm_backward_args;

/* ---- linear -------------------------------------------------------------------------------------------------------*/

/* y = x W^T + bias (+ add). x and W have one storage type (F32, F64 or BF16); y is that type or F32. `add` [N,out] has
 * y's type and stride and may be y itself (residual). row_invariant: row i of y depends on row i of x and on W only,
 * bit for bit, whatever N and wherever the row stands (inference). Without it only repeatability is promised. */
typedef struct plm_linear_forward_args {
  int64_t N;
  const plm_weight *weight; /* [O,I] */
  const void *bias;         /* [O] F32 (F64 when W is); optional */
  const void *x;            /* [N,I] weight->dtype */
  int64_t x_stride;
  const void *add; /* optional */
  void *y;         /* [N,O] */
  plm_dtype y_dtype;
  int64_t y_stride;
  bool row_invariant;
} plm_linear_forward_args;

/* d_x = d_y W (written). */
typedef struct plm_linear_backward_input_args {
  int64_t N;
  const plm_weight *weight; /* [O,I] */
  const void *d_y;          /* [N,O] weight->dtype */
  int64_t d_y_stride;
  void *d_x;           /* [N,I] */
  plm_dtype d_x_dtype; /* weight->dtype or F32 */
  int64_t d_x_stride;
} plm_linear_backward_input_args;

/* d_weight += d_y^T x, d_bias += column sums of d_y. */
typedef struct plm_linear_backward_weight_args {
  int64_t N, O, I;
  plm_dtype dtype; /* of d_y and x: F32, F64, BF16 */
  const void *d_y; /* [N,O] */
  int64_t d_y_stride;
  const void *x; /* [N,I] */
  int64_t x_stride;
  void *d_weight; /* [O,I] F32 (F64 when dtype is), packed, accumulated; NULL = frozen */
  void *d_bias;   /* [O] same; NULL = none */
} plm_linear_backward_weight_args;

/* ---- rotary -------------------------------------------------------------------------------------------------------*/

/* cos_table[p,j] = cos(p * inv_freq[j]), sin likewise, p = 0..P-1: product in fp32, functions in double, rounded to
 * fp32. */
typedef struct plm_rope_table_args {
  int64_t P, half;              /* half = D/2 */
  const float *inv_freq;        /* [half] */
  float *cos_table, *sin_table; /* [P,half] */
} plm_rope_table_args;

/* In place on x [N, H*D]: half-split rotation of each head by the token's position (model_spec 3.5); inverse = true
 * rotates back (the backward pass). Positions must be < P of the table. */
typedef struct plm_rope_args {
  int64_t N, H, D;
  void *x;
  plm_dtype dtype; /* F32, F64, BF16 */
  int64_t stride;
  const int32_t *positions; /* [N] */
  const float *cos_table, *sin_table;
  bool inverse;
} plm_rope_args;

/* ---- attention ----------------------------------------------------------------------------------------------------*/

/* Packed multi-head attention. Sequence s owns query rows cu_seqlens_q[s]..cu_seqlens_q[s+1]-1 and key/value rows
 * cu_seqlens_k[s]..; every query of s attends to every key of s and to nothing else. Query and key counts may differ
 * (queries only where the loss reads; T5's cross-attention). Head h is columns h*D..h*D+D-1 of a row. o = softmax(scale
 * * q k^T) v. Never forms an L x L matrix in memory. lse[n,h] = log sum exp of the scaled scores, kept for backward. o
 * may alias q when strides match. A query with no key gets o = 0 and lse = -infinity, and passes no gradient. A
 * sequence's rows do not depend, bit for bit, on what else is in the batch. */
typedef struct plm_attention_forward_args {
  int64_t S, H, D;
  int64_t Nq, Nk;                                       /* rows in total */
  const int32_t *cu_seqlens_q, *cu_seqlens_k;           /* [S+1] */
  const int32_t *host_cu_seqlens_q, *host_cu_seqlens_k; /* the same in host memory, for scheduling; on dry calls too */
  const void *q, *k, *v;
  int64_t q_stride, k_stride, v_stride; /* 0 = H*D */
  plm_dtype dtype;                      /* F32, F64, BF16 */
  double scale;
  void *o;
  int64_t o_stride;
  void *lse; /* [Nq,H] F32 (F64 when dtype is); NULL in inference */
} plm_attention_forward_args;

/* d_q, d_k, d_v are written. Recomputes probabilities from lse. */
typedef struct plm_attention_backward_args {
  plm_attention_forward_args forward; /* o and lse as forward left them */
  const void *d_o;
  int64_t d_o_stride;
  void *d_q, *d_k, *d_v;
  int64_t d_q_stride, d_k_stride, d_v_stride; /* 0 = H*D */
} plm_attention_backward_args;

/* ---- activation ---------------------------------------------------------------------------------------------------*/

typedef enum plm_activation { PLM_GELU_ERF, PLM_RELU } plm_activation;

/* y = f(x), elementwise over n values; y may alias x. NaN stays NaN, under ReLU too. */
typedef struct plm_activation_forward_args {
  int64_t n;
  plm_activation kind;
  plm_dtype dtype; /* F32, F64, BF16 */
  const void *x;
  void *y;
} plm_activation_forward_args;

/* d_x = d_y * f'(x); d_x may alias d_y. */
typedef struct plm_activation_backward_args {
  int64_t n;
  plm_activation kind;
  plm_dtype dtype;
  const void *x, *d_y;
  void *d_x;
} plm_activation_backward_args;

/* ---- loss ---------------------------------------------------------------------------------------------------------*/

/* What a loss call adds to, in device memory. Zero it with `fill`. */
typedef struct plm_loss_sums {
  double nll;        /* sum of -log p(target), nats */
  int64_t count;     /* rows */
  int64_t correct;   /* rows whose largest logit (lowest id on ties) is the target */
  int64_t nonfinite; /* rows with a non-finite loss (their loss is not added) */
} plm_loss_sums;

/* Softmax cross-entropy over M rows; every row counts. d_logits = softmax - onehot, of the SUM (no 1/M); may alias
 * logits. row_nll [M] F32 and row_prediction [M] I32 are optional per-row results (evaluation). */
typedef struct plm_cross_entropy_args {
  int64_t M, V;
  const void *logits;     /* [M,V] */
  plm_dtype dtype;        /* F32, F64 */
  const int32_t *targets; /* [M] in 0..V-1 */
  plm_loss_sums *sums;    /* accumulated; optional */
  void *d_logits;         /* [M,V] d_dtype; NULL = no gradient */
  plm_dtype d_dtype;      /* dtype, or BF16 */
  float *row_nll;
  int32_t *row_prediction;
} plm_cross_entropy_args;

/* ---- optimiser ----------------------------------------------------------------------------------------------------*/

/* AdamW over one range of elements, PyTorch's order of operations (model_spec 8):
 *   g = grad * grad_scale;  w *= 1 - lr*decay;  m, v;  w -= lr * (m/bias1) / (sqrt(v/bias2) + eps)
 * bias1 = 1 - beta1^t and bias2 = 1 - beta2^t come from the caller (t = applied updates, from 1). If copy != NULL the
 * new value is also written there as BF16. grad_scale folds 1/M and the clip. */
typedef struct plm_adamw_args {
  int64_t n;
  float *w;          /* [n] master, updated */
  const float *grad; /* [n] */
  float *m, *v;      /* [n] updated */
  void *copy;        /* [n] BF16, optional */
  double lr, beta1, beta2, eps, decay, bias1, bias2, grad_scale;
} plm_adamw_args;

/* ---- reduce -------------------------------------------------------------------------------------------------------*/

typedef struct plm_norm_sums {
  double square;     /* sum of squares */
  int64_t nonfinite; /* elements that are NaN or infinite (not in `square`) */
} plm_norm_sums;

/* sums += over x[0..n). */
typedef struct plm_square_norm_args {
  int64_t n;
  const void *x;
  plm_dtype dtype; /* F32, F64 */
  plm_norm_sums *sums;
} plm_square_norm_args;

/* ---- copy ---------------------------------------------------------------------------------------------------------*/

/* bytes at `to` = `value`. */
typedef struct plm_fill_args {
  void *to;
  int64_t bytes;
  uint8_t value;
} plm_fill_args;

/* to[i] = (type) from[i]: any of F32, F64, BF16 to any; round to nearest even; NaN stays NaN. Equal types may alias
 * exactly. */
typedef struct plm_convert_args {
  int64_t n;
  const void *from;
  plm_dtype from_dtype;
  void *to;
  plm_dtype to_dtype;
} plm_convert_args;

/* to[i,:] = from[rows[i],:] for i < M. */
typedef struct plm_gather_rows_args {
  int64_t M, C;
  const int32_t *rows; /* [M] */
  const void *from;    /* [*,C] */
  int64_t from_stride;
  void *to; /* [M,C] */
  int64_t to_stride;
  plm_dtype dtype; /* F32, F64, BF16 */
} plm_gather_rows_args;

/* The transpose of gather: to [N,C] is written: from[i,:] at row rows[i], 0 at every other row. Rows are strictly
 * increasing. accumulate = true adds to what is there instead and leaves other rows alone. */
typedef struct plm_scatter_rows_args {
  int64_t M, N, C;
  const int32_t *rows;
  const void *from;
  int64_t from_stride;
  void *to;
  int64_t to_stride;
  plm_dtype dtype; /* F32, F64, BF16 */
  bool accumulate;
} plm_scatter_rows_args;

/* ---- the table ----------------------------------------------------------------------------------------------------*/

#define PLM_OPS(X)          \
  X(weight_refresh)         \
  X(embed_forward)          \
  X(embed_backward)         \
  X(norm_forward)           \
  X(norm_backward)          \
  X(linear_forward)         \
  X(linear_backward_input)  \
  X(linear_backward_weight) \
  X(rope_table)             \
  X(rope)                   \
  X(attention_forward)      \
  X(attention_backward)     \
  X(activation_forward)     \
  X(activation_backward)    \
  X(cross_entropy)          \
  X(adamw)                  \
  X(square_norm)            \
  X(fill)                   \
  X(convert)                \
  X(gather_rows)            \
  X(scatter_rows)

#define PLM_OP_ENTRY(op) plm_status (*op)(plm_exec * x, const plm_##op##_args *a);
struct plm_ops {
  PLM_OPS(PLM_OP_ENTRY)
};
#undef PLM_OP_ENTRY

/* Every entry, plain C. */
const plm_ops *plm_ops_ref(void);

#endif
