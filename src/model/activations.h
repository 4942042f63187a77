/* activations.h - the activation block: one stretch of device memory, sized by the memory plan, handed out like a
 * stack.
 *
 * Who takes memory in a forward pass gives back, by plm_stack_release, everything above a mark; what backward needs
 * stays below it.
 *
 *   n = N tokens, or M rows in the last layer; A = storage type of activations (F32 or BF16)
 *
 *   kept for backward, per layer                        temporary
 *   ---------------------------------------------      -----------------------------------------------------------
 *   x        [N,C]   F32  stream entering the layer     attention: norm output [N,C] A (recomputed in backward)
 *   q,k,v    [N,3HD] A    after rotary                  FFN:       norm output [n,C] A (recomputed), GELU output [n,F]
 *            A (recomputed)
 *   o        [n,HD]  A    attention's result            backward:  gradients of the above, one layer's at a time
 *   lse      [n,H]   F32
 *   middle   [n,C]   F32  stream between the blocks     kept once
 *   up       [n,F]   A    FFN before GELU               --------------------------------------------------------
 *   mean, rstd of both norms  [N], [n]  F32             inputs (tokens, positions, ...), the head's tensors at M rows,
 *                                                       the gradient of the stream [N,C] and [M,C] F32
 *
 * At F = 4C that is 40C bytes a token and layer in fp32 and 24C in bf16. Keeping the norm and GELU outputs too would be
 * 64C and 36C, and save a few per cent of a step's time.
 *
 * In inference nothing is kept: every layer works in the same memory and the stream is updated in place.
 */
#ifndef PLM_MODEL_ACTIVATIONS_H
#define PLM_MODEL_ACTIVATIONS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/ops.h"

typedef struct plm_stack {
  char *base; /* device memory; an address that is never used when the exec is dry */
  size_t size;
  size_t top;  /* bytes taken */
  size_t peak; /* largest top so far: what the plan reports */
} plm_stack;

/* Room for `elements` of `dtype`, 256-byte aligned. PLM_E_BUG when the plan reserved too little. */
PLM_CHECKED static inline plm_status plm_stack_take(plm_stack *stack, int64_t elements, plm_dtype dtype,
                                                    void **ret_pointer) {
  enum { ALIGN = 256 };
  int64_t bytes, top;
  PLM_ASSERT(elements >= 0);
  if (__builtin_mul_overflow(elements, (int64_t)plm_dtype_size(dtype), &bytes) ||
      __builtin_add_overflow(bytes, ALIGN - 1, &bytes) ||
      __builtin_add_overflow((int64_t)stack->top, bytes / ALIGN * ALIGN, &top))
    return plm_fail(PLM_E_RESOURCE, "the activations of this model and batch are more than can be addressed");
  if ((size_t)top > stack->size)
    return plm_fail(PLM_E_BUG, "activations need %lld bytes but the plan reserved %zu", (long long)top, stack->size);
  void *pointer = stack->base + stack->top;
  /* PLM_TAKE gives the address of a typed pointer: an assignment would break the aliasing rules */
  memcpy(ret_pointer, &pointer, sizeof pointer);
  stack->top = (size_t)top;
  if (stack->top > stack->peak) stack->peak = stack->top;
  return PLM_OK;
}
#define PLM_TAKE(stack, elements, dtype, pointer) plm_stack_take((stack), (elements), (dtype), (void **)(pointer))

static inline size_t plm_stack_mark(const plm_stack *stack) { return stack->top; }
static inline void plm_stack_release(plm_stack *stack, size_t mark) { stack->top = mark; }

#endif
