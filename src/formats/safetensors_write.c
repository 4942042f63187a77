/* safetensors_write.c - one file in the order and layout of the reference writer (model_spec 2.2): types from the
 * widest down, then by name; compact header with metadata first, padded to 8 bytes. The same tensors always give the
 * same bytes. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "formats/safetensors_internal.h"

/* An entry's place in the file. */
typedef struct slot {
  const plm_tensor_info *info;
  const plm_tensor_dtype *dtype;
} slot;

static int compare_slots(const void *a, const void *b) {
  const slot *x = a, *y = b;
  if (x->dtype != y->dtype) return x->dtype > y->dtype ? -1 : 1; /* the table of types is in ascending order */
  return strcmp(x->info->name, y->info->name);
}

/* Our own entries that cannot be written are our bug: the message is for whoever made them. */
static plm_status make_slots(const plm_tensor_list *list, slot *slots) {
  size_t count = list->count;
  for (size_t i = 0; i < count; i++) {
    const plm_tensor_info *info = &list->items[i];
    slots[i] = (slot){info, plm_tensor_dtype_find(info->dtype)};
    PLM_ASSERT(slots[i].dtype != NULL && info->dims >= 0 && info->dims <= PLM_TENSOR_MAX_DIMS);
    int64_t bits = slots[i].dtype->bits;
    for (int d = 0; d < info->dims; d++)
      PLM_ASSERT(info->shape[d] >= 0 && !__builtin_mul_overflow(bits, info->shape[d], &bits));
    PLM_ASSERT(bits % 8 == 0 && bits / 8 == info->bytes);
  }
  qsort(slots, count, sizeof *slots, compare_slots);
  for (size_t i = 1; i < count; i++)
    if (strcmp(slots[i - 1].info->name, slots[i].info->name) == 0)
      return plm_fail(PLM_E_BUG, "two tensors are called '%s'", slots[i].info->name);
  return PLM_OK;
}

static void append_quoted(plm_text *text, const char *words) {
  plm_text_append(text, "\"");
  for (const char *c = words; *c != '\0'; c++) {
    if (*c == '"' || *c == '\\')
      plm_text_printf(text, "\\%c", *c);
    else if ((unsigned char)*c < 0x20)
      plm_text_printf(text, "\\u%04x", (unsigned)(unsigned char)*c);
    else
      plm_text_append_bytes(text, c, 1);
  }
  plm_text_append(text, "\"");
}

static plm_status make_header(const slot *slots, size_t count, char **ret_header) {
  plm_text text = {0};
  int64_t begin = 0;
  plm_text_append(&text, "{\"__metadata__\":{\"format\":\"pt\"}");
  for (size_t i = 0; i < count; i++) {
    const plm_tensor_info *info = slots[i].info;
    plm_text_append(&text, ",");
    append_quoted(&text, info->name);
    plm_text_printf(&text, ":{\"dtype\":\"%s\",\"shape\":[", info->dtype);
    for (int d = 0; d < info->dims; d++) plm_text_printf(&text, d == 0 ? "%lld" : ",%lld", (long long)info->shape[d]);
    plm_text_printf(&text, "],\"data_offsets\":[%lld,%lld]}", (long long)begin, (long long)(begin + info->bytes));
    begin += info->bytes;
  }
  plm_text_append(&text, "}");
  plm_text_repeat(&text, ' ', (8 - text.length % 8) % 8);
  return plm_text_take(&text, ret_header);
}

static plm_status write_contents(plm_writer *writer, const slot *slots, const plm_tensor_list *list) {
  char *header, *buffer;
  size_t count = list->count;
  int64_t largest = 0;
  plm_status status;
  for (size_t i = 0; i < count; i++) largest = slots[i].info->bytes > largest ? slots[i].info->bytes : largest;
  PLM_TRY(make_header(slots, count, &header));
  PLM_TRY_GOTO(PLM_NEW(&buffer, largest), out);
  uint64_t bytes = strlen(header);
  PLM_TRY_GOTO(plm_writer_write(writer, &bytes, sizeof bytes), out_buffer);
  PLM_TRY_GOTO(plm_writer_write(writer, header, (size_t)bytes), out_buffer);
  for (size_t i = 0; i < count; i++) {
    PLM_TRY_GOTO(plm_tensor_list_fill(list, slots[i].info, buffer), out_buffer);
    PLM_TRY_GOTO(plm_writer_write(writer, buffer, (size_t)slots[i].info->bytes), out_buffer);
  }
out_buffer:
  plm_free(buffer);
out:
  plm_free(header);
  return status;
}

plm_status plm_safetensors_write(const char *path, const plm_tensor_list *list, char *ret_hash, int64_t *ret_bytes) {
  slot *slots;
  plm_writer *writer = NULL;
  plm_status status;
  PLM_TRY(PLM_NEW(&slots, list->count));
  PLM_TRY_GOTO(make_slots(list, slots), out);
  PLM_TRY_GOTO(plm_writer_open(path, &writer), out);
  PLM_TRY_GOTO(write_contents(writer, slots, list), out);
  int64_t bytes = plm_writer_bytes(writer);
  PLM_TRY_GOTO(plm_writer_close(&writer, ret_hash), out);
  if (ret_bytes != NULL) *ret_bytes = bytes;
out:
  plm_writer_abandon(writer);
  plm_free(slots);
  return status;
}
