/* activations.c - the stack of device memory, see activations.h. */
#include "model/activations.h"

#include <string.h>

enum { ALIGNMENT = 256 };

plm_status plm_stack_take(plm_stack *stack, int64_t elements, plm_dtype dtype, void **ret_pointer) {
  PLM_ASSERT(elements >= 0);
  int64_t bytes, top;
  if (__builtin_mul_overflow(elements, (int64_t)plm_dtype_size(dtype), &bytes) ||
      __builtin_add_overflow(bytes, ALIGNMENT - 1, &bytes) ||
      __builtin_add_overflow((int64_t)stack->top, bytes / ALIGNMENT * ALIGNMENT, &top))
    return plm_fail(PLM_E_RESOURCE, "the activations of this model and batch are more than can be addressed");
  if ((size_t)top > stack->size)
    return plm_fail(PLM_E_BUG, "activations need %lld bytes but the plan reserved %zu", (long long)top, stack->size);
  void *pointer = stack->base + stack->top;
  memcpy(
      ret_pointer, &pointer,
      sizeof pointer); /* PLM_TAKE gives the address of a typed pointer: an assignment would break the aliasing rules */
  stack->top = (size_t)top;
  if (stack->top > stack->peak) stack->peak = stack->top;
  return PLM_OK;
}
