/* launch.c - who started us, read from the environment (platform_facts: under mpirun inside Slurm the SLURM_ task
 * variables are those of the daemon, so MPI's come first). Contents: detection, lines to type, what is told, refusal of several, refusal
 * of ranks that do not find each other. */
#include "dist/launch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/system.h"
#include "base/text.h"
#include "protlm/log.h"

typedef struct launcher {
  const char *by, *size, *rank, *local_rank;
  const char *also;   /* what it sets as well for all that it starts; NULL: the rank alone tells */
  bool decides_alone; /* of a size of one, too: what others have set is not about this process */
} launcher;

static const launcher launchers[] = {
    {"mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "PMIX_NAMESPACE", true},
    {"mpiexec", "PMI_SIZE", "PMI_RANK", "MPI_LOCALRANKID", NULL, true},
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

static bool is_srun(const launcher *l) { return strcmp(l->by, "srun") == 0; }

static bool speaks(const launcher *l) {
  const int size = read_int(l->size);
  if (is_srun(l) && is_step_of_one()) return false;
  if (strcmp(l->size, "SLURM_NTASKS") == 0 && !is_set(l->also)) return false; /* a job, and no step */
  if (strcmp(l->by, "mpiexec") == 0 && is_set("PMI_JOBID") && is_set("SLURM_STEP_ID"))
    return false; /* srun's own PMI */
  return size > 1 || (size == 1 && (l->decides_alone || is_srun(l)));
}

static bool is_complete(const launcher *l) {
  return read_int(l->rank) != NO_NUMBER && (l->also == NULL || is_set(l->also));
}

/* The nearest one that is at work; else the first of which something seems left over; NULL. */
static const launcher *find_launcher(void) {
  const launcher *leftover = NULL;
  for (const launcher *l = launchers; l < launchers + LAUNCHERS; l++) {
    if (!speaks(l)) continue;
    if (is_complete(l)) return l;
    if (leftover == NULL) leftover = l;
  }
  return leftover;
}

/* PMI first: MPICH's mpiexec inside a step of Slurm shows the step's PMIx too. Cray's srun and PALS have a PMI of their
 * own beside, or instead. */
static plm_mpi_make find_make(void) {
  if (is_set("PMI_FD") || is_set("PMI_RANK") || is_set("PMI_CONTROL_PORT") || is_set("PALS_RANKID"))
    return PLM_MPI_MPICH;
  return is_set("PMIX_NAMESPACE") ? PLM_MPI_OPEN_MPI : PLM_MPI_NONE;
}

/* PMIx gives a rank and no size. One that is not the first is not alone. */
static void take_later_pmix_rank(plm_launch *launch) {
  const int rank = read_int("PMIX_RANK");
  if (rank < 1) return;
  launch->rank = rank;
  launch->size = rank + 1;
  launch->by = "mpirun";
  launch->variable = "PMIX_RANK";
}

void plm_launch_detect(plm_launch *ret_launch) {
  const launcher *l = find_launcher();
  *ret_launch = (plm_launch){.size = 1, .by = "nothing", .mpi = find_make()};
  if (l == NULL) {
    take_later_pmix_rank(ret_launch);
    return;
  }
  const int rank = read_int(l->rank), local = read_int(l->local_rank);
  ret_launch->rank = rank > 0 ? rank : 0;
  ret_launch->size = read_int(l->size);
  ret_launch->local_rank = local > 0 ? local : 0;
  ret_launch->by = l->by;
  ret_launch->variable = l->size;
  ret_launch->is_leftover = !is_complete(l);
}

bool plm_launch_is_first(void) {
  plm_launch launch;
  plm_launch_detect(&launch);
  return launch.is_leftover || launch.rank == 0;
}

/* ---- lines to type ---- */

/* " -u NAME" for each variable that says there are several; a variable that lies behind another would be the next to be
 * found. Slurm's stay where srun is at work. */
static void append_unsetting(plm_text *line) {
  for (size_t i = 0; i < LAUNCHERS; i++)
    if (speaks(&launchers[i]) && read_int(launchers[i].size) > 1) plm_text_printf(line, " -u %s", launchers[i].size);
  if (read_int("PMIX_RANK") > 0) plm_text_append(line, " -u PMIX_RANK");
}

/* The line begun, and this command after it. One too long to be shown whole is not shown in part. */
static plm_status finish_line(plm_text *line, char **ret_line) {
  enum { LONGEST = 1600 };
  char *command;
  plm_status status = plm_own_command(&command);
  if (status != PLM_OK) {
    plm_text_free(line);
    return status;
  }
  const bool fits = *command != '\0' && line->length + strlen(command) < LONGEST;
  plm_text_printf(line, " %s", fits ? command : "protlm ...");
  plm_free(command);
  return plm_text_take(line, ret_line);
}

/* What to type in place of this command: once, by srun itself where that is at work; else without any launcher, also
 * one that is only in the environment. */
static plm_status compose_single(const plm_launch *launch, char **ret_line) {
  const bool by_srun = strcmp(launch->by, "srun") == 0 && !launch->is_leftover;
  plm_text line = {0};
  plm_text_append(&line, by_srun ? "srun --ntasks=1" : "env");
  if (!by_srun) append_unsetting(&line);
  return finish_line(&line, ret_line);
}

plm_status plm_launch_line(const plm_launch *launch, const char *mpi, char **ret_line) {
  const int nodes = read_int("SLURM_STEP_NUM_NODES");
  plm_text line = {0};
  if (strcmp(launch->by, "srun") == 0) {
    plm_text_printf(&line, "srun --mpi=%s", mpi);
    if (nodes > 0) plm_text_printf(&line, " --nodes=%d", nodes);
    plm_text_printf(&line, " --ntasks=%d", launch->size);
  } else {
    plm_text_printf(&line, "mpirun -n %d", launch->size);
  }
  return finish_line(&line, ret_line);
}

/* ---- what is told ---- */

/* A job of several tasks of which this is not one: in its batch script, where srun was forgotten. */
static plm_status tell_of_a_job_left_alone(void) {
  const plm_launch launch = {.size = read_int("SLURM_NTASKS"), .by = "srun"};
  char *line;
  if (launch.size <= 1 || (is_set("SLURM_STEP_ID") && !is_step_of_one())) return PLM_OK;
  PLM_TRY(plm_launch_line(&launch, "pmix", &line));
  plm_info("this job of Slurm's has %d tasks, and this is one process of one rank; for all of them: `%s`", launch.size,
           line);
  plm_free(line);
  return PLM_OK;
}

/* Whether srun was given --kill-on-bad-exit its tasks cannot see; the variable that means the same they can. */
void plm_launch_tell(void) {
  plm_launch launch;
  plm_launch_detect(&launch);
  if (launch.size > 1 && strcmp(launch.by, "srun") == 0 && read_int("SLURM_KILL_BAD_EXIT") != 1)
    plm_info(
        "srun: unless it was given --kill-on-bad-exit=1, the ranks beside one that is killed go on waiting for it until "
        "--timeout; `export SLURM_KILL_BAD_EXIT=1` in front of srun does the same, and this line is left out");
  if (launch.mpi == PLM_MPI_MPICH && read_int("MPICH_GPU_SUPPORT_ENABLED") == 1)
    plm_info("MPICH_GPU_SUPPORT_ENABLED=1 is set to 0 for this run: MPI passes host memory only");
  if (strcmp(launch.by, "nothing") == 0 && tell_of_a_job_left_alone() != PLM_OK) plm_error_clear();
}

/* ---- refusal of several ---- */

/* With the line that starts one process without it. */
static plm_status fail_leftover(const plm_launch *launch) {
  const launcher *l = launchers;
  char *line;
  while (strcmp(l->size, launch->variable) != 0) l++;
  PLM_TRY(compose_single(launch, &line));
  plm_status status = plm_fail(
      PLM_E_USAGE, "%s=%d is in the environment as if %s had started %d processes, but %s is not: it seems left over",
      launch->variable, launch->size, launch->by, launch->size, is_set(l->rank) ? l->also : l->rank);
  plm_hint(status, "`%s`", line);
  plm_free(line);
  return status;
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
  if (launch.is_leftover) return fail_leftover(&launch);
  PLM_TRY(compose_single(&launch, &line));
  plm_status status = fail_several(&launch, command);
  if (strcmp(launch.by, "srun") == 0)
    plm_hint(status, "start one task: `%s` (with --cpus-per-task=N for N threads); where no srun is at work, unset %s",
             line, launch.variable);
  else
    plm_hint(status, "start it once, without %s: `%s`", launch.by, line);
  plm_free(line);
  return status;
}

/* ---- refusal of ranks that do not find each other ---- */

static plm_status fail_unconnected(const plm_launch *launch) {
  const bool by_srun = strcmp(launch->by, "srun") == 0;
  char *line;
  PLM_TRY(plm_launch_line(launch, "pmix", &line));
  plm_status status =
      plm_fail(PLM_E_USAGE, "%s started %d processes (%s=%d, this is rank %d) that cannot find each other: %s",
               launch->by, launch->size, launch->variable, read_int(launch->variable), launch->rank,
               by_srun ? "neither PMI nor PMIx is in the environment"
                       : "protlm's ranks are joined by MPI, which it does not start");
  if (by_srun)
    plm_hint(status, "`%s` for Open MPI, --mpi=pmi2 for MPICH; srun --mpi=list shows what there is", line);
  else
    plm_hint(status, "`%s`, or srun", line);
  plm_free(line);
  return status;
}

plm_status plm_launch_expect_ranks(void) {
  plm_launch launch;
  plm_launch_detect(&launch);
  if (launch.size <= 1) return PLM_OK;
  if (launch.is_leftover) return fail_leftover(&launch);
  if (strcmp(launch.by, "torchrun") == 0) return fail_unconnected(&launch);
  return launch.mpi == PLM_MPI_NONE && !is_set("PROTLM_MPI") ? fail_unconnected(&launch) : PLM_OK;
}

plm_status plm_launch_expect_size(int size, const char *library) {
  plm_launch launch;
  plm_launch_detect(&launch);
  if (launch.size <= 1 || size > 1) return PLM_OK;
  const bool by_srun = strcmp(launch.by, "srun") == 0;
  plm_status status =
      plm_fail(PLM_E_USAGE, "%s started %d processes (%s=%d, this is rank %d), but %s takes each for the only one",
               launch.by, launch.size, launch.variable, read_int(launch.variable), launch.rank, library);
  return plm_hint(status,
                  by_srun ? "give srun the MPI's own --mpi=: pmix for Open MPI, pmi2 for MPICH"
                          : "the launcher and the library are of two MPIs: take the mpirun or mpiexec that came with "
                            "the library, or name the launcher's library in PROTLM_MPI");
}
