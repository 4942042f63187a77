/* replicas.c - see replicas.h. */
#include "train/replicas.h"

#include "base/alloc.h"
#include "base/hash.h"

enum { PIECE = 1 << 20 /* bytes */ };

bool plm_replicas_are_due(int64_t every, int64_t step, const plm_comm *comm) {
  return comm->size > 1 && every > 0 && step % every == 0;
}

/* A chain of the hashes of pieces, so that a device's memory needs little of the host's. */
static plm_status add_block(plm_device *device, const void *block, int64_t bytes, void *room, uint64_t *hash) {
  for (int64_t done = 0; done < bytes; done += PIECE) {
    const size_t n = (size_t)(bytes - done < PIECE ? bytes - done : PIECE);
    PLM_TRY(device->copy(device, room, (const char *)block + done, n, PLM_COPY_TO_HOST));
    const uint64_t link[2] = {*hash, plm_hash64(room, n)};
    *hash = plm_hash64(link, sizeof link);
  }
  return PLM_OK;
}

plm_status plm_replica_hash(plm_model *model, plm_exec *x, uint64_t *ret_hash) {
  const plm_params *params = plm_model_get_params(model);
  const int64_t half = plm_model_half(model) != NULL ? params->half_size : 0;
  uint64_t hash = 0;
  char *room;
  plm_status status = PLM_OK;
  PLM_TRY(PLM_NEW(&room, PIECE));
  for (int b = 0; b < params->bucket_count; b++) PLM_TRY_GOTO(plm_model_arrive(model, b), done);
  PLM_TRY_GOTO(add_block(x->device, plm_model_full(model), params->full_size * (int64_t)sizeof(float), room, &hash),
               done);
  PLM_TRY_GOTO(add_block(x->device, plm_model_half(model), half * (int64_t)sizeof(uint16_t), room, &hash), done);
  *ret_hash = hash != 0 ? hash : 1;
done:
  plm_free(room);
  return status;
}
