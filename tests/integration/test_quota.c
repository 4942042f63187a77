/* A file that may not grow, as under a quota: exit code 6 and the file's name; the last good checkpoint stays, and the
 * run goes on from it when the limit is gone. */
#include <stdio.h>
#include <sys/stat.h>

#include "integration/files.h"
#include "integration/no_room.h"
#include "integration/run.h"
#include "support/scratch.h"
#include "support/unit.h"

/* The optimizer's file is twice the model's: this limit lets one through and not the other. */
static void a_quota_is_survived(void **state) {
  (void)state;
  struct stat model, optimizer;
  assert_int_equal(stat(file_path("undisturbed/checkpoint-3/model.safetensors"), &model), 0);
  assert_int_equal(stat(file_path("undisturbed/checkpoint-3/optimizer.safetensors"), &optimizer), 0);
  assert_true(optimizer.st_size > model.st_size + 4096);
  const run_options tight = {.file_bytes = model.st_size + 2048};
  run_result r = run_protlm(NULL, NO_ROOM_TRAIN " --output-dir {}/quota");
  run_expect(&r, 0);
  file_remove_tree("quota/checkpoint-12");
  file_remove_tree("quota/checkpoint-9");
  file_remove_tree("quota/final");
  r = run_protlm(&tight, NO_ROOM_TRAIN " --output-dir {}/quota");
  run_expect(&r, 6);
  run_expect_words(&r, r.err, "optimizer.safetensors");
  run_expect_words(&r, r.err, "ulimit -f");
  run_expect_words(&r, r.err, "the last good checkpoint is");
  assert_int_equal(file_newest_checkpoint("quota"), 6);
  no_room_expect_no_bad_checkpoint("quota");
  no_room_expect_finish("quota");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_quota_is_survived)};
  return cmocka_run_group_tests(tests, no_room_setup, scratch_teardown);
}
