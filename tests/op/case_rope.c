/* case_rope.c - rotary tables and rotation. */
#include <math.h>

#include "check.h"

static const int head_widths[] = {2, 4, 8, 10, 16, 24, 30, 32, 64, 128};
static const int head_counts[] = {1, 2, 3, 20};
static const int heights[] = {0, 1, 2, 5, 17, 65};
static const plm_dtype types[] = {PLM_F32, PLM_BF16, PLM_F64};

static double inv_freq(int64_t j, int64_t half) { return pow(10000, -(double)j / (double)half); }

/* ---- table ---- */

typedef struct table_case {
  int64_t P, half;
  tensor *inv_freq, *cosine, *sine;
} table_case;

static plm_status call_table(check *k, side s, void *context) {
  table_case *c = context;
  plm_rope_table_args a = {
      .P = c->P,
      .half = c->half,
      .inv_freq = at(c->inv_freq, s),
      .cos_table = at(c->cosine, s),
      .sin_table = at(c->sine, s),
  };
  return check_ops(k, s)->rope_table(check_exec(k, s), &a);
}

static table_case open_table(check *k, int64_t P, int64_t half) {
  table_case c = {.P = P, .half = half};
  c.inv_freq = check_tensor(
      k, (tensor_spec){.name = "inv_freq", .role = INPUT, .type = PLM_F32, .fixed = true, .rows = 1, .width = half});
  for (int64_t j = 0; j < half; j++) tensor_set(c.inv_freq, 0, j, inv_freq(j, half));
  c.cosine = check_tensor(
      k, (tensor_spec){.name = "cos_table", .role = OUTPUT, .type = PLM_F32, .fixed = true, .rows = P, .width = half});
  c.sine = check_tensor(k, (tensor_spec){
                               .name = "sin_table",
                               .role = OUTPUT,
                               .type = PLM_F32,
                               .fixed = true,
                               .rows = P,
                               .width = half,
                               .magnitude = 1,
                           });
  check_describe(k, "P=%lld D=%lld", (long long)P, (long long)(2 * half));
  return c;
}

/* Against libm here too, at positions beyond the usual 1024. */
static void table_shapes(check *k, int variant) {
  static const int counts[] = {0, 1, 2, 7, 100, 1500};
  int64_t half = PICK(variant, head_widths) / 2;
  table_case c = open_table(k, PICK(variant, counts), half);
  check_call(k, call_table, &c);
  for (int64_t p = 0; p < c.P; p += 13)
    for (int64_t j = 0; j < half; j++) {
      float angle = (float)p * (float)tensor_input(c.inv_freq, 0, j);
      if (fabs(tensor_result(c.cosine, p, j) - cos((double)angle)) > 1.2e-7 ||
          fabs(tensor_result(c.sine, p, j) - sin((double)angle)) > 1.2e-7)
        check_fail(k, "position %lld, pair %lld is not the cosine and sine of %.9g", (long long)p, (long long)j,
                   (double)angle);
    }
}

/* ---- rotation ---- */

enum { P = 64 };

typedef struct rope_case {
  int64_t N, H, D;
  tensor *x, *positions, *cosine, *sine;
  bool inverse, there_and_back;
} rope_case;

static plm_status call_rope(check *k, side s, void *context) {
  rope_case *c = context;
  plm_rope_args a = {
      .N = c->N,
      .H = c->H,
      .D = c->D,
      .x = at(c->x, s),
      .dtype = type_of(c->x, s),
      .stride = stride_of(c->x, s),
      .positions = at(c->positions, s),
      .cos_table = at(c->cosine, s),
      .sin_table = at(c->sine, s),
      .inverse = c->inverse,
  };
  PLM_TRY(check_ops(k, s)->rope(check_exec(k, s), &a));
  a.inverse = !c->inverse;
  return c->there_and_back ? check_ops(k, s)->rope(check_exec(k, s), &a) : PLM_OK;
}

/* Positions that restart, as in a packed batch, and reach the table's last row. */
static rope_case open_rope(check *k, plm_dtype type, int64_t N, int64_t H, int64_t D, int64_t gap) {
  rope_case c = {.N = N, .H = H, .D = D};
  c.x = check_tensor(
      k, (tensor_spec){.name = "x", .role = ACCUMULATED, .type = type, .rows = N, .width = H * D, .gap = gap});
  c.positions =
      check_tensor(k, (tensor_spec){.name = "positions", .role = INPUT, .type = PLM_I32, .rows = 1, .width = N});
  for (int64_t n = 0; n < N; n++) tensor_set(c.positions, 0, n, n == 3 ? P - 1 : (double)(n % 11 * 37 % P));
  c.cosine = check_tensor(
      k, (tensor_spec){.name = "cos_table", .role = INPUT, .type = PLM_F32, .fixed = true, .rows = P, .width = D / 2});
  c.sine = check_tensor(
      k, (tensor_spec){.name = "sin_table", .role = INPUT, .type = PLM_F32, .fixed = true, .rows = P, .width = D / 2});
  for (int64_t p = 0; p < P; p++)
    for (int64_t j = 0; j < D / 2; j++) {
      tensor_set(c.cosine, p, j, cos((double)p * inv_freq(j, D / 2)));
      tensor_set(c.sine, p, j, sin((double)p * inv_freq(j, D / 2)));
    }
  check_describe(k, "%s N=%lld H=%lld D=%lld gap=%lld", plm_dtype_name(type), (long long)N, (long long)H, (long long)D,
                 (long long)gap);
  return c;
}

static void rope_shapes(check *k, int variant) {
  plm_dtype type = PICK(variant, types);
  bool inverse = pick(&variant, 2) == 1;
  int64_t D = PICK(variant, head_widths), H = PICK(variant, head_counts), N = PICK(variant, heights);
  if (!check_has_type(k, type)) return;
  rope_case c = open_rope(k, type, N, H, D, H % 2 == 0 ? 0 : 2 * H * D + 1);
  c.inverse = inverse;
  check_call(k, call_rope, &c);
}

static void there_and_back(check *k, int variant) {
  plm_dtype type = PICK(variant, types);
  int64_t D = PICK(variant, head_widths);
  if (!check_has_type(k, type)) return;
  rope_case c = open_rope(k, type, 17, 3, D, 0);
  c.there_and_back = true;
  check_slack(k, 3);
  check_call(k, call_rope, &c);
  double allowed = type == PLM_BF16 ? 0.04 : 2e-6;
  for (int64_t n = 0; n < c.N; n++)
    for (int64_t i = 0; i < 3 * D; i++)
      if (fabs(tensor_result(c.x, n, i) - tensor_input(c.x, n, i)) > allowed)
        check_fail(k, "rotating back does not give back x");
}

/* The inverse is the gradient: for y = R x, the slope of sum(y * d_y) is R^T d_y. */
enum { GN = 3, GH = 2, GD = 4, GX = GN * GH * GD };

typedef struct gradient_case {
  check *k;
  int32_t positions[GN];
  float cosine[8 * GD / 2], sine[8 * GD / 2];
  double x[GX], d_y[GX];
} gradient_case;

static double gradient_loss(void *context) {
  gradient_case *g = context;
  double y[GX], sum = 0;
  for (int i = 0; i < GX; i++) y[i] = g->x[i];
  plm_rope_args a = {
      .N = GN,
      .H = GH,
      .D = GD,
      .x = y,
      .dtype = PLM_F64,
      .positions = g->positions,
      .cos_table = g->cosine,
      .sin_table = g->sine,
  };
  if (check_ops(g->k, TRUTH)->rope(check_exec(g->k, TRUTH), &a) != PLM_OK) return NAN;
  for (int i = 0; i < GX; i++) sum += y[i] * g->d_y[i];
  return sum;
}

static void gradient(check *k, int variant) {
  (void)variant;
  if (!check_is_reference(k)) return;
  gradient_case g = {.k = k, .positions = {0, 7, 3}};
  double d_x[GX];
  for (int i = 0; i < GX; i++) g.x[i] = check_normal(k), d_x[i] = g.d_y[i] = check_normal(k);
  for (int i = 0; i < 8 * GD / 2; i++) {
    double angle = i / (GD / 2) * inv_freq(i % (GD / 2), GD / 2);
    g.cosine[i] = (float)cos(angle);
    g.sine[i] = (float)sin(angle);
  }
  plm_rope_args a = {
      .N = GN,
      .H = GH,
      .D = GD,
      .x = d_x,
      .dtype = PLM_F64,
      .positions = g.positions,
      .cos_table = g.cosine,
      .sin_table = g.sine,
      .inverse = true,
  };
  if (check_ops(k, TRUTH)->rope(check_exec(k, TRUTH), &a) != PLM_OK) check_fail(k, "inverse: %s", plm_error_message());
  check_gradient(k, "d_x", g.x, d_x, GX, gradient_loss, &g);
}

static void odd_width_is_refused(check *k, int variant) {
  (void)variant;
  rope_case c = open_rope(k, PLM_F32, 2, 2, 4, 0);
  c.D = 3;
  check_refused(k, call_rope, &c, PLM_E_UNSUPPORTED);
}

static void bench_table(check *k, int variant) {
  (void)variant;
  table_case c = open_table(k, 1026, 8);
  check_call(k, call_table, &c);
}

static void bench_rope(check *k, int variant) {
  rope_case c = open_rope(k, types[pick(&variant, 2)], 4096, 20, 16, 640);
  check_call(k, call_rope, &c);
}

static const check_family families[] = {
    CASES("rope_table", "shapes", table_shapes, COUNT(head_widths) * 6),
    BENCH("rope_table", bench_table, 1),
    CASES("rope", "shapes", rope_shapes, 6 * COUNT(head_widths) * COUNT(head_counts) * COUNT(heights)),
    CASES("rope", "there and back", there_and_back, 3 * COUNT(head_widths)),
    CASES("rope", "gradient", gradient, 1),
    CASES("rope", "odd width is refused", odd_width_is_refused, 1),
    BENCH("rope", bench_rope, 2),
};
const check_group rope_group = {"rope", families, COUNT(families)};
