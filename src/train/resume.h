/* resume.h - the run directory: whose it is, who holds it, which checkpoint to go on from, and whether the options
 * still fit. */
#ifndef PLM_TRAIN_RESUME_H
#define PLM_TRAIN_RESUME_H

#include "base/file.h"
#include "dist/agree.h"
#include "train/resolve.h"
#include "train/state.h"

typedef struct plm_run_directory {
  char *path;       /* NULL: a dry run without --output-dir */
  plm_lock *lock;   /* NULL: a dry run; and but on rank 0 */
  bool created;     /* by this start; removed again at close if nothing but the lock came into it */
  char *checkpoint; /* to go on from; NULL = begin */
  int64_t step;     /* of that checkpoint */
} plm_run_directory;

/* Make or enter the directory, take its lock, say how the last start ended, reclaim leftovers, and choose the checkpoint
 * by --resume-from-checkpoint. A dry run only looks. PLM_E_USAGE: not a run and not empty (left untouched), in use by
 * another; PLM_E_RESOURCE: cannot be made or written, or is not seen by all ranks; PLM_E_CHECKPOINT: checkpoints, but
 * none that is good. Collective: rank 0 does all that, and the others have its choice. */
PLM_CHECKED plm_status plm_run_directory_open(const plm_train_settings *settings, plm_comm *comm,
                                              plm_run_directory *ret_directory);
/* fruitless: stopped before the first step, so what this start wrote is removed. */
void plm_run_directory_close(plm_run_directory *directory, bool fruitless);

/* Resolved options by name, for the state. New reference. */
PLM_CHECKED plm_status plm_resume_options(const plm_train_settings *settings, json_t **ret_options);

/* Compare with what the run was started with: every difference is told, with its resume class; PLM_E_USAGE when one is
 * not allowed, naming the flag to add. `data`, `ranks`: as they are now. A global batch counted in sequences stays what
 * it was, on any number of ranks: a size per rank that makes the same batch of it is no difference. */
PLM_CHECKED plm_status plm_resume_compare(const plm_train_settings *settings, const plm_train_state *state,
                                          const plm_data_identity *data, int ranks);

#endif
