/* Help, version, usage, streams and colours. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/program.h"
#include "protlm/commands.h"
#include "support/scratch.h"
#include "support/unit.h"

static program_result run(const char *line) { return program_line(NULL, line, NULL); }

static void without_a_command_usage_goes_to_stderr(void **state) {
  (void)state;
  program_result r = run("");
  program_expect(&r, 2);
  assert_string_equal(r.out, "");
  program_expect_words(&r, r.err, "Usage: protlm <command>");
  r = run("inspect");
  program_expect(&r, 2);
  program_expect_words(&r, r.err, "inspect forward");
}

static void help_goes_to_stdout(void **state) {
  static const char *const lines[] = {"help",           "--help",     "-h",           "help inspect",
                                      "inspect --help", "help train", "train --help", "help inspect batch"};
  (void)state;
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    program_result r = run(lines[i]);
    program_expect(&r, 0);
    program_expect_words(&r, r.out, "Usage: protlm");
    assert_string_equal(r.err, "");
  }
}

/* Each command's help fits 80 columns, is grouped, has examples, and is found beside mistakes. */
static void every_command_explains_itself(void **state) {
  int count;
  const plm_command *commands = plm_commands(&count);
  (void)state;
  for (int i = 0; i < count; i++) {
    char line[128];
    snprintf(line, sizeof line, "%s --no-such-option --help", commands[i].name);
    program_result r = run(line);
    program_expect(&r, 0);
    program_expect_words(&r, r.out, "General:");
    program_expect_words(&r, r.out, "Examples:");
    program_expect_words(&r, r.out, commands[i].options()->summary);
    for (const char *text = r.out; *text != '\0'; text += strcspn(text, "\n"), text += *text == '\n')
      if (strcspn(text, "\n") > 80)
        fail_msg("%s: longer than 80 columns: %.*s", commands[i].name, (int)strcspn(text, "\n"), text);
  }
}

static void version_is_one_line(void **state) {
  (void)state;
  program_result r = run("--version");
  program_expect(&r, 0);
  assert_string_equal(r.out, "protlm " PLM_VERSION "\n");
}

static void colours_need_a_terminal(void **state) {
  (void)state;
  program_result r = run("info");
  program_expect(&r, 0);
  assert_null(strchr(r.out, '\033'));
  r = run("eval --nonsense");
  program_expect(&r, 2);
  assert_null(strchr(r.err, '\033'));
}

/* `script` gives the program a terminal. */
static void no_color_is_honoured_on_a_terminal(void **state) {
  (void)state;
  char command[2048];
  if (system("command -v script >/dev/null 2>&1") != 0) skip();
  static const struct {
    const char *environment, *options;
    int colours;
  } cases[] = {
      {"TERM=xterm", "", 1}, {"NO_COLOR=1 TERM=xterm", "", 0}, {"TERM=dumb", "", 0}, {"TERM=xterm", "--no-color", 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    snprintf(command, sizeof command, "env -u NO_COLOR %s script -qec '%s help train %s' /dev/null </dev/null >%s 2>&1",
             cases[i].environment, PROTLM, cases[i].options, scratch_path("typed"));
    assert_int_equal(system(command), 0);
    bool coloured = strstr(scratch_read("typed"), "\033[1") != NULL;
    if (coloured != cases[i].colours) fail_msg("%s: %s", command, coloured ? "coloured" : "not coloured");
  }
}

static void a_closed_pipe_is_no_failure(void **state) {
  static const program_options closed = {.closed_output = true};
  (void)state;
  program_result r = program_line(&closed, "train --help", NULL);
  program_expect(&r, 0);
  assert_string_equal(r.err, "");
  r = program_line(&closed, "info --json", NULL);
  program_expect(&r, 0);
}

static void a_full_disk_behind_stdout_is_reported(void **state) {
  static const program_options full = {.output = "/dev/full"};
  (void)state;
  program_result r = program_line(&full, "train --help", NULL);
  program_expect(&r, 6);
  program_expect_words(&r, r.err, "standard output");
}

/* A run of two steps; its directory is {}/<name>. */
static program_result train_into(const program_options *options, const char *name, const char *more) {
  char line[600];
  scratch_write_text("in.fasta", ">a\nMKVLAGIPDEMKTAYIAKQR\n>b\nMKTAYIAKQRQISFVKSHFS\n");
  snprintf(line, sizeof line,
           "train --model esm2_t6_8M --num-hidden-layers 1 --hidden-size 16 --num-attention-heads 2 --max-length 32 "
           "--batch-tokens 64 --threads 1 --train {}/in.fasta --max-steps 2 %s --output-dir {}/%s",
           more, name);
  return program_line(options, line, scratch_path(""));
}

static int count_of(const char *text, const char *words) {
  int count = 0;
  for (; (text = strstr(text, words)) != NULL; text += strlen(words)) count++;
  return count;
}

/* Training is what it wrote to the disk: the summary that nobody can have is one warning. */
static void a_run_does_not_fail_for_its_summary(void **state) {
  static const program_options outputs[] = {{.output = "/dev/full"}, {.closed_output = true}};
  static const char *const names[] = {"full", "closed"};
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    char model[64];
    program_result r = train_into(&outputs[i], names[i], "");
    program_expect(&r, 0);
    assert_int_equal(count_of(r.err, "warning: "), 1);
    program_expect_words(&r, r.err, "the summary could not be written to standard output");
    snprintf(model, sizeof model, "%s/final/model.safetensors", names[i]);
    assert_int_equal(access(scratch_path(model), R_OK), 0);
    r = train_into(&outputs[i], names[i], ""); /* finished already */
    program_expect(&r, 0);
  }
  program_result r = train_into(&outputs[0], "planned", "--dry-run"); /* here the words are the result */
  program_expect(&r, 6);
  r = train_into(&outputs[0], "shown", "--print-config");
  program_expect(&r, 6);
}

static void quiet_silences_the_log(void **state) {
  (void)state;
  scratch_write_text("one.fasta", ">a\nMKV\n");
  program_result r = program_line(NULL, "inspect tokens --fasta {}", scratch_path("one.fasta"));
  program_expect(&r, 0);
  assert_string_not_equal(r.err, "");
  r = program_line(NULL, "inspect tokens --quiet --fasta {} --cache-dir {}.d", scratch_path("one.fasta"));
  program_expect(&r, 0);
  assert_string_equal(r.err, "");
}

static void info_names_what_it_found(void **state) {
  (void)state;
  program_result r = run("info");
  program_expect(&r, 0);
  static const char *const words[] = {"compiler",       "level_used",  "total",       "htslib",
                                      "linear_forward", "launched_by", "packed_data", "hugging_face"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) program_expect_words(&r, r.out, words[i]);
  static const char *const masked[] = {"PROTLM_CPU=ref", NULL};
  r = program_line(&(program_options){.environment = masked}, "info --json", NULL);
  program_expect(&r, 0);
  program_expect_words(&r, r.out, "\"level_used\": \"ref\"");
}

/* What a launcher starts several times speaks once, also where no communicator joins them; the code is everyone's. */
static void of_what_a_launcher_started_only_the_first_speaks(void **state) {
  static const struct {
    const char *line;
    int code;
  } cases[] = {
      {"--version", 0},       {"help", 0}, {"train --help", 0}, {"", 2}, {"nonsense", 2}, {"train --max-steps 2", 2},
      {"eval --nonsense", 2},
  };
  static const char *const first[] = {"SLURM_STEP_ID=0", "SLURM_STEP_NUM_TASKS=3", "SLURM_PROCID=0", NULL};
  static const char *const later[] = {"SLURM_STEP_ID=0", "SLURM_STEP_NUM_TASKS=3", "SLURM_PROCID=2", NULL};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    program_result r = program_line(&(program_options){.environment = first}, cases[i].line, NULL);
    program_expect(&r, cases[i].code);
    assert_true(r.out_bytes + strlen(r.err) > 0);
    r = program_line(&(program_options){.environment = later}, cases[i].line, NULL);
    program_expect(&r, cases[i].code);
    assert_string_equal(r.out, "");
    assert_string_equal(r.err, "");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(without_a_command_usage_goes_to_stderr),
      cmocka_unit_test(help_goes_to_stdout),
      cmocka_unit_test(every_command_explains_itself),
      cmocka_unit_test(version_is_one_line),
      cmocka_unit_test(colours_need_a_terminal),
      cmocka_unit_test(no_color_is_honoured_on_a_terminal),
      cmocka_unit_test(a_closed_pipe_is_no_failure),
      cmocka_unit_test(a_full_disk_behind_stdout_is_reported),
      cmocka_unit_test(a_run_does_not_fail_for_its_summary),
      cmocka_unit_test(quiet_silences_the_log),
      cmocka_unit_test(info_names_what_it_found),
      cmocka_unit_test(of_what_a_launcher_started_only_the_first_speaks),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
