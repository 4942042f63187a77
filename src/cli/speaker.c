/* speaker.c - which of several processes speaks: the first rank; without a communicator, the first that a launcher
 * started, of what is the same for all. */
#include <string.h>

#include "cli/cli.h"
#include "dist/comm.h"
#include "dist/launch.h"

static plm_comm *ranks; /* NULL: a process for itself */
static bool is_silent;  /* without a communicator: another says the same */

plm_comm *cli_ranks(void) { return ranks; }
void cli_set_ranks(plm_comm *comm) { ranks = comm; }
bool cli_is_one_of_several(void) { return ranks != NULL && ranks->size > 1; }

bool cli_speaks(void) { return ranks != NULL ? ranks->rank == 0 : !is_silent; }
void cli_be_silent(void) { is_silent = true; }
void cli_speak_for_launched(void) { is_silent = !plm_launch_is_first(); }

/* In a signal handler, but one of an access of ours: it interrupts no lock of the communicator's. */
void cli_ranks_abort(const char *words) {
  static plm_error_record why = {.code = PLM_E_INPUT};
  if (!cli_is_one_of_several()) return;
  strncpy(why.message, words, sizeof why.message - 1);
  ranks->abort(ranks, &why);
}
