/* level_avx512.c - the operators at level avx512. Flags: cpu.cmake. */
#include "kernels/cpu/simd/vec_avx512.inc"

#include "kernels/cpu/simd/layer.inc"

const plm_ops plm_cpu_layer_avx512 = LAYER_OPERATORS;
const plm_cpu_product_kernels plm_cpu_products_avx512 = LAYER_PRODUCTS;
