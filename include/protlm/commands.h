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
} plm_output;

typedef plm_status plm_command_fn(const plm_option_values *values, const plm_output *output);

typedef struct plm_command {
  const char *name;    /* "eval", "inspect tokens" */
  const char *heading; /* under which `protlm --help` lists it */
  const plm_option_table *(*options)(void);
  plm_command_fn *run; /* NULL for `train`, which has an API of its own */
} plm_command;

/* All commands, in the order of `protlm --help`: train, eval, inspect tokens|batch|forward|params, ckpt ls|verify,
 * info, report, bench gemm|step. */
const plm_command *plm_commands(int *ret_count);

#endif
