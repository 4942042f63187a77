/* squeue.h - how long Slurm lets this job run, where no variable says so: Slurm before 23 sets none. */
#ifndef PLM_TRAIN_SQUEUE_H
#define PLM_TRAIN_SQUEUE_H

#include <stdbool.h>

/* Seconds that are left of `job`, asked of the program squeue, which gets `patience` seconds to answer. False: there is
 * no such program (a container hides it), no limit, or no answer. No fork: safe in a process that MPI runs in. */
bool plm_squeue_time_left(const char *job, double patience, double *ret_seconds);

/* "1-02:03:04", "02:03:04", "59:30", as squeue prints a time. False for words ("UNLIMITED", "INVALID"). */
bool plm_squeue_parse_time(const char *text, double *ret_seconds);

#endif
