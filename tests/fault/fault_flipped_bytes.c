/* Every byte of every file of a checkpoint changed in turn: verifying finds each. Files cut short, emptied, missing,
 * added, swapped: too.
 */
#define _GNU_SOURCE
#include "support/tiny_run.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static char checkpoint[600];

static const char *path_of(const char *name) {
  static char path[1024];
  snprintf(path, sizeof path, "%s/%s", checkpoint, name);
  return path;
}

static void put_byte(int fd, off_t at, unsigned char byte) { assert_int_equal(pwrite(fd, &byte, 1, at), 1); }

/* Each byte with one of its bits flipped, a different one from byte to byte. */
static int64_t flip_each_byte(const char *name) {
  int fd = open(path_of(name), O_RDWR);
  assert_true(fd >= 0);
  int64_t at = 0;
  for (unsigned char byte; pread(fd, &byte, 1, at) == 1; at++) {
    put_byte(fd, at, (unsigned char)(byte ^ 1u << at % 8));
    if (plm_checkpoint_verify(checkpoint) != PLM_E_CHECKPOINT)
      fail_msg("byte %lld of %s was changed unnoticed", (long long)at, name);
    if (strstr(plm_error_message(), name) == NULL)
      fail_msg("byte %lld of %s: the message does not name it: %s", (long long)at, name, plm_error_message());
    put_byte(fd, at, byte);
  }
  close(fd);
  return at;
}

static void for_each_file(void (*each)(const char *name)) {
  char **names;
  size_t count;
  assert_ok(plm_directory_list(checkpoint, &names, &count));
  assert_true(count >= 8);
  for (size_t i = 0; i < count; i++) each(names[i]);
  plm_names_free(names, count);
}

static int64_t flipped;
static void flip_file(const char *name) { flipped += flip_each_byte(name); }

static void every_changed_byte_is_found(void **state) {
  (void)state;
  assert_ok(plm_checkpoint_verify(checkpoint));
  for_each_file(flip_file);
  printf("%lld bytes changed in turn = %lld changes found\n", (long long)flipped, (long long)flipped);
  assert_ok(plm_checkpoint_verify(checkpoint));
}

static void damage_file(const char *name) {
  char *data, *path;
  size_t bytes;
  assert_ok(plm_strdup(path_of(name), &path));
  assert_ok(plm_file_read(path, 1 << 24, &data, &bytes));
  const size_t lengths[] = {0, 1, bytes / 2, bytes - 1};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    assert_ok(plm_file_replace(path, data, lengths[i]));
    assert_fails(plm_checkpoint_verify(checkpoint), PLM_E_CHECKPOINT, name);
  }
  assert_ok(plm_file_remove(path));
  assert_fails(plm_checkpoint_verify(checkpoint), PLM_E_CHECKPOINT, name);
  assert_ok(plm_file_replace(path, data, bytes));
  assert_ok(plm_checkpoint_verify(checkpoint));
  plm_free(data);
  plm_free(path);
}

static void missing_and_cut_files_are_found(void **state) {
  (void)state;
  for_each_file(damage_file);
}

static void added_files_are_found(void **state) {
  (void)state;
  assert_ok(plm_file_replace(path_of("pytorch_model.bin"), "x", 1));
  assert_fails(plm_checkpoint_verify(checkpoint), PLM_E_CHECKPOINT, "pytorch_model.bin");
  assert_ok(plm_file_remove(path_of("pytorch_model.bin")));
  assert_ok(plm_file_replace(path_of(".nfs0001"), "x", 1)); /* what network file systems leave is not ours to judge */
  assert_ok(plm_checkpoint_verify(checkpoint));
  assert_ok(plm_file_remove(path_of(".nfs0001")));
}

static int make_checkpoint(void **state) {
  tiny_run run;
  if (scratch_setup(state) != 0) return -1;
  tiny_run_create(&run, "run", 4, false);
  tiny_run_set(&run, 1);
  assert_ok(tiny_run_save(&run, 1));
  snprintf(checkpoint, sizeof checkpoint, "%s/checkpoint-1", run.directory);
  tiny_run_destroy(&run);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_changed_byte_is_found),
      cmocka_unit_test(missing_and_cut_files_are_found),
      cmocka_unit_test(added_files_are_found),
  };
  return cmocka_run_group_tests(tests, make_checkpoint, scratch_teardown);
}
