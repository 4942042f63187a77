/* A packed batch holds exactly the tokens meant, and a global batch is divided fully, evenly and within its limits. */
#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "data/packer.h"
#include "support/scratch.h"
#include "support/sequences.h"

static plm_packer_options options_of(int64_t max_length) {
  plm_packer_options options = {
      .alphabet = plm_alphabet_esm2(),
      .masked = true,
      .seed = 3,
      .max_length = max_length,
      .micro_batch_tokens = 1000,
  };
  plm_mask_options_defaults(&options.mask);
  return options;
}

static plm_packed *new_packed(void) {
  plm_packed *packed = NULL;
  assert_ok(plm_packed_create(&packed));
  return packed;
}

/* ---- packing ---- */

static void tokens_stand_one_after_the_other_without_padding(void **state) {
  (void)state;
  plm_dataset *dataset = open_text("abc.fasta", ">a\nMKv\n>b\nJ*XA\n>c\nC\n");
  plm_packed *packed = new_packed();
  plm_packer_options options = options_of(0);
  options.masked = false;
  const int64_t ids[] = {2, 0, 1};
  assert_ok(plm_pack(dataset, &options, 0, ids, 3, packed));
  const plm_tokens *t = &packed->batch.encoder;
  const int32_t tokens[] = {0, 23, 2, 0, 20, 15, 7, 2, 0, 24, 24, 24, 5, 2},
                positions[] = {0, 1, 2, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5};
  const int32_t cu_seqlens[] = {0, 3, 8, 14};
  assert_int_equal(t->N, 14);
  assert_int_equal(t->S, 3);
  assert_int_equal(t->max_length, 6);
  assert_memory_equal(t->tokens, tokens, sizeof tokens);
  assert_memory_equal(packed->original, tokens, sizeof tokens);
  assert_memory_equal(t->positions, positions, sizeof positions);
  assert_memory_equal(t->cu_seqlens, cu_seqlens, sizeof cu_seqlens);
  assert_memory_equal(t->sequence_id, ids, sizeof ids);
  assert_int_equal(packed->residues, 8);
  assert_int_equal(packed->batch.objective_count, 0);
  for (int i = 0; i < 14; i++) assert_int_equal(packed->labels[i], -100);
  plm_packed_destroy(packed);
  plm_dataset_close(dataset);
}

static void crops_have_cls_and_eos_only_at_true_ends(void **state) {
  (void)state;
  enum { LENGTH = 30, WINDOW = 12, WINDOWS = LENGTH + 2 - WINDOW + 1 };
  char residues[LENGTH + 1], text[64];
  made_up_protein(40, 0, LENGTH, LENGTH, residues);
  snprintf(text, sizeof text, ">a\n%s\n", residues);
  plm_dataset *dataset = open_text("crop.fasta", text);
  plm_packed *packed = new_packed();
  plm_packer_options options = options_of(WINDOW);
  const int64_t id = 0;
  int seen[WINDOWS] = {0};
  int32_t map[256];
  plm_alphabet_map(options.alphabet, &options.policy, map);
  for (uint32_t epoch = 0; epoch < 1000; epoch++) {
    assert_ok(plm_pack(dataset, &options, epoch, &id, 1, packed));
    int32_t offset = packed->batch.encoder.crop_offset[0];
    assert_int_equal(packed->batch.encoder.N, WINDOW);
    assert_in_range(offset, 0, WINDOWS - 1);
    seen[offset]++;
    for (int i = 0; i < WINDOW; i++) {
      int at = offset + i;
      assert_int_equal(packed->original[i], at == 0 ? 0 : at == LENGTH + 1 ? 2 : map[(unsigned char)residues[at - 1]]);
      assert_int_equal(packed->batch.encoder.positions[i], i);
    }
    assert_int_equal(packed->residues, WINDOW - (offset == 0) - (offset == WINDOWS - 1));
  }
  for (int w = 0; w < WINDOWS; w++) assert_in_range(seen[w], 20, 90);
  plm_packed_destroy(packed);
  plm_dataset_close(dataset);
}

static void the_objective_lists_the_masked_rows(void **state) {
  (void)state;
  plm_dataset *dataset = open_made_up(41, 50, 1, 100);
  plm_packed *packed = new_packed();
  plm_packer_options options = options_of(64);
  int64_t ids[50];
  for (int64_t i = 0; i < 50; i++) ids[i] = i;
  assert_ok(plm_pack(dataset, &options, 0, ids, 50, packed));
  const plm_objective *o = &packed->batch.objectives[0];
  const plm_tokens *t = &packed->batch.encoder;
  assert_int_equal(packed->batch.objective_count, 1);
  assert_true(o->weight == 1);
  int64_t m = 0;
  for (int64_t s = 0; s < t->S; s++) {
    int64_t before = m;
    for (int32_t i = t->cu_seqlens[s]; i < t->cu_seqlens[s + 1]; i++) {
      if (packed->labels[i] < 0) continue;
      assert_int_equal(o->rows[m], i);
      assert_int_equal(o->targets[m], packed->original[i]);
      m++;
    }
    assert_true(m > before); /* every sequence has work */
  }
  assert_int_equal(o->M, m);
  plm_packed_destroy(packed);
  plm_dataset_close(dataset);
}

/* Tokens and labels of a sequence in a batch. */
static void assert_same_sequence(const plm_packed *a, int64_t sa, const plm_packed *b, int64_t sb) {
  const plm_tokens *x = &a->batch.encoder, *y = &b->batch.encoder;
  int64_t n = x->cu_seqlens[sa + 1] - x->cu_seqlens[sa];
  assert_int_equal(n, y->cu_seqlens[sb + 1] - y->cu_seqlens[sb]);
  assert_memory_equal(x->tokens + x->cu_seqlens[sa], y->tokens + y->cu_seqlens[sb], (size_t)n * sizeof *x->tokens);
  assert_memory_equal(a->labels + x->cu_seqlens[sa], b->labels + y->cu_seqlens[sb], (size_t)n * sizeof *a->labels);
  assert_int_equal(x->crop_offset[sa], y->crop_offset[sb]);
}

static void a_sequence_is_the_same_whatever_its_batch_mates(void **state) {
  (void)state;
  plm_dataset *dataset = open_made_up(41, 50, 1, 100);
  plm_packed *all = new_packed(), *one = new_packed();
  plm_packer_options options = options_of(64);
  int64_t ids[50];
  for (int64_t i = 0; i < 50; i++) ids[i] = 49 - i;
  assert_ok(plm_pack(dataset, &options, 2, ids, 50, all));
  for (int64_t s = 0; s < 50; s++) {
    assert_ok(plm_pack(dataset, &options, 2, &ids[s], 1, one));
    assert_same_sequence(all, s, one, 0);
  }
  plm_packed_destroy(all);
  plm_packed_destroy(one);
  plm_dataset_close(dataset);
}

static void evaluation_masks_follow_the_residues_not_the_place(void **state) {
  (void)state;
  enum { COUNT = 40 };
  static char text[COUNT * 120], residues[128];
  plm_packed *a = new_packed(), *b = new_packed();
  plm_packer_options options = options_of(64);
  options.evaluation = true;
  char *at = text;
  for (int i = COUNT - 1; i >= 0; i--) { /* the other way round, with one that is dropped */
    made_up_protein(41, i, 1, 100, residues);
    at += sprintf(at, ">q%d\n%s\n>empty\n", i, residues);
  }
  plm_dataset *forward = open_made_up(41, COUNT, 1, 100), *backward = open_text("backward.fasta", text);
  assert_int_equal(plm_dataset_count(backward), COUNT);
  for (int64_t i = 0; i < COUNT; i++) {
    const int64_t other = COUNT - 1 - i;
    assert_ok(plm_pack(forward, &options, 0, &i, 1, a));
    assert_ok(plm_pack(backward, &options, 0, &other, 1, b));
    assert_same_sequence(a, 0, b, 0);
  }
  plm_packed_destroy(a);
  plm_packed_destroy(b);
  plm_dataset_close(forward);
  plm_dataset_close(backward);
}

static void characters_that_the_policy_refuses_are_named(void **state) {
  (void)state;
  plm_dataset *dataset = NULL;
  scratch_write_text("digit.fasta", ">good\nMKV\n>bad\nMK7V\n");
  const char *path = scratch_path("digit.fasta");
  plm_dataset_options open_options = options_for(&path);
  open_options.policy.invalid = PLM_INVALID_X;
  assert_ok(plm_dataset_open(&open_options, &dataset));
  plm_packed *packed = new_packed();
  plm_packer_options options = options_of(0);
  const int64_t ids[] = {0, 1};
  assert_ok(plm_pack(dataset, &options, 0, ids, 1, packed));
  assert_fails(plm_pack(dataset, &options, 0, ids, 2, packed), PLM_E_INPUT, "sequence bad: the character '7'");
  assert_fails(plm_packer_check(dataset, &options), PLM_E_INPUT, "the character '7'");
  options.policy.invalid = PLM_INVALID_X;
  assert_ok(plm_packer_check(dataset, &options));
  assert_ok(plm_pack(dataset, &options, 0, ids, 2, packed));
  assert_int_equal(packed->original[8], 24);
  plm_packed_destroy(packed);
  plm_dataset_close(dataset);
}

static void an_empty_batch_is_a_batch(void **state) {
  (void)state;
  plm_dataset *dataset = open_text("abc.fasta", ">a\nMKv\n");
  plm_packed *packed = new_packed();
  plm_packer_options options = options_of(0);
  assert_ok(plm_pack(dataset, &options, 0, NULL, 0, packed));
  assert_int_equal(packed->batch.encoder.N, 0);
  assert_int_equal(packed->batch.encoder.S, 0);
  assert_int_equal(packed->batch.encoder.cu_seqlens[0], 0);
  assert_int_equal(packed->batch.objectives[0].M, 0);
  plm_packed_destroy(packed);
  plm_dataset_close(dataset);
}

static void every_failed_allocation_is_survived(void **state) {
  (void)state;
  plm_dataset *dataset = open_made_up(41, 50, 1, 100);
  int64_t live = plm_alloc_live(), ids[50];
  plm_status status = PLM_E_RESOURCE;
  plm_packer_options options = options_of(0);
  for (int64_t i = 0; i < 50; i++) ids[i] = i;
  for (int n = 1; status != PLM_OK; n++) {
    plm_packed *packed = NULL;
    plm_alloc_fail_at(n);
    status = plm_packed_create(&packed);
    if (status == PLM_OK) status = plm_pack(dataset, &options, 0, ids, 50, packed);
    plm_alloc_fail_at(0);
    if (status != PLM_OK && packed != NULL)
      assert_ok(plm_pack(dataset, &options, 0, ids, 50, packed)); /* usable again */
    plm_packed_destroy(packed);
    assert_int_equal(plm_alloc_live(), live);
    assert_true(status == PLM_OK || status == PLM_E_RESOURCE);
  }
  plm_dataset_close(dataset);
}

/* ---- sharding ---- */

enum { MOST = 2000, MOST_BINS = 4096 };
static int64_t lengths[MOST];
static int32_t rank_of[MOST], micro_of[MOST];

static void draw_lengths(uint64_t seed, int64_t count, uint32_t shortest, uint32_t longest) {
  for (int64_t i = 0; i < count; i++)
    lengths[i] =
        shortest + plm_rng_below(plm_rng(seed, PLM_RNG_INIT, (uint64_t)i, 9, 0).word[0], longest - shortest + 1);
}

static void a_global_batch_is_divided_fully_and_within_the_limit(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 200; seed++) {
    int64_t count = (int64_t)(seed * 37 % 400), limit = 200 + (int64_t)(seed * 71 % 2000), micro_batches;
    int ranks = 1 + (int)(seed % 9);
    draw_lengths(seed, count, 3, 1024);
    assert_ok(plm_shard(lengths, count, ranks, limit, 1e-4, rank_of, micro_of, &micro_batches));
    static int64_t tokens[MOST_BINS], sequences[MOST_BINS];
    assert_true(micro_batches >= 1 && ranks * micro_batches <= MOST_BINS);
    memset(tokens, 0, sizeof tokens);
    memset(sequences, 0, sizeof sequences);
    for (int64_t i = 0; i < count; i++) {
      assert_in_range(rank_of[i], 0, ranks - 1);
      assert_in_range(micro_of[i], 0, micro_batches - 1);
      tokens[rank_of[i] * micro_batches + micro_of[i]] += lengths[i];
      sequences[rank_of[i] * micro_batches + micro_of[i]]++;
    }
    for (int64_t b = 0; b < ranks * micro_batches; b++)
      if (tokens[b] > limit && sequences[b] != 1)
        fail_msg("seed %d: %d tokens in %d sequences", (int)seed, (int)tokens[b], (int)sequences[b]);
  }
}

static void ranks_get_about_equal_work(void **state) {
  (void)state;
  int64_t micro_batches;
  double cost[8] = {0}, most = 0, least = 1e30;
  draw_lengths(1, MOST, 30, 1024);
  assert_ok(plm_shard(lengths, MOST, 8, 16384, 1e-3, rank_of, micro_of, &micro_batches));
  for (int64_t i = 0; i < MOST; i++)
    cost[rank_of[i]] += (double)lengths[i] + 1e-3 * (double)lengths[i] * (double)lengths[i];
  for (int r = 0; r < 8; r++) {
    most = cost[r] > most ? cost[r] : most;
    least = cost[r] < least ? cost[r] : least;
  }
  assert_true(most / least < 1.001);
}

static void micro_batches_are_few(void **state) {
  (void)state;
  int64_t micro_batches, total = 0;
  draw_lengths(2, MOST, 30, 500);
  for (int64_t i = 0; i < MOST; i++) total += lengths[i];
  assert_ok(plm_shard(lengths, MOST, 1, 8192, 1e-4, rank_of, micro_of, &micro_batches));
  assert_in_range(micro_batches, total / 8192, total / 8192 + 4);
  draw_lengths(3, MOST, 600, 700); /* no two fit together */
  assert_ok(plm_shard(lengths, MOST, 1, 1024, 1e-4, rank_of, micro_of, &micro_batches));
  assert_int_equal(micro_batches, MOST);
}

static void ranks_without_a_sequence_have_empty_micro_batches(void **state) {
  (void)state;
  int64_t micro_batches;
  draw_lengths(4, 3, 30, 40);
  assert_ok(plm_shard(lengths, 3, 8, 1000, 0, rank_of, micro_of, &micro_batches));
  assert_int_equal(micro_batches, 1);
  assert_ok(plm_shard(lengths, 0, 8, 1000, 0, rank_of, micro_of, &micro_batches));
  assert_int_equal(micro_batches, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tokens_stand_one_after_the_other_without_padding),
      cmocka_unit_test(crops_have_cls_and_eos_only_at_true_ends),
      cmocka_unit_test(the_objective_lists_the_masked_rows),
      cmocka_unit_test(a_sequence_is_the_same_whatever_its_batch_mates),
      cmocka_unit_test(evaluation_masks_follow_the_residues_not_the_place),
      cmocka_unit_test(characters_that_the_policy_refuses_are_named),
      cmocka_unit_test(an_empty_batch_is_a_batch),
      cmocka_unit_test(every_failed_allocation_is_survived),
      cmocka_unit_test(a_global_batch_is_divided_fully_and_within_the_limit),
      cmocka_unit_test(ranks_get_about_equal_work),
      cmocka_unit_test(micro_batches_are_few),
      cmocka_unit_test(ranks_without_a_sequence_have_empty_micro_batches),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
