/* panel.h - the two inner loops of every product in the reference, over PANEL rows at a time.
 *
 * Within a panel the rows are independent lanes, so a compiler can use vector instructions without changing any row's
 * order of sums, and a row's result does not depend on the rows beside it. */
#ifndef PLM_KERNELS_REF_PANEL_H
#define PLM_KERNELS_REF_PANEL_H

#include <string.h>

#include "kernels/ref/element.h"

enum { PANEL = 8 };

/* How many rows the panel that starts at `begin` has, of `rows`. */
static inline int64_t panel_rows(int64_t begin, int64_t rows) { return rows - begin < PANEL ? rows - begin : PANEL; }

/* panel[k][r] = row r, column k of a matrix; rows that are missing are zero. */
static inline void panel_load(double *panel, const void *tensor, plm_dtype type, int64_t offset, int64_t stride,
                              int64_t rows, int64_t width) {
  if (rows < PANEL) memset(panel, 0, (size_t)(width * PANEL) * sizeof *panel);
  for (int64_t r = 0; r < rows; r++)
    for (int64_t k = 0; k < width; k++) panel[k * PANEL + r] = element_get(tensor, type, offset + r * stride + k);
}

/* dot[r] = sum over k of panel[k][r] * vector[k], in order of k. */
static inline void panel_dot(const double *restrict panel, const double *restrict vector, int64_t width,
                             double dot[restrict PANEL]) {
  double sum[PANEL] = {0};
  for (int64_t k = 0; k < width; k++)
    for (int r = 0; r < PANEL; r++) sum[r] += panel[k * PANEL + r] * vector[k];
  memcpy(dot, sum, sizeof sum);
}

/* sums[r][j] += factor[r] * vector[j], for the first `rows` rows. */
static inline void panel_add_outer(double *restrict sums, const double factor[restrict PANEL],
                                   const double *restrict vector, int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t j = 0; j < width; j++) sums[r * width + j] += factor[r] * vector[j];
}

#endif
