/* shared_parts.h - what a checkpoint or a model's directory holds, among ranks: rank 0 alone opens and writes files, and
 * the others get from it, or give to it, tensor by tensor.
 *
 * Reading: rank 0 reads; each tensor travels to all, and every rank's own `take` has it, so that a rank may keep a part.
 * Writing: rank 0 writes; before each tensor all learn which, and every rank's own `fill` is called with it, in the order
 * of the file (without a buffer but on rank 0), so that a `fill` may gather what the ranks have each a part of. Rank 0 may fail at any moment (a full
 * disk) and the others are released.
 *
 * All functions are collective, and end in an agreement: all ranks succeed, or all fail alike.
 */
#ifndef PLM_TRAIN_SHARED_PARTS_H
#define PLM_TRAIN_SHARED_PARTS_H

#include "dist/agree.h"
#include "hub/model_dir.h"
#include "train/optimiser.h"

/* config.json and vocabulary, as rank 0 has read them. */
PLM_CHECKED plm_status plm_shared_config(plm_comm *comm, plm_model_config *config);

/* A document, as rank 0 has it; a new reference on the others. `what` names it in messages. */
PLM_CHECKED plm_status plm_shared_document(plm_comm *comm, const char *what, json_t **document);

/* plm_training_load. The caller refreshes the model. */
PLM_CHECKED plm_status plm_shared_load(plm_comm *comm, const char *path, plm_model *model, plm_optimiser *optimiser);

/* The weights alone: plm_model_dir_load; `own`: plm_model_dir_load_own. *ret_report is rank 0's. The caller refreshes
 * the model. */
PLM_CHECKED plm_status plm_shared_load_weights(plm_comm *comm, const char *directory, bool own, plm_model *model,
                                               plm_load_report *ret_report);

/* ---- writing ---- */

enum { PLM_SHARED_LISTS = 2 };

/* Lists of tensors that are about to be written: the same on every rank. */
typedef struct plm_shared_lists {
  plm_comm *comm;
  const plm_tensor_list *given[PLM_SHARED_LISTS]; /* by each rank, for itself */
  int count;
  plm_tensor_list shared[PLM_SHARED_LISTS]; /* for rank 0 to write from: their `fill` has all ranks take part */
  struct plm_shared_user {
    struct plm_shared_lists *lists;
    int number;
  } users[PLM_SHARED_LISTS];
} plm_shared_lists;

/* At the address at which it stays. */
void plm_shared_lists_init(plm_shared_lists *lists, plm_comm *comm, const plm_tensor_list *const *given, int count);

/* Rank 0 calls `write` (not NULL there), in which it may write each list as often as it likes; the others are asked for
 * their part until it returns. The stage is agreed under `stage`. */
PLM_CHECKED plm_status plm_shared_write(plm_shared_lists *lists, const char *stage, plm_status (*write)(void *user),
                                        void *user);

#endif
