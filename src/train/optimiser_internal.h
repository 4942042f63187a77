/* optimiser_internal.h - the inside of plm_optimiser, for optimiser.c and for what is kept of it (training_parts.c). */
#ifndef PLM_TRAIN_OPTIMISER_INTERNAL_H
#define PLM_TRAIN_OPTIMISER_INTERNAL_H

#include "train/optimiser.h"
#include "train/shards.h"

struct plm_optimiser {
  plm_optimiser_options options; /* kind is set */
  plm_model *model;
  plm_device *device;
  plm_shards *shards;                      /* NULL: states and masters are whole */
  float *states[PLM_OPTIMISER_MAX_STATES]; /* device memory */
  float *masters;                          /* [shard size] of what has none in the full block; NULL: nothing */
  struct plm_optimiser_range *ranges;      /* that this rank updates: optimiser.c's */
  size_t range_count;
  int64_t *counts; /* [size] of all ranks; NULL: alone */
};

/* Shape and elements of one parameter's part of a state. */
int plm_optimiser_shape(const plm_optimiser_state *state, const plm_param *p, int64_t shape[PLM_TENSOR_MAX_DIMS],
                        int64_t *ret_count);

/* The part of state `s` that belongs to the parameter of this index, where states are whole. */
float *plm_optimiser_state_of(const plm_optimiser *o, int s, int index);

#endif
