/* The report page: one file, well-formed, escaped, about any run there can be. */
#include "support/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/file.h"
#include "runlog/metrics.h"
#include "report/report.h"
#include "report/internal.h"
#include "support/records.h"
#include "support/scratch.h"

/* ---- runs to report on ---- */

static const char *run_directory(const char *name) {
  static char directory[1024];
  snprintf(directory, sizeof directory, "%s", scratch_path(name));
  assert_ok(plm_directory_make(directory));
  return directory;
}

static void put_file(const char *directory, const char *name, const char *text) {
  char *path;
  assert_ok(plm_path_join(directory, name, &path));
  assert_ok(plm_file_replace(path, text, strlen(text)));
  plm_free(path);
}

static void log_training(plm_metrics *metrics, int64_t step, double loss) {
  const double values[PLM_MEASURES] = {
      [PLM_MEASURE_STEP] = (double)step,
      [PLM_MEASURE_EPOCH] = 0.01 * (double)step,
      [PLM_MEASURE_LOSS] = loss,
      [PLM_MEASURE_GRAD_NORM] = 1.5,
      [PLM_MEASURE_LEARNING_RATE] = 4e-4,
      [PLM_MEASURE_TOKENS] = 100 * (double)step,
      [PLM_MEASURE_RESIDUES] = 98 * (double)step,
      [PLM_MEASURE_SECONDS] = 0.5 * (double)step,
      [PLM_MEASURE_RESIDUES_PER_S] = 196,
      [PLM_MEASURE_DATA_WAIT] = 0.02,
  };
  const plm_record line = record_of(PLM_TRAIN_LINE, values);
  assert_ok(plm_metrics_write(metrics, &line));
}

static void log_evaluation(plm_metrics *metrics, int64_t step, double loss, double gain) {
  const double values[PLM_MEASURES] = {
      [PLM_MEASURE_STEP] = (double)step,
      [PLM_MEASURE_EPOCH] = 0.01 * (double)step,
      [PLM_MEASURE_EVAL_LOSS] = loss,
      [PLM_MEASURE_EVAL_LOSS_SE] = 0.01,
      [PLM_MEASURE_EVAL_PERPLEXITY] = exp(loss),
      [PLM_MEASURE_EVAL_ACCURACY] = 0.2,
      [PLM_MEASURE_EVAL_COUNT] = 5000,
      [PLM_MEASURE_EVAL_LOSS_MASKED] = loss,
      [PLM_MEASURE_EVAL_LOSS_MASKED_SE] = 0.01,
      [PLM_MEASURE_EVAL_PERPLEXITY_MASKED] = exp(loss),
      [PLM_MEASURE_EVAL_ACCURACY_MASKED] = 0.2,
      [PLM_MEASURE_EVAL_COUNT_MASKED] = 4000,
      [PLM_MEASURE_BASELINE_FREQUENCY] = 18.1,
      [PLM_MEASURE_BASELINE_COPY] = 15.1,
      [PLM_MEASURE_BASELINE_FREQUENCY_MASKED] = 18.1,
      [PLM_MEASURE_BASELINE_COPY_MASKED] = 18.1,
      [PLM_MEASURE_GAIN_MASKED] = gain,
      [PLM_MEASURE_GAIN_MASKED_SE] = 0.01,
      [PLM_MEASURE_EVAL_SECONDS] = 1,
  };
  const plm_record line = record_of(PLM_EVAL_LINE, values);
  assert_ok(plm_metrics_write(metrics, &line));
}

/* `steps` training lines, falling from 2.9, and an evaluation each 10. */
static const char *usual_run(const char *name, int64_t steps, double gain) {
  const char *directory = run_directory(name);
  plm_metrics *metrics;
  assert_ok(plm_metrics_open(directory, -1, &metrics));
  for (int64_t step = 1; step <= steps; step++) {
    log_training(metrics, step, 2.9 - 0.4 * (double)step / (double)steps);
    if (step % 10 == 0) log_evaluation(metrics, step, 2.8 - 0.4 * (double)step / (double)steps, gain);
  }
  assert_ok(plm_metrics_close(&metrics));
  put_file(
      directory, "config.yaml",
      "model: esm2_t6_8M\ntrain: [data/train.fasta, other.fa]\neval: val.fasta\nmax-steps: 100\nlearning-rate: 0.0004\n");
  put_file(
      directory, "env.json",
      "{\"host\": \"node1\", \"memory_bytes\": 1073741824, \"libraries\": {\"oneDNN\": \"2.6.3\"}, \"command_line\": [\"protlm\", \"train\"]}");
  return directory;
}

static char *report_of(const char *directory) {
  char *path, *html;
  size_t bytes;
  assert_ok(plm_report_write(directory, NULL));
  assert_ok(plm_path_join(directory, "report.html", &path));
  assert_ok(plm_file_read(path, 1 << 24, &html, &bytes));
  assert_int_equal(strlen(html), bytes);
  plm_free(path);
  return html;
}

static void assert_says(const char *html, const char *words) {
  if (strstr(html, words) == NULL) fail_msg("the page does not say '%s'", words);
}

/* ---- is it well-formed? ---- */

/* Name of the element at `p` ("<name"), into `name`. */
static size_t element_name(const char *p, char name[32]) {
  size_t length = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
  assert_true(length < 32);
  memcpy(name, p, length);
  name[length] = '\0';
  return length;
}

static bool is_void(const char *name) { return strcmp(name, "meta") == 0; }

/* Every element is closed in order, attributes are quoted, and no text holds a bare '<'. */
static void assert_well_formed(const char *html) {
  char open[64][32], name[32];
  int depth = 0;
  for (const char *p = strchr(html, '<'); p != NULL; p = strchr(p, '<')) {
    if (strncmp(p, "<!DOCTYPE html>", 15) == 0) {
      p++;
      continue;
    }
    bool closes = p[1] == '/';
    p += closes ? 2 : 1;
    if (element_name(p, name) == 0) fail_msg("a bare '<' before: %.40s", p);
    const char *end = p;
    for (bool quoted = false; *end != '\0' && (quoted || *end != '>'); end++) {
      if (*end == '"') quoted = !quoted;
      if (!quoted && *end == '<') fail_msg("'<' inside a tag: %.40s", p);
    }
    if (closes) {
      if (depth == 0 || strcmp(open[depth - 1], name) != 0)
        fail_msg("</%s> closes <%s>", name, depth > 0 ? open[depth - 1] : "nothing");
      depth--;
    } else if (end[-1] != '/' && !is_void(name)) {
      assert_true(depth < 64);
      memcpy(open[depth++], name, sizeof name);
      if (strcmp(name, "script") == 0) end = strstr(end, "</script>") - 1;
    }
    p = end;
  }
  if (depth > 0) fail_msg("<%s> is never closed", open[depth - 1]);
}

/* ---- tests ---- */

static void page_holds_all_its_parts(void **state) {
  (void)state;
  char *html = report_of(usual_run("usual", 100, 0.4));
  static const char *const parts[] = {
      "<title>usual",
      "<b>esm2_t6_8M</b> was trained on <b>train.fasta</b> and 1 more for 1 epoch: 100 steps, 9,800 residues.",
      "On the hidden residues of <b>val.fasta</b> its perplexity is <b>11.02</b>; amino-acid frequencies alone reach 18.10.",
      "The gain of 0.400 nats is 40 standard errors: the model has learnt more than frequencies.",
      "id=\"loss\"",
      "id=\"perplexity\"",
      "id=\"rate\"",
      "id=\"gradient\"",
      "id=\"speed\"",
      "id=\"wait\"",
      "class=\"s-base\"",
      "finished: 100 of 100 steps",
      "Evaluation at step 100",
      "<th>learning-rate</th><td>0.0004</td>",
      "<th>memory bytes</th><td>1.00 GiB</td>",
      "oneDNN 2.6.3",
      "<code>protlm train</code>",
      "protlm report ",
      "prefers-color-scheme"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) assert_says(html, parts[i]);
  assert_well_formed(html);
  plm_free(html);
}

static void page_needs_nothing_from_elsewhere(void **state) {
  (void)state;
  char *html = report_of(usual_run("alone", 30, 0.4));
  static const char *const outside[] = {"src=", "href=", "@import", "url(http", "url(//", "fetch(", "https://"};
  for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
    if (strstr(html, outside[i]) != NULL) fail_msg("the page says '%s'", outside[i]);
  assert_says(html, "default-src 'none'");
  plm_free(html);
}

static void unclear_results_are_called_unclear(void **state) {
  (void)state;
  char *html = report_of(usual_run("unclear", 30, 0.03));
  assert_says(html, "is 3.0 standard errors; fewer than 5 do not show that the model has learnt more than frequencies");
  plm_free(html);
}

static void what_users_wrote_is_escaped(void **state) {
  (void)state;
  const char *run = usual_run("a<b>&\"c'", 10, 0.1);
  put_file(run, "config.yaml", "model: \"<script>alert('x')</script>\"\ntrain: \"a&b \\\"c\\\".fa\"\neval: null\n");
  put_file(run, "env.json", "{\"<i>\": \"<b>\", \"bytes\\u0001\": \"\\u0007\"}");
  char *html = report_of(run);
  assert_well_formed(html);
  assert_says(html, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;");
  assert_says(html, "<title>a&lt;b&gt;&amp;&quot;c&#39;");
  assert_says(html, "On the hidden residues of sequences held out of <b>a&amp;b &quot;c&quot;.fa</b>");
  assert_null(strstr(html, "<script>alert"));
  assert_null(strstr(html, "\x07"));
  plm_free(html);
}

static void files_are_named_whole_whatever_their_directories(void **state) {
  (void)state;
  const char *run = usual_run("spaces", 10, 0.4);
  put_file(run, "config.yaml",
           "train: [/data/my proteins/a b.fasta, /data/other.fa, c.fa]\neval: /data/my proteins/held out.fasta\n");
  char *html = report_of(run);
  assert_says(html, "was trained on <b>a b.fasta</b> and 2 more for");
  assert_says(html, "On the hidden residues of <b>held out.fasta</b> its");
  plm_free(html);
  put_file(run, "config.yaml", "train: []\neval: [only one.fasta]\n");
  html = report_of(run);
  assert_says(html, "was trained for");
  assert_says(html, "On the hidden residues of <b>only one.fasta</b> its");
  plm_free(html);
}

static void runs_without_this_or_that_have_a_page(void **state) {
  (void)state;
  char *html = report_of(run_directory("bare"));
  assert_well_formed(html);
  assert_says(html, "No training step has been logged.");
  assert_says(html, "There was no evaluation");
  assert_null(strstr(html, "<figure"));
  plm_free(html);

  const char *one = run_directory("one");
  put_file(one, "log.jsonl", "{\"step\":1,\"loss\":3.1}\n");
  put_file(one, "config.yaml", "- not\n- a mapping\n");
  put_file(one, "env.json", "not json");
  html = report_of(one);
  assert_well_formed(html);
  assert_says(html, "1 step");
  assert_says(html, "<circle"); /* a single point is a dot, not an invisible line */
  plm_free(html);
}

static void values_that_are_not_numbers_are_gaps(void **state) {
  (void)state;
  const char *run = run_directory("gaps");
  put_file(
      run, "log.jsonl",
      "{\"step\":1,\"loss\":3}\n{\"step\":2,\"loss\":2.9}\n{\"step\":3,\"loss\":null}\n{\"step\":4,\"loss\":2.8}\n{\"step\":5,\"loss\":2.7}\n"
      "{\"step\":6,\"loss\":null,\"grad_norm\":null}\n");
  char *html = report_of(run);
  assert_well_formed(html);
  assert_says(html, "The last training loss is not a finite number.");
  const char *path = strstr(html, "<path class=\"line s-train\"");
  assert_non_null(path);
  int moves = 0;
  for (const char *p = strstr(path, " d=\""); *p != '>'; p++) moves += *p == 'M';
  assert_int_equal(moves, 2);
  assert_null(strstr(html, "id=\"gradient\"")); /* nothing finite, no figure */
  plm_free(html);
}

static void long_runs_have_a_small_page(void **state) {
  (void)state;
  const char *run = run_directory("long");
  plm_text log = {0};
  for (int step = 1; step <= 100000; step++)
    plm_text_printf(
        &log,
        "{\"step\":%d,\"epoch\":1,\"loss\":2.%d,\"grad_norm\":1,\"learning_rate\":0.0001,\"residues_per_s\":%d,\"data_wait\":0}\n",
        step, step * 7 % 10, step == 50000 ? 900 : 500);
  assert_ok(log.status);
  put_file(run, "log.jsonl", log.data);
  plm_text_free(&log);
  char *html = report_of(run);
  assert_true(strlen(html) < 300 * 1024);
  assert_well_formed(html);
  plm_free(html);
}

static void thinning_keeps_extremes_and_gaps(void **state) {
  (void)state;
  enum { COUNT = 10000 };
  double *x, *y;
  int64_t *kept;
  size_t count;
  assert_ok(PLM_NEW(&x, COUNT));
  assert_ok(PLM_NEW(&y, COUNT));
  for (int i = 0; i < COUNT; i++) {
    x[i] = i;
    y[i] = i >= 4000 && i < 5000 ? (double)NAN : sin(i * 0.01);
  }
  y[1234] = 50;
  y[7777] = -50;
  plm_series series = {.kind = PLM_SERIES_LINE, .count = COUNT, .x = x, .y = y};
  assert_ok(plm_chart_thin(&series, 100, &kept, &count));
  assert_true(count <= 400);
  bool has_high = false, has_low = false, has_gap = false;
  for (size_t i = 0; i < count; i++) {
    has_high |= kept[i] == 1234;
    has_low |= kept[i] == 7777;
    has_gap |= kept[i] < 0;
    if (i > 0 && kept[i] >= 0 && kept[i - 1] >= 0) assert_true(kept[i] > kept[i - 1]);
  }
  assert_true(has_high && has_low && has_gap);
  assert_int_equal(kept[0], 0);
  assert_int_equal(kept[count - 1], COUNT - 1);
  plm_free(kept);
  plm_free(x);
  plm_free(y);
}

static void axes_have_round_ends_and_labels(void **state) {
  (void)state;
  plm_axis axis;
  plm_axis_linear(2.13, 3.37, 5, &axis);
  assert_true(axis.low <= 2.13 && axis.high >= 3.37 && axis.tick_count >= 4 && axis.tick_count <= 9);
  assert_string_equal(axis.labels[0], "2.0");
  plm_axis_linear(0, 1234567, 5, &axis);
  assert_string_equal(axis.labels[0], "0");
  assert_string_equal(axis.labels[axis.tick_count - 1], "1.4M");
  plm_axis_log(0.3, 800, &axis);
  assert_string_equal(axis.labels[axis.tick_count - 1], "1,000");
  plm_axis_linear(5, 5, 5, &axis); /* a flat line */
  assert_true(axis.high > axis.low && axis.tick_count >= 2);
  plm_axis_linear((double)NAN, (double)NAN, 5, &axis);
  assert_true(axis.tick_count >= 2);
}

static void numbers_read_as_people_write_them(void **state) {
  (void)state;
  char label[PLM_LABEL];
  assert_string_equal(plm_label_count(1234567, label), "1,234,567");
  assert_string_equal(plm_label_count(-1000, label),
                      "\xE2\x88\x92"
                      "1,000");
  assert_string_equal(plm_label_decimals(2.345678, 3, label), "2.346");
  assert_string_equal(plm_label_decimals(1e300, 2, label), "1e+300");
  assert_string_equal(plm_label_decimals((double)NAN, 2, label), "\xE2\x80\x93");
  assert_string_equal(plm_label_value(0.0123, 2, label), "0.012");
  assert_string_equal(plm_label_value(4e-4, 2, label),
                      "4.0\xC3\x97"
                      "10<sup>\xE2\x88\x92"
                      "4</sup>");
  assert_string_equal(plm_label_short(45.2e6, label), "45.2 M");
  assert_string_equal(plm_label_duration(8000, label), "2 h 13 min");
  assert_string_equal(plm_label_duration(3.14, label), "3.1 s");
  assert_string_equal(plm_label_time(0, label), "1970-01-01 00:00 UTC");
}

/* Of a program that measured more: the page is that of the columns known here. */
static void columns_of_another_program_are_passed_over(void **state) {
  (void)state;
  const char *run = usual_run("unknown", 20, 0.4);
  char *known = report_of(run), *other, *path, *log;
  size_t bytes;
  plm_text text = {0};
  assert_ok(plm_path_join(run, "log.jsonl", &path));
  assert_ok(plm_file_read(path, 1 << 20, &log, &bytes));
  for (const char *c = log; *c != '\0'; c++) {
    plm_text_append_bytes(&text, c, 1);
    if (*c == '{')
      plm_text_append(&text, "\"eval_new\":0.5,\"words\":\"<b>\",\"list\":[1],\"none\":null,\"of\":{\"a\":1},");
  }
  assert_ok(text.status);
  put_file(run, "log.jsonl", text.data);
  other = report_of(run);
  const size_t page = (size_t)(strstr(known, "<footer>") - known); /* the time stands behind it */
  assert_memory_equal(known, other, page);
  plm_text_free(&text);
  plm_free(log);
  plm_free(path);
  plm_free(other);
  plm_free(known);
}

static void a_failed_allocation_is_a_status_and_no_half_page(void **state) {
  (void)state;
  const char *run = usual_run("memory", 20, 0.4);
  char *whole = report_of(run);
  int64_t live = plm_alloc_live(), n = 0;
  plm_status status = PLM_E_RESOURCE;
  while (status != PLM_OK) {
    plm_alloc_fail_at(++n);
    status = plm_report_write(run, NULL);
    plm_alloc_fail_at(0);
    if (status != PLM_OK) assert_int_equal(status, PLM_E_RESOURCE);
    assert_int_equal(plm_alloc_live(), live);
  }
  assert_true(n > 100);
  plm_free(whole);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(page_holds_all_its_parts),
      cmocka_unit_test(page_needs_nothing_from_elsewhere),
      cmocka_unit_test(unclear_results_are_called_unclear),
      cmocka_unit_test(what_users_wrote_is_escaped),
      cmocka_unit_test(files_are_named_whole_whatever_their_directories),
      cmocka_unit_test(runs_without_this_or_that_have_a_page),
      cmocka_unit_test(values_that_are_not_numbers_are_gaps),
      cmocka_unit_test(long_runs_have_a_small_page),
      cmocka_unit_test(thinning_keeps_extremes_and_gaps),
      cmocka_unit_test(axes_have_round_ends_and_labels),
      cmocka_unit_test(numbers_read_as_people_write_them),
      cmocka_unit_test(columns_of_another_program_are_passed_over),
      cmocka_unit_test(a_failed_allocation_is_a_status_and_no_half_page),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
