/* safetensors_read.c - one file, mapped; its header believed only after every check of model_spec 2.2.
 *
 *   offset 0    : N, uint64 little-endian: bytes of the header
 *   offset 8    : {"name":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}, ..., "__metadata__":{...}}, spaces
 *   offset 8+N  : data, to the end of the file without holes
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "formats/safetensors_internal.h"

enum { MAX_HEADER = 100000000, MAX_DEPTH = 4, MAX_TENSORS = 1000000 };

/* ---- header ---- */

/* The JSON of the header within the mapping. */
typedef struct header {
  const char *text;
  size_t bytes;
} header;

static plm_status find_header(const plm_safetensors *file, header *ret_header) {
  size_t size = file->mapping.bytes;
  uint64_t bytes;
  if (size < sizeof bytes)
    return plm_fail(PLM_E_INPUT, "%s: %zu %s too few for a safetensors file", file->path, size,
                    plm_plural((int64_t)size, "byte is", "bytes are"));
  memcpy(&bytes, file->mapping.data, sizeof bytes);
  if (bytes > MAX_HEADER)
    return plm_fail(
        PLM_E_INPUT,
        "%s: its first 8 bytes ask for a header of %llu bytes (at most %d), so this is not a safetensors file",
        file->path, (unsigned long long)bytes, MAX_HEADER);
  if (bytes > size - sizeof bytes)
    return plm_fail(PLM_E_INPUT, "%s: the header should have %llu bytes, but the file ends after %zu: it is cut off",
                    file->path, (unsigned long long)bytes, size - sizeof bytes);
  const char *text = (const char *)file->mapping.data + sizeof bytes;
  size_t end = (size_t)bytes;
  if (end == 0 || text[0] != '{') return plm_fail(PLM_E_INPUT, "%s: the header does not begin with '{'", file->path);
  while (text[end - 1] == ' ') end--;
  if (text[end - 1] != '}') return plm_fail(PLM_E_INPUT, "%s: the header does not end with '}' and spaces", file->path);
  *ret_header = (header){text, (size_t)bytes};
  return PLM_OK;
}

static plm_status check_metadata(const plm_safetensors *file, json_t *metadata) {
  const char *key;
  json_t *value;
  if (!json_is_object(metadata)) return plm_fail(PLM_E_INPUT, "%s: __metadata__ is not an object", file->path);
  json_object_foreach(metadata, key, value) {
    if (!json_is_string(value))
      return plm_fail(PLM_E_INPUT, "%s: __metadata__ '%.200s' is not a string", file->path, key);
  }
  return PLM_OK;
}

/* ---- tensors ---- */

/* Where a tensor's bytes are in the data buffer. */
typedef struct extent {
  int64_t begin, end;
  const char *name;
} extent;

/* A JSON integer of at least 0; -1 for anything else (1.0 and 1e3 are no integers; beyond 2^63-1
 * the parser refuses). */
static int64_t count_of(const json_t *value) {
  return json_is_integer(value) && json_integer_value(value) >= 0 ? json_integer_value(value) : -1;
}

static plm_status read_shape(const plm_safetensors *file, const json_t *shape, plm_tensor_info *info) {
  if (!json_is_array(shape))
    return plm_fail(PLM_E_INPUT, "%s: tensor '%.200s': shape is not a list", file->path, info->name);
  if (json_array_size(shape) > PLM_TENSOR_MAX_DIMS)
    return plm_fail(PLM_E_INPUT, "%s: tensor '%.200s' has %zu dimensions; at most %d can be read", file->path,
                    info->name, json_array_size(shape), PLM_TENSOR_MAX_DIMS);
  info->dims = (int)json_array_size(shape);
  for (int i = 0; i < info->dims; i++) {
    info->shape[i] = count_of(json_array_get(shape, (size_t)i));
    if (info->shape[i] < 0)
      return plm_fail(PLM_E_INPUT, "%s: tensor '%.200s': shape is not a list of non-negative integers", file->path,
                      info->name);
  }
  return PLM_OK;
}

/* Shape and type must say the same number of bytes as the offsets. A type unknown to us is left to whoever needs the
 * tensor. */
static plm_status check_size(const plm_safetensors *file, const plm_tensor_info *info) {
  const plm_tensor_dtype *dtype = plm_tensor_dtype_find(info->dtype);
  if (dtype == NULL) return PLM_OK;
  uint64_t bits = 1;
  for (int i = 0; i < info->dims; i++)
    if (__builtin_mul_overflow(bits, (uint64_t)info->shape[i], &bits))
      return plm_fail(PLM_E_INPUT, "%s: tensor '%.200s': its shape has more elements than can be counted", file->path,
                      info->name);
  if (__builtin_mul_overflow(bits, (uint64_t)dtype->bits, &bits))
    return plm_fail(PLM_E_INPUT, "%s: tensor '%.200s': its shape has more bits than can be counted", file->path,
                    info->name);
  if (bits % 8 != 0 || bits / 8 != (uint64_t)info->bytes)
    return plm_fail(PLM_E_INPUT, "%s: tensor '%.200s': shape and type %s make %llu bits, but data_offsets span %lld %s",
                    file->path, info->name, info->dtype, (unsigned long long)bits, (long long)info->bytes,
                    plm_plural(info->bytes, "byte", "bytes"));
  return PLM_OK;
}

static plm_status read_tensor(plm_safetensors *file, const char *name, const json_t *entry, int64_t data_bytes,
                              const char *data, plm_tensor_info *info, extent *ret_extent) {
  const char *dtype = json_string_value(json_object_get(entry, "dtype"));
  const json_t *offsets = json_object_get(entry, "data_offsets");
  PLM_TRY(plm_arena_strdup(file->memory, name, &info->name));
  if (dtype == NULL || offsets == NULL || json_object_size(entry) != 3)
    return plm_fail(PLM_E_INPUT, "%s: tensor '%.200s' is not an object of dtype, shape and data_offsets", file->path,
                    name);
  PLM_TRY(plm_arena_strdup(file->memory, dtype, &info->dtype));
  PLM_TRY(read_shape(file, json_object_get(entry, "shape"), info));
  int64_t begin = count_of(json_array_get(offsets, 0)), end = count_of(json_array_get(offsets, 1));
  if (json_array_size(offsets) != 2 || begin < 0 || end < 0)
    return plm_fail(PLM_E_INPUT, "%s: tensor '%.200s': data_offsets are not two non-negative integers", file->path,
                    name);
  if (begin > end || end > data_bytes)
    return plm_fail(
        PLM_E_INPUT,
        "%s: tensor '%.200s': data_offsets [%lld,%lld] are not within the %lld %s of data: the file is cut off or damaged",
        file->path, name, (long long)begin, (long long)end, (long long)data_bytes,
        plm_plural(data_bytes, "byte", "bytes"));
  info->bytes = end - begin;
  info->data = data + begin;
  *ret_extent = (extent){begin, end, info->name};
  return check_size(file, info);
}

static int compare_extents(const void *a, const void *b) {
  const extent *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  return (x->end > y->end) - (x->end < y->end);
}

/* Data without overlaps, holes or a rest: so a file means one thing only. */
static plm_status check_extents(const plm_safetensors *file, extent *extents, int64_t data_bytes) {
  qsort(extents, file->count, sizeof *extents, compare_extents);
  int64_t at = 0;
  for (size_t i = 0; i < file->count; i++) {
    if (extents[i].begin != at)
      return plm_fail(
          PLM_E_INPUT,
          "%s: tensor '%.200s' begins at byte %lld of the data instead of %lld: tensors overlap or leave a hole",
          file->path, extents[i].name, (long long)extents[i].begin, (long long)at);
    at = extents[i].end;
  }
  if (at != data_bytes)
    return plm_fail(PLM_E_INPUT, "%s: %lld %s of data, of which the tensors fill %lld", file->path,
                    (long long)data_bytes, plm_plural(data_bytes, "byte", "bytes"), (long long)at);
  return PLM_OK;
}

static plm_status read_tensors(plm_safetensors *file, json_t *document, const header *h, extent *extents) {
  const char *name, *data = h->text + h->bytes;
  json_t *value;
  int64_t data_bytes = (int64_t)(file->mapping.bytes - sizeof(uint64_t) - h->bytes);
  json_object_foreach(document, name, value) {
    if (strcmp(name, "__metadata__") == 0) {
      PLM_TRY(check_metadata(file, value));
      continue;
    }
    PLM_TRY(read_tensor(file, name, value, data_bytes, data, &file->items[file->count], &extents[file->count]));
    file->count++;
  }
  return check_extents(file, extents, data_bytes);
}

static plm_status read_header(plm_safetensors *file) {
  header h = {0};
  json_t *document;
  extent *extents = NULL;
  plm_status status;
  PLM_TRY(find_header(file, &h));
  PLM_TRY(plm_json_parse(h.text, h.bytes, MAX_DEPTH, file->path, &document));
  size_t members = json_object_size(document);
  if (members > MAX_TENSORS) {
    status = plm_fail(PLM_E_INPUT, "%s: %zu tensors; at most %d can be read", file->path, members, MAX_TENSORS);
    goto out;
  }
  PLM_TRY_GOTO(PLM_NEW(&file->items, members), out);
  PLM_TRY_GOTO(PLM_NEW(&extents, members), out);
  PLM_TRY_GOTO(read_tensors(file, document, &h, extents), out);
  plm_safetensors_sort(file);
out:
  plm_free(extents);
  json_decref(document);
  return status;
}

/* ---- opening and looking ---- */

plm_status plm_safetensors_open(const char *path, plm_safetensors **ret_file) {
  plm_safetensors *file;
  plm_status status;
  PLM_TRY(PLM_NEW(&file, 1));
  PLM_TRY_GOTO(plm_strdup(path, &file->path), fail);
  PLM_TRY_GOTO(plm_arena_create(&file->memory), fail);
  PLM_TRY_GOTO(plm_file_map(path, &file->mapping), fail);
  PLM_TRY_GOTO(read_header(file), fail);
  *ret_file = file;
  return PLM_OK;
fail:
  plm_safetensors_close(file);
  return status;
}

void plm_safetensors_close(plm_safetensors *file) {
  if (file == NULL) return;
  for (size_t i = 0; i < file->shard_count; i++) plm_safetensors_close(file->shards[i]);
  plm_free(file->shards);
  plm_free(file->items);
  plm_file_unmap(&file->mapping);
  plm_arena_destroy(file->memory);
  plm_free(file->path);
  plm_free(file);
}

static int compare_names(const void *a, const void *b) {
  return strcmp(((const plm_tensor_info *)a)->name, ((const plm_tensor_info *)b)->name);
}

void plm_safetensors_sort(plm_safetensors *file) {
  qsort(file->items, file->count, sizeof *file->items, compare_names);
}

size_t plm_safetensors_count(const plm_safetensors *file) { return file->count; }
const plm_tensor_info *plm_safetensors_at(const plm_safetensors *file, size_t i) { return &file->items[i]; }
const char *plm_safetensors_path(const plm_safetensors *file) { return file->path; }

const plm_tensor_info *plm_safetensors_find(const plm_safetensors *file, const char *name) {
  plm_tensor_info key = {.name = name};
  return bsearch(&key, file->items, file->count, sizeof *file->items, compare_names);
}
