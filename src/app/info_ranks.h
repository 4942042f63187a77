/* info_ranks.h - the ranks of `protlm info`: who launched them, what joins them, what each has. */
#ifndef PLM_APP_INFO_RANKS_H
#define PLM_APP_INFO_RANKS_H

#include <jansson.h>

#include "dist/comm.h"
#include "kernels/exec.h"
#include "protlm/commands.h"

/* Collective. `comm` may be NULL: a process for itself. Where there are several, "table" has an object a rank. */
PLM_CHECKED plm_status plm_info_add_ranks(json_t *section, plm_comm *comm, plm_exec *exec);

/* What was added for several, as text. */
void plm_info_print_ranks(const plm_output *output, const json_t *section);

#endif
