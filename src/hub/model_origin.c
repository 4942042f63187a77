/* model_origin.c - what a model's directory says beside its weights, kept while the model is trained: tokenizer files byte
 * for byte, and config.json key by key.
 *
 * It is read once, with the model, since the directory may be gone or another when a checkpoint is written; a resumed
 * run reads it from its own checkpoint. */
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "hub/internal.h"

/* Files by which transformers makes a tokenizer. */
static const char *const tokenizer_files[] = {
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "added_tokens.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
};
enum { FILES = sizeof tokenizer_files / sizeof *tokenizer_files, LARGEST = 64 << 20 };

const char *plm_tokenizer_file(int i) { return i < FILES ? tokenizer_files[i] : NULL; }

struct plm_model_origin {
  json_t *config;
  struct {
    char *data; /* NULL: there is none */
    size_t bytes;
  } files[FILES];
};

/* ---- reading ---- */

/* transformers would take the byte order mark for a part of the first token. */
static void drop_mark(char *data, size_t *bytes) {
  if (*bytes < 3 || memcmp(data, "\xEF\xBB\xBF", 3) != 0) return;
  memmove(data, data + 3, *bytes - 3);
  *bytes -= 3;
}

static plm_status read_file(const char *directory, int i, plm_model_origin *origin) {
  char *path;
  PLM_TRY(plm_path_join(directory, tokenizer_files[i], &path));
  plm_status status = PLM_OK;
  if (plm_file_exists(path)) status = plm_file_read(path, LARGEST, &origin->files[i].data, &origin->files[i].bytes);
  if (status == PLM_OK && origin->files[i].data != NULL) drop_mark(origin->files[i].data, &origin->files[i].bytes);
  plm_free(path);
  return status;
}

static plm_status read_all(const char *directory, plm_model_origin *origin) {
  char *path;
  PLM_TRY(plm_path_join(directory, "config.json", &path));
  plm_status status = plm_json_load(path, &origin->config);
  plm_free(path);
  for (int i = 0; i < FILES && status == PLM_OK; i++) status = read_file(directory, i, origin);
  return status;
}

plm_status plm_model_origin_read(const char *directory, plm_model_origin **ret_origin) {
  plm_model_origin *origin;
  PLM_TRY(PLM_NEW(&origin, 1));
  plm_status status = read_all(directory, origin);
  if (status == PLM_OK)
    *ret_origin = origin;
  else
    plm_model_origin_free(origin);
  return status;
}

void plm_model_origin_free(plm_model_origin *origin) {
  if (origin == NULL) return;
  for (int i = 0; i < FILES; i++) plm_free(origin->files[i].data);
  json_decref(origin->config);
  plm_free(origin);
}

/* ---- writing ---- */

bool plm_model_origin_has(const plm_model_origin *origin, const char *name) {
  for (int i = 0; origin != NULL && i < FILES; i++)
    if (strcmp(tokenizer_files[i], name) == 0 && origin->files[i].data != NULL) return true;
  return false;
}

static plm_status write_bytes(const char *directory, const char *name, const void *data, size_t bytes) {
  char *path;
  plm_writer *writer = NULL;
  plm_status status;
  PLM_TRY(plm_path_join(directory, name, &path));
  PLM_TRY_GOTO(plm_writer_open(path, &writer), out);
  PLM_TRY_GOTO(plm_writer_write(writer, data, bytes), out);
  status = plm_writer_close(&writer, NULL);
out:
  plm_writer_abandon(writer);
  plm_free(path);
  return status;
}

plm_status plm_model_origin_write_tokenizer(const plm_model_origin *origin, const char *directory) {
  for (int i = 0; i < FILES; i++)
    if (origin->files[i].data != NULL)
      PLM_TRY(write_bytes(directory, tokenizer_files[i], origin->files[i].data, origin->files[i].bytes));
  return PLM_OK;
}

/* The class that is written is ours; what the file says of another head is not true of it. */
static int set_class(json_t *config, const json_t *ours) {
  json_t *own = json_object_get(ours, "architectures"), *given = json_object_get(config, "architectures");
  return given != NULL && !json_equal(given, own) ? json_object_set(config, "architectures", own) : 0;
}

/* The type of the tensors, under the name that the file has for it: "dtype" since transformers 5. */
static int set_type(json_t *config, const char *type) {
  static const char *const names[] = {"torch_dtype", "dtype"};
  int failed = 0, given = 0;
  for (int i = 0; i < 2; i++) {
    if (json_object_get(config, names[i]) == NULL) continue;
    failed |= json_object_set_new(config, names[i], json_string(type));
    given++;
  }
  return given == 0 ? json_object_set_new(config, names[0], json_string(type)) : failed;
}

/* The ids that transformers' class would not make up: without them it opens no model for masked-language modelling. */
static int set_ids(json_t *config, const json_t *ours) {
  static const char *const names[] = {"mask_token_id", "pad_token_id"};
  int failed = 0;
  for (int i = 0; i < 2; i++) {
    json_t *given = json_object_get(config, names[i]), *own = json_object_get(ours, names[i]);
    if ((given == NULL || json_is_null(given)) && own != NULL) failed |= json_object_set(config, names[i], own);
  }
  return failed;
}

plm_status plm_model_origin_config(const plm_model_origin *origin, const json_t *ours, json_t **ret_document) {
  json_t *config = json_deep_copy(origin->config);
  const char *type = json_string_value(json_object_get(ours, "torch_dtype"));
  if (config == NULL || set_class(config, ours) != 0 || set_ids(config, ours) != 0 || set_type(config, type) != 0) {
    json_decref(config);
    return plm_fail(PLM_E_RESOURCE, "out of memory writing config.json");
  }
  *ret_document = config;
  return PLM_OK;
}
