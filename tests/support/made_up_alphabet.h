/* made_up_alphabet.h - a vocabulary as unlike ESM-2's as one can be: no X, amino acids that are not neighbours and not
 * in alphabetical order, special tokens in the middle, both of them in every window. */
#ifndef TESTS_SUPPORT_MADE_UP_ALPHABET_H
#define TESTS_SUPPORT_MADE_UP_ALPHABET_H

#include "data/alphabet.h"

/* "made-up" in the registry, where the first call puts it. */
const plm_alphabet *made_up_alphabet(void);

#endif
