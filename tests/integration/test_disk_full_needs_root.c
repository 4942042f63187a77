/* A full disk: said with numbers, exit code 6; the last good checkpoint stays, and the run goes on from it when there
 * is room. On a file system of one megabyte, which takes root to mount; without root the whole test is skipped
 * (test_quota.c needs none). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "integration/files.h"
#include "integration/no_room.h"
#include "integration/run.h"
#include "support/scratch.h"
#include "support/unit.h"

enum { SKIPPED = 77 };

static int prepare(void **state) {
  if (no_room_setup(state) != 0 || mkdir(file_path("small"), 0755) != 0) return -1;
  if (mount("none", file_path("small"), "tmpfs", 0, "size=1m") == 0) return 0;
  printf("skipped: no file system can be mounted here: %s\n", strerror(errno));
  scratch_teardown(state);
  exit(SKIPPED);
}

static int tear_down(void **state) {
  umount2(file_path("small"), MNT_DETACH);
  return scratch_teardown(state);
}

static void fill(const char *path, long bytes) {
  FILE *file = fopen(file_path("%s", path), "wb");
  assert_non_null(file);
  for (long i = 0; i < bytes; i++) fputc('x', file);
  fclose(file);
}

/* Room for two checkpoints, not for three. */
static void a_full_disk_is_said_with_numbers(void **state) {
  (void)state;
  run_result r = run_protlm(NULL, NO_ROOM_TRAIN " --output-dir {}/small/run");
  run_expect(&r, 6);
  run_expect_words(&r, r.err, "No space left on device");
  run_expect_words(&r, r.err, "free");
  run_expect_words(&r, r.err, "need");
  run_expect_words(&r, r.err, "the last good checkpoint is");
  run_expect_words(&r, r.err, "checkpoint-6");
  assert_int_equal(file_newest_checkpoint("small/run"), 6);
  no_room_expect_no_bad_checkpoint("small/run");
  if (strstr(file_list("small/run", NULL), "tmp-") != NULL)
    fail_msg("half a checkpoint was left: %s", file_list("small/run", NULL));
  /* Still no room: the same again, and nothing is lost by it. */
  r = run_protlm(NULL, NO_ROOM_TRAIN " --output-dir {}/small/run");
  run_expect(&r, 6);
  assert_int_equal(file_newest_checkpoint("small/run"), 6);
}

static void with_room_again_it_goes_on(void **state) {
  (void)state;
  if (mount("none", file_path("small"), "tmpfs", MS_REMOUNT, "size=16m") != 0)
    fail_msg("the file system can't be made larger: %s", strerror(errno));
  no_room_expect_finish("small/run");
}

/* Full from the first byte on: nothing is trained that could not be saved. */
static void a_disk_without_any_room_is_refused(void **state) {
  (void)state;
  if (mount("none", file_path("small"), "tmpfs", MS_REMOUNT, "size=20m") != 0)
    fail_msg("the file system can't be made larger: %s", strerror(errno));
  fill("small/ballast", 20 << 20);
  run_result r = run_protlm(NULL, NO_ROOM_TRAIN " --output-dir {}/small/other");
  run_expect(&r, 6);
  run_expect_words(&r, r.err, "No space left on device");
  unlink(file_path("small/ballast"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_full_disk_is_said_with_numbers),
      cmocka_unit_test(with_room_again_it_goes_on),
      cmocka_unit_test(a_disk_without_any_room_is_refused),
  };
  return cmocka_run_group_tests(tests, prepare, tear_down);
}
