/* Operations that fail while a run finds and loads its newest checkpoint: one that passes is tried again and goes
 * unnoticed; one that lasts is reported with the file's name, and the checkpoint before it is taken. */
#include "support/tiny_run.h"

#include <errno.h>
#include <stdio.h>

static plm_status load(tiny_run *run, char **ret_path) {
  json_t *state = NULL;
  plm_status status = tiny_run_load_newest(run, ret_path, &state);
  json_decref(state);
  return status;
}

static void two_checkpoints(tiny_run *run, const char *name) {
  tiny_run_create(run, name, 4, false);
  for (int64_t step = 1; step <= 2; step++) {
    tiny_run_set(run, step);
    assert_ok(tiny_run_save(run, step));
  }
}

static void an_error_that_passes_goes_unnoticed(void **state) {
  (void)state;
  tiny_run run;
  two_checkpoints(&run, "passing");
  int64_t n = 1, retried = 0;
  for (bool was_hit = true; was_hit; n++) {
    char *path = NULL;
    faulty_fs_install(&(faulty_plan){.fail_at = n, .error = EIO});
    plm_status status = load(&run, &path);
    was_hit = faulty_fs_failures() > 0;
    bool is_close = strncmp(faulty_fs_failed(), "close", 5) == 0; /* of a file that was read: it does not matter */
    char what[600];
    snprintf(what, sizeof what, "%s", faulty_fs_failed());
    faulty_fs_remove();
    if (status != PLM_OK) fail_msg("%s ended the load: %s", what, plm_error_message());
    if (strstr(path, "checkpoint-2") == NULL) fail_msg("%s was not tried again", what);
    tiny_run_assert_is(&run, 2);
    retried += was_hit && !is_close;
    plm_free(path);
  }
  printf("load: %lld operations failed once each; %lld of them were tried again\n", (long long)n - 2,
         (long long)retried);
  assert_true(retried >= 48);
  tiny_run_destroy(&run);
}

/* A table in which the file whose path contains `unreadable` cannot be read. */
static const char *unreadable;
static int broken_fd = -1;

static int open_noting(const char *path, int flags, mode_t mode) {
  int fd = plm_fs_real()->open(path, flags, mode);
  if (fd >= 0 && unreadable != NULL && strstr(path, unreadable) != NULL) broken_fd = fd;
  return fd;
}

static int close_noting(int fd) {
  if (fd == broken_fd) broken_fd = -1;
  return plm_fs_real()->close(fd);
}

static ssize_t pread_broken(int fd, void *data, size_t bytes, off_t offset) {
  if (fd != broken_fd) return plm_fs_real()->pread(fd, data, bytes, offset);
  errno = EIO;
  return -1;
}

static void an_error_that_lasts_is_named_and_the_older_one_is_taken(void **state) {
  (void)state;
  static const char *const files[] = {"MANIFEST.json", "config.json", "model.safetensors", "optimizer.safetensors",
                                      "protlm_state.json"};
  tiny_run run;
  two_checkpoints(&run, "lasting");
  plm_fs table = *plm_fs_real();
  table.open = open_noting;
  table.close = close_noting;
  table.pread = pread_broken;
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char *path, *file;
    assert_ok(plm_sprintf(&file, "checkpoint-2/%s", files[i]));
    unreadable = file;
    plm_fs_set(&table);
    plm_status status = load(&run, &path);
    plm_fs_set(NULL);
    assert_ok(status);
    assert_non_null(strstr(path, "checkpoint-1"));
    tiny_run_assert_is(&run, 1);
    plm_free(path);

    assert_ok(plm_sprintf(&path, "%s/checkpoint-2", run.directory));
    plm_fs_set(&table);
    status = plm_checkpoint_verify(path);
    plm_fs_set(NULL);
    assert_int_equal(status, PLM_E_CHECKPOINT);
    if (strstr(plm_error_message(), file) == NULL || strstr(plm_error_message(), strerror(EIO)) == NULL)
      fail_msg("the message names neither file nor reason: %s", plm_error_message());
    plm_free(path);
    plm_free(file);
  }
  unreadable = NULL;
  tiny_run_destroy(&run);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_error_that_passes_goes_unnoticed),
      cmocka_unit_test(an_error_that_lasts_is_named_and_the_older_one_is_taken),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
