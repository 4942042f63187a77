/* alphabet.c - see alphabet.h. Contents: ESM-2's, the registry, reading a vocab.txt, tokens
 * that a model has added, asking, letters under a policy. */
#define _GNU_SOURCE
#include "data/alphabet.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"

static const char *const esm2_tokens[] = {
    "<cls>", "<pad>", "<eos>", "<unk>", "L", "A", "G", "V", "S", "E", "R", "T", "I", "D", "P",        "K",      "Q",
    "N",     "F",     "Y",     "M",     "H", "W", "C", "X", "B", "U", "Z", "O", ".", "-", "<null_1>", "<mask>",
};

static const plm_alphabet esm2 = {
    .name = "esm2",
    .size = sizeof esm2_tokens / sizeof *esm2_tokens,
    .tokens = esm2_tokens,
    .pad = 1,
    .unk = 3,
    .mask = 32,
    .frame = {.opens = 0, .closes = 2},
    .standard_count = 20,
    .standard = {4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23},
    .tokenizer = "EsmTokenizer",
};

const plm_alphabet *plm_alphabet_esm2(void) { return &esm2; }

/* ---- the registry ---- */

static const plm_alphabet *registry[16] = {&esm2};
static size_t registered = 1;

const plm_alphabet *plm_alphabet_find(const char *name) {
  for (size_t i = 0; i < registered; i++)
    if (strcmp(registry[i]->name, name) == 0) return registry[i];
  return NULL;
}

plm_status plm_alphabet_register(const plm_alphabet *alphabet) {
  PLM_ASSERT(plm_alphabet_find(alphabet->name) == NULL && alphabet->tokenizer != NULL);
  PLM_ASSERT(registered < sizeof registry / sizeof *registry);
  registry[registered++] = alphabet;
  return PLM_OK;
}

/* ---- reading a vocabulary ---- */

/* Give a token its meaning. */
static void recognise(plm_alphabet *alphabet, int32_t id) {
  const struct {
    const char *text;
    int32_t *id;
  } specials[] = {
      {"<cls>", &alphabet->frame.opens},  {"[CLS]", &alphabet->frame.opens}, {"<eos>", &alphabet->frame.closes},
      {"[SEP]", &alphabet->frame.closes}, {"</s>", &alphabet->frame.closes}, {"<pad>", &alphabet->pad},
      {"[PAD]", &alphabet->pad},          {"<unk>", &alphabet->unk},         {"[UNK]", &alphabet->unk},
      {"<mask>", &alphabet->mask},        {"[MASK]", &alphabet->mask},
  };
  const char *token = alphabet->tokens[id];
  for (size_t i = 0; i < sizeof specials / sizeof *specials; i++)
    if (strcmp(token, specials[i].text) == 0) *specials[i].id = id;
  if (plm_alphabet_is_one_letter(alphabet, id) && strchr("ACDEFGHIKLMNPQRSTVWY", token[0]) != NULL &&
      alphabet->standard_count < 20)
    alphabet->standard[alphabet->standard_count++] = id;
}

/* The alphabet, its tokens and their text are one piece of memory. */
plm_status plm_alphabet_read(const char *vocabulary, plm_alphabet **ret_alphabet) {
  const size_t bytes = strlen(vocabulary) + 1; /* and so many lines at most */
  plm_alphabet *alphabet;
  PLM_TRY(plm_alloc_bytes((void **)&alphabet, sizeof *alphabet + bytes * (sizeof *alphabet->tokens + 1), 1));
  const char **tokens = (const char **)(alphabet + 1);
  char *text = memcpy(tokens + bytes, vocabulary, bytes);
  *alphabet = (plm_alphabet){.name = "", .tokens = tokens, .pad = -1, .unk = -1, .mask = -1, .frame = {-1, -1, false}};
  while (text != NULL && *text != '\0') {
    char *token = strsep(&text, "\n");
    token[strcspn(token, "\r")] = '\0';
    tokens[alphabet->size] = token;
    recognise(alphabet, alphabet->size++);
  }
  *ret_alphabet = alphabet;
  return PLM_OK;
}

/* ---- tokens that a model has added ---- */

typedef struct extended {
  plm_alphabet alphabet;
  struct extended *next;
} extended;

static extended *all_extended; /* of the models that were read: few, and never freed */
static pthread_mutex_t extending = PTHREAD_MUTEX_INITIALIZER;

static bool is_extension(const plm_alphabet *alphabet, const plm_alphabet *base, const char *const *tokens,
                         size_t count) {
  if (strcmp(alphabet->name, base->name) != 0 || alphabet->size != base->size + (int32_t)count) return false;
  for (size_t i = 0; i < count; i++)
    if (strcmp(alphabet->tokens[(size_t)base->size + i], tokens[i]) != 0) return false;
  return true;
}

/* The alphabet, its table and the added texts are one piece of memory. */
static plm_status make_extension(const plm_alphabet *base, const char *const *tokens, size_t count, extended **ret_e) {
  const size_t own = (size_t)base->size;
  size_t bytes = 0;
  extended *e;
  for (size_t i = 0; i < count; i++) bytes += strlen(tokens[i]) + 1;
  PLM_TRY(plm_alloc_bytes((void **)&e, 1, sizeof *e + (own + count) * sizeof *tokens + bytes));
  const char **table = (const char **)(e + 1);
  char *text = (char *)(table + own + count);
  memcpy(table, base->tokens, own * sizeof *table);
  for (size_t i = 0; i < count; i++) {
    table[own + i] = text;
    text = stpcpy(text, tokens[i]) + 1;
  }
  e->alphabet = *base;
  e->alphabet.tokens = table;
  e->alphabet.size += (int32_t)count;
  *ret_e = e;
  return PLM_OK;
}

plm_status plm_alphabet_extend(const plm_alphabet *base, const char *const *tokens, size_t count,
                               const plm_alphabet **ret_alphabet, bool *ret_is_new) {
  plm_status status = PLM_OK;
  if (ret_is_new != NULL) *ret_is_new = false;
  *ret_alphabet = base;
  if (count == 0) return PLM_OK;
  pthread_mutex_lock(&extending);
  extended *e = all_extended;
  while (e != NULL && !is_extension(&e->alphabet, base, tokens, count)) e = e->next;
  if (e == NULL && (status = make_extension(base, tokens, count, &e)) == PLM_OK) {
    e->next = all_extended;
    all_extended = e;
    if (ret_is_new != NULL) *ret_is_new = true;
  }
  pthread_mutex_unlock(&extending);
  if (status == PLM_OK) *ret_alphabet = &e->alphabet;
  return status;
}

/* ---- asking ---- */

int32_t plm_alphabet_rank(const plm_alphabet *alphabet, int32_t id) {
  int32_t rank = alphabet->standard_count - 1;
  while (rank >= 0 && alphabet->standard[rank] != id) rank--;
  return rank;
}

bool plm_alphabet_is_one_letter(const plm_alphabet *alphabet, int32_t id) {
  return alphabet->tokens[id][0] != '\0' && alphabet->tokens[id][1] == '\0';
}

bool plm_alphabet_is_framing(const plm_alphabet *alphabet, int32_t id) {
  return id == alphabet->frame.opens || id == alphabet->frame.closes;
}

int64_t plm_alphabet_specials(const plm_alphabet *alphabet) {
  return (alphabet->frame.opens >= 0) + (alphabet->frame.closes >= 0);
}

/* ---- letters under a policy ---- */

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

/* Of the letter as it stands, or else of its upper case. */
static int32_t token_of_letter(const plm_alphabet *alphabet, int c) {
  int32_t id = token_of(alphabet, c);
  return id < 0 && is_lower(c) ? token_of(alphabet, c - 'a' + 'A') : id;
}

/* What stands for a letter that has no token, or -1. */
static int32_t substitute(const plm_alphabet *alphabet) {
  int32_t x = token_of(alphabet, 'X');
  return x >= 0 ? x : alphabet->unk;
}

bool plm_alphabet_is_letter(int c) { return is_upper(c) || is_lower(c) || c == '-' || c == '.' || c == '*'; }

void plm_alphabet_map(const plm_alphabet *alphabet, const plm_alphabet_policy *policy, int32_t map[256]) {
  int32_t x = substitute(alphabet);
  for (int c = 0; c < 256; c++) {
    int32_t id = -1;
    if (is_lower(c) && policy->lowercase == PLM_LOWERCASE_X)
      id = x;
    else if (plm_alphabet_is_letter(c))
      id = token_of_letter(alphabet, c);
    if (policy->masks && c == PLM_MASK_LETTER)
      id = alphabet->mask;
    else if (id < 0 && (plm_alphabet_is_letter(c) || policy->invalid == PLM_INVALID_X))
      id = x;
    map[c] = id;
  }
}

void plm_alphabet_report(const plm_alphabet *alphabet, const plm_alphabet_policy *policy, const int64_t histogram[256],
                         void (*line)(void *user, char letter, const char *text), void *user) {
  int64_t lower = 0, stops = histogram['*'], gaps = histogram['.'] + histogram['-'], invalid = 0;
  int32_t x = substitute(alphabet);
  const char *instead = x >= 0 ? alphabet->tokens[x] : "nothing";
  char count[PLM_NUMBER_TEXT], text[160];
  for (int c = 0; c < 256; c++) {
    if (is_lower(c) && (policy->lowercase == PLM_LOWERCASE_X || token_of(alphabet, c) < 0)) lower += histogram[c];
    if (!plm_alphabet_is_letter(c) && c != PLM_MASK_LETTER) invalid += histogram[c];
  }
  if (lower > 0) {
    snprintf(text, sizeof text, "%s lower-case residue%s read as %s", plm_count_text(lower, count),
             lower == 1 ? "" : "s", policy->lowercase == PLM_LOWERCASE_X ? instead : "upper case");
    line(user, 'a', text);
  }
  if (stops > 0) {
    snprintf(text, sizeof text, "%s '*' inside sequences read as %s", plm_count_text(stops, count),
             token_of(alphabet, '*') >= 0 ? "its token" : instead);
    line(user, '*', text);
  }
  for (int c = 'A'; c <= 'Z'; c++) {
    const int small = c - 'A' + 'a';
    const bool joins = policy->lowercase == PLM_LOWERCASE_UPPER && token_of(alphabet, small) < 0;
    int64_t n = histogram[c] + (joins ? histogram[small] : 0);
    if (n == 0 || token_of(alphabet, c) >= 0) continue;
    snprintf(text, sizeof text, "%s '%c', which has no token, read as %s", plm_count_text(n, count), c, instead);
    line(user, (char)c, text);
  }
  if (gaps > 0) {
    bool kept = token_of(alphabet, '-') >= 0;
    snprintf(text, sizeof text, "%s gap%s ('-' or '.') %s%s; is this an alignment?", plm_count_text(gaps, count),
             gaps == 1 ? "" : "s", kept ? gaps == 1 ? "kept as a token" : "kept as tokens" : "read as ",
             kept ? "" : instead);
    line(user, '-', text);
  }
  if (invalid > 0) {
    snprintf(text, sizeof text, "%s %s read as %s", plm_count_text(invalid, count),
             invalid == 1 ? "character that is no letter" : "characters that are no letters", instead);
    line(user, '\0', text);
  }
}
