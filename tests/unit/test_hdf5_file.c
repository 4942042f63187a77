/* HDF5 files of the shapes that people have are read like the FASTA they stand for; others give one clear message. */
#include "support/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#if PLM_HAVE_HDF5
#include <hdf5.h>
#endif

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/rng.h"
#include "data/dataset.h"
#include "data/read/hdf5_process.h"
#include "support/scratch.h"
#include "support/sequences.h"

static plm_status open_at(const char *path, plm_dataset **ret_dataset) {
  plm_dataset_options options = options_for(&path);
  return plm_dataset_open(&options, ret_dataset);
}

#if PLM_HAVE_HDF5

static void hdf5_strings_of_both_kinds_equal_the_fasta(void **state) {
  (void)state;
  const char *fixtures = PLM_SOURCE_DIR "/tests/fixtures/hdf5/";
  const char *files[] = {"sequences.fasta", "variable.h5", "fixed.h5"};
  char expected[40] = "";
  for (size_t i = 0; i < 3; i++) {
    char path[1024], name[32];
    plm_dataset *dataset = NULL;
    snprintf(path, sizeof path, "%s%s", fixtures, files[i]);
    assert_ok(open_at(path, &dataset));
    if (i == 0) strcpy(expected, plm_dataset_get_info(dataset)->content_hash);
    assert_string_equal(plm_dataset_get_info(dataset)->content_hash, expected);
    plm_dataset_name(dataset, 7, name, sizeof name);
    assert_string_equal(name, "7");
    plm_dataset_close(dataset);
  }
}

/* A file with one dataset of this name, type and shape. */
static void write_hdf5(const char *file_name, const char *dataset_name, hid_t type, int dimensions, const void *data) {
  const hsize_t extent[2] = {2, 2};
  hid_t file = H5Fcreate(scratch_path(file_name), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  hid_t space = H5Screate_simple(dimensions, extent, NULL);
  hid_t dataset = H5Dcreate2(file, dataset_name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  assert_true(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
  H5Dclose(dataset);
  H5Sclose(space);
  assert_true(H5Fclose(file) >= 0);
}

static void hdf5_padding_is_removed(void **state) {
  (void)state;
  const H5T_str_t paddings[] = {H5T_STR_NULLPAD, H5T_STR_NULLTERM, H5T_STR_SPACEPAD};
  const char *data[] = {
      "MKV\0\0\0"
      "ACDE*\0",
      "MKV\0\0\0"
      "ACDE*\0",
      "MKV   "
      "ACDE* "};
  for (size_t i = 0; i < 3; i++) {
    plm_dataset *dataset = NULL;
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, 6);
    H5Tset_strpad(type, paddings[i]);
    char name[32];
    snprintf(name, sizeof name, "padded-%zu.h5", i);
    write_hdf5(name, "sequences", type, 1, data[i]);
    H5Tclose(type);
    assert_ok(open_at(scratch_path(name), &dataset));
    int64_t length;
    assert_int_equal(plm_dataset_count(dataset), 2);
    assert_memory_equal(plm_dataset_residues(dataset, 0, &length), "MKVACDE", 7);
    assert_int_equal(length, 3);
    assert_int_equal(plm_dataset_get_info(dataset)->notes.kinds[PLM_NOTE_STOPS].count, 1);
    plm_dataset_close(dataset);
  }
}

static void bad_hdf5_gives_one_clear_message(void **state) {
  (void)state;
  plm_dataset *dataset = NULL;
  const int numbers[2] = {1, 2};
  hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, 4);
  write_hdf5("other.h5", "proteins", type, 1, "MKV\0AC\0\0");
  write_hdf5("numbers.h5", "sequences", H5T_NATIVE_INT, 1, numbers);
  write_hdf5("matrix.h5", "sequences", type, 2, "MKV\0AC\0\0MKV\0AC\0\0");
  write_hdf5("digit.h5", "sequences", type, 1, "MKV\0A1C\0");
  H5Tclose(type);
  assert_fails(open_at(scratch_path("other.h5"), &dataset), PLM_E_INPUT, "no dataset 'sequences'");
  assert_fails(open_at(scratch_path("numbers.h5"), &dataset), PLM_E_INPUT,
               "is not a list of strings (int32 numbers, [2])");
  assert_fails(open_at(scratch_path("matrix.h5"), &dataset), PLM_E_INPUT, "is not a list of strings (strings, [2, 2])");
  assert_fails(open_at(scratch_path("digit.h5"), &dataset), PLM_E_INPUT, "row 1 of 'sequences' (from 0): '1' is not");
  assert_int_equal(truncate(scratch_path("digit.h5"), 1000), 0);
  assert_fails(open_at(scratch_path("digit.h5"), &dataset), PLM_E_INPUT,
               "the HDF5 file is cut short: it has 1,000 bytes of 2,056");
  assert_null(dataset);
}

/* A filter that does nothing, under any number and name. */
static size_t leave_as_it_is(unsigned flags, size_t values, const unsigned *value, size_t bytes, size_t *size,
                             void **data) {
  (void)flags, (void)values, (void)value, (void)size, (void)data;
  return bytes;
}

static void write_filtered(const char *file_name, int id, const char *filter_name) {
  const H5Z_class2_t filter = {.version = H5Z_CLASS_T_VERS,
                               .id = id,
                               .encoder_present = 1,
                               .decoder_present = 1,
                               .name = filter_name,
                               .filter = leave_as_it_is};
  const hsize_t extent = 2, chunk = 1;
  const hid_t file = H5Fcreate(scratch_path(file_name), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hid_t space = H5Screate_simple(1, &extent, NULL), creation = H5Pcreate(H5P_DATASET_CREATE);
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, 4);
  assert_true(H5Zregister(&filter) >= 0);
  assert_true(H5Pset_chunk(creation, 1, &chunk) >= 0 && H5Pset_filter(creation, id, 0, 0, NULL) >= 0);
  const hid_t dataset = H5Dcreate2(file, "sequences", type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
  assert_true(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, "MKV\0AC\0\0") >= 0);
  H5Dclose(dataset);
  H5Tclose(type);
  H5Pclose(creation);
  H5Sclose(space);
  assert_true(H5Fclose(file) >= 0);
  H5Zunregister(id);
}

static void a_filter_that_is_not_there_is_named_and_the_file_is_not_called_damaged(void **state) {
  (void)state;
  static const struct {
    int id;
    const char *name, *words, *remedy;
  } filters[] = {
      {32001, "b", "filter blosc (number 32001)", "import sys, h5py, hdf5plugin;"},
      {32008, "", "filter bitshuffle (number 32008)", "import sys, h5py, hdf5plugin;"},
      {32000, "lzf", "filter lzf (number 32000)", "import sys, h5py;"},
      {400, "our own", "filter our own (number 400)", "my.h5' sequences`"},
  };
  for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
    plm_dataset *dataset = NULL;
    write_filtered("it's my.h5", filters[i].id, filters[i].name);
    assert_fails(open_at(scratch_path("it's my.h5"), &dataset), PLM_E_INPUT, filters[i].words);
    assert_null(strstr(plm_error_message(), "damaged"));
    assert_non_null(strstr(plm_error_hint(), filters[i].remedy));
  }
}

static void a_block_of_the_users_before_the_file_is_passed_over(void **state) {
  (void)state;
  const hsize_t sizes[] = {512, 1024, 4096};
  for (size_t i = 0; i < 3; i++) {
    plm_dataset *dataset = NULL;
    const hid_t creation = H5Pcreate(H5P_FILE_CREATE), scalar = H5Screate(H5S_SCALAR), type = H5Tcopy(H5T_C_S1);
    H5Pset_userblock(creation, sizes[i]);
    H5Tset_size(type, 3);
    const hid_t file = H5Fcreate(scratch_path("block.h5"), H5F_ACC_TRUNC, creation, H5P_DEFAULT);
    const hid_t only = H5Dcreate2(file, "sequences", type, scalar, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Dwrite(only, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, "MKV") >= 0);
    H5Dclose(only);
    H5Tclose(type);
    H5Sclose(scalar);
    H5Pclose(creation);
    assert_true(H5Fclose(file) >= 0);
    assert_ok(open_at(scratch_path("block.h5"), &dataset));
    assert_int_equal(plm_dataset_get_info(dataset)->residues, 3);
    plm_dataset_close(dataset);
  }
}

/* ---- damage: libhdf5 itself crashes on some of it, and doesn't come to an end on other ---- */

/* Reads the fixture with one byte changed. */
static plm_status read_with_byte(size_t at, uint32_t byte) {
  char *data = NULL;
  size_t bytes;
  plm_dataset *dataset = NULL;
  assert_ok(plm_file_read(PLM_SOURCE_DIR "/tests/fixtures/hdf5/variable.h5", 1 << 20, &data, &bytes));
  data[at] = (char)byte;
  scratch_write("flipped.h5", data, bytes);
  plm_free(data);
  plm_status status = open_at(scratch_path("flipped.h5"), &dataset);
  plm_dataset_close(dataset);
  return status;
}

/* The reading that doesn't end is ended after a second of computing, not 20: a lower limit of the process is kept. */
static void limit_computing(void) {
  struct rlimit limit;
  signal(SIGXCPU, SIG_IGN); /* here; what is tried has the default */
  assert_int_equal(getrlimit(RLIMIT_CPU, &limit), 0);
  limit.rlim_cur = 1;
  assert_int_equal(setrlimit(RLIMIT_CPU, &limit), 0);
}

static void what_libhdf5_does_not_survive_is_an_input_error(void **state) {
  (void)state;
  limit_computing();
  assert_fails(read_with_byte(2254, 0254), PLM_E_INPUT, "flipped.h5: the HDF5 file is damaged: libhdf5 crashed (");
  assert_fails(read_with_byte(2126, 0377), PLM_E_INPUT, "flipped.h5: the HDF5 file is damaged: libhdf5 ");
  assert_fails(read_with_byte(2195, 0377), PLM_E_INPUT,
               "flipped.h5: the HDF5 file is damaged: libhdf5 asked for far more memory than");
  assert_string_equal(plm_error_hint(), "check it with h5dump, or make it again");
}

/* The program that reads has not the defaults of support/sanitizers.c: an allocation too large to be had is to fail. */
static void in_sanitizer_builds_as_here(void) {
  const char *given = getenv("ASAN_OPTIONS");
  char options[512];
  snprintf(options, sizeof options, "%s:allocator_may_return_null=1", given != NULL ? given : "");
  assert_int_equal(setenv("ASAN_OPTIONS", options, 1), 0);
}

/* What the process does that this program is started as: told by the file's name. */
static plm_hdf5_end misbehave(const plm_hdf5_task *task, plm_hdf5_taker *taker, plm_status *ret_status) {
  const char *path = task->path;
  *ret_status = plm_hint(plm_fail(PLM_E_INPUT, "%s: refused", path), "with a hint");
  if (strstr(path, "variable.h5") != NULL) raise(SIGABRT);
  for (volatile bool ever = strstr(path, "fixed.h5") != NULL; ever;) continue;
  for (int fd = 0; fd < 256; fd++)
    if (fcntl(fd, F_GETFD) >= 0 && fd > fileno(taker->pipe))
      plm_error_prefix(*ret_status, "descriptor %d is open: ", fd);
  return PLM_HDF5_REFUSED;
}

static const char own_program[] = "/proc/self/exe";
enum { ANSWER_SECONDS = 20 };

static plm_status read_by(const char *program, int seconds, const char *path, plm_sequence_sink *sink) {
  const plm_hdf5_task task = {.path = path};
  plm_hdf5_taker taker = {.path = path, .sink = sink};
  return plm_hdf5_process(program, seconds, &task, &taker);
}

static void the_process_tells_how_the_reading_ended(void **state) {
  (void)state;
  const char *fixed = PLM_SOURCE_DIR "/tests/fixtures/hdf5/fixed.h5";
  const char *variable = PLM_SOURCE_DIR "/tests/fixtures/hdf5/variable.h5";
  limit_computing();
  assert_fails(read_by(own_program, ANSWER_SECONDS, fixed, NULL), PLM_E_INPUT,
               "fixed.h5: the HDF5 file is damaged: libhdf5 did not come to an end");
  assert_fails(read_by(own_program, ANSWER_SECONDS, variable, NULL), PLM_E_INPUT,
               "variable.h5: the HDF5 file is damaged: libhdf5 crashed (SIGABRT)");
}

static int asked;
static bool interrupted_at_last(void) { return ++asked > 2; }

/* One that says nothing for ever, and one that does not even answer. */
static void a_request_to_stop_does_not_wait_for_the_process(void **state) {
  (void)state;
  static const char silent[] = "#!/bin/sh\nexec sleep 100\n";
  const char *endless = PLM_SOURCE_DIR "/tests/fixtures/hdf5/fixed.h5"; /* see misbehave */
  plm_sequence_sink sink = {.interrupted = interrupted_at_last};
  plm_hdf5_taker taker = {.sink = &sink, .path = endless};
  const plm_hdf5_task task = {.path = endless};
  scratch_write_text("silent", silent);
  assert_int_equal(chmod(scratch_path("silent"), 0755), 0);
  const char *const programs[] = {own_program, scratch_path("silent")};
  for (size_t i = 0; i < 2; i++) {
    const double started = plm_clock_monotonic();
    asked = 0;
    assert_int_equal(plm_hdf5_process(programs[i], 60, &task, &taker), PLM_STOPPED);
    assert_true(plm_clock_monotonic() - started < 15); /* of 20 and more, and of 60 */
    assert_int_equal(asked, 3);
  }
}

static void the_process_has_nothing_of_ours_and_its_refusal_arrives_whole(void **state) {
  (void)state;
  scratch_write_text("refused", "x");
  const int file = open(scratch_path("refused"), O_RDONLY), held = fcntl(file, F_DUPFD, 16); /* open across exec */
  assert_in_range(held, 16, 255);
  assert_fails(read_by(own_program, ANSWER_SECONDS, scratch_path("refused"), NULL), PLM_E_INPUT, "/refused: refused");
  assert_int_equal(strncmp(plm_error_message(), scratch_path("refused"), strlen(scratch_path("refused"))), 0);
  assert_string_equal(plm_error_hint(), "with a hint");
  assert_non_null(strstr(plm_error_trace(), "misbehave"));
  assert_int_equal(close(held), 0);
  assert_int_equal(close(file), 0);
}

static void without_such_a_program_the_file_is_read_here(void **state) {
  (void)state;
  const char *path = PLM_SOURCE_DIR "/tests/fixtures/hdf5/fixed.h5";
  const char *programs[] = {NULL, "/bin/true", "/no/such/program"};
  for (size_t i = 0; i < 3; i++) {
    char directory[32];
    plm_dataset_options options = options_for(&path);
    plm_dataset *dataset = NULL;
    snprintf(directory, sizeof directory, "cache-%zu", i);
    options.cache_directory = scratch_path(directory);
    options.hdf5_reader = programs[i];
    if (programs[i] != NULL)
      assert_fails(read_by(programs[i], ANSWER_SECONDS, path, NULL), PLM_E_UNSUPPORTED, "no process to read it");
    assert_ok(plm_dataset_open(&options, &dataset));
    assert_int_equal(plm_dataset_get_info(dataset)->from_cache, false);
    plm_dataset_close(dataset);
  }
}

/* Silent, or stopping in the middle of a word: it is waited for so long, and is not there afterwards. */
static void a_program_that_does_not_answer_is_ended(void **state) {
  (void)state;
  const char *scripts[] = {"#!/bin/sh\nexec sleep 100\n", "#!/bin/sh\nprintf abc >&3\nexec sleep 100\n"};
  for (size_t i = 0; i < 2; i++) {
    scratch_write_text("silent", scripts[i]);
    assert_int_equal(chmod(scratch_path("silent"), 0700), 0);
    const double started = plm_clock_monotonic();
    assert_fails(read_by(scratch_path("silent"), 1, PLM_SOURCE_DIR "/tests/fixtures/hdf5/fixed.h5", NULL),
                 PLM_E_UNSUPPORTED, "no process to read it: the program does not answer");
    assert_true(plm_clock_monotonic() - started < 50);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child of ours is left */
  }
}

static void no_changed_byte_brings_us_down(void **state) {
  (void)state;
  enum { BYTES = 4096, TRIALS = 300 };
  uint32_t whole = 0;
  limit_computing();
  for (uint32_t i = 0; i < TRIALS; i++) {
    const plm_rng_block random = plm_rng(14, PLM_RNG_SHUFFLE, i, 0, 0);
    const uint32_t at = plm_rng_below(random.word[0], BYTES), byte = plm_rng_below(random.word[1], 256);
    const plm_status status = read_with_byte(at, byte);
    if (status != PLM_OK && status != PLM_E_INPUT) fail_msg("byte %u = %u: %s", at, byte, plm_error_message());
    whole += status == PLM_OK;
  }
  print_message("%u of %d changed files could be read, the others gave an input error\n", whole, TRIALS);
  assert_in_range(whole, 1, TRIALS - 1);
}
#else
static void without_hdf5_the_build_says_so(void **state) {
  (void)state;
  plm_dataset *dataset = NULL;
  assert_fails(open_at(PLM_SOURCE_DIR "/tests/fixtures/hdf5/fixed.h5", &dataset), PLM_E_INPUT,
               "this build of protlm has no HDF5");
}
#endif

int main(int argc, char **argv) {
#if PLM_HAVE_HDF5
  plm_hdf5_serve(argc, argv, misbehave);
  in_sanitizer_builds_as_here();
#else
  (void)argc, (void)argv;
#endif
  const struct CMUnitTest tests[] = {
#if PLM_HAVE_HDF5
    cmocka_unit_test(hdf5_strings_of_both_kinds_equal_the_fasta),
    cmocka_unit_test(hdf5_padding_is_removed),
    cmocka_unit_test(bad_hdf5_gives_one_clear_message),
    cmocka_unit_test(a_filter_that_is_not_there_is_named_and_the_file_is_not_called_damaged),
    cmocka_unit_test(a_block_of_the_users_before_the_file_is_passed_over),
    cmocka_unit_test(what_libhdf5_does_not_survive_is_an_input_error),
    cmocka_unit_test(the_process_tells_how_the_reading_ended),
    cmocka_unit_test(a_request_to_stop_does_not_wait_for_the_process),
    cmocka_unit_test(the_process_has_nothing_of_ours_and_its_refusal_arrives_whole),
    cmocka_unit_test(without_such_a_program_the_file_is_read_here),
    cmocka_unit_test(a_program_that_does_not_answer_is_ended),
    cmocka_unit_test(no_changed_byte_brings_us_down),
#else
    cmocka_unit_test(without_hdf5_the_build_says_so),
#endif
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
