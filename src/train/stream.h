/* stream.h - the data of a run: what is trained on, what it is evaluated on, and the stream of batches. For whoever
 * reads as a run does: train, and `inspect batch`.
 */
#ifndef PLM_TRAIN_STREAM_H
#define PLM_TRAIN_STREAM_H

#include "data/loader.h"
#include "train/context.h"
#include "train/resolve.h"

typedef struct plm_stream {
  plm_dataset *train_data, *eval_data; /* eval_data: NULL without --eval */
  plm_view train, eval;                /* eval: with has_eval only */
  bool has_eval;
  double *frequency; /* [V] residues of the training side; NULL without evaluation */
  plm_loader *loader;
} plm_stream;

/* Datasets, views and frequencies. `stream` is all zero before; close it whatever this returns. PLM_E_INPUT when there
 * is nothing to predict; PLM_STOPPED when interrupted. */
PLM_CHECKED plm_status plm_stream_open(plm_stream *stream, const plm_train_settings *settings,
                                       const plm_run_context *context);
PLM_CHECKED plm_status plm_stream_open_loader(plm_stream *stream, const plm_train_settings *settings,
                                              int64_t micro_batch_tokens, const plm_comm *comm);
void plm_stream_close(plm_stream *stream);

/* The batch of a step, and the seconds waited for it. A file that was changed meanwhile is what is wrong with it. */
PLM_CHECKED plm_status plm_stream_get(plm_stream *stream, int64_t step, const plm_step_batch **ret_batch,
                                      double *ret_waited);

/* What was read, for a person. A run that was resumed has been told already what its sets share. */
PLM_CHECKED plm_status plm_stream_report(const plm_stream *stream, const plm_train_settings *settings, bool resumed);

/* micro_batch_tokens: of the machine's plan. comm: this rank's share; NULL = all. */
void plm_stream_packer_options(const plm_train_settings *settings, int64_t micro_batch_tokens,
                               plm_packer_options *ret_packer);
void plm_stream_loader_options(const plm_train_settings *settings, int64_t micro_batch_tokens, const plm_comm *comm,
                               plm_loader_options *ret_loader);

#endif
