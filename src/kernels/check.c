/* check.c - see check.h. In the order of PLM_OPS. */
#include "kernels/check.h"

enum { F32 = 1 << PLM_F32, F64 = 1 << PLM_F64, BF16 = 1 << PLM_BF16, FLOATS = F32 | F64 | BF16 };

const char *plm_dtype_name(plm_dtype t) {
  switch (t) {
    case PLM_F32:
      return "fp32";
    case PLM_F64:
      return "fp64";
    case PLM_BF16:
      return "bf16";
    case PLM_I32:
      return "int32";
    case PLM_I64:
      return "int64";
  }
  return "unknown type";
}

static plm_status check_type(const char *op, const char *what, plm_dtype type, unsigned allowed) {
  if ((unsigned)type < 32 && (allowed >> type & 1u) != 0) return PLM_OK;
  return plm_fail(PLM_E_UNSUPPORTED, "%s does not take %s as %s", op, plm_dtype_name(type), what);
}

/* A tensor that must be there is: on a dry exec, and when it has no elements, it need not exist. */
#define REQUIRE(pointer, elements) PLM_ASSERT((pointer) != NULL || (elements) == 0 || x->dry)
#define REQUIRE_STRIDE(stride, width) PLM_ASSERT((stride) == 0 || (stride) >= (width))

static plm_status check_weight(const char *op, const plm_exec *x, const plm_weight *w) {
  PLM_ASSERT(w != NULL);
  PLM_ASSERT(w->out >= 0 && w->in >= 0);
  PLM_TRY(check_type(op, "weight", w->dtype, FLOATS));
  REQUIRE(w->data, w->out * w->in);
  REQUIRE_STRIDE(w->stride, w->in);
  return PLM_OK;
}

plm_status plm_check_weight_refresh(const plm_exec *x, const plm_weight_refresh_args *a) {
  return check_weight("weight_refresh", x, a->weight);
}

plm_status plm_check_embed_forward(const plm_exec *x, const plm_embed_forward_args *a) {
  PLM_ASSERT(a->N >= 0 && a->C >= 0 && a->V >= 0 && a->P >= 0);
  PLM_TRY(check_type("embed_forward", "table", a->table_dtype, F32 | F64));
  REQUIRE(a->tokens, a->N);
  REQUIRE(a->table, a->N * a->C);
  REQUIRE(a->positions, a->position_table == NULL ? 0 : a->N);
  REQUIRE(a->out, a->N * a->C);
  return PLM_OK;
}

plm_status plm_check_embed_backward(const plm_exec *x, const plm_embed_backward_args *a) {
  PLM_ASSERT(a->N >= 0 && a->C >= 0 && a->V >= 0 && a->P >= 0);
  PLM_TRY(check_type("embed_backward", "d_out", a->dtype, F32 | F64));
  REQUIRE(a->tokens, a->N);
  REQUIRE(a->d_out, a->N * a->C);
  REQUIRE(a->positions, a->d_position_table == NULL ? 0 : a->N);
  return PLM_OK;
}

plm_status plm_check_norm_forward(const plm_exec *x, const plm_norm_forward_args *a) {
  PLM_ASSERT(a->N >= 0 && a->C >= 0);
  PLM_TRY(check_type("norm_forward", "x", a->x_dtype, FLOATS));
  PLM_TRY(check_type("norm_forward", "y", a->y_dtype, FLOATS));
  REQUIRE(a->x, a->N * a->C);
  REQUIRE(a->weight, a->N * a->C);
  REQUIRE(a->bias, a->N * a->C);
  REQUIRE(a->y, a->N * a->C);
  REQUIRE_STRIDE(a->x_stride, a->C);
  REQUIRE_STRIDE(a->y_stride, a->C);
  PLM_ASSERT((a->mean == NULL) == (a->rstd == NULL));
  return PLM_OK;
}

plm_status plm_check_norm_backward(const plm_exec *x, const plm_norm_backward_args *a) {
  PLM_ASSERT(a->N >= 0 && a->C >= 0);
  PLM_TRY(check_type("norm_backward", "d_y", a->d_y_dtype, FLOATS));
  PLM_TRY(check_type("norm_backward", "x", a->x_dtype, FLOATS));
  PLM_TRY(check_type("norm_backward", "d_x", a->d_x_dtype, FLOATS));
  REQUIRE(a->d_y, a->N * a->C);
  REQUIRE(a->x, a->N * a->C);
  REQUIRE(a->weight, a->N * a->C);
  REQUIRE(a->mean, a->N);
  REQUIRE(a->rstd, a->N);
  REQUIRE(a->d_x, a->N * a->C);
  REQUIRE_STRIDE(a->d_y_stride, a->C);
  REQUIRE_STRIDE(a->x_stride, a->C);
  REQUIRE_STRIDE(a->d_x_stride, a->C);
  return PLM_OK;
}

plm_status plm_check_linear_forward(const plm_exec *x, const plm_linear_forward_args *a) {
  PLM_ASSERT(a->N >= 0);
  PLM_TRY(check_weight("linear_forward", x, a->weight));
  PLM_TRY(check_type("linear_forward", "y", a->y_dtype, F32 | 1u << a->weight->dtype));
  REQUIRE(a->x, a->N * a->weight->in);
  REQUIRE(a->y, a->N * a->weight->out);
  REQUIRE_STRIDE(a->x_stride, a->weight->in);
  REQUIRE_STRIDE(a->y_stride, a->weight->out);
  return PLM_OK;
}

plm_status plm_check_linear_backward_input(const plm_exec *x, const plm_linear_backward_input_args *a) {
  PLM_ASSERT(a->N >= 0);
  PLM_TRY(check_weight("linear_backward_input", x, a->weight));
  PLM_TRY(check_type("linear_backward_input", "d_x", a->d_x_dtype, F32 | 1u << a->weight->dtype));
  REQUIRE(a->d_y, a->N * a->weight->out);
  REQUIRE(a->d_x, a->N * a->weight->in);
  REQUIRE_STRIDE(a->d_y_stride, a->weight->out);
  REQUIRE_STRIDE(a->d_x_stride, a->weight->in);
  return PLM_OK;
}

plm_status plm_check_linear_backward_weight(const plm_exec *x, const plm_linear_backward_weight_args *a) {
  PLM_ASSERT(a->N >= 0 && a->O >= 0 && a->I >= 0);
  PLM_TRY(check_type("linear_backward_weight", "d_y and x", a->dtype, FLOATS));
  REQUIRE(a->d_y, a->N * a->O);
  REQUIRE(a->x, a->N * a->I);
  REQUIRE_STRIDE(a->d_y_stride, a->O);
  REQUIRE_STRIDE(a->x_stride, a->I);
  return PLM_OK;
}

plm_status plm_check_rope_table(const plm_exec *x, const plm_rope_table_args *a) {
  PLM_ASSERT(a->P >= 0 && a->half >= 0);
  REQUIRE(a->inv_freq, a->P * a->half);
  REQUIRE(a->cos_table, a->P * a->half);
  REQUIRE(a->sin_table, a->P * a->half);
  return PLM_OK;
}

plm_status plm_check_rope(const plm_exec *x, const plm_rope_args *a) {
  PLM_ASSERT(a->N >= 0 && a->H >= 0 && a->D >= 0);
  PLM_TRY(check_type("rope", "x", a->dtype, FLOATS));
  if (a->D % 2 != 0)
    return plm_fail(PLM_E_UNSUPPORTED, "rope turns pairs: a head of odd width %lld has none", (long long)a->D);
  REQUIRE(a->x, a->N * a->H * a->D);
  REQUIRE(a->positions, a->N);
  REQUIRE(a->cos_table, a->N * a->D);
  REQUIRE(a->sin_table, a->N * a->D);
  REQUIRE_STRIDE(a->stride, a->H * a->D);
  return PLM_OK;
}

static plm_status check_cu_seqlens(const int32_t *cu_seqlens, int64_t S, int64_t rows) {
  PLM_ASSERT(cu_seqlens != NULL && cu_seqlens[0] == 0 && cu_seqlens[S] == rows);
  for (int64_t s = 0; s < S; s++) PLM_ASSERT(cu_seqlens[s] <= cu_seqlens[s + 1]);
  return PLM_OK;
}

plm_status plm_check_attention_forward(const plm_exec *x, const plm_attention_forward_args *a) {
  PLM_ASSERT(a->S >= 0 && a->H >= 0 && a->D >= 0 && a->Nq >= 0 && a->Nk >= 0);
  PLM_TRY(check_type("attention", "q, k, v, o", a->dtype, FLOATS));
  PLM_TRY(check_cu_seqlens(a->host_cu_seqlens_q, a->S, a->Nq));
  PLM_TRY(check_cu_seqlens(a->host_cu_seqlens_k, a->S, a->Nk));
  int64_t width = a->H * a->D;
  REQUIRE(a->cu_seqlens_q, a->S);
  REQUIRE(a->cu_seqlens_k, a->S);
  REQUIRE(a->q, a->Nq * width);
  REQUIRE(a->k, a->Nk * width);
  REQUIRE(a->v, a->Nk * width);
  REQUIRE(a->o, a->Nq * width);
  REQUIRE_STRIDE(a->q_stride, width);
  REQUIRE_STRIDE(a->k_stride, width);
  REQUIRE_STRIDE(a->v_stride, width);
  REQUIRE_STRIDE(a->o_stride, width);
  return PLM_OK;
}

plm_status plm_check_attention_backward(const plm_exec *x, const plm_attention_backward_args *a) {
  const plm_attention_forward_args *f = &a->forward;
  PLM_TRY(plm_check_attention_forward(x, f));
  int64_t width = f->H * f->D;
  REQUIRE(f->lse, f->Nq * f->H);
  REQUIRE(a->d_o, f->Nq * width);
  REQUIRE(a->d_q, f->Nq * width);
  REQUIRE(a->d_k, f->Nk * width);
  REQUIRE(a->d_v, f->Nk * width);
  REQUIRE_STRIDE(a->d_o_stride, width);
  REQUIRE_STRIDE(a->d_q_stride, width);
  REQUIRE_STRIDE(a->d_k_stride, width);
  REQUIRE_STRIDE(a->d_v_stride, width);
  return PLM_OK;
}

static plm_status check_activation(plm_activation kind) {
  if (kind == PLM_GELU_ERF || kind == PLM_RELU) return PLM_OK;
  return plm_fail(PLM_E_UNSUPPORTED, "unknown activation number %d", (int)kind);
}

plm_status plm_check_activation_forward(const plm_exec *x, const plm_activation_forward_args *a) {
  PLM_ASSERT(a->n >= 0);
  PLM_TRY(check_type("activation_forward", "x", a->dtype, FLOATS));
  PLM_TRY(check_activation(a->kind));
  REQUIRE(a->x, a->n);
  REQUIRE(a->y, a->n);
  return PLM_OK;
}

plm_status plm_check_activation_backward(const plm_exec *x, const plm_activation_backward_args *a) {
  PLM_ASSERT(a->n >= 0);
  PLM_TRY(check_type("activation_backward", "x", a->dtype, FLOATS));
  PLM_TRY(check_activation(a->kind));
  REQUIRE(a->x, a->n);
  REQUIRE(a->d_y, a->n);
  REQUIRE(a->d_x, a->n);
  return PLM_OK;
}

plm_status plm_check_cross_entropy(const plm_exec *x, const plm_cross_entropy_args *a) {
  PLM_ASSERT(a->M >= 0 && a->V >= 0);
  PLM_ASSERT(a->M == 0 || a->V > 0);
  PLM_TRY(check_type("cross_entropy", "logits", a->dtype, F32 | F64));
  if (a->d_logits != NULL) PLM_TRY(check_type("cross_entropy", "d_logits", a->d_dtype, BF16 | 1u << a->dtype));
  REQUIRE(a->logits, a->M);
  REQUIRE(a->targets, a->M);
  return PLM_OK;
}

plm_status plm_check_adamw(const plm_exec *x, const plm_adamw_args *a) {
  PLM_ASSERT(a->n >= 0);
  PLM_ASSERT(a->n == 0 || (a->bias1 > 0 && a->bias2 > 0));
  REQUIRE(a->w, a->n);
  REQUIRE(a->grad, a->n);
  REQUIRE(a->m, a->n);
  REQUIRE(a->v, a->n);
  return PLM_OK;
}

plm_status plm_check_square_norm(const plm_exec *x, const plm_square_norm_args *a) {
  PLM_ASSERT(a->n >= 0);
  PLM_TRY(check_type("square_norm", "x", a->dtype, F32 | F64));
  REQUIRE(a->x, a->n);
  REQUIRE(a->sums, a->n);
  return PLM_OK;
}

plm_status plm_check_fill(const plm_exec *x, const plm_fill_args *a) {
  PLM_ASSERT(a->bytes >= 0);
  REQUIRE(a->to, a->bytes);
  return PLM_OK;
}

plm_status plm_check_convert(const plm_exec *x, const plm_convert_args *a) {
  PLM_ASSERT(a->n >= 0);
  PLM_TRY(check_type("convert", "from", a->from_dtype, FLOATS));
  PLM_TRY(check_type("convert", "to", a->to_dtype, FLOATS));
  REQUIRE(a->from, a->n);
  REQUIRE(a->to, a->n);
  return PLM_OK;
}

plm_status plm_check_gather_rows(const plm_exec *x, const plm_gather_rows_args *a) {
  PLM_ASSERT(a->M >= 0 && a->C >= 0);
  PLM_TRY(check_type("gather_rows", "rows", a->dtype, FLOATS));
  REQUIRE(a->rows, a->M);
  REQUIRE(a->from, a->M * a->C);
  REQUIRE(a->to, a->M * a->C);
  REQUIRE_STRIDE(a->from_stride, a->C);
  REQUIRE_STRIDE(a->to_stride, a->C);
  return PLM_OK;
}

plm_status plm_check_scatter_rows(const plm_exec *x, const plm_scatter_rows_args *a) {
  PLM_ASSERT(a->M >= 0 && a->C >= 0 && a->N >= a->M);
  PLM_TRY(check_type("scatter_rows", "rows", a->dtype, FLOATS));
  REQUIRE(a->rows, a->M);
  REQUIRE(a->from, a->M * a->C);
  REQUIRE(a->to, a->N * a->C);
  REQUIRE_STRIDE(a->from_stride, a->C);
  REQUIRE_STRIDE(a->to_stride, a->C);
  return PLM_OK;
}
