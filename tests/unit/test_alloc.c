/* Memory is zeroed, aligned, counted, and its absence is a status that leaves everything as it was. */
#include "support/unit.h"

#include <pthread.h>

#include "base/alloc.h"

static void memory_is_zeroed_and_aligned(void **state) {
  (void)state;
  for (size_t count = 0; count < 300; count += 7) {
    unsigned char *bytes;
    assert_ok(PLM_NEW(&bytes, count));
    assert_non_null(bytes);
    assert_int_equal((uintptr_t)bytes % 64, 0);
    for (size_t i = 0; i < count; i++) assert_int_equal(bytes[i], 0);
    memset(bytes, 0xFF, count);
    plm_free(bytes);
  }
}

static void sizes_that_overflow_are_refused(void **state) {
  (void)state;
  double *numbers = (double *)state;
  assert_fails(PLM_NEW(&numbers, SIZE_MAX / 4), PLM_E_RESOURCE, "more than this machine can address");
  assert_null(numbers);
  char *bytes = (char *)state;
  assert_fails(PLM_NEW(&bytes, SIZE_MAX), PLM_E_RESOURCE, "more than this machine can address");
  assert_fails(PLM_NEW(&bytes, SIZE_MAX / 2), PLM_E_RESOURCE, "out of memory: cannot allocate 8.00 EiB");
  assert_null(bytes);
}

static void the_nth_allocation_fails_once(void **state) {
  (void)state;
  char *pointer;
  plm_alloc_fail_at(3);
  for (int i = 1; i <= 5; i++) {
    assert_int_equal(PLM_NEW(&pointer, 10), i == 3 ? PLM_E_RESOURCE : PLM_OK);
    plm_free(pointer);
  }
  plm_alloc_fail_at(1);
  plm_alloc_fail_at(0);
  assert_ok(PLM_NEW(&pointer, 10));
  plm_free(pointer);
}

static void what_lives_is_counted(void **state) {
  (void)state;
  int64_t live = plm_alloc_live(), count = plm_alloc_count();
  char *a, *b;
  assert_ok(PLM_NEW(&a, 1));
  assert_ok(plm_strdup("b", &b));
  assert_int_equal(plm_alloc_live(), live + 2);
  assert_int_equal(plm_alloc_count(), count + 2);
  plm_free(a);
  plm_free(b);
  plm_free(NULL);
  assert_int_equal(plm_alloc_live(), live);
}

static void a_growing_array_keeps_its_elements_and_zeroes_new_ones(void **state) {
  (void)state;
  int *array = NULL;
  size_t capacity = 0;
  for (int i = 0; i < 1000; i++) {
    assert_ok(PLM_GROW(&array, &capacity, i + 1));
    assert_int_equal(array[i], 0);
    array[i] = i + 1;
  }
  for (int i = 0; i < 1000; i++) assert_int_equal(array[i], i + 1);
  assert_int_equal(capacity, 1024);
  int *before = array;
  plm_alloc_fail_at(1);
  assert_fails(PLM_GROW(&array, &capacity, 2000), PLM_E_RESOURCE, "out of memory");
  assert_fails(PLM_GROW(&array, &capacity, SIZE_MAX / 2), PLM_E_RESOURCE, "out of memory");
  assert_ptr_equal(array, before);
  assert_int_equal(capacity, 1024);
  plm_free(array);
}

static void text_is_copied_and_printed(void **state) {
  (void)state;
  char *text;
  assert_ok(plm_sprintf(&text, "%s-%d", "checkpoint", 500));
  assert_string_equal(text, "checkpoint-500");
  plm_free(text);
  plm_alloc_fail_at(1);
  assert_fails(plm_sprintf(&text, "%d", 1), PLM_E_RESOURCE, "out of memory");
  plm_alloc_fail_at(1);
  assert_fails(plm_strdup("x", &text), PLM_E_RESOURCE, "out of memory");
}

static void an_arena_gives_pieces_that_do_not_overlap(void **state) {
  (void)state;
  enum { PIECES = 3000 };
  static unsigned char *piece[PIECES];
  int64_t live = plm_alloc_live();
  plm_arena *arena;
  assert_ok(plm_arena_create(&arena));
  for (int i = 0; i < PIECES; i++) {
    void *memory;
    size_t bytes = i == 100 ? 200000 : (size_t)i % 200;
    assert_ok(plm_arena_alloc(arena, bytes, &memory));
    piece[i] = memory;
    assert_int_equal((uintptr_t)memory % 16, 0);
    for (size_t b = 0; b < bytes; b++) assert_int_equal(piece[i][b], 0);
    memset(memory, i % 251 + 1, bytes);
  }
  for (int i = 0; i < PIECES; i++)
    for (size_t b = 0; b < (i == 100 ? 200000 : (size_t)i % 200); b++) assert_int_equal(piece[i][b], i % 251 + 1);
  const char *copy;
  assert_ok(plm_arena_strdup(arena, "", &copy));
  assert_string_equal(copy, "");
  void *memory;
  assert_fails(plm_arena_alloc(arena, SIZE_MAX, &memory), PLM_E_RESOURCE, "out of memory");
  assert_fails(plm_arena_alloc(arena, SIZE_MAX - 20, &memory), PLM_E_RESOURCE, "out of memory");
  plm_alloc_fail_at(1);
  assert_fails(plm_arena_alloc(arena, 1 << 20, &memory), PLM_E_RESOURCE, "out of memory: cannot allocate 1.00 MiB");
  assert_ok(plm_arena_alloc(arena, 10, &memory));
  plm_arena_destroy(arena);
  plm_arena_destroy(NULL);
  assert_int_equal(plm_alloc_live(), live);
}

static void *allocate_often(void *argument) {
  (void)argument;
  for (int i = 0; i < 10000; i++) {
    char *pointer = NULL;
    if (PLM_NEW(&pointer, 16) == PLM_OK) plm_free(pointer);
  }
  return NULL;
}

static void counts_are_right_with_many_threads(void **state) {
  (void)state;
  int64_t live = plm_alloc_live(), count = plm_alloc_count();
  pthread_t thread[4];
  for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&thread[i], NULL, allocate_often, NULL), 0);
  for (int i = 0; i < 4; i++) pthread_join(thread[i], NULL);
  assert_int_equal(plm_alloc_live(), live);
  assert_int_equal(plm_alloc_count(), count + 40000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(memory_is_zeroed_and_aligned),
      cmocka_unit_test(sizes_that_overflow_are_refused),
      cmocka_unit_test(the_nth_allocation_fails_once),
      cmocka_unit_test(what_lives_is_counted),
      cmocka_unit_test(a_growing_array_keeps_its_elements_and_zeroes_new_ones),
      cmocka_unit_test(text_is_copied_and_printed),
      cmocka_unit_test(an_arena_gives_pieces_that_do_not_overlap),
      cmocka_unit_test(counts_are_right_with_many_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
