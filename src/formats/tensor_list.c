/* tensor_list.c - see tensor_list.h. */
#include <stdio.h>
#include <string.h>

#include "formats/safetensors_internal.h"

/* ---- making ---- */

plm_status plm_tensor_list_alloc(plm_tensor_list *list, size_t bytes, void **ret_pointer) {
  if (list->memory == NULL) PLM_TRY(plm_arena_create(&list->memory));
  return plm_arena_alloc(list->memory, bytes, ret_pointer);
}

plm_status plm_tensor_list_add(plm_tensor_list *list, const char *name, const char *dtype, int dims,
                               const int64_t *shape, const void *data, int key) {
  const plm_tensor_dtype *type = plm_tensor_dtype_find(dtype);
  void *copy;
  PLM_ASSERT(type != NULL && dims >= 0 && dims <= PLM_TENSOR_MAX_DIMS);
  PLM_TRY(PLM_GROW(&list->items, &list->room, list->count + 1));
  plm_tensor_info *tensor = &list->items[list->count];
  *tensor = (plm_tensor_info){.dtype = type->name, .dims = dims, .data = data, .key = key};
  int64_t bits = type->bits;
  for (int d = 0; d < dims; d++) bits *= tensor->shape[d] = shape[d];
  tensor->bytes = bits / 8;
  PLM_TRY(plm_tensor_list_alloc(list, strlen(name) + 1, &copy));
  tensor->name = memcpy(copy, name, strlen(name) + 1);
  list->count++;
  return PLM_OK;
}

void plm_tensor_list_free(plm_tensor_list *list) {
  plm_free(list->items);
  plm_arena_destroy(list->memory);
  *list = (plm_tensor_list){0};
}

plm_status plm_tensor_list_fill(const plm_tensor_list *list, const plm_tensor_info *tensor, void *buffer) {
  if (list->fill != NULL) return list->fill(list->user, tensor, buffer);
  memcpy(buffer, tensor->data, (size_t)tensor->bytes);
  return PLM_OK;
}

int64_t plm_tensor_list_bytes(const plm_tensor_list *list) {
  int64_t bytes = 0;
  for (size_t i = 0; i < list->count; i++) bytes += list->items[i].bytes;
  return bytes;
}

/* ---- reading ---- */

const char *plm_shape_text(int dims, const int64_t *shape, char text[PLM_SHAPE_TEXT]) {
  size_t used = (size_t)snprintf(text, PLM_SHAPE_TEXT, "[");
  for (int i = 0; i < dims; i++)
    used += (size_t)snprintf(text + used, PLM_SHAPE_TEXT - used, i == 0 ? "%lld" : ", %lld", (long long)shape[i]);
  snprintf(text + used, PLM_SHAPE_TEXT - used, "]");
  return text;
}

static plm_status read_tensor(const plm_tensor_list *list, const plm_safetensors *file, const plm_tensor_info *wanted) {
  const char *path = plm_safetensors_path(file);
  const plm_tensor_info *found = plm_safetensors_find(file, wanted->name);
  char has[PLM_SHAPE_TEXT], ours[PLM_SHAPE_TEXT];
  if (found == NULL)
    return plm_fail(PLM_E_INPUT, "%s lacks %s%s", path, wanted->name, list->lacking != NULL ? list->lacking : "");
  if (list->take == NULL) return PLM_OK;
  if (strcmp(found->dtype, wanted->dtype) != 0 || found->dims != wanted->dims ||
      memcmp(found->shape, wanted->shape, (size_t)found->dims * sizeof *found->shape) != 0)
    return plm_fail(PLM_E_INPUT, "%s: %s is %s %s, this model's is %s %s", path, wanted->name, found->dtype,
                    plm_shape_text(found->dims, found->shape, has), wanted->dtype,
                    plm_shape_text(wanted->dims, wanted->shape, ours));
  return list->take(list->user, wanted, found->data);
}

static bool is_listed(const plm_tensor_list *list, const char *name) {
  for (size_t i = 0; i < list->count; i++)
    if (strcmp(list->items[i].name, name) == 0) return true;
  return false;
}

/* All of the list are there, so the file holds others only if it holds more. */
static plm_status check_no_other(const plm_tensor_list *list, const plm_safetensors *file) {
  size_t count = plm_safetensors_count(file), i = 0;
  if (count == list->count) return PLM_OK;
  while (i + 1 < count && is_listed(list, plm_safetensors_at(file, i)->name)) i++;
  return plm_fail(PLM_E_INPUT, "%s holds %s%s", plm_safetensors_path(file), plm_safetensors_at(file, i)->name,
                  list->foreign != NULL ? list->foreign : "");
}

plm_status plm_tensor_list_read(const plm_tensor_list *list, const char *path) {
  plm_safetensors *file;
  PLM_TRY(plm_safetensors_open(path, &file));
  plm_status status = PLM_OK;
  for (size_t i = 0; i < list->count && status == PLM_OK; i++) status = read_tensor(list, file, &list->items[i]);
  if (status == PLM_OK) status = check_no_other(list, file);
  plm_safetensors_close(file);
  return status;
}
