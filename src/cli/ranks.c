/* ranks.c - this process as one of several: opens the communicator before anything is read, has all end with one code,
 * and lets no warning of theirs be said twice. Who speaks is in speaker.c.
 *
 * Ranks other than the first print nothing but warnings, "[rank 1 n2] warning: ...". Until their start is over these
 * are held: most are of what all read alike, and have been said by a rank before.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "dist/agree.h"
#include "dist/launch.h"
#include "protlm/log.h"

/* ---- opening ---- */

/* What the environment says of how this goes, once. */
static void tell_of_launch(const plm_command *command) {
  if (command->run == NULL && plm_launch_is_first()) plm_launch_tell();
}

/* The processes cannot speak with each other, so each that fails must do it for itself, or the first for all. What the
 * environment tells is the same for all. A library may be missing on one machine alone: there the others wait for it in
 * MPI, and nobody else will say why; but where the first fails too, the launcher ends the others while they wait. */
static plm_status fail_to_open(plm_status status, bool is_same_for_all) {
  enum { LAUNCHER_TAKES_S = 3 };
  if (!plm_launch_is_first()) {
    if (is_same_for_all)
      cli_be_silent();
    else
      sleep(LAUNCHER_TAKES_S);
  }
  return status;
}

static plm_status open_comm(const plm_command *command) {
  plm_status status = plm_launch_expect_ranks();
  if (status != PLM_OK) return fail_to_open(status, true);
  tell_of_launch(command);
  cli_hold_stop(true); /* until plm_train listens, or this turns out to be alone */
  plm_comm *comm = NULL;
  status = plm_comm_open(&comm);
  if (status != PLM_OK || comm->size == 1) cli_hold_stop(false);
  if (status != PLM_OK) return fail_to_open(status, false);
  cli_set_ranks(comm);
  return PLM_OK;
}

plm_status cli_ranks_open(const plm_command *command, const cli_common *common, cli_terminal *terminal) {
  plm_status status = PLM_OK;
  if (command->ranks == PLM_RANKS_TOGETHER || command->ranks == PLM_RANKS_IF_FOUND) status = open_comm(command);
  if (status != PLM_OK && command->ranks == PLM_RANKS_IF_FOUND) {
    if (cli_speaks()) plm_warn("%s; try: %s", plm_error_message(), plm_error_hint());
    plm_error_clear();
    status = PLM_OK;
  }
  if (cli_is_one_of_several() && !cli_speaks()) {
    const plm_comm *ranks = cli_ranks();
    char who[PLM_RANK_WORDS];
    cli_terminal_open(common, terminal); /* without progress */
    cli_warnings_hold();
    snprintf(who, sizeof who, "rank %d %s", ranks->rank, ranks->places[ranks->rank].host);
    cli_log_as_rank(common, who);
  }
  return status;
}

plm_status cli_ranks_agree(const char *stage, plm_status mine) {
  return cli_ranks() != NULL ? plm_agree(cli_ranks(), stage, mine) : mine;
}

/* ---- warnings ---- */

plm_status cli_ranks_settle_warnings(void) {
  plm_comm *ranks = cli_ranks();
  uint64_t mine[CLI_WARNINGS], *all;
  _Static_assert(sizeof mine <= PLM_AGREE_BYTES, "the scratch memory of a communicator holds one for each rank");
  if (!cli_is_one_of_several()) return PLM_OK;
  all = ranks->scratch;
  cli_warnings_list(mine);
  PLM_TRY(ranks->exchange(ranks, "warnings", mine, sizeof mine, all));
  cli_warnings_release(all, (size_t)ranks->rank * CLI_WARNINGS);
  return PLM_OK;
}

/* ---- ending ---- */

plm_status cli_ranks_end(plm_status status) {
  if (!cli_is_one_of_several()) return status;
  status = plm_comm_end(cli_ranks(), status);
  plm_error_record record;
  plm_error_take(status, &record);
  if (cli_ranks_settle_warnings() != PLM_OK) cli_warnings_release(NULL, 0);
  return plm_error_give(&record);
}

void cli_ranks_close(void) {
  plm_comm *comm = cli_ranks();
  cli_set_ranks(NULL);
  plm_comm_destroy(comm);
}
