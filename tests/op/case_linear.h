/* case_linear.h - shapes, types and weights that the cases of the three linear entries share. */
#ifndef TESTS_OP_CASE_LINEAR_H
#define TESTS_OP_CASE_LINEAR_H

#include "check.h"

enum { LINEAR_SHAPES = 26, LINEAR_TYPES = 4 };
extern const int linear_shapes[LINEAR_SHAPES][3];     /* N, O, I */
extern const plm_dtype linear_types[LINEAR_TYPES][2]; /* of x, W; of the result */

typedef struct linear_weight {
  int64_t out, in;
  tensor *data, *packed; /* packed NULL: none, or the backend has no such form */
  size_t packed_bytes;
} linear_weight;

void linear_open_weight(check *k, linear_weight *w, plm_dtype type, int64_t O, int64_t I, int64_t gap, bool packed);
plm_weight linear_view(const linear_weight *w, side s);
/* part of the call: tensors are set up afresh before each */
plm_status linear_refresh(check *k, side s, const linear_weight *w);

#endif
