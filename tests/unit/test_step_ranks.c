/* Steps by several ranks, as threads of this process: equal bits on all of them, the same loss on any number, --zero 1
 * without a bit of difference, and one end for all when one of them fails. */
#include "support/unit.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "support/rank_runs.h"
#include "support/scratch.h"
#include "support/sequences.h"
#include "train/shards.h"

static plm_dataset *dataset;
static plm_view view;

static int open_data(void **state) {
  if (scratch_setup(state) != 0) return -1;
  dataset = open_made_up(50, 60, 20, 120);
  plm_view_all(dataset, &view);
  return 0;
}

static int close_data(void **state) {
  plm_dataset_close(dataset);
  return scratch_teardown(state);
}

static rank_runs runs_of(int ranks, plm_dtype dtype, bool sharded) {
  return (rank_runs){.ranks = ranks, .steps = 6, .dtype = dtype, .wire = PLM_F32, .sharded = sharded, .view = &view};
}

/* ---- the same on all ranks, and on any number of them ---- */

static void losses_do_not_depend_on_the_number_of_ranks(void **state) {
  (void)state;
  rank_runs one = runs_of(1, PLM_F32, false);
  rank_runs_go(&one);
  for (int ranks = 2; ranks <= 4; ranks++) {
    rank_runs many = runs_of(ranks, PLM_F32, false);
    rank_runs_go(&many);
    for (int i = 0; i < one.steps; i++)
      if (!(fabs(many.losses[i] - one.losses[i]) <= 1e-5 * one.losses[i]))
        fail_msg("%d ranks, step %d: loss %.9g, alone %.9g", ranks, i + 1, many.losses[i], one.losses[i]);
    rank_runs_free(&many);
  }
  rank_runs_free(&one);
}

static void assert_same_end(const rank_runs *a, const rank_runs *b, const char *what) {
  assert_int_equal(a->weight_count, b->weight_count);
  assert_int_equal(a->state_count, b->state_count);
  if (memcmp(a->weights, b->weights, (size_t)a->weight_count * sizeof(float)) != 0) fail_msg("%s: other weights", what);
  if (memcmp(a->states, b->states, (size_t)a->state_count * sizeof(float)) != 0) fail_msg("%s: other states", what);
  if (memcmp(a->losses, b->losses, (size_t)a->steps * sizeof(double)) != 0) fail_msg("%s: other losses", what);
  /* in bf16 the hash covers masters, which are not all in one place */
  if (a->dtype == PLM_F32 && a->hashes[0] != b->hashes[0]) fail_msg("%s: other parameters are read", what);
}

static void compare_with_shards(rank_runs plain, const char *what) {
  rank_runs shards = plain;
  shards.sharded = true;
  rank_runs_go(&plain);
  rank_runs_go(&shards);
  assert_same_end(&plain, &shards, what);
  rank_runs_free(&shards);
  rank_runs_free(&plain);
}

static void sharded_states_change_no_bit(void **state) {
  (void)state;
  for (int ranks = 2; ranks <= 5; ranks++)
    for (int form = 0; form < 4; form++) {
      char what[64];
      rank_runs plain = runs_of(ranks, form % 2 == 1 ? PLM_BF16 : PLM_F32, false);
      plain.wire = form / 2 == 1 ? PLM_BF16 : PLM_F32;
      snprintf(what, sizeof what, "%d ranks, %s, gradients %s", ranks, form % 2 == 1 ? "bf16" : "fp32",
               form / 2 == 1 ? "bf16" : "fp32");
      compare_with_shards(plain, what);
    }
}

/* Whole layers, a part of one, all but the head, biases alone. */
static void what_is_frozen_stays_so_in_shards(void **state) {
  static const plm_train_pattern sets[][2] = {
      {{"esm.encoder.layer.0.*", false}, {"*.query.*", false}},
      {{"*", false}, {"lm_head.*", true}},
      {{"esm.embeddings.*", false}, {"*LayerNorm*", false}},
      {{"*", false}, {"*.bias", true}},
  };
  (void)state;
  for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
    char what[32];
    rank_runs plain = runs_of(3, i % 2 == 0 ? PLM_BF16 : PLM_F32, false);
    plain.patterns = sets[i];
    plain.pattern_count = 2;
    snprintf(what, sizeof what, "patterns %zu", i);
    compare_with_shards(plain, what);
  }
}

/* What a checkpoint keeps of pieces is whole, and any number of ranks cuts it into its own. */
static void what_is_kept_fits_any_number_of_ranks(void **state) {
  (void)state;
  for (int form = 0; form < 2; form++) {
    rank_runs first = runs_of(3, form == 1 ? PLM_BF16 : PLM_F32, true);
    rank_runs_go(&first);
    for (int ranks = 1; ranks <= 4; ranks++) {
      rank_runs next = runs_of(ranks, first.dtype, ranks % 2 == 0);
      next.steps = 0;
      next.from = &first;
      rank_runs_go(&next);
      assert_int_equal(next.weight_count, first.weight_count);
      assert_memory_equal(next.weights, first.weights, (size_t)first.weight_count * sizeof(float));
      assert_memory_equal(next.states, first.states, (size_t)first.state_count * sizeof(float));
      rank_runs_free(&next);
    }
    rank_runs_free(&first);
  }
}

static void shards_take_their_share_of_memory(void **state) {
  rank_runs plain = runs_of(4, PLM_F32, false), shards = runs_of(4, PLM_F32, true);
  const int64_t stage = PLM_SHARDS_STAGE * (int64_t)sizeof(float); /* rank 0's, whatever the model */
  (void)state;
  plain.steps = shards.steps = 1;
  rank_runs_go(&plain);
  rank_runs_go(&shards);
  assert_int_equal(shards.optimiser_bytes - stage, plain.optimiser_bytes / 4);
  rank_runs_free(&shards);
  rank_runs_free(&plain);
}

/* Five sequences a batch for eight ranks: some have a micro-batch without a token. */
static void ranks_without_a_sequence_take_part(void **state) {
  rank_runs one = runs_of(1, PLM_F32, false), many = runs_of(8, PLM_F32, true);
  (void)state;
  one.batch_tokens = many.batch_tokens = 150;
  rank_runs_go(&one);
  rank_runs_go(&many);
  for (int i = 0; i < one.steps; i++) assert_true(fabs(many.losses[i] - one.losses[i]) <= 1e-5 * one.losses[i]);
  rank_runs_free(&many);
  rank_runs_free(&one);
}

/* Other threads and other kernels add up in another order, on that rank alone: what all have is the owners'. */
static void unlike_ranks_keep_equal_parameters(void **state) {
  rank_runs runs = runs_of(4, PLM_F32, false);
  (void)state;
  runs.steps = 200;
  runs.check_replicas = 10;
  runs.threads[1] = runs.threads[3] = 2;
  runs.levels[2] = runs.levels[3] = "avx512";
  rank_runs_go(&runs);
  runs.sharded = true;
  rank_runs_free(&runs);
  rank_runs_go(&runs);
  rank_runs_free(&runs);
}

/* ---- failures ---- */

static plm_status lose_data(plm_run *run, int step) {
  return step == 2 && run->context.comm->rank == 1 ? plm_fail(PLM_E_INPUT, "the file was cut") : PLM_OK;
}

static void a_rank_without_its_batch_ends_all(void **state) {
  (void)state;
  for (int sharded = 0; sharded < 2; sharded++) {
    rank_runs runs = runs_of(3, PLM_F32, sharded == 1);
    runs.before = lose_data;
    rank_runs_try(&runs);
    for (int rank = 0; rank < 3; rank++) {
      assert_int_equal(runs.results[rank].code, PLM_E_INPUT);
      assert_non_null(strstr(runs.results[rank].message, "the file was cut"));
      assert_non_null(strstr(runs.results[rank].message, "rank 1 ("));
    }
    assert_true(isfinite(runs.losses[1]) && isnan(runs.losses[2]));
    rank_runs_free(&runs);
  }
}

static const plm_ops *good_ops;
static plm_ops bad_ops;
static int failing_rank;

static plm_status fail_backward(plm_exec *x, const plm_embed_backward_args *args) {
  (void)x;
  (void)args;
  return plm_fail(PLM_E_RESOURCE, "no room in backward");
}

/* The last operator of a backward pass: all buckets but the embedding's are under way by then. */
static plm_status break_backward(plm_run *run, int step) {
  if (step != 2 || run->context.comm->rank != failing_rank) return PLM_OK;
  good_ops = run->machine.exec->ops;
  bad_ops = *good_ops;
  bad_ops.embed_backward = fail_backward;
  run->machine.exec->ops = &bad_ops;
  return PLM_OK;
}

static void a_rank_that_fails_in_backward_ends_all(void **state) {
  (void)state;
  for (failing_rank = 0; failing_rank < 3; failing_rank++) {
    rank_runs runs = runs_of(3, PLM_F32, failing_rank == 1);
    runs.before = break_backward;
    runs.check_replicas = 1;
    rank_runs_try(&runs);
    for (int rank = 0; rank < 3; rank++) {
      assert_int_equal(runs.results[rank].code, PLM_E_RESOURCE);
      assert_non_null(strstr(runs.results[rank].message, "no room in backward"));
    }
    rank_runs_free(&runs);
  }
}

static plm_status fail_update(plm_exec *x, const plm_adamw_args *args) {
  (void)x;
  (void)args;
  return plm_fail(PLM_E_RESOURCE, "no room in the update");
}

static plm_status break_update(plm_run *run, int step) {
  if (step != 2 || run->context.comm->rank != 1) return PLM_OK;
  bad_ops = *run->machine.exec->ops;
  bad_ops.adamw = fail_update;
  run->machine.exec->ops = &bad_ops;
  return PLM_OK;
}

/* All have agreed on the step by then: whatever the others come to next is where they learn of it. */
static void a_rank_that_fails_in_its_update_ends_all(void **state) {
  (void)state;
  for (int form = 0; form < 4; form++) {
    rank_runs runs = runs_of(3, PLM_F32, form % 2 == 1);
    runs.before = break_update;
    runs.logs = form / 2 == 1;
    rank_runs_try(&runs);
    for (int rank = 0; rank < 3; rank++) {
      assert_int_equal(runs.results[rank].code, PLM_E_RESOURCE);
      assert_non_null(strstr(runs.results[rank].message, "rank 1 ("));
      assert_non_null(strstr(runs.results[rank].message, "no room in the update"));
    }
    assert_true(isfinite(runs.losses[2]) && isnan(runs.losses[3]));
    rank_runs_free(&runs);
  }
}

/* One bit of one weight, on one rank. */
static plm_status flip_a_bit(plm_run *run, int step) {
  if (step != 3 || run->context.comm->rank != 2) return PLM_OK;
  uint32_t bits;
  float *weight =
      plm_model_full(run->model) + plm_params_find(plm_model_get_params(run->model), "lm_head.bias")->offset;
  memcpy(&bits, weight, sizeof bits);
  bits ^= 1;
  memcpy(weight, &bits, sizeof bits);
  return PLM_OK;
}

static void a_flipped_bit_is_found_and_its_rank_named(void **state) {
  (void)state;
  rank_runs runs = runs_of(4, PLM_F32, false);
  runs.check_replicas = 4;
  runs.before = flip_a_bit;
  rank_runs_try(&runs);
  for (int rank = 0; rank < 4; rank++) {
    assert_int_equal(runs.results[rank].code, PLM_E_BUG);
    assert_non_null(strstr(runs.results[rank].message, "the parameters of rank 2 ("));
  }
  assert_true(isfinite(runs.losses[3]) && isnan(runs.losses[4]));
  rank_runs_free(&runs);
}

/* ---- the layout ---- */

static void buckets_end_in_zeros_for_their_ranks(void **state) {
  const plm_model_config config = {
      .family = &plm_family_esm2,
      .alphabet = plm_alphabet_esm2(),
      .vocab_size = 33,
      .hidden_size = 40,
      .num_hidden_layers = 2,
      .num_attention_heads = 2,
      .head_width = 20,
      .intermediate_size = 72,
      .layer_norm_eps = 1e-5,
  };
  plm_params *one, *many;
  (void)state;
  assert_ok(plm_params_create(&config, &(plm_params_options){.dtype = PLM_BF16, .training = true}, &one));
  for (int ranks = 2; ranks <= 7; ranks++) {
    int64_t end = 0;
    const plm_params_options options = {.dtype = PLM_BF16, .training = true, .ranks = ranks};
    assert_ok(plm_params_create(&config, &options, &many));
    for (int b = 0; b < many->bucket_count; b++) {
      assert_int_equal(many->buckets[b].first, end);
      assert_int_equal(many->buckets[b].count % (64 * ranks), 0);
      assert_in_range(many->buckets[b].count - one->buckets[b].count, 0, 64 * ranks - 1);
      end += many->buckets[b].count;
    }
    assert_int_equal(end, many->train_size);
    assert_int_equal(many->full_size, one->full_size);
    assert_int_equal(many->trainable, one->trainable);
    plm_params_destroy(many);
  }
  plm_params_destroy(one);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(buckets_end_in_zeros_for_their_ranks),
      cmocka_unit_test(losses_do_not_depend_on_the_number_of_ranks),
      cmocka_unit_test(sharded_states_change_no_bit),
      cmocka_unit_test(what_is_frozen_stays_so_in_shards),
      cmocka_unit_test(what_is_kept_fits_any_number_of_ranks),
      cmocka_unit_test(shards_take_their_share_of_memory),
      cmocka_unit_test(ranks_without_a_sequence_take_part),
      cmocka_unit_test(unlike_ranks_keep_equal_parameters),
      cmocka_unit_test(a_rank_without_its_batch_ends_all),
      cmocka_unit_test(a_rank_that_fails_in_backward_ends_all),
      cmocka_unit_test(a_rank_that_fails_in_its_update_ends_all),
      cmocka_unit_test(a_flipped_bit_is_found_and_its_rank_named),
  };
  return cmocka_run_group_tests(tests, open_data, close_data);
}
