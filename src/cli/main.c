/* main.c - finds the command, reads its options, runs it, and turns its status into words and an exit code. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/general_options.h"
#include "base/json.h"
#include "base/lost_file.h"
#include "cli/cli.h"
#include "protlm/log.h"

/* Where standard input, output or error is closed (`2>&-`), the next file to be opened would get its number, and what
 * is printed would go into that file: into log.jsonl. Something stands in, on which every read and write fails. */
static void hold_standard_files(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) return;
}

static int stdout_failure; /* errno of the first write that failed */

/* Who reads through a pipe and has seen enough (`| head`) wants no more work done; but ranks end together. */
static void write_stdout(void *user, const char *text) {
  (void)user;
  if (!cli_speaks()) return;
  if (fputs(text, stdout) >= 0 || stdout_failure != 0) return;
  stdout_failure = errno;
  if (stdout_failure == EPIPE && !cli_is_one_of_several()) exit(EXIT_SUCCESS);
}

static plm_status print_help(const plm_command *command, const cli_terminal *terminal) {
  char *text;
  PLM_TRY(plm_options_help(plm_command_full_table(command), terminal->width, terminal->stdout_colour, &text));
  write_stdout(NULL, text);
  plm_string_free(text);
  return PLM_OK;
}

static plm_status print_config(const plm_option_values *values) {
  char *text;
  PLM_TRY(plm_options_config(values, true, &text));
  write_stdout(NULL, text);
  plm_string_free(text);
  return PLM_OK;
}

static bool wants_config(const plm_option_values *values) {
  const plm_option *option = plm_option_find(values->table, "print-config");
  return option != NULL && *(const bool *)((const char *)values->options + option->offset);
}

static plm_status run_with(const plm_command *command, const plm_option_values *values, cli_common *common,
                           cli_terminal *terminal) {
  cli_read_common(command, values, common);
  cli_terminal_open(common, terminal);
  if (wants_config(values)) return print_config(values);
  if (command->run == NULL) return cli_train(values, terminal, common);
  const plm_output output = {
      .write = write_stdout,
      .colour = terminal->stdout_colour,
      .width = terminal->width,
      .comm = cli_ranks(),
      .program = cli_own_program(),
  };
  return plm_command_run(command, values, &output);
}

static bool is_shared(const plm_command *command) {
  return command->ranks == PLM_RANKS_TOGETHER || command->ranks == PLM_RANKS_IF_FOUND;
}

static plm_status run_command(const plm_command *command, int argc, char **argv, cli_common *common,
                              cli_terminal *terminal) {
  plm_option_values *values = NULL;
  if (common->help) {
    cli_speak_for_launched();
    return print_help(command, terminal);
  }
  if (is_shared(command)) PLM_TRY(cli_ranks_open(command, common, terminal));
  plm_status status = plm_options_load(plm_command_full_table(command), argc, argv, &values);
  status = cli_ranks_agree("options", status);
  if (status == PLM_OK) status = run_with(command, values, common, terminal);
  plm_option_values_destroy(values);
  return status;
}

/* `protlm help`, `protlm help train`, `protlm help inspect batch` */
static plm_status explain(int argc, char **argv, const cli_terminal *terminal) {
  int words;
  if (argc == 0) {
    cli_print_usage(stdout, NULL, terminal);
    return PLM_OK;
  }
  const plm_command *command = cli_find_command(argc, argv, &words);
  if (command != NULL) return print_help(command, terminal);
  if (!cli_is_group(argv[0]) || argc > 1) return cli_unknown_command(argc, argv);
  cli_print_usage(stdout, argv[0], terminal);
  return PLM_OK;
}

/* A line without a command that is known. */
static plm_status run_without_command(int argc, char **argv, const cli_common *common, const cli_terminal *terminal) {
  cli_speak_for_launched();
  if (common->version) {
    write_stdout(NULL, "protlm " PLM_VERSION "\n");
    return PLM_OK;
  }
  if (argc > 0 && strcmp(argv[0], "help") == 0) return explain(argc - 1, argv + 1, terminal);
  bool is_group = argc > 0 && cli_is_group(argv[0]);
  if (common->help && (argc == 0 || is_group || argv[0][0] == '-')) {
    cli_print_usage(stdout, is_group ? argv[0] : NULL, terminal);
    return PLM_OK;
  }
  if (argc == 0 || (argc == 1 && is_group)) {
    cli_print_usage(stderr, is_group ? argv[0] : NULL, terminal);
    return plm_fail(PLM_E_USAGE, is_group ? "which of these?" : "no command was given");
  }
  return cli_unknown_command(argc, argv);
}

/* Results that did not reach stdout are a failure too (full disk), except into a closed pipe, which was the reader's
 * wish. */
static plm_status finish_stdout(plm_status status) {
  if (fflush(stdout) != 0 && stdout_failure == 0) stdout_failure = errno;
  if (ferror(stdout) && stdout_failure == 0) stdout_failure = EIO;
  if (stdout_failure == 0 || stdout_failure == EPIPE || status != PLM_OK) return status;
  return plm_fail(PLM_E_RESOURCE, "results could not be written to standard output: %s", strerror(stdout_failure));
}

int main(int argc, char **argv) {
  cli_common common;
  cli_terminal terminal;
  int words = 0;
  bool is_hidden;
  cli_hear_stop(argc, argv);
  plm_begin_program(argc, argv);
  if (cli_run_hidden(argc, argv, &is_hidden) != PLM_OK || is_hidden) return fflush(stdout) != 0 || ferror(stdout) != 0;
  cli_settle_waiting(argv);
  hold_standard_files();
  plm_json_use_our_allocator();
  signal(SIGPIPE, SIG_IGN);
  signal(SIGUSR2, SIG_IGN); /* asks train for a save: until it listens, there is nothing to save */
  signal(SIGXFSZ, SIG_IGN); /* `ulimit -f`: a write that fails is told; a signal is not */
  cli_scan_common(argc - 1, argv + 1, &common);
  cli_terminal_open(&common, &terminal);
  cli_log_open(&terminal, &common);
  plm_on_lost_file(cli_tell_lost_file);

  const plm_command *command = cli_find_command(argc - 1, argv + 1, &words);
  plm_status status = command != NULL ? run_command(command, argc - 1 - words, argv + 1 + words, &common, &terminal)
                                      : run_without_command(argc - 1, argv + 1, &common, &terminal);
  status = cli_ranks_end(finish_stdout(status));
  if (status != PLM_OK && status != PLM_STOPPED && cli_speaks()) cli_print_error(&terminal, status);
  cli_ranks_close();
  return plm_status_exit_code(status);
}
