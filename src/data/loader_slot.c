/* loader_slot.c - see loader_slot.h */
#include "data/loader_slot.h"

#include <string.h>

#include "base/alloc.h"

plm_status plm_loader_slot_sample(plm_loader_slot *slot, plm_sampler *sampler, int64_t step) {
  const int64_t *ids;
  int64_t epoch;
  PLM_TRY(plm_sampler_batch(sampler, step, &epoch, &ids, &slot->count));
  PLM_TRY(PLM_GROW(&slot->ids, &slot->ids_room, slot->count));
  memcpy(slot->ids, ids, (size_t)slot->count * sizeof *ids);
  slot->batch = (plm_step_batch){.step = step, .epoch = epoch, .global_sequences = slot->count};
  return PLM_OK;
}

static plm_status divide(plm_loader_slot *slot, const plm_view *view, const plm_loader_options *options) {
  int64_t count = slot->count;
  PLM_TRY(PLM_GROW(&slot->lengths, &slot->lengths_room, count));
  PLM_TRY(PLM_GROW(&slot->rank, &slot->rank_room, count));
  PLM_TRY(PLM_GROW(&slot->micro, &slot->micro_room, count));
  PLM_TRY(PLM_GROW(&slot->mine, &slot->mine_room, count));
  for (int64_t i = 0; i < count; i++) {
    slot->lengths[i] =
        plm_token_length(view->dataset, options->packer.alphabet, slot->ids[i], options->packer.max_length);
    slot->batch.global_tokens += slot->lengths[i];
  }
  return plm_shard(slot->lengths, count, options->ranks, options->packer.micro_batch_tokens,
                   options->packer.quadratic_cost, slot->rank, slot->micro, &slot->batch.micro_count);
}

plm_status plm_loader_slot_pack(plm_loader_slot *slot, const plm_view *view, const plm_loader_options *options) {
  PLM_TRY(divide(slot, view, options));
  PLM_TRY(PLM_GROW(&slot->packed, &slot->packed_room, slot->batch.micro_count));
  while (slot->packed_count < slot->batch.micro_count) {
    PLM_TRY(plm_packed_create(&slot->packed[slot->packed_count]));
    slot->packed_count++;
  }
  for (int64_t m = 0; m < slot->batch.micro_count; m++) {
    int64_t count = 0;
    for (int64_t i = 0; i < slot->count; i++)
      if (slot->rank[i] == options->rank && slot->micro[i] == m) slot->mine[count++] = slot->ids[i];
    PLM_TRY(plm_pack(view->dataset, &options->packer, (uint32_t)slot->batch.epoch, slot->mine, count, slot->packed[m]));
  }
  slot->batch.micro = slot->packed;
  return PLM_OK;
}

void plm_loader_slot_clear(plm_loader_slot *slot) {
  for (int64_t i = 0; i < slot->packed_count; i++) plm_packed_destroy(slot->packed[i]);
  plm_free(slot->packed);
  plm_free(slot->ids);
  plm_free(slot->lengths);
  plm_free(slot->rank);
  plm_free(slot->micro);
  plm_free(slot->mine);
  *slot = (plm_loader_slot){0};
}
