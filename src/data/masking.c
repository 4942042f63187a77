/* masking.c - see masking.h. Part of the stream: a change here is a new stream_version. */
#include "data/masking.h"

#include <string.h>

#include "base/rng.h"

/* In stream EVAL the crop is drawn under a draw number that no mask draw has, so that all draws of a sequence show the
 * same window. */
enum { WORD_SELECT = 0, WORD_KIND = 1, WORD_TOKEN = 2 };
static const uint32_t EVALUATION_CROP_DRAW = UINT32_MAX;

void plm_mask_options_defaults(plm_mask_options *options) {
  *options =
      (plm_mask_options){.probability = 0.15, .mask_share = 0.8, .random_share = 0.1, .random = PLM_RANDOM_AA_OTHER};
}

plm_random_tokens plm_random_tokens_from_word(const char *word) {
  return strcmp(word, "vocab") == 0 ? PLM_RANDOM_VOCAB : strcmp(word, "aa") == 0 ? PLM_RANDOM_AA : PLM_RANDOM_AA_OTHER;
}

int64_t plm_crop_offset(const plm_mask_key *key, int64_t length, int64_t max_length) {
  if (length <= max_length) return 0;
  plm_rng_block block = key->evaluation ? plm_rng(key->seed, PLM_RNG_EVAL, key->identity, EVALUATION_CROP_DRAW, 0)
                                        : plm_rng(key->seed, PLM_RNG_CROP, key->identity, key->draw, 0);
  return plm_rng_below(block.word[0], (uint32_t)(length - max_length + 1));
}

bool plm_mask_is_eligible(const plm_alphabet *alphabet, const plm_mask_options *options, int32_t id) {
  return options->nonstandard ? plm_alphabet_is_one_letter(alphabet, id) : plm_alphabet_rank(alphabet, id) >= 0;
}

static plm_rng_block numbers_of(const plm_mask_key *key, int64_t position) {
  return plm_rng(key->seed, key->evaluation ? PLM_RNG_EVAL : PLM_RNG_MASK, key->identity, key->draw,
                 (uint32_t)position);
}

/* What stands at a selected place. */
static int32_t replacement(const plm_alphabet *alphabet, const plm_mask_options *options, plm_rng_block numbers,
                           int32_t original) {
  double kind = plm_rng_unit(numbers.word[WORD_KIND]);
  if (kind < options->mask_share) return alphabet->mask;
  if (kind >= options->mask_share + options->random_share) return original;
  const uint32_t word = numbers.word[WORD_TOKEN], count = (uint32_t)alphabet->standard_count;
  if (options->random == PLM_RANDOM_VOCAB) return (int32_t)plm_rng_below(word, (uint32_t)alphabet->size);
  const int32_t excluded = options->random == PLM_RANDOM_AA_OTHER ? plm_alphabet_rank(alphabet, original) : -1;
  const int32_t rank = (int32_t)plm_rng_below(word, excluded >= 0 ? count - 1 : count);
  return alphabet->standard[excluded >= 0 && rank >= excluded ? rank + 1 : rank];
}

int64_t plm_mask_tokens(const plm_alphabet *alphabet, const plm_mask_options *options, const plm_mask_key *key,
                        int64_t first_position, int64_t n, int32_t *tokens, int32_t *labels) {
  int64_t eligible = 0, selected = 0, lowest = -1, highest = -1;
  uint32_t lowest_number = 0, highest_number = 0;
  for (int64_t i = 0; i < n; i++) {
    labels[i] = -100;
    if (!plm_mask_is_eligible(alphabet, options, tokens[i])) continue;
    plm_rng_block numbers = numbers_of(key, first_position + i);
    uint32_t number = numbers.word[WORD_SELECT];
    if (lowest < 0 || number < lowest_number) lowest = i, lowest_number = number;
    if (highest < 0 || number > highest_number) highest = i, highest_number = number;
    eligible++;
    if (plm_rng_unit(number) >= options->probability) continue;
    labels[i] = tokens[i];
    tokens[i] = replacement(alphabet, options, numbers, labels[i]);
    selected++;
  }
  /* The two promises for short sequences: something to predict, and something to predict it from. */
  if (eligible > 0 && selected == 0) {
    labels[lowest] = tokens[lowest];
    tokens[lowest] = replacement(alphabet, options, numbers_of(key, first_position + lowest), labels[lowest]);
    selected = 1;
  } else if (eligible > 1 && selected == eligible) {
    tokens[highest] = labels[highest];
    labels[highest] = -100;
    selected--;
  }
  return selected;
}
