/* main.c - finds the command, reads its options, runs it, and turns its status into words and an exit code. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "cli/cli.h"
#include "protlm/log.h"

/* The command at the front of argv: one word ("train") or two ("inspect tokens"); *ret_words = how many. NULL when there is none. */
static const plm_command *find_command(int argc, char **argv, int *ret_words) {
  int count;
  const plm_command *commands = plm_commands(&count);
  for (int words = 2; words >= 1; words--) {
    char name[128] = "";
    if (argc < words) continue;
    for (int i = 0; i < words; i++) {
      strncat(name, i > 0 ? " " : "", sizeof name - strlen(name) - 1);
      strncat(name, argv[i], sizeof name - strlen(name) - 1);
    }
    for (int i = 0; i < count; i++) {
      if (strcmp(commands[i].name, name) != 0) continue;
      *ret_words = words;
      return &commands[i];
    }
  }
  return NULL;
}

static void print_usage(FILE *out, const char *only_group) {
  int count;
  const plm_command *commands = plm_commands(&count);
  if (only_group == NULL) {
    fputs(
        "protlm trains, fine-tunes and runs protein language models. No Python needed.\n\n"
        "usage: protlm <command> [options]\n\n"
        "Commands:\n",
        out);
  } else {
    fprintf(out, "usage: protlm %s <what> [options]\n\n", only_group);
  }
  for (int i = 0; i < count; i++) {
    size_t n = only_group == NULL ? 0 : strlen(only_group);
    if (n > 0 && (strncmp(commands[i].name, only_group, n) != 0 || commands[i].name[n] != ' ')) continue;
    fprintf(out, "  %-18s %s\n", commands[i].name, commands[i].options()->summary);
  }
  fputs(
      "\nCommon options: -h/--help, -v/--verbose, -q/--quiet, --no-color, --version\n"
      "`protlm <command> --help` explains a command; man protlm-train says the same.\n\n"
      "First run:\n"
      "  protlm train --model esm2_t6_8M --train my.fasta --eval-fraction 0.05 --output-dir run\n",
      out);
}

/* True when `word` is the first word of two-word commands. */
static bool is_group(const char *word) {
  int count;
  const plm_command *commands = plm_commands(&count);
  size_t n = strlen(word);
  for (int i = 0; i < count; i++)
    if (strncmp(commands[i].name, word, n) == 0 && commands[i].name[n] == ' ') return true;
  return false;
}

static plm_status unknown_command(int argc, char **argv) {
  int count;
  const plm_command *commands = plm_commands(&count);
  const char *names[64];
  for (int i = 0; i < count && i < 64; i++) names[i] = commands[i].name;
  char words[256];
  snprintf(words, sizeof words, "%s%s%s", argv[0], argc > 1 && is_group(argv[0]) ? " " : "", argc > 1 && is_group(argv[0]) ? argv[1] : "");
  const char *nearest = plm_nearest_name(words, names, (size_t)count);
  plm_status status = plm_fail(PLM_E_USAGE, "unknown command '%s'", words);
  return nearest != NULL ? plm_hint(status, "did you mean 'protlm %s'?", nearest) : plm_hint(status, "protlm --help lists the commands");
}

static void write_stdout(void *user, const char *text) {
  (void)user;
  fputs(text, stdout);
}

static plm_status print_help(const plm_option_table *table, const cli_terminal *terminal) {
  char *text;
  PLM_TRY(plm_options_help(table, terminal->width, terminal->stdout_colour, &text));
  fputs(text, stdout);
  plm_string_free(text);
  return PLM_OK;
}

static plm_status print_config(const plm_option_values *values) {
  char *text;
  PLM_TRY(plm_options_config(values, true, &text));
  fputs(text, stdout);
  plm_string_free(text);
  return PLM_OK;
}

static bool wants_config(const plm_option_values *values) {
  const plm_option *option = plm_option_find(values->table, "print-config");
  return option != NULL && *(const bool *)((const char *)values->options + option->offset);
}

static plm_status run_command(const plm_command *command, int argc, char **argv, const cli_terminal *terminal, const cli_common *common) {
  const plm_option_table *table = command->options();
  if (common->help) return print_help(table, terminal);
  plm_option_values *values = NULL;
  PLM_TRY(plm_options_load(table, argc, argv, &values));
  plm_status status;
  if (wants_config(values)) {
    status = print_config(values);
  } else if (command->run == NULL) {
    status = cli_train(values, terminal, common);
  } else {
    const plm_output output = {.write = write_stdout, .colour = terminal->stdout_colour, .width = terminal->width};
    status = command->run(values, &output);
  }
  plm_option_values_destroy(values);
  return status;
}

/* Results that did not reach stdout are a failure too (full disk), except into a closed pipe, which was the reader's wish. */
static plm_status finish_stdout(plm_status status) {
  errno = 0;
  if (fflush(stdout) == 0 && !ferror(stdout)) return status;
  if (errno == EPIPE || status != PLM_OK) return status;
  return plm_fail(PLM_E_RESOURCE, "results could not be written to standard output: %s", strerror(errno));
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  argc--;
  argv++;
  int words = 0;
  const plm_command *command = find_command(argc, argv, &words);
  cli_common common;
  cli_terminal terminal;
  argc -= words;
  argv += words;
  cli_take_common(command == NULL ? NULL : command->options(), &argc, argv, &common);
  cli_terminal_open(&common, &terminal);
  cli_log_open(&terminal, &common);

  plm_status status = PLM_OK;
  if (command != NULL)
    status = run_command(command, argc, argv, &terminal, &common);
  else if (common.version)
    printf("protlm %s\n", PLM_VERSION);
  else if (argc == 2 && strcmp(argv[0], "generate-docs") == 0)
    status = cli_generate_docs(argv[1]);
  else if (argc == 0 || (argc == 1 && strcmp(argv[0], "help") == 0))
    print_usage(stdout, NULL);
  else if (argc == 1 && is_group(argv[0]))
    print_usage(stdout, argv[0]);
  else
    status = unknown_command(argc, argv);

  status = finish_stdout(status);
  if (status != PLM_OK && status != PLM_STOPPED) cli_print_error(&terminal, status);
  return plm_status_exit_code(status);
}
