/* share.c - see share.h. Contents: shares, facts, judgement, threads. */
#include "dist/share.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cgroup.h"
#include "base/text.h"
#include "dist/agree.h"
#include "dist/launch.h"
#include "protlm/log.h"

/* ---- shares ---- */

plm_status plm_rank_share_find(plm_comm *comm, plm_rank_share *ret_share) {
  plm_cpu_set mine, *all = comm != NULL ? comm->scratch : NULL;
  _Static_assert(sizeof mine <= PLM_AGREE_BYTES, "the scratch memory of a communicator holds one for each rank");
  plm_rank_share share = {.sharing_ranks = 1, .local_ranks = 1};
  if (comm != NULL && comm->size > 1) {
    plm_cpu_set_own(&mine);
    PLM_TRY(comm->exchange(comm, "processors", &mine, sizeof mine, all));
    share.local_ranks = comm->local_size;
    for (int rank = 0; rank < comm->size; rank++)
      share.sharing_ranks +=
          rank != comm->rank && comm->places[rank].node == comm->node && plm_cpu_set_overlaps(&mine, &all[rank]);
  }
  *ret_share = share;
  return PLM_OK;
}

/* ---- facts ---- */

static int smaller(int a, int b) { return a < b ? a : b; }

/* What Slurm gave the job on this machine; INT_MAX outside Slurm. */
static int slurms_processors(void) {
  const char *text = getenv("SLURM_CPUS_ON_NODE");
  const long number = text != NULL ? strtol(text, NULL, 10) : 0;
  return number > 0 && number < INT_MAX ? (int)number : INT_MAX;
}

void plm_rank_facts_read(plm_rank_facts *ret_facts) {
  plm_cpu_limits limits;
  plm_cpu_limits_read(&limits);
  *ret_facts = (plm_rank_facts){
      .offered =
          smaller(smaller(limits.online, limits.cgroup), smaller(plm_cgroup_read("").cpuset, slurms_processors())),
  };
  plm_cpu_set_own(&ret_facts->cpus);
  plm_numa_nodes_of("", &ret_facts->cpus, &ret_facts->nodes);
}

plm_status plm_rank_facts_gather(plm_comm *comm, const plm_rank_facts *mine, plm_rank_facts *all) {
  return comm->exchange(comm, "ranks", mine, sizeof *mine, all);
}

/* ---- judgement ---- */

static int ranks_beside(const plm_comm *comm, int rank) {
  int count = 0;
  for (int other = 0; other < comm->size; other++) count += comm->places[other].node == comm->places[rank].node;
  return count;
}

/* Slurm was told how many each task gets, or nobody binds. */
static bool may_be_bound_by_default(const char *by) {
  if (strcmp(by, "srun") == 0) return getenv("SLURM_CPUS_PER_TASK") == NULL;
  return strcmp(by, "mpirun") == 0 || strcmp(by, "mpiexec") == 0;
}

static void warn_of_binding(const plm_comm *comm, const plm_rank_facts *all, const char *by) {
  int bound = 0, first = 0;
  for (int rank = comm->size - 1; rank >= 0; rank--) {
    if (plm_cpu_set_count(&all[rank].cpus) >= all[rank].offered / ranks_beside(comm, rank)) continue;
    bound++;
    first = rank;
  }
  if (bound == 0) return;
  char cpus[PLM_CPU_SET_TEXT];
  const plm_rank_facts *f = &all[first];
  const int count = plm_cpu_set_count(&f->cpus), local = ranks_beside(comm, first), each = f->offered / local;
  const bool by_srun = strcmp(by, "srun") == 0;
  plm_warn(
      "%s bound %d of %d %s to fewer processors than there are: rank %d (%s) to %d (%s), where %d could have %d%s; "
      "start with `%s%d` or `%s`",
      by, bound, comm->size, plm_plural(comm->size, "rank", "ranks"), first, comm->places[first].host, count,
      plm_cpu_set_text(&f->cpus, cpus), local, each, local > 1 ? " each" : "",
      by_srun ? "srun --cpus-per-task=" : "mpirun --map-by slot:PE=", each,
      by_srun ? "srun --cpu-bind=none" : "mpirun --bind-to none");
}

/* Threads of the machine that `rank` is the first of, and the processors that they have. */
static bool is_crowded(const plm_comm *comm, const plm_rank_facts *all, int rank, int *ret_threads, int *ret_cpus) {
  plm_cpu_set cpus = {0};
  *ret_threads = 0;
  for (int other = 0; other < comm->size; other++) {
    if (comm->places[other].node != comm->places[rank].node) continue;
    if (other < rank) return false;
    plm_cpu_set_add(&cpus, &all[other].cpus);
    *ret_threads += all[other].threads;
  }
  *ret_cpus = smaller(plm_cpu_set_count(&cpus), all[rank].offered);
  return *ret_threads > *ret_cpus;
}

/* One process that was told to have more threads has been warned when it was told. */
static void warn_of_crowding(const plm_comm *comm, const plm_rank_facts *all) {
  for (int rank = 0; rank < comm->size && comm->size > 1; rank++) {
    int threads, cpus;
    char advice[48] = "start fewer of them there";
    if (!is_crowded(comm, all, rank, &threads, &cpus)) continue;
    const int local = ranks_beside(comm, rank);
    if (cpus >= local) snprintf(advice, sizeof advice, "--threads %d", cpus / local);
    plm_warn("%d %s on %s compute with %d threads on %d %s and slow each other down: %s", local,
             plm_plural(local, "rank", "ranks"), comm->places[rank].host, threads, cpus,
             plm_plural(cpus, "processor", "processors"), advice);
    return;
  }
}

void plm_rank_facts_judge(const plm_comm *comm, const plm_rank_facts *all, const char *by) {
  if (may_be_bound_by_default(by)) warn_of_binding(comm, all, by);
  warn_of_crowding(comm, all);
}

/* ---- threads ---- */

static plm_status judge_all(plm_comm *comm, int threads) {
  plm_launch launch;
  plm_rank_facts mine, *all;
  PLM_TRY(PLM_NEW(&all, comm->size));
  plm_rank_facts_read(&mine);
  mine.threads = threads;
  plm_status status = plm_rank_facts_gather(comm, &mine, all);
  plm_launch_detect(&launch);
  if (status == PLM_OK && comm->rank == 0) plm_rank_facts_judge(comm, all, launch.by);
  plm_free(all);
  return status;
}

/* A rank whose request is refused comes to the second exchange too, and fails when the stage ends. */
plm_status plm_rank_threads_decide(plm_comm *comm, plm_thread_request request, plm_thread_count *ret_count) {
  plm_rank_share share;
  plm_error_record refusal;
  PLM_TRY(plm_rank_share_find(comm, &share));
  request.local_ranks = share.sharing_ranks;
  request.quota_ranks = share.local_ranks;
  const plm_status status = plm_thread_count_decide(&request, ret_count);
  if (comm == NULL) return status;
  plm_error_take(status, &refusal);
  PLM_TRY(judge_all(comm, status == PLM_OK ? ret_count->threads : 0));
  return plm_error_give(&refusal);
}
