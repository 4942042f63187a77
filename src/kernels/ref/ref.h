/* ref.h - the reference entries, and the scratch memory they work in.
 *
 * Every entry has the same shape: check the arguments, count flops, claim scratch, return if the exec is dry, loop in
 * parallel over pieces of the output that nobody else writes. Sums are in double, in an order that does not depend on
 * the threads. */
#ifndef PLM_KERNELS_REF_REF_H
#define PLM_KERNELS_REF_REF_H

#include "kernels/check.h"
#include "kernels/ops.h"

#define PLM_REF_DECLARE(op) plm_status plm_ref_##op(plm_exec *x, const plm_##op##_args *a);
PLM_OPS(PLM_REF_DECLARE)
#undef PLM_REF_DECLARE

/* Each worker's own doubles inside the exec's workspace. */
typedef struct ref_scratch {
  double *base; /* NULL on a dry exec */
  int64_t stride;
} ref_scratch;

static inline plm_status ref_scratch_claim(plm_exec *x, int64_t doubles, ref_scratch *scratch) {
  void *base;
  scratch->stride = (doubles / 8 + 1) * 8; /* whole cache lines, so that workers don't share one; never nothing */
  PLM_TRY(plm_exec_workspace(x, (size_t)(scratch->stride * plm_pool_threads(x->pool)) * sizeof(double), &base));
  scratch->base = base;
  return PLM_OK;
}

static inline double *ref_scratch_of(const ref_scratch *scratch, int worker) {
  return scratch->base + worker * scratch->stride;
}

#endif
