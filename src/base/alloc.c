/* alloc.c - counted, failable, zeroed allocation; string helpers; a bump arena. */
#define _GNU_SOURCE
#include "base/alloc.h"

#include <assert.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum { ALIGNMENT = 64 };

static _Atomic int64_t fail_countdown;
static _Atomic int64_t allocations;
static _Atomic int64_t live;

void plm_alloc_fail_at(int64_t n) { atomic_store(&fail_countdown, n); }
int64_t plm_alloc_count(void) { return atomic_load(&allocations); }
int64_t plm_alloc_live(void) { return atomic_load(&live); }

/* True when the test hook says that this allocation is the one to fail. */
static int is_failing(void) { return atomic_load(&fail_countdown) > 0 && atomic_fetch_sub(&fail_countdown, 1) == 1; }

static plm_status fail_out_of_memory(size_t bytes) {
  char text[PLM_NUMBER_TEXT];
  return plm_fail(PLM_E_RESOURCE, "out of memory: cannot allocate %s",
                  plm_bytes_text(bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes, text));
}

plm_status plm_alloc_bytes(void **ret_pointer, size_t count, size_t size) {
  memset(ret_pointer, 0, sizeof *ret_pointer);
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX - ALIGNMENT)
    return plm_fail(PLM_E_RESOURCE, "out of memory: %zu elements of %zu bytes is more than this machine can address",
                    count, size);
  atomic_fetch_add(&allocations, 1);
  size_t rounded = bytes == 0 ? ALIGNMENT : plm_round_up(bytes, ALIGNMENT);
  void *pointer = is_failing() ? NULL : aligned_alloc(ALIGNMENT, rounded);
  if (pointer == NULL) return fail_out_of_memory(bytes);
  memset(pointer, 0, rounded);
  atomic_fetch_add(&live, 1);
  /* what lies there is a T *, not a void *: an assignment would break the aliasing rules */
  memcpy(ret_pointer, &pointer, sizeof pointer);
  return PLM_OK;
}

plm_status plm_grow_bytes(void **array, size_t *capacity, size_t needed, size_t size) {
  if (needed <= *capacity) return PLM_OK;
  size_t wanted = *capacity < 16 ? 16 : *capacity;
  while (wanted < needed) wanted = wanted > SIZE_MAX / 2 ? needed : wanted * 2;
  void *bigger, *smaller;
  PLM_TRY(plm_alloc_bytes(&bigger, wanted, size));
  memcpy(&smaller, array, sizeof smaller);
  if (*capacity > 0) memcpy(bigger, smaller, *capacity * size);
  plm_free(smaller);
  memcpy(array, &bigger, sizeof bigger);
  *capacity = wanted;
  return PLM_OK;
}

plm_status plm_strdup(const char *text, char **ret_copy) {
  size_t bytes = strlen(text) + 1;
  PLM_TRY(PLM_NEW(ret_copy, bytes));
  memcpy(*ret_copy, text, bytes);
  return PLM_OK;
}

plm_status plm_sprintf(char **ret_text, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int length = vsnprintf(NULL, 0, format, args);
  va_end(args);
  plm_status status =
      length < 0 ? plm_fail(PLM_E_BUG, "bad format '%s'", format) : PLM_NEW(ret_text, (size_t)length + 1);
  if (status == PLM_OK) vsnprintf(*ret_text, (size_t)length + 1, format, again);
  va_end(again);
  return status;
}

void plm_free(void *pointer) {
  if (pointer == NULL) return;
  atomic_fetch_sub(&live, 1);
  free(pointer);
}

/* ---- arena: a list of chunks, the newest first ---- */

typedef struct chunk {
  struct chunk *next;
  size_t used, size;
} chunk;

struct plm_arena {
  chunk *chunks;
};

enum { CHUNK_HEADER = 64, CHUNK_BYTES = 1 << 16 };
static_assert(sizeof(chunk) <= CHUNK_HEADER, "what is handed out must not overlap the header");

plm_status plm_arena_create(plm_arena **ret_arena) { return PLM_NEW(ret_arena, 1); }

void plm_arena_destroy(plm_arena *arena) {
  if (arena == NULL) return;
  for (chunk *c = arena->chunks; c != NULL;) {
    chunk *next = c->next;
    plm_free(c);
    c = next;
  }
  plm_free(arena);
}

plm_status plm_arena_alloc(plm_arena *arena, size_t bytes, void **ret_pointer) {
  size_t rounded = plm_round_up(bytes, 16);
  if (rounded < bytes || rounded > SIZE_MAX - CHUNK_HEADER) return fail_out_of_memory(bytes);
  chunk *c = arena->chunks;
  if (c == NULL || c->size - c->used < rounded) {
    size_t size = rounded > CHUNK_BYTES ? rounded : CHUNK_BYTES;
    void *memory;
    PLM_TRY(plm_alloc_bytes(&memory, CHUNK_HEADER + size, 1));
    c = memory;
    *c = (chunk){.next = arena->chunks, .size = size};
    arena->chunks = c;
  }
  *ret_pointer = (char *)c + CHUNK_HEADER + c->used;
  c->used += rounded;
  return PLM_OK;
}

plm_status plm_arena_strdup(plm_arena *arena, const char *text, const char **ret_copy) {
  size_t bytes = strlen(text) + 1;
  void *copy = NULL;
  PLM_TRY(plm_arena_alloc(arena, bytes, &copy));
  memcpy(copy, text, bytes);
  *ret_copy = copy;
  return PLM_OK;
}
