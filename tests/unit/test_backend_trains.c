/* A backend that is not in src/ trains, evaluates and saves the same bytes as the CPU's, however late it does
 * what was queued; and the loop makes it wait once a step, sends each micro-batch once, and asks for no
 * memory after the first. */
#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "protlm/train.h"
#include "support/late.h"
#include "support/scratch.h"

#define PROTEINS PLM_SOURCE_DIR "/tests/integration/proteins.fasta"
enum { STEPS = 8, EVAL_STEPS = 4 };

/* ---- the late backend, watched ---- */

static plm_device *device; /* of the exec that was opened last */

static plm_status open_watched(const plm_exec_options *options, plm_exec *exec) {
  PLM_TRY(plm_backend_late.open(options, exec));
  device = exec->device;
  return PLM_OK;
}

static plm_backend watched;

typedef struct sight {
  late_counts counts;
  int64_t waits;
} sight;

static sight sights[STEPS + 1]; /* at the end of each step, before what follows it */

static void look(void *user, const plm_progress *progress) {
  (void)user;
  if (device == NULL) return;
  assert_in_range(progress->step, 1, STEPS);
  sights[progress->step] = (sight){plm_device_late_counts(device), device->waits};
}

/* ---- a run ---- */

static char *word(const char *text) { return (char *)(uintptr_t)text; }

static void train(const char *run, const char *backend, const char *dtype) {
  char *words[] = {
      word("--model"),
      word("esm2_t6_8M"),
      word("--num-hidden-layers"),
      word("2"),
      word("--hidden-size"),
      word("20"),
      word("--num-attention-heads"),
      word("2"),
      word("--dtype"),
      word(dtype),
      word("--max-length"),
      word("64"),
      word("--batch-tokens"),
      word("384"),
      word("--micro-batch-tokens"),
      word("128"),
      word("--threads"),
      word("1"),
      word("--loader-workers"),
      word("0"),
      word("--save-steps"),
      word("4"),
      word("--eval-steps"),
      word("4"),
      word("--logging-steps"),
      word("1"),
      word("--warmup-steps"),
      word("2"),
      word("--learning-rate"),
      word("1e-3"),
      word("--train"),
      word(PROTEINS),
      word("--eval"),
      word(PROTEINS),
      word("--cache-dir"),
      word(scratch_path("cache")),
      word("--output-dir"),
      word(scratch_path(run)),
      word("--max-steps"),
      word("8"),
  };
  plm_option_values *values;
  plm_train_result result;
  const plm_train_observer observer = {.step = look, .device = backend};
  device = NULL;
  assert_ok(plm_options_load(plm_train_option_table(), sizeof words / sizeof *words, words, &values));
  assert_ok(plm_train(values, &observer, &result));
  plm_option_values_destroy(values);
}

static void assert_same_file(const char *a, const char *b) {
  char *x, *y;
  size_t x_bytes, y_bytes;
  assert_ok(plm_file_read(scratch_path(a), INT64_MAX, &x, &x_bytes));
  assert_ok(plm_file_read(scratch_path(b), INT64_MAX, &y, &y_bytes));
  if (x_bytes != y_bytes || memcmp(x, y, x_bytes) != 0) fail_msg("%s is not %s", a, b);
  plm_free(x);
  plm_free(y);
}

/* Every line of the log, without times and rates. */
static void assert_same_log(const char *a, const char *b) {
  static const char *const timed[] = {"\"seconds\"", "\"residues_per_s\"", "\"data_wait\"", "\"eval_seconds\""};
  char *texts[2];
  const char *const names[2] = {a, b};
  for (int i = 0; i < 2; i++) {
    size_t bytes;
    assert_ok(plm_file_read(scratch_path(names[i]), INT64_MAX, &texts[i], &bytes));
    for (int j = 0; j < 4; j++)
      for (char *at = strstr(texts[i], timed[j]); at != NULL; at = strstr(at + 1, timed[j])) {
        at += strlen(timed[j]) + 1;
        memset(at, ' ', strcspn(at, ",}"));
      }
  }
  char *x = texts[0], *y = texts[1]; /* blanks do not count: times have other lengths */
  while (*x != '\0' || *y != '\0') {
    x += strspn(x, " ");
    y += strspn(y, " ");
    if (*x != *y) fail_msg("%s: %.60s, %s: %.60s", a, x, b, y);
    if (*x != '\0') x++, y++;
  }
  plm_free(texts[0]);
  plm_free(texts[1]);
}

static void check_bytes(const char *dtype) {
  static const char *const files[] = {"checkpoint-4/model.safetensors", "checkpoint-8/model.safetensors",
                                      "checkpoint-8/optimizer.safetensors", "final/model.safetensors"};
  char late[64], cpu[64], a[192], b[192];
  snprintf(late, sizeof late, "late-%s", dtype);
  snprintf(cpu, sizeof cpu, "cpu-%s", dtype);
  train(cpu, NULL, dtype);
  train(late, "watched", dtype);
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    snprintf(a, sizeof a, "%s/%s", cpu, files[i]);
    snprintf(b, sizeof b, "%s/%s", late, files[i]);
    assert_same_file(a, b);
  }
  snprintf(a, sizeof a, "%s/log.jsonl", cpu);
  snprintf(b, sizeof b, "%s/log.jsonl", late);
  assert_same_log(a, b);
}

static void it_trains_evaluates_and_saves_the_same_bytes_in_fp32(void **state) {
  (void)state;
  check_bytes("fp32");
}

static void it_trains_evaluates_and_saves_the_same_bytes_in_bf16(void **state) {
  (void)state;
  check_bytes("bf16");
}

/* Of the run before. Between the ends of two steps stands one step, and after every fourth an evaluation and a save. */
static void a_step_waits_once_and_sends_each_micro_batch_once(void **state) {
  (void)state;
  int plain = 0;
  for (int step = 2; step <= STEPS; step++) {
    const sight *was = &sights[step - 1], *is = &sights[step];
    assert_int_equal(is->counts.allocations, sights[1].counts.allocations);
    if ((step - 1) % EVAL_STEPS == 0) continue;
    plain++;
    assert_int_equal(is->waits - was->waits, 1);
    assert_int_equal(is->counts.blocking_copies - was->counts.blocking_copies, 1);
    assert_in_range(is->counts.uploads - was->counts.uploads, 3, 4); /* of 384 tokens, 128 at a time */
    assert_int_equal(is->counts.downloads - was->counts.downloads, 0);
  }
  assert_int_equal(plain, STEPS - 2);
}

static int setup(void **state) {
  setenv("PROTLM_CPU", "ref", 1); /* whose operators the late device runs */
  watched = plm_backend_late;
  watched.name = "watched";
  watched.open = open_watched;
  if (plm_backend_register(&watched) != PLM_OK) return -1;
  return scratch_setup(state);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_trains_evaluates_and_saves_the_same_bytes_in_fp32),
      cmocka_unit_test(it_trains_evaluates_and_saves_the_same_bytes_in_bf16),
      cmocka_unit_test(a_step_waits_once_and_sends_each_micro_batch_once),
  };
  return cmocka_run_group_tests(tests, setup, scratch_teardown);
}
