/* logs.h - log.jsonl and metrics.csv of a run, read with jansson and by hand. */
#ifndef TESTS_INTEGRATION_LOGS_H
#define TESTS_INTEGRATION_LOGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* All lines of <run>/log.jsonl; the caller decrefs. A line that isn't a JSON object of its own fails the test. */
json_t *log_read(const char *run);

bool log_is_training(const json_t *line);                /* has "loss" */
double log_number(const json_t *line, const char *name); /* fails the test when it isn't a number */
int64_t log_count(const json_t *line, const char *name); /* ... an integer */

/* Each step from `first` to `last` has exactly one training line, in order, and no step has two evaluation lines. */
void log_expect_each_step_once(const char *run, int64_t first, int64_t last);

/* log.jsonl and metrics.csv of two runs have the same lines, columns and values, but for times and rates. */
void log_expect_same(const char *run_a, const char *run_b);

/* metrics.csv says what log.jsonl says. */
void log_expect_csv_matches(const char *run);

#endif
