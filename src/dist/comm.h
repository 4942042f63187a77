/* comm.h - the communicator table: the only way the loop knows of other ranks. `self` is the one of a single process;
 * MPI and NCCL/RCCL fill the same table.
 *
 * Collective: every function must be called by all ranks in the same order. A rank never fails alone: fallible stages
 * end in `agree`.
 */
#ifndef PLM_DIST_COMM_H
#define PLM_DIST_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/ops.h"
#include "protlm/batch.h"
#include "protlm/status.h"

/* What all ranks agree on in each step, before the update (sums add up, flags are or-ed, hash must be equal
 * everywhere). */
typedef struct plm_control {
  plm_loss_sums objective[PLM_MAX_OBJECTIVES]; /* of each over the global batch; the nll is NAN if a row's loss is */
  int64_t nonfinite;                           /* places that are not finite, of losses and gradients */
  int64_t residues, tokens;
  double data_wait;     /* largest */
  uint32_t stop_flags;  /* PLM_STOP_* of train/stop.h, or-ed */
  uint32_t error_flag;  /* a rank failed in this step */
  uint64_t config_hash; /* different hashes: PLM_E_USAGE on every rank */
} plm_control;

typedef struct plm_comm plm_comm;
struct plm_comm {
  const char *name; /* "self" */
  int rank, size, local_rank;
  plm_status (*control)(plm_comm *comm, plm_control *control); /* in place */
  /* start reducing (sum), device memory */
  plm_status (*bucket_ready)(plm_comm *comm, int bucket, float *gradient, int64_t count);
  plm_status (*bucket_needed)(plm_comm *comm, int bucket);      /* forward is about to read its weights */
  plm_status (*finish_gradients)(plm_comm *comm);               /* all buckets reduced on return */
  plm_status (*sum)(plm_comm *comm, double *values, int count); /* in place, fixed order */
  plm_status (*broadcast)(plm_comm *comm, void *data, size_t bytes, int root);
  plm_status (*agree)(plm_comm *comm, plm_status mine, plm_status *ret_worst); /* the most severe status of all ranks */
  plm_status (*barrier)(plm_comm *comm);
  void (*destroy)(plm_comm *comm);
};

PLM_CHECKED plm_status plm_comm_self_create(plm_comm **ret_comm);
void plm_comm_destroy(plm_comm *comm); /* accepts NULL */

/* What launched us, from the environment alone: variables of Open MPI, MPICH, PMIx, torchrun and Slurm. SLURM_NTASKS is
 * not asked outside a step of srun's: a batch script that starts one process itself has it too. */
typedef struct plm_launch {
  int rank, size, local_rank;
  const char *by;       /* "nothing", "srun", "mpirun", "torchrun" */
  const char *variable; /* the one that gives the size; NULL with "nothing" */
  bool is_leftover;     /* a size without what a launcher gives each process beside it: nobody launched us */
} plm_launch;
void plm_launch_detect(plm_launch *ret_launch);

/* For what must not be done by several processes at a time, as they would write one output: `command` ("train", "eval")
 * works as one task until ranks share the work. PLM_E_USAGE where the environment says that there are several, with
 * what to type. */
PLM_CHECKED plm_status plm_launch_expect_one(const char *command);

#endif
