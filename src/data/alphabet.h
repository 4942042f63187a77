/* alphabet.h - what a model reads: token ids and what they stand for, the special tokens around a protein, and what is
 * done with odd letters. One value a vocabulary (model_spec 3.2); nothing of it is known anywhere else.
 *
 * One letter is always one token, unlike HF's slow tokeniser (see --hf-exact in the spec).
 */
#ifndef PLM_DATA_ALPHABET_H
#define PLM_DATA_ALPHABET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protlm/status.h"

/* The special tokens around a protein. Token t of a whole protein is its residue t - (opens >= 0), counted from 0. In a
 * window of a longer one, ESM-2 has them where it reaches the protein's true ends; with `every_window` (BERT, T5) both
 * stand at its ends, over the places of the tokens that they hide. So a residue's place is the same either way. */
typedef struct plm_frame {
  int32_t opens, closes; /* token ids; -1: none */
  bool every_window;
} plm_frame;

typedef struct plm_alphabet {
  const char *name;          /* in the registry: "esm2" */
  int32_t size;              /* V, 33 */
  const char *const *tokens; /* [size] "<cls>", ..., "L", ... ; id = index */
  int32_t pad, unk, mask;    /* -1: there is none */
  plm_frame frame;
  int32_t standard_count, standard[20]; /* ids of the 20 amino acids, ascending; they need not be neighbours */
  const char *tokenizer;                /* transformers' class that reads it, for tokenizer_config.json */
} plm_alphabet;

/* ---- the registry: "esm2", and what a program or test adds before it opens a model (it has no lock) ---- */

const plm_alphabet *plm_alphabet_esm2(void);
const plm_alphabet *plm_alphabet_find(const char *name); /* NULL: there is none of this name */

/* Borrowed, for as long as the program runs. PLM_E_BUG: the name is taken, or the registry is full. */
PLM_CHECKED plm_status plm_alphabet_register(const plm_alphabet *alphabet);

/* From the text of a vocab.txt: one token a line, id = line number from 0. The special tokens are found by their texts
 * (<cls> or [CLS], <eos>, [SEP] or </s>, ...), the amino acids by their letters; name and frame.every_window are the
 * caller's to set. One piece of memory, plm_free. */
PLM_CHECKED plm_status plm_alphabet_read(const char *vocabulary, plm_alphabet **ret_alphabet);

/* `base` and `count` tokens more, whose ids follow its own: a letter that has none in `base` is read as its own there, a
 * longer token no letter is read as. Those with equal tokens are one and the same, borrowed for as long as the program
 * runs; `base` itself where there are none. *ret_is_new (optional): made by this call. */
PLM_CHECKED plm_status plm_alphabet_extend(const plm_alphabet *base, const char *const *tokens, size_t count,
                                           const plm_alphabet **ret_alphabet, bool *ret_is_new);

/* ---- asking ---- */

/* Place among the 20 amino acids, in the order of ids; -1: the token is none. */
int32_t plm_alphabet_rank(const plm_alphabet *alphabet, int32_t id);
bool plm_alphabet_is_one_letter(const plm_alphabet *alphabet, int32_t id); /* not a special token */
bool plm_alphabet_is_framing(const plm_alphabet *alphabet, int32_t id);    /* opens or closes a sequence */

/* Special tokens of a whole protein: its tokens are so many more than its residues. */
int64_t plm_alphabet_specials(const plm_alphabet *alphabet);

enum { PLM_SMALLEST_WINDOW = 3 }; /* tokens: shows a residue in whichever frame */

typedef enum plm_lowercase { PLM_LOWERCASE_UPPER, PLM_LOWERCASE_X } plm_lowercase;
typedef enum plm_invalid {                    /* what is no letter, gap or '*': digits, ... */
                           PLM_INVALID_ERROR, /* stop, with file and line */
                           PLM_INVALID_X,     /* read it as X */
                           PLM_INVALID_SKIP   /* leave out the sequence that holds it, and count */
} plm_invalid;

typedef struct plm_alphabet_policy {
  plm_lowercase lowercase; /* default: upper-case soft-masked residues */
  plm_invalid invalid;     /* default: error with file and line */
  bool masks;              /* "<mask>" in a sequence is the mask token; default: refused */
} plm_alphabet_policy;

/* What stands for "<mask>" among the letters of a sequence: no text can hold it. */
enum { PLM_MASK_LETTER = '\0' };

/* Letters, gaps ('-', '.') and '*': what may stand in a sequence. Everything else is the business of `plm_invalid`. */
bool plm_alphabet_is_letter(int c);

/* From the words of --lowercase (upper, x) and --on-invalid (error, x, skip); NULL or another word is the default. */
plm_alphabet_policy plm_alphabet_policy_from_words(const char *lowercase, const char *on_invalid);

/* 256 entries: letter -> id under a policy. J, internal '*', and every letter without a token become X, or <unk> where
 * there is no X; a lower-case letter that has a token of its own is that. -1: not allowed (error/skip, or there is
 * neither). */
void plm_alphabet_map(const plm_alphabet *alphabet, const plm_alphabet_policy *policy, int32_t map[256]);

/* One line per kind of substitution, from a letter histogram ("25,507 lower-case residues read as upper case", "2 '*'
 * inside sequences read as X"), handed to `line` with one of its letters: 'a', '*', 'J', '-'; 0 where they are none. */
void plm_alphabet_report(const plm_alphabet *alphabet, const plm_alphabet_policy *policy, const int64_t histogram[256],
                         void (*line)(void *user, char letter, const char *text), void *user);

#endif
