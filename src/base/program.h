/* program.h - another program of this machine, asked for what it prints. No fork: safe in a process that MPI runs in.
 */
#ifndef PLM_BASE_PROGRAM_H
#define PLM_BASE_PROGRAM_H

#include <stdbool.h>

#include "protlm/status.h"

typedef struct plm_program_call {
  const char *const *argv; /* NULL at the end; argv[0] is looked for in PATH */
  const char *input;       /* what it reads; NULL: nothing */
  double timeout_s;        /* then it is killed */
  bool quiet;              /* its standard error is thrown away; else it is ours */
} plm_program_call;

/* Run it to its end. *ret_output is what it printed (plm_free), *ret_code its exit code, -1 when a signal ended it.
 * PLM_E_FAILURE: it is not there, or took too long. */
PLM_CHECKED plm_status plm_run_program(const plm_program_call *call, char **ret_output, int *ret_code);

#endif
