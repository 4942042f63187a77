/* alloc.h - the only place in protlm that asks the system for memory.
 *
 * Everything else calls plm_alloc and friends, so tests can make the n-th allocation fail (plm_alloc_fail_at) and find
 * leaks (plm_alloc_live). Memory is zeroed. Sizes are counted in elements and checked for overflow.
 */
#ifndef PLM_BASE_ALLOC_H
#define PLM_BASE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

#include "protlm/status.h"

/* *ret_pointer = zeroed room for `count` elements of `size` bytes, 64-byte aligned; count 0 gives a valid unique
 * pointer. `ret_pointer` is the address of a pointer of any object type. On failure (PLM_E_RESOURCE) it is set to NULL.
 * Free with plm_free. */
PLM_CHECKED plm_status plm_alloc_bytes(void **ret_pointer, size_t count, size_t size);
#define PLM_NEW(pointer, count) plm_alloc_bytes((void **)(pointer), (size_t)(count), sizeof **(pointer))

/* Grow an array to hold at least `needed` elements, doubling; new elements are zeroed. *array and *capacity change only
 * on success. */
PLM_CHECKED plm_status plm_grow_bytes(void **array, size_t *capacity, size_t needed, size_t size);
#define PLM_GROW(array, capacity, needed) \
  plm_grow_bytes((void **)(array), (capacity), (size_t)(needed), sizeof **(array))

PLM_CHECKED plm_status plm_strdup(const char *text, char **ret_copy);
PLM_CHECKED plm_status plm_sprintf(char **ret_text, const char *format, ...) PLM_PRINTF(2, 3); /* allocates */
void plm_free(void *pointer);                                                                  /* accepts NULL */

/* Test hooks. fail_at n > 0: the n-th allocation from now fails, once; 0: off. count: allocations so far. live: not yet
 * freed. */
void plm_alloc_fail_at(int64_t n);
int64_t plm_alloc_count(void);
int64_t plm_alloc_live(void);

/* The next multiple, for `n` at least that far from SIZE_MAX: how blocks are laid one behind another. */
static inline size_t plm_round_up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/* An arena hands out memory that is all freed together: many small pieces with one lifetime. Not thread-safe. */
typedef struct plm_arena plm_arena;
PLM_CHECKED plm_status plm_arena_create(plm_arena **ret_arena);
void plm_arena_destroy(plm_arena *arena); /* accepts NULL */
/* zeroed, 16-byte aligned */
PLM_CHECKED plm_status plm_arena_alloc(plm_arena *arena, size_t bytes, void **ret_pointer);
PLM_CHECKED plm_status plm_arena_strdup(plm_arena *arena, const char *text, const char **ret_copy);

#endif
