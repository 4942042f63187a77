/* cli.h - what the files of the command line share. Only this room prints and exits.
 *
 * stdout carries results, stderr the log and the progress bar.
 */
#ifndef PLM_CLI_CLI_H
#define PLM_CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "protlm/commands.h"
#include "protlm/options.h"
#include "protlm/train.h"

struct cli_terminal;
struct plm_comm;

/* ---- common.c: options every command takes ---- */
typedef struct cli_common {
  bool help, version, quiet, no_color;
  int verbose; /* times -v was given */
} cli_common;

/* Look for the common options before anything is parsed, so that help works beside mistakes and mistakes are shown as
 * wished. */
void cli_scan_common(int argc, char **argv, cli_common *ret_common);

/* The common options as parsed with plm_command_full_table. */
void cli_read_common(const plm_command *command, const plm_option_values *values, cli_common *common);

/* ---- usage.c: the list of commands ---- */
/* at the front of argv, one word or two; NULL */
const plm_command *cli_find_command(int argc, char **argv, int *ret_words);
bool cli_is_group(const char *word); /* the first word of two-word commands */
/* only: a first word, or NULL for all */
void cli_print_usage(FILE *out, const char *only, const struct cli_terminal *terminal);
plm_status cli_unknown_command(int argc, char **argv);

/* The file that runs, for plm_output and plm_train_observer. */
const char *cli_own_program(void);

/* Keep idle threads from spinning for long (waiting.c). Does not return when it starts the program over. */
void cli_settle_waiting(char **argv);

/* ---- early_stop.c: SIGTERM and its like before plm_train listens to them ---- */
void cli_hear_stop(int argc, char **argv); /* the first line of main: exit code 75 from here on, if this is training */
void cli_hold_stop(bool held);             /* they stay pending, beyond an exec too, until they are held no more */
void cli_stop_is_late(void);               /* plm_train has returned: there is nothing left to stop */

/* ---- terminal.c: what stderr and stdout can show ---- */
typedef struct cli_terminal {
  bool live;   /* stderr is a terminal: a progress bar can be redrawn */
  bool colour; /* on stderr */
  bool stdout_colour;
  int width; /* columns, 80 when unknown */
} cli_terminal;
void cli_terminal_open(const cli_common *common, cli_terminal *ret_terminal);
const char *cli_style(const cli_terminal *terminal, const char *ansi); /* "" without colour */

/* Send the library's log to stderr, around whatever progress line is showing. */
void cli_log_open(const cli_terminal *terminal, const cli_common *common);

/* From now on as a later one of several ranks, who: "rank 1 n2": warnings alone, with who says them; with -vv the whole
 * log. */
void cli_log_as_rank(const cli_common *common, const char *who);

/* ---- warnings.c: each is said once among all ranks ---- */
enum { CLI_WARNINGS = 64 };
void cli_warnings_hold(void);              /* each different one once; and none at all until they are released */
bool cli_warning_is_due(const char *line); /* notes it; false: it is held, or has been said */
void cli_warnings_list(uint64_t ret_hashes[CLI_WARNINGS]);          /* of those said and held; 0: none */
void cli_warnings_release(const uint64_t *by_others, size_t count); /* says those that are not among the others' */

/* Show `line` as the progress line (live terminals), or clear it with NULL. */
void cli_status_line(const char *line);

/* The current failure as message and hint (with a trace for our bugs and with -v), on stderr. */
void cli_print_error(const cli_terminal *terminal, plm_status status);

/* A plm_lost_file_fn: says which file it was and ends the process. */
void cli_tell_lost_file(const char *path);

/* ---- speaker.c: which of several processes speaks ---- */
struct plm_comm *cli_ranks(void); /* NULL: a process for itself */
void cli_set_ranks(struct plm_comm *comm);
bool cli_is_one_of_several(void);
bool cli_speaks(void); /* results, log and errors are this process's to print */
void cli_be_silent(void);
/* For what is printed without a communicator, the same by all: only the first that a launcher started speaks. */
void cli_speak_for_launched(void);
void cli_ranks_abort(const char *words); /* ends the others too; for a handler that is about to end this process */

/* ---- ranks.c: one of several, from beginning to end. Collective ---- */

/* The communicator of a command that ranks share, before anything is read. A command that goes for itself where ranks
 * do not find each other gets none, with a warning. */
PLM_CHECKED plm_status cli_ranks_open(const plm_command *command, const cli_common *common, cli_terminal *terminal);
PLM_CHECKED plm_status cli_ranks_agree(const char *stage, plm_status mine);
PLM_CHECKED plm_status cli_ranks_settle_warnings(void);  /* what ranks have held so far is said, once among all */
PLM_CHECKED plm_status cli_ranks_end(plm_status status); /* all ranks leave with what this returns */
void cli_ranks_close(void);                              /* the last barrier: nothing is printed afterwards */

/* ---- commands ---- */
plm_status cli_train(const plm_option_values *values, const cli_terminal *terminal, const cli_common *common);

/* ---- hidden.c: what no list shows. *ret_is_hidden: argv asked for such a command, which has run ---- */
PLM_CHECKED plm_status cli_run_hidden(int argc, char **argv, bool *ret_is_hidden);

#endif
