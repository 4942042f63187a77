/* The training workshop's data, where they lie beside the source tree: both formats, and the counts that are known of
 * them.
 *
 * They are not part of the repository: without them this test is skipped (77).
 */
#include "support/unit.h"

#include <stdio.h>
#include <unistd.h>

#include "data/dataset.h"
#include "support/scratch.h"
#include "support/sequences.h"

#define DATA PLM_SOURCE_DIR "/../shared/data/"

static plm_dataset *open_at(const char *path) {
  plm_dataset *dataset = NULL;
  plm_dataset_options options = options_for(&path);
  assert_ok(plm_dataset_open(&options, &dataset));
  return dataset;
}

static void counts_are_as_known(void **state) {
  (void)state;
  plm_dataset *dataset = open_at(DATA "train.fasta");
  const plm_dataset_info *info = plm_dataset_get_info(dataset);
  int64_t lower = 0;
  for (int c = 'a'; c <= 'z'; c++) lower += info->histogram[c];
  assert_int_equal(info->count, 6180);
  assert_int_equal(info->notes.kinds[PLM_NOTE_STOPS].count, 3524);
  assert_int_equal(info->histogram['*'], 0);
  assert_int_equal(info->residues + info->notes.kinds[PLM_NOTE_STOPS].count, 1495864);
  assert_int_equal(info->longest, 4234);
  assert_int_equal(lower, 25507);
  plm_dataset_close(dataset);
  dataset = open_at(DATA "val.fasta");
  assert_int_equal(plm_dataset_count(dataset), 123);
  plm_dataset_close(dataset);
}

/* The workshop's converter removes every '*'. Here all of them end a sequence, so the residues are
 * the same either way. */
static void fasta_and_hdf5_have_the_same_content(void **state) {
  (void)state;
  const char *pairs[][2] = {{DATA "train.fasta", DATA "train.h5"}, {DATA "val.fasta", DATA "val.h5"}};
  for (size_t i = 0; i < 2 && PLM_HAVE_HDF5; i++) {
    plm_dataset *fasta = open_at(pairs[i][0]), *hdf5 = open_at(pairs[i][1]);
    assert_string_equal(plm_dataset_get_info(fasta)->content_hash, plm_dataset_get_info(hdf5)->content_hash);
    plm_dataset_close(fasta);
    plm_dataset_close(hdf5);
  }
}

static void no_evaluation_sequence_stands_in_training(void **state) {
  (void)state;
  int64_t shared;
  plm_view train, eval;
  plm_dataset *train_set = open_at(DATA "train.fasta"), *eval_set = open_at(DATA "val.fasta");
  plm_view_all(train_set, &train);
  plm_view_all(eval_set, &eval);
  assert_ok(plm_dataset_count_shared(&train, &eval, &shared));
  assert_int_equal(shared, 0);
  plm_dataset_close(train_set);
  plm_dataset_close(eval_set);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(counts_are_as_known),
      cmocka_unit_test(fasta_and_hdf5_have_the_same_content),
      cmocka_unit_test(no_evaluation_sequence_stands_in_training),
  };
  if (access(DATA "train.fasta", R_OK) != 0) {
    printf("skipped: no %strain.fasta\n", DATA);
    return 77;
  }
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
