/* element.h - reading and writing tensor elements of any storage type as double.
 *
 * The reference computes in double whatever the storage type, so each operator is written once. Rows are converted by
 * row_load and row_store, whose switch stands outside the loop. */
#ifndef PLM_KERNELS_REF_ELEMENT_H
#define PLM_KERNELS_REF_ELEMENT_H

#include "kernels/bf16.h"
#include "kernels/ops.h"

static inline double element_get(const void *data, plm_dtype type, int64_t i) {
  switch (type) {
    case PLM_F64:
      return ((const double *)data)[i];
    case PLM_BF16:
      return (double)plm_bf16_to_float(((const plm_bf16 *)data)[i]);
    default:
      return (double)((const float *)data)[i];
  }
}

static inline void element_set(void *data, plm_dtype type, int64_t i, double value) {
  switch (type) {
    case PLM_F64:
      ((double *)data)[i] = value;
      break;
    case PLM_BF16:
      ((plm_bf16 *)data)[i] = plm_bf16_from_double(value);
      break;
    default:
      ((float *)data)[i] = (float)value;
  }
}

static inline void element_add(void *data, plm_dtype type, int64_t i, double value) {
  element_set(data, type, i, element_get(data, type, i) + value);
}

/* to[0..n) = data[offset..offset+n) */
static inline void row_load(double *restrict to, const void *restrict data, plm_dtype type, int64_t offset, int64_t n) {
  switch (type) {
    case PLM_F64:
      for (int64_t i = 0; i < n; i++) to[i] = ((const double *)data)[offset + i];
      break;
    case PLM_BF16:
      for (int64_t i = 0; i < n; i++) to[i] = (double)plm_bf16_to_float(((const plm_bf16 *)data)[offset + i]);
      break;
    default:
      for (int64_t i = 0; i < n; i++) to[i] = (double)((const float *)data)[offset + i];
  }
}

/* data[offset..offset+n) = from[0..n) */
static inline void row_store(void *restrict data, plm_dtype type, int64_t offset, const double *restrict from,
                             int64_t n) {
  switch (type) {
    case PLM_F64:
      for (int64_t i = 0; i < n; i++) ((double *)data)[offset + i] = from[i];
      break;
    case PLM_BF16:
      for (int64_t i = 0; i < n; i++) ((plm_bf16 *)data)[offset + i] = plm_bf16_from_double(from[i]);
      break;
    default:
      for (int64_t i = 0; i < n; i++) ((float *)data)[offset + i] = (float)from[i];
  }
}

#endif
