/* Text is built whole or reported; numbers survive the way to text and back in any locale. */
#include "support/unit.h"

#include <math.h>
#include <locale.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "base/text.h"

static plm_status build(char **ret_text) {
  plm_text text = {0};
  plm_text_append(&text, "layers");
  for (int i = 0; i < 20; i++) plm_text_printf(&text, " %d", i);
  plm_text_repeat(&text, '=', 40);
  plm_text_append_bytes(&text, "abc", 2);
  return plm_text_take(&text, ret_text);
}

static void appends_add_up(void **state) {
  (void)state;
  char *text;
  assert_ok(build(&text));
  assert_string_equal(
      text, "layers 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19========================================ab");
  plm_free(text);
  plm_text empty = {0};
  assert_ok(plm_text_take(&empty, &text));
  assert_string_equal(text, "");
  plm_free(text);
}

static void any_failed_allocation_is_reported_once_at_the_end(void **state) {
  (void)state;
  int64_t live = plm_alloc_live();
  for (int64_t n = 1;; n++) {
    char *text = NULL;
    plm_alloc_fail_at(n);
    plm_status status = build(&text);
    plm_alloc_fail_at(0);
    if (status == PLM_OK) {
      assert_true(n > 2);
      plm_free(text);
      break;
    }
    assert_int_equal(status, PLM_E_RESOURCE);
  }
  assert_int_equal(plm_alloc_live(), live);
}

static void utf8_is_told_from_other_bytes(void **state) {
  (void)state;
  const struct {
    const char *bytes;
    size_t length;
  } cases[] = {
      {"a", 1},
      {"\xC3\xA9", 2},
      {"\xE2\x82\xAC", 3},
      {"\xF0\x9F\x98\x80", 4},
      {"\xF4\x8F\xBF\xBF", 4},
      {"\x80", 0},
      {"\xC0\xAF", 0},
      {"\xC1\xBF", 0},
      {"\xE0\x80\x80", 0},
      {"\xED\xA0\x80", 0},
      {"\xF0\x80\x80\x80", 0},
      {"\xF4\x90\x80\x80", 0},
      {"\xF5\x80\x80\x80", 0},
      {"\xC3", 0},
      {"\xC3(", 0},
      {"\xE2\x82", 0},
      {"\xFF", 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_int_equal(plm_utf8_length(cases[i].bytes, strlen(cases[i].bytes)), cases[i].length);
}

static void other_peoples_words_do_not_reach_a_terminal_raw(void **state) {
  (void)state;
  char text[64], small[6];
  assert_string_equal(plm_printable("a\x1b[31m\t", 7, text, sizeof text), "a\\x1b[31m\\x09");
  assert_string_equal(plm_printable("na\xc3\xafve", 6, text, sizeof text), "na\xc3\xafve");
  assert_string_equal(plm_printable("\xc2\x9b\xff\x7f", 4, text, sizeof text), "\\xc2\\x9b\\xff\\x7f");
  assert_string_equal(plm_printable("a\xe2\x80\xae"
                                    "b",
                                    5, text, sizeof text),
                      "a\\xe2\\x80\\xaeb"); /* turns around */
  assert_string_equal(plm_printable("\xe2\x80\x8b\xe2\x80\x94", 6, text, sizeof text), "\\xe2\\x80\\x8b\xe2\x80\x94");
  assert_string_equal(plm_printable("\xe2\x81\xa6\xd8\x9c", 5, text, sizeof text), "\\xe2\\x81\\xa6\\xd8\\x9c");
  assert_string_equal(plm_printable("abcd\xc3\xaf", 6, small, sizeof small), "abcd");
  assert_string_equal(plm_printable("ab\x01", 3, small, sizeof small), "ab");
}

static void a_word_is_quoted_for_the_shell(void **state) {
  (void)state;
  char text[PLM_SHELL_WORD], longest[2 * PLM_SHELL_WORD];
  assert_string_equal(plm_shell_word("data/my.fasta", text), "data/my.fasta");
  assert_string_equal(plm_shell_word("my file.fasta", text), "'my file.fasta'");
  assert_string_equal(plm_shell_word("it's", text), "'it'\\''s'");
  assert_string_equal(plm_shell_word("$(rm x)", text), "'$(rm x)'");
  assert_string_equal(plm_shell_word("-f", text), "./-f");
  assert_string_equal(plm_shell_word("", text), "''");
  memset(longest, '\'', sizeof longest);
  longest[sizeof longest - 1] = '\0';
  assert_string_equal(plm_shell_word(longest, text), "FILE");
}

static void every_double_reads_back(void **state) {
  (void)state;
  char text[PLM_NUMBER_TEXT];
  assert_string_equal(plm_number_text(0.0004, text), "0.0004");
  assert_string_equal(plm_number_text(1e-5, text), "1e-05");
  assert_string_equal(plm_number_text(0.1 + 0.2, text), "0.30000000000000004");
  assert_string_equal(plm_number_text(0x1p-1074, text), "4.94065645841247e-324");
  assert_string_equal(plm_number_text(-0x1.fffffffffffffp1023, text), "-1.7976931348623157e+308");
  for (uint64_t i = 0; i < 20000; i++) {
    plm_rng_block block = plm_rng(3, PLM_RNG_INIT, i, 0, 0);
    double value = (double)block.word[0] * (double)block.word[1] / (1.0 + (double)block.word[2]), back = 0;
    const char *end;
    assert_true(plm_number_parse(plm_number_text(value, text), &end, &back));
    assert_int_equal(*end, '\0');
    assert_memory_equal(&value, &back, sizeof value);
  }
}

static void what_is_no_number_is_refused(void **state) {
  (void)state;
  const char *const bad[] = {"",     "-",  ".",     "e5",     "nan",    "inf", "-inf", "0x10",
                             "-0x1", " 1", "1e999", "-1e999", "1e-999", "abc", "+-1",  "infinity"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    const char *end = NULL;
    double value = 7;
    if (plm_number_parse(bad[i], &end, &value)) fail_msg("'%s' was read as %g", bad[i], value);
    assert_true(value == 7);
  }
  const char *end;
  double value;
  assert_true(plm_number_parse("1.5K", &end, &value));
  assert_true(value == 1.5);
  assert_string_equal(end, "K");
}

static void a_comma_locale_changes_nothing(void **state) {
  (void)state;
  if (setlocale(LC_ALL, "de_DE.UTF-8") == NULL) skip();
  char text[PLM_NUMBER_TEXT];
  const char *end;
  double value;
  assert_string_equal(plm_number_text(2.5, text), "2.5");
  assert_string_equal(plm_bytes_text(1536, text), "1.50 KiB");
  assert_string_equal(plm_duration_text(1.5, text), "1.5s");
  assert_true(plm_number_parse("2.5", &end, &value));
  assert_true(value == 2.5);
  setlocale(LC_ALL, "C");
}

static void byte_counts_read_well(void **state) {
  (void)state;
  char text[PLM_NUMBER_TEXT];
  assert_string_equal(plm_bytes_text(0, text), "0 B");
  assert_string_equal(plm_bytes_text(1023, text), "1023 B");
  assert_string_equal(plm_bytes_text(1024, text), "1.00 KiB");
  assert_string_equal(plm_bytes_text(10234, text), "9.99 KiB");
  assert_string_equal(plm_bytes_text(1048575, text), "1.00 MiB");
  assert_string_equal(plm_bytes_text(INT64_MAX, text), "8.00 EiB");
  assert_string_equal(plm_bytes_text(-5000000, text), "-4.77 MiB");
  assert_string_equal(plm_bytes_short_text(9, text), "9 B");
  assert_string_equal(plm_bytes_short_text(1023, text), "1023 B");
  assert_string_equal(plm_bytes_short_text(1536, text), "1.5 KiB");
  assert_string_equal(plm_bytes_short_text(10188, text), "9.9 KiB");
  assert_string_equal(plm_bytes_short_text(10189, text), "10 KiB");
  assert_string_equal(plm_bytes_short_text(1234567890, text), "1.1 GiB");
}

static void counts_read_well(void **state) {
  (void)state;
  char text[PLM_NUMBER_TEXT];
  assert_string_equal(plm_count_text(0, text), "0");
  assert_string_equal(plm_count_text(999, text), "999");
  assert_string_equal(plm_count_text(-1000, text), "-1,000");
  assert_string_equal(plm_count_text(-999, text), "-999");
  assert_string_equal(plm_count_text(1234567, text), "1,234,567");
  assert_string_equal(plm_count_text(INT64_MIN, text), "-9,223,372,036,854,775,808");
  const struct {
    double value;
    const char *words;
  } cases[] = {{0, "0"},        {9.4, "9"},        {999.4, "999"},   {999.5, "1.00k"}, {9994, "9.99k"},
               {9995, "10.0k"}, {9996, "10.0k"},   {99949, "99.9k"}, {99951, "100k"},  {123456, "123k"},
               {1e6, "1.00M"},  {-1234, "-1.23k"}, {1e16, "10000T"}, {NAN, "-"},       {-INFINITY, "-"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_string_equal(plm_count_short_text(cases[i].value, text), cases[i].words);
}

static void a_share_is_all_or_none_only_when_it_is(void **state) {
  char text[PLM_NUMBER_TEXT];
  (void)state;
  assert_string_equal(plm_share_text(1, 3, text), "33.3 %");
  assert_string_equal(plm_share_text(3, 3, text), "100.0 %");
  assert_string_equal(plm_share_text(0, 3, text), "0.0 %");
  assert_string_equal(plm_share_text(9999, 10000, text), "99.99 %");
  assert_string_equal(plm_share_text(2, 10000, text), "0.02 %");
  assert_string_equal(plm_share_text(0, 0, text), "0.0 %");
}

static void a_count_agrees_with_its_noun(void **state) {
  char text[PLM_COUNTED_TEXT];
  (void)state;
  assert_string_equal(plm_counted(1, "sequence", "sequences", text), "1 sequence");
  assert_string_equal(plm_counted(0, "sequence", "sequences", text), "0 sequences");
  assert_string_equal(plm_counted(20000, "sequence", "sequences", text), "20,000 sequences");
  assert_string_equal(plm_plural(1, "is", "are"), "is");
  assert_string_equal(plm_plural(2, "is", "are"), "are");
  assert_string_equal(plm_plural(0, "is", "are"), "are");
}

static void durations_read_well(void **state) {
  (void)state;
  const struct {
    double seconds;
    const char *words;
  } cases[] = {{0, "0.0s"},      {9.94, "9.9s"}, {9.96, "10s"},      {59.9, "60s"},
               {59.96, "1m00s"}, {245, "4m05s"}, {3599.4, "59m59s"}, {3599.6, "1h00m"},
               {7985, "2h13m"},  {-1, "-"},      {NAN, "-"},         {INFINITY, "-"}};
  char text[PLM_NUMBER_TEXT];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_string_equal(plm_duration_text(cases[i].seconds, text), cases[i].words);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(appends_add_up),
      cmocka_unit_test(any_failed_allocation_is_reported_once_at_the_end),
      cmocka_unit_test(utf8_is_told_from_other_bytes),
      cmocka_unit_test(other_peoples_words_do_not_reach_a_terminal_raw),
      cmocka_unit_test(a_word_is_quoted_for_the_shell),
      cmocka_unit_test(every_double_reads_back),
      cmocka_unit_test(what_is_no_number_is_refused),
      cmocka_unit_test(a_comma_locale_changes_nothing),
      cmocka_unit_test(byte_counts_read_well),
      cmocka_unit_test(counts_read_well),
      cmocka_unit_test(a_share_is_all_or_none_only_when_it_is),
      cmocka_unit_test(a_count_agrees_with_its_noun),
      cmocka_unit_test(durations_read_well),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
