/* launch.h - what launched this process, from the environment alone: variables of Open MPI, MPICH, PMIx, torchrun and
 * Slurm. It tells whether there is MPI to be opened, and of which make; rank and size come from MPI itself.
 * SLURM_NTASKS is not asked outside a step of srun's: a batch script that starts one process itself has it too.
 */
#ifndef PLM_DIST_LAUNCH_H
#define PLM_DIST_LAUNCH_H

#include <stdbool.h>

#include "protlm/status.h"

typedef struct plm_launch {
  int rank, size, local_rank;
  const char *by;       /* "nothing", "srun", "mpirun", "torchrun" */
  const char *variable; /* the one that gives the size; NULL with "nothing" */
  bool is_leftover;     /* a size without what a launcher gives each process beside it: nobody launched us */
} plm_launch;
void plm_launch_detect(plm_launch *ret_launch);

/* For what must not be done by several processes at a time, as they would write one output. PLM_E_USAGE where the
 * environment says that there are several, with what to type. */
PLM_CHECKED plm_status plm_launch_expect_one(const char *command);

#endif
