/* A file that may not grow, as under a quota: exit code 6 and the file's name; the last good checkpoint stays, and the run goes on from it when
 * the limit is gone. */
#include <stdio.h>
#include <sys/stat.h>

#include "integration/files.h"
#include "integration/logs.h"
#include "integration/run.h"
#include "integration/tiny.h"
#include "support/scratch.h"
#include "support/unit.h"

#define TRAIN TINY_PLAIN " --max-steps 12 --save-steps 3"

static void expect_finish(const char *run) {
  run_result r = run_protlm(NULL, TRAIN " --output-dir {}/%s", run);
  run_expect(&r, 0);
  file_expect_same_tensors(file_path("%s/checkpoint-12", run), "undisturbed/checkpoint-12");
  log_expect_each_step_once(run, 1, 12);
  log_expect_same(run, "undisturbed");
}

static void expect_no_bad_checkpoint(const char *run) {
  run_result r = run_protlm(NULL, "ckpt ls --deep {}/%s", run);
  run_expect(&r, 0);
}

/* The optimizer's file is twice the model's: this limit lets one through and not the other. */
static void a_quota_is_survived(void **state) {
  (void)state;
  struct stat model, optimizer;
  assert_int_equal(stat(file_path("undisturbed/checkpoint-3/model.safetensors"), &model), 0);
  assert_int_equal(stat(file_path("undisturbed/checkpoint-3/optimizer.safetensors"), &optimizer), 0);
  assert_true(optimizer.st_size > model.st_size + 4096);
  const run_options tight = {.file_bytes = model.st_size + 2048};
  run_result r = run_protlm(NULL, TRAIN " --output-dir {}/quota");
  run_expect(&r, 0);
  file_remove_tree("quota/checkpoint-12");
  file_remove_tree("quota/checkpoint-9");
  file_remove_tree("quota/final");
  r = run_protlm(&tight, TRAIN " --output-dir {}/quota");
  run_expect(&r, 6);
  run_expect_words(&r, r.err, "optimizer.safetensors");
  run_expect_words(&r, r.err, "the last good checkpoint is");
  assert_int_equal(file_newest_checkpoint("quota"), 6);
  expect_no_bad_checkpoint("quota");
  expect_finish("quota");
}

static int prepare(void **state) {
  if (run_setup(state) != 0) return -1;
  run_result r = run_protlm(NULL, TRAIN " --output-dir {}/undisturbed");
  run_expect(&r, 0);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_quota_is_survived)};
  return cmocka_run_group_tests(tests, prepare, scratch_teardown);
}
