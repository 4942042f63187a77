/* copy.c - fill, conversion of storage types, gathering and scattering of rows. */
#include <string.h>

#include "kernels/ref/element.h"
#include "kernels/ref/ref.h"

static void fill_range(void *context, int64_t begin, int64_t end, int worker) {
  const plm_fill_args *a = context;
  (void)worker;
  memset((char *)a->to + begin, a->value, (size_t)(end - begin));
}

plm_status plm_ref_fill(plm_exec *x, const plm_fill_args *a) {
  PLM_TRY(plm_check_fill(x, a));
  if (x->dry) return PLM_OK;
  plm_fill_args job = *a;
  plm_parallel_for(x->pool, a->bytes, fill_range, &job);
  return PLM_OK;
}

/* Equal types are copied as they are, so that even the payload of a NaN survives. */
static void convert_range(void *context, int64_t begin, int64_t end, int worker) {
  const plm_convert_args *a = context;
  (void)worker;
  int64_t size = (int64_t)plm_dtype_size(a->from_dtype);
  if (a->from_dtype == a->to_dtype)
    memmove((char *)a->to + begin * size, (const char *)a->from + begin * size, (size_t)((end - begin) * size));
  else
    for (int64_t i = begin; i < end; i++) element_set(a->to, a->to_dtype, i, element_get(a->from, a->from_dtype, i));
}

plm_status plm_ref_convert(plm_exec *x, const plm_convert_args *a) {
  PLM_TRY(plm_check_convert(x, a));
  if (x->dry) return PLM_OK;
  plm_convert_args job = *a;
  plm_parallel_for(x->pool, a->n, convert_range, &job);
  return PLM_OK;
}

/* Address of row `row` of a tensor. */
static char *row_address(const void *tensor, plm_dtype type, int64_t stride, int64_t width, int64_t row) {
  return (char *)(uintptr_t)tensor + row * plm_row_stride(stride, width) * (int64_t)plm_dtype_size(type);
}

static void gather_range(void *context, int64_t begin, int64_t end, int worker) {
  const plm_gather_rows_args *a = context;
  (void)worker;
  size_t bytes = (size_t)a->C * plm_dtype_size(a->dtype);
  for (int64_t m = begin; m < end; m++)
    memcpy(row_address(a->to, a->dtype, a->to_stride, a->C, m),
           row_address(a->from, a->dtype, a->from_stride, a->C, a->rows[m]), bytes);
}

plm_status plm_ref_gather_rows(plm_exec *x, const plm_gather_rows_args *a) {
  PLM_TRY(plm_check_gather_rows(x, a));
  if (x->dry || a->C == 0) return PLM_OK;
  plm_gather_rows_args job = *a;
  plm_parallel_for(x->pool, a->M, gather_range, &job);
  return PLM_OK;
}

static void clear_range(void *context, int64_t begin, int64_t end, int worker) {
  const plm_scatter_rows_args *a = context;
  (void)worker;
  size_t bytes = (size_t)a->C * plm_dtype_size(a->dtype);
  for (int64_t n = begin; n < end; n++) memset(row_address(a->to, a->dtype, a->to_stride, a->C, n), 0, bytes);
}

static void scatter_range(void *context, int64_t begin, int64_t end, int worker) {
  const plm_scatter_rows_args *a = context;
  (void)worker;
  for (int64_t m = begin; m < end; m++) {
    const char *from = row_address(a->from, a->dtype, a->from_stride, a->C, m);
    char *to = row_address(a->to, a->dtype, a->to_stride, a->C, a->rows[m]);
    if (!a->accumulate)
      memcpy(to, from, (size_t)a->C * plm_dtype_size(a->dtype));
    else
      for (int64_t c = 0; c < a->C; c++) element_add(to, a->dtype, c, element_get(from, a->dtype, c));
  }
}

plm_status plm_ref_scatter_rows(plm_exec *x, const plm_scatter_rows_args *a) {
  PLM_TRY(plm_check_scatter_rows(x, a));
  if (x->dry || a->C == 0) return PLM_OK;
  for (int64_t m = 0; m < a->M; m++) PLM_ASSERT(a->rows[m] < a->N && a->rows[m] > (m == 0 ? -1 : a->rows[m - 1]));
  plm_scatter_rows_args job = *a;
  if (!a->accumulate) plm_parallel_for(x->pool, a->N, clear_range, &job);
  plm_parallel_for(x->pool, a->M, scatter_range, &job);
  return PLM_OK;
}
