/* masking.h - crop windows and masks by Philox, as pure functions (model_spec 7.4).
 *
 * Training: keyed by (seed, epoch, sequence id, position in the uncropped token sequence). Evaluation: keyed by a hash
 * of the residues instead of the id, so file order and dropped records don't matter. Results never depend on batch,
 * rank, thread or restart.
 */
#ifndef PLM_DATA_MASKING_H
#define PLM_DATA_MASKING_H

#include <stdbool.h>

#include "data/alphabet.h"

typedef enum plm_random_tokens { PLM_RANDOM_AA_OTHER, PLM_RANDOM_AA, PLM_RANDOM_VOCAB } plm_random_tokens;

typedef struct plm_mask_options {
  double probability;       /* of selection, 0 < p < 1; 0.15 */
  double mask_share;        /* of the selected become <mask>; 0.8 */
  double random_share;      /* of the selected become a random token; 0.1; the rest stay */
  plm_random_tokens random; /* a different standard amino acid (default), any standard one, any of the vocabulary */
  bool nonstandard;         /* also select X, B, U, Z, O, '.', '-' (default: the 20 amino acids only) */
} plm_mask_options;
void plm_mask_options_defaults(plm_mask_options *options);
/* of --random-tokens: aa-other, aa, vocab; another word is the default */
plm_random_tokens plm_random_tokens_from_word(const char *word);

/* May this token be selected? The 20 amino acids, or with `nonstandard` every token that is one letter. */
bool plm_mask_is_eligible(const plm_alphabet *alphabet, const plm_mask_options *options, int32_t id);

/* Who is masked, and with which numbers. */
typedef struct plm_mask_key {
  uint64_t seed;
  bool evaluation;   /* stream EVAL, else MASK */
  uint64_t identity; /* sequence id, or hash of the residues */
  uint32_t draw;     /* epoch, or number of the mask draw in evaluation */
} plm_mask_key;

/* First token of the window of `max_length` tokens in a token sequence of `length`: uniform over 0..length-max_length
 * in training, deterministic (from the residue hash) in evaluation. 0 when it fits. The same for every frame: one that
 * stands in every window covers the window's end tokens and moves none. */
int64_t plm_crop_offset(const plm_mask_key *key, int64_t length, int64_t max_length);

/* Mask tokens[0..n) in place; token i has position first_position + i. Selected places go to labels[i] (original id)
 * and the others to -100. At least one eligible token is selected and, if more than one is eligible, at least one
 * stays. Returns the number selected. */
int64_t plm_mask_tokens(const plm_alphabet *alphabet, const plm_mask_options *options, const plm_mask_key *key,
                        int64_t first_position, int64_t n, int32_t *tokens, int32_t *labels);

#endif
