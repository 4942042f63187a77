/* case_optimiser.c - AdamW. The entry exists in fp32 only, so the truth is written out here in double. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "kernels/bf16.h"

static const int sizes[] = {0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 100, 129, 1001};

typedef struct adamw_case {
  int64_t n, step;
  double decay, grad_scale;
  tensor *w, *grad, *m, *v, *copy;
} adamw_case;

static const double lr = 1e-3, beta1 = 0.9, beta2 = 0.98, eps = 1e-8;

/* model_spec 8, line by line. */
static void update_truth(const adamw_case *c) {
  double *w = at(c->w, TRUTH), *m = at(c->m, TRUTH), *v = at(c->v, TRUTH);
  const double *grad = at(c->grad, TRUTH);
  for (int64_t i = 0; i < c->n; i++) {
    double g = grad[i] * c->grad_scale;
    w[i] *= 1 - lr * c->decay;
    m[i] = beta1 * m[i] + (1 - beta1) * g;
    v[i] = beta2 * v[i] + (1 - beta2) * g * g;
    double m_hat = m[i] / (1 - pow(beta1, (double)c->step)), v_hat = v[i] / (1 - pow(beta2, (double)c->step));
    w[i] -= lr * m_hat / (sqrt(v_hat) + eps);
  }
}

static plm_status call_adamw(check *k, side s, void *context) {
  adamw_case *c = context;
  if (s == TRUTH) {
    if (!check_exec(k, s)->dry) update_truth(c);
    return PLM_OK;
  }
  plm_adamw_args a = {
      .n = c->n,
      .w = at(c->w, s),
      .grad = at(c->grad, s),
      .m = at(c->m, s),
      .v = at(c->v, s),
      .copy = at(c->copy, s),
      .lr = lr,
      .beta1 = beta1,
      .beta2 = beta2,
      .eps = eps,
      .decay = c->decay,
      .bias1 = 1 - pow(beta1, (double)c->step),
      .bias2 = 1 - pow(beta2, (double)c->step),
      .grad_scale = c->grad_scale,
  };
  return check_ops(k, s)->adamw(check_exec(k, s), &a);
}

static adamw_case open_case(check *k, int64_t n, int64_t step, bool copy, bool decay) {
  adamw_case c = {.n = n, .step = step, .decay = decay ? 0.1 : 0, .grad_scale = 0.125};
  c.w = check_tensor(k, (tensor_spec){.name = "w", .role = ACCUMULATED, .type = PLM_F32, .rows = 1, .width = n});
  c.grad =
      check_tensor(k, (tensor_spec){.name = "grad", .role = INPUT, .type = PLM_F32, .rows = 1, .width = n, .scale = 4});
  c.m = check_tensor(
      k, (tensor_spec){.name = "m", .role = ACCUMULATED, .type = PLM_F32, .rows = 1, .width = n, .scale = 0.1});
  c.v = check_tensor(k, (tensor_spec){.name = "v", .role = ACCUMULATED, .type = PLM_F32, .rows = 1, .width = n});
  for (int64_t i = 0; i < n; i++) {
    double spread = tensor_input(c.v, 0, i);
    tensor_set(c.v, 0, i, step == 1 ? 0 : 0.1 * spread * spread);
    if (step == 1) tensor_set(c.m, 0, i, 0);
    if (i % 5 == 4) tensor_set(c.grad, 0, i, 0); /* with m = v = 0 too: 0 / eps must be 0 */
  }
  if (copy)
    c.copy = check_tensor(k, (tensor_spec){.name = "copy", .role = SCRATCH, .type = PLM_BF16, .rows = 1, .width = n});
  check_describe(k, "n=%lld t=%lld%s%s", (long long)n, (long long)step, copy ? " with copy" : "",
                 decay ? " with decay" : "");
  return c;
}

static void shapes(check *k, int variant) {
  bool copy = pick(&variant, 2) == 1, decay = pick(&variant, 2) == 1;
  int64_t step = pick(&variant, 2) == 0 ? 1 : 1000;
  adamw_case c = open_case(k, PICK(variant, sizes), step, copy, decay);
  check_call(k, call_adamw, &c);
  if (!copy || check_is_bench(k)) return;
  const plm_bf16 *copied = tensor_result_row(c.copy, 0);
  for (int64_t i = 0; i < c.n; i++)
    if (copied[i] != plm_bf16_from_float((float)tensor_result(c.w, 0, i)))
      check_fail(k, "copy[%lld] is not w rounded to bf16", (long long)i);
}

/* An element's update does not depend on where its range begins: ranges are cut by rank and by thread. */
static void ranges_do_not_matter(check *k, int variant) {
  adamw_case all = open_case(k, 131, 1000, false, true);
  check_call_tested(k, call_adamw, &all);
  tensor_keep(all.w);
  int64_t first = 1 + 9 * variant;
  adamw_case part = open_case(k, 37, 1000, false, true);
  for (int64_t i = 0; i < part.n; i++) {
    tensor_set(part.w, 0, i, tensor_input(all.w, 0, first + i));
    tensor_set(part.grad, 0, i, tensor_input(all.grad, 0, first + i));
    tensor_set(part.m, 0, i, tensor_input(all.m, 0, first + i));
    tensor_set(part.v, 0, i, tensor_input(all.v, 0, first + i));
  }
  check_call_tested(k, call_adamw, &part);
  const float *whole = tensor_result_row(all.w, 0);
  if (memcmp(whole + first, tensor_result_row(part.w, 0), (size_t)part.n * sizeof(float)) != 0)
    check_fail(k, "a range has other bits alone");
}

static void bench(check *k, int variant) {
  adamw_case c = open_case(k, 8 * 1000 * 1000, 1000, pick(&variant, 2) == 1, true);
  check_call(k, call_adamw, &c);
}

static const check_family families[] = {
    CASES("adamw", "shapes", shapes, 8 * COUNT(sizes)),
    CASES("adamw", "ranges do not matter", ranges_do_not_matter, 8),
    BENCH("adamw", bench, 2),
};
const check_group optimiser_group = {"optimiser", families, COUNT(families)};
