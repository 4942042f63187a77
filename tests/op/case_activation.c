/* case_activation.c - GELU and ReLU. The simplest cases: read these first. */
#include <math.h>
#include <string.h>

#include "check.h"

static const int sizes[] = {0, 1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 100, 129, 1000};
static const plm_dtype types[] = {PLM_F32, PLM_BF16, PLM_F64};
static const plm_activation kinds[] = {PLM_GELU_ERF, PLM_RELU};

typedef struct activation_case {
  int64_t n;
  plm_activation kind;
  tensor *x, *y, *d_y, *d_x;
} activation_case;

static plm_status call_forward(check *k, side s, void *context) {
  activation_case *c = context;
  plm_activation_forward_args a = {
      .n = c->n,
      .kind = c->kind,
      .dtype = type_of(c->x, s),
      .x = at(c->x, s),
      .y = at(c->y, s),
  };
  return check_ops(k, s)->activation_forward(check_exec(k, s), &a);
}

static plm_status call_backward(check *k, side s, void *context) {
  activation_case *c = context;
  plm_activation_backward_args a = {
      .n = c->n,
      .kind = c->kind,
      .dtype = type_of(c->x, s),
      .x = at(c->x, s),
      .d_y = at(c->d_y, s),
      .d_x = at(c->d_x, s),
  };
  return check_ops(k, s)->activation_backward(check_exec(k, s), &a);
}

static activation_case open_case(check *k, plm_activation kind, plm_dtype type, int64_t n, bool backward,
                                 bool in_place) {
  activation_case c = {.n = n, .kind = kind};
  c.x = check_tensor(k, (tensor_spec){.name = "x", .role = INPUT, .type = type, .rows = 1, .width = n, .scale = 2});
  if (backward) {
    c.d_y = check_tensor(k, (tensor_spec){.name = "d_y", .role = INPUT, .type = type, .rows = 1, .width = n});
    c.d_x = check_tensor(k, (tensor_spec){
                                .name = "d_x",
                                .role = OUTPUT,
                                .type = type,
                                .rows = 1,
                                .width = n,
                                .magnitude = 0.5,
                                .alias = in_place ? c.d_y : NULL,
                            });
  } else {
    c.y = check_tensor(k, (tensor_spec){
                              .name = "y",
                              .role = OUTPUT,
                              .type = type,
                              .rows = 1,
                              .width = n,
                              .magnitude = 0.5,
                              .alias = in_place ? c.x : NULL,
                          });
  }
  check_describe(k, "%s %s n=%lld%s", kind == PLM_RELU ? "relu" : "gelu", plm_dtype_name(type), (long long)n,
                 in_place ? " in place" : "");
  return c;
}

static void forward_shapes(check *k, int variant) {
  plm_activation kind = PICK(variant, kinds);
  plm_dtype type = PICK(variant, types);
  bool in_place = pick(&variant, 2) == 1;
  if (!check_has_type(k, type)) return;
  activation_case c = open_case(k, kind, type, PICK(variant, sizes), false, in_place);
  check_call(k, call_forward, &c);
}

static void backward_shapes(check *k, int variant) {
  plm_activation kind = PICK(variant, kinds);
  plm_dtype type = PICK(variant, types);
  bool in_place = pick(&variant, 2) == 1;
  if (!check_has_type(k, type)) return;
  activation_case c = open_case(k, kind, type, PICK(variant, sizes), true, in_place);
  check_call(k, call_backward, &c);
}

/* Tails, zeros, the slope's far ends. Each value is a tensor of its own size class, so it is checked against its own
 * neighbourhood. */
static const double hard_values[] = {0, -0.0, 1e-30, -1e-30, 1e-8, 0.5, -0.5, 3,    -3,   5.5,  -5.5,
                                     9, -9,   13.5,  -13.5,  40,   -40, 1e4,  -1e4, 1e30, -1e30};

static void hard(check *k, int variant) {
  plm_activation kind = PICK(variant, kinds);
  plm_dtype type = PICK(variant, types);
  bool backward = pick(&variant, 2) == 1;
  if (!check_has_type(k, type)) return;
  double value = PICK(variant, hard_values);
  activation_case c = open_case(k, kind, type, 19, backward, false);
  for (int64_t i = 0; i < c.n; i++) tensor_set(c.x, 0, i, value);
  check_call(k, backward ? call_backward : call_forward, &c);
}

/* A NaN must come through: the training guard counts on it. Its neighbours must not suffer. */
static void nan_survives(check *k, int variant) {
  plm_activation kind = PICK(variant, kinds);
  plm_dtype type = PICK(variant, types);
  if (!check_has_type(k, type)) return;
  activation_case c = open_case(k, kind, type, 37, false, false);
  tensor_set(c.x, 0, 5, NAN);
  tensor_set(c.x, 0, 36, NAN);
  check_call(k, call_forward, &c);
  if (!isnan(tensor_result(c.y, 0, 5)) || !isnan(tensor_result(c.y, 0, 36))) check_fail(k, "a NaN was lost");
}

/* An element's value does not depend on where it stands: a sequence's rows land anywhere in a batch. */
static void place_does_not_matter(check *k, int variant) {
  plm_activation kind = PICK(variant, kinds);
  plm_dtype type = PICK(variant, types);
  if (!check_has_type(k, type)) return;
  activation_case all = open_case(k, kind, type, 131, false, false);
  check_call_tested(k, call_forward, &all);
  tensor_keep(all.y);
  for (int64_t first = 0; first < 12; first++) {
    activation_case part = open_case(k, kind, type, 29 + first, false, false);
    for (int64_t i = 0; i < part.n; i++) tensor_set(part.x, 0, i, tensor_input(all.x, 0, first * 7 + i));
    check_call_tested(k, call_forward, &part);
    size_t size = plm_dtype_size(type);
    const char *whole = tensor_result_row(all.y, 0);
    if (memcmp(whole + (size_t)first * 7 * size, tensor_result_row(part.y, 0), (size_t)part.n * size) != 0)
      check_fail(k, "a range that starts at %lld has other bits alone", (long long)first * 7);
  }
}

typedef struct gradient_case {
  check *k;
  plm_activation kind;
  double x[24], y[24], d_y[24];
} gradient_case;

static double gradient_loss(void *context) {
  gradient_case *c = context;
  plm_activation_forward_args a = {.n = 24, .kind = c->kind, .dtype = PLM_F64, .x = c->x, .y = c->y};
  double sum = 0;
  if (check_ops(c->k, TRUTH)->activation_forward(check_exec(c->k, TRUTH), &a) != PLM_OK) return NAN;
  for (int i = 0; i < 24; i++) sum += c->y[i] * c->d_y[i];
  return sum;
}

static void gradient(check *k, int variant) {
  if (!check_is_reference(k)) return;
  gradient_case c = {.k = k, .kind = PICK(variant, kinds)};
  double d_x[24];
  for (int i = 0; i < 24; i++) c.x[i] = 2 * check_normal(k), c.d_y[i] = check_normal(k);
  plm_activation_backward_args a = {.n = 24, .kind = c.kind, .dtype = PLM_F64, .x = c.x, .d_y = c.d_y, .d_x = d_x};
  if (check_ops(k, TRUTH)->activation_backward(check_exec(k, TRUTH), &a) != PLM_OK)
    check_fail(k, "backward: %s", plm_error_message());
  check_gradient(k, "d_x", c.x, d_x, 24, gradient_loss, &c);
}

static void refusals(check *k, int variant) {
  (void)variant;
  activation_case c = open_case(k, PLM_GELU_ERF, PLM_F32, 4, false, false);
  c.kind = (plm_activation)77;
  check_refused(k, call_forward, &c, PLM_E_UNSUPPORTED);
  c.kind = PLM_RELU;
  c.n = -1;
  check_refused(k, call_forward, &c, PLM_E_BUG);
}

static void bench(check *k, int variant) {
  bool backward = pick(&variant, 2) == 1;
  plm_activation kind = PICK(variant, kinds);
  activation_case c = open_case(k, kind, pick(&variant, 2) == 0 ? PLM_F32 : PLM_BF16, 4096 * 1280, backward, false);
  check_call(k, backward ? call_backward : call_forward, &c);
}

static const check_family families[] = {
    CASES("activation_forward", "shapes", forward_shapes, 12 * COUNT(sizes)),
    CASES("activation_forward", "hard values", hard, 12 * COUNT(hard_values)),
    CASES("activation_forward", "NaN", nan_survives, 6),
    CASES("activation_forward", "place does not matter", place_does_not_matter, 6),
    CASES("activation_forward", "refusals", refusals, 1),
    BENCH("activation_forward", bench, 8),
    CASES("activation_backward", "shapes", backward_shapes, 12 * COUNT(sizes)),
    CASES("activation_backward", "gradient", gradient, 2),
};
const check_group activation_group = {"activation", families, COUNT(families)};
