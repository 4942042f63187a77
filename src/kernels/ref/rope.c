/* rope.c - rotary position embedding, half-split pairs (j, j + D/2) (model_spec 3.5). */
#include <math.h>

#include "kernels/ref/element.h"
#include "kernels/ref/ref.h"

static void table_rows(void *context, int64_t begin, int64_t end, int worker) {
  const plm_rope_table_args *a = context;
  (void)worker;
  for (int64_t p = begin; p < end; p++)
    for (int64_t j = 0; j < a->half; j++) {
      float angle = (float)p * a->inv_freq[j];
      a->cos_table[p * a->half + j] = (float)cos((double)angle);
      a->sin_table[p * a->half + j] = (float)sin((double)angle);
    }
}

plm_status plm_ref_rope_table(plm_exec *x, const plm_rope_table_args *a) {
  PLM_TRY(plm_check_rope_table(x, a));
  if (x->dry) return PLM_OK;
  plm_rope_table_args job = *a;
  plm_parallel_for(x->pool, a->P, table_rows, &job);
  return PLM_OK;
}

static void rotate_rows(void *context, int64_t begin, int64_t end, int worker) {
  const plm_rope_args *a = context;
  (void)worker;
  int64_t half = a->D / 2, stride = plm_row_stride(a->stride, a->H * a->D);
  for (int64_t n = begin; n < end; n++)
    for (int64_t h = 0; h < a->H; h++)
      for (int64_t j = 0; j < half; j++) {
        double cosine = (double)a->cos_table[a->positions[n] * half + j];
        double sine = (double)a->sin_table[a->positions[n] * half + j];
        if (a->inverse) sine = -sine;
        int64_t low = n * stride + h * a->D + j, high = low + half;
        double u = element_get(a->x, a->dtype, low), v = element_get(a->x, a->dtype, high);
        element_set(a->x, a->dtype, low, u * cosine - v * sine);
        element_set(a->x, a->dtype, high, v * cosine + u * sine);
      }
}

plm_status plm_ref_rope(plm_exec *x, const plm_rope_args *a) {
  PLM_TRY(plm_check_rope(x, a));
  if (x->dry) return PLM_OK;
  plm_rope_args job = *a;
  plm_parallel_for(x->pool, a->N, rotate_rows, &job);
  return PLM_OK;
}
