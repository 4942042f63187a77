/* case_linear_backward.c - the two gradients of a linear layer. */
#include <math.h>

#include "case_linear.h"

/* ---- to the input ---- */

typedef struct input_case {
  int64_t N;
  linear_weight w;
  tensor *d_y, *d_x;
} input_case;

static plm_status call_input(check *k, side s, void *context) {
  input_case *c = context;
  plm_weight view = linear_view(&c->w, s);
  PLM_TRY(linear_refresh(k, s, &c->w));
  plm_linear_backward_input_args a = {
      .N = c->N,
      .weight = &view,
      .d_y = at(c->d_y, s),
      .d_y_stride = stride_of(c->d_y, s),
      .d_x = at(c->d_x, s),
      .d_x_dtype = type_of(c->d_x, s),
      .d_x_stride = stride_of(c->d_x, s),
  };
  return check_ops(k, s)->linear_backward_input(check_exec(k, s), &a);
}

static input_case open_input(check *k, const plm_dtype type[2], const int shape[3], bool packed, int64_t gap) {
  input_case c = {.N = shape[0]};
  linear_open_weight(k, &c.w, type[0], shape[1], shape[2], gap, packed);
  c.d_y = check_tensor(
      k, (tensor_spec){.name = "d_y", .role = INPUT, .type = type[0], .rows = c.N, .width = shape[1], .gap = gap});
  c.d_x = check_tensor(k, (tensor_spec){
                              .name = "d_x",
                              .role = OUTPUT,
                              .type = type[1],
                              .rows = c.N,
                              .width = shape[2],
                              .gap = gap,
                              .magnitude = sqrt((double)shape[1] + 1),
                          });
  check_describe(k, "%s -> %s N=%d O=%d I=%d%s gap=%d", plm_dtype_name(type[0]), plm_dtype_name(type[1]), shape[0],
                 shape[1], shape[2], packed ? " packed" : "", (int)gap);
  return c;
}

static void input_shapes(check *k, int variant) {
  const plm_dtype *type = PICK(variant, linear_types);
  bool packed = pick(&variant, 2) == 1;
  int64_t gap = pick(&variant, 2) * 3;
  const int *shape = PICK(variant, linear_shapes);
  if (!check_has_type(k, type[0])) return;
  input_case c = open_input(k, type, shape, packed, gap);
  check_call(k, call_input, &c);
}

static const int bench_shapes[][3] = {{4096, 960, 320}, {4096, 320, 320}, {4096, 1280, 320}, {4096, 320, 1280}};

static void bench_input(check *k, int variant) {
  const plm_dtype *type = linear_types[pick(&variant, 3)];
  input_case c = open_input(k, type, PICK(variant, bench_shapes), true, 0);
  check_call(k, call_input, &c);
}

/* ---- to the weight ---- */

typedef struct weight_case {
  int64_t N, O, I;
  tensor *d_y, *x, *d_weight, *d_bias;
} weight_case;

static plm_status call_weight(check *k, side s, void *context) {
  weight_case *c = context;
  plm_linear_backward_weight_args a = {
      .N = c->N,
      .O = c->O,
      .I = c->I,
      .dtype = type_of(c->x, s),
      .d_y = at(c->d_y, s),
      .d_y_stride = stride_of(c->d_y, s),
      .x = at(c->x, s),
      .x_stride = stride_of(c->x, s),
      .d_weight = at(c->d_weight, s),
      .d_bias = at(c->d_bias, s),
  };
  return check_ops(k, s)->linear_backward_weight(check_exec(k, s), &a);
}

static weight_case open_weight(check *k, plm_dtype type, const int shape[3], bool weight, bool bias, int64_t gap) {
  weight_case c = {.N = shape[0], .O = shape[1], .I = shape[2]};
  double magnitude = sqrt((double)c.N + 1);
  plm_dtype wide = plm_wide_type(type);
  c.d_y =
      check_tensor(k, (tensor_spec){.name = "d_y", .role = INPUT, .type = type, .rows = c.N, .width = c.O, .gap = gap});
  c.x = check_tensor(k, (tensor_spec){.name = "x", .role = INPUT, .type = type, .rows = c.N, .width = c.I, .gap = gap});
  if (weight)
    c.d_weight = check_tensor(k, (tensor_spec){
                                     .name = "d_weight",
                                     .role = ACCUMULATED,
                                     .type = wide,
                                     .rows = c.O,
                                     .width = c.I,
                                     .magnitude = magnitude,
                                 });
  if (bias)
    c.d_bias = check_tensor(k, (tensor_spec){
                                   .name = "d_bias",
                                   .role = ACCUMULATED,
                                   .type = wide,
                                   .rows = 1,
                                   .width = c.O,
                                   .magnitude = magnitude,
                               });
  check_describe(k, "%s N=%d O=%d I=%d%s%s gap=%d", plm_dtype_name(type), shape[0], shape[1], shape[2],
                 weight ? "" : " frozen weight", bias ? "" : " no bias", (int)gap);
  return c;
}

static const plm_dtype types[] = {PLM_F32, PLM_BF16, PLM_F64};

static void weight_shapes(check *k, int variant) {
  plm_dtype type = PICK(variant, types);
  int wanted = pick(&variant, 3); /* both, weight only, bias only */
  int64_t gap = pick(&variant, 2) * 3;
  const int *shape = PICK(variant, linear_shapes);
  if (!check_has_type(k, type)) return;
  weight_case c = open_weight(k, type, shape, wanted != 2, wanted != 1, gap);
  check_call(k, call_weight, &c);
}

static void bench_weight(check *k, int variant) {
  plm_dtype type = types[pick(&variant, 2)];
  weight_case c = open_weight(k, type, PICK(variant, bench_shapes), true, true, 0);
  check_call(k, call_weight, &c);
}

/* ---- gradients ---- */

enum { GN = 5, GO = 3, GI = 4 };

typedef struct gradient_case {
  check *k;
  double x[GN * GI], weight[GO * GI], bias[GO], y[GN * GO], d_y[GN * GO];
  plm_weight view;
} gradient_case;

static double gradient_loss(void *context) {
  gradient_case *g = context;
  plm_linear_forward_args a = {.N = GN, .weight = &g->view, .bias = g->bias, .x = g->x, .y = g->y, .y_dtype = PLM_F64};
  if (check_ops(g->k, TRUTH)->linear_forward(check_exec(g->k, TRUTH), &a) != PLM_OK) return NAN;
  double sum = 0;
  for (int i = 0; i < GN * GO; i++) sum += g->y[i] * g->d_y[i];
  return sum;
}

static void open_gradient(check *k, gradient_case *g) {
  *g = (gradient_case){.k = k};
  for (int i = 0; i < GN * GI; i++) g->x[i] = check_normal(k);
  for (int i = 0; i < GO * GI; i++) g->weight[i] = check_normal(k);
  for (int i = 0; i < GO; i++) g->bias[i] = check_normal(k);
  for (int i = 0; i < GN * GO; i++) g->d_y[i] = check_normal(k);
  g->view = (plm_weight){.data = g->weight, .dtype = PLM_F64, .out = GO, .in = GI};
}

static void input_gradient(check *k, int variant) {
  (void)variant;
  if (!check_is_reference(k)) return;
  gradient_case g;
  double d_x[GN * GI];
  open_gradient(k, &g);
  plm_linear_backward_input_args a = {.N = GN, .weight = &g.view, .d_y = g.d_y, .d_x = d_x, .d_x_dtype = PLM_F64};
  if (check_ops(k, TRUTH)->linear_backward_input(check_exec(k, TRUTH), &a) != PLM_OK)
    check_fail(k, "backward: %s", plm_error_message());
  check_gradient(k, "d_x", g.x, d_x, GN * GI, gradient_loss, &g);
}

static void weight_gradient(check *k, int variant) {
  (void)variant;
  if (!check_is_reference(k)) return;
  gradient_case g;
  double d_weight[GO * GI] = {0}, d_bias[GO] = {0};
  open_gradient(k, &g);
  plm_linear_backward_weight_args a = {
      .N = GN,
      .O = GO,
      .I = GI,
      .dtype = PLM_F64,
      .d_y = g.d_y,
      .x = g.x,
      .d_weight = d_weight,
      .d_bias = d_bias,
  };
  if (check_ops(k, TRUTH)->linear_backward_weight(check_exec(k, TRUTH), &a) != PLM_OK)
    check_fail(k, "backward: %s", plm_error_message());
  check_gradient(k, "d_weight", g.weight, d_weight, GO * GI, gradient_loss, &g);
  check_gradient(k, "d_bias", g.bias, d_bias, GO, gradient_loss, &g);
}

static const check_family families[] = {
    CASES("linear_backward_input", "shapes", input_shapes, LINEAR_TYPES * 4 * LINEAR_SHAPES),
    CASES("linear_backward_input", "gradient", input_gradient, 1),
    BENCH("linear_backward_input", bench_input, 3 * COUNT(bench_shapes)),
    CASES("linear_backward_weight", "shapes", weight_shapes, 3 * 6 * LINEAR_SHAPES),
    CASES("linear_backward_weight", "gradient", weight_gradient, 1),
    BENCH("linear_backward_weight", bench_weight, 2 * COUNT(bench_shapes)),
};
const check_group linear_backward_group = {"linear_backward", families, COUNT(families)};
