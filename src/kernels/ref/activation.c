/* activation.c - GELU with erf, and ReLU (model_spec 1.2). */
#include <math.h>

#include "kernels/ref/element.h"
#include "kernels/ref/ref.h"

static double value_at(plm_activation kind, double x) {
  if (kind == PLM_RELU) return x <= 0 ? 0 : x; /* NaN stays NaN */
  return 0.5 * x * (1 + erf(x * 0.70710678118654752440));
}

/* GELU': Phi(x) + x phi(x), with phi the normal density and Phi its integral. */
static double slope_at(plm_activation kind, double x) {
  if (kind == PLM_RELU) return x <= 0 ? 0 : isnan(x) ? x : 1;
  return 0.5 * (1 + erf(x * 0.70710678118654752440)) + x * exp(-0.5 * x * x) * 0.39894228040143267794;
}

static void forward_range(void *context, int64_t begin, int64_t end, int worker) {
  const plm_activation_forward_args *a = context;
  (void)worker;
  for (int64_t i = begin; i < end; i++)
    element_set(a->y, a->dtype, i, value_at(a->kind, element_get(a->x, a->dtype, i)));
}

plm_status plm_ref_activation_forward(plm_exec *x, const plm_activation_forward_args *a) {
  PLM_TRY(plm_check_activation_forward(x, a));
  if (x->dry) return PLM_OK;
  plm_activation_forward_args job = *a;
  plm_parallel_for(x->pool, a->n, forward_range, &job);
  return PLM_OK;
}

static void backward_range(void *context, int64_t begin, int64_t end, int worker) {
  const plm_activation_backward_args *a = context;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    double d_y = element_get(a->d_y, a->dtype, i);
    element_set(a->d_x, a->dtype, i, d_y * slope_at(a->kind, element_get(a->x, a->dtype, i)));
  }
}

plm_status plm_ref_activation_backward(plm_exec *x, const plm_activation_backward_args *a) {
  PLM_TRY(plm_check_activation_backward(x, a));
  if (x->dry) return PLM_OK;
  plm_activation_backward_args job = *a;
  plm_parallel_for(x->pool, a->n, backward_range, &job);
  return PLM_OK;
}
