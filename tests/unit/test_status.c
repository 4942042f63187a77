/* A failure carries its message, hint and trace to whoever reports it, in its own thread or another. */
#include "support/unit.h"

#include <pthread.h>

static plm_status innermost(void) {
  return plm_hint(plm_fail(PLM_E_INPUT, "line %d of %s is empty", 7, "a.fasta"), "remove it");
}
static plm_status middle(void) {
  PLM_TRY(innermost());
  return PLM_OK;
}
static plm_status outermost(int *ret_cleaned) {
  plm_status status;
  PLM_TRY_GOTO(PLM_OK, done);
  PLM_TRY_GOTO(middle(), done);
done:
  ++*ret_cleaned;
  return status;
}

static void the_trace_shows_the_way_innermost_first(void **state) {
  (void)state;
  int cleaned = 0;
  assert_int_equal(outermost(&cleaned), PLM_E_INPUT);
  assert_int_equal(cleaned, 1);
  assert_string_equal(plm_error_message(), "line 7 of a.fasta is empty");
  assert_string_equal(plm_error_hint(), "remove it");
  const char *first = strstr(plm_error_trace(), " innermost\n"), *second = strstr(plm_error_trace(), " middle\n"),
             *third = strstr(plm_error_trace(), " outermost\n");
  assert_true(first != NULL && second > first && third > second);
}

static void a_new_failure_replaces_the_old_one_even_out_of_its_words(void **state) {
  (void)state;
  int cleaned = 0;
  assert_int_equal(outermost(&cleaned), PLM_E_INPUT);
  assert_int_equal(plm_fail(PLM_E_USAGE, "because: %s", plm_error_message()), PLM_E_USAGE);
  assert_string_equal(plm_error_message(), "because: line 7 of a.fasta is empty");
  assert_string_equal(plm_error_hint(), "");
  assert_null(strstr(plm_error_trace(), "middle"));
  plm_hint(PLM_E_USAGE, "one");
  plm_hint(PLM_E_USAGE, "%s, two", plm_error_hint());
  assert_string_equal(plm_error_hint(), "one, two");
  assert_int_equal(plm_error_prefix(PLM_E_USAGE, "reading %s: ", "x"), PLM_E_USAGE);
  assert_string_equal(plm_error_message(), "reading x: because: line 7 of a.fasta is empty");
  plm_error_clear();
  assert_string_equal(plm_error_message(), "");
  assert_string_equal(plm_error_trace(), "");
}

static void long_words_are_cut_not_overrun(void **state) {
  (void)state;
  char words[9000];
  memset(words, 'x', sizeof words - 1);
  words[sizeof words - 1] = '\0';
  plm_fail(PLM_E_INPUT, "%s", words);
  assert_int_equal(strlen(plm_error_message()), sizeof((plm_error_record *)0)->message - 1);
  plm_hint(PLM_E_INPUT, "`%s`", words);
  assert_null(strchr(plm_error_hint(), '`')); /* no half of a shell line */
  assert_non_null(strstr(plm_error_hint(), "shorter name"));
  plm_error_prefix(PLM_E_INPUT, "%s", words);
  assert_int_equal(strlen(plm_error_message()), sizeof((plm_error_record *)0)->message - 1);
  for (int i = 0; i < 1000; i++) plm_error_push("/home/src/protlm/src/base/x.c", i, "some_function");
  assert_true(strlen(plm_error_trace()) < 1024);
  assert_non_null(strstr(plm_error_trace(), "\nsrc/base/x.c:0 some_function\n"));
}

/* What the next calls find on the stack, where they don't write it themselves. */
static __attribute__((noinline)) void dirty_the_stack(void) {
  volatile char words[16384];
  for (size_t i = 0; i < sizeof words; i++) words[i] = 'x';
}

static void a_cut_message_ends_whatever_was_on_the_stack(void **state) {
  (void)state;
  char words[sizeof((plm_error_record *)0)->message + 77];
  plm_error_record record;
  memset(words, 'y', sizeof words - 1);
  words[sizeof words - 1] = '\0';
  dirty_the_stack();
  plm_fail(PLM_E_INPUT, "short");
  dirty_the_stack();
  plm_error_prefix(PLM_E_INPUT, "%s", words);
  plm_error_take(PLM_E_INPUT, &record);
  assert_int_equal(record.message[sizeof record.message - 1], '\0');
  plm_fail(PLM_E_INPUT, "%s", words);
  plm_error_prefix(PLM_E_INPUT, "a.fasta: ");
  assert_int_equal(strlen(plm_error_message()), sizeof record.message - 1);
  assert_int_equal(strncmp(plm_error_message(), "a.fasta: yyy", 12), 0);
}

static void *fail_elsewhere(void *argument) {
  int cleaned = 0;
  plm_error_take(outermost(&cleaned), argument);
  return plm_error_message()[0] == '\0' ? NULL : argument;
}

static void a_failure_is_carried_from_thread_to_thread(void **state) {
  (void)state;
  pthread_t thread;
  plm_error_record record;
  void *left_behind;
  plm_fail(PLM_E_BUG, "mine");
  assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, &record), 0);
  pthread_join(thread, &left_behind);
  assert_null(left_behind);
  assert_string_equal(plm_error_message(), "mine");
  assert_int_equal(plm_error_give(&record), PLM_E_INPUT);
  assert_string_equal(plm_error_message(), "line 7 of a.fasta is empty");
  assert_string_equal(plm_error_hint(), "remove it");
  assert_non_null(strstr(plm_error_trace(), "outermost"));
}

static plm_status assert_that(int condition) {
  PLM_ASSERT(condition == 1);
  return PLM_OK;
}

static void a_broken_invariant_is_a_bug_not_an_abort(void **state) {
  (void)state;
  assert_ok(assert_that(1));
  assert_fails(assert_that(0), PLM_E_BUG, "internal check failed: condition == 1");
}

static void codes_are_exit_codes(void **state) {
  (void)state;
  const plm_status codes[] = {PLM_OK,        PLM_E_FAILURE,  PLM_E_USAGE, PLM_E_INPUT, PLM_E_CHECKPOINT,
                              PLM_E_NUMERIC, PLM_E_RESOURCE, PLM_E_BUG,   PLM_STOPPED};
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    assert_int_equal(plm_status_exit_code(codes[i]), (int)codes[i]);
    for (size_t j = 0; j < i; j++) assert_string_not_equal(plm_status_name(codes[i]), plm_status_name(codes[j]));
  }
  assert_int_equal(plm_status_exit_code(PLM_E_UNSUPPORTED), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_trace_shows_the_way_innermost_first),
      cmocka_unit_test(a_new_failure_replaces_the_old_one_even_out_of_its_words),
      cmocka_unit_test(long_words_are_cut_not_overrun),
      cmocka_unit_test(a_cut_message_ends_whatever_was_on_the_stack),
      cmocka_unit_test(a_failure_is_carried_from_thread_to_thread),
      cmocka_unit_test(a_broken_invariant_is_a_bug_not_an_abort),
      cmocka_unit_test(codes_are_exit_codes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
