/* case_norm.c - LayerNorm forward and backward. */
#include <math.h>
#include <string.h>

#include "check.h"

static const int widths[] = {1, 2, 3, 5, 7, 8, 15, 16, 17, 30, 31, 33, 63, 64, 65, 77, 100, 129, 320};
static const int heights[] = {0, 1, 2, 3, 5, 17, 33};
/* x (and d_x) and y (and d_y) */
static const plm_dtype types[][2] = {
    {PLM_F32, PLM_F32}, {PLM_F32, PLM_BF16}, {PLM_BF16, PLM_BF16}, {PLM_BF16, PLM_F32}, {PLM_F64, PLM_F64}};

typedef struct norm_case {
  int64_t N, C;
  double eps;
  tensor *x, *weight, *bias, *y, *mean, *rstd; /* forward */
  tensor *d_y, *add, *d_x, *d_weight, *d_bias; /* backward */
} norm_case;

static plm_status call_forward(check *k, side s, void *context) {
  norm_case *c = context;
  plm_norm_forward_args a = {
      .N = c->N,
      .C = c->C,
      .x = at(c->x, s),
      .x_dtype = type_of(c->x, s),
      .x_stride = stride_of(c->x, s),
      .weight = at(c->weight, s),
      .bias = at(c->bias, s),
      .eps = c->eps,
      .y = at(c->y, s),
      .y_dtype = type_of(c->y, s),
      .y_stride = stride_of(c->y, s),
      .mean = at(c->mean, s),
      .rstd = at(c->rstd, s),
  };
  return check_ops(k, s)->norm_forward(check_exec(k, s), &a);
}

static plm_status call_backward(check *k, side s, void *context) {
  norm_case *c = context;
  plm_norm_backward_args a = {
      .N = c->N,
      .C = c->C,
      .d_y = at(c->d_y, s),
      .d_y_dtype = type_of(c->d_y, s),
      .d_y_stride = stride_of(c->d_y, s),
      .x = at(c->x, s),
      .x_dtype = type_of(c->x, s),
      .x_stride = stride_of(c->x, s),
      .weight = at(c->weight, s),
      .mean = at(c->mean, s),
      .rstd = at(c->rstd, s),
      .add = at(c->add, s),
      .d_x = at(c->d_x, s),
      .d_x_dtype = type_of(c->d_x, s),
      .d_x_stride = stride_of(c->d_x, s),
      .d_weight = at(c->d_weight, s),
      .d_bias = at(c->d_bias, s),
  };
  return check_ops(k, s)->norm_backward(check_exec(k, s), &a);
}

static plm_dtype wide(plm_dtype type) { return plm_wide_type(type); }

static norm_case open_inputs(check *k, const plm_dtype type[2], int64_t N, int64_t C, int64_t gap) {
  norm_case c = {.N = N, .C = C, .eps = 1e-5};
  c.x = check_tensor(
      k, (tensor_spec){.name = "x", .role = INPUT, .type = type[0], .rows = N, .width = C, .gap = gap, .offset = 0.3});
  c.weight = check_tensor(k, (tensor_spec){
                                 .name = "weight",
                                 .role = INPUT,
                                 .type = wide(type[0]),
                                 .rows = 1,
                                 .width = C,
                                 .offset = 1,
                                 .scale = 0.3,
                             });
  c.bias = check_tensor(k, (tensor_spec){.name = "bias", .role = INPUT, .type = wide(type[0]), .rows = 1, .width = C});
  check_describe(k, "x %s y %s N=%lld C=%lld gap=%lld", plm_dtype_name(type[0]), plm_dtype_name(type[1]), (long long)N,
                 (long long)C, (long long)gap);
  return c;
}

static void add_statistics(check *k, norm_case *c) {
  plm_dtype type = wide(type_of(c->x, TESTED));
  c->mean = check_tensor(
      k, (tensor_spec){.name = "mean", .role = OUTPUT, .type = type, .rows = 1, .width = c->N, .magnitude = 1});
  c->rstd = check_tensor(k, (tensor_spec){.name = "rstd", .role = OUTPUT, .type = type, .rows = 1, .width = c->N});
}

static norm_case open_forward(check *k, const plm_dtype type[2], int64_t N, int64_t C, int64_t gap, bool statistics,
                              bool in_place) {
  norm_case c = open_inputs(k, type, N, C, gap);
  c.y = check_tensor(k, (tensor_spec){
                            .name = "y",
                            .role = OUTPUT,
                            .type = type[1],
                            .rows = N,
                            .width = C,
                            .gap = gap,
                            .magnitude = 1,
                            .alias = in_place ? c.x : NULL,
                        });
  if (statistics) add_statistics(k, &c);
  return c;
}

static void forward_shapes(check *k, int variant) {
  const plm_dtype *type = PICK(variant, types);
  int64_t C = PICK(variant, widths), N = PICK(variant, heights);
  if (!check_has_type(k, type[0])) return;
  norm_case c = open_forward(k, type, N, C, C % 2 == 0 ? 0 : 3, N % 2 == 1, false);
  check_call(k, call_forward, &c);
}

static void forward_in_place(check *k, int variant) {
  static const plm_dtype same[][2] = {{PLM_F32, PLM_F32}, {PLM_BF16, PLM_BF16}, {PLM_F64, PLM_F64}};
  const plm_dtype *type = PICK(variant, same);
  if (!check_has_type(k, type[0])) return;
  norm_case c = open_forward(k, type, 5, PICK(variant, widths), 2, true, true);
  check_call(k, call_forward, &c);
}

/* Rows on which careless variance fails: constant ones, and a small signal on a large offset. */
static void forward_hard_rows(check *k, int variant) {
  const plm_dtype *type = PICK(variant, types);
  bool constant = pick(&variant, 2) == 1;
  int64_t C = PICK(variant, widths);
  if (!check_has_type(k, type[0])) return;
  norm_case c = open_forward(k, type, 5, C, 0, true, false);
  for (int64_t n = 0; n < c.N; n++)
    for (int64_t i = 0; i < C; i++) tensor_set(c.x, n, i, constant ? 3.5 * (double)n : 500 + tensor_input(c.x, n, i));
  check_slack(k, 1000);
  check_call(k, call_forward, &c);
}

/* A row's bits depend on that row only: alone, and at any place, it is the same. */
static void rows_are_independent(check *k, int variant) {
  const plm_dtype *type = PICK(variant, types);
  int64_t C = PICK(variant, widths);
  if (!check_has_type(k, type[0])) return;
  norm_case all = open_forward(k, type, 19, C, 1, false, false), part = open_forward(k, type, 4, C, 0, false, false);
  tensor_copy_row(part.weight, 0, all.weight, 0);
  tensor_copy_row(part.bias, 0, all.bias, 0);
  static const int chosen[] = {18, 0, 7, 3};
  for (int i = 0; i < 4; i++) tensor_copy_row(part.x, i, all.x, chosen[i]);
  check_call_tested(k, call_forward, &all);
  tensor_keep(all.y);
  check_call_tested(k, call_forward, &part);
  for (int i = 0; i < 4; i++)
    if (memcmp(tensor_result_row(part.y, i), tensor_result_row(all.y, chosen[i]),
               (size_t)C * plm_dtype_size(type[1])) != 0)
      check_fail(k, "row %d has other bits among other rows", chosen[i]);
}

/* ---- backward ---- */

/* What d_x shares its memory with, besides whether there is an `add`. */
typedef enum sharing { ALONE, WITH_ADD, IN_ADD, IN_D_Y } sharing;

static norm_case open_backward(check *k, const plm_dtype type[2], int64_t N, int64_t C, int64_t gap, sharing shares,
                               bool frozen) {
  norm_case c = open_inputs(k, type, N, C, gap);
  add_statistics(k, &c);
  c.y = check_tensor(k, (tensor_spec){.name = "y", .role = OUTPUT, .type = type[1], .rows = N, .width = C});
  check_call_truth(k, call_forward, &c);
  tensor_freeze(c.mean);
  tensor_freeze(c.rstd);
  tensor_freeze(c.y);
  c.d_y =
      check_tensor(k, (tensor_spec){.name = "d_y", .role = INPUT, .type = type[1], .rows = N, .width = C, .gap = gap});
  if (shares == WITH_ADD || shares == IN_ADD)
    c.add = check_tensor(
        k, (tensor_spec){.name = "add", .role = INPUT, .type = type[0], .rows = N, .width = C, .gap = gap});
  c.d_x = check_tensor(k, (tensor_spec){
                              .name = "d_x",
                              .role = OUTPUT,
                              .type = type[0],
                              .rows = N,
                              .width = C,
                              .gap = gap,
                              .magnitude = 1,
                              .alias = shares == IN_ADD   ? c.add
                                       : shares == IN_D_Y ? c.d_y
                                                          : NULL,
                          });
  double magnitude = sqrt((double)(N + 1));
  if (frozen) return c;
  c.d_weight = check_tensor(k, (tensor_spec){
                                   .name = "d_weight",
                                   .role = ACCUMULATED,
                                   .type = wide(type[0]),
                                   .rows = 1,
                                   .width = C,
                                   .magnitude = magnitude,
                               });
  c.d_bias = check_tensor(k, (tensor_spec){
                                 .name = "d_bias",
                                 .role = ACCUMULATED,
                                 .type = wide(type[0]),
                                 .rows = 1,
                                 .width = C,
                                 .magnitude = magnitude,
                             });
  return c;
}

static void backward_shapes(check *k, int variant) {
  const plm_dtype *type = PICK(variant, types);
  int64_t C = PICK(variant, widths), N = PICK(variant, heights);
  if (!check_has_type(k, type[0])) return;
  norm_case c = open_backward(k, type, N, C, C % 2 == 0 ? 0 : 3, N % 2 == 0 ? WITH_ADD : ALONE, N == 5);
  if (C <= 2) check_slack(k, 2000); /* two nearly equal values: rstd is as large as eps lets it */
  check_call(k, call_backward, &c);
}

static void backward_in_place(check *k, int variant) {
  static const plm_dtype same[][2] = {{PLM_F32, PLM_F32}, {PLM_BF16, PLM_BF16}, {PLM_F64, PLM_F64}};
  const plm_dtype *type = PICK(variant, same);
  sharing shares = pick(&variant, 2) == 0 ? IN_ADD : IN_D_Y;
  if (!check_has_type(k, type[0])) return;
  norm_case c = open_backward(k, type, 21, 3 + PICK(variant, widths), 2, shares, false);
  check_call(k, call_backward, &c);
}

/* ---- gradient ---- */

enum { GN = 4, GC = 6 };

typedef struct gradient_case {
  check *k;
  double x[GN * GC], weight[GC], bias[GC], y[GN * GC], d_y[GN * GC], mean[GN], rstd[GN];
} gradient_case;

static double gradient_loss(void *context) {
  gradient_case *g = context;
  plm_norm_forward_args a = {
      .N = GN,
      .C = GC,
      .x = g->x,
      .x_dtype = PLM_F64,
      .weight = g->weight,
      .bias = g->bias,
      .eps = 1e-5,
      .y = g->y,
      .y_dtype = PLM_F64,
      .mean = g->mean,
      .rstd = g->rstd,
  };
  if (check_ops(g->k, TRUTH)->norm_forward(check_exec(g->k, TRUTH), &a) != PLM_OK) return NAN;
  double sum = 0;
  for (int i = 0; i < GN * GC; i++) sum += g->y[i] * g->d_y[i];
  return sum;
}

static void gradient(check *k, int variant) {
  (void)variant;
  if (!check_is_reference(k)) return;
  gradient_case g = {.k = k};
  double d_x[GN * GC], d_weight[GC] = {0}, d_bias[GC] = {0};
  for (int i = 0; i < GN * GC; i++) g.x[i] = check_normal(k), g.d_y[i] = check_normal(k);
  for (int i = 0; i < GC; i++) g.weight[i] = 1 + check_normal(k), g.bias[i] = check_normal(k);
  plm_norm_backward_args a = {
      .N = GN,
      .C = GC,
      .d_y = g.d_y,
      .d_y_dtype = PLM_F64,
      .x = g.x,
      .x_dtype = PLM_F64,
      .weight = g.weight,
      .mean = g.mean,
      .rstd = g.rstd,
      .d_x = d_x,
      .d_x_dtype = PLM_F64,
      .d_weight = d_weight,
      .d_bias = d_bias,
  };
  plm_exec *exec = check_exec(k, TRUTH);
  gradient_loss(&g);
  if (check_ops(k, TRUTH)->norm_backward(exec, &a) != PLM_OK) check_fail(k, "backward: %s", plm_error_message());
  check_gradient(k, "d_x", g.x, d_x, GN * GC, gradient_loss, &g);
  check_gradient(k, "d_weight", g.weight, d_weight, GC, gradient_loss, &g);
  check_gradient(k, "d_bias", g.bias, d_bias, GC, gradient_loss, &g);
}

static void bench_forward(check *k, int variant) {
  norm_case c = open_forward(k, PICK(variant, types), 4096, 320, 0, true, false);
  check_call(k, call_forward, &c);
}

static void bench_backward(check *k, int variant) {
  norm_case c = open_backward(k, PICK(variant, types), 4096, 320, 0, WITH_ADD, false);
  check_call(k, call_backward, &c);
}

static const check_family families[] = {
    CASES("norm_forward", "shapes", forward_shapes, COUNT(types) * COUNT(widths) * COUNT(heights)),
    CASES("norm_forward", "in place", forward_in_place, 3 * COUNT(widths)),
    CASES("norm_forward", "hard rows", forward_hard_rows, COUNT(types) * 2 * COUNT(widths)),
    CASES("norm_forward", "rows are independent", rows_are_independent, COUNT(types) * COUNT(widths)),
    BENCH("norm_forward", bench_forward, 4),
    CASES("norm_backward", "shapes", backward_shapes, COUNT(types) * COUNT(widths) * COUNT(heights)),
    CASES("norm_backward", "in place", backward_in_place, 6 * COUNT(widths)),
    CASES("norm_backward", "gradient", gradient, 1),
    BENCH("norm_backward", bench_backward, 4),
};
const check_group norm_group = {"norm", families, COUNT(families)};
