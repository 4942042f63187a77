/* commands.h - the other commands as functions: each has an option table and a run function that fills a result or
 * calls a printer.
 *
 * The library never prints: text for a person or a pipe goes through plm_output, which the command line points at
 * stdout.
 */
#ifndef PROTLM_COMMANDS_H
#define PROTLM_COMMANDS_H

#include "protlm/options.h"

/* Where results go: `write` gets pieces of text, in order. colour: ANSI escapes are welcome. width: of the terminal. */
typedef struct plm_output {
  void *user;
  void (*write)(void *user, const char *text);
  bool colour;
  int width;
  struct plm_comm *comm; /* the other ranks (dist/comm.h), of commands that share their work; NULL: alone */
  const char *program;   /* whose main begins with plm_begin_program, for HDF5 files; NULL: this process reads them */
} plm_output;

/* libhdf5 crashes on some damaged files, so another process reads them: the file of a program that is named for it
 * (plm_output, plm_train_observer; "/proc/self/exe" is the one that runs). Its main calls this before anything else. It
 * returns, unless the program was started for such a file; then that is read, and the process ends. */
void plm_begin_program(int argc, char *const *argv);

typedef plm_status plm_command_fn(const plm_option_values *values, const plm_output *output);

/* What several processes that a launcher started do with a command. */
typedef enum plm_command_ranks {
  PLM_RANKS_APART,    /* each does it for itself */
  PLM_RANKS_ONE,      /* refused: all would write one output */
  PLM_RANKS_TOGETHER, /* they share its work: ranks of one communicator */
  PLM_RANKS_IF_FOUND, /* the same; each for itself where they do not find each other */
} plm_command_ranks;

typedef struct plm_command {
  const char *name;    /* "eval", "inspect tokens" */
  const char *heading; /* under which `protlm --help` lists it */
  const plm_option_table *(*options)(void);
  plm_command_fn *run; /* NULL for `train`, which has an API of its own */
  plm_command_ranks ranks;
} plm_command;

/* Run a command other than `train`. PLM_E_USAGE where a launcher started several processes of one that is for one
 * process, or of one that they share and output has no communicator. */
PLM_CHECKED plm_status plm_command_run(const plm_command *command, const plm_option_values *values,
                                       const plm_output *output);

/* All commands, in the order of `protlm --help`: train, eval, inspect tokens|batch|forward|params, ckpt ls|verify,
 * report, slurm, info, bench gemm|step. */
const plm_command *plm_commands(int *ret_count);

#endif
