/* case_attention_backward.c - gradients of attention. */
#include <math.h>

#include "case_attention.h"

static plm_status call_backward(check *k, side s, void *context) {
  attention_case *c = context;
  plm_attention_backward_args a = {
      .forward = attention_args(c, s),
      .d_o = at(c->d_o, s),
      .d_o_stride = stride_of(c->d_o, s),
      .d_q = at(c->d_q, s),
      .d_k = at(c->d_k, s),
      .d_v = at(c->d_v, s),
      .d_q_stride = stride_of(c->d_q, s),
      .d_k_stride = stride_of(c->d_k, s),
      .d_v_stride = stride_of(c->d_v, s),
  };
  return check_ops(k, s)->attention_backward(check_exec(k, s), &a);
}

/* Make o and lse what forward leaves, rounded to their storage type, and add what backward needs. */
static void add_backward(check *k, attention_case *c, plm_dtype type, int64_t gap) {
  int64_t width = c->H * c->D;
  check_call_truth(k, attention_call_forward, c);
  tensor_freeze(c->o);
  tensor_freeze(c->lse);
  c->d_o = check_tensor(
      k, (tensor_spec){.name = "d_o", .role = INPUT, .type = type, .rows = c->Nq, .width = width, .gap = gap});
  c->d_q = check_tensor(k, (tensor_spec){
                               .name = "d_q",
                               .role = OUTPUT,
                               .type = type,
                               .rows = c->Nq,
                               .width = width,
                               .gap = gap,
                               .magnitude = 0.3,
                           });
  c->d_k = check_tensor(k, (tensor_spec){
                               .name = "d_k",
                               .role = OUTPUT,
                               .type = type,
                               .rows = c->Nk,
                               .width = width,
                               .gap = gap,
                               .magnitude = 0.3,
                           });
  c->d_v = check_tensor(k, (tensor_spec){
                               .name = "d_v",
                               .role = OUTPUT,
                               .type = type,
                               .rows = c->Nk,
                               .width = width,
                               .gap = gap,
                               .magnitude = 0.3,
                           });
}

static void shapes(check *k, int variant) {
  plm_dtype type = PICK(variant, attention_types);
  bool gapped = pick(&variant, 2) == 1;
  const int *shape = PICK(variant, attention_shapes);
  const attention_batch *batch = &PICK(variant, attention_batches);
  if (!check_has_type(k, type)) return;
  attention_case c = attention_open(k, batch, type, shape[0], shape[1], gapped ? GAPPED : APART, true);
  add_backward(k, &c, type, gapped ? 2 * c.H * c.D + 1 : 0);
  check_call(k, call_backward, &c);
}

/* All scores far below or above zero, so that a probability is the small difference of two large numbers. */
static void large_scores(check *k, int variant) {
  static const double shifts[] = {-100, 100};
  plm_dtype type = PICK(variant, attention_types);
  double shift = PICK(variant, shifts);
  const int *shape = PICK(variant, attention_shapes);
  if (!check_has_type(k, type)) return;
  attention_case c = attention_open(k, &attention_batches[5], type, shape[0], shape[1], APART, true);
  c.scale = 1;
  for (int64_t n = 0; n < c.Nq; n++)
    for (int64_t i = 0; i < c.H * c.D; i++) {
      tensor_set(c.q, n, i, i % c.D == 0 ? 8 : 0.25 * tensor_input(c.q, n, i));
      tensor_set(c.k, n, i, i % c.D == 0 ? shift / 8 : 0.25 * tensor_input(c.k, n, i));
    }
  add_backward(k, &c, type, 0);
  check_slack(k, type == PLM_BF16 ? 8 : 200); /* gradients near 0.3 times a q or k of about 10 */
  check_call(k, call_backward, &c);
}

/* ---- gradient ---- */

enum { GS = 2, GH = 2, GD = 3, GQ = 5, GK = 6, GW = GH * GD };

typedef struct gradient_case {
  check *k;
  double q[GQ * GW], key[GK * GW], v[GK * GW], o[GQ * GW], lse[GQ * GH], d_o[GQ * GW];
} gradient_case;

static const int32_t gradient_cu_q[] = {0, 2, GQ}, gradient_cu_k[] = {0, 4, GK};

static plm_attention_forward_args gradient_args(gradient_case *g) {
  return (plm_attention_forward_args){
      .S = GS,
      .H = GH,
      .D = GD,
      .Nq = GQ,
      .Nk = GK,
      .cu_seqlens_q = gradient_cu_q,
      .cu_seqlens_k = gradient_cu_k,
      .host_cu_seqlens_q = gradient_cu_q,
      .host_cu_seqlens_k = gradient_cu_k,
      .q = g->q,
      .k = g->key,
      .v = g->v,
      .dtype = PLM_F64,
      .scale = 0.7,
      .o = g->o,
      .lse = g->lse,
  };
}

static double gradient_loss(void *context) {
  gradient_case *g = context;
  plm_attention_forward_args a = gradient_args(g);
  if (check_ops(g->k, TRUTH)->attention_forward(check_exec(g->k, TRUTH), &a) != PLM_OK) return NAN;
  double sum = 0;
  for (int i = 0; i < GQ * GW; i++) sum += g->o[i] * g->d_o[i];
  return sum;
}

static void gradient(check *k, int variant) {
  (void)variant;
  if (!check_is_reference(k)) return;
  gradient_case g = {.k = k};
  double d_q[GQ * GW], d_k[GK * GW], d_v[GK * GW];
  for (int i = 0; i < GQ * GW; i++) g.q[i] = check_normal(k), g.d_o[i] = check_normal(k);
  for (int i = 0; i < GK * GW; i++) g.key[i] = check_normal(k), g.v[i] = check_normal(k);
  gradient_loss(&g);
  plm_attention_backward_args a = {.forward = gradient_args(&g), .d_o = g.d_o, .d_q = d_q, .d_k = d_k, .d_v = d_v};
  if (check_ops(k, TRUTH)->attention_backward(check_exec(k, TRUTH), &a) != PLM_OK)
    check_fail(k, "backward: %s", plm_error_message());
  check_gradient(k, "d_q", g.q, d_q, GQ * GW, gradient_loss, &g);
  check_gradient(k, "d_k", g.key, d_k, GK * GW, gradient_loss, &g);
  check_gradient(k, "d_v", g.v, d_v, GK * GW, gradient_loss, &g);
}

static void bench(check *k, int variant) {
  static const attention_batch batches[] = {{4, {1024, 1024, 1024, 1024}, {1024, 1024, 1024, 1024}},
                                            {6, {250, 250, 250, 250, 250, 250}, {250, 250, 250, 250, 250, 250}}};
  plm_dtype type = attention_types[pick(&variant, 2)];
  const attention_batch *batch = &PICK(variant, batches);
  attention_case c = attention_open(k, batch, type, 20, pick(&variant, 2) == 0 ? 16 : 64, APART, true);
  add_backward(k, &c, type, 0);
  check_call(k, call_backward, &c);
}

static const check_family families[] = {
    CASES("attention_backward", "shapes", shapes, ATTENTION_TYPES * 2 * ATTENTION_SHAPES * ATTENTION_BATCHES),
    CASES("attention_backward", "large scores", large_scores, ATTENTION_TYPES * 2 * ATTENTION_SHAPES),
    CASES("attention_backward", "gradient", gradient, 1),
    BENCH("attention_backward", bench, 8),
};
const check_group attention_backward_group = {"attention_backward", families, COUNT(families)};
