/* case_linear.c - linear forward, with and without the packed form of the weight. */
#include <math.h>
#include <string.h>

#include "case_linear.h"

const int linear_shapes[LINEAR_SHAPES][3] = {
    /* N, O, I */
    {0, 5, 7},    {1, 1, 1},     {1, 2, 3},     {2, 3, 1},      {3, 5, 2},    {5, 7, 3},    {7, 8, 8},
    {8, 15, 16},  {9, 16, 17},   {15, 17, 31},  {16, 16, 16},   {17, 33, 30}, {31, 30, 33}, {33, 64, 63},
    {1, 65, 64},  {64, 63, 65},  {65, 77, 100}, {100, 129, 77}, {129, 1, 65}, {3, 0, 4},    {3, 4, 0},
    {2, 320, 33}, {13, 33, 320}, {70, 96, 48},  {6, 128, 64},   {48, 80, 20}};
const plm_dtype linear_types[LINEAR_TYPES][2] = {
    {PLM_F32, PLM_F32}, {PLM_BF16, PLM_BF16}, {PLM_BF16, PLM_F32}, {PLM_F64, PLM_F64}};

void linear_open_weight(check *k, linear_weight *w, plm_dtype type, int64_t O, int64_t I, int64_t gap, bool packed) {
  *w = (linear_weight){.out = O, .in = I};
  w->data =
      check_tensor(k, (tensor_spec){.name = "weight", .role = INPUT, .type = type, .rows = O, .width = I, .gap = gap});
  if (!packed) return;
  plm_weight view = linear_view(w, TESTED);
  plm_weight_refresh_args a = {.weight = &view, .ret_packed_bytes = &w->packed_bytes};
  plm_exec *exec = check_exec(k, TESTED);
  exec->dry = true;
  plm_status status = check_ops(k, TESTED)->weight_refresh(exec, &a);
  exec->dry = false;
  if (status != PLM_OK) check_fail(k, "weight_refresh: %s", plm_error_message());
  if (status != PLM_OK || w->packed_bytes == 0) return;
  w->packed = check_tensor(k, (tensor_spec){
                                  .name = "packed",
                                  .role = SCRATCH,
                                  .type = PLM_BF16,
                                  .rows = 1,
                                  .width = (int64_t)(w->packed_bytes + 1) / 2,
                                  .aligned = true,
                              });
}

plm_weight linear_view(const linear_weight *w, side s) {
  return (plm_weight){
      .data = at(w->data, s),
      .dtype = type_of(w->data, s),
      .out = w->out,
      .in = w->in,
      .stride = stride_of(w->data, s),
      .packed = s == TESTED ? at(w->packed, s) : NULL,
      .packed_bytes = s == TESTED ? w->packed_bytes : 0,
  };
}

plm_status linear_refresh(check *k, side s, const linear_weight *w) {
  plm_weight view = linear_view(w, s);
  if (view.packed == NULL) return PLM_OK;
  plm_weight_refresh_args a = {.weight = &view};
  return check_ops(k, s)->weight_refresh(check_exec(k, s), &a);
}

typedef struct linear_case {
  int64_t N;
  linear_weight w;
  tensor *x, *bias, *add, *y;
  bool row_invariant;
} linear_case;

static plm_status call_forward(check *k, side s, void *context) {
  linear_case *c = context;
  plm_weight view = linear_view(&c->w, s);
  PLM_TRY(linear_refresh(k, s, &c->w));
  plm_linear_forward_args a = {
      .N = c->N,
      .weight = &view,
      .bias = at(c->bias, s),
      .x = at(c->x, s),
      .x_stride = stride_of(c->x, s),
      .add = at(c->add, s),
      .y = at(c->y, s),
      .y_dtype = type_of(c->y, s),
      .y_stride = stride_of(c->y, s),
      .row_invariant = c->row_invariant,
  };
  return check_ops(k, s)->linear_forward(check_exec(k, s), &a);
}

typedef struct linear_options {
  bool bias, add, add_in_place, packed, row_invariant, gaps;
} linear_options;

static linear_case open_case(check *k, const plm_dtype type[2], int64_t N, int64_t O, int64_t I, linear_options o) {
  linear_case c = {.N = N, .row_invariant = o.row_invariant};
  int64_t gap = o.gaps ? 3 : 0;
  double magnitude = sqrt((double)I + 1);
  linear_open_weight(k, &c.w, type[0], O, I, gap, o.packed);
  c.x = check_tensor(k, (tensor_spec){.name = "x", .role = INPUT, .type = type[0], .rows = N, .width = I, .gap = gap});
  if (o.bias)
    c.bias = check_tensor(
        k, (tensor_spec){.name = "bias", .role = INPUT, .type = plm_wide_type(type[0]), .rows = 1, .width = O});
  if (o.add || o.add_in_place)
    c.add = check_tensor(
        k, (tensor_spec){.name = "add", .role = INPUT, .type = type[1], .rows = N, .width = O, .gap = gap});
  c.y = check_tensor(k, (tensor_spec){
                            .name = "y",
                            .role = OUTPUT,
                            .type = type[1],
                            .rows = N,
                            .width = O,
                            .gap = gap,
                            .magnitude = magnitude,
                            .alias = o.add_in_place ? c.add : NULL,
                        });
  check_describe(k, "%s -> %s N=%lld O=%lld I=%lld%s%s%s%s%s%s", plm_dtype_name(type[0]), plm_dtype_name(type[1]),
                 (long long)N, (long long)O, (long long)I, o.bias ? " bias" : "", o.add ? " add" : "",
                 o.add_in_place ? " add=y" : "", o.packed ? " packed" : "", o.row_invariant ? " row_invariant" : "",
                 o.gaps ? " gaps" : "");
  return c;
}

static const linear_options option_sets[] = {
    {0},
    {.bias = true, .packed = true},
    {.bias = true, .add = true, .gaps = true},
    {.bias = true, .add_in_place = true, .packed = true},
    {.bias = true, .row_invariant = true, .packed = true, .gaps = true},
    {.add_in_place = true, .row_invariant = true},
    {.packed = true, .gaps = true},
};

static void forward_shapes(check *k, int variant) {
  const plm_dtype *type = PICK(variant, linear_types);
  linear_options options = PICK(variant, option_sets);
  const int *shape = PICK(variant, linear_shapes);
  if (!check_has_type(k, type[0])) return;
  linear_case c = open_case(k, type, shape[0], shape[1], shape[2], options);
  check_call(k, call_forward, &c);
}

/* Row i of y depends on row i of x and on W only, bit for bit: any number of rows, any place. */
static void rows_are_independent(check *k, int variant) {
  static const int shapes[][2] = {{1, 65}, {5, 7}, {16, 16}, {33, 320}, {77, 30}, {129, 77}, {320, 65}};
  static const int chosen[] = {132, 0, 17, 33, 16, 69, 1, 48, 5, 128, 31};
  const plm_dtype *type = PICK(variant, linear_types);
  bool packed = pick(&variant, 2) == 1;
  const int *shape = PICK(variant, shapes);
  if (!check_has_type(k, type[0])) return;
  linear_options options = {.bias = true, .row_invariant = true, .packed = packed};
  linear_case all = open_case(k, type, 133, shape[0], shape[1], options);
  check_call_tested(k, call_forward, &all);
  tensor_keep(all.y);
  for (int count = 1; count <= COUNT(chosen); count += 5) {
    linear_case part = open_case(k, type, count, shape[0], shape[1], options);
    part.w = all.w;
    part.bias = all.bias;
    for (int i = 0; i < count; i++) tensor_copy_row(part.x, i, all.x, chosen[i]);
    check_call_tested(k, call_forward, &part);
    for (int i = 0; i < count; i++)
      if (memcmp(tensor_result_row(part.y, i), tensor_result_row(all.y, chosen[i]),
                 (size_t)shape[0] * plm_dtype_size(type[1])) != 0)
        check_fail(k, "row %d has other bits among %d rows", chosen[i], count);
  }
}

static void refusals(check *k, int variant) {
  (void)variant;
  linear_case c = open_case(k, linear_types[0], 4, 3, 5, (linear_options){.bias = true});
  linear_case mixed = c;
  mixed.y = check_tensor(k, (tensor_spec){.name = "bf16 y", .role = OUTPUT, .type = PLM_BF16, .rows = 4, .width = 3});
  check_refused(k, call_forward, &mixed, PLM_E_UNSUPPORTED);
  c.N = -1;
  check_refused(k, call_forward, &c, PLM_E_BUG);
}

/* A packed form is as good as the weight it was made from, and one of a weight without elements is fine. */
static void refresh(check *k, int variant) {
  const plm_dtype *type = PICK(variant, linear_types);
  const int *shape = PICK(variant, linear_shapes);
  if (!check_has_type(k, type[0])) return;
  linear_case c = open_case(k, type, shape[0], shape[1], shape[2], (linear_options){.packed = true});
  check_call(k, call_forward, &c);
  for (int64_t o = 0; o < c.w.out; o++)
    for (int64_t i = 0; i < c.w.in; i++) tensor_set(c.w.data, o, i, -tensor_input(c.w.data, o, i) / 2);
  check_call(k, call_forward, &c);
}

static void bench(check *k, int variant) {
  static const int shapes[][3] = {
      {4096, 960, 320}, {4096, 320, 320}, {4096, 1280, 320}, {4096, 320, 1280}, {600, 33, 320}};
  const plm_dtype *type = linear_types[pick(&variant, 3)];
  const int *shape = PICK(variant, shapes);
  linear_options options = {.bias = true, .packed = true, .row_invariant = pick(&variant, 2) == 1};
  linear_case c = open_case(k, type, shape[0], shape[1], shape[2], options);
  check_call(k, call_forward, &c);
}

static const check_family families[] = {
    CASES("weight_refresh", "twice", refresh, LINEAR_TYPES *LINEAR_SHAPES),
    CASES("linear_forward", "shapes", forward_shapes, LINEAR_TYPES *COUNT(option_sets) * LINEAR_SHAPES),
    CASES("linear_forward", "rows are independent", rows_are_independent, LINEAR_TYPES * 2 * 7),
    CASES("linear_forward", "refusals", refusals, 1),
    BENCH("linear_forward", bench, 30),
};
const check_group linear_group = {"linear", families, COUNT(families)};
