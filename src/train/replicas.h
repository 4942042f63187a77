/* replicas.h - do all ranks read the same parameters? By construction they do (comm.h); a hash that is compared now and
 * then finds memory and processors that are not to be trusted.
 */
#ifndef PLM_TRAIN_REPLICAS_H
#define PLM_TRAIN_REPLICAS_H

#include "dist/comm.h"
#include "model/model.h"

/* Are they compared in the step that follows `step` ones? every: --check-replicas, 0 = never. */
bool plm_replicas_are_due(int64_t every, int64_t step, const plm_comm *comm);

/* XXH3 of the parameters as passes read them, every bit of the full and the half block; never 0. Waits for the device. */
PLM_CHECKED plm_status plm_replica_hash(plm_model *model, plm_exec *x, uint64_t *ret_hash);

#endif
