/* log.jsonl and metrics.csv to the letter: keys, their order and meaning, the form of numbers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "integration/files.h"
#include "integration/logs.h"
#include "integration/run.h"
#include "integration/tiny.h"
#include "support/scratch.h"
#include "support/unit.h"

#define TRAIN TINY_TRAIN " --threads 1 --dtype fp32 --eval {}/proteins.fasta --warmup-steps 10"

static int prepare(void **state) {
  if (run_setup(state) != 0) return -1;
  run_result r = run_protlm(NULL, TRAIN " --max-steps 24 --eval-steps 10 --output-dir {}/run");
  run_expect(&r, 0);
  return 0;
}

static void expect_keys(const json_t *line, const char *keys) {
  char found[1024];
  size_t used = 0;
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)line, name, value) used +=
      (size_t)snprintf(found + used, sizeof found - used, "%s%s", used > 0 ? " " : "", name);
  assert_string_equal(found, keys);
}

static void lines_have_these_keys(void **state) {
  (void)state;
  json_t *lines = log_read("run"), *line;
  size_t i;
  json_array_foreach(lines, i, line) {
    if (log_is_training(line))
      expect_keys(line, "step epoch loss grad_norm learning_rate tokens residues seconds residues_per_s data_wait");
    else
      expect_keys(
          line,
          "step epoch eval_loss eval_loss_se eval_perplexity eval_accuracy eval_count eval_loss_masked eval_loss_masked_se eval_perplexity_masked "
          "eval_accuracy_masked eval_count_masked baseline_frequency baseline_copy baseline_frequency_masked baseline_copy_masked gain_masked "
          "gain_masked_se eval_seconds");
  }
  json_decref(lines);
}

/* Significant digits of the number at `text`. */
static int significant_digits(const char *text) {
  int digits = 0, zeros = 0;
  for (; (*text >= '0' && *text <= '9') || *text == '.' || *text == '-'; text++) {
    if (*text == '.' || *text == '-' || (digits == 0 && *text == '0')) continue;
    digits++;
    zeros = *text == '0' ? zeros + 1 : 0;
  }
  return digits - zeros;
}

static void numbers_have_nine_digits_at_most(void **state) {
  (void)state;
  int longest = 0;
  for (const char *p = file_read("run/log.jsonl"); (p = strchr(p, ':')) != NULL;) {
    int digits = significant_digits(++p);
    if (digits > longest) longest = digits;
    if (digits > 9) fail_msg("%d digits: %.30s", digits, p);
  }
  assert_int_equal(longest, 9);
}

static void evaluations_stand_where_they_are_due(void **state) {
  static const int64_t due[] = {0, 10, 20, 24};
  (void)state;
  json_t *lines = log_read("run"), *line;
  size_t i, n = 0;
  json_array_foreach(lines, i, line) {
    if (log_is_training(line)) continue;
    assert_true(n < 4);
    assert_int_equal(log_count(line, "step"), due[n++]);
    assert_true(fabs(exp(log_number(line, "eval_loss")) / log_number(line, "eval_perplexity") - 1) < 1e-7);
    assert_true(fabs(exp(log_number(line, "eval_loss_masked")) / log_number(line, "eval_perplexity_masked") - 1) <
                1e-7);
    assert_true(log_number(line, "eval_accuracy") >= 0 && log_number(line, "eval_accuracy") <= 1);
    assert_true(log_count(line, "eval_count") >= 40 &&
                log_count(line, "eval_count_masked") < log_count(line, "eval_count"));
    assert_true(log_number(line, "eval_loss_se") > 0);
  }
  assert_int_equal(n, 4);
  log_expect_each_step_once("run", 1, 24);
  json_decref(lines);
}

/* Warm-up to 2e-3 in ten updates, and each line has the rate its own update was made with. */
static void the_learning_rate_is_the_one_applied(void **state) {
  (void)state;
  json_t *lines = log_read("run"), *line;
  size_t i;
  json_array_foreach(lines, i, line) {
    if (!log_is_training(line)) continue;
    int64_t step = log_count(line, "step");
    double rate = log_number(line, "learning_rate"), expected = 2e-3 * (double)step / 10;
    if (step <= 10 && fabs(rate - expected) > 1e-9)
      fail_msg("step %lld: learning rate %.9g, not %.9g", (long long)step, rate, expected);
    if (step > 11 && rate >= 2e-3) fail_msg("step %lld: learning rate %.9g has not come down", (long long)step, rate);
  }
  json_decref(lines);
}

static void totals_add_up(void **state) {
  (void)state;
  json_t *lines = log_read("run"), *line;
  size_t i;
  int64_t tokens = 0, residues = 0;
  double seconds = 0, epoch = 0;
  json_array_foreach(lines, i, line) {
    if (!log_is_training(line)) continue;
    double interval = log_number(line, "seconds") - seconds;
    int64_t trained = log_count(line, "residues") - residues, packed = log_count(line, "tokens") - tokens;
    if (interval <= 0) fail_msg("line %zu: the clock went from %.9g by %.9g s", i + 1, seconds, interval);
    /* 40 proteins, 4,400 residues, 4,480 tokens in 8 batches of 512 to 640 or so, each sequence with <cls> and <eos> */
    if (packed <= trained || packed > 800 || trained < 300 || (packed - trained) % 2 != 0)
      fail_msg("line %zu: %lld tokens, %lld residues in a step", i + 1, (long long)packed, (long long)trained);
    double rate = log_number(line, "residues_per_s");
    if (fabs(rate * interval / (double)trained - 1) > 1e-3)
      fail_msg("line %zu: %.9g residues/s, but %lld in %.9g s", i + 1, rate, (long long)trained, interval);
    if (fabs(log_number(line, "epoch") - epoch - 0.125) > 1e-6)
      fail_msg("line %zu: epoch %.9g after %.9g", i + 1, log_number(line, "epoch"), epoch);
    double wait = log_number(line, "data_wait");
    if (!(wait >= 0 && wait <= 1)) fail_msg("line %zu: data_wait %.9g", i + 1, wait);
    seconds = log_number(line, "seconds"), epoch = log_number(line, "epoch");
    tokens += packed, residues += trained;
    if (log_count(line, "step") % 8 == 0) assert_int_equal(residues, 4400 * (log_count(line, "step") / 8));
  }
  json_decref(lines);
}

static void metrics_csv_says_the_same(void **state) {
  (void)state;
  log_expect_csv_matches("run");
  if (strncmp(file_read("run/metrics.csv"), "epoch,step,loss,", 16) != 0)
    fail_msg("the demo's columns don't come first: %.40s", file_read("run/metrics.csv"));
}

/* In the shape of Hugging Face's Trainer, whose plot scripts read it. */
static void trainer_state_has_the_same_history(void **state) {
  (void)state;
  json_error_t error;
  json_t *document = json_load_file(file_path("run/checkpoint-24/trainer_state.json"), 0, &error),
         *lines = log_read("run");
  if (document == NULL) fail_msg("trainer_state.json: %s", error.text);
  json_t *history = json_object_get(document, "log_history");
  assert_int_equal(log_count(document, "global_step"), 24);
  assert_int_equal(log_count(document, "max_steps"), 24);
  assert_int_equal(json_array_size(history), json_array_size(lines));
  if (!json_equal(history, lines))
    fail_msg("log_history differs from log.jsonl:\n%s", json_dumps(history, JSON_COMPACT));
  json_decref(document);
  json_decref(lines);
}

/* A line for several steps holds the token-weighted mean of their losses, and the last step's rate. */
static void longer_intervals_are_means(void **state) {
  (void)state;
  run_result r = run_protlm(
      NULL, "train " TINY_MODEL " " TINY_BATCH " " TINY_DATA
            " --threads 1 --dtype fp32 --warmup-steps 10 --max-steps 24 --logging-steps 5 --output-dir {}/five");
  run_expect(&r, 0);
  json_t *single = log_read("run"), *five = log_read("five"), *line, *part;
  size_t i, j;
  assert_int_equal(json_array_size(five), 5);
  json_array_foreach(five, i, line) {
    int64_t step = log_count(line, "step");
    double low = 1e9, high = 0;
    assert_int_equal(step, i < 4 ? 5 * ((int64_t)i + 1) : 24);
    json_array_foreach(single, j, part) {
      if (!log_is_training(part) || log_count(part, "step") <= 5 * (int64_t)i || log_count(part, "step") > step)
        continue;
      low = fmin(low, log_number(part, "loss"));
      high = fmax(high, log_number(part, "loss"));
      if (log_count(part, "step") != step) continue;
      assert_true(log_number(part, "learning_rate") == log_number(line, "learning_rate"));
      assert_int_equal(log_count(part, "residues"), log_count(line, "residues"));
    }
    assert_true(log_number(line, "loss") > low && log_number(line, "loss") < high);
  }
  json_decref(single);
  json_decref(five);
}

/* `seconds` goes on where the last start left it. */
static void seconds_include_earlier_starts(void **state) {
  (void)state;
  run_result r = run_protlm(NULL, TRAIN " --max-steps 48 --eval-steps 10 --allow-change max-steps --output-dir {}/run");
  run_expect(&r, 0);
  json_t *lines = log_read("run"), *line;
  size_t i;
  double before = 0, first = 0;
  json_array_foreach(lines, i, line) {
    if (!log_is_training(line)) continue;
    double seconds = log_number(line, "seconds");
    if (seconds <= before)
      fail_msg("step %lld: %.9g s after %.9g s", (long long)log_count(line, "step"), seconds, before);
    if (log_count(line, "step") == 24) first = seconds;
    before = seconds;
  }
  if (before > first + r.seconds + 1)
    fail_msg("%.9g s, though the first start took %.9g s and the second %.9g s", before, first, r.seconds);
  json_decref(lines);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lines_have_these_keys),
      cmocka_unit_test(numbers_have_nine_digits_at_most),
      cmocka_unit_test(evaluations_stand_where_they_are_due),
      cmocka_unit_test(the_learning_rate_is_the_one_applied),
      cmocka_unit_test(totals_add_up),
      cmocka_unit_test(metrics_csv_says_the_same),
      cmocka_unit_test(trainer_state_has_the_same_history),
      cmocka_unit_test(longer_intervals_are_means),
      cmocka_unit_test(seconds_include_earlier_starts),
  };
  return cmocka_run_group_tests(tests, prepare, scratch_teardown);
}
