/* Where results may go: never in place of what is read, of what is no regular file, or into a checkpoint; and what is
 * asked of a directory that is no run's. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cli/program.h"
#include "support/scratch.h"
#include "support/unit.h"

#define EVAL "eval --model {}/run/final --data {}/in.fasta --threads 1 "
#define FORWARD "inspect forward --model {}/run/final --fasta {}/in.fasta --threads 1 "
#define BATCH "inspect batch --model esm2_t6_8M --train {}/in.fasta --batch-tokens 64 --max-length 32 --threads 1 "
#define REPORT "report {}/run "

static const char *const writers[] = {EVAL, FORWARD, BATCH, REPORT};
enum { WRITERS = sizeof writers / sizeof *writers };

static const char fasta[] =
    ">a\nMKVLAGIPDEMKTAYIAKQR\n>b\nMKTAYIAKQRQISFVKSHFS\n>c\nGSHMRQLEERLGLIEVQAPI\n>d\nMKVLAGIPDEWWTAYIAKQR\n";

static program_result run(const char *line, const char *more) {
  char whole[1024];
  snprintf(whole, sizeof whole, "%s%s", line, more);
  return program_line(NULL, whole, scratch_path(""));
}

static void expect(const char *line, const char *more, int code, const char *words) {
  program_result r = run(line, more);
  program_expect(&r, code);
  if (words != NULL) program_expect_words(&r, r.err, words);
}

static mode_t kind(const char *name) {
  struct stat found;
  return lstat(scratch_path(name), &found) == 0 ? found.st_mode & S_IFMT : 0;
}

static int setup(void **state) {
  if (scratch_setup(state) != 0) return -1;
  scratch_write_text("in.fasta", fasta);
  mkdir(scratch_path("empty"), 0755);
  mkdir(scratch_path("other"), 0755);
  program_result r = run(
      "train --model esm2_t6_8M --num-hidden-layers 1 --hidden-size 16 --num-attention-heads 2 --max-length 32 --batch-tokens 64 ",
      "--threads 1 --train {}/in.fasta --max-steps 2 --save-steps 1 --output-dir {}/run");
  return r.code;
}

/* ---- what may be replaced ---- */

static void only_regular_files_are_replaced(void **state) {
  (void)state;
  assert_int_equal(mkfifo(scratch_path("pipe"), 0644), 0);
  assert_int_equal(symlink("pipe", scratch_path("to_pipe")), 0);
  assert_int_equal(symlink("round", scratch_path("round")), 0);
  for (int i = 0; i < WRITERS; i++) {
    expect(writers[i], "--output {}/pipe", 2, "pipe: is no regular file");
    expect(writers[i], "--output {}/to_pipe", 2, "leave --output out");
    expect(writers[i], "--output {}/round", 2, "round");
    expect(writers[i], "--output {}/empty", 6, "is a directory");
    expect(writers[i], "--output {}/empty/", 6, "is a directory");
    expect(writers[i], "--output {}/new/", 6, "is a directory's name");
    expect(writers[i], "--output {}/in.fasta/x", 6, "in.fasta is a file, not a directory");
  }
  assert_int_equal(kind("pipe"), S_IFIFO);
  assert_int_equal(kind("to_pipe"), S_IFLNK);
}

static void a_device_is_left_alone(void **state) {
  (void)state;
  if (mknod(scratch_path("null"), S_IFCHR | 0644, makedev(1, 3)) != 0) skip();
  for (int i = 0; i < WRITERS; i++) expect(writers[i], "--output {}/null", 2, "is no regular file");
  assert_int_equal(kind("null"), S_IFCHR);
}

static void links_are_followed(void **state) {
  (void)state;
  for (int i = 0; i < WRITERS; i++) {
    scratch_write_text("other/old", "old");
    remove(scratch_path("other/new"));
    remove(scratch_path("near"));
    remove(scratch_path("to_old"));
    remove(scratch_path("to_new"));
    assert_int_equal(symlink("other/old", scratch_path("near")), 0);
    assert_int_equal(symlink(scratch_path("near"), scratch_path("to_old")), 0);
    assert_int_equal(symlink("other/new", scratch_path("to_new")), 0);
    expect(writers[i], "--output {}/to_old", 0, NULL);
    expect(writers[i], "--output {}/to_new", 0, NULL); /* led nowhere */
    assert_int_equal(kind("to_old"), S_IFLNK);
    assert_int_equal(kind("near"), S_IFLNK);
    assert_int_equal(kind("to_new"), S_IFLNK);
    assert_string_not_equal(scratch_read("other/old"), "old");
    assert_int_equal(kind("other/new"), S_IFREG);
  }
}

static void a_missing_directory_is_named(void **state) {
  (void)state;
  for (int i = 0; i < WRITERS; i++) {
    program_result r = run(writers[i], "--output {}/nope/x");
    program_expect(&r, 6);
    program_expect_words(&r, r.err, "there is no directory");
    program_expect_words(&r, r.err, "mkdir -p");
    assert_null(strstr(r.err, "tmp-"));
  }
}

static void nothing_is_put_into_a_checkpoint(void **state) {
  (void)state;
  for (int i = 0; i < WRITERS; i++) {
    expect(writers[i], "--output {}/run/checkpoint-2/x", 2, "is a checkpoint");
    expect(writers[i], "--output {}/run/latest/x", 2, "is a checkpoint");
  }
  expect("ckpt verify {}/run", "", 0, NULL);
}

/* ---- what is read ---- */

static void what_is_read_is_not_overwritten(void **state) {
  (void)state;
  assert_int_equal(link(scratch_path("in.fasta"), scratch_path("same.fasta")), 0);
  assert_int_equal(symlink("in.fasta", scratch_path("link.fasta")), 0);
  for (int i = 0; i < 3; i++) {
    expect(writers[i], "--output {}/in.fasta", 2, "in.fasta is read");
    expect(writers[i], "--output {}/same.fasta", 2, "in.fasta is read");
    expect(writers[i], "--output {}/link.fasta", 2, "in.fasta is read");
  }
  expect(EVAL, "--train {}/other.fasta --output {}/other.fasta", 3, NULL); /* not there: nothing to lose */
  scratch_write_text("other.fasta", fasta);
  expect(EVAL, "--train {}/other.fasta --output {}/other.fasta", 2, "other.fasta is read");
  assert_string_equal(scratch_read("in.fasta"), fasta);
  assert_string_equal(scratch_read("other.fasta"), fasta);
  const program_options piped = {.input = scratch_path("in.fasta")};
  program_result r = program_line(&piped, "eval --model {}/run/final --data - --output {}/in.fasta", scratch_path(""));
  program_expect(&r, 2);
  program_expect_words(&r, r.err, "standard input is read");
}

static void a_model_that_is_read_is_not_overwritten(void **state) {
  (void)state;
  expect(EVAL, "--output {}/run/final/model.safetensors", 2, "model.safetensors is read");
  expect(FORWARD, "--output {}/run/final/config.json", 2, "config.json is read");
  expect("inspect batch --model {}/run/final --train {}/in.fasta ", "--output {}/run/final/config.json", 2,
         "config.json is read");
  expect("inspect batch --config {}/run/config.yaml --step 1 ", "--output {}/run/config.yaml", 2,
         "config.yaml is read");
  expect(REPORT, "--output {}/run/log.jsonl", 2, "log.jsonl is read");
  expect(REPORT, "--output {}/run/config.yaml", 2, "config.yaml is read");
  expect(EVAL, "", 0, NULL);
}

/* ---- what is no run's directory ---- */

static void a_report_is_of_a_run(void **state) {
  (void)state;
  program_result r = run("report {}/run/latest", "");
  program_expect(&r, 2);
  program_expect_words(&r, r.err, "latest is a checkpoint");
  program_expect_words(&r, r.err, "give the run's directory");
  expect("report {}/run/checkpoint-2", "", 2, "is a checkpoint");
  expect("report {}/empty", "", 2, "is no run's directory");
  expect("report {}/run/final", "", 2, "is no run's directory");
  assert_int_equal(kind("empty/report.html"), 0);
  assert_int_equal(kind("run/final/report.html"), 0);
  expect("ckpt verify {}/run", "", 0, NULL);
}

static void nothing_to_verify_is_no_success(void **state) {
  (void)state;
  expect("ckpt verify {}/empty", "", 2, "nothing to verify");
  expect("ckpt verify {}/run/final", "", 2, "nothing to verify");
  expect("ckpt verify {}/run {}/empty", "", 2, "empty");
  expect("ckpt ls {}/empty", "", 2, "is no run's directory");
  mkdir(scratch_path("checkpoint-study"), 0755); /* a run may be called so */
  expect("ckpt verify {}/checkpoint-study", "", 2, "nothing to verify");
}

static void a_checkpoint_can_be_named_itself(void **state) {
  static const char *const lines[] = {"ckpt verify {}/run/checkpoint-1", "ckpt verify {}/run/checkpoint-1/",
                                      "ckpt ls {}/run/checkpoint-1/", "ckpt ls --deep {}/run/latest"};
  (void)state;
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    program_result r = run(lines[i], "");
    program_expect(&r, 0);
    program_expect_words(&r, r.out, "good");
  }
  expect("ckpt verify {}/run/checkpoint-9", "", 2, "no such directory");
  scratch_write_text("run/checkpoint-1/notes.txt", "not in the manifest");
  program_result r = run("ckpt ls {}/run/checkpoint-1", "");
  program_expect(&r, 4);
  program_expect_words(&r, r.out, "notes.txt");
  remove(scratch_path("run/checkpoint-1/notes.txt"));
  assert_int_equal(rename(scratch_path("run/checkpoint-1/MANIFEST.json"), scratch_path("manifest")), 0);
  expect("ckpt verify {}/run/checkpoint-1/", "", 4, "1 damaged checkpoint");
  expect("ckpt ls {}/run/checkpoint-1/", "", 4, "1 damaged checkpoint");
  assert_int_equal(rename(scratch_path("manifest"), scratch_path("run/checkpoint-1/MANIFEST.json")), 0);
}

/* ---- what was changed ---- */

static void what_was_left_out_or_changed_is_said(void **state) {
  static const char *const lines[] = {"inspect tokens --fasta", "inspect batch --model esm2_t6_8M --train",
                                      "eval --model {}/run/final --threads 1 --data",
                                      "inspect forward --model {}/run/final --threads 1 --fasta"};
  static const char *const words[] = {"1 sequence left out", "1 empty sequence left out",
                                      "1 '*' inside sequences read as X", "1 'J', which has no token, read as X"};
  (void)state;
  scratch_write_text("odd.fasta", ">a\nMKV1LAG\n>b\n>c\nMKJLAG*IPDE\n>d\nMKVLAGIPDE\n");
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
    for (int again = 0; again < 2; again++) { /* the second time from the packed form */
      program_result r = run(lines[i], " {}/odd.fasta --on-invalid skip");
      program_expect(&r, 0);
      for (size_t j = 0; j < sizeof words / sizeof *words; j++)
        program_expect_words(&r, i == 0 ? r.out : r.err, words[j]); /* what was asked for */
    }
  expect(EVAL, "--train {}/odd.fasta --on-invalid skip", 0, words[0]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(only_regular_files_are_replaced),
      cmocka_unit_test(a_device_is_left_alone),
      cmocka_unit_test(links_are_followed),
      cmocka_unit_test(a_missing_directory_is_named),
      cmocka_unit_test(nothing_is_put_into_a_checkpoint),
      cmocka_unit_test(what_is_read_is_not_overwritten),
      cmocka_unit_test(a_model_that_is_read_is_not_overwritten),
      cmocka_unit_test(a_report_is_of_a_run),
      cmocka_unit_test(nothing_to_verify_is_no_success),
      cmocka_unit_test(a_checkpoint_can_be_named_itself),
      cmocka_unit_test(what_was_left_out_or_changed_is_said),
  };
  return cmocka_run_group_tests(tests, setup, scratch_teardown);
}
