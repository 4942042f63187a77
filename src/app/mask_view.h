/* mask_view.h - what a model expects behind each <mask> of a sequence, as a person reads it. */
#ifndef PLM_APP_MASK_VIEW_H
#define PLM_APP_MASK_VIEW_H

#include "app/print.h"
#include "data/alphabet.h"

typedef struct plm_masked_sequence {
  const char *name;
  const int32_t *tokens; /* [n] */
  const float *logits;   /* [n, V] */
  int64_t n, V;          /* V may be more than the alphabet has tokens: those have no name */
  int64_t first_place;   /* residue number of the first token, from 1; of <cls>: 0 */
} plm_masked_sequence;

/* A line for each <mask>: its residue number, and the five likeliest tokens with their probabilities among all tokens
 * (as transformers' fill-mask pipeline gives them). Nothing where there is none. */
void plm_print_masked(const plm_output *output, const plm_alphabet *alphabet, const plm_masked_sequence *sequence);

#endif
