/* check.h - the contracts of ops.h as code: every backend's entry starts with PLM_TRY(plm_check_<op>(x, a)).
 *
 * A check looks at the args struct and at host memory only, so it is the same on a dry exec and for any device. It
 * fails with PLM_E_UNSUPPORTED for a storage type that the entry doesn't list, and with PLM_E_BUG for arguments that
 * make no sense. A backend that takes less than the contract allows refuses the rest itself. */
#ifndef PLM_KERNELS_CHECK_H
#define PLM_KERNELS_CHECK_H

#include "kernels/ops.h"

#define PLM_CHECK_DECLARE(op) PLM_CHECKED plm_status plm_check_##op(const plm_exec *x, const plm_##op##_args *a);
PLM_OPS(PLM_CHECK_DECLARE)
#undef PLM_CHECK_DECLARE

/* The distance between rows of `width` elements, packed ones being written as 0. */
static inline int64_t plm_row_stride(int64_t stride, int64_t width) { return stride == 0 ? width : stride; }

/* Type of statistics, biases and parameter gradients that go with activations of `type`. */
static inline plm_dtype plm_wide_type(plm_dtype type) { return type == PLM_F64 ? PLM_F64 : PLM_F32; }

#endif
