/* Characters beyond ASCII are told by their names; a shell line that mends a file is complete, whatever the file is
 * called. */
#include "support/unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "data/read/characters.h"
#include "data/read/mending.h"
#include "data/reading_notes.h"
#include "support/scratch.h"

static void look_alikes_come_by_their_script(void **state) {
  (void)state;
  static const uint32_t ones[] = {0x41C /* Cyrillic */, 0x391 /* Greek */, 0x2013 /* a dash */,
                                  0xFF2D /* full width */};
  for (size_t i = 0; i < sizeof ones / sizeof *ones; i++) {
    bool has_itself = false;
    for (size_t k = 0; plm_character_alike(ones[i], k) != 0; k++) {
      const uint32_t other = plm_character_alike(ones[i], k);
      assert_true(plm_character_looks_like(other) != 0 && plm_character_looks_like(other) != '>');
      has_itself |= other == ones[i];
    }
    assert_true(has_itself);
  }
  assert_int_equal(plm_character_alike(0xFF2D, 1), 0xFF22);
  assert_int_equal(plm_character_alike(0xFF2D, 26), 0xFF41);
}

static void characters_have_names(void **state) {
  (void)state;
  static const struct {
    const char *text;
    uint32_t code, bytes;
    const char *words;
    bool is_space;
    char looks_like;
  } rows[] = {
      {"5", '5', 1, "'5'", false, 0},
      {"\x07", 7, 1, "U+0007", false, 0},
      {"\x7f", 127, 1, "U+007F", false, 0},
      {"\xc2\x9b", 0x9B, 2, "U+009B", false, 0},
      {"\xc2\xa0", 0xA0, 2, "U+00A0", true, 0},
      {"\xc3\xa9", 0xE9, 2, "U+00E9 '\xc3\xa9'", false, 0},
      {"\xd0\x90", 0x410, 2, "U+0410 '\xd0\x90'", false, 'A'},
      {"\xce\x92", 0x392, 2, "U+0392 '\xce\x92'", false, 'B'},
      {"\xe2\x80\x8b", 0x200B, 3, "U+200B", true, 0},
      {"\xe3\x80\x80", 0x3000, 3, "U+3000", true, 0},
      {"\xef\xbb\xbf", 0xFEFF, 3, "U+FEFF", true, 0},
      {"\xe2\x88\x92", 0x2212, 3, "U+2212 '\xe2\x88\x92'", false, '-'},
      {"\xef\xbd\x9a", 0xFF5A, 3, "U+FF5A '\xef\xbd\x9a'", false, 'z'},
      {"\xef\xbc\x9e", 0xFF1E, 3, "U+FF1E '\xef\xbc\x9e'", false, '>'},
      {"\xe2\x80\xba", 0x203A, 3, "U+203A '\xe2\x80\xba'", false, '>'},
      {"\xf0\x9f\xa7\xac", 0x1F9EC, 4, "U+1F9EC '\xf0\x9f\xa7\xac'", false, 0},
  };
  char words[PLM_CHARACTER_WORDS], text[5];
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const plm_character c = plm_character_at(rows[i].text, strlen(rows[i].text));
    assert_true(c.is_valid);
    assert_int_equal(c.code, rows[i].code);
    assert_int_equal(c.bytes, rows[i].bytes);
    assert_string_equal(plm_character_words(c, words), rows[i].words);
    assert_string_equal(plm_character_text(c.code, text), rows[i].text);
    assert_int_equal(plm_character_is_space(c.code), rows[i].is_space);
    assert_int_equal(plm_character_looks_like(c.code), rows[i].looks_like);
  }
  assert_string_equal(plm_character_words(plm_character_at("\xe9V", 2), words), "byte 0xe9");
  assert_string_equal(plm_character_words(plm_character_at("\xe2\x80", 2), words), "byte 0xe2");
}

static void what_goes_on_behind_a_piece_is_told(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t begun;
  } rows[] = {
      {"", 0},
      {"AC", 0},
      {"A\xc3", 1},
      {"A\xc3\xa9", 0},
      {"A\xe2\x80", 2},
      {"\xe2\x80\x89", 0},
      {"\xf0\x9f\xa7", 3},
      {"\xf0\x9f\xa7\xac", 0},
      {"\xa9\xa9\xa9\xa9", 0},
      {"\xe9\x41", 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    assert_int_equal(plm_character_begun(rows[i].text, strlen(rows[i].text)), rows[i].begun);
}

static void a_mending_line_can_be_pasted(void **state) {
  (void)state;
  char line[PLM_MENDING_LINE];
  assert_int_equal(chdir(scratch_path("")), 0);
  const plm_mending plain = {.path = "a.fasta"}, packed = {.path = "it's.gz", .is_compressed = true};
  const plm_mending stream = {.path = "-"}, nothing = {.path = NULL}, option = {.path = "-x"};
  assert_string_equal(plm_mending_line(&plain, "cat", line), "`cat < a.fasta > mended.fasta`");
  assert_string_equal(plm_mending_line(&packed, "cat", line), "`gzip -dc < 'it'\\''s.gz' | cat > mended.fasta`");
  assert_string_equal(plm_mending_line(&option, "cat", line), "`cat < ./-x > mended.fasta`");
  assert_string_equal(plm_mending_line(&stream, "cat", line), "cat");
  assert_string_equal(plm_mending_line(&nothing, "cat", line), "cat");
  scratch_write_text("mended.fasta", ""); /* the user's: never written over */
  scratch_write_text("mended-2.fasta", "");
  assert_string_equal(plm_mending_line(&plain, "cat", line), "`cat < a.fasta > mended-3.fasta`");
}

static void a_place_is_told_by_its_file(void **state) {
  (void)state;
  char text[PLM_PLACE_TEXT];
  const char *names[] = {"a.fasta", "b.h5"};
  const plm_note_sources sources = {.names = names, .count = 2};
  assert_string_equal(plm_place_text(&(plm_place){.line = 12}, &sources, text), "a.fasta:12");
  assert_string_equal(plm_place_text(&(plm_place){.line = 12, .column = 3}, &sources, text), "a.fasta:12, column 3");
  assert_string_equal(plm_place_text(&(plm_place){.source = 1, .is_row = 1}, &sources, text), "b.h5, row 0");
  assert_string_equal(plm_place_text(&(plm_place){.line = 7, .source = 2}, &sources, text), "file 3:7");
  assert_string_equal(plm_place_text(&(plm_place){0}, &sources, text), "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(characters_have_names),
      cmocka_unit_test(look_alikes_come_by_their_script),
      cmocka_unit_test(what_goes_on_behind_a_piece_is_told),
      cmocka_unit_test(a_mending_line_can_be_pasted),
      cmocka_unit_test(a_place_is_told_by_its_file),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
