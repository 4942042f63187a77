/* tensor_stats.h - a table of tensors for a person debugging: shape, min, max, mean, standard deviation, NaN count; and
 * slices. */
#ifndef PLM_APP_TENSOR_STATS_H
#define PLM_APP_TENSOR_STATS_H

#include "app/print.h"
#include "formats/tensor_list.h"

/* Tensors in host memory, F32 or I32, at most two dimensions. `width` of the column of names: the longest one's. With
 * names up to 22 characters a line fits 80 columns. */
void plm_print_tensor_header(const plm_output *output, int width);
void plm_print_tensor_row(const plm_output *output, int width, const plm_tensor_info *tensor);

/* `slice` is NAME, NAME[3], NAME[0:4] or NAME[0:4,0:8]; prints those values of the tensor so named. PLM_E_USAGE when it
 * is malformed, out of range, or names none of the tensors (with the nearest). */
PLM_CHECKED plm_status plm_print_slice(const plm_output *output, const char *slice, const plm_tensor_info *tensors,
                                       size_t count);

#endif
