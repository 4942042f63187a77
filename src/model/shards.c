/* shards.c - what lives in pieces with other ranks, and arrives when it is asked for: see model.h. */
#include "model/internal.h"

void plm_model_set_shards(plm_model *model, const plm_model_shards *shards) {
  model->shards = shards != NULL ? *shards : (plm_model_shards){0};
}

plm_status plm_model_arrive(const plm_model *model, int bucket) {
  const plm_model_shards *shards = &model->shards;
  return shards->arrive != NULL ? shards->arrive(shards->user, bucket) : PLM_OK;
}
