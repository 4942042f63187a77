/* Sequences and their ids are found in HDF5 files under the names that people give them, or the answer lists what is
 * there. */
#include "support/unit.h"

#include <stdio.h>

#include "base/alloc.h"
#include "data/dataset.h"
#include "support/hdf5_files.h"
#include "support/scratch.h"
#include "support/sequences.h"

#if PLM_HAVE_HDF5

static const char *const proteins[] = {"MKTAY", "MEHQLL", "MKV"};
static const char *const accessions[] = {"P1", "P2", "P3"};

static plm_status open_selected(const char *name, const char *dataset, const char *ids, plm_dataset **ret_dataset) {
  const char *path = scratch_path(name);
  plm_dataset_options options = options_for(&path);
  options.hdf5_dataset = dataset;
  options.hdf5_ids = ids;
  return plm_dataset_open(&options, ret_dataset);
}

/* Names and residues of all sequences, as "P1=MKTAY P2=MEHQLL". */
static const char *all_of(const plm_dataset *dataset) {
  static char text[512];
  size_t length = 0;
  text[0] = '\0';
  for (int64_t i = 0; i < plm_dataset_count(dataset); i++) {
    char name[64];
    int64_t residues;
    const char *letters = plm_dataset_residues(dataset, i, &residues);
    plm_dataset_name(dataset, i, name, sizeof name);
    length += (size_t)snprintf(text + length, sizeof text - length, "%s%s=%.*s", i > 0 ? " " : "", name, (int)residues,
                               letters);
  }
  return text;
}

static void assert_holds(const char *name, const char *dataset_name, const char *ids, const char *expected) {
  plm_dataset *dataset = NULL;
  assert_ok(open_selected(name, dataset_name, ids, &dataset));
  assert_string_equal(all_of(dataset), expected);
  plm_dataset_close(dataset);
}

static void assert_refused(const char *name, const char *dataset_name, const char *ids, const char *words) {
  plm_dataset *dataset = NULL;
  assert_fails(open_selected(name, dataset_name, ids, &dataset), PLM_E_INPUT, words);
  assert_null(dataset);
}

static void ids_beside_the_sequences_are_their_names(void **state) {
  (void)state;
  static const struct {
    const char *ids, *expected;
  } cases[] = {
      {"ids", "P1=MKTAY P2=MEHQLL P3=MKV"},         {"Accession", "P1=MKTAY P2=MEHQLL P3=MKV"},
      {"uniprot_ids", "P1=MKTAY P2=MEHQLL P3=MKV"}, {"_index", "P1=MKTAY P2=MEHQLL P3=MKV"},
      {"organism", "0=MKTAY 1=MEHQLL 2=MKV"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char name[32];
    snprintf(name, sizeof name, "ids-%zu.h5", i);
    const hid_t file = hdf5_create(name);
    hdf5_put_strings(file, "sequences", 3, proteins);
    hdf5_put_strings(file, cases[i].ids, 3, accessions);
    assert_true(H5Fclose(file) >= 0);
    assert_holds(name, NULL, NULL, cases[i].expected);
  }
}

static void the_first_ids_that_fit_are_taken(void **state) {
  (void)state;
  const int64_t numbers[] = {7, -8, 9};
  const char *const headers[] = {">sp|P1|A_X first", "  P2\033[31m second", ""};
  hid_t file = hdf5_create("several.h5");
  hdf5_put_strings(file, "sequences", 3, proteins);
  hdf5_put_strings(file, "ids", 2, accessions);
  hdf5_put_numbers(file, "id", 3, H5T_NATIVE_INT64, numbers);
  hdf5_put_strings(file, "headers", 3, headers);
  assert_true(H5Fclose(file) >= 0);
  assert_holds("several.h5", NULL, NULL, "7=MKTAY -8=MEHQLL 9=MKV");
  assert_holds("several.h5", "", "", "7=MKTAY -8=MEHQLL 9=MKV");
  assert_holds("several.h5", NULL, "headers", "sp|P1|A_X=MKTAY P2=MEHQLL 2=MKV");
  assert_refused("several.h5", NULL, "ids", "'ids' (strings, [2]) cannot be the ids of the 3 rows of 'sequences'");
  assert_refused("several.h5", NULL, "nope", "there is no 'nope' for the ids");
}

static int64_t count_unused(const char *name) {
  plm_dataset *dataset = NULL;
  assert_ok(open_selected(name, NULL, NULL, &dataset));
  const int64_t count = plm_dataset_get_info(dataset)->notes.kinds[PLM_NOTE_IDS_NOT_USED].count;
  plm_dataset_close(dataset);
  return count;
}

static void ids_that_fit_nothing_are_noted(void **state) {
  (void)state;
  const float scores[] = {1, 2, 3};
  hid_t file = hdf5_create("short.h5");
  hdf5_put_strings(file, "sequences", 3, proteins);
  hdf5_put_strings(file, "ids", 2, accessions);
  assert_true(H5Fclose(file) >= 0);
  file = hdf5_create("floats.h5");
  hdf5_put_strings(file, "sequences", 3, proteins);
  hdf5_put_numbers(file, "names", 3, H5T_NATIVE_FLOAT, scores);
  assert_true(H5Fclose(file) >= 0);
  file = hdf5_create("none.h5");
  hdf5_put_strings(file, "sequences", 3, proteins);
  assert_true(H5Fclose(file) >= 0);
  assert_int_equal(count_unused("short.h5"), 1);
  assert_int_equal(count_unused("short.h5"), 1); /* from the packed form */
  assert_int_equal(count_unused("floats.h5"), 1);
  assert_int_equal(count_unused("none.h5"), 0);
}

static void a_dataset_is_named_by_its_path(void **state) {
  (void)state;
  const hid_t file = hdf5_create("groups.h5");
  hdf5_put_strings(file, "train/seqs", 3, proteins);
  hdf5_put_strings(file, "train/names", 3, accessions);
  hdf5_put_strings(file, "test/seqs", 2, proteins);
  assert_true(H5Fclose(file) >= 0);
  assert_holds("groups.h5", "train/seqs", NULL, "P1=MKTAY P2=MEHQLL P3=MKV");
  assert_holds("groups.h5", "/train/seqs", "/train/names", "P1=MKTAY P2=MEHQLL P3=MKV");
  assert_holds("groups.h5", "test/seqs", NULL, "0=MKTAY 1=MEHQLL");
  assert_refused("groups.h5", NULL, NULL, "\n  test/seqs: strings, [2]\n  train/names: strings, [3]");
  assert_refused("groups.h5", "train", NULL, "'train' in the HDF5 file is a group, not a dataset");
  assert_refused("groups.h5", "valid/seqs", NULL, "has no 'valid/seqs'");
}

static void what_is_there_is_listed_and_the_likely_one_is_the_line_to_type(void **state) {
  (void)state;
  hid_t file = hdf5_create("seqs.h5");
  hdf5_put_strings(file, "seqs", 3, proteins);
  hdf5_put_strings(file, "uniprot_ids", 3, accessions);
  hdf5_put_strings(file, "organism", 3, accessions);
  assert_true(H5Fclose(file) >= 0);
  assert_refused("seqs.h5", NULL, NULL,
                 "\n  organism: strings, [3]\n  seqs: strings, [3]\n  uniprot_ids: strings, [3]");
  assert_non_null(strstr(plm_error_hint(), "--hdf5-dataset seqs"));
  file = hdf5_create("odd.h5");
  hdf5_put_strings(file, "my chains", 3, proteins);
  assert_true(H5Fclose(file) >= 0);
  assert_refused("odd.h5", NULL, NULL, "--hdf5-dataset 'my chains'");
  file = hdf5_create("many.h5");
  for (int i = 0; i < 23; i++) {
    char name[16];
    snprintf(name, sizeof name, "d%02d", i);
    hdf5_put_numbers(file, name, 1, H5T_NATIVE_INT, &i);
  }
  assert_true(H5Fclose(file) >= 0);
  assert_refused("many.h5", NULL, NULL, "\n  d09: int32 numbers, [1]\n  and 13 more");
  assert_true(H5Fclose(hdf5_create("nothing.h5")) >= 0);
  assert_refused("nothing.h5", NULL, NULL, "it is empty");
}

static void a_dataset_for_each_protein_is_read_in_the_order_of_names(void **state) {
  (void)state;
  hid_t file = hdf5_create("each.h5");
  hdf5_put_scalar(file, "Q9", "MKTAY");
  hdf5_put_fixed(file, "A1", 1, 8, "MEHQLL\0");
  hdf5_put_fixed(file, "P3", 3, 1, "MKV");
  assert_true(H5Fclose(file) >= 0);
  assert_holds("each.h5", NULL, NULL, "A1=MEHQLL P3=MKV Q9=MKTAY");
  assert_holds("each.h5", "/", NULL, "A1=MEHQLL P3=MKV Q9=MKTAY");
  file = hdf5_create("below.h5");
  hdf5_put_scalar(file, "chains/Q9", "MKTAY");
  hdf5_put_scalar(file, "chains/A1", "M1K");
  assert_true(H5Fclose(file) >= 0);
  assert_refused("below.h5", NULL, NULL, "\n  chains: a group of strings, one for each of 2 datasets");
  assert_refused("below.h5", "chains", NULL, "below.h5: dataset 'A1': '1' is not");
}

static void numbers_for_each_protein_are_embeddings(void **state) {
  (void)state;
  const float values[4] = {0};
  const hid_t file = hdf5_create("embeddings.h5");
  hdf5_put_numbers(file, "P1", 4, H5T_NATIVE_FLOAT, values);
  hdf5_put_numbers(file, "P2", 4, H5T_NATIVE_FLOAT, values);
  assert_true(H5Fclose(file) >= 0);
  assert_refused("embeddings.h5", NULL, NULL, "holds embeddings (a dataset for each protein: float32 numbers, [4])");
}

static void what_is_no_sequence_among_sequences_is_named(void **state) {
  (void)state;
  const hid_t file = hdf5_create("mixed.h5");
  for (int i = 0; i < 20; i++) {
    char name[16];
    snprintf(name, sizeof name, "P%02d", i);
    hdf5_put_scalar(file, name, "MKV");
  }
  hdf5_put_strings(file, "others", 3, proteins);
  assert_true(H5Fclose(file) >= 0);
  assert_refused("mixed.h5", NULL, NULL, "'others' in '/' is no sequence like the datasets beside it (strings, [3])");
}

static void a_field_of_a_table_is_read(void **state) {
  (void)state;
  const struct row {
    char id[4], sequence[8];
    int length;
  } rows[2] = {{"P1", "MKTAY", 5}, {"P2", "MKV", 3}};
  const hid_t id = hdf5_fixed_type(4), sequence = hdf5_fixed_type(8);
  const hid_t type = H5Tcreate(H5T_COMPOUND, sizeof *rows), other = H5Tcreate(H5T_COMPOUND, sizeof *rows);
  H5Tinsert(type, "Accession", offsetof(struct row, id), id);
  H5Tinsert(type, "Sequence", offsetof(struct row, sequence), sequence);
  H5Tinsert(type, "length", offsetof(struct row, length), H5T_NATIVE_INT);
  H5Tinsert(other, "a", offsetof(struct row, id), id);
  H5Tinsert(other, "b", offsetof(struct row, sequence), sequence);
  hid_t file = hdf5_create("table.h5");
  hdf5_put_numbers(file, "sequences", 2, type, rows);
  hdf5_put_numbers(file, "unclear", 2, other, rows);
  assert_true(H5Fclose(file) >= 0);
  H5Tclose(id);
  H5Tclose(sequence);
  H5Tclose(type);
  H5Tclose(other);
  assert_holds("table.h5", NULL, NULL, "P1=MKTAY P2=MKV");
  assert_refused("table.h5", "unclear", NULL, "is not a list of strings (a table (fields a, b), [2])");
}

static void a_column_and_a_row_are_lists(void **state) {
  (void)state;
  const hsize_t extents[2][2] = {{3, 1}, {1, 3}};
  for (int i = 0; i < 2; i++) {
    const hid_t file = hdf5_create("column.h5"), type = hdf5_fixed_type(4);
    const hid_t space = H5Screate_simple(2, extents[i], NULL);
    hdf5_put(file, "sequences", type, space, H5P_DEFAULT, "MKT\0MEH\0MK\0");
    H5Sclose(space);
    H5Tclose(type);
    assert_true(H5Fclose(file) >= 0);
    assert_holds("column.h5", NULL, NULL, "0=MKT 1=MEH 2=MK");
  }
}

static void a_link_that_leads_nowhere_is_not_damage(void **state) {
  (void)state;
  hid_t file = hdf5_create("soft.h5");
  hdf5_put_strings(file, "old", 3, proteins);
  assert_true(H5Lcreate_soft("/gone", file, "sequences", H5P_DEFAULT, H5P_DEFAULT) >= 0);
  assert_true(H5Lcreate_soft("/old", file, "again", H5P_DEFAULT, H5P_DEFAULT) >= 0);
  assert_true(H5Fclose(file) >= 0);
  assert_refused("soft.h5", NULL, NULL, "'sequences' in the HDF5 file is a link that leads nowhere");
  assert_holds("soft.h5", "again", NULL, "0=MKTAY 1=MEHQLL 2=MKV");
}

/* Where this process reads, read or refused. */
static void no_object_of_libhdf5_stays_open(void **state) {
  (void)state;
  static const char *const files[][3] = {
      {"ids.h5", NULL, NULL},        {"ids.h5", NULL, "nope"},        {"short_ids.h5", NULL, NULL},
      {"short_ids.h5", NULL, "ids"}, {"names.h5", NULL, NULL},        {"names.h5", "seqs", NULL},
      {"names.h5", "train", NULL},   {"each.h5", "proteins", NULL},   {"each.h5", NULL, NULL},
      {"table.h5", NULL, NULL},      {"embeddings.h5", NULL, NULL},   {"anndata.h5ad", NULL, NULL},
      {"links.h5", NULL, NULL},      {"links.h5", "elsewhere", NULL}, {"lzf.h5", NULL, NULL},
      {"newer.h5", NULL, NULL},      {"virtual.h5", NULL, NULL},      {"writing.h5", NULL, NULL},
      {"fixed.h5", NULL, NULL},      {"variable.h5", NULL, NULL},
  };
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char name[1024];
    const char *path = name;
    plm_dataset *dataset = NULL;
    snprintf(name, sizeof name, "%s/tests/fixtures/hdf5/%s", PLM_SOURCE_DIR, files[i][0]);
    plm_dataset_options options = options_for(&path);
    options.hdf5_reader = NULL;
    options.hdf5_dataset = files[i][1];
    options.hdf5_ids = files[i][2];
    const plm_status status = plm_dataset_open(&options, &dataset);
    if (status != PLM_OK && status != PLM_E_INPUT) fail_msg("%s: %s", name, plm_error_message());
    plm_dataset_close(dataset);
    const ssize_t open = H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL);
    if (open != 0) fail_msg("%s leaves %d open", name, (int)open);
  }
}

/* In this process, and sent by another. */
static void an_allocation_that_fails_leaves_nothing_behind(void **state) {
  (void)state;
  const hid_t file = hdf5_create("memory.h5");
  hdf5_put_strings(file, "sequences", 3, proteins);
  hdf5_put_strings(file, "ids", 3, accessions);
  assert_true(H5Fclose(file) >= 0);
  const char *path = scratch_path("memory.h5");
  plm_dataset_options options = options_for(&path);
  options.cache_directory = scratch_path("memory-cache");
  for (int process = 0; process < 2; process++) {
    if (process == 0) options.hdf5_reader = NULL;
    if (process == 1) options.hdf5_reader = PLM_BINARY_DIR "/protlm";
    plm_status status = PLM_E_RESOURCE;
    int64_t n = 0;
    while (status != PLM_OK && n < 500) {
      plm_dataset *dataset = NULL;
      const int64_t live = plm_alloc_live();
      options.policy.invalid = (plm_invalid)(process % 2); /* another packed form */
      plm_alloc_fail_at(++n);
      status = plm_dataset_open(&options, &dataset);
      plm_alloc_fail_at(0);
      if (status != PLM_OK) assert_int_equal(status, PLM_E_RESOURCE);
      if (status == PLM_OK) plm_dataset_close(dataset);
      assert_int_equal(plm_alloc_live(), live);
    }
    assert_in_range(n, 5, 499);
  }
}

#endif

int main(void) {
#if PLM_HAVE_HDF5
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ids_beside_the_sequences_are_their_names),
      cmocka_unit_test(the_first_ids_that_fit_are_taken),
      cmocka_unit_test(ids_that_fit_nothing_are_noted),
      cmocka_unit_test(a_dataset_is_named_by_its_path),
      cmocka_unit_test(what_is_there_is_listed_and_the_likely_one_is_the_line_to_type),
      cmocka_unit_test(a_dataset_for_each_protein_is_read_in_the_order_of_names),
      cmocka_unit_test(numbers_for_each_protein_are_embeddings),
      cmocka_unit_test(what_is_no_sequence_among_sequences_is_named),
      cmocka_unit_test(a_field_of_a_table_is_read),
      cmocka_unit_test(a_column_and_a_row_are_lists),
      cmocka_unit_test(a_link_that_leads_nowhere_is_not_damage),
      cmocka_unit_test(no_object_of_libhdf5_stays_open),
      cmocka_unit_test(an_allocation_that_fails_leaves_nothing_behind),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
#else
  return 77; /* nothing to be tested */
#endif
}
