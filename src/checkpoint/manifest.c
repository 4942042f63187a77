/* manifest.c - writing, reading and checking MANIFEST.json. Read manifest.h first. */
#include "checkpoint/manifest.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/text.h"
#include "checkpoint/internal.h"

enum { MAX_MANIFEST_BYTES = 1 << 20, MAX_DEPTH = 4 };

static const char FORMAT[] = "protlm checkpoint";

/* The last lines: seal, hash, end. */
static const char SEAL[] = "  \"xxh3_128_above\": \"";
static const char END[] = "\"\n}\n";
enum {
  HASH_DIGITS = 32,
  SEAL_BYTES = sizeof SEAL - 1,
  END_BYTES = sizeof END - 1,
  TAIL_BYTES = SEAL_BYTES + HASH_DIGITS + END_BYTES
};

/* ---- making ---- */

/* A name in a manifest is a plain file of the directory, whatever a damaged or hostile manifest says. */
static bool is_possible_name(const char *name) {
  if (!plm_path_is_plain(name) || strlen(name) >= sizeof((plm_manifest_file *)0)->name || name[0] == '.') return false;
  while ((unsigned char)*name >= 0x20 && *name != '"') name++;
  return *name == '\0';
}

static plm_manifest_file *find_file(plm_manifest *manifest, const char *name) {
  for (size_t i = 0; i < manifest->count; i++)
    if (strcmp(manifest->files[i].name, name) == 0) return &manifest->files[i];
  return NULL;
}

plm_status plm_manifest_add(plm_manifest *manifest, const char *name, int64_t bytes, const char *hash) {
  PLM_ASSERT(manifest->count < PLM_MANIFEST_MAX_FILES && is_possible_name(name) && find_file(manifest, name) == NULL);
  plm_manifest_file *file = &manifest->files[manifest->count++];
  file->bytes = bytes;
  snprintf(file->name, sizeof file->name, "%s", name);
  snprintf(file->hash, sizeof file->hash, "%s", hash);
  return PLM_OK;
}

plm_status plm_manifest_add_existing(plm_manifest *manifest, const char *directory, const char *name) {
  char *path, hash[33];
  int64_t bytes = 0;
  PLM_TRY(plm_path_join(directory, name, &path));
  plm_status status = plm_file_hash(path, hash, &bytes);
  plm_free(path);
  PLM_TRY(status);
  return plm_manifest_add(manifest, name, bytes, hash);
}

static void append_body(plm_text *text, const plm_manifest *manifest) {
  char written[PLM_NUMBER_TEXT];
  plm_text_printf(
      text,
      "{\n  \"format\": \"%s\",\n  \"format_version\": %d,\n  \"kind\": \"%s\",\n  \"step\": %lld,\n  \"written\": %s,\n",
      FORMAT, PLM_MANIFEST_VERSION, manifest->kind, (long long)manifest->step,
      plm_number_text(manifest->written, written));
  plm_text_append(text, "  \"files\": {\n");
  for (size_t i = 0; i < manifest->count; i++) {
    const plm_manifest_file *file = &manifest->files[i];
    plm_text_printf(text, "    \"%s\": {\"bytes\": %lld, \"xxh3_128\": \"%s\"}%s\n", file->name, (long long)file->bytes,
                    file->hash, i + 1 < manifest->count ? "," : "");
  }
  plm_text_append(text, "  },\n");
}

static plm_status hash_bytes(const char *data, size_t bytes, char hash[33]) {
  plm_hasher *hasher;
  PLM_TRY(plm_hasher_create(&hasher));
  plm_hasher_update(hasher, data, bytes);
  plm_hasher_hex(hasher, hash);
  plm_hasher_destroy(hasher);
  return PLM_OK;
}

plm_status plm_manifest_write(const plm_manifest *manifest, const char *directory) {
  plm_text text = {0};
  char hash[33];
  plm_status status;
  append_body(&text, manifest);
  PLM_TRY_GOTO(text.status, done);
  PLM_TRY_GOTO(hash_bytes(text.data, text.length, hash), done);
  plm_text_printf(&text, "%s%s%s", SEAL, hash, END);
  PLM_TRY_GOTO(text.status, done);
  PLM_TRY_GOTO(plm_file_create(directory, PLM_MANIFEST_NAME, text.data, NULL, NULL), done);
done:
  plm_text_free(&text);
  return status;
}

/* ---- reading ---- */

static plm_status check_seal(const char *path, const char *data, size_t bytes) {
  char hash[33];
  if (bytes <= TAIL_BYTES)
    return plm_fail(PLM_E_CHECKPOINT, "%s is cut short (%zu %s)", path, bytes,
                    plm_plural((int64_t)bytes, "byte", "bytes"));
  const char *tail = data + bytes - TAIL_BYTES;
  if (memcmp(tail, SEAL, SEAL_BYTES) != 0 || memcmp(tail + TAIL_BYTES - END_BYTES, END, END_BYTES) != 0)
    return plm_fail(PLM_E_CHECKPOINT, "%s does not end in its checksum: it is cut short or changed", path);
  PLM_TRY(hash_bytes(data, bytes - TAIL_BYTES, hash));
  if (memcmp(tail + SEAL_BYTES, hash, HASH_DIGITS) != 0)
    return plm_fail(PLM_E_CHECKPOINT, "%s is damaged: its checksum does not match", path);
  return PLM_OK;
}

static plm_status read_files(const json_t *files, const char *path, plm_manifest *manifest) {
  const char *name, *hash;
  json_t *entry;
  json_object_foreach((json_t *)files, name, entry) {
    int64_t bytes = 0;
    if (!is_possible_name(name) || manifest->count == PLM_MANIFEST_MAX_FILES)
      return plm_fail(PLM_E_CHECKPOINT, "%s lists a file '%s' that no checkpoint has", path, name);
    PLM_TRY(plm_json_get_int(entry, path, "bytes", true, 0, INT64_MAX, &bytes));
    PLM_TRY(plm_json_get_string(entry, path, "xxh3_128", true, &hash));
    if (strlen(hash) != HASH_DIGITS)
      return plm_fail(PLM_E_CHECKPOINT, "%s: the checksum of %s has %zu %s, not 32", path, name, strlen(hash),
                      plm_plural((int64_t)strlen(hash), "digit", "digits"));
    PLM_TRY(plm_manifest_add(manifest, name, bytes, hash));
  }
  return PLM_OK;
}

static plm_status read_document(const json_t *document, const char *path, plm_manifest *manifest) {
  const char *format = "", *kind = "";
  int64_t version = 0;
  PLM_TRY(plm_json_get_string(document, path, "format", true, &format));
  PLM_TRY(plm_json_get_int(document, path, "format_version", true, 1, INT64_MAX, &version));
  if (strcmp(format, FORMAT) != 0)
    return plm_fail(PLM_E_CHECKPOINT, "%s is of a '%s', not of a %s", path, format, FORMAT);
  if (version > PLM_MANIFEST_VERSION)
    return plm_hint(plm_fail(PLM_E_CHECKPOINT, "%s has format version %lld; this protlm knows versions up to %d", path,
                             (long long)version, PLM_MANIFEST_VERSION),
                    "use the protlm that wrote it, or a newer one");
  PLM_TRY(plm_json_get_string(document, path, "kind", true, &kind));
  snprintf(manifest->kind, sizeof manifest->kind, "%s", kind);
  PLM_TRY(plm_json_get_int(document, path, "step", true, 0, INT64_MAX, &manifest->step));
  PLM_TRY(plm_json_get_double(document, path, "written", true, &manifest->written));
  return read_files(json_object_get(document, "files"), path, manifest);
}

plm_status plm_manifest_read(const char *directory, plm_manifest *ret_manifest) {
  plm_manifest manifest = {.step = -1};
  char *path = NULL, *data = NULL;
  size_t bytes = 0;
  json_t *document = NULL;
  plm_status status;
  PLM_TRY_GOTO(plm_path_join(directory, PLM_MANIFEST_NAME, &path), done);
  if (!plm_file_exists(path)) {
    status = plm_fail(PLM_E_CHECKPOINT, "%s has no %s: it is not a complete checkpoint", directory, PLM_MANIFEST_NAME);
    goto done;
  }
  PLM_TRY_GOTO(plm_file_read(path, MAX_MANIFEST_BYTES, &data, &bytes), done);
  PLM_TRY_GOTO(check_seal(path, data, bytes), done);
  PLM_TRY_GOTO(plm_json_parse(data, bytes, MAX_DEPTH, path, &document), done);
  PLM_TRY_GOTO(read_document(document, path, &manifest), done);
  *ret_manifest = manifest;
done:
  json_decref(document);
  plm_free(data);
  plm_free(path);
  return plm_as_checkpoint_failure(status);
}

/* ---- checking ---- */

static plm_status check_file(const plm_manifest_file *file, const char *path, bool deep) {
  int64_t bytes = 0;
  char hash[33];
  if (!plm_file_exists(path)) return plm_fail(PLM_E_CHECKPOINT, "%s is missing", path);
  PLM_TRY(plm_file_size(path, &bytes));
  if (bytes != file->bytes)
    return plm_fail(PLM_E_CHECKPOINT, "%s has %lld %s, not %lld as when it was written", path, (long long)bytes,
                    plm_plural(bytes, "byte", "bytes"), (long long)file->bytes);
  if (!deep) return PLM_OK;
  PLM_TRY(plm_file_hash(path, hash, &bytes));
  if (strcmp(hash, file->hash) != 0)
    return plm_fail(PLM_E_CHECKPOINT, "%s is damaged: its content is not what was written (xxh3-128 differs)", path);
  return PLM_OK;
}

static plm_status check_names(const plm_manifest *manifest, const char *directory) {
  char **names;
  size_t count;
  plm_status status = PLM_OK;
  PLM_TRY(plm_directory_list(directory, &names, &count));
  for (size_t i = 0; i < count && status == PLM_OK; i++)
    if (names[i][0] != '.' && strcmp(names[i], PLM_MANIFEST_NAME) != 0 &&
        find_file((plm_manifest *)manifest, names[i]) == NULL)
      status = plm_hint(plm_fail(PLM_E_CHECKPOINT, "%s/%s does not belong to the checkpoint", directory, names[i]),
                        "move it elsewhere");
  plm_names_free(names, count);
  return status;
}

plm_status plm_manifest_check(const plm_manifest *manifest, const char *directory, bool deep) {
  plm_status status = check_names(manifest, directory);
  for (size_t i = 0; i < manifest->count && status == PLM_OK; i++) {
    char *path;
    status = plm_path_join(directory, manifest->files[i].name, &path);
    if (status != PLM_OK) break;
    status = check_file(&manifest->files[i], path, deep);
    plm_free(path);
  }
  return plm_as_checkpoint_failure(status);
}

int64_t plm_manifest_bytes(const plm_manifest *manifest) {
  int64_t bytes = 0;
  for (size_t i = 0; i < manifest->count; i++) bytes += manifest->files[i].bytes;
  return bytes;
}
