/* The logs of a run: exact form of the lines, and each step once whatever was killed. */
#include "support/unit.h"

#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/file.h"
#include "runlog/internal.h"
#include "support/records.h"
#include "support/scratch.h"

static plm_record train_line(int64_t step) {
  const double values[PLM_MEASURES] = {
      [PLM_MEASURE_STEP] = (double)step,
      [PLM_MEASURE_EPOCH] = 0.25 * (double)step,
      [PLM_MEASURE_LOSS] = 3.0 - 0.1 * (double)step,
      [PLM_MEASURE_GRAD_NORM] = 1.0 / 3.0,
      [PLM_MEASURE_LEARNING_RATE] = 4e-4,
      [PLM_MEASURE_TOKENS] = 1000 * (double)step,
      [PLM_MEASURE_RESIDUES] = 980 * (double)step,
      [PLM_MEASURE_SECONDS] = 1.5 * (double)step,
      [PLM_MEASURE_RESIDUES_PER_S] = 653.333333333,
      [PLM_MEASURE_DATA_WAIT] = 0.01,
  };
  return record_of(PLM_TRAIN_LINE, values);
}

static plm_record eval_line(int64_t step) {
  const double values[PLM_MEASURES] = {
      [PLM_MEASURE_STEP] = (double)step,
      [PLM_MEASURE_EPOCH] = 0.25 * (double)step,
      [PLM_MEASURE_EVAL_LOSS] = 2.75,
      [PLM_MEASURE_EVAL_LOSS_SE] = 0.01,
      [PLM_MEASURE_EVAL_PERPLEXITY] = 15.6426319,
      [PLM_MEASURE_EVAL_ACCURACY] = 0.2,
      [PLM_MEASURE_EVAL_COUNT] = 4096,
      [PLM_MEASURE_EVAL_LOSS_MASKED] = 2.8,
      [PLM_MEASURE_EVAL_LOSS_MASKED_SE] = 0.011,
      [PLM_MEASURE_EVAL_PERPLEXITY_MASKED] = 16.4446468,
      [PLM_MEASURE_EVAL_ACCURACY_MASKED] = 0.15,
      [PLM_MEASURE_EVAL_COUNT_MASKED] = 3277,
      [PLM_MEASURE_BASELINE_FREQUENCY] = 18.2,
      [PLM_MEASURE_BASELINE_COPY] = 15.1,
      [PLM_MEASURE_BASELINE_FREQUENCY_MASKED] = 18.25,
      [PLM_MEASURE_BASELINE_COPY_MASKED] = 18.25,
      [PLM_MEASURE_GAIN_MASKED] = 0.104,
      [PLM_MEASURE_GAIN_MASKED_SE] = 0.02,
      [PLM_MEASURE_EVAL_SECONDS] = 2,
  };
  return record_of(PLM_EVAL_LINE, values);
}

/* A fresh run directory with lines at steps 1..steps, an evaluation at each even one. */
static const char *make_run(const char *name, int64_t steps) {
  static char directory[1024];
  plm_metrics *metrics;
  snprintf(directory, sizeof directory, "%s", scratch_path(name));
  assert_ok(plm_directory_make(directory));
  assert_ok(plm_metrics_open(directory, -1, &metrics));
  for (int64_t step = 1; step <= steps; step++) {
    const plm_record train = train_line(step), eval = eval_line(step);
    assert_ok(plm_metrics_write(metrics, &train));
    if (step % 2 == 0) assert_ok(plm_metrics_write(metrics, &eval));
  }
  assert_ok(plm_metrics_sync(metrics));
  assert_ok(plm_metrics_close(&metrics));
  return directory;
}

static char *read_file(const char *directory, const char *name) {
  char *path, *data;
  size_t bytes;
  assert_ok(plm_path_join(directory, name, &path));
  assert_ok(plm_file_read(path, 1 << 24, &data, &bytes));
  plm_free(path);
  return data;
}

static void assert_file_equal(const char *directory, const char *name, const char *expected) {
  char *data = read_file(directory, name);
  assert_string_equal(data, expected);
  plm_free(data);
}

static void append_text(const char *directory, const char *name, const char *text) {
  char *path;
  assert_ok(plm_path_join(directory, name, &path));
  FILE *file = fopen(path, "ab");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
  plm_free(path);
}

static void reopen(const char *directory, int64_t from_step) {
  plm_metrics *metrics;
  assert_ok(plm_metrics_open(directory, from_step, &metrics));
  assert_ok(plm_metrics_close(&metrics));
}

#define TRAIN_1                                                                                                 \
  "{\"step\":1,\"epoch\":0.25,\"loss\":2.9,\"grad_norm\":0.333333333,\"learning_rate\":0.0004,\"tokens\":1000," \
  "\"residues\":980,\"seconds\":1.5,\"residues_per_s\":653.333333,\"data_wait\":0.01}\n"
#define TRAIN_2                                                                                                \
  "{\"step\":2,\"epoch\":0.5,\"loss\":2.8,\"grad_norm\":0.333333333,\"learning_rate\":0.0004,\"tokens\":2000," \
  "\"residues\":1960,\"seconds\":3,\"residues_per_s\":653.333333,\"data_wait\":0.01}\n"
#define EVAL_2                                                                                         \
  "{\"step\":2,\"epoch\":0.5,\"eval_loss\":2.75,\"eval_loss_se\":0.01,\"eval_perplexity\":15.6426319," \
  "\"eval_accuracy\":0.2,\"eval_count\":4096,\"eval_loss_masked\":2.8,\"eval_loss_masked_se\":0.011,"  \
  "\"eval_perplexity_masked\":16.4446468,\"eval_accuracy_masked\":0.15,\"eval_count_masked\":3277,"    \
  "\"baseline_frequency\":18.2,\"baseline_copy\":15.1,\"baseline_frequency_masked\":18.25,"            \
  "\"baseline_copy_masked\":18.25,\"gain_masked\":0.104,\"gain_masked_se\":0.02,\"eval_seconds\":2}\n"
#define CSV_HEADER                                                                                                   \
  "epoch,step,loss,grad_norm,learning_rate,tokens,residues,seconds,residues_per_s,data_wait,eval_loss,eval_loss_se," \
  "eval_perplexity,eval_accuracy,eval_count,eval_loss_masked,eval_loss_masked_se,eval_perplexity_masked,"            \
  "eval_accuracy_masked,eval_count_masked,baseline_frequency,baseline_copy,baseline_frequency_masked,"               \
  "baseline_copy_masked,gain_masked,gain_masked_se,eval_seconds\n"

static void lines_are_the_contract(void **state) {
  (void)state;
  const char *run = make_run("form", 2);
  assert_file_equal(run, "log.jsonl", TRAIN_1 TRAIN_2 EVAL_2);
  assert_file_equal(
      run, "metrics.csv",
      CSV_HEADER
      "0.25,1,2.9,0.333333333,0.0004,1000,980,1.5,653.333333,0.01,,,,,,,,,,,,,,,,,\n"
      "0.5,2,2.8,0.333333333,0.0004,2000,1960,3,653.333333,0.01,,,,,,,,,,,,,,,,,\n"
      "0.5,2,,,,,,,,,2.75,0.01,15.6426319,0.2,4096,2.8,0.011,16.4446468,0.15,3277,18.2,15.1,18.25,18.25,0.104,0.02,2\n");
}

static void what_is_not_finite_is_null(void **state) {
  (void)state;
  const char *run = make_run("null", 0);
  plm_metrics *metrics;
  assert_ok(plm_metrics_open(run, -1, &metrics));
  plm_record line = train_line(1);
  plm_record_set(&line, PLM_MEASURE_LOSS, (double)NAN);
  plm_record_set(&line, PLM_MEASURE_GRAD_NORM, (double)INFINITY);
  assert_ok(plm_metrics_write(metrics, &line));
  assert_ok(plm_metrics_close(&metrics));
  char *log = read_file(run, "log.jsonl"), *csv = read_file(run, "metrics.csv");
  assert_non_null(strstr(log, "\"loss\":null,\"grad_norm\":null,"));
  assert_non_null(strstr(csv, "\n0.25,1,nan,nan,0.0004,"));
  reopen(run, 1);
  assert_file_equal(run, "log.jsonl", log);
  assert_file_equal(run, "metrics.csv", csv); /* the table made again says the same */
  plm_free(log);
  plm_free(csv);
}

static void resume_moves_later_lines_away(void **state) {
  (void)state;
  const char *run = make_run("later", 4);
  char *before = read_file(run, "log.jsonl");
  reopen(run, 2);
  assert_file_equal(run, "log.jsonl", TRAIN_1 TRAIN_2 EVAL_2);
  assert_file_equal(run, "log.replaced.jsonl", before + strlen(TRAIN_1 TRAIN_2 EVAL_2));
  char *csv = read_file(run, "metrics.csv");
  assert_null(strstr(csv, "\n0.75,3,"));
  assert_non_null(strstr(csv, "\n0.5,2,"));
  plm_free(csv);
  plm_free(before);
}

static void resuming_twice_changes_nothing_more(void **state) {
  (void)state;
  const char *run = make_run("twice", 4);
  reopen(run, 2);
  char *log = read_file(run, "log.jsonl"), *csv = read_file(run, "metrics.csv"),
       *replaced = read_file(run, "log.replaced.jsonl");
  reopen(run, 2);
  assert_file_equal(run, "log.jsonl", log);
  assert_file_equal(run, "metrics.csv", csv);
  assert_file_equal(run, "log.replaced.jsonl", replaced);
  plm_free(log);
  plm_free(csv);
  plm_free(replaced);
}

/* As if killed after log.replaced.jsonl was written but before log.jsonl was, then resumed from an older checkpoint. */
static void lines_moved_before_a_kill_are_not_moved_twice(void **state) {
  (void)state;
  const char *run = make_run("moved", 4);
  char *whole = read_file(run, "log.jsonl");
  append_text(run, "log.replaced.jsonl", "{\"step\":9}\n");
  append_text(run, "log.replaced.jsonl", strstr(whole, "{\"step\":3"));
  reopen(run, 1);
  char expected[8192];
  snprintf(expected, sizeof expected, "{\"step\":9}\n%s", whole + strlen(TRAIN_1));
  assert_file_equal(run, "log.replaced.jsonl", expected);
  assert_file_equal(run, "log.jsonl", TRAIN_1);
  plm_free(whole);
}

static void torn_and_garbled_lines_are_dropped(void **state) {
  (void)state;
  const char *run = make_run("torn", 2);
  append_text(run, "log.jsonl", "\x01\x02garbage\n{\"no\":\"step\"}\n{\"step\":3,\"lo");
  append_text(run, "metrics.csv", "0.75,3");
  reopen(run, 3);
  assert_file_equal(run, "log.jsonl", TRAIN_1 TRAIN_2 EVAL_2);
  char *csv = read_file(run, "metrics.csv");
  assert_null(strstr(csv, "0.75,3"));
  plm_free(csv);
}

static void a_new_run_moves_what_a_dead_one_left(void **state) {
  (void)state;
  const char *run = make_run("new", 2);
  reopen(run, -1);
  assert_file_equal(run, "log.jsonl", "");
  assert_file_equal(run, "metrics.csv", CSV_HEADER);
  assert_file_equal(run, "log.replaced.jsonl", TRAIN_1 TRAIN_2 EVAL_2);
}

static void history_is_the_log_up_to_a_step(void **state) {
  (void)state;
  const char *run = make_run("history", 4);
  json_t *history;
  assert_ok(plm_metrics_history(run, 2, &history));
  assert_int_equal(json_array_size(history), 3);
  assert_true(fabs(json_number_value(json_object_get(json_array_get(history, 2), "eval_loss")) - 2.75) < 1e-12);
  json_decref(history);
  assert_ok(plm_metrics_history(scratch_path("absent"), 2, &history));
  assert_int_equal(json_array_size(history), 0);
  json_decref(history);
}

/* docs/formats.md against the table of measures: each field, in the table of its kind of line; the columns of
 * metrics.csv and the scalars of TensorBoard, each list whole and in order. */
static void documents_say_what_the_table_says(void **state) {
  (void)state;
  char *document, quoted[128], columns[2048] = "", scalars[2048] = "";
  size_t bytes;
  assert_ok(plm_file_read(PLM_SOURCE_DIR "/docs/formats.md", 1 << 20, &document, &bytes));
  const char *train = strstr(document, "| training line |"), *eval = strstr(document, "| evaluation line |"),
             *after = strstr(document, "**After a kill.**");
  assert_true(train != NULL && eval > train && after > eval);
  for (int i = 0; i < PLM_MEASURES; i++) {
    const plm_measure *m = plm_measure_at(i);
    snprintf(quoted, sizeof quoted, "`%s`", m->name);
    for (unsigned line = PLM_TRAIN_LINE; line <= PLM_EVAL_LINE; line++) {
      const char *at = strstr(line == PLM_TRAIN_LINE ? train : eval, quoted);
      bool is_there = at != NULL && at < (line == PLM_TRAIN_LINE ? eval : after);
      if (is_there != ((m->lines & line) != 0)) fail_msg("docs/formats.md and the table differ on %s", quoted);
    }
    if (!m->of_ranks)
      snprintf(columns + strlen(columns), sizeof columns - strlen(columns), "%s%s", i > 0 ? ", " : "Columns: `",
               m->name);
    if (m->tag != NULL)
      snprintf(scalars + strlen(scalars), sizeof scalars - strlen(scalars), "%s`%s`",
               scalars[0] != '\0' ? ", " : "Scalars: ", m->tag);
  }
  strcat(columns, "`.");
  strcat(scalars, ".");
  for (char *c = document; *c != '\0'; c++)
    if (*c == '\n') *c = ' ';
  if (strstr(document, columns) == NULL) fail_msg("docs/formats.md lacks: %s", columns);
  if (strstr(document, scalars) == NULL) fail_msg("docs/formats.md lacks: %s", scalars);
  plm_free(document);
}

/* Every allocation of a resume made to fail in turn: a status, no leak, and the logs afterwards as if nothing had
 * happened. */
static void a_failed_allocation_loses_no_line(void **state) {
  (void)state;
  const char *run = make_run("memory", 4);
  char *whole = read_file(run, "log.jsonl");
  plm_status status = PLM_E_RESOURCE;
  int64_t n = 0, live = plm_alloc_live();
  while (status != PLM_OK) {
    plm_metrics *metrics = NULL;
    plm_alloc_fail_at(++n);
    status = plm_metrics_open(run, 2, &metrics);
    plm_alloc_fail_at(0);
    if (status == PLM_OK)
      assert_ok(plm_metrics_close(&metrics));
    else
      assert_int_equal(status, PLM_E_RESOURCE);
    assert_int_equal(plm_alloc_live(), live);
  }
  assert_true(n > 20);
  assert_file_equal(run, "log.jsonl", TRAIN_1 TRAIN_2 EVAL_2);
  assert_file_equal(run, "log.replaced.jsonl", whole + strlen(TRAIN_1 TRAIN_2 EVAL_2));
  plm_free(whole);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lines_are_the_contract),
      cmocka_unit_test(what_is_not_finite_is_null),
      cmocka_unit_test(resume_moves_later_lines_away),
      cmocka_unit_test(resuming_twice_changes_nothing_more),
      cmocka_unit_test(lines_moved_before_a_kill_are_not_moved_twice),
      cmocka_unit_test(torn_and_garbled_lines_are_dropped),
      cmocka_unit_test(a_new_run_moves_what_a_dead_one_left),
      cmocka_unit_test(documents_say_what_the_table_says),
      cmocka_unit_test(history_is_the_log_up_to_a_step),
      cmocka_unit_test(a_failed_allocation_loses_no_line),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
