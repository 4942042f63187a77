/* level_avx512bf16.c - the operators at level avx512bf16. Flags: cpu.cmake. */
#include "kernels/cpu/simd/vec_avx512.inc"

#include "kernels/cpu/simd/layer.inc"

const plm_ops plm_cpu_layer_avx512bf16 = LAYER_OPERATORS;
const plm_cpu_product_kernels plm_cpu_products_avx512bf16 = LAYER_PRODUCTS;
