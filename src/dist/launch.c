/* launch.c - who started us, read from the environment (platform_facts: under mpirun inside Slurm the SLURM_ task
 * variables are those of the daemon, so MPI's come first). Contents: detection, refusal of several. */
#include "dist/launch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/system.h"
#include "base/text.h"

typedef struct launcher {
  const char *by, *size, *rank, *local_rank;
  const char *also;   /* what it sets as well for all that it starts; NULL: the rank alone tells */
  bool decides_alone; /* of a size of one, too: what others have set is not about this process */
} launcher;

static const launcher launchers[] = {
    {"mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", NULL, true},
    {"mpirun", "PMI_SIZE", "PMI_RANK", "MPI_LOCALRANKID", NULL, true},
    {"torchrun", "WORLD_SIZE", "RANK", "LOCAL_RANK", "TORCHELASTIC_RUN_ID", false},
    {"srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_LOCALID", NULL, false},
    {"srun", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_ID", false},
};
enum { LAUNCHERS = sizeof launchers / sizeof *launchers, NO_NUMBER = -1 };

/* ---- detection ---- */

static bool is_set(const char *name) {
  const char *text = getenv(name);
  return text != NULL && *text != '\0';
}

/* A non-negative number from the environment, or NO_NUMBER. */
static int read_int(const char *name) {
  if (!is_set(name)) return NO_NUMBER;
  char *end;
  const long value = strtol(getenv(name), &end, 10);
  return *end == '\0' && value >= 0 && value < 1 << 24 ? (int)value : NO_NUMBER;
}

/* Slurm numbers the steps of srun from 0; near the end of 32 bits are those of which each is one process, whatever the
 * job's tasks: the batch script, the shell of salloc. */
static bool is_step_of_one(void) {
  const char *text = getenv("SLURM_STEP_ID");
  return text != NULL && strtoull(text, NULL, 10) >= 0xfffffff0u;
}

static bool speaks(const launcher *l) {
  const int size = read_int(l->size);
  const bool is_slurm = strcmp(l->by, "srun") == 0;
  if (is_slurm && is_step_of_one()) return false;
  if (strcmp(l->size, "SLURM_NTASKS") == 0 && !is_set(l->also)) return false; /* a job, and no step */
  return size > 1 || (size == 1 && (l->decides_alone || is_slurm));
}

/* PMIx gives a rank and no size. One that is not the first is not alone. */
static void take_later_pmix_rank(plm_launch *launch) {
  const int rank = read_int("PMIX_RANK");
  if (rank < 1) return;
  *launch = (plm_launch){.rank = rank, .size = rank + 1, .by = "mpirun", .variable = "PMIX_RANK"};
}

void plm_launch_detect(plm_launch *ret_launch) {
  *ret_launch = (plm_launch){.size = 1, .by = "nothing"};
  for (size_t i = 0; i < LAUNCHERS; i++) {
    const launcher *l = &launchers[i];
    if (!speaks(l)) continue;
    const int rank = read_int(l->rank), local = read_int(l->local_rank);
    *ret_launch = (plm_launch){
        .rank = rank > 0 ? rank : 0,
        .size = read_int(l->size),
        .local_rank = local > 0 ? local : 0,
        .by = l->by,
        .variable = l->size,
        .is_leftover = rank == NO_NUMBER || (l->also != NULL && !is_set(l->also)),
    };
    return;
  }
  take_later_pmix_rank(ret_launch);
}

/* ---- refusal of several ---- */

/* " -u NAME" for each variable that says there are several; a variable that lies behind another would be the next to be
 * found. Slurm's stay where srun is at work. */
static void append_unsetting(plm_text *line) {
  for (size_t i = 0; i < LAUNCHERS; i++)
    if (speaks(&launchers[i]) && read_int(launchers[i].size) > 1) plm_text_printf(line, " -u %s", launchers[i].size);
  if (read_int("PMIX_RANK") > 0) plm_text_append(line, " -u PMIX_RANK");
}

/* What to type in place of this command: once, by srun itself where that is at work; else without any launcher, also
 * one that is only in the environment. A command too long to be shown whole is not shown in part. */
static plm_status compose_line(const plm_launch *launch, char **ret_line) {
  enum { LONGEST = 1600 };
  const bool by_srun = strcmp(launch->by, "srun") == 0 && !launch->is_leftover;
  char *command;
  plm_text line = {0};
  PLM_TRY(plm_own_command(&command));
  plm_text_append(&line, by_srun ? "srun --ntasks=1" : "env");
  if (!by_srun) append_unsetting(&line);
  const bool fits = *command != '\0' && line.length + strlen(command) < LONGEST;
  plm_text_printf(&line, " %s", fits ? command : "protlm ...");
  plm_free(command);
  return plm_text_take(&line, ret_line);
}

static plm_status fail_leftover(const plm_launch *launch, const char *command) {
  const launcher *l = launchers;
  while (strcmp(l->size, launch->variable) != 0) l++;
  return plm_fail(
      PLM_E_USAGE,
      "%s=%d is in the environment as if %s had started %d processes, but %s is not: it seems left over, and "
      "protlm %s runs as one task",
      launch->variable, launch->size, launch->by, launch->size, is_set(l->rank) ? l->also : l->rank, command);
}

static plm_status fail_several(const plm_launch *launch, const char *command) {
  const char *text = getenv(launch->variable);
  const bool by_torchrun = strcmp(launch->by, "torchrun") == 0;
  return plm_fail(PLM_E_USAGE,
                  "%s started several tasks of this command (%s=%s, this is rank %d), but protlm %s runs as one task%s",
                  launch->by, launch->variable, text != NULL ? text : "", launch->rank, command,
                  by_torchrun ? ", without torchrun" : "");
}

plm_status plm_launch_expect_one(const char *command) {
  plm_launch launch;
  char *line;
  plm_launch_detect(&launch);
  if (launch.size <= 1) return PLM_OK;
  PLM_TRY(compose_line(&launch, &line));
  plm_status status = launch.is_leftover ? fail_leftover(&launch, command) : fail_several(&launch, command);
  if (launch.is_leftover)
    plm_hint(status, "`%s`", line);
  else if (strcmp(launch.by, "srun") == 0)
    plm_hint(status, "start one task: `%s` (with --cpus-per-task=N for N threads); where no srun is at work, unset %s",
             line, launch.variable);
  else
    plm_hint(status, "start it once, without %s: `%s`", launch.by, line);
  plm_free(line);
  return status;
}
