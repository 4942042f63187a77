/* loader_slot.h - one global batch in preparation: the memory for it, and the two halves of the work. */
#ifndef PLM_DATA_LOADER_SLOT_H
#define PLM_DATA_LOADER_SLOT_H

#include "data/loader.h"

typedef struct plm_loader_slot {
  plm_step_batch batch;
  int64_t *ids, *lengths; /* [count] of the global batch */
  int32_t *rank, *micro;
  size_t ids_room, lengths_room, rank_room, micro_room;
  int64_t count;
  int64_t *mine; /* ids of one micro-batch */
  size_t mine_room;
  plm_packed **packed; /* [packed_count] made so far; reused from step to step */
  size_t packed_room;
  int64_t packed_count;
} plm_loader_slot;

/* Which sequences: needs the sampler to itself. Then the rest: shard, tokenise, mask, pack; touches only the slot. */
PLM_CHECKED plm_status plm_loader_slot_sample(plm_loader_slot *slot, plm_sampler *sampler, int64_t step);
PLM_CHECKED plm_status plm_loader_slot_pack(plm_loader_slot *slot, const plm_view *view,
                                            const plm_loader_options *options);
void plm_loader_slot_clear(plm_loader_slot *slot);

#endif
