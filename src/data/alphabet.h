/* alphabet.h - letters to token ids and back, one table a model family (model_spec 3.2), and what is done with odd
 * letters.
 *
 * Token index = residue index + 1: one letter is always one token, unlike HF's slow tokeniser (see --hf-exact in the
 * spec).
 */
#ifndef PLM_DATA_ALPHABET_H
#define PLM_DATA_ALPHABET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protlm/status.h"

typedef struct plm_alphabet {
  const char *family;        /* "esm2" */
  int32_t size;              /* V, 33 */
  const char *const *tokens; /* [size] "<cls>", ..., "L", ... ; id = index */
  int32_t cls, pad, eos, unk, mask;
  int32_t first_standard, last_standard; /* the 20 amino acids are contiguous: 4..23 */
} plm_alphabet;

const plm_alphabet *plm_alphabet_esm2(void);

typedef enum plm_lowercase { PLM_LOWERCASE_UPPER, PLM_LOWERCASE_X } plm_lowercase;
typedef enum plm_invalid {                    /* what is no letter, gap or '*': digits, ... */
                           PLM_INVALID_ERROR, /* stop, with file and line */
                           PLM_INVALID_X,     /* read it as X */
                           PLM_INVALID_SKIP   /* leave out the sequence that holds it, and count */
} plm_invalid;

typedef struct plm_alphabet_policy {
  plm_lowercase lowercase; /* default: upper-case soft-masked residues */
  plm_invalid invalid;     /* default: error with file and line */
} plm_alphabet_policy;

/* Letters, gaps ('-', '.') and '*': what may stand in a sequence. Everything else is the business of `plm_invalid`. */
bool plm_alphabet_is_letter(int c);

/* From the words of --lowercase (upper, x) and --on-invalid (error, x, skip); NULL or another word is the default. */
plm_alphabet_policy plm_alphabet_policy_from_words(const char *lowercase, const char *on_invalid);

/* 256 entries: letter -> id under a policy. J, internal '*', and every letter without a token become X. -1: not allowed
 * (error/skip). */
void plm_alphabet_map(const plm_alphabet *alphabet, const plm_alphabet_policy *policy, int32_t map[256]);

/* One line per kind of substitution, from a letter histogram ("25,507 lower-case residues read as upper case", "2 '*'
 * inside sequences read as X"), handed to `line`. */
void plm_alphabet_report(const plm_alphabet *alphabet, const plm_alphabet_policy *policy, const int64_t histogram[256],
                         void (*line)(void *user, const char *text), void *user);

#endif
