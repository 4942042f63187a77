/* level_avx2.c - the operators at level avx2. Flags: cpu.cmake. */
#include "kernels/cpu/simd/vec_avx2.inc"

#include "kernels/cpu/simd/layer.inc"

const plm_ops plm_cpu_layer_avx2 = LAYER_OPERATORS;
const plm_cpu_product_kernels plm_cpu_products_avx2 = LAYER_PRODUCTS;
