/* case_loss.c - softmax cross-entropy. */
#include <math.h>
#include <string.h>

#include "check.h"

static const int widths[] = {1, 2, 3, 7, 15, 16, 17, 31, 33, 63, 64, 65, 129};
static const int heights[] = {0, 1, 2, 3, 16, 17, 65};

/* Of logits; of their gradient. */
static const plm_dtype types[][2] = {{PLM_F32, PLM_F32}, {PLM_F32, PLM_BF16}, {PLM_F64, PLM_F64}};

typedef struct loss_case {
  int64_t M, V;
  tensor *logits, *targets, *sums, *d_logits, *row_nll, *row_prediction;
} loss_case;

static plm_status call_loss(check *k, side s, void *context) {
  loss_case *c = context;
  plm_cross_entropy_args a = {
      .M = c->M,
      .V = c->V,
      .logits = at(c->logits, s),
      .dtype = type_of(c->logits, s),
      .targets = at(c->targets, s),
      .sums = at(c->sums, s),
      .d_logits = at(c->d_logits, s),
      .d_dtype = c->d_logits == NULL ? PLM_F32 : type_of(c->d_logits, s),
      .row_nll = at(c->row_nll, s),
      .row_prediction = at(c->row_prediction, s),
  };
  return check_ops(k, s)->cross_entropy(check_exec(k, s), &a);
}

/* plm_loss_sums seen as four 64-bit words, which is how it is laid over a tensor here. */
_Static_assert(sizeof(plm_loss_sums) == 32, "sums are four words");

typedef enum output_set { EVERYTHING, GRADIENT_IN_PLACE, LOSS_ONLY } output_set;

static loss_case open_case(check *k, const plm_dtype type[2], int64_t M, int64_t V, output_set outputs) {
  loss_case c = {.M = M, .V = V};
  c.logits = check_tensor(
      k, (tensor_spec){.name = "logits", .role = INPUT, .type = type[0], .rows = M, .width = V, .scale = 3});
  c.targets = check_tensor(k, (tensor_spec){.name = "targets", .role = INPUT, .type = PLM_I32, .rows = 1, .width = M});
  for (int64_t m = 0; m < M; m++) tensor_set(c.targets, 0, m, (double)check_below(k, V));
  c.sums = check_tensor(k, (tensor_spec){.name = "sums", .role = SCRATCH, .type = PLM_I64, .rows = 1, .width = 4});
  for (int i = 0; i < 4; i++) tensor_set(c.sums, 0, i, i == 0 ? 0 : 100 * i);
  if (outputs != LOSS_ONLY)
    c.d_logits = check_tensor(k, (tensor_spec){
                                     .name = "d_logits",
                                     .role = OUTPUT,
                                     .type = type[1],
                                     .rows = M,
                                     .width = V,
                                     .magnitude = 0.5,
                                     .alias = outputs == GRADIENT_IN_PLACE ? c.logits : NULL,
                                 });
  if (outputs == EVERYTHING) {
    c.row_nll = check_tensor(k, (tensor_spec){
                                    .name = "row_nll",
                                    .role = OUTPUT,
                                    .type = PLM_F32,
                                    .fixed = true,
                                    .rows = 1,
                                    .width = M,
                                    .magnitude = 1,
                                });
    c.row_prediction = check_tensor(
        k, (tensor_spec){.name = "row_prediction", .role = OUTPUT, .type = PLM_I32, .rows = 1, .width = M});
  }
  check_describe(k, "%s, gradient %s M=%lld V=%lld%s", plm_dtype_name(type[0]),
                 c.d_logits == NULL ? "none" : plm_dtype_name(type[1]), (long long)M, (long long)V,
                 outputs == GRADIENT_IN_PLACE ? " in place" : "");
  return c;
}

/* The tested sums against the truth's: the counts exactly, each added to what was there. */
static void compare_sums(check *k, const loss_case *c, double tolerance) {
  plm_loss_sums got, want;
  memcpy(&got, tensor_result_row(c->sums, 0), sizeof got);
  memcpy(&want, at(c->sums, TRUTH), sizeof want);
  if (got.count != want.count || got.correct != want.correct || got.nonfinite != want.nonfinite)
    check_fail(k, "counts %lld correct %lld nonfinite %lld, not %lld, %lld, %lld", (long long)got.count,
               (long long)got.correct, (long long)got.nonfinite, (long long)want.count, (long long)want.correct,
               (long long)want.nonfinite);
  if (!(fabs(got.nll - want.nll) <= tolerance * (1 + fabs(want.nll))))
    check_fail(k, "nll sum is %.10g, not %.10g", got.nll, want.nll);
}

static void shapes(check *k, int variant) {
  const plm_dtype *type = PICK(variant, types);
  output_set outputs = (output_set)pick(&variant, 3);
  int64_t V = PICK(variant, widths), M = PICK(variant, heights);
  if (!check_has_type(k, type[0]) || (outputs == GRADIENT_IN_PLACE && type[0] != type[1])) return;
  loss_case c = open_case(k, type, M, V, outputs);
  check_call(k, call_loss, &c);
  if (!check_is_bench(k)) compare_sums(k, &c, type[0] == PLM_F64 ? 1e-13 : 2e-6);
}

/* Sums are added to: what stood there before counts too. */
static void sums_accumulate(check *k, int variant) {
  const plm_dtype *type = PICK(variant, types);
  if (!check_has_type(k, type[0])) return;
  loss_case c = open_case(k, type, 21, 33, EVERYTHING);
  check_call(k, call_loss, &c);
  plm_loss_sums got;
  memcpy(&got, tensor_result_row(c.sums, 0), sizeof got);
  if (got.count != 100 + 21 || got.nonfinite != 300 || got.correct < 200 || got.correct > 221)
    check_fail(k, "sums were not added to");
}

/* Logits of +-1e4 and ties between the largest. */
static void huge_and_tied(check *k, int variant) {
  const plm_dtype *type = PICK(variant, types);
  bool tied = pick(&variant, 2) == 1;
  int64_t V = PICK(variant, widths);
  if (!check_has_type(k, type[0])) return;
  loss_case c = open_case(k, type, 33, V, EVERYTHING);
  for (int64_t m = 0; m < c.M; m++)
    for (int64_t v = 0; v < V; v++)
      tensor_set(c.logits, m, v, tied ? (double)check_below(k, 3) : 1e4 * (double)(check_below(k, 3) - 1) + (double)v);
  check_call(k, call_loss, &c);
  compare_sums(k, &c, 2e-6);
}

/* Rows whose loss is NaN or infinite are counted, and do not spoil the sum. Targets are never such a row's largest
 * logit. */
static void nonfinite_rows_are_counted(check *k, int variant) {
  const plm_dtype *type = PICK(variant, types);
  if (!check_has_type(k, type[0])) return;
  loss_case c = open_case(k, type, 9, 33, LOSS_ONLY);
  static const double bad[] = {NAN, INFINITY, -INFINITY};
  int64_t expected = 0;
  for (int i = 0; i < 3; i++) {
    int64_t row = 2 + 3 * i;
    tensor_set(c.targets, 0, row, 20);
    tensor_set(c.logits, row, 20, bad[i] == -INFINITY ? bad[i] : -50); /* -infinity at the target: an infinite loss */
    if (bad[i] != -INFINITY) tensor_set(c.logits, row, 7, bad[i]);
    expected++;
  }
  tensor_set(c.targets, 0, 0, 3);
  tensor_set(c.logits, 0, 4, -INFINITY); /* elsewhere it is a probability of 0 */
  check_call(k, call_loss, &c);
  compare_sums(k, &c, 2e-6);
  plm_loss_sums got;
  memcpy(&got, tensor_result_row(c.sums, 0), sizeof got);
  if (got.nonfinite != 300 + expected || !isfinite(got.nll))
    check_fail(k, "nonfinite is %lld, nll %g", (long long)got.nonfinite, got.nll);
}

static void rows_are_independent(check *k, int variant) {
  const plm_dtype *type = PICK(variant, types);
  int64_t V = PICK(variant, widths);
  if (!check_has_type(k, type[0])) return;
  loss_case all = open_case(k, type, 19, V, EVERYTHING), part = open_case(k, type, 1, V, EVERYTHING);
  check_call_tested(k, call_loss, &all);
  tensor_keep(all.row_nll);
  tensor_copy_row(part.logits, 0, all.logits, 18);
  tensor_set(part.targets, 0, 0, tensor_input(all.targets, 0, 18));
  check_call_tested(k, call_loss, &part);
  double alone = tensor_result(part.row_nll, 0, 0), among = tensor_result(all.row_nll, 0, 18);
  if (memcmp(&alone, &among, sizeof alone) != 0) check_fail(k, "a row's loss has other bits among other rows");
}

enum { GM = 4, GV = 5 };

typedef struct gradient_case {
  check *k;
  double logits[GM * GV];
  int32_t targets[GM];
} gradient_case;

static double gradient_loss(void *context) {
  gradient_case *g = context;
  plm_loss_sums sums = {0};
  plm_cross_entropy_args a = {
      .M = GM,
      .V = GV,
      .logits = g->logits,
      .dtype = PLM_F64,
      .targets = g->targets,
      .sums = &sums,
  };
  return check_ops(g->k, TRUTH)->cross_entropy(check_exec(g->k, TRUTH), &a) == PLM_OK ? sums.nll : NAN;
}

static void gradient(check *k, int variant) {
  (void)variant;
  if (!check_is_reference(k)) return;
  gradient_case g = {.k = k, .targets = {0, 4, 2, 2}};
  double d_logits[GM * GV];
  for (int i = 0; i < GM * GV; i++) g.logits[i] = check_normal(k);
  plm_cross_entropy_args a = {
      .M = GM,
      .V = GV,
      .logits = g.logits,
      .dtype = PLM_F64,
      .targets = g.targets,
      .d_logits = d_logits,
      .d_dtype = PLM_F64,
  };
  if (check_ops(k, TRUTH)->cross_entropy(check_exec(k, TRUTH), &a) != PLM_OK)
    check_fail(k, "cross_entropy: %s", plm_error_message());
  check_gradient(k, "d_logits", g.logits, d_logits, GM * GV, gradient_loss, &g);
}

static void bench(check *k, int variant) {
  loss_case c = open_case(k, types[pick(&variant, 2)], 4096, 33, EVERYTHING);
  check_call(k, call_loss, &c);
}

static const check_family families[] = {
    CASES("cross_entropy", "shapes", shapes, COUNT(types) * 3 * COUNT(widths) * COUNT(heights)),
    CASES("cross_entropy", "sums accumulate", sums_accumulate, COUNT(types)),
    CASES("cross_entropy", "huge and tied", huge_and_tied, COUNT(types) * 2 * COUNT(widths)),
    CASES("cross_entropy", "nonfinite rows are counted", nonfinite_rows_are_counted, COUNT(types)),
    CASES("cross_entropy", "rows are independent", rows_are_independent, COUNT(types) * COUNT(widths)),
    CASES("cross_entropy", "gradient", gradient, 1),
    BENCH("cross_entropy", bench, 2),
};
const check_group loss_group = {"loss", families, COUNT(families)};
