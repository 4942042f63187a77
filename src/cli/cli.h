/* cli.h - what the files of the command line share. Only this room prints and exits.
 *
 * stdout carries results, stderr the log and the progress bar.
 */
#ifndef PLM_CLI_CLI_H
#define PLM_CLI_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "protlm/commands.h"
#include "protlm/options.h"
#include "protlm/train.h"

/* Options every command takes; read before the command's own table. */
typedef struct cli_common {
  bool help, version, quiet, no_color;
  int verbose; /* times -v was given */
} cli_common;

/* Take the common options out of argv (in place; *argc shrinks), leaving values of the command's own options alone. `table` may be NULL. */
void cli_take_common(const plm_option_table *table, int *argc, char **argv, cli_common *ret_common);

/* ---- terminal.c: what stderr and stdout can show ---- */
typedef struct cli_terminal {
  bool live;   /* stderr is a terminal: a progress bar can be redrawn */
  bool colour; /* on stderr */
  bool stdout_colour;
  int width;   /* columns, 80 when unknown */
} cli_terminal;
void cli_terminal_open(const cli_common *common, cli_terminal *ret_terminal);
const char *cli_style(const cli_terminal *terminal, const char *ansi); /* "" without colour */

/* Send the library's log to stderr, around whatever progress line is showing. */
void cli_log_open(const cli_terminal *terminal, const cli_common *common);

/* Show `line` as the progress line (live terminals), or clear it with NULL. */
void cli_status_line(const char *line);

/* The current failure as message and hint (with a trace for our bugs and with -v), on stderr. */
void cli_print_error(const cli_terminal *terminal, plm_status status);

/* Numbers for people, into a caller's buffer of 32: 12.3k, 4m05s, 1.2 GiB. They return the buffer. */
char *cli_count(double value, char text[32]);
char *cli_duration(double seconds, char text[32]);
char *cli_bytes(double bytes, char text[32]);

/* ---- commands ---- */
plm_status cli_train(const plm_option_values *values, const cli_terminal *terminal, const cli_common *common);

/* Write man pages and completions under `directory`: protlm generate-docs DIR. */
plm_status cli_generate_docs(const char *directory);

#endif
