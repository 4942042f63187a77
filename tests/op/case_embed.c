/* case_embed.c - token embedding, with and without rows of positions. */
#include <math.h>

#include "check.h"

static const int widths[] = {1, 2, 3, 7, 8, 15, 16, 17, 30, 33, 64, 65, 77, 129, 320};
static const int heights[] = {0, 1, 2, 5, 17, 64, 300};
static const plm_dtype types[] = {PLM_F32, PLM_F64};
enum { V = 33, PADDING = 1, P = 40 };

typedef struct embed_case {
  int64_t N, C;
  tensor *tokens, *scale, *table, *out, *d_out, *d_table;
  tensor *positions, *position_table, *d_position_table; /* NULL = without */
  bool has_padding_id;
} embed_case;

static plm_status call_forward(check *k, side s, void *context) {
  embed_case *c = context;
  plm_embed_forward_args a = {
      .N = c->N,
      .C = c->C,
      .V = V,
      .tokens = at(c->tokens, s),
      .table = at(c->table, s),
      .table_dtype = type_of(c->table, s),
      .row_scale = at(c->scale, s),
      .out = at(c->out, s),
      .P = P,
      .positions = at(c->positions, s),
      .position_table = at(c->position_table, s),
  };
  return check_ops(k, s)->embed_forward(check_exec(k, s), &a);
}

static plm_status call_backward(check *k, side s, void *context) {
  embed_case *c = context;
  plm_embed_backward_args a = {
      .N = c->N,
      .C = c->C,
      .V = V,
      .tokens = at(c->tokens, s),
      .d_out = at(c->d_out, s),
      .dtype = type_of(c->d_out, s),
      .row_scale = at(c->scale, s),
      .has_padding_id = c->has_padding_id,
      .padding_id = PADDING,
      .d_table = at(c->d_table, s),
      .P = P,
      .positions = at(c->positions, s),
      .d_position_table = at(c->d_position_table, s),
  };
  return check_ops(k, s)->embed_backward(check_exec(k, s), &a);
}

/* Tokens over the whole vocabulary, its ends included; every third row is scaled by 0, as at <mask>. */
static embed_case open_case(check *k, plm_dtype type, int64_t N, int64_t C, bool scaled) {
  embed_case c = {.N = N, .C = C};
  c.tokens = check_tensor(k, (tensor_spec){.name = "tokens", .role = INPUT, .type = PLM_I32, .rows = 1, .width = N});
  for (int64_t n = 0; n < N; n++) tensor_set(c.tokens, 0, n, n == 0 ? V - 1 : n == 1 ? 0 : (double)check_below(k, V));
  if (scaled)
    c.scale = check_tensor(
        k, (tensor_spec){.name = "row_scale", .role = INPUT, .type = PLM_F32, .fixed = true, .rows = 1, .width = N});
  for (int64_t n = 0; scaled && n < N; n += 3) tensor_set(c.scale, 0, n, 0);
  check_describe(k, "%s N=%lld C=%lld%s", plm_dtype_name(type), (long long)N, (long long)C, scaled ? " scaled" : "");
  return c;
}

static embed_case open_forward(check *k, plm_dtype type, int64_t N, int64_t C, bool scaled) {
  embed_case c = open_case(k, type, N, C, scaled);
  c.table = check_tensor(k, (tensor_spec){.name = "table", .role = INPUT, .type = type, .rows = V, .width = C});
  c.out = check_tensor(k, (tensor_spec){.name = "out", .role = OUTPUT, .type = type, .rows = N, .width = C});
  return c;
}

static void forward_shapes(check *k, int variant) {
  plm_dtype type = PICK(variant, types);
  bool scaled = pick(&variant, 2) == 1;
  int64_t C = PICK(variant, widths), N = PICK(variant, heights);
  if (!check_has_type(k, type)) return;
  embed_case c = open_forward(k, type, N, C, scaled);
  check_call(k, call_forward, &c);
  for (int64_t n = 0; scaled && n < N; n += 3)
    for (int64_t i = 0; i < C; i++)
      if (tensor_result(c.out, n, i) != 0) check_fail(k, "a row of scale 0 is not exactly 0");
}

static embed_case open_backward(check *k, plm_dtype type, int64_t N, int64_t C, bool scaled, bool trains) {
  embed_case c = open_case(k, type, N, C, scaled);
  c.d_out = check_tensor(k, (tensor_spec){.name = "d_out", .role = INPUT, .type = type, .rows = N, .width = C});
  if (!trains) return c;
  c.d_table = check_tensor(
      k, (tensor_spec){.name = "d_table", .role = ACCUMULATED, .type = type, .rows = V, .width = C, .magnitude = 1});
  return c;
}

static void backward_shapes(check *k, int variant) {
  plm_dtype type = PICK(variant, types);
  bool scaled = pick(&variant, 2) == 1, has_padding_id = pick(&variant, 2) == 1;
  int64_t C = PICK(variant, widths), N = PICK(variant, heights);
  if (!check_has_type(k, type)) return;
  embed_case c = open_backward(k, type, N, C, scaled, true);
  c.has_padding_id = has_padding_id;
  check_call(k, call_backward, &c);
  for (int64_t i = 0; has_padding_id && i < C; i++)
    if (tensor_result(c.d_table, PADDING, i) != tensor_input(c.d_table, PADDING, i))
      check_fail(k, "the padding row got a gradient");
}

/* Any order, some more than once, both ends of the table. */
static tensor *open_positions(check *k, int64_t N) {
  tensor *t =
      check_tensor(k, (tensor_spec){.name = "positions", .role = INPUT, .type = PLM_I32, .rows = 1, .width = N});
  for (int64_t n = 0; n < N; n++) tensor_set(t, 0, n, n == 0 ? P - 1 : n == 1 ? 0 : (double)check_below(k, P));
  return t;
}

static void forward_positions(check *k, int variant) {
  plm_dtype type = PICK(variant, types);
  bool scaled = pick(&variant, 2) == 1;
  int64_t C = PICK(variant, widths), N = PICK(variant, heights);
  if (!check_has_type(k, type)) return;
  embed_case c = open_forward(k, type, N, C, scaled);
  c.positions = open_positions(k, N);
  c.position_table =
      check_tensor(k, (tensor_spec){.name = "position_table", .role = INPUT, .type = type, .rows = P, .width = C});
  check_call(k, call_forward, &c);
  for (int64_t n = 0; scaled && n < N; n += 3)
    for (int64_t i = 0; i < C; i++)
      if (tensor_result(c.out, n, i) != tensor_input(c.position_table, (int64_t)tensor_input(c.positions, 0, n), i))
        check_fail(k, "a row of scale 0 is not exactly its position");
}

/* Both gradients, or that of positions alone: the token table frozen. */
static void backward_positions(check *k, int variant) {
  plm_dtype type = PICK(variant, types);
  bool scaled = pick(&variant, 2) == 1, has_padding_id = pick(&variant, 2) == 1, frozen = pick(&variant, 2) == 1;
  int64_t C = PICK(variant, widths), N = PICK(variant, heights);
  if (!check_has_type(k, type)) return;
  embed_case c = open_backward(k, type, N, C, scaled, !frozen);
  c.has_padding_id = has_padding_id;
  c.positions = open_positions(k, N);
  c.d_position_table = check_tensor(
      k, (tensor_spec){
             .name = "d_position_table", .role = ACCUMULATED, .type = type, .rows = P, .width = C, .magnitude = 1});
  check_call(k, call_backward, &c);
}

static void all_frozen_does_nothing(check *k, int variant) {
  plm_dtype type = PICK(variant, types);
  if (!check_has_type(k, type)) return;
  embed_case c = open_backward(k, type, 5, 7, true, false);
  check_call(k, call_backward, &c);
}

static void bad_token_is_a_bug(check *k, int variant) {
  (void)variant;
  if (!check_is_reference(k)) return;
  embed_case c = open_forward(k, PLM_F32, 4, 3, false);
  tensor_set(c.tokens, 0, 2, V);
  plm_exec *exec = check_exec(k, TRUTH);
  plm_embed_forward_args a = {
      .N = 4,
      .C = 3,
      .V = V,
      .tokens = tensor_host(c.tokens),
      .table = tensor_host(c.table),
      .out = at(c.out, TRUTH),
  };
  if (check_ops(k, TRUTH)->embed_forward(exec, &a) != PLM_E_BUG)
    check_fail(k, "token %d of a vocabulary of %d was taken", V, V);
}

static void bad_position_is_a_bug(check *k, int variant) {
  (void)variant;
  if (!check_is_reference(k)) return;
  const int32_t tokens[] = {0, 1}, positions[] = {0, P};
  double table[2] = {0}, position_table[P] = {0}, out[2], d_out[2] = {0};
  plm_embed_forward_args forward = {
      .N = 2,
      .C = 1,
      .V = 2,
      .tokens = tokens,
      .table = table,
      .table_dtype = PLM_F64,
      .out = out,
      .P = P,
      .positions = positions,
      .position_table = position_table,
  };
  plm_embed_backward_args backward = {
      .N = 2,
      .C = 1,
      .V = 2,
      .tokens = tokens,
      .d_out = d_out,
      .dtype = PLM_F64,
      .P = P,
      .positions = positions,
      .d_position_table = position_table,
  };
  if (check_ops(k, TRUTH)->embed_forward(check_exec(k, TRUTH), &forward) != PLM_E_BUG ||
      check_ops(k, TRUTH)->embed_backward(check_exec(k, TRUTH), &backward) != PLM_E_BUG)
    check_fail(k, "position %d of a table of %d was taken", P, P);
}

enum { GN = 7, GC = 3 };

typedef struct gradient_case {
  check *k;
  int32_t tokens[GN], positions[GN];
  float scale[GN];
  double table[V * GC], position_table[P * GC], out[GN * GC], d_out[GN * GC];
} gradient_case;

static double gradient_loss(void *context) {
  gradient_case *g = context;
  plm_embed_forward_args a = {
      .N = GN,
      .C = GC,
      .V = V,
      .tokens = g->tokens,
      .table = g->table,
      .table_dtype = PLM_F64,
      .row_scale = g->scale,
      .out = g->out,
      .P = P,
      .positions = g->positions,
      .position_table = g->position_table,
  };
  if (check_ops(g->k, TRUTH)->embed_forward(check_exec(g->k, TRUTH), &a) != PLM_OK) return NAN;
  double sum = 0;
  for (int i = 0; i < GN * GC; i++) sum += g->out[i] * g->d_out[i];
  return sum;
}

static void gradient(check *k, int variant) {
  (void)variant;
  if (!check_is_reference(k)) return;
  gradient_case g = {.k = k,
                     .tokens = {3, 5, 3, 32, 0, 3, 5},
                     .scale = {0.88f, 1, 0, 0.9f, 1, 0.5f, 1},
                     .positions = {2, 1, 0, 2, 4, 1, 0}};
  double d_table[V * GC] = {0}, d_position_table[P * GC] = {0};
  for (int i = 0; i < V * GC; i++) g.table[i] = check_normal(k);
  for (int i = 0; i < P * GC; i++) g.position_table[i] = check_normal(k);
  for (int i = 0; i < GN * GC; i++) g.d_out[i] = check_normal(k);
  plm_embed_backward_args a = {
      .N = GN,
      .C = GC,
      .V = V,
      .tokens = g.tokens,
      .d_out = g.d_out,
      .dtype = PLM_F64,
      .row_scale = g.scale,
      .d_table = d_table,
      .P = P,
      .positions = g.positions,
      .d_position_table = d_position_table,
  };
  if (check_ops(k, TRUTH)->embed_backward(check_exec(k, TRUTH), &a) != PLM_OK)
    check_fail(k, "backward: %s", plm_error_message());
  check_gradient(k, "d_table", g.table, d_table, 6 * GC, gradient_loss, &g);
  check_gradient(k, "d_position_table", g.position_table, d_position_table, 6 * GC, gradient_loss, &g);
}

static void bench_forward(check *k, int variant) {
  (void)variant;
  embed_case c = open_forward(k, PLM_F32, 4096, 320, true);
  check_call(k, call_forward, &c);
}

static void bench_backward(check *k, int variant) {
  (void)variant;
  embed_case c = open_backward(k, PLM_F32, 4096, 320, true, true);
  check_call(k, call_backward, &c);
}

static const check_family families[] = {
    CASES("embed_forward", "shapes", forward_shapes, 4 * COUNT(widths) * COUNT(heights)),
    CASES("embed_forward", "positions", forward_positions, 4 * COUNT(widths) * COUNT(heights)),
    CASES("embed_forward", "bad position is a bug", bad_position_is_a_bug, 1),
    CASES("embed_forward", "bad token is a bug", bad_token_is_a_bug, 1),
    BENCH("embed_forward", bench_forward, 1),
    CASES("embed_backward", "shapes", backward_shapes, 8 * COUNT(widths) * COUNT(heights)),
    CASES("embed_backward", "positions", backward_positions, 16 * COUNT(widths) * COUNT(heights)),
    CASES("embed_backward", "all frozen", all_frozen_does_nothing, COUNT(types)),
    CASES("embed_backward", "gradient", gradient, 1),
    BENCH("embed_backward", bench_backward, 1),
};
const check_group embed_group = {"embed", families, COUNT(families)};
