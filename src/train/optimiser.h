/* optimiser.h - AdamW over the train block, in as few calls as the parameter table allows.
 *
 * Neighbouring parameters that agree in weight decay and in having a bf16 copy are one range of elements in every block
 * (q, k and v weights are one). 1/M and the clip factor are folded into the update as one factor of the gradient.
 */
#ifndef PLM_TRAIN_OPTIMISER_H
#define PLM_TRAIN_OPTIMISER_H

#include "checkpoint/checkpoint.h"
#include "model/model.h"

typedef struct plm_optimiser_options {
  double beta1, beta2, epsilon, weight_decay;
  double max_grad_norm; /* 0 = no clipping */
} plm_optimiser_options;

typedef struct plm_optimiser plm_optimiser;

/* Allocates both moments on the device of `x`, zero. `model` must outlive the optimiser. */
PLM_CHECKED plm_status plm_optimiser_create(plm_model *model, plm_exec *x, const plm_optimiser_options *options,
                                            plm_optimiser **ret_optimiser);
void plm_optimiser_destroy(plm_optimiser *optimiser); /* accepts NULL */
plm_moments plm_optimiser_moments(const plm_optimiser *optimiser);

/* Norm of the gradient as it stands (of the SUM of losses) and its non-finite elements, left by the device among the
 * step's sums: see plm_model_read_sums. */
PLM_CHECKED plm_status plm_optimiser_norm(plm_optimiser *optimiser, plm_exec *x);

/* Factor of the gradient that makes it the clipped gradient of the mean: min(1, c / (norm/M + 1e-6)) / M, as PyTorch's
 * clip_grad_norm_. */
double plm_optimiser_scale(const plm_optimiser_options *options, double sum_norm, int64_t M);

/* One update, the t-th (from 1). Writes bf16 copies too; the caller then calls plm_model_refresh(..., PLM_REFRESH_UPDATED). */
PLM_CHECKED plm_status plm_optimiser_update(plm_optimiser *optimiser, plm_exec *x, int64_t t, double learning_rate,
                                            double gradient_scale);

/* Elements of weights and moments that are not finite: must be 0 before they may be saved. */
PLM_CHECKED plm_status plm_optimiser_count_nonfinite(plm_optimiser *optimiser, plm_exec *x, int64_t *ret_count);

#endif
