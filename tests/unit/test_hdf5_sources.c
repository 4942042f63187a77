/* Where sequences lie in other files than the one that is named, those are looked at whenever it is opened: one that
 * changed is read again, one that is missing or too short is refused, where libhdf5 would make empty rows of it. */
#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/dataset.h"
#include "support/hdf5_files.h"
#include "support/scratch.h"
#include "support/sequences.h"

#if PLM_HAVE_HDF5

static plm_status open_name(const char *name, plm_dataset **ret_dataset) {
  const char *path = scratch_path(name);
  plm_dataset_options options = options_for(&path);
  return plm_dataset_open(&options, ret_dataset);
}

/* All residues, one after the other. */
static void assert_residues(const char *name, const char *expected) {
  plm_dataset *dataset = NULL;
  int64_t length;
  assert_ok(open_name(name, &dataset));
  assert_int_equal(plm_dataset_get_info(dataset)->residues, (int64_t)strlen(expected));
  assert_memory_equal(plm_dataset_residues(dataset, 0, &length), expected, strlen(expected));
  plm_dataset_close(dataset);
}

static void assert_refused(const char *name, const char *words) {
  plm_dataset *dataset = NULL;
  assert_fails(open_name(name, &dataset), PLM_E_INPUT, words);
  assert_null(dataset);
}

/* One file with rows of 8 bytes. */
static void put_source(const char *name, int rows, const char *text) {
  const hid_t file = hdf5_create(name);
  hdf5_put_fixed(file, "sequences", rows, 8, text);
  assert_true(H5Fclose(file) >= 0);
}

static void a_virtual_dataset_is_asked_for_its_sources_at_every_start(void **state) {
  (void)state;
  const char *const sources[] = {"a.h5", "b.h5"};
  put_source("a.h5", 2, "MKTAY\0\0\0MKV\0\0\0\0\0");
  put_source("b.h5", 2, "MCC\0\0\0\0\0WWW\0\0\0\0\0");
  hdf5_make_virtual("both.h5", 4, 2, 2, sources);
  assert_residues("both.h5", "MKTAYMKVMCCWWW");
  assert_residues("both.h5", "MKTAYMKVMCCWWW");
  put_source("b.h5", 2, "MCC\0\0\0\0\0YYY\0\0\0\0\0");
  assert_residues("both.h5", "MKTAYMKVMCCYYY");
  put_source("b.h5", 1, "MCC\0\0\0\0\0");
  assert_refused("both.h5", "b.h5, holds fewer rows in 'sequences' than are taken from it");
  const hid_t file = hdf5_create("b.h5");
  hdf5_put_fixed(file, "others", 2, 8, "MCC\0\0\0\0\0WWW\0\0\0\0\0");
  assert_true(H5Fclose(file) >= 0);
  assert_refused("both.h5", "b.h5, has no dataset 'sequences'");
  assert_int_equal(unlink(scratch_path("b.h5")), 0);
  assert_refused("both.h5", "a source of the virtual dataset 'sequences', b.h5, is missing");
  put_source("b.h5", 2, "MCC\0\0\0\0\0WWW\0\0\0\0\0");
  assert_residues("both.h5", "MKTAYMKVMCCWWW");
}

static void sources_of_sources_are_asked_too(void **state) {
  (void)state;
  const char *const inner[] = {"deep.h5"}, *const outer[] = {"inner.h5"};
  put_source("deep.h5", 2, "MKTAY\0\0\0MKV\0\0\0\0\0");
  hdf5_make_virtual("inner.h5", 2, 2, 1, inner);
  hdf5_make_virtual("outer.h5", 2, 2, 1, outer);
  assert_residues("outer.h5", "MKTAYMKV");
  put_source("deep.h5", 2, "MKTAY\0\0\0MKL\0\0\0\0\0");
  assert_residues("outer.h5", "MKTAYMKL");
  assert_int_equal(unlink(scratch_path("deep.h5")), 0);
  assert_refused("outer.h5", "deep.h5, is missing");
}

/* virtual -> link -> file */
static void a_link_in_a_source_is_watched(void **state) {
  (void)state;
  const char *const sources[] = {"linking.h5"};
  put_source("end.h5", 1, "MKTAY\0\0\0");
  const hid_t file = hdf5_create("linking.h5");
  assert_true(H5Lcreate_external("end.h5", "/sequences", file, "sequences", H5P_DEFAULT, H5P_DEFAULT) >= 0);
  assert_true(H5Fclose(file) >= 0);
  hdf5_make_virtual("start.h5", 1, 1, 1, sources);
  assert_residues("start.h5", "MKTAY");
  put_source("end.h5", 1, "MKTAW\0\0\0");
  assert_residues("start.h5", "MKTAW");
  assert_int_equal(unlink(scratch_path("end.h5")), 0);
  assert_refused("start.h5", "linking.h5, has no dataset 'sequences'");
}

static void a_source_is_found_below_the_prefix(void **state) {
  (void)state;
  const char *const sources[] = {"far.h5"};
  hdf5_make_virtual("prefixed.h5", 1, 1, 1, sources);
  assert_refused("prefixed.h5", "far.h5, is missing");
  char prefix[1024];
  snprintf(prefix, sizeof prefix, "%s", scratch_path("elsewhere"));
  assert_int_equal(mkdir(prefix, 0700), 0);
  put_source("elsewhere/far.h5", 1, "MKTAY\0\0\0");
  assert_int_equal(setenv("HDF5_VDS_PREFIX", prefix, 1), 0);
  assert_residues("prefixed.h5", "MKTAY");
  assert_int_equal(unsetenv("HDF5_VDS_PREFIX"), 0);
  assert_refused("prefixed.h5", "far.h5, is missing");
}

static void make_numbered(const char *name, const char *pattern) {
  const hsize_t none = 0, unlimited = H5S_UNLIMITED, two = 2; /* rows a source */
  const hid_t access = H5Pcreate(H5P_FILE_ACCESS), creation = H5Pcreate(H5P_DATASET_CREATE), type = hdf5_fixed_type(8);
  H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
  const hid_t file = H5Fcreate(scratch_path(name), H5F_ACC_TRUNC, H5P_DEFAULT, access);
  const hid_t space = H5Screate_simple(1, &none, &unlimited), source = H5Screate_simple(1, &two, NULL);
  H5Sselect_hyperslab(space, H5S_SELECT_SET, &none, &two, &unlimited, &two);
  assert_true(H5Pset_virtual(creation, space, pattern, "sequences", source) >= 0);
  hdf5_put(file, "sequences", type, space, creation, NULL);
  H5Sclose(source);
  H5Sclose(space);
  H5Tclose(type);
  H5Pclose(creation);
  H5Pclose(access);
  assert_true(H5Fclose(file) >= 0);
}

static void of_numbered_sources_none_is_missing_in_between(void **state) {
  (void)state;
  make_numbered("numbered.h5", "part%b.h5");
  put_source("part0.h5", 2, "MKT\0\0\0\0\0W\0\0\0\0\0\0\0");
  put_source("part1.h5", 2, "MEH\0\0\0\0\0W\0\0\0\0\0\0\0");
  assert_residues("numbered.h5", "MKTWMEHW");
  put_source("part2.h5", 2, "MKV\0\0\0\0\0W\0\0\0\0\0\0\0");
  assert_residues("numbered.h5", "MKTWMEHWMKVW");
  assert_int_equal(unlink(scratch_path("part1.h5")), 0);
  assert_refused("numbered.h5", "part1.h5, is missing");
  assert_int_equal(unlink(scratch_path("part0.h5")), 0);
  assert_refused("numbered.h5", "part0.h5, is missing");
}

static void a_link_to_another_file_is_followed_and_watched(void **state) {
  (void)state;
  put_source("linked.h5", 1, "MKTAY\0\0\0");
  const hid_t file = hdf5_create("link.h5");
  assert_true(H5Lcreate_external("linked.h5", "/sequences", file, "sequences", H5P_DEFAULT, H5P_DEFAULT) >= 0);
  assert_true(H5Fclose(file) >= 0);
  assert_residues("link.h5", "MKTAY");
  put_source("linked.h5", 1, "MKTAW\0\0\0");
  assert_residues("link.h5", "MKTAW");
  assert_int_equal(unlink(scratch_path("linked.h5")), 0);
  assert_refused("link.h5", "'sequences' lies in another file, linked.h5, which is not there");
}

static void a_raw_file_is_watched(void **state) {
  (void)state;
  const hsize_t two = 2;
  char raw[1024];
  snprintf(raw, sizeof raw, "%s", scratch_path("raw.bin"));
  const hid_t file = hdf5_create("outside.h5"), type = hdf5_fixed_type(4), space = H5Screate_simple(1, &two, NULL);
  const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
  assert_true(H5Pset_external(creation, raw, 0, 8) >= 0);
  hdf5_put(file, "sequences", type, space, creation, NULL);
  H5Pclose(creation);
  H5Sclose(space);
  H5Tclose(type);
  assert_true(H5Fclose(file) >= 0);
  assert_refused("outside.h5", "raw.bin, which holds the data of 'sequences', is missing");
  scratch_write("raw.bin", "MKT\0", 4);
  assert_refused("outside.h5", "raw.bin, which holds the data of 'sequences', is cut short: it has 4 bytes of 8");
  scratch_write("raw.bin", "MKT\0MEH\0", 8);
  assert_residues("outside.h5", "MKTMEH");
  scratch_write("raw.bin", "MKT\0MEW\0", 8);
  assert_residues("outside.h5", "MKTMEW");
}

static void a_protein_that_lies_elsewhere_is_refused(void **state) {
  (void)state;
  put_source("one.h5", 1, "MKTAY\0\0\0");
  const hid_t file = hdf5_create("each.h5");
  hdf5_put_scalar(file, "P1", "MKV");
  assert_true(H5Lcreate_external("one.h5", "/sequences", file, "P2", H5P_DEFAULT, H5P_DEFAULT) >= 0);
  assert_true(H5Fclose(file) >= 0);
  assert_refused("each.h5", "'P2' in '/' lies in another file");
}

#endif

int main(void) {
#if PLM_HAVE_HDF5
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_virtual_dataset_is_asked_for_its_sources_at_every_start),
      cmocka_unit_test(sources_of_sources_are_asked_too),
      cmocka_unit_test(a_link_in_a_source_is_watched),
      cmocka_unit_test(a_source_is_found_below_the_prefix),
      cmocka_unit_test(of_numbered_sources_none_is_missing_in_between),
      cmocka_unit_test(a_link_to_another_file_is_followed_and_watched),
      cmocka_unit_test(a_raw_file_is_watched),
      cmocka_unit_test(a_protein_that_lies_elsewhere_is_refused),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
#else
  return 77; /* nothing to be tested */
#endif
}
