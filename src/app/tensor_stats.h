/* tensor_stats.h - a table of tensors for a person debugging: shape, min, max, mean, standard deviation, NaN count; and
 * slices. */
#ifndef PLM_APP_TENSOR_STATS_H
#define PLM_APP_TENSOR_STATS_H

#include <stdint.h>

#include "app/print.h"

typedef struct plm_shown_tensor {
  const char *name;
  int dims;
  int64_t shape[2];
  const float *f32; /* one of the two */
  const int32_t *i32;
} plm_shown_tensor;

/* `width` of the column of names: the longest one's. With names up to 22 characters a line fits 80 columns. */
void plm_print_tensor_header(const plm_output *output, int width);
void plm_print_tensor_row(const plm_output *output, int width, const plm_shown_tensor *tensor);

/* `slice` is NAME, NAME[3], NAME[0:4] or NAME[0:4,0:8]; prints those values of the tensor so named. PLM_E_USAGE when it
 * is malformed, out of range, or names none of the tensors (with the nearest). */
PLM_CHECKED plm_status plm_print_slice(const plm_output *output, const char *slice, const plm_shown_tensor *tensors,
                                       size_t count);

#endif
