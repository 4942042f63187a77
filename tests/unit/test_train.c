/* Whole runs inside this process, where the clock can be set and what happens can be watched. */
#include "support/unit.h"
#include "support/warnings.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "protlm/train.h"
#include "support/scratch.h"

/* Two layers, a few milliseconds a step, six batches an evaluation. */
static const char *const tiny[] = {
    "--model",
    "esm2_t6_8M",
    "--num-hidden-layers",
    "1",
    "--hidden-size",
    "16",
    "--num-attention-heads",
    "2",
    "--max-length",
    "256",
    "--batch-tokens",
    "512",
    "--micro-batch-tokens",
    "512",
    "--dtype",
    "fp32",
    "--save-steps",
    "1",
    "--eval-steps",
    "1",
    "--train",
    PLM_SOURCE_DIR "/tests/integration/proteins.fasta",
    "--eval",
    PLM_SOURCE_DIR "/tests/integration/proteins.fasta",
};
enum { TINY = sizeof tiny / sizeof *tiny, MOST = TINY + 20 };

/* The tiny run on so many threads, with these options too; the list ends with NULL. */
static plm_status train_on(const char *threads, const plm_train_observer *observer, plm_train_result *ret_result,
                           const char *const *more) {
  char *words[MOST];
  int count = 0;
  plm_option_values *values;
  for (int i = 0; i < TINY; i++) words[count++] = (char *)(uintptr_t)tiny[i];
  words[count++] = "--cache-dir";
  words[count++] = (char *)(uintptr_t)scratch_path("cache");
  words[count++] = "--threads";
  words[count++] = (char *)(uintptr_t)threads;
  for (; *more != NULL; more++) words[count++] = (char *)(uintptr_t)*more;
  assert_true(count <= MOST);
  assert_ok(plm_options_load(plm_train_option_table(), count, words, &values));
  plm_status status = plm_train(values, observer, ret_result);
  plm_option_values_destroy(values);
  return status;
}

static plm_status train(const plm_train_observer *observer, plm_train_result *ret_result, const char *const *more) {
  return train_on("1", observer, ret_result, more);
}

static int count_words(const char *text, const char *word) {
  int count = 0;
  for (const char *at = text; (at = strstr(at, word)) != NULL; at++) count++;
  return count;
}

/* ---- steps without a loss ---- */

/* Unknown residues are never masked: one step in a hundred has a loss. Were the others to count as a loss of 0, that
 * one would be a spike.
 */
static void a_step_with_nothing_to_predict_is_no_news_for_the_guard(void **state) {
  (void)state;
  const char *const words[] = {"--model",
                               "esm2_t6_8M",
                               "--num-hidden-layers",
                               "1",
                               "--hidden-size",
                               "16",
                               "--num-attention-heads",
                               "2",
                               "--per-device-train-batch-size",
                               "1",
                               "--max-steps",
                               "300",
                               "--threads",
                               "1",
                               "--train",
                               scratch_path("unknown.fasta"),
                               "--output-dir",
                               scratch_path("unknown")};
  FILE *file = fopen(scratch_path("unknown.fasta"), "w");
  for (int i = 0; i < 100; i++)
    fprintf(file, ">%d\n%s\n", i, i == 50 ? "MKVLAAGIVGLLLAQWHCERTNDYFSP" : "XXXXXXXXXXXXXXXX");
  assert_int_equal(fclose(file), 0);
  plm_option_values *values;
  plm_train_result result;
  assert_ok(
      plm_options_load(plm_train_option_table(), sizeof words / sizeof *words, (char **)(uintptr_t)words, &values));
  warnings_listen();
  plm_status status = plm_train(values, NULL, &result);
  warnings_stop();
  plm_option_values_destroy(values);
  assert_ok(status);
  assert_int_equal(count_words(warnings_text(), "standard deviations above"), 0);
}

/* ---- the time limit ---- */

static void time_is_up_in_evaluation(void *user, const char *what) {
  (void)user;
  if (strcmp(what, "evaluating") == 0) plm_clock_set_fake(plm_clock_monotonic() + 7200);
}

static void an_evaluation_does_not_outlast_the_time_limit(void **state) {
  (void)state;
  const char *const more[] = {"--no-eval-on-start", "--max-steps",         "1", "--time-limit", "1h",
                              "--output-dir",       scratch_path("limit"), NULL};
  const plm_train_observer observer = {.phase = time_is_up_in_evaluation};
  plm_train_result result;
  plm_status status = train(&observer, &result, more);
  plm_clock_set_fake(-1);
  assert_int_equal(status, PLM_STOPPED);
  assert_string_equal(result.reason, "--time-limit");
  assert_int_equal(result.step, 1);
  assert_int_equal(count_words(scratch_read("limit/log.jsonl"), "\"eval_loss\""), 0);
  assert_ok(train(NULL, &result, more)); /* owed, and done first by the next start */
  assert_int_equal(result.outcome, PLM_TRAIN_FINISHED);
  assert_int_equal(count_words(scratch_read("limit/log.jsonl"), "\"eval_loss\""), 1);
  const char *state_text = scratch_read("limit/checkpoint-1/trainer_state.json"); /* as if it had not been put off */
  assert_int_equal(count_words(state_text, "\"eval_loss\""), 1);
  char *best; /* where transformers finds it: --output-dir as it was given, and the name */
  assert_ok(plm_sprintf(&best, "\"best_model_checkpoint\": \"%s/checkpoint-1\"", result.output_directory));
  assert_non_null(strstr(state_text, best));
  plm_free(best);
  assert_non_null(strstr(state_text, "\"TrainerControl\""));
  assert_true(plm_file_is_directory(scratch_path("limit/checkpoint-1")));
  assert_ok(train(NULL, &result, more));
  assert_int_equal(result.outcome, PLM_TRAIN_ALREADY_FINISHED);
}

/* ---- the best checkpoint ---- */

/* A learning rate of 1 makes the untrained model the best of them all. */
static void a_branch_has_a_best_checkpoint_of_its_own(void **state) {
  (void)state;
  const char *const trunk[] = {"--learning-rate",     "1", "--save-at", "start", "--max-steps", "2", "--output-dir",
                               scratch_path("trunk"), NULL};
  const char *const branch[] = {"--learning-rate",
                                "1",
                                "--save-at",
                                "start",
                                "--max-steps",
                                "3",
                                "--load-best-model-at-end",
                                "--output-dir",
                                scratch_path("branch"),
                                "--resume-from-checkpoint",
                                scratch_path("trunk/checkpoint-2"),
                                "--allow-change",
                                "max-steps",
                                NULL};
  plm_train_result result;
  assert_ok(train(NULL, &result, trunk));
  assert_int_equal(result.best_step, 0);
  assert_ok(train(NULL, &result, branch));
  assert_int_equal(result.best_step, 3);
  assert_true(plm_file_exists(scratch_path("branch/best/model.safetensors")));
  assert_true(plm_file_exists(scratch_path("branch/final/model.safetensors")));
}

/* Same as above, and a byte of the best is lost before it is looked at. */
static void damage_the_best(void *user, const char *what) {
  (void)user;
  if (strcmp(what, "writing final/") == 0) scratch_write_text("rotten/checkpoint-0/model.safetensors", "damage");
}

static void a_damaged_best_checkpoint_leaves_the_last_model(void **state) {
  (void)state;
  const char *const more[] = {
      "--learning-rate",      "1", "--save-at", "start", "--max-steps", "2", "--load-best-model-at-end", "--output-dir",
      scratch_path("rotten"), NULL};
  const plm_train_observer observer = {.phase = damage_the_best};
  plm_train_result result;
  char last[33], final[33];
  int64_t bytes;
  warnings_listen();
  plm_status status = train(&observer, &result, more);
  warnings_stop();
  assert_ok(status);
  assert_int_equal(result.best_step, -1);
  assert_non_null(strstr(warnings_text(), "checkpoint-0"));
  assert_non_null(strstr(warnings_text(), "model.safetensors"));
  assert_ok(plm_file_hash(scratch_path("rotten/checkpoint-2/model.safetensors"), last, &bytes));
  assert_ok(plm_file_hash(scratch_path("rotten/final/model.safetensors"), final, &bytes));
  assert_string_equal(final, last);
}

/* ---- a faulty run directory ---- */

static plm_fs meddling;
static int log_syncs;

static int fail_first_sync_of_log(int fd) {
  char link[64], path[512] = "";
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  bool is_log = readlink(link, path, sizeof path - 1) > 0 && strstr(path, "/log.jsonl") != NULL;
  if (!is_log || log_syncs++ > 0) return plm_fs_real()->fsync(fd);
  errno = EIO;
  return -1;
}

/* What the kernel could not write it drops, and it then reports success. */
static void a_failed_sync_of_the_log_is_not_tried_again(void **state) {
  (void)state;
  const char *const more[] = {"--max-steps", "1", "--output-dir", scratch_path("unsynced"), NULL};
  plm_train_result result;
  meddling = *plm_fs_real();
  meddling.fsync = fail_first_sync_of_log;
  log_syncs = 0;
  plm_fs_set(&meddling);
  plm_status status = train(NULL, &result, more);
  plm_fs_set(NULL);
  assert_fails(status, PLM_E_RESOURCE, "log.jsonl");
  assert_false(plm_file_exists(scratch_path("unsynced/checkpoint-1")));
  assert_ok(train(NULL, &result, more));
  assert_int_equal(count_words(scratch_read("unsynced/log.jsonl"), "\"step\":1,"), 2); /* training and evaluation */
}

/* Another process makes itself at home as soon as the lock is gone. */
static int move_in_after_unlink(const char *path) {
  int result = plm_fs_real()->unlink(path);
  if (strstr(path, "/run.lock") != NULL) scratch_write_text("shared/theirs", "precious");
  return result;
}

static void a_start_taken_back_removes_only_what_is_its_own(void **state) {
  (void)state;
  const char *const more[] = {"--max-steps", "1", "--warmup-steps", "1", "--output-dir", scratch_path("shared"), NULL};
  plm_train_result result;
  meddling = *plm_fs_real();
  meddling.unlink = move_in_after_unlink;
  plm_fs_set(&meddling);
  plm_status status = train(NULL, &result, more);
  plm_fs_set(NULL);
  assert_int_equal(status, PLM_E_USAGE);
  assert_string_equal(scratch_read("shared/theirs"), "precious");
}

/* ---- resuming ---- */

static int saves_of_step_2;
static void count_saves(void *user, const char *what) {
  (void)user;
  saves_of_step_2 += strcmp(what, "saving checkpoint-2") == 0;
}

/* Saving reads the whole checkpoint that is there already: minutes for a large model. */
static void a_checkpoint_is_not_saved_again_by_who_resumes_from_it(void **state) {
  (void)state;
  const char *const first[] = {"--max-steps", "2", "--output-dir", scratch_path("again"), NULL};
  const char *const then[] = {"--max-steps",         "3", "--allow-change", "max-steps", "--output-dir",
                              scratch_path("again"), NULL};
  const plm_train_observer observer = {.phase = count_saves};
  plm_train_result result;
  assert_ok(train(&observer, &result, first));
  assert_int_equal(saves_of_step_2, 1);
  assert_ok(train(&observer, &result, then));
  assert_int_equal(result.step, 3);
  assert_int_equal(saves_of_step_2, 1);
}

/* The saved state of the run says what it computed with; sameness is silent, a difference is not. */
static void other_arithmetic_is_said_once(void **state) {
  (void)state;
  static const char *const threads[] = {"1", "1", "2"};
  char steps[2] = "1";
  plm_train_result result;
  warnings_listen();
  for (int i = 0; i < 3; i++, steps[0]++) {
    warnings_forget();
    const char *const more[] = {"--max-steps",        steps, "--allow-change", "max-steps", "--output-dir",
                                scratch_path("bits"), NULL};
    assert_ok(train_on(threads[i], NULL, &result, more));
    assert_int_equal(count_words(warnings_text(), "bits may differ"), i == 2);
  }
  warnings_stop();
  assert_non_null(strstr(warnings_text(), ": 1 thread of "));
  assert_non_null(strstr(warnings_text(), "then; 2 threads of "));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_step_with_nothing_to_predict_is_no_news_for_the_guard),
      cmocka_unit_test(an_evaluation_does_not_outlast_the_time_limit),
      cmocka_unit_test(a_branch_has_a_best_checkpoint_of_its_own),
      cmocka_unit_test(a_damaged_best_checkpoint_leaves_the_last_model),
      cmocka_unit_test(a_failed_sync_of_the_log_is_not_tried_again),
      cmocka_unit_test(a_start_taken_back_removes_only_what_is_its_own),
      cmocka_unit_test(a_checkpoint_is_not_saved_again_by_who_resumes_from_it),
      cmocka_unit_test(other_arithmetic_is_said_once),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
