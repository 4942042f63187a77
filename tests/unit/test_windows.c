/* What an epoch shows of a set of sequences: counted from lengths, held against windows that the packer makes. */
#include "support/unit.h"

#include <math.h>
#include <stdio.h>

#include "data/packer.h"
#include "data/windows.h"
#include "support/made_up_alphabet.h"
#include "support/scratch.h"
#include "support/sequences.h"

static void nothing_is_cropped_that_fits(void **state) {
  plm_windows w;
  plm_view view;
  (void)state;
  plm_dataset *dataset = open_text("fits.fasta", ">a\nMKVL\n>b\nMK\n");
  plm_view_all(dataset, &view);
  plm_windows_count(&view, plm_alphabet_esm2(), 6, 0, &w);
  assert_int_equal(w.cropped, 0);
  assert_int_equal(w.sequences, 2);
  assert_int_equal(w.residues, 6);
  assert_true(w.shown == 6);
  plm_windows_count(&view, plm_alphabet_esm2(), 5, 0, &w);
  assert_int_equal(w.cropped, 1);
  assert_true(w.shown == 4 + 2); /* four residues behind <cls>, or before <eos> */
  plm_windows_count(&view, plm_alphabet_esm2(), 0, 0, &w);
  assert_int_equal(w.cropped, 0);
  plm_dataset_close(dataset);
}

/* The mean of what many epochs show is what was counted. */
static void check_mean(const plm_alphabet *alphabet) {
  enum { EPOCHS = 4000, MAX_LENGTH = 20 };
  const plm_packer_options packer = {.alphabet = alphabet, .seed = 5, .max_length = MAX_LENGTH};
  plm_dataset *dataset = open_made_up(61, 12, 1, 60);
  plm_packed *packed;
  plm_windows w;
  plm_view view;
  double shown = 0;
  int64_t ids[12], most = 0;
  for (int64_t i = 0; i < 12; i++) ids[i] = i;
  plm_view_all(dataset, &view);
  plm_windows_count(&view, alphabet, MAX_LENGTH, 0, &w);
  assert_ok(plm_packed_create(&packed));
  for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
    assert_ok(plm_pack(dataset, &packer, epoch, ids, 12, packed));
    shown += (double)packed->residues / EPOCHS;
    for (int64_t s = 0; s < 12; s++) {
      int64_t residues = 0;
      for (int32_t row = packed->batch.encoder.cu_seqlens[s]; row < packed->batch.encoder.cu_seqlens[s + 1]; row++)
        residues += !plm_alphabet_is_framing(alphabet, packed->original[row]);
      most = residues > most ? residues : most;
    }
  }
  assert_true(w.cropped > 3 && w.cropped < 12);
  assert_int_equal(w.longest_window, most);
  assert_true(shown < (double)w.residues);
  if (!(fabs(shown - w.shown) < 0.05)) fail_msg("%.3f residues counted, %.3f shown", w.shown, shown);
  plm_packed_destroy(packed);
  plm_dataset_close(dataset);
}

static void an_epoch_shows_what_is_counted(void **state) {
  (void)state;
  check_mean(plm_alphabet_esm2());
  check_mean(made_up_alphabet());
}

/* The subset's sequences alone are counted, under their own numbers. */
static void a_view_is_counted_by_its_sequences(void **state) {
  int64_t ids[] = {1, 2};
  plm_windows w;
  (void)state;
  plm_dataset *dataset = open_text("view.fasta", ">a\nMKVLAGIPDEMKVLAGIPDE\n>b\nMKVLAGIPDE\n>c\nMK\n");
  const plm_view view = {.dataset = dataset, .count = 2, .ids = ids};
  plm_windows_count(&view, plm_alphabet_esm2(), 8, 0, &w);
  assert_int_equal(w.sequences, 2);
  assert_int_equal(w.residues, 12);
  assert_int_equal(w.cropped, 1);
  assert_true(fabs(w.shown - (2 + 8 - 2.0 / 5)) < 1e-12); /* five windows, of which the first and the last hold 7 */
  plm_dataset_close(dataset);
}

static void less_than_one_residue_is_counted(void **state) {
  plm_windows w;
  plm_view view;
  (void)state;
  plm_dataset *dataset = open_text("few.fasta", ">a\nMKVLAG\n>b\nMKVLAGI\n>c\nM\n");
  plm_view_all(dataset, &view);
  plm_windows_count(&view, plm_alphabet_esm2(), 0, 0.15, &w);
  assert_int_equal(w.under_one, 2); /* 0.9 and 0.15 residues; 1.05 are enough */
  plm_windows_count(&view, plm_alphabet_esm2(), 0, 0.5, &w);
  assert_int_equal(w.under_one, 1);
  assert_true(fabs(w.selected - (7 + pow(0.5, 6) + pow(0.5, 7) + 0.5)) < 1e-12);
  plm_dataset_close(dataset);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_is_cropped_that_fits),
      cmocka_unit_test(an_epoch_shows_what_is_counted),
      cmocka_unit_test(a_view_is_counted_by_its_sequences),
      cmocka_unit_test(less_than_one_residue_is_counted),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
