/* One letter is one token, odd letters become what the policy says, and the user is told how many. */
#include "support/unit.h"

#include <stdio.h>

#include "data/alphabet.h"

static void ids_are_the_lines_of_vocab_txt(void **state) {
  (void)state;
  const plm_alphabet *a = plm_alphabet_esm2();
  const struct {
    int id;
    const char *token;
  } some[] = {{0, "<cls>"}, {1, "<pad>"}, {2, "<eos>"},     {3, "<unk>"},  {4, "L"},  {7, "V"},
              {10, "R"},    {17, "N"},    {20, "M"},        {23, "C"},     {24, "X"}, {28, "O"},
              {29, "."},    {30, "-"},    {31, "<null_1>"}, {32, "<mask>"}};
  assert_int_equal(a->size, 33);
  for (size_t i = 0; i < sizeof some / sizeof *some; i++) assert_string_equal(a->tokens[some[i].id], some[i].token);
  assert_int_equal(a->frame.opens, 0);
  assert_int_equal(a->pad, 1);
  assert_int_equal(a->frame.closes, 2);
  assert_int_equal(a->mask, 32);
}

static void standard_amino_acids_are_contiguous(void **state) {
  (void)state;
  const plm_alphabet *a = plm_alphabet_esm2();
  for (const char *c = "ACDEFGHIKLMNPQRSTVWY"; *c != '\0'; c++) {
    int32_t map[256];
    plm_alphabet_map(a, &(plm_alphabet_policy){0}, map);
    assert_in_range(plm_alphabet_rank(a, map[(unsigned char)*c]), 0, 19);
  }
  assert_int_equal(a->standard_count, 20);
  for (int32_t id = 0; id < a->size; id++)
    assert_int_equal(plm_alphabet_rank(a, id), id >= 4 && id <= 23 ? id - 4 : -1);
}

static void every_letter_is_one_token_under_the_default_policy(void **state) {
  (void)state;
  int32_t map[256];
  plm_alphabet_map(plm_alphabet_esm2(), &(plm_alphabet_policy){0}, map);
  for (int c = 'A'; c <= 'Z'; c++) {
    assert_true(map[c] >= 4 && map[c] <= 28);
    assert_int_equal(map[c], map[c - 'A' + 'a']);
  }
  assert_int_equal(map['J'], 24);
  assert_int_equal(map['*'], 24);
  assert_int_equal(map['U'], 26);
  assert_int_equal(map['-'], 30);
  for (const char *c = "0129 \t;>@|_"; *c != '\0'; c++) assert_int_equal(map[(unsigned char)*c], -1);
  assert_int_equal(map[0], -1);
  assert_int_equal(map[200], -1);
}

static void lower_case_becomes_x_on_request(void **state) {
  (void)state;
  int32_t map[256];
  plm_alphabet_map(plm_alphabet_esm2(), &(plm_alphabet_policy){.lowercase = PLM_LOWERCASE_X}, map);
  assert_int_equal(map['a'], 24);
  assert_int_equal(map['A'], 5);
}

static void invalid_characters_become_x_on_request(void **state) {
  (void)state;
  int32_t map[256];
  plm_alphabet_map(plm_alphabet_esm2(), &(plm_alphabet_policy){.invalid = PLM_INVALID_X}, map);
  assert_int_equal(map['7'], 24);
  assert_int_equal(map[200], 24);
}

static void collect(void *user, char letter, const char *text) {
  (void)letter;
  strcat(user, text);
  strcat(user, "\n");
}

static void report_names_each_substitution_with_its_count(void **state) {
  (void)state;
  char text[2048] = "";
  int64_t histogram[256] = {['A'] = 10, ['a'] = 25507, ['*'] = 2, ['J'] = 3, ['-'] = 1234567, ['7'] = 1};
  plm_alphabet_report(plm_alphabet_esm2(), &(plm_alphabet_policy){0}, histogram, collect, text);
  assert_string_equal(text,
                      "25,507 lower-case residues read as upper case\n"
                      "2 '*' inside sequences read as X\n"
                      "3 'J', which has no token, read as X\n"
                      "1,234,567 gaps ('-' or '.') kept as tokens; is this an alignment?\n"
                      "1 character that is no letter read as X\n");
}

static void report_is_silent_when_nothing_was_changed(void **state) {
  (void)state;
  char text[2048] = "";
  int64_t histogram[256] = {['A'] = 10, ['U'] = 3};
  plm_alphabet_report(plm_alphabet_esm2(), &(plm_alphabet_policy){0}, histogram, collect, text);
  assert_string_equal(text, "");
}

/* ---- tokens that a model has added ---- */

static void tokens_that_a_model_adds_are_read(void **state) {
  (void)state;
  static const char *const tokens[] = {"<heavy>", "J", "s", "*"};
  const plm_alphabet *base = plm_alphabet_esm2(), *a;
  int32_t map[256];
  assert_ok(plm_alphabet_extend(base, tokens, 4, &a, NULL));
  assert_int_equal(a->size, 37);
  assert_string_equal(a->tokens[32], "<mask>");
  assert_string_equal(a->tokens[33], "<heavy>");
  assert_int_equal(a->mask, 32);
  assert_int_equal(plm_alphabet_rank(a, 34), -1); /* not one of the twenty */
  plm_alphabet_map(a, &(plm_alphabet_policy){0}, map);
  assert_int_equal(map['J'], 34);
  assert_int_equal(map['j'], 34);
  assert_int_equal(map['s'], 35);
  assert_int_equal(map['S'], 8);
  assert_int_equal(map['*'], 36);
  assert_int_equal(map['h'], 21); /* <heavy> begins so, and is no letter */
  plm_alphabet_map(a, &(plm_alphabet_policy){.lowercase = PLM_LOWERCASE_X}, map);
  assert_int_equal(map['s'], 24);
}

static void what_is_said_of_letters_knows_added_tokens(void **state) {
  (void)state;
  static const char *const tokens[] = {"J", "s", "*"};
  const plm_alphabet *a;
  char text[2048] = "";
  int64_t histogram[256] = {['J'] = 3, ['s'] = 5, ['a'] = 2, ['*'] = 7};
  assert_ok(plm_alphabet_extend(plm_alphabet_esm2(), tokens, 3, &a, NULL));
  plm_alphabet_report(a, &(plm_alphabet_policy){0}, histogram, collect, text);
  assert_string_equal(text, "2 lower-case residues read as upper case\n7 '*' inside sequences read as its token\n");
}

static void equal_additions_are_one_alphabet(void **state) {
  (void)state;
  static const char *const tokens[] = {"J", "<light>", "<l>"};
  const plm_alphabet *base = plm_alphabet_esm2(), *first, *second;
  bool is_new;
  assert_ok(plm_alphabet_extend(base, tokens, 0, &first, &is_new));
  assert_ptr_equal(first, base);
  assert_false(is_new);
  assert_ok(plm_alphabet_extend(base, tokens, 2, &first, &is_new));
  assert_true(is_new);
  assert_ok(plm_alphabet_extend(base, tokens, 2, &second, &is_new));
  assert_ptr_equal(first, second);
  assert_false(is_new);
  assert_ok(plm_alphabet_extend(base, tokens, 1, &second, NULL));
  assert_ptr_not_equal(first, second);
  assert_ok(plm_alphabet_extend(base, tokens, 3, &second, NULL));
  assert_ptr_not_equal(first, second);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ids_are_the_lines_of_vocab_txt),
      cmocka_unit_test(standard_amino_acids_are_contiguous),
      cmocka_unit_test(every_letter_is_one_token_under_the_default_policy),
      cmocka_unit_test(lower_case_becomes_x_on_request),
      cmocka_unit_test(invalid_characters_become_x_on_request),
      cmocka_unit_test(report_names_each_substitution_with_its_count),
      cmocka_unit_test(report_is_silent_when_nothing_was_changed),
      cmocka_unit_test(tokens_that_a_model_adds_are_read),
      cmocka_unit_test(what_is_said_of_letters_knows_added_tokens),
      cmocka_unit_test(equal_additions_are_one_alphabet),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
