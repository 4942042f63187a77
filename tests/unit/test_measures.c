/* A measure added by this program, which nothing in src/ knows of: it stands wherever the built-in ones do. */
#include "support/unit.h"

#include <glob.h>
#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/file.h"
#include "protlm/commands.h"
#include "protlm/train.h"
#include "runlog/measures.h"
#include "support/scratch.h"

static double error_masked(const plm_totals *totals, plm_sum of, plm_sum per) {
  return 1 - plm_total_mean(totals, of, per);
}

/* All that a new metric is. */
static const plm_measure error_row = {
    .name = "eval_error_masked",
    .tag = "eval/error_masked",
    .words = "wrong letters",
    .unit = "%",
    .better = PLM_BETTER_LOWER,
    .lines = PLM_EVAL_LINE,
    .is_masked = true,
    .is_drawn = true,
    .decimals = 2,
    .page_decimals = 1,
    .make = error_masked,
    .of = PLM_SUM_CORRECT_MASKED,
    .per = PLM_SUM_COUNT_MASKED,
};

#define PROTEINS PLM_SOURCE_DIR "/tests/integration/proteins.fasta"

static char *word(const char *text) { return (char *)(uintptr_t)text; }

/* A run of one layer, an evaluation and a checkpoint each step, up to step `steps`. */
static void train_to(const char *steps) {
  char *words[] = {
      word("--model"),
      word("esm2_t6_8M"),
      word("--num-hidden-layers"),
      word("1"),
      word("--hidden-size"),
      word("16"),
      word("--num-attention-heads"),
      word("2"),
      word("--max-length"),
      word("256"),
      word("--batch-tokens"),
      word("512"),
      word("--micro-batch-tokens"),
      word("512"),
      word("--threads"),
      word("1"),
      word("--save-steps"),
      word("1"),
      word("--eval-steps"),
      word("1"),
      word("--logging-steps"),
      word("1"),
      word("--lr-scheduler-type"),
      word("constant"),
      word("--train"),
      word(PROTEINS),
      word("--eval"),
      word(PROTEINS),
      word("--cache-dir"),
      word(scratch_path("cache")),
      word("--output-dir"),
      word(scratch_path("run")),
      word("--allow-change"),
      word("max-steps"),
      word("--max-steps"),
      word(steps),
  };
  plm_option_values *values;
  plm_train_result result;
  assert_ok(plm_options_load(plm_train_option_table(), sizeof words / sizeof *words, words, &values));
  assert_ok(plm_train(values, NULL, &result));
  plm_option_values_destroy(values);
}

static void keep_text(void *user, const char *text) { strncat(user, text, 4000 - strlen(user)); }

static void evaluate(const char *form, char text[4096]) {
  char *words[] = {
      word("--model"),     word(scratch_path("run/final")), word("--data"),    word(PROTEINS),
      word("--cache-dir"), word(scratch_path("cache")),     word("--threads"), word("1"),
      word(form),
  };
  const plm_output output = {.user = text, .write = keep_text, .width = 80};
  int count;
  const plm_command *commands = plm_commands(&count);
  for (int i = 0; i < count; i++) {
    plm_option_values *values;
    if (strcmp(commands[i].name, "eval") != 0) continue;
    assert_ok(plm_options_load(commands[i].options(), sizeof words / sizeof *words - (form == NULL), words, &values));
    text[0] = '\0';
    assert_ok(commands[i].run(values, &output));
    plm_option_values_destroy(values);
  }
}

/* 1 - eval_accuracy_masked of the same line, so far as nine digits tell. */
static void assert_is_error(const json_t *line) {
  double error = json_number_value(json_object_get(line, "eval_error_masked"));
  assert_true(error > 0 && fabs(1 - error - json_number_value(json_object_get(line, "eval_accuracy_masked"))) < 1e-8);
}

static void check_log(int64_t known_from) {
  json_t *state, *line;
  size_t i;
  int with = 0, without = 0;
  assert_ok(plm_json_load(scratch_path("run/checkpoint-4/trainer_state.json"), &state));
  json_array_foreach(json_object_get(state, "log_history"), i, line) {
    const json_t *value = json_object_get(line, "eval_error_masked");
    bool has =
        json_object_get(line, "eval_loss") != NULL && json_integer_value(json_object_get(line, "step")) >= known_from;
    assert_int_equal(value != NULL, has);
    with += has;
    without += !has;
    if (has) assert_is_error(line);
  }
  json_decref(state);
  assert_true(with == 2 && without > 4);
}

/* The column is there for every line, empty for lines of the time before. */
static void check_csv(int64_t known_from) {
  char *csv = word(scratch_read("run/metrics.csv")), *rest = csv, *line = strtok_r(csv, "\n", &rest);
  int rows = 0, columns = 0;
  for (int i = 0; i < PLM_MEASURES; i++) columns += !plm_measure_at(i)->of_ranks;
  assert_string_equal(strrchr(line, ','), ",eval_error_masked");
  while ((line = strtok_r(NULL, "\n", &rest)) != NULL) {
    int commas = 0, loss_at = 0;
    double epoch;
    long long step;
    for (const char *c = line; *c != '\0'; c++) commas += *c == ',';
    assert_int_equal(commas, columns);
    assert_int_equal(sscanf(line, "%lf,%lld,%n", &epoch, &step, &loss_at), 2);
    assert_int_equal(strrchr(line, ',')[1] != '\0', line[loss_at] == ',' && step >= known_from);
    rows++;
  }
  assert_true(rows > 4);
}

static void a_registered_measure_is_everywhere(void **state) {
  (void)state;
  char text[4096];
  char *html;
  size_t html_bytes;
  glob_t events;
  int found = 0;
  train_to("2");
  assert_null(strstr(scratch_read("run/metrics.csv"), "eval_error_masked"));
  assert_ok(plm_measure_register(&error_row));
  train_to("4"); /* goes on where the program without the row has stopped */
  check_log(3);
  check_csv(3);
  assert_non_null(strstr(scratch_read("run/log.jsonl"), "\"eval_error_masked\":0."));
  assert_null(strstr(scratch_read("run/checkpoint-4/protlm_state.json"), "error_masked"));

  assert_int_equal(glob(scratch_path("run/events.out.tfevents.*"), 0, NULL, &events), 0);
  for (size_t i = 0; i < events.gl_pathc; i++) {
    char *data;
    size_t bytes;
    assert_ok(plm_file_read(events.gl_pathv[i], 1 << 20, &data, &bytes));
    for (size_t at = 0; at + 17 < bytes; at++) found += memcmp(data + at, "eval/error_masked", 17) == 0;
    plm_free(data);
  }
  globfree(&events);
  assert_int_equal(found, 2);

  assert_ok(plm_file_read(scratch_path("run/report.html"), 1 << 24, &html, &html_bytes));
  assert_non_null(strstr(html, "<figure id=\"eval_error_masked\">"));
  assert_non_null(strstr(html, "<th>wrong letters</th>"));
  assert_non_null(strstr(html, "Lower is better."));
  plm_free(html);
  evaluate(NULL, text);
  assert_non_null(strstr(text, "\n  wrong letters (%)                                - "));
  evaluate("--json", text);
  json_t *line;
  assert_ok(plm_json_parse(text, strlen(text), 4, "eval", &line));
  assert_is_error(line);
  json_decref(line);
}

/* A mean over nothing is no number, and no count either. */
static void a_count_that_is_no_number_is_empty(void **state) {
  (void)state;
  const double values[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, 0x1p63};
  plm_record record = {0};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    plm_record_set(&record, PLM_MEASURE_EVAL_COUNT, 7.9);
    assert_true(plm_record_number(&record, PLM_MEASURE_EVAL_COUNT) == 7);
    plm_record_set(&record, PLM_MEASURE_EVAL_COUNT, values[i]);
    assert_int_equal(record.cell[PLM_MEASURE_EVAL_COUNT].kind, PLM_CELL_EMPTY);
  }
  plm_record_set(&record, PLM_MEASURE_EVAL_LOSS, (double)NAN);
  assert_int_equal(record.cell[PLM_MEASURE_EVAL_LOSS].kind, PLM_CELL_NUMBER);
}

static void a_row_that_cannot_be_is_refused(void **state) {
  (void)state;
  plm_measure row = error_row;
  char names[PLM_MAX_MEASURES][24];
  assert_int_equal(plm_measure_register(&row), PLM_E_BUG); /* there is one of the name */
  row.name = "Eval Error";
  assert_int_equal(plm_measure_register(&row), PLM_E_BUG);
  row.name = "eval_other";
  row.make = NULL;
  assert_int_equal(plm_measure_register(&row), PLM_E_BUG);
  row.make = error_masked;
  row.state = "last_other"; /* old states lack the field */
  assert_int_equal(plm_measure_register(&row), PLM_E_BUG);
  row.state = NULL;
  row.is_placed = true; /* its place is behind those that have one */
  assert_int_equal(plm_measure_register(&row), PLM_E_BUG);
  row.is_placed = false;
  for (int i = plm_measure_count(); i < PLM_MAX_MEASURES; i++) {
    snprintf(names[i], sizeof names[i], "eval_%d", i);
    row.name = names[i];
    assert_ok(plm_measure_register(&row));
  }
  row.name = "eval_one_more";
  assert_int_equal(plm_measure_register(&row), PLM_E_BUG);
  assert_int_equal(plm_measure_count(), PLM_MAX_MEASURES);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_registered_measure_is_everywhere), cmocka_unit_test(a_count_that_is_no_number_is_empty),
      cmocka_unit_test(a_row_that_cannot_be_is_refused), /* last: what it registers stays */
  };
  return cmocka_run_group_tests_name("measures", tests, scratch_setup, scratch_teardown);
}
