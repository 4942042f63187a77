/* Bad input of every kind: one clear message with place and remedy, the right exit code, never a signal, nothing left
 * behind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/bad_rows.h"
#include "cli/program.h"
#include "support/scratch.h"
#include "support/unit.h"

static const char small_model[] = PLM_SOURCE_DIR "/tests/fixtures/parity/d8";

static bool exists(const char *path) { return access(path, F_OK) == 0; }

static void copy_file(const char *from, const char *to) {
  char command[2300];
  snprintf(command, sizeof command, "cp '%s' '%s'", from, to);
  assert_int_equal(system(command), 0);
}

/* A model directory under `name` with good files, into which a bad one is put. */
static const char *make_model(const char *name) {
  char file[200], from[1024];
  static const char *const files[] = {"config.json", "model.safetensors"};
  mkdir(scratch_path(name), 0755);
  for (size_t i = 0; i < 2; i++) {
    snprintf(file, sizeof file, "%s/%s", name, files[i]);
    snprintf(from, sizeof from, "%s/%s", small_model, files[i]);
    copy_file(from, scratch_path(file));
  }
  return scratch_path(name);
}

static void write_weights(const char *file, const bad_row *row) {
  size_t bytes = 8 + row->length + row->data;
  char *content = calloc(1, bytes);
  for (int i = 0; i < 8; i++) content[i] = (char)(row->length >> (8 * i));
  memcpy(content + 8, row->bytes, row->length);
  scratch_write(file, content, bytes);
  free(content);
}

/* ---- what every answer must be ---- */

/* One message, that begins "protlm: ", and no trace of the program's inside. */
static void check_manners(const program_result *r) {
  int messages = 0;
  for (const char *line = r->err; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n')
    messages += strncmp(line, "protlm: ", 8) == 0;
  if (messages != (r->code != 0)) fail_msg("%s\n%d messages on stderr:\n%.4000s", program_last(), messages, r->err);
  static const char *const never[] = {"Sanitizer", "runtime error", "defect", ".c:", "(null)", "no message"};
  for (size_t i = 0; i < sizeof never / sizeof *never; i++)
    if (strstr(r->err, never[i]) != NULL) fail_msg("%s\n'%s' in:\n%.4000s", program_last(), never[i], r->err);
}

static void check(const bad_row *row, const program_result *r) {
  program_expect(r, row->code);
  check_manners(r);
  program_expect_words(r, row->code == 0 ? r->out : r->err, row->words);
  if (row->remedy == NULL) return;
  program_expect_words(r, r->err, "\n  try: ");
  program_expect_words(r, strstr(r->err, "\n  try: "), row->remedy);
}

/* ---- the kinds ---- */

static void run_data(const bad_row *row) {
  char path[1100];
  scratch_write(row->file, row->bytes, row->length);
  snprintf(path, sizeof path, "%s", scratch_path(row->file));
  program_result r = program_line(NULL, "inspect tokens --fasta {}", path);
  check(row, &r);
  if (row->code == 0) return;
  char line[1200];
  snprintf(line, sizeof line, "train --model esm2_t6_8M --train {} --output-dir %s", scratch_path("out"));
  r = program_line(NULL, line, path);
  check(row, &r);
  assert_false(exists(scratch_path("out")));
}

static void run_model(const bad_row *row, size_t number) {
  char name[32], file[64], line[1400];
  snprintf(name, sizeof name, "model%zu", number);
  const char *model = make_model(name);
  snprintf(file, sizeof file, "%s/%s", name, row->kind == BAD_CONFIG ? "config.json" : "model.safetensors");
  if (row->kind == BAD_WEIGHTS)
    write_weights(file, row);
  else
    scratch_write(file, row->bytes, row->length);
  program_result r = program_line(NULL, "inspect params --model {}", model);
  check(row, &r);
  snprintf(line, sizeof line, "train --model {} --train %s --output-dir %s", scratch_path("good.fasta"),
           scratch_path("out"));
  r = program_line(NULL, line, model);
  check(row, &r);
  assert_false(exists(scratch_path("out")));
}

static void run_options(const bad_row *row) {
  char line[2048];
  const char *out = strstr(row->file, "OUT");
  snprintf(line, sizeof line, "%.*s%s%s", (int)(out == NULL ? strlen(row->file) : (size_t)(out - row->file)), row->file,
           out == NULL ? "" : scratch_path("out"), out == NULL ? "" : out + 3);
  program_result r = program_line(NULL, line, scratch_path("good.fasta"));
  check(row, &r);
  assert_false(exists(scratch_path("out")));
}

static void run_row(void **state) {
  const bad_row *row = *state;
  scratch_write_text("good.fasta", ">a\nMKVLAGIPDE\n>b\nMKTAYIAKQR\n");
  if (row->kind == BAD_DATA)
    run_data(row);
  else if (row->kind == BAD_OPTIONS)
    run_options(row);
  else
    run_model(row, (size_t)(row - bad_rows));
}

/* Each row is a test with a name of its own. PROTLM_TEST_ROW=words runs those whose name contains them. */
int main(void) {
  static struct CMUnitTest tests[BAD_ROWS];
  size_t count = 0;
  const char *only = getenv("PROTLM_TEST_ROW");
  for (size_t i = 0; i < BAD_ROWS; i++) {
    if (only != NULL && strstr(bad_rows[i].file, only) == NULL) continue;
    tests[count++] = (struct CMUnitTest){
        .name = bad_rows[i].file,
        .test_func = run_row,
        .initial_state = (void *)(uintptr_t)&bad_rows[i],
    };
  }
  return _cmocka_run_group_tests("bad input", tests, count, scratch_setup, scratch_teardown);
}
