/* launch.h - what launched this process, from the environment alone: variables of Open MPI, MPICH, PMIx, torchrun and
 * Slurm. It tells whether there is MPI to be opened, and of which make; rank and size come from MPI itself.
 *
 * Who is nearest decides: mpirun and mpiexec, then a torchrun that is at work, then srun, then what seems left over.
 * SLURM_NTASKS is not asked outside a step of srun's: a batch script that starts one process itself has it too.
 */
#ifndef PLM_DIST_LAUNCH_H
#define PLM_DIST_LAUNCH_H

#include <stdbool.h>

#include "protlm/status.h"

/* Whose ranks find each other by what the launcher has set: MPICH's by PMI, as Cray's and Intel's; Open MPI's by PMIx.
 */
typedef enum plm_mpi_make { PLM_MPI_NONE, PLM_MPI_MPICH, PLM_MPI_OPEN_MPI } plm_mpi_make;

typedef struct plm_launch {
  int rank, size, local_rank;
  const char *by;       /* "nothing", "srun", "mpirun", "mpiexec", "torchrun" */
  const char *variable; /* the one that gives the size; NULL with "nothing" */
  bool is_leftover;     /* a size without what a launcher gives each process beside it: nobody launched us */
  plm_mpi_make mpi;     /* NONE: ranks cannot find each other, as far as we know */
} plm_launch;
void plm_launch_detect(plm_launch *ret_launch);

/* False: this is a later one of several processes that one launcher started alike. What none of them has told the others
 * is said once, then: by the first. */
bool plm_launch_is_first(void);

/* What to type for as many ranks of this command as were started, by a launcher that has them find each other. mpi:
 * srun's word for the make, "pmix" or "pmi2". To be freed with plm_free. */
PLM_CHECKED plm_status plm_launch_line(const plm_launch *launch, const char *mpi, char **ret_line);

/* At the start of what ranks do together, by the first: logs what the launcher's settings mean for it, a line each. */
void plm_launch_tell(void);

/* For what must not be done by several processes at a time, as they would write one output. PLM_E_USAGE where the
 * environment says that there are several, with what to type. */
PLM_CHECKED plm_status plm_launch_expect_one(const char *command);

/* For what ranks do together, before MPI is opened. PLM_E_USAGE where several processes have been started that cannot
 * find each other (by torchrun, by srun without its MPI), or seem to have been, with what to type. PROTLM_MPI: whoever
 * names a library knows how its ranks do. */
PLM_CHECKED plm_status plm_launch_expect_ranks(void);

/* After MPI has been opened: PLM_E_USAGE where it takes each of several processes for the only one, as one of another
 * make than the launcher's does. library: its name. */
PLM_CHECKED plm_status plm_launch_expect_size(int size, const char *library);

#endif
