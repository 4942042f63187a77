/* A disk that fills: a small file system of our own, which needs a mount namespace; skipped where there is none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/program.h"
#include "support/scratch.h"
#include "support/unit.h"

enum { SKIP = 77 };

static const char *namespace_command(void) {
  if (system("unshare -m true 2>/dev/null") == 0) return "unshare -m";
  if (system("unshare -Urm true 2>/dev/null") == 0) return "unshare -Urm";
  return NULL;
}

/* Run `line` with a file system of `size` at <scratch>/small. Returns the exit code; stderr is in the file `said`, and
 * what is left on the small disk in `left`. */
static int run_on_small_disk(const char *size, const char *line) {
  char command[8192], small[512], said[512], left[512];
  snprintf(small, sizeof small, "%s", scratch_path("small"));
  snprintf(said, sizeof said, "%s", scratch_path("said"));
  snprintf(left, sizeof left, "%s", scratch_path("left"));
  mkdir(small, 0755);
  snprintf(
      command, sizeof command,
      "%s sh -c 'mount -t tmpfs -o size=%s tmpfs %s || exit 99; cd %s; env -u TMPDIR XDG_CACHE_HOME=%s %s %s >%s.out 2>%s; code=$?; find %s >%s; exit $code'",
      namespace_command(), size, small, small, scratch_path("cache"), PROTLM, line, said, said, small, left);
  int status = system(command);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void expect_told(int code, const char *words) {
  if (code != 6 || strstr(scratch_read("said"), words) == NULL)
    fail_msg("exit code %d, said:\n%s", code, scratch_read("said"));
}

static void write_data(void) {
  scratch_write_text("data.fasta", ">a\nMKVLAGIPDEMKTAYIAKQR\n>b\nMKTAYIAKQRQISFVKSHFS\n>c\nGSHMRQLEERLGLIEVQAPI\n");
}

static void a_run_that_cannot_fit_is_told_before_it_starts(void **state) {
  char line[1024];
  (void)state;
  write_data();
  snprintf(line, sizeof line, "train --model esm2_t6_8M --train %s --output-dir small-run --max-steps 1",
           scratch_path("data.fasta"));
  expect_told(run_on_small_disk("2m", line), "free");
  assert_null(strstr(scratch_read("left"), "checkpoint-"));
}

/* 1 MB passes the plan for one small checkpoint but not for log and final model beside many of them. */
static void a_disk_that_fills_leaves_only_whole_checkpoints(void **state) {
  char line[1024];
  (void)state;
  write_data();
  snprintf(
      line, sizeof line,
      "train --model esm2_t6_8M --num-hidden-layers 1 --hidden-size 64 --num-attention-heads 2 --batch-tokens 64 --max-length 32 --threads 1 "
      "--train %s --output-dir run --max-steps 40 --save-steps 1 --save-total-limit 40",
      scratch_path("data.fasta"));
  int code = run_on_small_disk("3m", line);
  expect_told(code, "No space left");
  assert_null(strstr(scratch_read("left"), "/tmp-"));
}

static void a_result_that_does_not_fit_is_taken_back(void **state) {
  char line[1024];
  (void)state;
  write_data();
  snprintf(line, sizeof line,
           "inspect forward --model " PLM_SOURCE_DIR "/tests/fixtures/parity/d8 --fasta %s --output x.safetensors",
           scratch_path("data.fasta"));
  expect_told(run_on_small_disk("16k", line), "No space left");
  assert_null(strstr(scratch_read("left"), "safetensors"));
}

int main(void) {
  if (namespace_command() == NULL) {
    printf("skipped: this user may not make a mount namespace\n");
    return SKIP;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_run_that_cannot_fit_is_told_before_it_starts),
      cmocka_unit_test(a_disk_that_fills_leaves_only_whole_checkpoints),
      cmocka_unit_test(a_result_that_does_not_fit_is_taken_back),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
