/* alphabet.c - the ESM-2 token table and the reading of letters under a policy. Start at plm_alphabet_map. */
#include "data/alphabet.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

static const char *const esm2_tokens[] = {
    "<cls>", "<pad>", "<eos>", "<unk>", "L", "A", "G", "V", "S", "E", "R", "T", "I", "D", "P",        "K",      "Q",
    "N",     "F",     "Y",     "M",     "H", "W", "C", "X", "B", "U", "Z", "O", ".", "-", "<null_1>", "<mask>",
};

static const plm_alphabet esm2 = {
    .family = "esm2",
    .size = sizeof esm2_tokens / sizeof *esm2_tokens,
    .tokens = esm2_tokens,
    .cls = 0,
    .pad = 1,
    .eos = 2,
    .unk = 3,
    .mask = 32,
    .first_standard = 4,
    .last_standard = 23,
};

const plm_alphabet *plm_alphabet_esm2(void) { return &esm2; }

static bool is_word(const char *text, const char *word) { return text != NULL && strcmp(text, word) == 0; }

plm_alphabet_policy plm_alphabet_policy_from_words(const char *lowercase, const char *on_invalid) {
  return (plm_alphabet_policy){
      .lowercase = is_word(lowercase, "x") ? PLM_LOWERCASE_X : PLM_LOWERCASE_UPPER,
      .invalid = is_word(on_invalid, "x")      ? PLM_INVALID_X
                 : is_word(on_invalid, "skip") ? PLM_INVALID_SKIP
                                               : PLM_INVALID_ERROR,
  };
}

static bool is_upper(int c) { return c >= 'A' && c <= 'Z'; }
static bool is_lower(int c) { return c >= 'a' && c <= 'z'; }

/* Id of the token that is this one character, or -1. */
static int32_t token_of(const plm_alphabet *alphabet, int c) {
  for (int32_t id = 0; id < alphabet->size; id++)
    if (alphabet->tokens[id][0] == c && alphabet->tokens[id][1] == '\0') return id;
  return -1;
}

bool plm_alphabet_is_letter(int c) { return is_upper(c) || is_lower(c) || c == '-' || c == '.' || c == '*'; }

void plm_alphabet_map(const plm_alphabet *alphabet, const plm_alphabet_policy *policy, int32_t map[256]) {
  int32_t x = token_of(alphabet, 'X');
  for (int c = 0; c < 256; c++) {
    int32_t id = -1;
    if (is_lower(c) && policy->lowercase == PLM_LOWERCASE_X)
      id = x;
    else if (plm_alphabet_is_letter(c))
      id = token_of(alphabet, is_lower(c) ? c - 'a' + 'A' : c);
    if (id < 0 && (plm_alphabet_is_letter(c) || policy->invalid == PLM_INVALID_X)) id = x;
    map[c] = id;
  }
}

void plm_alphabet_report(const plm_alphabet *alphabet, const plm_alphabet_policy *policy, const int64_t histogram[256],
                         void (*line)(void *user, const char *text), void *user) {
  int64_t lower = 0, stops = histogram['*'], gaps = histogram['.'] + histogram['-'], invalid = 0;
  char count[PLM_NUMBER_TEXT], text[160];
  for (int c = 0; c < 256; c++) {
    if (is_lower(c)) lower += histogram[c];
    if (!plm_alphabet_is_letter(c)) invalid += histogram[c];
  }
  if (lower > 0) {
    snprintf(text, sizeof text, "%s lower-case residues read as %s", plm_count_text(lower, count),
             policy->lowercase == PLM_LOWERCASE_X ? "X" : "upper case");
    line(user, text);
  }
  if (stops > 0) {
    snprintf(text, sizeof text, "%s '*' inside sequences read as X", plm_count_text(stops, count));
    line(user, text);
  }
  for (int c = 'A'; c <= 'Z'; c++) {
    int64_t n = histogram[c] + (policy->lowercase == PLM_LOWERCASE_UPPER ? histogram[c - 'A' + 'a'] : 0);
    if (n == 0 || token_of(alphabet, c) >= 0) continue;
    snprintf(text, sizeof text, "%s '%c', which has no token, read as X", plm_count_text(n, count), c);
    line(user, text);
  }
  if (gaps > 0) {
    bool kept = token_of(alphabet, '-') >= 0;
    snprintf(text, sizeof text, "%s gaps ('-' or '.') %s; is this an alignment?", plm_count_text(gaps, count),
             kept ? "kept as tokens" : "read as X");
    line(user, text);
  }
  if (invalid > 0) {
    snprintf(text, sizeof text, "%s characters that are no letters read as X", plm_count_text(invalid, count));
    line(user, text);
  }
}
