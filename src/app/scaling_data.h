/* scaling_data.h - what the model of scaling is given: the buckets of a model, and how evenly real lengths divide, by
 * what `data/shard.c` makes of the batches of a file. */
#ifndef PLM_APP_SCALING_DATA_H
#define PLM_APP_SCALING_DATA_H

#include "app/scaling_model.h"
#include "data/packer.h"
#include "model/params.h"

/* A job with the buckets of a model of this shape; compute and update are the caller's. */
PLM_CHECKED plm_status plm_scaling_job_of(const plm_model_config *config, plm_scaling_job *ret_job);

typedef struct plm_scaling_lengths {
  int64_t max_length;
  double quadratic_cost; /* as in packer.h */
  const plm_alphabet *alphabet;
  int64_t tokens_per_rank, batches;
} plm_scaling_lengths;

/* What the most loaded rank has above the mean, as a share, in the worst of the batches. */
typedef struct plm_scaling_imbalance {
  double cost, tokens;
  double mean_cost; /* the mean over batches of the former */
} plm_scaling_imbalance;

PLM_CHECKED plm_status plm_scaling_imbalance_find(const plm_view *view, const plm_scaling_lengths *lengths, int ranks,
                                                  plm_scaling_imbalance *ret_imbalance);

/* The length that attention sees: sum of squares over sum, in tokens after cropping. */
double plm_scaling_attended_length(const plm_view *view, const plm_scaling_lengths *lengths);

#endif
