/* flops.h - what plm_exec.flops counts, the same for every backend: 2 x multiply-adds that the mathematics needs. A
 * backward pass that recomputes something does not get credit for it. */
#ifndef PLM_KERNELS_FLOPS_H
#define PLM_KERNELS_FLOPS_H

#include "kernels/ops.h"

static inline double plm_flops_product(int64_t N, int64_t O, int64_t I) {
  return 2.0 * (double)N * (double)O * (double)I;
}

/* Forward: q k^T and p v. Backward: dv, dp, dq and dk, twice as much. */
static inline double plm_flops_attention(const plm_attention_forward_args *a) {
  double pairs = 0;
  for (int64_t s = 0; s < a->S; s++) {
    double queries = a->host_cu_seqlens_q[s + 1] - a->host_cu_seqlens_q[s];
    double keys = a->host_cu_seqlens_k[s + 1] - a->host_cu_seqlens_k[s];
    pairs += queries * keys;
  }
  return 4.0 * pairs * (double)a->H * (double)a->D;
}

#endif
