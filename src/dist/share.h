/* share.h - what the ranks of one machine share: its processors, its memory, its control group's limits.
 *
 * All functions that take a communicator are collective; NULL stands for a process alone.
 */
#ifndef PLM_DIST_SHARE_H
#define PLM_DIST_SHARE_H

#include "base/cpu_set.h"
#include "base/thread_count.h"
#include "dist/comm.h"

typedef struct plm_rank_share {
  int sharing_ranks; /* ranks of this machine, this one too, that may run on a processor of this one's: at least 1 */
  int local_ranks;   /* ranks of this machine: memory and the control group's limits are theirs together */
} plm_rank_share;
PLM_CHECKED plm_status plm_rank_share_find(plm_comm *comm, plm_rank_share *ret_share);

/* plm_thread_count_decide for a rank, with its share: *_ranks of the request are filled in. Then rank 0 warns of how
 * the launcher bound all of them (plm_rank_facts_judge). Once in a command. */
PLM_CHECKED plm_status plm_rank_threads_decide(plm_comm *comm, plm_thread_request request, plm_thread_count *ret_count);

/* ---- what each rank has, for all to see ---- */

enum { PLM_RANK_LEVEL = 32 };

typedef struct plm_rank_facts {
  plm_cpu_set cpus;           /* that it may run on: a launcher's binding */
  plm_cpu_set nodes;          /* NUMA nodes of these */
  int32_t offered;            /* processors that its machine has for all its ranks: of the job, the container */
  int32_t threads;            /* 0 = not decided */
  int64_t memory;             /* bytes, its share of the machine's */
  char level[PLM_RANK_LEVEL]; /* of the kernels */
} plm_rank_facts;

/* Of this process; threads, memory and level are the caller's. */
void plm_rank_facts_read(plm_rank_facts *ret_facts);

/* all [size], in rank order. */
PLM_CHECKED plm_status plm_rank_facts_gather(plm_comm *comm, const plm_rank_facts *mine, plm_rank_facts *all);

/* Warns of ranks that are bound to fewer processors than there are for them, as mpirun does by itself, with the flag of
 * the launcher `by` that changes it; and of machines with more threads than processors. To be called by one rank. */
void plm_rank_facts_judge(const plm_comm *comm, const plm_rank_facts *all, const char *by);

#endif
