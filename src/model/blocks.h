/* blocks.h - what families are built of, forward and backward: each a few operator calls on rows.
 *
 *   linear, norm   (linear.c)      one operator call each
 *   attention      (attention.c)   from an operand `a` to residual + W_o attention(q(a), k(a), v(a))
 *   ffn            (ffn.c)         from an operand `f` to residual + W_down act(W_up f)
 *   mlm head       (heads.c)       from an operand `y` to logits, their loss, and back to the gradient of y
 *
 * A family puts norms before them (ESM-2) or behind them (BERT). Stream: F32 [n,C]. Operand: what products read, in the
 * storage type A of the model. Backward recomputes operands that are cheap to make again; who takes memory and when is
 * drawn in activations.h. All tensors are packed. Forward keeps for backward when pass->keep.
 */
#ifndef PLM_MODEL_BLOCKS_H
#define PLM_MODEL_BLOCKS_H

#include "model/internal.h"

/* ---- linear.c ---- */
/* y [n,O] = x W^T + bias (+ add) */
PLM_CHECKED plm_status plm_linear_apply(const plm_pass *pass, const plm_linear *linear, int64_t n, const void *x,
                                        const void *add, void *y, plm_dtype y_dtype);
/* What trains of weight and bias += from d_y [n,O] and x [n,I]. */
PLM_CHECKED plm_status plm_linear_gradient(const plm_pass *pass, const plm_linear *linear, int64_t n, const void *d_y,
                                           const void *x);
PLM_CHECKED plm_status plm_linear_input_gradient(const plm_pass *pass, const plm_linear *linear, int64_t n,
                                                 const void *d_y, void *d_x, plm_dtype d_x_dtype);
/* y = norm(x); mean and rstd NULL when not kept (or kept already). */
PLM_CHECKED plm_status plm_norm_apply(const plm_pass *pass, const plm_norm *norm, int64_t n, const void *x,
                                      plm_dtype x_dtype, void *y, plm_dtype y_dtype, float *mean, float *rstd);
/* d_x = gradient through the norm + add (NULL: none); d_y is F32. */
PLM_CHECKED plm_status plm_norm_gradient(const plm_pass *pass, const plm_norm *norm, int64_t n, const float *d_y,
                                         const void *x, plm_dtype x_dtype, const float *mean, const float *rstd,
                                         const void *add, void *d_x, plm_dtype d_x_dtype);
/* `x` [count] F32 as an operand of products: itself in fp32, a converted copy on the stack in bf16. */
PLM_CHECKED plm_status plm_as_operand(const plm_pass *pass, const float *x, int64_t count, const void **ret_operand);
/* to [rows,C] = those rows of from [N,C] */
PLM_CHECKED plm_status plm_gather(const plm_pass *pass, const plm_rows *rows, const void *from, plm_dtype dtype,
                                  void *to);
/* to [N,C] = from [rows,C] at its rows, 0 elsewhere; or added to what is there. */
PLM_CHECKED plm_status plm_scatter(const plm_pass *pass, const plm_rows *rows, const float *from, float *to,
                                   bool accumulate);

/* ---- attention.c ----
 * Rows `queries` attend to rows `keys`: in self-attention all tokens, with fewer queries where fewer are read. */
/* Queries at all rows: q, k and v are one product. At fewer: two (`split`). */
typedef struct plm_attention {
  bool split;
  plm_linear query_key_value;  /* [3HD,C]; not split */
  plm_linear query, key_value; /* [HD,C], [2HD,C]; split */
  plm_linear output;           /* [C,HD] */
} plm_attention;

typedef struct plm_attention_state {
  char *q, *k, *v;             /* A, after rotary: [N,3HD] together, or [n,HD] and [N,2HD] */
  int64_t q_stride, kv_stride; /* elements */
  void *o;                     /* [n,HD] A */
  float *lse;                  /* [n,H]; kept only */
} plm_attention_state;

/* Names of the three weights and biases are neighbours in the table (biases NULL: none). */
PLM_CHECKED plm_status plm_bind_attention(plm_model *model, const char *prefix, bool split,
                                          const char *const weights[2], const char *const biases[2],
                                          plm_attention *ret_attention);

/* Memory for the state, below what is temporary. */
PLM_CHECKED plm_status plm_attention_take(const plm_pass *pass, const plm_attention *block, const plm_rows *queries,
                                          const plm_rows *keys, plm_attention_state *state);
/* q, k, v from a [N,C] A. */
PLM_CHECKED plm_status plm_attention_project(const plm_pass *pass, const plm_attention *block, const plm_rows *queries,
                                             const plm_rows *keys, const void *a, plm_attention_state *state);
/* out [n,C] F32 = residual [n,C] + W_o o. They may be the same. */
PLM_CHECKED plm_status plm_attention_attend(const plm_pass *pass, const plm_attention *block, const plm_rows *queries,
                                            const plm_rows *keys, plm_attention_state *state, const float *residual,
                                            float *out);

/* From d_out [n,C] F32 to the gradients of q, k, v, in memory that d takes, and of W_o. */
PLM_CHECKED plm_status plm_attention_gradient(const plm_pass *pass, const plm_attention *block, const plm_rows *queries,
                                              const plm_rows *keys, const plm_attention_state *state,
                                              const float *d_out, plm_attention_state *d);
/* From there to those of the operand, d_a [N,C] F32, and of the projections. */
PLM_CHECKED plm_status plm_attention_project_gradient(const plm_pass *pass, const plm_attention *block,
                                                      const plm_rows *queries, const plm_rows *keys, const void *a,
                                                      const plm_attention_state *d, float *d_a);

/* ---- ffn.c ---- */
typedef struct plm_ffn {
  plm_linear up, down; /* [F,C], [C,F] */
  plm_activation activation;
} plm_ffn;

/* up [n,F] A = W_up f + b */
PLM_CHECKED plm_status plm_ffn_up(const plm_pass *pass, const plm_ffn *ffn, int64_t n, const void *f, void *up);
/* out [n,C] F32 = residual + W_down act(up) + b. Without keep `up` is overwritten. */
PLM_CHECKED plm_status plm_ffn_down(const plm_pass *pass, const plm_ffn *ffn, int64_t n, void *up,
                                    const float *residual, float *out);
/* From d_out [n,C] F32 to the gradient of up, in memory that is taken. */
PLM_CHECKED plm_status plm_ffn_down_gradient(const plm_pass *pass, const plm_ffn *ffn, int64_t n, const void *up,
                                             const float *d_out, void **ret_d_up);
/* From there to that of the operand, d_f [n,C] F32. */
PLM_CHECKED plm_status plm_ffn_up_gradient(const plm_pass *pass, const plm_ffn *ffn, int64_t n, const void *f,
                                           const void *d_up, float *d_f);

/* ---- heads.c: t = y W_d^T + b_d    h = norm(gelu(t))    z = h E^T + b    at the M rows that are read ---- */
typedef struct plm_mlm_head {
  plm_linear dense;
  plm_norm norm;
  plm_linear decoder; /* the token embedding again where it is tied */
} plm_mlm_head;

typedef struct plm_mlm_head_state {
  void *y;            /* [M,C] A the operand */
  void *dense, *gelu; /* [M,C] A before and after GELU */
  float *mean, *rstd; /* kept only */
  void *normed;       /* [M,C] A what the decoder reads */
  float *logits;      /* [M,V] F32 */
  void *d_logits;     /* [M,V] A; the same memory as logits in fp32 */
} plm_mlm_head_state;

/* Logits, given to the request that asks for them; then, where the batch has an objective, its loss, added to the
 * step's sums, and each row's, where asked for. state->y has been filled. */
PLM_CHECKED plm_status plm_mlm_head_take(const plm_pass *pass, plm_mlm_head_state *state);
PLM_CHECKED plm_status plm_mlm_head_forward(const plm_pass *pass, const plm_mlm_head *head, plm_mlm_head_state *state);
/* d_y [M,C] F32: gradient of the sum of losses, written. */
PLM_CHECKED plm_status plm_mlm_head_backward(const plm_pass *pass, const plm_mlm_head *head,
                                             const plm_mlm_head_state *state, float *d_y);

#endif
