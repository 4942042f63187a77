/* JSON is read strictly, with a place in every message, and what is written reads back as the same. */
#include "support/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/json.h"
#include "support/scratch.h"

static plm_status parse(const char *text, json_t **ret_document) {
  return plm_json_parse(text, strlen(text), 20, "config.json", ret_document);
}

static void damaged_or_hostile_documents_are_refused_with_their_place(void **state) {
  (void)state;
  const struct {
    const char *text, *words;
  } cases[] = {
      {"", "config.json:1:"},
      {"{", "config.json:1:1: not valid JSON"},
      {"{\"a\": 1,}", "config.json:1:9"},
      {"{\"a\": 1}\n\n  x", "config.json:3:3"},
      {"{\"a\": 1} {\"a\": 1}", "end of file expected"},
      {"{\"a\": 1, \"a\": 2}", "duplicate object key"},
      {"{\"a\": 123456789012345678901234567890}", "too big integer"},
      {"{\"a\": -99999999999999999999}", "too big negative integer"},
      {"{\"a\": 1e999}", "real number overflow"},
      {"{\"a\": NaN}", "not valid JSON"},
      {"{\"a\": Infinity}", "not valid JSON"},
      {"{\"a\": 01}", "not valid JSON"},
      {"{\"a\": .5}", "not valid JSON"},
      {"{'a': 1}", "not valid JSON"},
      {"{\"a\": \"\\u0000\"}", "not valid JSON"},
      {"{\"a\\u0000b\": 1}", "not valid JSON"},
      {"{\"a\": \"\xff\"}", "unable to decode byte 0xff"},
      {"{\"a\": \"\xed\xa0\x80\"}", "unable to decode"},
      {"{\"a\": \"\\ud800\"}", "not valid JSON"},
      {"{\"a\": \"one\ntwo\"}", "unexpected newline"},
      {"{\"a\": \"unended", "premature end"},
      {"// comment\n{}", "not valid JSON"},
      {"\xef\xbb\xbf{}", "not valid JSON"},
      {"[[[[[[[[[[[[[[[[[[[[[", "config.json:1:21: nested more than 20 deep"},
      {"{\"s\": \"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[\"\n,,", "config.json:2"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    json_t *document = NULL;
    assert_fails(parse(cases[i].text, &document), PLM_E_INPUT, cases[i].words);
    assert_null(document);
  }
}

static void a_nul_byte_is_never_part_of_a_document(void **state) {
  (void)state;
  json_t *document;
  assert_fails(plm_json_parse("{}\0", 3, 20, "x", &document), PLM_E_INPUT, "x:1:");
  assert_fails(plm_json_parse("{\"a\0\": 1}", 9, 20, "x", &document), PLM_E_INPUT, "x:1:");
  assert_fails(plm_json_parse("\0{}", 3, 20, "x", &document), PLM_E_INPUT, "x:1:");
}

static void every_cut_of_a_document_is_refused(void **state) {
  (void)state;
  const char *text = "{\"hidden_size\": 320, \"list\": [1, 2.5e3, true, null], \"s\": \"\\u00e9\\\\\"}";
  for (size_t bytes = 0; bytes < strlen(text); bytes++) {
    json_t *document;
    assert_int_equal(plm_json_parse(text, bytes, 20, "cut", &document), PLM_E_INPUT);
  }
}

static void a_million_brackets_are_refused_without_a_stack_overflow(void **state) {
  (void)state;
  char *text;
  json_t *document;
  assert_ok(PLM_NEW(&text, 1000000));
  memset(text, '[', 1000000);
  assert_fails(plm_json_parse(text, 1000000, 100, "deep", &document), PLM_E_INPUT, "nested more than 100 deep");
  plm_free(text);
}

static void members_are_checked_for_presence_type_and_range(void **state) {
  (void)state;
  json_t *document;
  int64_t integer = 5;
  double number = 5;
  bool flag = true;
  const char *string = "before";
  assert_ok(parse("{\"i\": 7, \"r\": 1.0, \"b\": false, \"s\": \"x\", \"n\": null, \"o\": {}, \"a\": []}", &document));
  assert_ok(plm_json_get_int(document, "config.json", "i", true, 1, 10, &integer));
  assert_int_equal(integer, 7);
  assert_ok(plm_json_get_double(document, "config.json", "i", true, &number));
  assert_true(number == 7);
  assert_ok(plm_json_get_double(document, "config.json", "r", true, &number));
  assert_true(number == 1);
  assert_ok(plm_json_get_bool(document, "config.json", "b", true, &flag));
  assert_false(flag);
  assert_ok(plm_json_get_string(document, "config.json", "s", true, &string));
  assert_string_equal(string, "x");
  assert_ok(plm_json_get_int(document, "config.json", "n", false, 1, 10, &integer));
  assert_ok(plm_json_get_int(document, "config.json", "absent", false, 1, 10, &integer));
  assert_int_equal(integer, 7);

  assert_fails(plm_json_get_int(document, "config.json", "i", true, 8, 10, &integer), PLM_E_INPUT,
               "config.json: \"i\" is 7, but must be between 8 and 10");
  assert_fails(plm_json_get_int(document, "config.json", "r", true, 1, 10, &integer), PLM_E_INPUT,
               "must be an integer, but it is a number that is not");
  assert_fails(plm_json_get_int(document, "config.json", "absent", true, 1, 10, &integer), PLM_E_INPUT,
               "\"absent\" is missing");
  assert_fails(plm_json_get_int(document, "config.json", "n", true, 1, 10, &integer), PLM_E_INPUT, "\"n\" is missing");
  assert_fails(plm_json_get_double(document, "config.json", "s", true, &number), PLM_E_INPUT,
               "must be a number, but it is a string");
  assert_fails(plm_json_get_bool(document, "config.json", "o", true, &flag), PLM_E_INPUT,
               "must be true or false, but it is an object");
  assert_fails(plm_json_get_string(document, "config.json", "a", false, &string), PLM_E_INPUT,
               "must be a string, but it is an array");
  assert_fails(plm_json_get_string(json_object_get(document, "a"), "config.json", "x", false, &string), PLM_E_INPUT,
               "an object was expected");
  assert_int_equal(integer, 7);
  json_decref(document);
}

/* transformers writes 1e30 as an integer of 31 digits. */
static void integers_wider_than_64_bits_are_doubles_on_request(void **state) {
  (void)state;
  json_t *document;
  scratch_write_text("wide.json", "{\"model_max_length\": 1000000000000000019884624838656, \"id\": 35}");
  assert_fails(plm_json_load(scratch_path("wide.json"), &document), PLM_E_INPUT, "big");
  assert_ok(plm_json_load_wide(scratch_path("wide.json"), &document));
  assert_true(json_number_value(json_object_get(document, "model_max_length")) == 1e30);
  assert_true(json_number_value(json_object_get(document, "id")) == 35);
  json_decref(document);
}

static void a_double_survives_bit_for_bit(void **state) {
  (void)state;
  json_t *object = json_object();
  const double exact[] = {0.1, -0.0, INFINITY, 0x1p-1074, 1.0 / 3};
  for (size_t i = 0; i < sizeof exact / sizeof *exact; i++) {
    double back;
    assert_ok(plm_json_set_exact(object, "x", exact[i]));
    assert_ok(plm_json_get_exact(object, "state", "x", &back));
    assert_memory_equal(&back, &exact[i], sizeof back);
  }
  const char *const bad[] = {
      "", "1", "0123456789abcdeg", "0123456789ABCDEF", "0123456789abcdef0", "-123456789abcdef", "0x23456789abcdef"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    double back;
    json_object_set_new(object, "n", json_string(bad[i]));
    assert_fails(plm_json_get_exact(object, "state", "n", &back), PLM_E_INPUT, "16 hexadecimal digits");
  }
  json_decref(object);
}

static void what_is_dumped_reads_as_a_person_would_write_it(void **state) {
  (void)state;
  const char *text =
      "{\n  \"layer_norm_eps\": 1e-05,\n  \"dropout\": 0.1,\n  \"one\": 1.0,\n  \"hidden_size\": 320,\n  \"big\": -9223372036854775808,\n"
      "  \"layers\": [\n    1,\n    {\n      \"a\": null\n    }\n  ],\n  \"none\": [],\n  \"empty\": {},\n  \"yes\": true,\n  \"no\": false,\n"
      "  \"quote\": \"\\\"\\\\\\n\\t\\r\\u0001\xC3\xA9\"\n}\n";
  json_t *document;
  char *back;
  assert_ok(parse(text, &document));
  assert_ok(plm_json_dump(document, &back));
  assert_string_equal(back, text);
  plm_free(back);
  json_decref(document);
  assert_fails(plm_json_dump(NULL, &back), PLM_E_BUG, "internal check");
}

static void any_bytes_become_a_string(void **state) {
  (void)state;
  const struct {
    const char *bytes, *string;
  } cases[] = {
      {"", ""},
      {"plain \"\\\n\x01\x7f", "plain \"\\\n\x01\x7f"},
      {"caf\xC3\xA9", "caf\xC3\xA9"},
      {"caf\xe9", "caf\xEF\xBF\xBD"},
      {"cut \xE2\x82", "cut \xEF\xBF\xBD\xEF\xBF\xBD"},
      {"\xff-\xF0\x9F\xA7\xAC", "\xEF\xBF\xBD-\xF0\x9F\xA7\xAC"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    json_t *string = plm_json_string(cases[i].bytes);
    assert_string_equal(json_string_value(string), cases[i].string);
    json_decref(string);
  }
  for (unsigned pair = 0x0101; pair <= 0xffff; pair++) { /* what we take for UTF-8, jansson does too */
    const char bytes[] = {(char)(pair >> 8), (char)pair, '\xBF', '\xBF', '\0'};
    json_t *string = plm_json_string(bytes);
    if (string == NULL) fail_msg("bytes %04x gave no string", pair);
    json_decref(string);
  }
  int64_t live = plm_alloc_live();
  for (int n = 1; n <= 2; n++) {
    plm_alloc_fail_at(n);
    assert_null(plm_json_string("caf\xe9"));
    plm_alloc_fail_at(0);
    assert_int_equal(plm_alloc_live(), live);
  }
}

static void any_failed_allocation_is_a_status(void **state) {
  (void)state;
  scratch_write_text("c.json",
                     "{\"a\": [1, 2.5, \"some string that is longer than a few letters\", {\"b\": {}}], \"c\": \"\","
                     " \"a_name_of_16_let\": 1, \"a_name_with_exactly_thirty_two_ch\": 123456789.123456789}");
  int64_t live = plm_alloc_live(), n = 1;
  for (;; n++) {
    json_t *document = NULL;
    char *text = NULL;
    plm_alloc_fail_at(n);
    plm_status status = plm_json_load(scratch_path("c.json"), &document);
    if (status == PLM_OK) status = plm_json_dump(document, &text);
    plm_alloc_fail_at(0);
    json_decref(document);
    plm_free(text);
    assert_int_equal(plm_alloc_live(), live);
    if (status == PLM_OK) break;
    assert_int_equal(status, PLM_E_RESOURCE);
  }
  assert_true(n > 10);
}

/* A host program's allocator, which can run out. */
static int host_allocations, host_fails_at;
static void *allocate_for_host(size_t bytes) { return ++host_allocations == host_fails_at ? NULL : malloc(bytes); }

static void another_allocator_of_jansson_serves_as_well(void **state) {
  (void)state;
  static const char text[] = "{\"a\": [1, 2.5, {\"b\": {}}], \"c\": \"\"}";
  json_t *document = NULL;
  char *back = NULL;
  int64_t live = plm_alloc_live();
  json_set_alloc_funcs(allocate_for_host, free);
  host_fails_at = 1;
  plm_status without_memory = plm_json_parse(text, strlen(text), 9, "host", &document);
  host_fails_at = 0;
  plm_status status = plm_json_parse(text, strlen(text), 9, "host", &document);
  if (status == PLM_OK) status = plm_json_dump(document, &back);
  json_decref(document);
  plm_json_use_our_allocator();
  assert_int_equal(without_memory, PLM_E_RESOURCE);
  assert_ok(status);
  assert_true(host_allocations > 1);
  assert_non_null(strstr(back, "2.5"));
  plm_free(back);
  assert_int_equal(plm_alloc_live(), live);
}

static void a_line_is_one_valid_document(void **state) {
  (void)state;
  plm_json_line line;
  plm_json_line_begin(&line);
  plm_json_line_int(&line, "step", 1200);
  plm_json_line_number(&line, "loss", 2.3141592653589793);
  plm_json_line_number(&line, "grad_norm", NAN);
  plm_json_line_int(&line, "a \"b\"\n\xff", 7);
  assert_ok(plm_json_line_end(&line));
  assert_string_equal(line.text,
                      "{\"step\":1200,\"loss\":2.31415927,\"grad_norm\":null,\"a \\\"b\\\"\\n\\ufffd\":7}\n");
  assert_int_equal(line.length, strlen(line.text));
  plm_json_line_begin(&line);
  assert_ok(plm_json_line_end(&line));
  assert_string_equal(line.text, "{}\n");
}

static void a_line_too_long_drops_whole_members_and_says_so(void **state) {
  (void)state;
  char name[5000];
  for (size_t length = 4000; length < 4200; length++) {
    memset(name, '"', sizeof name);
    memset(name, 'x', length);
    name[length + 10] = '\0';
    plm_json_line line;
    plm_json_line_begin(&line);
    plm_json_line_int(&line, "step", 1);
    plm_json_line_int(&line, name, 2);
    plm_status status = plm_json_line_end(&line);
    assert_int_equal(status, line.truncated ? PLM_E_BUG : PLM_OK);
    json_t *document;
    assert_ok(plm_json_parse(line.text, line.length, 2, "line", &document));
    assert_int_equal(json_object_size(document), line.truncated ? 1 : 2);
    json_decref(document);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(damaged_or_hostile_documents_are_refused_with_their_place),
      cmocka_unit_test(a_nul_byte_is_never_part_of_a_document),
      cmocka_unit_test(every_cut_of_a_document_is_refused),
      cmocka_unit_test(a_million_brackets_are_refused_without_a_stack_overflow),
      cmocka_unit_test(members_are_checked_for_presence_type_and_range),
      cmocka_unit_test(integers_wider_than_64_bits_are_doubles_on_request),
      cmocka_unit_test(a_double_survives_bit_for_bit),
      cmocka_unit_test(what_is_dumped_reads_as_a_person_would_write_it),
      cmocka_unit_test(any_bytes_become_a_string),
      cmocka_unit_test(any_failed_allocation_is_a_status),
      cmocka_unit_test(another_allocator_of_jansson_serves_as_well),
      cmocka_unit_test(a_line_is_one_valid_document),
      cmocka_unit_test(a_line_too_long_drops_whole_members_and_says_so),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
