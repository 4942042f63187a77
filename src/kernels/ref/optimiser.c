/* optimiser.c - AdamW in PyTorch's order of operations (model_spec 8). */
#include <math.h>

#include "kernels/bf16.h"
#include "kernels/ref/ref.h"

static void update_range(void *context, int64_t begin, int64_t end, int worker) {
  const plm_adamw_args *a = context;
  plm_bf16 *copy = a->copy;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    double g = (double)a->grad[i] * a->grad_scale;
    double w = (double)a->w[i] * (1 - a->lr * a->decay);
    double m = a->beta1 * (double)a->m[i] + (1 - a->beta1) * g;
    double v = a->beta2 * (double)a->v[i] + (1 - a->beta2) * g * g;
    a->m[i] = (float)m;
    a->v[i] = (float)v;
    a->w[i] = (float)(w - a->lr * (m / a->bias1) / (sqrt(v / a->bias2) + a->eps));
    if (copy != NULL) copy[i] = plm_bf16_from_float(a->w[i]);
  }
}

plm_status plm_ref_adamw(plm_exec *x, const plm_adamw_args *a) {
  PLM_TRY(plm_check_adamw(x, a));
  if (x->dry) return PLM_OK;
  plm_adamw_args job = *a;
  plm_parallel_for(x->pool, a->n, update_range, &job);
  return PLM_OK;
}
