/* scaling.h - what the halves of `bench scaling` share: its options, the model of the job, a machine measured. */
#ifndef PLM_APP_SCALING_H
#define PLM_APP_SCALING_H

#include "app/scaling_data.h"
#include "app/scaling_model.h"
#include "app/session.h"

typedef struct plm_scaling_options {
  const char *model, *machine, *dtype, *gradient_dtype;
  plm_string_list data;
  plm_data_options read;
  int64_t ranks, batch_tokens, micro_batch_tokens, max_length, zero, tokens_per_rank, batches, steps, threads;
  double timeout;
} plm_scaling_options;

/* cost of a sequence of n tokens = n + q n^2: 12 L C n of attention beside 72 L C^2 of products */
static inline double plm_scaling_quadratic_cost(const plm_model_config *config) {
  return 1 / (6.0 * (double)config->hidden_size);
}

/* Measures this machine, all ranks at once, and prints what a step of `protlm train` with these options should take. */
PLM_CHECKED plm_status plm_scaling_here(const plm_scaling_options *options, const plm_output *output);

#endif
