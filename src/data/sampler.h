/* sampler.h - which sequences make up global batch `step`: a pure function of (data, seed, step).
 *
 * An epoch is a permutation of the sequences, stateless: a Feistel network over the next power of four, cycle-walked
 * into 0..n-1, keyed by (seed, epoch). Its tokens after cropping, `total`, are the same in every epoch, so every epoch
 * has
 *     n = max(1, floor(total / batch_tokens))
 * batches; batch b holds the sequences whose cumulative start in the epoch's order lies in [b*total/n, (b+1)*total/n)
 * (integers, 128-bit products). With batch_sequences the same rule counts sequences. Random access costs one pass over
 * the epoch's order, kept for the last epoch asked for. stream_version 1.
 */
#ifndef PLM_DATA_SAMPLER_H
#define PLM_DATA_SAMPLER_H

#include "data/dataset.h"

enum { PLM_STREAM_VERSION = 1 };

typedef struct plm_sampler_options {
  uint64_t seed;
  int64_t batch_tokens;    /* tokens of a global batch, specials included; or */
  int64_t batch_sequences; /* sequences of a global batch (> 0 wins) */
  int64_t max_length;      /* tokens of one sequence, specials included */
  const plm_alphabet *alphabet;
} plm_sampler_options;

typedef struct plm_sampler plm_sampler;
PLM_CHECKED plm_status plm_sampler_create(const plm_view *view, const plm_sampler_options *options,
                                          plm_sampler **ret_sampler);
void plm_sampler_destroy(plm_sampler *sampler); /* accepts NULL */

int64_t plm_sampler_steps_per_epoch(const plm_sampler *sampler);
int64_t plm_sampler_total_tokens(const plm_sampler *sampler); /* of one epoch, after cropping */

/* Global batch `step` (0-based over the whole run): its epoch and its sequence ids (dataset ids, in the epoch's order).
 * The memory is the sampler's, valid until the next call. Not thread-safe. */
PLM_CHECKED plm_status plm_sampler_batch(plm_sampler *sampler, int64_t step, int64_t *ret_epoch,
                                         const int64_t **ret_ids, int64_t *ret_count);

/* Position `index` of a permutation of 0..n-1 keyed by (seed, epoch). */
uint64_t plm_permute(uint64_t seed, uint32_t epoch, uint64_t n, uint64_t index);

#endif
