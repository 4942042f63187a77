/* thread_count.h - with how many threads a command computes, and why: the one place that decides (design 10.16).
 *
 * Asked for, it is that many. A run that goes on keeps the number that it began with, as the order of its sums depends
 * on it. Otherwise it is the smallest of what this process may use (affinity, control group, OpenMP's own limit),
 * each divided by the ranks that share it, and what is meant for each process: OMP_NUM_THREADS, SLURM_CPUS_PER_TASK.
 */
#ifndef PLM_BASE_THREAD_COUNT_H
#define PLM_BASE_THREAD_COUNT_H

#include <stdint.h>

#include "base/system.h"
#include "protlm/status.h"

typedef struct plm_thread_request {
  int64_t asked;   /* --threads; 0 = not given */
  int64_t saved;   /* of the run that goes on; 0 = there is none */
  int local_ranks; /* processes of one run that may run on the same processors, 0 = 1 */
  int quota_ranks; /* ... that one control group holds back together: those of this machine, 0 = 1 */
} plm_thread_request;

enum { PLM_THREAD_WORDS = 160 };

typedef struct plm_thread_count {
  int threads; /* at least 1 */
  int usable;  /* processors that this process may use */
  /* Why it is not the number of the machine's processors: "OMP_NUM_THREADS=1; 64 usable: --threads 64". "": it is, or
   * it was asked for. */
  char why[PLM_THREAD_WORDS];
} plm_thread_count;

/* PLM_E_USAGE: more than four threads asked for on each usable processor. Warns of more than one, of a variable that is
 * no number, and of a run that had more threads than can be had here: call it once in a command. */
PLM_CHECKED plm_status plm_thread_count_decide(const plm_thread_request *request, plm_thread_count *ret_count);

/* The same for other limits than this process's. */
PLM_CHECKED plm_status plm_thread_count_judge(const plm_thread_request *request, const plm_cpu_limits *limits,
                                              plm_thread_count *ret_count);

#endif
