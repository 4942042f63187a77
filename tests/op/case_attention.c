/* case_attention.c - packed attention, forward. */
#include "case_attention.h"

#include <math.h>
#include <string.h>

/* Sequences of no, of one and of many tokens; blocks of 16, 32 and 64 met exactly, missed by one, and spanned; fewer
 * queries than keys. */
const attention_batch attention_batches[ATTENTION_BATCHES] = {
    {0, {0}, {0}},
    {1, {0}, {0}},
    {1, {1}, {1}},
    {3, {2, 3, 1}, {2, 3, 1}},
    {4, {5, 0, 7, 0}, {5, 0, 7, 0}},
    {3, {17, 33, 1}, {17, 33, 1}},
    {2, {16, 32}, {16, 32}},
    {3, {31, 15, 8}, {31, 15, 8}},
    {2, {65, 63}, {65, 63}},
    {1, {300}, {300}},
    {3, {3, 1, 0}, {129, 100, 6}},
    {2, {70, 9}, {11, 64}},
};
const int attention_shapes[ATTENTION_SHAPES][2] = {{1, 8},  {3, 10}, {2, 16},  {5, 16}, {1, 24}, {2, 30},
                                                   {3, 32}, {1, 64}, {2, 128}, {2, 1},  {3, 7},  {1, 96}};
const plm_dtype attention_types[ATTENTION_TYPES] = {PLM_F32, PLM_BF16, PLM_F64};

static tensor *open_cu_seqlens(check *k, const char *name, int S, const int *lengths, int64_t *ret_rows) {
  tensor *t = check_tensor(k, (tensor_spec){.name = name, .role = INPUT, .type = PLM_I32, .rows = 1, .width = S + 1});
  int64_t rows = 0;
  for (int s = 0; s <= S; s++) {
    tensor_set(t, 0, s, (double)rows);
    if (s < S) rows += lengths[s];
  }
  *ret_rows = rows;
  return t;
}

attention_case attention_open(check *k, const attention_batch *batch, plm_dtype type, int64_t H, int64_t D,
                              attention_layout layout, bool lse) {
  attention_case c = {.S = batch->S, .H = H, .D = D, .scale = 1 / sqrt((double)D)};
  int64_t width = H * D, gap = layout == GAPPED ? 2 * width + 1 : 0;
  c.cu_q = open_cu_seqlens(k, "cu_seqlens_q", batch->S, batch->queries, &c.Nq);
  c.cu_k = open_cu_seqlens(k, "cu_seqlens_k", batch->S, batch->keys, &c.Nk);
  c.q = check_tensor(k,
                     (tensor_spec){.name = "q", .role = INPUT, .type = type, .rows = c.Nq, .width = width, .gap = gap});
  c.k = check_tensor(k,
                     (tensor_spec){.name = "k", .role = INPUT, .type = type, .rows = c.Nk, .width = width, .gap = gap});
  c.v = check_tensor(k,
                     (tensor_spec){.name = "v", .role = INPUT, .type = type, .rows = c.Nk, .width = width, .gap = gap});
  c.o = check_tensor(k, (tensor_spec){
                            .name = "o",
                            .role = OUTPUT,
                            .type = type,
                            .rows = c.Nq,
                            .width = width,
                            .gap = gap,
                            .alias = layout == IN_PLACE ? c.q : NULL,
                            .magnitude = 0.1,
                        });
  if (lse)
    c.lse = check_tensor(k, (tensor_spec){
                                .name = "lse",
                                .role = OUTPUT,
                                .type = plm_wide_type(type),
                                .rows = c.Nq,
                                .width = H,
                                .magnitude = 1,
                            });
  check_describe(k, "%s H=%lld D=%lld Nq=%lld Nk=%lld S=%lld%s%s", plm_dtype_name(type), (long long)H, (long long)D,
                 (long long)c.Nq, (long long)c.Nk, (long long)c.S,
                 layout == GAPPED     ? " gaps"
                 : layout == IN_PLACE ? " o=q"
                                      : "",
                 lse ? "" : " no lse");
  return c;
}

plm_attention_forward_args attention_args(const attention_case *c, side s) {
  return (plm_attention_forward_args){
      .S = c->S,
      .H = c->H,
      .D = c->D,
      .Nq = c->Nq,
      .Nk = c->Nk,
      .cu_seqlens_q = at(c->cu_q, s),
      .cu_seqlens_k = at(c->cu_k, s),
      .host_cu_seqlens_q = tensor_host(c->cu_q),
      .host_cu_seqlens_k = tensor_host(c->cu_k),
      .q = at(c->q, s),
      .k = at(c->k, s),
      .v = at(c->v, s),
      .q_stride = stride_of(c->q, s),
      .k_stride = stride_of(c->k, s),
      .v_stride = stride_of(c->v, s),
      .dtype = type_of(c->q, s),
      .scale = c->scale,
      .o = at(c->o, s),
      .o_stride = stride_of(c->o, s),
      .lse = at(c->lse, s),
  };
}

plm_status attention_call_forward(check *k, side s, void *context) {
  plm_attention_forward_args a = attention_args(context, s);
  return check_ops(k, s)->attention_forward(check_exec(k, s), &a);
}

static void shapes(check *k, int variant) {
  plm_dtype type = PICK(variant, attention_types);
  attention_layout layout = (attention_layout)pick(&variant, 3);
  const int *shape = PICK(variant, attention_shapes);
  const attention_batch *batch = &PICK(variant, attention_batches);
  if (!check_has_type(k, type)) return;
  attention_case c = attention_open(k, batch, type, shape[0], shape[1], layout, layout != IN_PLACE);
  check_call(k, attention_call_forward, &c);
}

/* Scores near +-1000: a softmax that doesn't subtract the maximum overflows, one that starts its maximum at 0 divides
 * by 0 (all scores far below zero leave lse at about -100 or lower). */
static void large_scores(check *k, int variant) {
  static const double shifts[] = {0, -100, -1000, 1000};
  plm_dtype type = PICK(variant, attention_types);
  double shift = PICK(variant, shifts);
  const int *shape = PICK(variant, attention_shapes);
  if (!check_has_type(k, type)) return;
  attention_case c = attention_open(k, &attention_batches[5], type, shape[0], shape[1], APART, true);
  c.scale = 1;
  for (int64_t n = 0; n < c.Nq; n++)
    for (int64_t i = 0; i < c.H * c.D; i++) {
      bool first = i % c.D == 0; /* q.k is about `shift`, or about +-1000 when that is 0 */
      double q = tensor_input(c.q, n, i), key = tensor_input(c.k, n, i);
      tensor_set(c.q, n, i, first ? (shift == 0 ? 32 * q : 16) : 0.25 * q);
      tensor_set(c.k, n, i, first ? (shift == 0 ? 32 * key : shift / 16) : 0.25 * key);
    }
  check_slack(k, type == PLM_BF16 ? 3 : 300); /* a score of 1000 is good to 6e-5 in fp32 */
  check_call(k, attention_call_forward, &c);
  for (int64_t n = 0; n < c.Nq; n++)
    for (int64_t i = 0; i < c.H * c.D; i++)
      if (!isfinite(tensor_result(c.o, n, i))) check_fail(k, "o[%lld,%lld] is not finite", (long long)n, (long long)i);
}

/* A sequence's rows are the same, bit for bit, whatever stands before or behind it in the batch. */
static void batch_mates_do_not_matter(check *k, int variant) {
  static const attention_batch together = {5, {7, 33, 1, 70, 16}, {7, 33, 1, 70, 16}};
  plm_dtype type = PICK(variant, attention_types);
  const int *shape = PICK(variant, attention_shapes);
  if (!check_has_type(k, type)) return;
  attention_case all = attention_open(k, &together, type, shape[0], shape[1], APART, true);
  check_call_tested(k, attention_call_forward, &all);
  tensor_keep(all.o);
  tensor_keep(all.lse);
  int64_t first = 0;
  size_t row_bytes = (size_t)(all.H * all.D) * plm_dtype_size(type),
         lse_bytes = (size_t)all.H * plm_dtype_size(plm_wide_type(type));
  for (int s = 0; s < together.S; first += together.queries[s++]) {
    attention_batch alone = {1, {together.queries[s]}, {together.keys[s]}};
    attention_case part = attention_open(k, &alone, type, shape[0], shape[1], APART, true);
    for (int64_t n = 0; n < part.Nq; n++) {
      tensor_copy_row(part.q, n, all.q, first + n);
      tensor_copy_row(part.k, n, all.k, first + n);
      tensor_copy_row(part.v, n, all.v, first + n);
    }
    check_call_tested(k, attention_call_forward, &part);
    for (int64_t n = 0; n < part.Nq; n++)
      if (memcmp(tensor_result_row(part.o, n), tensor_result_row(all.o, first + n), row_bytes) != 0 ||
          memcmp(tensor_result_row(part.lse, n), tensor_result_row(all.lse, first + n), lse_bytes) != 0)
        check_fail(k, "sequence %d has other bits alone", s);
  }
}

static void bad_lengths_are_a_bug(check *k, int variant) {
  (void)variant;
  attention_case c = attention_open(k, &attention_batches[3], PLM_F32, 2, 8, APART, true);
  c.Nk++;
  check_refused(k, attention_call_forward, &c, PLM_E_BUG);
}

static void bench(check *k, int variant) {
  static const attention_batch batches[] = {{4, {1024, 1024, 1024, 1024}, {1024, 1024, 1024, 1024}},
                                            {6, {250, 250, 250, 250, 250, 250}, {250, 250, 250, 250, 250, 250}}};
  plm_dtype type = attention_types[pick(&variant, 2)];
  const attention_batch *batch = &PICK(variant, batches);
  attention_case c = pick(&variant, 2) == 0 ? attention_open(k, batch, type, 20, 16, APART, true)
                                            : attention_open(k, batch, type, 20, 64, APART, true);
  check_call(k, attention_call_forward, &c);
}

static const check_family families[] = {
    CASES("attention_forward", "shapes", shapes, ATTENTION_TYPES * 3 * ATTENTION_SHAPES * ATTENTION_BATCHES),
    CASES("attention_forward", "large scores", large_scores, ATTENTION_TYPES * 4 * ATTENTION_SHAPES),
    CASES("attention_forward", "batch mates do not matter", batch_mates_do_not_matter,
          ATTENTION_TYPES *ATTENTION_SHAPES),
    CASES("attention_forward", "bad lengths are a bug", bad_lengths_are_a_bug, 1),
    BENCH("attention_forward", bench, 8),
};
const check_group attention_group = {"attention", families, COUNT(families)};
