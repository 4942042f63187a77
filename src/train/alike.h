/* alike.h - what must be the same on all ranks, or they would compute something else than asked: compared before the
 * first step, one by one where something differs, so that the message names it.
 *
 * Not compared is what only concerns the place of a rank: threads, loader threads, paths of cache and output, the clock,
 * and names of data files, whose content is compared instead. What rank 0 alone reads (checkpoints, a model's directory)
 * needs no comparison: the others have it from rank 0.
 */
#ifndef PLM_TRAIN_ALIKE_H
#define PLM_TRAIN_ALIKE_H

#include "dist/agree.h"
#include "train/resolve.h"
#include "train/stream.h"

/* Collective, as all here: PLM_E_USAGE on every rank, naming the rank and what it has. */
PLM_CHECKED plm_status plm_alike_program(plm_comm *comm);
PLM_CHECKED plm_status plm_alike_options(plm_comm *comm, const plm_train_settings *settings);
PLM_CHECKED plm_status plm_alike_data(plm_comm *comm, const plm_stream *stream);

#endif
