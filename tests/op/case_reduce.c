/* case_reduce.c - sum of squares, and the count of what is not finite. */
#include <math.h>
#include <string.h>

#include "check.h"

static const int sizes[] = {0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 65, 129, 1000, 16384, 16385, 40001};
static const plm_dtype types[] = {PLM_F32, PLM_F64};

typedef struct reduce_case {
  int64_t n;
  tensor *x, *sums; /* sums: plm_norm_sums as two 64-bit words */
} reduce_case;

_Static_assert(sizeof(plm_norm_sums) == 16, "sums are two words");

static plm_status call_square_norm(check *k, side s, void *context) {
  reduce_case *c = context;
  plm_square_norm_args a = {.n = c->n, .x = at(c->x, s), .dtype = type_of(c->x, s), .sums = at(c->sums, s)};
  return check_ops(k, s)->square_norm(check_exec(k, s), &a);
}

static reduce_case open_case(check *k, plm_dtype type, int64_t n, double scale) {
  reduce_case c = {.n = n};
  c.x = check_tensor(k, (tensor_spec){.name = "x", .role = INPUT, .type = type, .rows = 1, .width = n, .scale = scale});
  c.sums = check_tensor(k, (tensor_spec){.name = "sums", .role = SCRATCH, .type = PLM_I64, .rows = 1, .width = 2});
  tensor_set(c.sums, 0, 0, 0);
  tensor_set(c.sums, 0, 1, 5);
  check_describe(k, "%s n=%lld scale=%g", plm_dtype_name(type), (long long)n, scale);
  return c;
}

/* Against a plain loop here. */
static void compare_sums(check *k, const reduce_case *c) {
  plm_norm_sums got, want = {.square = 0, .nonfinite = 5};
  memcpy(&got, tensor_result_row(c->sums, 0), sizeof got);
  for (int64_t i = 0; i < c->n; i++) {
    double value = tensor_input(c->x, 0, i);
    if (isfinite(value))
      want.square += value * value;
    else
      want.nonfinite++;
  }
  if (got.nonfinite != want.nonfinite)
    check_fail(k, "nonfinite is %lld, not %lld", (long long)got.nonfinite, (long long)want.nonfinite);
  double allowed = type_of(c->x, TESTED) == PLM_F64 ? 1e-13 : 1e-6;
  if (!(fabs(got.square - want.square) <= allowed * want.square))
    check_fail(k, "square is %.12g, not %.12g", got.square, want.square);
}

static void shapes(check *k, int variant) {
  /* 1e25: the squares leave fp32's range, but not that of the sum. 1e-30: they vanish in fp32. */
  static const double scales[] = {1, 1e25, 1e-30};
  plm_dtype type = PICK(variant, types);
  double scale = PICK(variant, scales);
  if (!check_has_type(k, type)) return;
  reduce_case c = open_case(k, type, PICK(variant, sizes), scale);
  check_call(k, call_square_norm, &c);
  compare_sums(k, &c);
}

static void nonfinite_is_counted(check *k, int variant) {
  static const double bad[] = {NAN, INFINITY, -INFINITY};
  plm_dtype type = PICK(variant, types);
  int n = PICK(variant, sizes);
  if (!check_has_type(k, type) || n == 0) return;
  reduce_case c = open_case(k, type, n, 1);
  for (int i = 0; i < 3; i++) tensor_set(c.x, 0, (int64_t)i * (n - 1) / 2, bad[i]);
  check_call(k, call_square_norm, &c);
  compare_sums(k, &c);
}

static void bench(check *k, int variant) {
  reduce_case c = open_case(k, types[pick(&variant, 1)], 8 * 1000 * 1000, 1);
  check_call(k, call_square_norm, &c);
}

static const check_family families[] = {
    CASES("square_norm", "shapes", shapes, COUNT(types) * 3 * COUNT(sizes)),
    CASES("square_norm", "nonfinite is counted", nonfinite_is_counted, COUNT(types) * COUNT(sizes)),
    BENCH("square_norm", bench, 1),
};
const check_group reduce_group = {"reduce", families, COUNT(families)};
