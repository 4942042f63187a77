/* Scores and baselines against sums taken by hand, and a score that does not depend on batches. */
#include "support/unit.h"

#include <math.h>
#include <stdio.h>

#include "support/evaluation.h"
#include "support/scratch.h"

enum { PROTEINS = BENCH_PROTEINS, V = BENCH_VOCABULARY };

static plm_record evaluate(bench *b, plm_sequence_score_fn *each, void *user) {
  plm_record record;
  assert_ok(plm_evaluate(&b->view, b->model, b->x, &b->options, each, user, &record));
  return record;
}
#define VALUE(record, name) plm_record_number(&(record), PLM_MEASURE_##name)

typedef struct scores {
  plm_sequence_score items[PROTEINS];
  int count;
} scores;

static plm_status keep(void *user, const plm_sequence_score *score) {
  scores *s = user;
  assert_true(s->count < PROTEINS);
  s->items[s->count++] = *score;
  return PLM_OK;
}

static void near(double a, double b) {
  if (!(fabs(a - b) <= 1e-9 * (1 + fabs(b)))) fail_msg("%.17g is not %.17g", a, b);
}

static void totals_are_the_sums_over_sequences(void **state) {
  (void)state;
  bench b;
  scores s = {.count = 0};
  open_bench(&b, PLM_RANDOM_AA_OTHER);
  plm_record m = evaluate(&b, keep, &s);
  double nll = 0, n = 0, correct = 0, masked_nll = 0, masked = 0, gain = 0, frequency = 0;
  assert_int_equal(s.count, PROTEINS);
  for (int i = 0; i < PROTEINS; i++) {
    const plm_sequence_score *one = &s.items[i];
    const double *sum = one->sum;
    assert_int_equal(one->id, i);
    assert_true(sum[PLM_SUM_COUNT] >= 1 && sum[PLM_SUM_COUNT_MASKED] <= sum[PLM_SUM_COUNT] &&
                one->residues <= plm_dataset_length(b.dataset, i));
    nll += sum[PLM_SUM_NLL];
    n += sum[PLM_SUM_COUNT];
    correct += sum[PLM_SUM_CORRECT];
    masked_nll += sum[PLM_SUM_NLL_MASKED];
    masked += sum[PLM_SUM_COUNT_MASKED];
    frequency += sum[PLM_SUM_FREQUENCY_MASKED];
    gain += sum[PLM_SUM_FREQUENCY_MASKED] - sum[PLM_SUM_NLL_MASKED];
  }
  near(VALUE(m, EVAL_LOSS), nll / n);
  near(VALUE(m, EVAL_PERPLEXITY), exp(nll / n));
  near(VALUE(m, EVAL_ACCURACY), correct / n);
  near(VALUE(m, EVAL_LOSS_MASKED), masked_nll / masked);
  near(VALUE(m, GAIN_MASKED), gain / masked);
  near(VALUE(m, BASELINE_FREQUENCY_MASKED), exp(frequency / masked));
  near(VALUE(m, BASELINE_COPY_MASKED), VALUE(m, BASELINE_FREQUENCY_MASKED));
  /* the error of a mean with sequences as clusters, from its definition */
  double square = 0, clusters = 0;
  for (int i = 0; i < PROTEINS; i++) {
    const double *sum = s.items[i].sum;
    if (sum[PLM_SUM_COUNT_MASKED] == 0) continue;
    double residual =
        sum[PLM_SUM_FREQUENCY_MASKED] - sum[PLM_SUM_NLL_MASKED] - gain / masked * sum[PLM_SUM_COUNT_MASKED];
    square += residual * residual;
    clusters++;
  }
  near(VALUE(m, GAIN_MASKED_SE), sqrt(square * clusters / (clusters - 1)) / masked);
  close_bench(&b);
}

static void a_score_does_not_depend_on_batch_mates(void **state) {
  (void)state;
  bench b;
  scores together = {.count = 0}, alone = {.count = 0};
  open_bench(&b, PLM_RANDOM_AA_OTHER);
  b.options.draws = 3;
  b.options.packer.micro_batch_tokens = 1900;
  evaluate(&b, keep, &together);
  b.options.packer.micro_batch_tokens = 1;
  evaluate(&b, keep, &alone);
  assert_memory_equal(&together, &alone, sizeof alone);
  close_bench(&b);
}

static void more_draws_ask_more(void **state) {
  (void)state;
  bench b;
  open_bench(&b, PLM_RANDOM_AA_OTHER);
  plm_record once = evaluate(&b, NULL, NULL), again = evaluate(&b, NULL, NULL);
  assert_memory_equal(&once, &again, sizeof once);
  b.options.draws = 4;
  plm_record four = evaluate(&b, NULL, NULL);
  const double count = VALUE(once, EVAL_COUNT);
  assert_true(VALUE(four, EVAL_COUNT) > 3 * count && VALUE(four, EVAL_COUNT) < 5 * count);
  b.options.draws = 1;
  b.options.packer.seed = 8;
  const plm_record other = evaluate(&b, NULL, NULL);
  assert_true(VALUE(other, EVAL_LOSS) != VALUE(once, EVAL_LOSS));
  close_bench(&b);
}

/* Frequencies of UniProt's amino acids (%), by one-letter code. */
static const struct {
  char letter;
  int64_t count;
} uniprot[] = {{'A', 825}, {'R', 553}, {'N', 406}, {'D', 546}, {'C', 138}, {'Q', 393}, {'E', 672},
               {'G', 707}, {'H', 227}, {'I', 591}, {'L', 965}, {'K', 580}, {'M', 241}, {'F', 386},
               {'P', 474}, {'S', 665}, {'T', 536}, {'W', 110}, {'Y', 292}, {'V', 686}};

/* Expected loss of the copy baseline over all selected rows, by drawing every case with its probability. */
static double expected_copy_loss(const plm_packer_options *packer, const double *f, const double *nll) {
  double mask_loss = 0, kept = 0, random = 0;
  for (int t = 4; t <= 23; t++) {
    mask_loss += f[t] * nll[t * V + 32];
    kept += f[t] * nll[t * V + t];
    for (int v = 0; v < V; v++) {
      double q = packer->mask.random == PLM_RANDOM_VOCAB ? 1.0 / V
                 : v < 4 || v > 23                       ? 0
                 : packer->mask.random == PLM_RANDOM_AA  ? 0.05
                 : v == t                                ? 0
                                                         : 1.0 / 19;
      if (q > 0) random += f[t] * q * nll[t * V + v];
    }
  }
  return 0.8 * mask_loss + 0.1 * kept + 0.1 * random;
}

static void the_baselines_of_uniprot_are_18_and_15(void **state) {
  (void)state;
  bench b;
  int64_t histogram[256] = {0};
  double f[V], nll[V * V], entropy = 0;
  open_bench(&b, PLM_RANDOM_AA_OTHER);
  plm_packer_options packer = b.options.packer;
  packer.mask.random = PLM_RANDOM_AA_OTHER;
  for (size_t i = 0; i < sizeof uniprot / sizeof *uniprot; i++)
    histogram[(unsigned char)uniprot[i].letter] = 100000 * uniprot[i].count;
  plm_residue_frequencies(&packer, histogram, f);
  for (int t = 0; t < V; t++) entropy -= f[t] > 0 ? f[t] * log(f[t]) : 0;
  assert_true(fabs(exp(entropy) - 18.2) < 0.3);
  plm_copy_baseline(&packer, f, nll);
  double other = exp(expected_copy_loss(&packer, f, nll));
  assert_true(fabs(other - 15.3) < 0.4);
  packer.mask.random = PLM_RANDOM_VOCAB;
  plm_copy_baseline(&packer, f, nll);
  assert_true(exp(expected_copy_loss(&packer, f, nll)) < other); /* a token of no amino acid betrays itself */
  close_bench(&b);
}

static void every_column_of_the_copy_baseline_is_a_distribution(void **state) {
  (void)state;
  static const plm_random_tokens kinds[] = {PLM_RANDOM_AA_OTHER, PLM_RANDOM_AA, PLM_RANDOM_VOCAB};
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
    bench b;
    int64_t histogram[256];
    double f[V], nll[V * V];
    open_bench(&b, kinds[k]);
    plm_view_histogram(&b.view, histogram);
    plm_residue_frequencies(&b.options.packer, histogram, f);
    plm_copy_baseline(&b.options.packer, f, nll);
    for (int v = 4; v <= 23; v++) {
      double total = 0;
      for (int t = 0; t < V; t++) total += exp(-nll[t * V + v]);
      near(total, 1);
      assert_true(nll[v * V + v] < -log(f[v])); /* seeing it makes it likelier */
    }
    close_bench(&b);
  }
}

static void part_of_a_file_is_counted_as_such(void **state) {
  (void)state;
  bench b;
  plm_view train, aside;
  int64_t whole[256], left[256], right[256];
  open_bench(&b, PLM_RANDOM_AA);
  assert_ok(plm_dataset_split(b.dataset, 0.3, 1, &train, &aside));
  plm_view_histogram(&b.view, whole);
  plm_view_histogram(&train, left);
  plm_view_histogram(&aside, right);
  for (int i = 0; i < 256; i++) assert_int_equal(left[i] + right[i], whole[i]);
  plm_view_free(&train);
  plm_view_free(&aside);
  close_bench(&b);
}

static bool at_once(void *user) {
  (void)user;
  return true;
}

static void an_evaluation_can_be_stopped(void **state) {
  (void)state;
  bench b;
  plm_record record;
  open_bench(&b, PLM_RANDOM_AA);
  b.options.cancelled = at_once;
  assert_int_equal(plm_evaluate(&b.view, b.model, b.x, &b.options, NULL, NULL, &record), PLM_STOPPED);
  close_bench(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(totals_are_the_sums_over_sequences),
      cmocka_unit_test(a_score_does_not_depend_on_batch_mates),
      cmocka_unit_test(more_draws_ask_more),
      cmocka_unit_test(the_baselines_of_uniprot_are_18_and_15),
      cmocka_unit_test(every_column_of_the_copy_baseline_is_a_distribution),
      cmocka_unit_test(part_of_a_file_is_counted_as_such),
      cmocka_unit_test(an_evaluation_can_be_stopped),
  };
  return cmocka_run_group_tests_name("evaluate", tests, scratch_setup, scratch_teardown);
}
