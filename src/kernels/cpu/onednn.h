/* onednn.h - matrix products by oneDNN, each made once for its shape and then found again. Used by linear_onednn.c
 * only. */
#ifndef PLM_KERNELS_CPU_ONEDNN_H
#define PLM_KERNELS_CPU_ONEDNN_H

#include "kernels/cpu/cpu.h"

/* dst [M,N] (+)= src [M,K] wei [K,N] + bias [N], made for a team of `threads`. All fields are 64 bits wide: a product
 * is its own key. */
typedef struct plm_onednn_product {
  int64_t M, K, N;
  int64_t src_strides[2], wei_strides[2], dst_stride;
  int64_t type, dst_type; /* plm_dtype: of src and wei; of dst */
  int64_t has_bias, accumulates;
  int64_t threads;
} plm_onednn_product;

typedef struct plm_onednn_operands {
  const void *src, *wei, *bias;
  void *dst, *scratch;
} plm_onednn_operands;

typedef struct plm_onednn_entry plm_onednn_entry;

bool plm_onednn_does(const plm_onednn *library, plm_dtype type);

/* The entry of a product, made if it isn't there (about 0.3 ms). Good until 1024 others were found. PLM_E_UNSUPPORTED:
 * the library has no such product. */
PLM_CHECKED plm_status plm_onednn_find(plm_onednn *library, const plm_onednn_product *product,
                                       plm_onednn_entry **ret_entry);
size_t plm_onednn_scratch_bytes(const plm_onednn_entry *entry); /* what operands.scratch must hold */

/* Run a product made for one thread. Several threads may run one entry at the same time. */
PLM_CHECKED plm_status plm_onednn_run_entry(const plm_onednn *library, const plm_onednn_entry *entry,
                                            const plm_onednn_operands *operands);

/* Find and run a product on its team. */
PLM_CHECKED plm_status plm_onednn_run(plm_onednn *library, const plm_onednn_product *product,
                                      const plm_onednn_operands *operands);

#endif
