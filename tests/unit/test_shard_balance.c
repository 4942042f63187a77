/* How evenly a global batch of 8,192 tokens a rank is divided: at most 0.5 % between the costliest rank and the mean, and
 * 1 % in tokens, in every one of 200 batches, for lengths like Swiss-Prot's and those of the training workshop.
 */
#include "support/unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "data/packer.h"
#include "data/sampler.h"
#include "support/scratch.h"
#include "support/sequences.h"

enum { BATCHES = 200, TOKENS = 8192, LONGEST = 1024, MOST_RANKS = 64, MOST = 65536, MADE = 100000 };
#define WORKSHOP PLM_SOURCE_DIR "/../shared/data/train.fasta"

static int32_t rank_of[MOST], micro_of[MOST];
static int64_t batch[MOST];

typedef struct worst {
  double cost, tokens; /* of the costliest rank over the mean, less 1; over all batches */
} worst;

static void judge(int64_t count, int ranks, double quadratic_cost, worst *w) {
  double cost[MOST_RANKS] = {0}, tokens[MOST_RANKS] = {0}, all_cost = 0, all_tokens = 0;
  for (int64_t i = 0; i < count; i++) {
    const double n = (double)batch[i];
    cost[rank_of[i]] += n + quadratic_cost * n * n;
    tokens[rank_of[i]] += n;
    all_cost += n + quadratic_cost * n * n;
    all_tokens += n;
  }
  for (int r = 0; r < ranks; r++) {
    w->cost = fmax(w->cost, cost[r] * ranks / all_cost - 1);
    w->tokens = fmax(w->tokens, tokens[r] * ranks / all_tokens - 1);
  }
}

/* Batches one after the other through epochs in a shuffled order. */
static worst divide(const int64_t *lengths, int64_t n, int ranks, double quadratic_cost) {
  worst w = {0};
  uint64_t at = 0;
  for (int b = 0; b < BATCHES; b++) {
    int64_t count = 0, tokens = 0, micro_batches;
    while (tokens < (int64_t)TOKENS * ranks) {
      batch[count] = lengths[plm_permute(1, (uint32_t)(at / (uint64_t)n), (uint64_t)n, at % (uint64_t)n)];
      tokens += batch[count++];
      at++;
    }
    assert_ok(plm_shard(batch, count, ranks, 4096, quadratic_cost, rank_of, micro_of, &micro_batches));
    judge(count, ranks, quadratic_cost, &w);
  }
  return w;
}

/* Attention's share of the cost is that of the 8M and of the 150M model. */
static void expect_even(const char *what, const int64_t *lengths, int64_t n) {
  static const double widths[] = {320, 640};
  for (size_t i = 0; i < 2; i++)
    for (int ranks = 2; ranks <= MOST_RANKS; ranks *= 2) {
      const worst w = divide(lengths, n, ranks, 1 / (6 * widths[i]));
      print_message("%s, width %g, %d ranks: cost %.3f %%, tokens %.3f %%\n", what, widths[i], ranks, 100 * w.cost,
                    100 * w.tokens);
      assert_true(w.cost <= 0.005);
      assert_true(w.tokens <= 0.01);
    }
}

/* Swiss-Prot's lengths are about log-normal: median 295 residues, a mean of 360. */
static void lengths_like_swiss_prots_are_divided_evenly(void **state) {
  int64_t *lengths;
  (void)state;
  assert_ok(PLM_NEW(&lengths, MADE));
  for (uint64_t i = 0; i < MADE; i++) {
    double z[2];
    const plm_rng_block bits = plm_rng(4, PLM_RNG_INIT, i, 0, 0);
    plm_rng_normal(bits.word[0], bits.word[1], z);
    const int64_t tokens = 2 + (int64_t)(295 * exp(0.63 * z[0]));
    lengths[i] = tokens < 12 ? 12 : tokens < LONGEST ? tokens : LONGEST;
  }
  expect_even("made up", lengths, MADE);
  plm_free(lengths);
}

/* Not part of the repository: skipped without them. */
static void the_workshops_proteins_are_divided_evenly(void **state) {
  (void)state;
  if (access(WORKSHOP, R_OK) != 0) skip();
  const char *path = WORKSHOP;
  plm_dataset_options options = options_for(&path);
  plm_dataset *dataset = NULL;
  int64_t *lengths;
  assert_ok(plm_dataset_open(&options, &dataset));
  const int64_t n = plm_dataset_count(dataset);
  assert_ok(PLM_NEW(&lengths, n));
  for (int64_t i = 0; i < n; i++) lengths[i] = plm_token_length(dataset, plm_alphabet_esm2(), i, LONGEST);
  expect_even("workshop", lengths, n);
  plm_free(lengths);
  plm_dataset_close(dataset);
}

/* Nothing can be swapped where each rank has a sequence or none. */
static void few_sequences_stay_where_they_are(void **state) {
  static const int64_t lengths[] = {100, 900, 300};
  int64_t micro_batches;
  (void)state;
  assert_ok(plm_shard(lengths, 3, 4, 4096, 1e-3, rank_of, micro_of, &micro_batches));
  assert_true(rank_of[1] == 0 && rank_of[2] == 1 && rank_of[0] == 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lengths_like_swiss_prots_are_divided_evenly),
      cmocka_unit_test(the_workshops_proteins_are_divided_evenly),
      cmocka_unit_test(few_sequences_stay_where_they_are),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
