/* embed.c - token embedding: rows of a table, scaled (model_spec 3.4), and rows of positions (3.11). */
#include "kernels/ref/element.h"
#include "kernels/ref/ref.h"

static plm_status check_rows(const char *what, const int32_t *rows, int64_t N, int64_t limit) {
  for (int64_t n = 0; n < N; n++)
    if (rows[n] < 0 || rows[n] >= limit)
      return plm_fail(PLM_E_BUG, "%s %lld is %d, outside the table of %lld", what, (long long)n, rows[n],
                      (long long)limit);
  return PLM_OK;
}

static double scale_of(const float *row_scale, int64_t n) { return row_scale == NULL ? 1.0 : (double)row_scale[n]; }

static void forward_rows(void *context, int64_t begin, int64_t end, int worker) {
  const plm_embed_forward_args *a = context;
  (void)worker;
  for (int64_t n = begin; n < end; n++) {
    double scale = scale_of(a->row_scale, n);
    for (int64_t c = 0; c < a->C; c++) {
      double value = element_get(a->table, a->table_dtype, a->tokens[n] * a->C + c);
      double sum = scale == 0 ? 0 : scale * value;
      if (a->position_table != NULL) sum += element_get(a->position_table, a->table_dtype, a->positions[n] * a->C + c);
      element_set(a->out, a->table_dtype, n * a->C + c, sum);
    }
  }
}

plm_status plm_ref_embed_forward(plm_exec *x, const plm_embed_forward_args *a) {
  PLM_TRY(plm_check_embed_forward(x, a));
  if (x->dry) return PLM_OK;
  PLM_TRY(check_rows("token", a->tokens, a->N, a->V));
  if (a->position_table != NULL) PLM_TRY(check_rows("position", a->positions, a->N, a->P));
  plm_embed_forward_args job = *a;
  plm_parallel_for(x->pool, a->N, forward_rows, &job);
  return PLM_OK;
}

/* A worker owns columns, so rows that meet in one table row are added in order of n. */
static void backward_columns(void *context, int64_t begin, int64_t end, int worker) {
  const plm_embed_backward_args *a = context;
  (void)worker;
  for (int64_t n = 0; n < a->N; n++) {
    double scale = scale_of(a->row_scale, n);
    for (int64_t c = begin; c < end; c++) {
      double d_out = element_get(a->d_out, a->dtype, n * a->C + c);
      if (a->d_position_table != NULL) element_add(a->d_position_table, a->dtype, a->positions[n] * a->C + c, d_out);
      if (a->d_table == NULL || scale == 0 || (a->has_padding_id && a->tokens[n] == a->padding_id)) continue;
      element_add(a->d_table, a->dtype, a->tokens[n] * a->C + c, scale * d_out);
    }
  }
}

plm_status plm_ref_embed_backward(plm_exec *x, const plm_embed_backward_args *a) {
  PLM_TRY(plm_check_embed_backward(x, a));
  if (x->dry) return PLM_OK;
  PLM_TRY(check_rows("token", a->tokens, a->N, a->V));
  if (a->d_position_table != NULL) PLM_TRY(check_rows("position", a->positions, a->N, a->P));
  plm_embed_backward_args job = *a;
  plm_parallel_for(x->pool, a->C, backward_columns, &job);
  return PLM_OK;
}
