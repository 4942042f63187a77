/* case_copy.c - fill, convert, gather and scatter. All are exact. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "check.h"
#include "kernels/bf16.h"

static const int sizes[] = {0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 100, 129, 1001};
static const plm_dtype types[] = {PLM_F32, PLM_BF16, PLM_F64};

/* ---- fill ---- */

typedef struct fill_case {
  int64_t bytes;
  uint8_t value;
  tensor *to;
} fill_case;

static plm_status call_fill(check *k, side s, void *context) {
  fill_case *c = context;
  plm_fill_args a = {.to = at(c->to, s), .bytes = c->bytes, .value = c->value};
  return check_ops(k, s)->fill(check_exec(k, s), &a);
}

static void fill_shapes(check *k, int variant) {
  static const uint8_t values[] = {0, 1, 0x80, 0xff};
  fill_case c = {.value = PICK(variant, values)};
  int64_t elements = PICK(variant, sizes);
  c.bytes = 2 * elements;
  c.to = check_tensor(k, (tensor_spec){.name = "to", .role = SCRATCH, .type = PLM_BF16, .rows = 1, .width = elements});
  check_describe(k, "bytes=%lld value=%d", (long long)c.bytes, c.value);
  check_call(k, call_fill, &c);
  const unsigned char *bytes = tensor_result_row(c.to, 0);
  for (int64_t i = 0; i < c.bytes; i++)
    if (bytes[i] != c.value) check_fail(k, "byte %lld is %d, not %d", (long long)i, bytes[i], c.value);
}

/* ---- convert ---- */

typedef struct convert_case {
  int64_t n;
  tensor *from, *to;
} convert_case;

static plm_status call_convert(check *k, side s, void *context) {
  convert_case *c = context;
  plm_convert_args a = {
      .n = c->n,
      .from = at(c->from, s),
      .from_dtype = type_of(c->from, s),
      .to = at(c->to, s),
      .to_dtype = type_of(c->to, s),
  };
  return check_ops(k, s)->convert(check_exec(k, s), &a);
}

static convert_case open_convert(check *k, plm_dtype from, plm_dtype to, int64_t n, bool in_place) {
  convert_case c = {.n = n};
  c.from =
      check_tensor(k, (tensor_spec){.name = "from", .role = INPUT, .type = from, .fixed = true, .rows = 1, .width = n});
  c.to = check_tensor(k, (tensor_spec){
                             .name = "to",
                             .role = OUTPUT,
                             .type = to,
                             .fixed = true,
                             .rows = 1,
                             .width = n,
                             .alias = in_place ? c.from : NULL,
                         });
  check_describe(k, "%s -> %s n=%lld%s", plm_dtype_name(from), plm_dtype_name(to), (long long)n,
                 in_place ? " in place" : "");
  return c;
}

static double rounded(double value, plm_dtype type) {
  if (type == PLM_F32) return (double)(float)value;
  return type == PLM_BF16 ? (double)plm_bf16_to_float(plm_bf16_from_double(value)) : value;
}

static void compare_converted(check *k, const convert_case *c) {
  plm_dtype type = type_of(c->to, TESTED);
  for (int64_t i = 0; i < c->n; i++) {
    double from = tensor_input(c->from, 0, i), got = tensor_result(c->to, 0, i), want = rounded(from, type);
    bool same = isnan(want) ? isnan(got) : got == want && signbit(got) == signbit(want);
    if (!same) check_fail(k, "%.17g became %.17g, not %.17g", from, got, want);
  }
}

static void convert_shapes(check *k, int variant) {
  plm_dtype from = PICK(variant, types), to = PICK(variant, types);
  bool in_place = pick(&variant, 2) == 1;
  int64_t n = PICK(variant, sizes);
  if (!check_has_type(k, from) || !check_has_type(k, to) || (in_place && from != to)) return;
  convert_case c = open_convert(k, from, to, n, in_place);
  check_call(k, call_convert, &c);
  compare_converted(k, &c);
}

/* Ties to even both ways, a tie that a first rounding to fp32 would spoil, both ends of the ranges, subnormals, and
 * what isn't a number. */
static const double hard_values[] = {0,
                                     -0.0,
                                     1,
                                     1 + 0x1p-8,
                                     1 + 0x3p-8,
                                     1 + 0x1p-8 + 0x1p-40,
                                     1 + 0x1p-8 - 0x1p-40,
                                     -1 - 0x1p-8,
                                     0x1.fffp127,
                                     0x1.fep127,
                                     0x1.ffp127,
                                     FLT_MAX,
                                     -FLT_MAX,
                                     1e300,
                                     FLT_MIN,
                                     FLT_MIN / 2,
                                     -FLT_MIN / 3,
                                     1e-40,
                                     -1e-40,
                                     0x1p-149,
                                     0x1p-133,
                                     0x1.8p-134,
                                     1e-300,
                                     INFINITY,
                                     -INFINITY,
                                     NAN};

static void convert_hard(check *k, int variant) {
  plm_dtype from = PICK(variant, types), to = PICK(variant, types);
  if (!check_has_type(k, from) || !check_has_type(k, to)) return;
  convert_case c = open_convert(k, from, to, 2 * COUNT(hard_values) + 1, false);
  for (int64_t i = 0; i < c.n; i++) tensor_set(c.from, 0, i, hard_values[i % COUNT(hard_values)]);
  check_call(k, call_convert, &c);
  compare_converted(k, &c);
}

/* NaNs whose only set bits are among those that bf16 drops: truncation would make them infinite. */
static void convert_nan(check *k, int variant) {
  (void)variant;
  convert_case c = open_convert(k, PLM_F32, PLM_BF16, 33, false);
  float *values = (float *)(uintptr_t)tensor_host(c.from);
  for (int64_t i = 0; i < c.n; i++) {
    uint32_t bits = 0x7f800001u | (i % 2 == 0 ? 0 : 0x80000000u) | (uint32_t)(i % 3 == 0 ? 0x7fffu : 0);
    memcpy(&values[i], &bits, sizeof bits);
  }
  check_call_tested(k, call_convert, &c);
  for (int64_t i = 0; i < c.n; i++)
    if (!isnan(tensor_result(c.to, 0, i)))
      check_fail(k, "NaN number %lld became %g", (long long)i, tensor_result(c.to, 0, i));
}

/* ---- rows ---- */

typedef struct rows_case {
  int64_t M, N, C;
  bool accumulate;
  tensor *rows, *from, *to;
} rows_case;

static plm_status call_gather(check *k, side s, void *context) {
  rows_case *c = context;
  plm_gather_rows_args a = {
      .M = c->M,
      .C = c->C,
      .rows = at(c->rows, s),
      .from = at(c->from, s),
      .from_stride = stride_of(c->from, s),
      .to = at(c->to, s),
      .to_stride = stride_of(c->to, s),
      .dtype = type_of(c->from, s),
  };
  return check_ops(k, s)->gather_rows(check_exec(k, s), &a);
}

static plm_status call_scatter(check *k, side s, void *context) {
  rows_case *c = context;
  plm_scatter_rows_args a = {
      .M = c->M,
      .N = c->N,
      .C = c->C,
      .rows = at(c->rows, s),
      .from = at(c->from, s),
      .from_stride = stride_of(c->from, s),
      .to = at(c->to, s),
      .to_stride = stride_of(c->to, s),
      .dtype = type_of(c->from, s),
      .accumulate = c->accumulate,
  };
  return check_ops(k, s)->scatter_rows(check_exec(k, s), &a);
}

static const int row_counts[][2] = {{0, 0}, {0, 5}, {1, 1}, {2, 3}, {5, 5}, {7, 30}, {40, 129}}; /* M of N */
static const int widths[] = {0, 1, 3, 8, 15, 16, 17, 30, 33, 65, 320};

/* M strictly increasing rows of N, the last one included. */
static rows_case open_rows(check *k, plm_dtype type, int64_t M, int64_t N, int64_t C, int64_t gap, bool scatter,
                           bool accumulate) {
  rows_case c = {.M = M, .N = N, .C = C, .accumulate = accumulate};
  c.rows = check_tensor(k, (tensor_spec){.name = "rows", .role = INPUT, .type = PLM_I32, .rows = 1, .width = M});
  for (int64_t m = 0; m < M; m++) tensor_set(c.rows, 0, m, (double)((m + 1) * N / M - 1));
  c.from = check_tensor(
      k, (tensor_spec){.name = "from", .role = INPUT, .type = type, .rows = scatter ? M : N, .width = C, .gap = gap});
  c.to = check_tensor(k, (tensor_spec){
                             .name = "to",
                             .role = accumulate ? ACCUMULATED : OUTPUT,
                             .type = type,
                             .rows = scatter ? N : M,
                             .width = C,
                             .gap = gap == 0 ? 0 : gap + 1,
                         });
  check_describe(k, "%s M=%lld N=%lld C=%lld gap=%lld%s", plm_dtype_name(type), (long long)M, (long long)N,
                 (long long)C, (long long)gap, accumulate ? " accumulate" : "");
  return c;
}

static void gather_shapes(check *k, int variant) {
  plm_dtype type = PICK(variant, types);
  int64_t gap = pick(&variant, 2) * 3, C = PICK(variant, widths);
  const int *count = PICK(variant, row_counts);
  if (!check_has_type(k, type)) return;
  rows_case c = open_rows(k, type, count[0], count[1], C, gap, false, false);
  check_call(k, call_gather, &c);
}

/* gather takes rows in any order and more than once. */
static void gather_any_order(check *k, int variant) {
  plm_dtype type = PICK(variant, types);
  if (!check_has_type(k, type)) return;
  rows_case c = open_rows(k, type, 40, 50, 17, 0, false, false);
  for (int64_t m = 0; m < c.M; m++) tensor_set(c.rows, 0, m, (double)check_below(k, 50));
  check_call(k, call_gather, &c);
}

static void scatter_shapes(check *k, int variant) {
  plm_dtype type = PICK(variant, types);
  bool accumulate = pick(&variant, 2) == 1;
  int64_t gap = pick(&variant, 2) * 3, C = PICK(variant, widths);
  const int *count = PICK(variant, row_counts);
  if (!check_has_type(k, type)) return;
  rows_case c = open_rows(k, type, count[0], count[1], C, gap, true, accumulate);
  check_call(k, call_scatter, &c);
}

/* ---- bench ---- */

static void bench_fill(check *k, int variant) {
  (void)variant;
  fill_case c = {.bytes = 64 << 20};
  c.to = check_tensor(k, (tensor_spec){.name = "to", .role = OUTPUT, .type = PLM_F32, .rows = 1, .width = 16 << 20});
  check_describe(k, "64 MiB");
  check_call(k, call_fill, &c);
}

static void bench_convert(check *k, int variant) {
  bool widen = pick(&variant, 2) == 1;
  convert_case c = open_convert(k, widen ? PLM_BF16 : PLM_F32, widen ? PLM_F32 : PLM_BF16, 8 * 1000 * 1000, false);
  check_call(k, call_convert, &c);
}

static void bench_gather(check *k, int variant) {
  rows_case c = open_rows(k, types[pick(&variant, 2)], 600, 4096, 320, 0, false, false);
  check_call(k, call_gather, &c);
}

static void bench_scatter(check *k, int variant) {
  rows_case c = open_rows(k, types[pick(&variant, 2)], 600, 4096, 320, 0, true, pick(&variant, 2) == 1);
  check_call(k, call_scatter, &c);
}

static const check_family families[] = {
    CASES("fill", "shapes", fill_shapes, 4 * COUNT(sizes)),
    BENCH("fill", bench_fill, 1),
    CASES("convert", "shapes", convert_shapes, 18 * COUNT(sizes)),
    CASES("convert", "hard values", convert_hard, 9),
    CASES("convert", "NaN stays NaN", convert_nan, 1),
    BENCH("convert", bench_convert, 2),
    CASES("gather_rows", "shapes", gather_shapes, 6 * COUNT(widths) * COUNT(row_counts)),
    CASES("gather_rows", "any order", gather_any_order, 3),
    BENCH("gather_rows", bench_gather, 2),
    CASES("scatter_rows", "shapes", scatter_shapes, 12 * COUNT(widths) * COUNT(row_counts)),
    BENCH("scatter_rows", bench_scatter, 4),
};
const check_group copy_group = {"copy", families, COUNT(families)};
