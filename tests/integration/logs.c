/* logs.c - see logs.h. */
#define _GNU_SOURCE
#include "integration/logs.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "integration/files.h"
#include "support/unit.h"

json_t *log_read(const char *run) {
  const char *text = file_read(file_path("%s/log.jsonl", run));
  json_t *lines = json_array();
  for (const char *line = text; *line != '\0';) {
    size_t length = strcspn(line, "\n");
    json_error_t error;
    json_t *object = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);
    if (line[length] != '\n') fail_msg("%s/log.jsonl: the last line has no end", run);
    if (!json_is_object(object)) fail_msg("%s/log.jsonl: not a JSON object: %.*s", run, (int)length, line);
    json_array_append_new(lines, object);
    line += length + 1;
  }
  return lines;
}

bool log_is_training(const json_t *line) { return json_object_get(line, "loss") != NULL; }

double log_number(const json_t *line, const char *name) {
  const json_t *value = json_object_get(line, name);
  if (!json_is_number(value)) fail_msg("%s is not a number in %s", name, json_dumps(line, JSON_COMPACT));
  return json_number_value(value);
}

int64_t log_count(const json_t *line, const char *name) {
  const json_t *value = json_object_get(line, name);
  if (!json_is_integer(value)) fail_msg("%s is not an integer in %s", name, json_dumps(line, JSON_COMPACT));
  return json_integer_value(value);
}

void log_expect_each_step_once(const char *run, int64_t first, int64_t last) {
  json_t *lines = log_read(run), *line;
  size_t i;
  int64_t expected = first, evaluated = -1;
  json_array_foreach(lines, i, line) {
    int64_t step = log_count(line, "step");
    if (log_is_training(line)) {
      if (step != expected)
        fail_msg("%s/log.jsonl line %zu: step %lld where %lld is due", run, i + 1, (long long)step,
                 (long long)expected);
      expected++;
    } else {
      if (step <= evaluated)
        fail_msg("%s/log.jsonl line %zu: step %lld is evaluated again", run, i + 1, (long long)step);
      if (step != expected - 1)
        fail_msg("%s/log.jsonl line %zu: an evaluation of step %lld after step %lld", run, i + 1, (long long)step,
                 (long long)expected - 1);
      evaluated = step;
    }
  }
  json_decref(lines);
  if (expected != last + 1)
    fail_msg("%s/log.jsonl ends with step %lld instead of %lld", run, (long long)expected - 1, (long long)last);
}

/* ---- comparing ---- */

static bool is_time(const char *name, size_t length) {
  static const char *const names[] = {"seconds",      "residues_per_s", "data_wait",   "eval_seconds",
                                      "comm_exposed", "imbalance",      "slowest_rank"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strlen(names[i]) == length && strncmp(names[i], name, length) == 0) return true;
  return false;
}

/* Take the times out of a line, checking that they are there, and are numbers or null. */
static void remove_times(json_t *line) {
  const char *name;
  json_t *value;
  void *next;
  json_object_foreach_safe(line, next, name, value) {
    if (is_time(name, strlen(name)))
      json_object_set_new(line, name, json_string(json_is_number(value) || json_is_null(value) ? "a number" : "?"));
  }
}

/* What json_dumps gave. */
static void free_text(char *text) {
  json_malloc_t allocate;
  json_free_t release;
  json_get_alloc_funcs(&allocate, &release);
  release(text);
}

static void expect_same_json(const char *run_a, const char *run_b) {
  json_t *a = log_read(run_a), *b = log_read(run_b);
  size_t lines = json_array_size(a);
  for (size_t i = 0; i < lines && i < json_array_size(b); i++) {
    json_t *x = json_array_get(a, i), *y = json_array_get(b, i);
    remove_times(x);
    remove_times(y);
    char *x_text = json_dumps(x, JSON_COMPACT), *y_text = json_dumps(y, JSON_COMPACT);
    if (strcmp(x_text, y_text) != 0)
      fail_msg("line %zu of log.jsonl\nin %s: %s\nin %s: %s", i + 1, run_a, x_text, run_b, y_text);
    free_text(x_text);
    free_text(y_text);
  }
  if (lines != json_array_size(b))
    fail_msg("log.jsonl has %zu lines in %s and %zu in %s", lines, run_a, json_array_size(b), run_b);
  json_decref(a);
  json_decref(b);
}

/* Up to the next ',' or end of line; *text moves behind it. */
static size_t take_cell(const char **text, const char **ret_cell) {
  size_t length = strcspn(*text, ",\n");
  *ret_cell = *text;
  *text += length;
  if (**text == ',') ++*text;
  return length;
}

static void expect_same_csv(const char *run_a, const char *run_b) {
  const char *a = file_read(file_path("%s/metrics.csv", run_a)), *b = file_read(file_path("%s/metrics.csv", run_b));
  const char *header = a, *name = header;
  if (*a == '\0') fail_msg("%s/metrics.csv is empty", run_a);
  for (int line = 1; *a != '\0' || *b != '\0'; name = header, line++) {
    while (*a != '\n' && *b != '\n' && *a != '\0' && *b != '\0') {
      const char *x, *y, *column;
      size_t n = take_cell(&a, &x), m = take_cell(&b, &y), name_length = take_cell(&name, &column);
      bool same = line > 1 && is_time(column, name_length) ? (n > 0) == (m > 0) : n == m && strncmp(x, y, n) == 0;
      if (!same)
        fail_msg("metrics.csv line %d, column %.*s: %.*s in %s, %.*s in %s", line, (int)name_length, column, (int)n, x,
                 run_a, (int)m, y, run_b);
    }
    if (*a != *b || *a != '\n') fail_msg("metrics.csv line %d: its end differs between %s and %s", line, run_a, run_b);
    a++, b++;
  }
}

void log_expect_same(const char *run_a, const char *run_b) {
  expect_same_json(run_a, run_b);
  expect_same_csv(run_a, run_b);
}

/* The cell of metrics.csv that a value of log.jsonl stands for. */
static void expect_cell(const char *run, int line, const json_t *object, const char *column, size_t column_length,
                        const char *cell, size_t length) {
  char name[64], expected[64] = "";
  snprintf(name, sizeof name, "%.*s", (int)column_length, column);
  const json_t *value = json_object_get(object, name);
  bool same;
  if (json_is_real(value))
    same = length > 0 && strtod(cell, NULL) == json_real_value(value);
  else {
    if (json_is_integer(value)) snprintf(expected, sizeof expected, "%lld", (long long)json_integer_value(value));
    if (json_is_null(value)) snprintf(expected, sizeof expected, "nan");
    same = strlen(expected) == length && strncmp(expected, cell, length) == 0;
  }
  if (!same)
    fail_msg("%s/metrics.csv line %d, column %s: %.*s, but log.jsonl says %s", run, line, name, (int)length, cell,
             value != NULL ? json_dumps(value, JSON_ENCODE_ANY) : "nothing");
}

void log_expect_csv_matches(const char *run) {
  json_t *lines = log_read(run);
  const char *text = file_read(file_path("%s/metrics.csv", run)), *header = text;
  text += strcspn(text, "\n") + 1;
  for (size_t i = 0; i < json_array_size(lines); i++, text += *text == '\n') {
    const char *name = header;
    if (*text == '\0') fail_msg("%s/metrics.csv ends before log.jsonl", run);
    while (*text != '\n' && *text != '\0') {
      const char *cell, *column;
      size_t column_length = take_cell(&name, &column), length = take_cell(&text, &cell);
      expect_cell(run, (int)i + 2, json_array_get(lines, i), column, column_length, cell, length);
    }
  }
  if (*text != '\0') fail_msg("%s/metrics.csv has more lines than log.jsonl", run);
  json_decref(lines);
}
