/* vocabulary.c - which token each id of a model stands for: the family's alphabet, and what the tokenizer's files add to
 * it. Ids of a model that means something else by them are never made.
 *
 *   vocab.txt                 a token a line, id = line number from 0
 *   tokenizer.json            of a fast tokenizer: "model" {"vocab": {token: id} or [[token, score]]}, "added_tokens"
 *   added_tokens.json         {token: id}, by add_tokens
 *   tokenizer_config.json     "added_tokens_decoder" {id: {"content": token}}, "mask_token", ...
 *   special_tokens_map.json   "mask_token", ...
 *
 * The first two say the whole vocabulary. All that are there must agree with the family and with each other; ids that
 * the embedding has and no file names are padding, and no letter is read as one.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "hub/internal.h"
#include "protlm/log.h"

enum { MOST_ADDED = 2048 /* an evaluation's tables are squares of a vocabulary */, SHOWN = 44 };

typedef struct vocabulary {
  const char *directory;
  const plm_model_config *config;
  const plm_alphabet *base; /* the family's */
  plm_arena *memory;
  const char *added[MOST_ADDED]; /* behind the base's; NULL: not named so far */
  size_t count;                  /* one more than the last that is named */
  bool is_whole;                 /* a file has named all of the base's */
} vocabulary;

/* ---- one token ---- */

static const char *show(const char *token, char room[SHOWN]) {
  return plm_printable(token, strlen(token), room, SHOWN);
}

static plm_status refuse(const vocabulary *v, plm_status status) {
  return plm_hint(status, "protlm reads models whose vocab.txt begins with %s's %d tokens", v->config->family->words,
                  (int)v->base->size);
}

static int64_t find_token(const vocabulary *v, const char *token) {
  for (int32_t id = 0; id < v->base->size; id++)
    if (strcmp(v->base->tokens[id], token) == 0) return id;
  for (size_t i = 0; i < v->count; i++)
    if (v->added[i] != NULL && strcmp(v->added[i], token) == 0) return v->base->size + (int64_t)i;
  return -1;
}

static plm_status add_token(vocabulary *v, const char *place, int64_t id, const char *token) {
  const size_t i = (size_t)(id - v->base->size);
  char shown[SHOWN], other[SHOWN];
  if (id >= v->config->vocab_size)
    return plm_hint(plm_fail(PLM_E_INPUT, "%s: token %lld is '%s', but by config.json the model has %lld (vocab_size)",
                             place, (long long)id, show(token, shown), (long long)v->config->vocab_size),
                    "model and tokenizer are of two different models, or resize_token_embeddings was not called");
  if (i >= MOST_ADDED)
    return plm_fail(PLM_E_INPUT, "%s: more than %d tokens beyond %s's", place, MOST_ADDED, v->config->family->words);
  if (v->added[i] != NULL && strcmp(v->added[i], token) == 0) return PLM_OK;
  if (v->added[i] != NULL)
    return refuse(v, plm_fail(PLM_E_INPUT, "%s: token %lld is '%s', but another file of the tokenizer says '%s'", place,
                              (long long)id, show(token, shown), show(v->added[i], other)));
  if (token[0] == '\0') return refuse(v, plm_fail(PLM_E_INPUT, "%s: token %lld is empty", place, (long long)id));
  const int64_t earlier = find_token(v, token); /* transformers reads it as the later one */
  if (earlier >= 0)
    return refuse(v, plm_fail(PLM_E_INPUT, "%s: token %lld is '%s', which is token %lld already", place, (long long)id,
                              show(token, shown), (long long)earlier));
  PLM_TRY(plm_arena_strdup(v->memory, token, &v->added[i]));
  if (i >= v->count) v->count = i + 1;
  return PLM_OK;
}

/* `place` (a file, or a line of it) says that token `id` is this. */
static plm_status claim(vocabulary *v, const char *place, int64_t id, const char *token) {
  char shown[SHOWN];
  if (id < 0 || token == NULL) return plm_fail(PLM_E_INPUT, "%s: a token without its text or its number", place);
  if (id >= v->base->size) return add_token(v, place, id, token);
  const char *own = v->base->tokens[id];
  if (strcmp(token, own) == 0) return PLM_OK;
  return refuse(v, plm_fail(PLM_E_INPUT, "%s: token %lld is '%s', where %s has '%s': the model has another alphabet",
                            place, (long long)id, show(token, shown), v->config->family->words, own));
}

/* ---- the files ---- */

static plm_status path_if_there(const vocabulary *v, const char *name, char **ret_path) {
  PLM_TRY(plm_path_join(v->directory, name, ret_path));
  if (plm_file_exists(*ret_path)) return PLM_OK;
  plm_free(*ret_path);
  *ret_path = NULL;
  return PLM_OK;
}

static plm_status claim_lines(vocabulary *v, const char *path, const plm_alphabet *lines) {
  int32_t count = lines->size;
  plm_status status = PLM_OK;
  while (count > 0 && lines->tokens[count - 1][0] == '\0') count--; /* blank lines at the end */
  for (int32_t id = 0; (id < count || id < v->base->size) && status == PLM_OK; id++) {
    char *place;
    PLM_TRY(plm_sprintf(&place, "%s:%d", path, (int)id + 1));
    status = claim(v, place, id, id < count ? lines->tokens[id] : "");
    plm_free(place);
  }
  v->is_whole = true;
  return status;
}

static plm_status read_lines(vocabulary *v, const char *path) {
  enum { LARGEST = 1 << 20 };
  char *text;
  size_t bytes;
  plm_alphabet *lines = NULL;
  PLM_TRY(plm_file_read(path, LARGEST, &text, &bytes));
  const bool is_marked = strncmp(text, "\xEF\xBB\xBF", 3) == 0; /* Windows' editors put it first */
  plm_status status = plm_alphabet_read(text + (is_marked ? 3 : 0), &lines);
  plm_free(text);
  if (status == PLM_OK) status = claim_lines(v, path, lines);
  plm_free(lines);
  return status;
}

/* -1: no id of a token. */
static int64_t id_of(const json_t *id) {
  const double number = json_is_number(id) ? json_number_value(id) : -1;
  return number >= 0 && number < INT32_MAX && number == floor(number) ? (int64_t)number : -1;
}

static int64_t id_in_words(const char *id) {
  char *end;
  const long long number = strtoll(id, &end, 10);
  return end != id && *end == '\0' && number >= 0 && number < INT32_MAX ? number : -1;
}

/* {token: id} */
static plm_status claim_ids(vocabulary *v, const char *path, const json_t *ids, int64_t *ret_base) {
  const char *token;
  json_t *id;
  json_object_foreach((json_t *)(uintptr_t)ids, token, id) {
    const int64_t number = id_of(id);
    PLM_TRY(claim(v, path, number, token));
    *ret_base += number < v->base->size;
  }
  return PLM_OK;
}

static plm_status read_added(vocabulary *v, const char *path, const json_t *document) {
  int64_t base = 0;
  return claim_ids(v, path, document, &base);
}

/* [[token, score]]: ids are places */
static plm_status claim_pieces(vocabulary *v, const char *path, const json_t *pieces, int64_t *ret_base) {
  size_t count = json_array_size(pieces);
  for (size_t i = 0; i < count; i++) {
    const json_t *token = json_array_get(json_array_get(pieces, i), 0);
    PLM_TRY(claim(v, path, (int64_t)i, json_string_value(token)));
    *ret_base += (int64_t)i < v->base->size;
  }
  return PLM_OK;
}

static plm_status read_fast(vocabulary *v, const char *path, const json_t *document) {
  const json_t *vocab = json_object_get(json_object_get(document, "model"), "vocab"),
               *added = json_object_get(document, "added_tokens");
  int64_t base = 0;
  PLM_TRY(claim_ids(v, path, vocab, &base));
  PLM_TRY(claim_pieces(v, path, vocab, &base));
  for (size_t i = 0; i < json_array_size(added); i++) {
    const json_t *entry = json_array_get(added, i), *id = json_object_get(entry, "id");
    PLM_TRY(claim(v, path, id_of(id), json_string_value(json_object_get(entry, "content"))));
  }
  if (base > 0 && base < v->base->size)
    return refuse(v, plm_fail(PLM_E_INPUT, "%s has %lld of the %d tokens of %s: the model has another alphabet", path,
                              (long long)base, (int)v->base->size, v->config->family->words));
  v->is_whole |= base > 0;
  return PLM_OK;
}

static plm_status claim_special(vocabulary *v, const char *path, const json_t *document, const char *name, int32_t id) {
  const json_t *given = json_object_get(document, name), *content = json_object_get(given, "content");
  const char *token = json_string_value(content != NULL ? content : given);
  char shown[SHOWN];
  if (id < 0 || token == NULL || strcmp(token, v->base->tokens[id]) == 0) return PLM_OK;
  return refuse(v, plm_fail(PLM_E_INPUT, "%s: %s is '%s', where %s has '%s'", path, name, show(token, shown),
                            v->config->family->words, v->base->tokens[id]));
}

/* tokenizer_config.json and special_tokens_map.json */
static plm_status read_settings(vocabulary *v, const char *path, const json_t *document) {
  const plm_alphabet *a = v->base;
  const char *id;
  json_t *entry;
  json_object_foreach(json_object_get(document, "added_tokens_decoder"), id, entry)
      PLM_TRY(claim(v, path, id_in_words(id), json_string_value(json_object_get(entry, "content"))));
  PLM_TRY(claim_special(v, path, document, "cls_token", a->frame.opens));
  PLM_TRY(claim_special(v, path, document, "eos_token", a->frame.closes));
  PLM_TRY(claim_special(v, path, document, "pad_token", a->pad));
  PLM_TRY(claim_special(v, path, document, "unk_token", a->unk));
  return claim_special(v, path, document, "mask_token", a->mask);
}

static plm_status read_file(vocabulary *v, const char *name,
                            plm_status (*read)(vocabulary *v, const char *path, const json_t *document)) {
  char *path;
  json_t *document = NULL;
  PLM_TRY(path_if_there(v, name, &path));
  if (path == NULL) return PLM_OK;
  plm_status status = read == NULL ? read_lines(v, path) : plm_json_load_wide(path, &document);
  if (status == PLM_OK && read != NULL) status = read(v, path, document);
  if (status == PLM_E_INPUT) status = plm_mistake_explain(path, status);
  json_decref(document);
  plm_free(path);
  return status;
}

/* ---- the whole ---- */

static plm_status check_ids(const vocabulary *v) {
  const plm_model_config *c = v->config;
  const struct {
    const char *key;
    int32_t given, own;
  } ids[] = {{"mask_token_id", c->mask_token_id, v->base->mask}, {"pad_token_id", c->pad_token_id, v->base->pad}};
  for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
    if (ids[i].own >= 0 && ids[i].given != ids[i].own)
      return refuse(v,
                    plm_fail(PLM_E_INPUT, "%s/config.json: %s is %d, where %s has %d ('%s')", v->directory, ids[i].key,
                             (int)ids[i].given, c->family->words, (int)ids[i].own, v->base->tokens[ids[i].own]));
  return PLM_OK;
}

static plm_status check_whole(const vocabulary *v) {
  const char *words = v->config->family->words;
  char shown[SHOWN];
  for (size_t i = 0; i < v->count; i++)
    if (v->added[i] == NULL)
      return refuse(v, plm_fail(PLM_E_INPUT,
                                "%s: no file of the tokenizer says what token %zu is, though there is a "
                                "token %zu, '%s'",
                                v->directory, (size_t)v->base->size + i, (size_t)v->base->size + v->count - 1,
                                show(v->added[v->count - 1], shown)));
  if (v->is_whole || (v->count == 0 && v->config->vocab_size == v->base->size)) return PLM_OK;
  return plm_hint(plm_fail(PLM_E_INPUT,
                           "%s/config.json: vocab_size is %lld, where %s has %d, and there is no vocab.txt that says "
                           "what its tokens are",
                           v->directory, (long long)v->config->vocab_size, words, (int)v->base->size),
                  "put the vocab.txt of the model's tokenizer beside config.json");
}

/* transformers looks for every token of a vocabulary in the text, protlm for letters. */
static void say_words(const vocabulary *v) {
  for (size_t i = 0; i < v->count; i++) {
    const char *c = v->added[i];
    char shown[SHOWN];
    while (plm_alphabet_is_letter((unsigned char)*c)) c++;
    if (*c == '\0' && c - v->added[i] > 1)
      plm_warn("%s: the tokenizer has a token '%s'; in a sequence it is read letter by letter here", v->directory,
               show(v->added[i], shown));
  }
}

static plm_status read_all(vocabulary *v, const plm_alphabet **ret_alphabet) {
  bool is_new;
  PLM_TRY(read_file(v, "vocab.txt", NULL));
  PLM_TRY(read_file(v, "tokenizer.json", read_fast));
  PLM_TRY(read_file(v, "added_tokens.json", read_added));
  PLM_TRY(read_file(v, "tokenizer_config.json", read_settings));
  PLM_TRY(read_file(v, "special_tokens_map.json", read_settings));
  PLM_TRY(check_whole(v));
  PLM_TRY(check_ids(v));
  PLM_TRY(plm_alphabet_extend(v->base, v->added, v->count, ret_alphabet, &is_new));
  if (is_new) say_words(v);
  return PLM_OK;
}

plm_status plm_vocabulary_read(const char *directory, plm_model_config *config) {
  vocabulary *v;
  PLM_TRY(PLM_NEW(&v, 1));
  *v = (vocabulary){.directory = directory, .config = config, .base = plm_family_alphabet(config->family)};
  plm_status status = plm_arena_create(&v->memory);
  if (status == PLM_OK) status = read_all(v, &config->alphabet);
  plm_arena_destroy(v->memory);
  plm_free(v);
  return status;
}
