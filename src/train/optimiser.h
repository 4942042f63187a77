/* optimiser.h - updates of the train block by an optimiser of some kind, in as few calls as the parameter table allows.
 *
 * Neighbouring parameters that agree in weight decay and in having a bf16 copy are one range of elements in every block
 * (q, k and v weights are one), where the kind may update any range alone. 1/M and the clip factor are folded into the
 * update as one factor of the gradient.
 *
 * Of a sharded model (model.h; --zero 1) each rank keeps states, and masters that the full block has no place for, of
 * the pieces it owns, updates those, and sends what is read of them to the others (shards.h). No bit of a result differs.
 */
#ifndef PLM_TRAIN_OPTIMISER_H
#define PLM_TRAIN_OPTIMISER_H

#include "checkpoint/checkpoint.h"
#include "dist/comm.h"
#include "hub/model_dir.h"
#include "model/model.h"

typedef struct plm_optimiser_kind plm_optimiser_kind;

typedef struct plm_optimiser_options {
  const plm_optimiser_kind *kind; /* NULL: AdamW */
  double beta1, beta2, epsilon, weight_decay;
  double max_grad_norm; /* 0 = no clipping */
  plm_comm *comm;       /* the ranks that the model's buckets are cut for; NULL: one */
} plm_optimiser_options;

/* ---- kinds ---- */

enum { PLM_OPTIMISER_MAX_STATES = 4 };

/* n elements of one parameter, or of neighbours that a kind takes together, on the device. */
typedef struct plm_optimiser_update_args {
  const plm_optimiser_options *options;
  const plm_param *param; /* the first of them */
  int64_t n, t;           /* the t-th update, from 1 */
  float *w;
  const float *grad;
  /* of these elements; of the parameter where the state has a shape of its own */
  float *state[PLM_OPTIMISER_MAX_STATES];
  uint16_t *copy; /* bf16 copy to write too; NULL = none */
  double learning_rate, weight_decay, gradient_scale;
} plm_optimiser_update_args;

typedef struct plm_optimiser_state {
  const char *suffix;                                                       /* of its tensors' names: ".exp_avg" */
  int (*shape)(const plm_param *param, int64_t shape[PLM_TENSOR_MAX_DIMS]); /* returns dims; NULL: as the parameter's */
} plm_optimiser_state;

/* States are F32, zero at first, and of trained parameters only; they are saved and loaded by name, in this order. */
struct plm_optimiser_kind {
  const char *name;
  plm_optimiser_state states[PLM_OPTIMISER_MAX_STATES];
  int state_count;
  bool updates_ranges; /* any range of elements may be updated alone; needs states of the parameters' shapes */
  plm_status (*update)(plm_exec *x, const plm_optimiser_update_args *args);
};

/* An optimiser of this kind (NULL: AdamW), for plm_model_options. */
plm_planned_optimiser plm_optimiser_planned(const plm_optimiser_kind *kind);

/* Bytes of its states in a file, where they have the parameters' shapes. */
int64_t plm_optimiser_saved_bytes(const plm_optimiser_kind *kind, int64_t trainable);

/* ---- an optimiser ---- */

typedef struct plm_optimiser plm_optimiser;

/* Allocates the states on the device of `x`, zero. `model`, and of a sharded one `x`, must outlive the optimiser, which
 * keeps that model's masters: it is made before values are put into the model. PLM_E_UNSUPPORTED: a kind that does not
 * update ranges, of a sharded model. */
PLM_CHECKED plm_status plm_optimiser_create(plm_model *model, plm_exec *x, const plm_optimiser_options *options,
                                            plm_optimiser **ret_optimiser);
void plm_optimiser_destroy(plm_optimiser *optimiser); /* accepts NULL */

/* Norm of the gradient as it stands (of the SUM of losses) and its non-finite elements, over the pieces that this rank
 * owns, left by the device among the step's sums: see plm_model_read_sums. */
PLM_CHECKED plm_status plm_optimiser_norm(plm_optimiser *optimiser, plm_exec *x);

/* Factor of the gradient that makes it the clipped gradient of the mean: min(1, c / (norm/M + 1e-6)) / M, as PyTorch's
 * clip_grad_norm_. */
double plm_optimiser_scale(const plm_optimiser_options *options, double sum_norm, int64_t M);

/* One update, the t-th (from 1). Writes bf16 copies too; the caller then calls plm_model_refresh(...,
 * PLM_REFRESH_UPDATED). Of a sharded model collective: what the others read is under way when it returns. */
PLM_CHECKED plm_status plm_optimiser_update(plm_optimiser *optimiser, plm_exec *x, int64_t t, double learning_rate,
                                            double gradient_scale);

/* Elements of weights and states that are not finite, the same number on all ranks: must be 0 before they may be saved.
 * Collective. */
PLM_CHECKED plm_status plm_optimiser_count_nonfinite(plm_optimiser *optimiser, plm_exec *x, int64_t *ret_count);

/* ---- what is kept of it ---- */

/* The states as tensors by name, `<parameter><suffix>`, to be written and read. By name and not by position, so that a
 * checkpoint does not depend on ranks, padding or the order of the train block. Free with plm_tensor_list_free.
 *
 * Of a sharded model `fill` is collective, as is that of plm_model_tensors: every rank calls it for the same tensors in
 * the same order, through the whole list, also when writing has failed. The owners send their pieces to rank 0, whose
 * buffer receives the whole tensor; the others give NULL, or a buffer that is not looked at. `take` is not: each rank
 * calls it with the whole tensor, and keeps what it owns. */
PLM_CHECKED plm_status plm_optimiser_tensors(plm_optimiser *optimiser, plm_tensor_list *ret_list);

/* What a checkpoint keeps of a model and its optimiser: the model's description, its weights, the states. */
typedef struct plm_training_parts {
  plm_checkpoint_part items[3];
  plm_tensor_list weights, states;
  plm_model *model;
  const plm_model_origin *origin;
} plm_training_parts;

/* To be given to plm_checkpoint_save and _load, at the address at which it was made; after a load the caller refreshes
 * the model. Model, optimiser and `origin` (NULL: from scratch, or to load) must outlive it. */
PLM_CHECKED plm_status plm_training_parts_create(plm_model *model, plm_optimiser *optimiser,
                                                 const plm_model_origin *origin, plm_training_parts *ret_parts);
void plm_training_parts_free(plm_training_parts *parts);

/* Fill model and optimiser from a verified checkpoint (plm_checkpoint_load). The caller refreshes the model. *ret_state
 * (optional) is a new reference to protlm_state.json. */
PLM_CHECKED plm_status plm_training_load(const char *path, plm_model *model, plm_optimiser *optimiser,
                                         json_t **ret_state);

#endif
