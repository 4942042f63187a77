/* `protlm eval` on several ranks, as threads of one process: what rank 0 writes is what a process alone writes, and
 * every mistake ends all ranks alike. */
#include "support/unit.h"

#include <stdio.h>

#include "base/alloc.h"
#include "app/commands.h"
#include "dist/agree.h"
#include "support/scratch.h"
#include "support/transport_threads.h"

#define MODEL PLM_SOURCE_DIR "/tests/fixtures/parity/d16_half_inv_freq"
#define PROTEINS PLM_SOURCE_DIR "/tests/integration/proteins.fasta"
#define TWENTY PLM_SOURCE_DIR "/tests/fixtures/proteins/twenty.fasta"

enum { MOST_RANKS = 5, MOST_WORDS = 40, MOST_TEXT = 1 << 16 };

#define USUAL "--model " MODEL " --data " PROTEINS

/* The command lines, and what came of them. */
typedef struct job {
  char line[MOST_RANKS][1024]; /* words behind those of every test */
  char text[MOST_RANKS][MOST_TEXT];
  plm_error_record results[MOST_RANKS];
} job;

static void keep_text(void *user, const char *text) { strncat(user, text, MOST_TEXT - 1 - strlen(user)); }

static int split(char *line, char *words[MOST_WORDS]) {
  char *rest = NULL;
  int count = 0;
  for (char *word = strtok_r(line, " ", &rest); word != NULL && count < MOST_WORDS; word = strtok_r(NULL, " ", &rest))
    words[count++] = word;
  return count;
}

static plm_status eval(plm_comm *comm, const char *more, char text[MOST_TEXT]) {
  char line[2048], *words[MOST_WORDS];
  plm_option_values *values;
  const plm_output output = {.user = text, .write = keep_text, .width = 100, .comm = comm};
  snprintf(line, sizeof line, "--threads 1 --max-length 150 %s", more);
  text[0] = '\0';
  plm_status status = plm_options_load(plm_eval_option_table(), split(line, words), words, &values);
  PLM_TRY(comm != NULL ? plm_agree(comm, "options", status) : status);
  status = plm_eval_run(values, &output);
  plm_option_values_destroy(values);
  return status;
}

static plm_status eval_as_rank(plm_comm *comm, void *context) {
  job *j = context;
  return eval(comm, j->line[comm->rank], j->text[comm->rank]);
}

static job *new_job(const char *line) {
  job *j = NULL;
  assert_ok(PLM_NEW(&j, 1));
  for (int rank = 0; rank < MOST_RANKS; rank++)
    snprintf(j->line[rank], sizeof j->line[rank], USUAL " --cache-dir %s %s", scratch_path("cache"), line);
  return j;
}

static void run_job(job *j, int ranks) {
  threads_run(&(threads_options){.size = ranks, .ranks_per_node = 2}, eval_as_rank, j, j->results);
}

static void expect_text_of_one(const char *line) {
  static const int sizes[] = {1, 2, 3, 5};
  static char alone[MOST_TEXT];
  job *j = new_job(line);
  assert_ok(eval(NULL, j->line[0], alone));
  assert_true(strlen(alone) > 100);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    run_job(j, sizes[i]);
    threads_expect_ok(j->results, sizes[i]);
    assert_string_equal(j->text[0], alone);
    for (int rank = 1; rank < sizes[i]; rank++) assert_string_equal(j->text[rank], "");
  }
  plm_free(j);
}

static void the_table_is_that_of_one(void **state) {
  (void)state;
  expect_text_of_one("");
}

static void the_json_is_that_of_one(void **state) {
  (void)state;
  expect_text_of_one("--json --eval-draws 2 --train " TWENTY);
}

static void the_lines_are_those_of_one(void **state) {
  (void)state;
  expect_text_of_one("--per-sequence");
}

static void the_file_is_that_of_one(void **state) {
  static char alone[MOST_TEXT];
  char line[512];
  (void)state;
  snprintf(line, sizeof line, USUAL " --per-sequence --cache-dir %s", scratch_path("cache"));
  assert_ok(eval(NULL, line, alone));
  snprintf(line, sizeof line, "--per-sequence --output %s", scratch_path("scores.tsv"));
  job *j = new_job(line);
  for (int ranks = 1; ranks <= 3; ranks++) {
    scratch_write_text("scores.tsv", "older");
    run_job(j, ranks);
    threads_expect_ok(j->results, ranks);
    assert_string_equal(scratch_read("scores.tsv"), alone);
    for (int rank = 0; rank < ranks; rank++) assert_string_equal(j->text[rank], "");
  }
  plm_free(j);
}

/* All ranks end with this code and these words. */
static void expect_failure(job *j, plm_status code, const char *words) {
  run_job(j, 3);
  for (int rank = 0; rank < 3; rank++) {
    if (j->results[rank].code != code || strstr(j->results[rank].message, words) == NULL)
      fail_msg("rank %d: %s: %s", rank, plm_status_name(j->results[rank].code), j->results[rank].message);
    assert_string_equal(j->text[rank], "");
  }
  plm_free(j);
}

static job *with(job *j, int rank, const char *more) {
  strncat(j->line[rank], more, sizeof j->line[rank] - 1 - strlen(j->line[rank]));
  return j;
}

static void ranks_that_were_started_otherwise_are_named(void **state) {
  (void)state;
  /* the first of its node: the others have the packed form that it has */
  expect_failure(with(new_job(""), 2, " --data " TWENTY), PLM_E_USAGE, "rank 2 (");
  expect_failure(with(new_job(""), 2, " --data " TWENTY), PLM_E_USAGE, "other sequences");
  expect_failure(with(new_job(""), 2, " --eval-seed 5"), PLM_E_USAGE, "has other options");
  expect_failure(with(new_job(""), 2, " --eval-draws 2"), PLM_E_USAGE, "rank 2 (");
}

/* Only rank 0 looks at the model's directory: the others have the weights from it. */
static void the_model_is_rank_0s(void **state) {
  static char alone[MOST_TEXT];
  (void)state;
  job *j = new_job("--json");
  assert_ok(eval(NULL, j->line[0], alone));
  for (int rank = 1; rank < 3; rank++)
    snprintf(j->line[rank], sizeof j->line[rank], "--model /nowhere --data " PROTEINS " --cache-dir %s --json",
             scratch_path("cache"));
  run_job(j, 3);
  threads_expect_ok(j->results, 3);
  assert_string_equal(j->text[0], alone);
  plm_free(j);
}

static void a_failure_of_one_rank_is_everyones(void **state) {
  (void)state;
  expect_failure(with(new_job(""), 0, " --data /nowhere.fasta"), PLM_E_INPUT, "rank 0 (");
  expect_failure(with(new_job(""), 2, " --data /nowhere.fasta"), PLM_E_INPUT, "rank 2 (");
  job *j = new_job("");
  snprintf(j->line[0], sizeof j->line[0], "--model /nowhere --data " PROTEINS);
  expect_failure(j, PLM_E_INPUT, "rank 0 (");
  expect_failure(new_job("--output /nowhere/scores.tsv"), PLM_E_RESOURCE, "rank 0 (");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_table_is_that_of_one),
      cmocka_unit_test(the_json_is_that_of_one),
      cmocka_unit_test(the_lines_are_those_of_one),
      cmocka_unit_test(the_file_is_that_of_one),
      cmocka_unit_test(the_model_is_rank_0s),
      cmocka_unit_test(ranks_that_were_started_otherwise_are_named),
      cmocka_unit_test(a_failure_of_one_rank_is_everyones),
  };
  return cmocka_run_group_tests_name("eval_ranks", tests, scratch_setup, scratch_teardown);
}
