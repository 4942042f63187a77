/* cpu.h - private to kernels/cpu: the layers that backend_cpu.c lays over the reference, and what they share.
 *
 * A layer is a plm_ops with NULL where it has nothing to offer. Operators that a layer takes for some arguments only
 * hand the others to plm_ops_ref(). */
#ifndef PLM_KERNELS_CPU_CPU_H
#define PLM_KERNELS_CPU_CPU_H

#include "kernels/cpu/backend_cpu.h"

extern const plm_ops plm_cpu_layer_avx2, plm_cpu_layer_avx512,
    plm_cpu_layer_avx512bf16;            /* level_*.c: all but products */
extern const plm_ops plm_cpu_layer_gemm; /* gemm_own.c: products on the micro-kernels below */
extern const plm_ops
    plm_cpu_layer_onednn; /* linear_onednn.c: products by the library; hands to plm_cpu_layer_gemm what it cannot do */

/* What a level gives gemm_own.c and linear_onednn.c, fp32 inside. */
typedef struct plm_cpu_product_kernels {
  int rows, columns; /* of the register tile */

  /* c [rows, columns] = a b over k: a is [k][rows], b is [k][columns], all packed. */
  void (*tile)(int64_t k, const float *a, const float *b, float *c);

  /* sums[o] += over n of d_y[n, o], o < columns; d_y of `type`, F32 or BF16. In order of n, by blocks. */
  void (*column_sums)(const void *d_y, plm_dtype type, int64_t N, int64_t columns, int64_t stride, float *sums);
} plm_cpu_product_kernels;

extern const plm_cpu_product_kernels plm_cpu_products_avx2, plm_cpu_products_avx512, plm_cpu_products_avx512bf16;
const plm_cpu_product_kernels *plm_cpu_products(plm_cpu_level level); /* NULL at level ref */

/* d_bias[o] += column sums of d_y [N, O], over the exec's pool. */
void plm_cpu_bias_gradient(plm_exec *x, const plm_linear_backward_weight_args *a);

/* onednn.c: the library's handles, one for each exec. *ret_library is NULL where the library may not be used. */
typedef struct plm_onednn plm_onednn;
PLM_CHECKED plm_status plm_onednn_create(plm_cpu_level level, plm_onednn **ret_library);
void plm_onednn_destroy(plm_onednn *library); /* accepts NULL */
void plm_onednn_name(char ret_name[32]);      /* with the version that is loaded */

/* What an exec of this backend keeps between calls. */
typedef struct plm_cpu_context {
  plm_cpu_level level;
  plm_onednn *onednn;
} plm_cpu_context;

static inline const plm_cpu_context *plm_cpu_context_of(const plm_exec *x) { return x->context; }

#endif
