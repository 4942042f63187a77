/* packer.h - from sequence ids to packed micro-batches.
 *
 * The global batch is divided over ranks and micro-batches by predicted cost (a linear and a quadratic term in length),
 * longest first onto the least loaded, deterministically; a micro-batch holds at most `micro_batch_tokens` tokens (one
 * longer sequence alone excepted). Inside a micro-batch sequences stand in ascending position of the global batch.
 * Every rank gets the same number of micro-batches, some perhaps empty.
 */
#ifndef PLM_DATA_PACKER_H
#define PLM_DATA_PACKER_H

#include "data/dataset.h"
#include "data/masking.h"
#include "protlm/batch.h"

typedef struct plm_packer_options {
  const plm_alphabet *alphabet;
  plm_alphabet_policy policy;
  plm_mask_options mask;
  bool masked; /* false: tokens as they are, no objective (inspect forward, embed) */
  uint64_t seed;
  bool evaluation;    /* evaluation masks and crops */
  int64_t max_length; /* tokens; 0 = whole sequences */
  int64_t micro_batch_tokens;
  double quadratic_cost; /* cost of a sequence of n tokens = n + quadratic_cost * n^2 */
} plm_packer_options;

/* A packed batch that owns its memory; reuse it for the next one. `labels` and `original` are for inspection and always
 * filled. */
typedef struct plm_packed {
  plm_batch batch;
  const int32_t *labels;   /* [N] original id at selected rows, -100 elsewhere */
  const int32_t *original; /* [N] before masking */
  int64_t residues;        /* tokens that are not special */
  struct plm_packed_memory *memory;
} plm_packed;
PLM_CHECKED plm_status plm_packed_create(plm_packed **ret_packed);
void plm_packed_destroy(plm_packed *packed); /* accepts NULL */

/* Tokenise, crop, mask and pack these sequences, in the order given. `draw` = epoch in training, mask draw in
 * evaluation. max_length is 0 or more than the alphabet's special tokens, so that every window holds a residue.
 * PLM_E_INPUT names a sequence with a character that the policy refuses. */
PLM_CHECKED plm_status plm_pack(const plm_dataset *dataset, const plm_packer_options *options, uint32_t draw,
                                const int64_t *ids, int64_t count, plm_packed *packed);

/* Fails (PLM_E_INPUT) if the dataset holds characters that the policy refuses, as a packed file made under another
 * policy may: what plm_pack would say at some later step. */
PLM_CHECKED plm_status plm_packer_check(const plm_dataset *dataset, const plm_packer_options *options);

/* The division of a global batch. Sequence i (i < count, lengths in tokens after cropping) goes to rank[i], micro[i];
 * *ret_micro_batches = number per rank (>= 1). rank and micro are caller's arrays. */
PLM_CHECKED plm_status plm_shard(const int64_t *lengths, int64_t count, int ranks, int64_t micro_batch_tokens,
                                 double quadratic_cost, int32_t *rank, int32_t *micro, int64_t *ret_micro_batches);

/* Tokens of sequence `id` after specials and cropping. */
int64_t plm_token_length(const plm_dataset *dataset, const plm_alphabet *alphabet, int64_t id, int64_t max_length);

#endif
