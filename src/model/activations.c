/* activations.c - the stack of device memory, see activations.h. */
#include "model/activations.h"

enum { ALIGNMENT = 256 };

plm_status plm_stack_take(plm_stack *stack, int64_t elements, plm_dtype dtype, void **ret_pointer) {
  PLM_ASSERT(elements >= 0);
  size_t bytes, top;
  if (__builtin_mul_overflow((size_t)elements, plm_dtype_size(dtype), &bytes) || __builtin_add_overflow(bytes, (size_t)(ALIGNMENT - 1), &bytes) ||
      __builtin_add_overflow(stack->top, bytes / ALIGNMENT * ALIGNMENT, &top))
    return plm_fail(PLM_E_RESOURCE, "an activation of %lld elements is more than can be addressed", (long long)elements);
  if (top > stack->size)
    return plm_fail(PLM_E_BUG, "activations need %zu bytes but the plan reserved %zu", top, stack->size);
  *ret_pointer = stack->base + stack->top;
  stack->top = top;
  if (top > stack->peak) stack->peak = top;
  return PLM_OK;
}
