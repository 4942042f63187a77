/* tensor.c - a tensor of the checker: a block of memory with canaries around and between its rows.
 *
 *   block: | 256 canary bytes | one element unless aligned | row 0 | gap | row 1 | gap | ... | 256 canary bytes | */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "internal.h"
#include "kernels/ref/element.h"
#include "tolerance.h"

enum { CANARY_BYTES = 256 };

static bool is_float(plm_dtype type) { return type == PLM_F32 || type == PLM_F64 || type == PLM_BF16; }

static double value_get(const void *data, plm_dtype type, int64_t i) {
  if (type == PLM_I32) return ((const int32_t *)data)[i];
  if (type == PLM_I64) return (double)((const int64_t *)data)[i];
  return element_get(data, type, i);
}

static void value_set(void *data, plm_dtype type, int64_t i, double value) {
  if (type == PLM_I32)
    ((int32_t *)data)[i] = (int32_t)value;
  else if (type == PLM_I64)
    ((int64_t *)data)[i] = (int64_t)value;
  else
    element_set(data, type, i, value);
}

static unsigned char *row_in(const tensor *t, unsigned char *image, int64_t row) {
  return image + t->offset + (size_t)(row * t->stride) * plm_dtype_size(t->spec.type);
}

static size_t count_of(const tensor *t) { return (size_t)(t->spec.rows * t->spec.width); }

/* ---- creation ---- */

static void allocate(tensor *t) {
  size_t element = plm_dtype_size(t->spec.type);
  size_t extent = t->spec.rows == 0 ? 0 : (size_t)((t->spec.rows - 1) * t->stride + t->spec.width);
  t->offset = CANARY_BYTES + (t->spec.aligned ? 0 : element);
  t->block_bytes = t->offset + extent * element + CANARY_BYTES;
  must(PLM_NEW(&t->before, t->block_bytes));
  must(PLM_NEW(&t->after, t->block_bytes));
  must(PLM_NEW(&t->truth_before, count_of(t) * plm_dtype_size(t->truth_type)));
  must(PLM_NEW(&t->truth, count_of(t) * plm_dtype_size(t->truth_type)));
  for (size_t i = 0; i < t->block_bytes; i++) t->before[i] = canary_byte(i);
  memset(t->truth_before, 0xff, count_of(t) * plm_dtype_size(t->truth_type)); /* NaN */
  void *block = NULL;
  if (t->spec.alias == NULL) must(t->device->alloc(t->device, t->block_bytes, &block));
  t->block = block;
}

tensor *check_tensor(check *k, tensor_spec spec) {
  tensor *t;
  must(PLM_NEW(&t, 1));
  *t = (tensor){.spec = spec, .device = k->device, .stride = spec.width + spec.gap};
  t->truth_type = spec.fixed || !is_float(spec.type) ? spec.type : PLM_F64;
  allocate(t);
  if (spec.alias != NULL) spec.alias->is_overwritten = true;
  if (k->tensor_count == MAX_TENSORS) must(plm_fail(PLM_E_BUG, "a case has more than %d tensors", MAX_TENSORS));
  k->tensors[k->tensor_count++] = t;
  double scale = spec.scale == 0 ? 1 : spec.scale;
  bool has_values = (spec.role == INPUT || spec.role == ACCUMULATED) && is_float(spec.type);
  for (int64_t r = 0; has_values && r < spec.rows; r++)
    for (int64_t c = 0; c < spec.width; c++) tensor_set(t, r, c, check_normal(k) * scale + spec.offset);
  return t;
}

void tensor_destroy(tensor *t) {
  if (t->block != NULL) t->device->free(t->device, t->block);
  plm_free(t->before);
  plm_free(t->after);
  plm_free(t->truth_before);
  plm_free(t->truth);
  plm_free(t);
}

/* ---- values ---- */

void tensor_set(tensor *t, int64_t row, int64_t column, double value) {
  unsigned char *to = row_in(t, t->before, row);
  value_set(to, t->spec.type, column, value);
  value_set(t->truth_before, t->truth_type, row * t->spec.width + column, value_get(to, t->spec.type, column));
}

double tensor_input(const tensor *t, int64_t row, int64_t column) {
  return value_get(row_in(t, t->before, row), t->spec.type, column);
}
double tensor_result(const tensor *t, int64_t row, int64_t column) {
  return value_get(tensor_result_row(t, row), t->spec.type, column);
}
const void *tensor_host(const tensor *t) { return t->before + t->offset; }

const void *tensor_result_row(const tensor *t, int64_t row) {
  const tensor *owner = t->spec.alias != NULL ? t->spec.alias : t;
  return row_in(owner, owner->after, row);
}

void tensor_copy_row(tensor *to, int64_t to_row, const tensor *from, int64_t from_row) {
  for (int64_t c = 0; c < to->spec.width; c++) tensor_set(to, to_row, c, tensor_input(from, from_row, c));
}

void tensor_freeze(tensor *t) {
  t->spec.role = INPUT;
  for (int64_t r = 0; r < t->spec.rows; r++)
    for (int64_t c = 0; c < t->spec.width; c++)
      tensor_set(t, r, c, value_get(t->truth, t->truth_type, r * t->spec.width + c));
}

void tensor_keep(tensor *t) { t->is_kept = true; }

void *at(const tensor *t, side s) {
  if (t == NULL) return NULL;
  if (s == TRUTH) return t->truth;
  return t->spec.alias != NULL ? at(t->spec.alias, s) : t->block + t->offset;
}

plm_dtype type_of(const tensor *t, side s) { return s == TRUTH ? t->truth_type : t->spec.type; }
int64_t stride_of(const tensor *t, side s) { return t == NULL || s == TRUTH || t->spec.gap == 0 ? 0 : t->stride; }
int64_t tensor_bytes(const tensor *t) { return (int64_t)(count_of(t) * plm_dtype_size(t->spec.type)); }

void tensor_upload(tensor *t) {
  if (t->is_kept) return;
  if (t->block != NULL) must(t->device->copy(t->device, t->block, t->before, t->block_bytes, PLM_COPY_TO_DEVICE));
}

void tensor_download(tensor *t) {
  if (t->block != NULL && !t->is_kept)
    must(t->device->copy(t->device, t->after, t->block, t->block_bytes, PLM_COPY_TO_HOST));
}

/* ---- judgement ---- */

const char *tensor_find_damage(const tensor *t) {
  if (t->block == NULL || t->is_kept) return NULL;
  bool may_change = t->spec.role != INPUT || t->is_overwritten;
  size_t row_bytes = (size_t)t->spec.width * plm_dtype_size(t->spec.type);
  size_t stride_bytes = (size_t)t->stride * plm_dtype_size(t->spec.type), end = t->block_bytes - CANARY_BYTES;
  for (size_t i = 0; i < t->block_bytes; i++) {
    if (t->before[i] == t->after[i]) continue;
    if (i < t->offset) return "memory before it was written";
    if (i >= end) return "memory after it was written";
    if ((i - t->offset) % stride_bytes >= row_bytes) return "a gap between its rows was written";
    if (!may_change) return "it is an input and was changed";
  }
  return NULL;
}

static tolerance tolerance_for(const char *op, plm_dtype type) {
  for (int i = 0; i < COUNT(op_tolerances); i++) {
    if (strcmp(op_tolerances[i].op, op) != 0) continue;
    return type == PLM_F64 ? fp64_tolerance : type == PLM_F32 ? op_tolerances[i].fp32 : op_tolerances[i].bf16;
  }
  return (tolerance){0, 0};
}

typedef struct error_sums {
  double error, truth, largest_error, largest_truth; /* the first two are squares */
  int64_t worst_row, worst_column;
} error_sums;

/* Add one element; false if one is NaN or infinite and the other isn't the same. */
static bool add_error(error_sums *sums, double got, double want, int64_t row, int64_t column) {
  if (isnan(want) || isinf(want)) return isnan(want) ? isnan(got) : got == want;
  double error = fabs(got - want);
  if (!isfinite(error)) return false;
  sums->error += error * error;
  sums->truth += want * want;
  sums->largest_truth = fmax(sums->largest_truth, fabs(want));
  if (error <= sums->largest_error) return true;
  sums->largest_error = error;
  sums->worst_row = row;
  sums->worst_column = column;
  return true;
}

void tensor_compare(check *k, const tensor *t) {
  error_sums sums = {0};
  for (int64_t r = 0; r < t->spec.rows; r++)
    for (int64_t c = 0; c < t->spec.width; c++) {
      double got = tensor_result(t, r, c), want = value_get(t->truth, t->truth_type, r * t->spec.width + c);
      if (add_error(&sums, got, want, r, c)) continue;
      check_fail(k, "%s[%lld,%lld] is %g, not %g", t->spec.name, (long long)r, (long long)c, got, want);
      return;
    }
  tolerance allowed = is_float(t->spec.type) ? tolerance_for(k->family->op, t->spec.type) : (tolerance){0, 0};
  double norm = fmax(sqrt(sums.truth), t->spec.magnitude * sqrt((double)count_of(t))),
         max = fmax(sums.largest_truth, t->spec.magnitude);
  k->comparisons++;
  if (sqrt(sums.error) <= k->slack * allowed.norm * norm && sums.largest_error <= k->slack * allowed.max * max) return;
  check_fail(k, "%s: error norm %.2g (allowed %.2g), largest %.2g (allowed %.2g) at [%lld,%lld]: %.9g, not %.9g",
             t->spec.name, sqrt(sums.error) / norm, k->slack * allowed.norm, sums.largest_error / max,
             k->slack * allowed.max, (long long)sums.worst_row, (long long)sums.worst_column,
             tensor_result(t, sums.worst_row, sums.worst_column),
             value_get(t->truth, t->truth_type, sums.worst_row * t->spec.width + sums.worst_column));
}
