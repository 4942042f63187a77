/* loader.h - the stream of global batches, prepared by threads while the step before runs.
 *
 * Ask for steps in ascending order; what comes does not depend on `workers` or timing. With workers = 0 everything
 * happens in the call.
 */
#ifndef PLM_DATA_LOADER_H
#define PLM_DATA_LOADER_H

#include "data/packer.h"
#include "data/sampler.h"

typedef struct plm_loader_options {
  plm_sampler_options sampler;
  plm_packer_options packer;
  int rank, ranks;
  int workers; /* threads that tokenise, mask and pack; default 1 */
  int ahead;   /* steps prepared in advance; default 4 */
} plm_loader_options;

/* This rank's part of one global batch. */
typedef struct plm_step_batch {
  int64_t step;  /* 0-based */
  int64_t epoch; /* 0-based */
  int64_t micro_count;
  plm_packed *const *micro;                /* [micro_count]; may be empty (N = 0) */
  int64_t global_sequences, global_tokens; /* over all ranks */
} plm_step_batch;

typedef struct plm_loader plm_loader;
PLM_CHECKED plm_status plm_loader_create(const plm_view *view, const plm_loader_options *options,
                                         plm_loader **ret_loader);
void plm_loader_destroy(plm_loader *loader); /* stops and joins the threads; accepts NULL */

int64_t plm_loader_steps_per_epoch(const plm_loader *loader);
int64_t plm_loader_tokens_per_epoch(const plm_loader *loader); /* after cropping, over all ranks */

/* Batch of `step`; valid until the next call. The first call may start anywhere (resume); later ones ask for the next
 * step. *ret_waited (optional) = seconds this call waited for data. Failures in the threads are returned here. */
PLM_CHECKED plm_status plm_loader_get(plm_loader *loader, int64_t step, const plm_step_batch **ret_batch,
                                      double *ret_waited);

/* Global batch of one step as a single packed batch in the epoch's order, all ranks together: for `inspect batch`. */
PLM_CHECKED plm_status plm_loader_inspect(const plm_view *view, const plm_loader_options *options, int64_t step,
                                          plm_packed *packed, int64_t *ret_epoch);

#endif
