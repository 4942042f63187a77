/* Whatever the alphabet and its special tokens: every window is framed as the model reads it, no residue is lost, and
 * masks belong to residues. */
#include "support/unit.h"

#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "data/loader.h"
#include "support/made_up_alphabet.h"
#include "support/scratch.h"
#include "support/sequences.h"
#include "train/evaluate.h"

static plm_packer_options options_of(const plm_alphabet *alphabet, int64_t max_length) {
  plm_packer_options options = {
      .alphabet = alphabet,
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

/* The made-up alphabet in each kind of frame: both special tokens, one, none; in every window or at true ends. */
enum { FRAMES = 8 };
static plm_alphabet framed(int kind) {
  plm_alphabet alphabet = *made_up_alphabet();
  if (kind & 1) alphabet.frame.opens = -1;
  if (kind & 2) alphabet.frame.closes = -1;
  alphabet.frame.every_window = (kind & 4) != 0;
  return alphabet;
}

/* ---- the alphabet ---- */

static void an_alphabet_can_be_added(void **state) {
  (void)state;
  const plm_alphabet *added = made_up_alphabet();
  assert_ptr_equal(plm_alphabet_find("esm2"), plm_alphabet_esm2());
  assert_ptr_equal(plm_alphabet_find("made-up"), added);
  assert_null(plm_alphabet_find("nobody's"));
  assert_int_equal(plm_alphabet_register(added), PLM_E_BUG); /* the name is taken */
  for (int32_t i = 0, rank = 0; i < added->size; i++) {
    bool standard = strchr("ACDEFGHIKLMNPQRSTVWY", added->tokens[i][0]) != NULL;
    assert_int_equal(plm_alphabet_rank(added, i), standard ? rank++ : -1);
  }
}

static void vocab_txt_is_read_by_the_texts_of_its_tokens(void **state) {
  (void)state;
  const plm_alphabet *const known[] = {plm_alphabet_esm2(), made_up_alphabet()};
  for (int k = 0; k < 2; k++) {
    char text[512] = "";
    plm_alphabet *read;
    for (int32_t i = 0; i < known[k]->size; i++) {
      strcat(text, known[k]->tokens[i]);
      strcat(text, k == 0 && i + 1 == known[k]->size ? "" : k == 0 ? "\n" : "\r\n");
    }
    assert_ok(plm_alphabet_read(text, &read));
    assert_int_equal(read->size, known[k]->size);
    for (int32_t i = 0; i < read->size; i++) assert_string_equal(read->tokens[i], known[k]->tokens[i]);
    assert_int_equal(read->pad, known[k]->pad);
    assert_int_equal(read->unk, known[k]->unk);
    assert_int_equal(read->mask, known[k]->mask);
    assert_int_equal(read->frame.opens, known[k]->frame.opens);
    assert_int_equal(read->frame.closes, known[k]->frame.closes);
    assert_int_equal(read->standard_count, 20);
    assert_memory_equal(read->standard, known[k]->standard, sizeof read->standard);
    plm_free(read);
  }
}

static void a_vocabulary_may_lack_anything(void **state) {
  (void)state;
  plm_alphabet *read;
  assert_ok(plm_alphabet_read("", &read));
  assert_int_equal(read->size, 0);
  plm_free(read);
  assert_ok(plm_alphabet_read("A\n\nC\n</s>\n", &read)); /* an empty line has a number, too */
  assert_int_equal(read->size, 4);
  assert_string_equal(read->tokens[1], "");
  assert_string_equal(read->tokens[2], "C");
  assert_int_equal(read->standard_count, 2);
  assert_int_equal(read->standard[1], 2);
  assert_int_equal(read->frame.opens, -1);
  assert_int_equal(read->frame.closes, 3);
  assert_int_equal(read->pad, -1);
  assert_int_equal(read->unk, -1);
  assert_int_equal(read->mask, -1);
  assert_int_equal(plm_alphabet_specials(read), 1);
  plm_free(read);
}

static void collect(void *user, char letter, const char *text) {
  (void)letter;
  strcat(user, text);
  strcat(user, "\n");
}

static void without_an_x_odd_letters_become_unknown(void **state) {
  (void)state;
  const plm_alphabet *a = made_up_alphabet();
  char text[2048] = "";
  int32_t map[256];
  plm_alphabet_map(a, &(plm_alphabet_policy){.lowercase = PLM_LOWERCASE_X}, map);
  assert_int_equal(map['A'], 25);
  assert_int_equal(map['Y'], 0);
  assert_int_equal(map['U'], 24);
  for (const char *c = "XBJ*.ay"; *c != '\0'; c++) assert_int_equal(map[(unsigned char)*c], a->unk);
  assert_int_equal(map['7'], -1);
  int64_t histogram[256] = {['A'] = 10, ['a'] = 1, ['*'] = 2, ['X'] = 3, ['.'] = 4, ['7'] = 5};
  plm_alphabet_report(a, &(plm_alphabet_policy){.lowercase = PLM_LOWERCASE_X}, histogram, collect, text);
  assert_string_equal(text,
                      "1 lower-case residue read as [UNK]\n"
                      "2 '*' inside sequences read as [UNK]\n"
                      "3 'X', which has no token, read as [UNK]\n"
                      "4 gaps ('-' or '.') kept as tokens; is this an alignment?\n"
                      "5 characters that are no letters read as [UNK]\n");
  plm_alphabet neither = *a;
  neither.unk = -1;
  plm_alphabet_map(&neither, &(plm_alphabet_policy){0}, map);
  assert_int_equal(map['X'], -1); /* so the packer names it */
  assert_int_equal(map['A'], 25);
}

/* ---- windows ---- */

/* What row i shows of a protein of `length` residues in a window at `offset` of n tokens: a special token's id, or -1
 * and its residue. Said another way than the packer does it. */
static int32_t expected_row(const plm_frame *frame, int64_t length, int64_t offset, int64_t n, int64_t i,
                            int64_t *ret_residue) {
  const int64_t opening = frame->opens >= 0, closing = frame->closes >= 0;
  if (frame->every_window) { /* opens, n - specials residues from `offset` on, closes */
    *ret_residue = offset + i - opening;
    return i < opening ? frame->opens : i >= n - closing ? frame->closes : -1;
  }
  *ret_residue = offset + i - opening; /* a piece of: opens, all residues, closes */
  return offset + i < opening ? frame->opens : offset + i >= opening + length ? frame->closes : -1;
}

static void check_window(const plm_alphabet *a, const plm_packed *packed, const char *residues, int64_t length,
                         int64_t max_length) {
  const plm_tokens *t = &packed->batch.encoder;
  const int64_t total = length + plm_alphabet_specials(a),
                n = max_length > 0 && max_length < total ? max_length : total, offset = t->crop_offset[0];
  int64_t shown = 0;
  int32_t map[256];
  plm_alphabet_map(a, &(plm_alphabet_policy){0}, map);
  assert_int_equal(t->N, n);
  assert_in_range(offset, 0, total - n);
  for (int64_t i = 0; i < n; i++) {
    int64_t residue;
    int32_t special = expected_row(&a->frame, length, offset, n, i, &residue);
    assert_int_equal(t->positions[i], i);
    if (special >= 0) {
      assert_int_equal(packed->original[i], special);
      assert_int_equal(packed->labels[i], -100);
      continue;
    }
    assert_in_range(residue, 0, length - 1);
    assert_int_equal(packed->original[i], map[(unsigned char)residues[residue]]);
    shown++;
  }
  assert_true(shown > 0);
  assert_int_equal(packed->residues, shown);
  if (a->frame.every_window) assert_int_equal(shown, n - plm_alphabet_specials(a));
}

static void every_window_of_every_length_is_framed(void **state) {
  (void)state;
  enum { LONGEST = 9, EPOCHS = 20 };
  char residues[LONGEST + 1], text[2 * LONGEST];
  plm_packed *packed = new_packed();
  for (int64_t length = 1; length <= LONGEST; length++) {
    made_up_protein(70, length, length, length, residues);
    snprintf(text, sizeof text, ">a\n%s\n", residues);
    plm_dataset *dataset = open_text("framed.fasta", text);
    for (int kind = 0; kind < FRAMES; kind++) {
      const plm_alphabet a = framed(kind);
      const int64_t specials = plm_alphabet_specials(&a), id = 0;
      for (int64_t max_length = specials; max_length <= LONGEST + 3; max_length++) {
        plm_packer_options options = options_of(&a, max_length > specials ? max_length : 0);
        for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
          assert_ok(plm_pack(dataset, &options, epoch, &id, 1, packed));
          check_window(&a, packed, residues, length, options.max_length);
        }
      }
    }
    plm_dataset_close(dataset);
  }
  plm_packed_destroy(packed);
}

static void windows_too_small_for_a_residue_are_refused(void **state) {
  (void)state;
  plm_dataset *dataset = open_text("abc.fasta", ">a\nMKV\n");
  plm_packed *packed = new_packed();
  const int64_t id = 0;
  for (int kind = 0; kind < FRAMES; kind++) {
    const plm_alphabet a = framed(kind);
    plm_packer_options options = options_of(&a, plm_alphabet_specials(&a));
    if (options.max_length > 0) assert_int_equal(plm_pack(dataset, &options, 0, &id, 1, packed), PLM_E_BUG);
    options.max_length++;
    assert_ok(plm_pack(dataset, &options, 0, &id, 1, packed));
  }
  plm_packed_destroy(packed);
  plm_dataset_close(dataset);
}

/* Every residue is reached, at the ends about as often as their windows allow, whichever frame. */
static void no_residue_is_out_of_reach(void **state) {
  (void)state;
  enum { LENGTH = 30, WINDOW = 12, WINDOWS = LENGTH + 2 - WINDOW + 1 };
  char residues[LENGTH + 1], text[64];
  made_up_protein(71, 0, LENGTH, LENGTH, residues);
  snprintf(text, sizeof text, ">a\n%s\n", residues);
  plm_dataset *dataset = open_text("reach.fasta", text);
  plm_packed *packed = new_packed();
  plm_packer_options options = options_of(made_up_alphabet(), WINDOW);
  const int64_t id = 0;
  int windows[WINDOWS] = {0};
  for (uint32_t epoch = 0; epoch < 1000; epoch++) {
    assert_ok(plm_pack(dataset, &options, epoch, &id, 1, packed));
    windows[packed->batch.encoder.crop_offset[0]]++;
  }
  for (int w = 0; w < WINDOWS; w++) assert_in_range(windows[w], 20, 90);
  plm_packed_destroy(packed);
  plm_dataset_close(dataset);
}

/* Through windows at different places, and in either frame, a residue is masked alike. */
static void a_residue_is_masked_alike_in_every_window(void **state) {
  (void)state;
  enum { LENGTH = 400, WINDOW = 100 };
  char residues[LENGTH + 1], text[LENGTH + 8];
  made_up_protein(72, 0, LENGTH, LENGTH, residues);
  snprintf(text, sizeof text, ">a\n%s\n", residues);
  plm_dataset *dataset = open_text("alike.fasta", text);
  plm_packed *whole = new_packed(), *packed = new_packed();
  const int64_t id = 0;
  for (int kind = 0; kind < FRAMES; kind++) {
    const plm_alphabet a = framed(kind);
    plm_packer_options all = options_of(&a, 0), options = options_of(&a, WINDOW);
    for (uint32_t epoch = 0; epoch < 20; epoch++) {
      assert_ok(plm_pack(dataset, &all, epoch, &id, 1, whole));
      assert_ok(plm_pack(dataset, &options, epoch, &id, 1, packed));
      const plm_tokens *t = &packed->batch.encoder;
      for (int64_t i = 0; i < WINDOW; i++) {
        if (plm_alphabet_is_framing(&a, packed->original[i])) continue;
        assert_int_equal(packed->original[i], whole->original[t->crop_offset[0] + i]);
        assert_int_equal(packed->labels[i], whole->labels[t->crop_offset[0] + i]);
        assert_int_equal(t->tokens[i], whole->batch.encoder.tokens[t->crop_offset[0] + i]);
      }
    }
  }
  plm_packed_destroy(whole);
  plm_packed_destroy(packed);
  plm_dataset_close(dataset);
}

static void an_empty_batch_is_a_batch_in_every_frame(void **state) {
  (void)state;
  plm_dataset *dataset = open_text("abc.fasta", ">a\nMKV\n");
  plm_packed *packed = new_packed();
  for (int kind = 0; kind < FRAMES; kind++) {
    const plm_alphabet a = framed(kind);
    plm_packer_options options = options_of(&a, 0);
    assert_ok(plm_pack(dataset, &options, 0, NULL, 0, packed));
    assert_int_equal(packed->batch.encoder.N, 0);
    assert_int_equal(packed->residues, 0);
  }
  plm_packed_destroy(packed);
  plm_dataset_close(dataset);
}

/* ---- masks, counts and baselines without neighbours ---- */

static void replacements_are_amino_acids_and_no_others(void **state) {
  (void)state;
  enum { N = 40000 };
  static int32_t tokens[N], labels[N];
  const plm_alphabet *a = made_up_alphabet();
  static const plm_random_tokens kinds[] = {PLM_RANDOM_AA_OTHER, PLM_RANDOM_AA, PLM_RANDOM_VOCAB};
  for (size_t k = 0; k < 3; k++) {
    int64_t seen[32] = {0}, same = 0, selected;
    plm_mask_options options = {.probability = 0.5, .random_share = 1, .random = kinds[k]};
    for (int i = 0; i < N; i++) tokens[i] = a->standard[i * 7 % 20];
    selected = plm_mask_tokens(a, &options, &(plm_mask_key){.seed = 2}, 0, N, tokens, labels);
    for (int i = 0; i < N; i++) {
      if (labels[i] < 0) continue;
      seen[tokens[i]]++;
      same += tokens[i] == labels[i];
    }
    double choices = kinds[k] == PLM_RANDOM_VOCAB ? a->size : 20, mean = (double)selected / choices;
    for (int32_t id = 0; id < a->size; id++) {
      if (kinds[k] != PLM_RANDOM_VOCAB && plm_alphabet_rank(a, id) < 0)
        assert_int_equal(seen[id], 0);
      else
        assert_true(fabs((double)seen[id] - mean) < 5 * sqrt(mean));
    }
    assert_true(kinds[k] == PLM_RANDOM_AA_OTHER ? same == 0 : fabs((double)same - mean) < 5 * sqrt(mean));
  }
}

static void only_letters_are_ever_predicted(void **state) {
  (void)state;
  const plm_alphabet *a = made_up_alphabet();
  plm_mask_options options = {.probability = 0.15};
  for (int32_t id = 0; id < a->size; id++) {
    options.nonstandard = false;
    assert_int_equal(plm_mask_is_eligible(a, &options, id), plm_alphabet_rank(a, id) >= 0);
    options.nonstandard = true;
    assert_int_equal(plm_mask_is_eligible(a, &options, id), a->tokens[id][0] != '[');
  }
}

static void an_epoch_counts_the_frame_of_its_alphabet(void **state) {
  (void)state;
  plm_dataset *dataset = open_made_up(73, 100, 1, 60);
  plm_view view;
  plm_view_all(dataset, &view);
  for (int kind = 0; kind < FRAMES; kind++) {
    const plm_alphabet a = framed(kind);
    plm_loader_options options = {
        .sampler = {.seed = 3, .batch_tokens = 500, .max_length = 40, .alphabet = &a},
        .packer = options_of(&a, 40),
        .ranks = 1,
    };
    plm_loader *loader;
    const plm_step_batch *batch;
    int64_t tokens = 0;
    assert_ok(plm_loader_create(&view, &options, &loader));
    for (int64_t step = 0; step < plm_loader_steps_per_epoch(loader); step++) {
      assert_ok(plm_loader_get(loader, step, &batch, NULL));
      for (int64_t m = 0; m < batch->micro_count; m++) tokens += batch->micro[m]->batch.encoder.N;
    }
    assert_int_equal(tokens, plm_loader_tokens_per_epoch(loader));
    plm_loader_destroy(loader);
  }
  plm_dataset_close(dataset);
}

static void baselines_know_the_amino_acids(void **state) {
  (void)state;
  enum { V = 27 };
  const plm_alphabet *a = made_up_alphabet();
  plm_packer_options packer = options_of(a, 0);
  int64_t histogram[256] = {['A'] = 70, ['Y'] = 20, ['w'] = 10, ['X'] = 1000, ['U'] = 500};
  double f[V], nll[V * V], total = 0;
  assert_int_equal(a->size, V);
  assert_int_equal(plm_count_predictable(&packer, histogram), 100);
  plm_residue_frequencies(&packer, histogram, f);
  for (int32_t id = 0; id < V; id++) {
    total += f[id];
    if (plm_alphabet_rank(a, id) < 0) assert_true(f[id] == 0);
  }
  assert_true(fabs(total - 1) < 1e-12);
  assert_true(f[25] == 71.0 / 120 && f[0] == 21.0 / 120 && f[23] == 11.0 / 120 && f[1] == 1.0 / 120);
  plm_copy_baseline(&packer, f, nll);
  for (int32_t i = 0; i < 20; i++) {
    const int32_t seen = a->standard[i];
    double column = 0;
    for (int32_t t = 0; t < V; t++) column += exp(-nll[t * V + seen]);
    assert_true(fabs(column - 1) < 1e-9);
    assert_true(nll[seen * V + seen] < -log(f[seen])); /* seeing it makes it likelier */
  }
  for (int32_t i = 0; i < 20; i++) /* the mask shows nothing: frequencies */
    assert_true(fabs(nll[a->standard[i] * V + a->mask] + log(f[a->standard[i]])) < 1e-12);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_alphabet_can_be_added),
      cmocka_unit_test(vocab_txt_is_read_by_the_texts_of_its_tokens),
      cmocka_unit_test(a_vocabulary_may_lack_anything),
      cmocka_unit_test(without_an_x_odd_letters_become_unknown),
      cmocka_unit_test(every_window_of_every_length_is_framed),
      cmocka_unit_test(windows_too_small_for_a_residue_are_refused),
      cmocka_unit_test(no_residue_is_out_of_reach),
      cmocka_unit_test(a_residue_is_masked_alike_in_every_window),
      cmocka_unit_test(an_empty_batch_is_a_batch_in_every_frame),
      cmocka_unit_test(replacements_are_amino_acids_and_no_others),
      cmocka_unit_test(only_letters_are_ever_predicted),
      cmocka_unit_test(an_epoch_counts_the_frame_of_its_alphabet),
      cmocka_unit_test(baselines_know_the_amino_acids),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
