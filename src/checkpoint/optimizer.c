/* optimizer.c - the moments of Adam as tensors by name: `<HF name>.exp_avg` and `<HF name>.exp_avg_sq`, F32.
 *
 * By name and not by position, so that a checkpoint does not depend on ranks, padding or the order of the train block.
 * The moments live on the device; they travel in pieces, so that no second copy of the model's size is ever needed on
 * the host. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "checkpoint/internal.h"
#include "formats/safetensors.h"

enum { PIECE_BYTES = 16 << 20, MOMENTS = 2 };

static const char *const suffixes[MOMENTS] = {".exp_avg", ".exp_avg_sq"};

static float *moment_block(plm_moments moments, int which) { return which == 0 ? moments.m : moments.v; }

static plm_status copy_pieces(plm_device *device, void *to, const void *from, size_t bytes, plm_copy_kind kind) {
  for (size_t done = 0; done < bytes;) {
    size_t piece = bytes - done < PIECE_BYTES ? bytes - done : PIECE_BYTES;
    PLM_TRY(device->copy(device, (char *)to + done, (const char *)from + done, piece, kind));
    done += piece;
  }
  return PLM_OK;
}

/* ---- writing ---- */

typedef struct source {
  const plm_param **trained; /* [count] */
  size_t count;
  plm_tensor_info *entries; /* [2 count]: exp_avg, exp_avg_sq of each */
  plm_arena *names;
  plm_exec *exec;
  plm_moments moments;
} source;

static plm_status describe_tensor(source *s, const plm_param *param, int which, plm_tensor_info *ret_entry) {
  char name[sizeof param->name + 16];
  snprintf(name, sizeof name, "%s%s", param->name, suffixes[which]);
  *ret_entry = (plm_tensor_info){.dtype = "F32", .dims = param->dims, .bytes = param->count * (int64_t)sizeof(float)};
  memcpy(ret_entry->shape, param->shape, sizeof param->shape);
  return plm_arena_strdup(s->names, name, &ret_entry->name);
}

static plm_status describe_tensors(source *s, const plm_params *params) {
  PLM_TRY(plm_arena_create(&s->names));
  PLM_TRY(PLM_NEW(&s->trained, params->count));
  PLM_TRY(PLM_NEW(&s->entries, MOMENTS * params->count));
  for (int i = 0; i < params->count; i++) {
    const plm_param *param = &params->items[i];
    if (param->train_offset < 0) continue;
    s->trained[s->count] = param;
    for (int which = 0; which < MOMENTS; which++)
      PLM_TRY(describe_tensor(s, param, which, &s->entries[MOMENTS * s->count + (size_t)which]));
    s->count++;
  }
  return PLM_OK;
}

plm_status plm_checkpoint_check_finite(const char *tensor, const float *values, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    if (!isfinite(values[i])) return plm_fail(PLM_E_NUMERIC, "%s is not finite at element %lld", tensor, (long long)i);
  return PLM_OK;
}

static plm_status fill_tensor(void *user, size_t i, void *buffer) {
  const source *s = user;
  const plm_param *param = s->trained[i / MOMENTS];
  const float *block = moment_block(s->moments, (int)(i % MOMENTS));
  PLM_TRY(copy_pieces(s->exec->device, buffer, block + param->train_offset, (size_t)param->count * sizeof(float),
                      PLM_COPY_TO_HOST));
  return plm_checkpoint_check_finite(s->entries[i].name, buffer, param->count);
}

plm_status plm_optimizer_write(const char *path, const plm_params *params, plm_exec *exec, plm_moments moments,
                               char *ret_hash, int64_t *ret_bytes) {
  source s = {.exec = exec, .moments = moments};
  plm_status status;
  PLM_TRY_GOTO(describe_tensors(&s, params), done);
  PLM_TRY_GOTO(plm_safetensors_write(path, s.entries, MOMENTS * s.count, fill_tensor, &s, ret_hash, ret_bytes), done);
done:
  plm_free(s.trained);
  plm_free(s.entries);
  plm_arena_destroy(s.names);
  return status;
}

/* ---- reading ---- */

static void append_shape(plm_text *text, int dims, const int64_t *shape) {
  for (int i = 0; i < dims; i++) plm_text_printf(text, "%s%lld", i == 0 ? "[" : ", ", (long long)shape[i]);
  plm_text_append(text, dims == 0 ? "[]" : "]");
}

static plm_status fail_shape(const char *path, const plm_tensor_info *tensor, const plm_param *param) {
  plm_text words = {0};
  plm_text_printf(&words, "%s: %s is %s ", path, tensor->name, tensor->dtype);
  append_shape(&words, tensor->dims, tensor->shape);
  plm_text_append(&words, ", this model's is F32 ");
  append_shape(&words, param->dims, param->shape);
  plm_status status = words.status == PLM_OK ? plm_fail(PLM_E_CHECKPOINT, "%s", words.data) : words.status;
  plm_text_free(&words);
  return status;
}

static plm_status read_tensor(const plm_safetensors *file, const plm_param *param, int which, plm_exec *exec,
                              plm_moments moments) {
  char name[sizeof param->name + 16];
  const char *path = plm_safetensors_path(file);
  snprintf(name, sizeof name, "%s%s", param->name, suffixes[which]);
  const plm_tensor_info *tensor = plm_safetensors_find(file, name);
  if (tensor == NULL) return plm_fail(PLM_E_CHECKPOINT, "%s lacks %s, which this run trains", path, name);
  bool is_same = strcmp(tensor->dtype, "F32") == 0 && tensor->dims == param->dims;
  for (int d = 0; d < param->dims && is_same; d++) is_same = tensor->shape[d] == param->shape[d];
  if (!is_same) return fail_shape(path, tensor, param);
  return copy_pieces(exec->device, moment_block(moments, which) + param->train_offset, tensor->data,
                     (size_t)tensor->bytes, PLM_COPY_TO_DEVICE);
}

/* The parameter whose moment this is, or NULL. */
static const plm_param *owner_of(const plm_params *params, const char *tensor_name) {
  for (int which = 0; which < MOMENTS; which++) {
    size_t length = strlen(tensor_name), suffix = strlen(suffixes[which]);
    char name[sizeof((plm_param *)0)->name];
    if (length <= suffix || length - suffix >= sizeof name ||
        strcmp(tensor_name + length - suffix, suffixes[which]) != 0)
      continue;
    memcpy(name, tensor_name, length - suffix);
    name[length - suffix] = '\0';
    return plm_params_find(params, name);
  }
  return NULL;
}

static plm_status check_no_other(const plm_safetensors *file, const plm_params *params) {
  for (size_t i = 0; i < plm_safetensors_count(file); i++) {
    const char *name = plm_safetensors_at(file, i)->name;
    const plm_param *param = owner_of(params, name);
    if (param == NULL || param->train_offset < 0)
      return plm_fail(PLM_E_CHECKPOINT, "%s holds %s, which this run does not train", plm_safetensors_path(file), name);
  }
  return PLM_OK;
}

plm_status plm_optimizer_read(const char *path, const plm_params *params, plm_exec *exec, plm_moments moments) {
  plm_safetensors *file = NULL;
  plm_status status;
  PLM_TRY_GOTO(plm_safetensors_open(path, &file), done);
  for (int i = 0; i < params->count; i++)
    for (int which = 0; which < MOMENTS && params->items[i].train_offset >= 0; which++)
      PLM_TRY_GOTO(read_tensor(file, &params->items[i], which, exec, moments), done);
  PLM_TRY_GOTO(check_no_other(file, params), done);
done:
  plm_safetensors_close(file);
  return plm_as_checkpoint_failure(status);
}
