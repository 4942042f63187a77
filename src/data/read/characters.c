/* characters.c - see characters.h. White space: Unicode's property White_Space, and characters of no width. */
#include "data/read/characters.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

plm_character plm_character_at(const char *text, size_t available) {
  static const uint32_t mask[5] = {0, 0x7F, 0x1F, 0x0F, 0x07};
  const unsigned char *p = (const unsigned char *)text;
  const size_t length = plm_utf8_length(text, available);
  if (length == 0) return (plm_character){.code = p[0], .bytes = 1};
  uint32_t code = p[0] & mask[length];
  for (size_t i = 1; i < length; i++) code = code << 6 | (p[i] & 0x3F);
  return (plm_character){.code = code, .bytes = (uint32_t)length, .is_valid = true};
}

size_t plm_character_begun(const char *text, size_t bytes) {
  for (size_t back = 1; back <= 3 && back <= bytes; back++) {
    const unsigned char c = (unsigned char)text[bytes - back];
    const size_t length = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
    if (c >= 0xC0) return length > back ? back : 0;
    if (c < 0x80) return 0;
  }
  return 0;
}

bool plm_character_is_space(uint32_t code) {
  static const struct {
    uint32_t first, last;
  } spaces[] = {
      {0x0085, 0x0085}, {0x00A0, 0x00A0}, {0x00AD, 0x00AD}, {0x1680, 0x1680}, {0x180E, 0x180E}, {0x2000, 0x200F},
      {0x2028, 0x202F}, {0x205F, 0x2064}, {0x2066, 0x2069}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF},
  };
  for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++)
    if (code >= spaces[i].first && code <= spaces[i].last) return true;
  return false;
}

bool plm_character_is_rule(uint32_t code) {
  return (code >= 0x2010 && code <= 0x2015) || code == 0x2026 || code == 0x2212 || (code >= 0x2500 && code <= 0x259F) ||
         code == 0x30FC || code == 0xFF0D || code == 0xFF1D || code == 0xFF3F;
}

static const struct {
  uint32_t code;
  char letter;
} alike[] = {
    /* Cyrillic */
    {0x0410, 'A'},
    {0x0412, 'B'},
    {0x0415, 'E'},
    {0x041A, 'K'},
    {0x041C, 'M'},
    {0x041D, 'H'},
    {0x041E, 'O'},
    {0x0420, 'P'},
    {0x0421, 'C'},
    {0x0422, 'T'},
    {0x0423, 'Y'},
    {0x0425, 'X'},
    {0x0405, 'S'},
    {0x0406, 'I'},
    {0x0408, 'J'},
    {0x0430, 'a'},
    {0x0435, 'e'},
    {0x043E, 'o'},
    {0x0440, 'p'},
    {0x0441, 'c'},
    {0x0443, 'y'},
    {0x0445, 'x'},
    {0x0455, 's'},
    {0x0456, 'i'},
    {0x0458, 'j'},
    /* Greek */
    {0x0391, 'A'},
    {0x0392, 'B'},
    {0x0395, 'E'},
    {0x0396, 'Z'},
    {0x0397, 'H'},
    {0x0399, 'I'},
    {0x039A, 'K'},
    {0x039C, 'M'},
    {0x039D, 'N'},
    {0x039F, 'O'},
    {0x03A1, 'P'},
    {0x03A4, 'T'},
    {0x03A5, 'Y'},
    {0x03A7, 'X'},
    {0x03BF, 'o'},
    {0x03BD, 'v'},
    /* dashes and stars */
    {0x2010, '-'},
    {0x2011, '-'},
    {0x2012, '-'},
    {0x2013, '-'},
    {0x2014, '-'},
    {0x2015, '-'},
    {0x2212, '-'},
    {0xFF0D, '-'},
    {0x2217, '*'},
    {0xFF0A, '*'},
    {0xFF0E, '.'},
    /* what would begin a record */
    {0xFF1E, '>'},
    {0x203A, '>'},
    {0x00BB, '>'},
    {0x02C3, '>'},
    {0x1433, '>'},
    {0x2265, '>'},
    {0x232A, '>'},
    {0x276F, '>'},
    {0x27E9, '>'},
    {0x3009, '>'},
};

/* Dashes and frames beyond ASCII, two or more. */
static bool is_rule(const char *text, size_t bytes) {
  size_t at = 0, count = 0;
  for (plm_character c; at < bytes; at += c.bytes, count++) {
    c = plm_character_at(text + at, bytes - at);
    if (!c.is_valid || !plm_character_is_rule(c.code)) return false;
  }
  return count > 1;
}

bool plm_characters_separate(const char *text, size_t bytes) {
  if (bytes > 0 && (unsigned char)*text >= 0x80) return is_rule(text, bytes);
  if (bytes < 2 || strchr("=/_~+", text[0]) == NULL || text[0] == '\0') return false;
  for (size_t i = 1; i < bytes; i++)
    if (text[i] != text[0]) return false;
  return true;
}

char plm_character_looks_like(uint32_t code) {
  if (code >= 0xFF21 && code <= 0xFF3A) return (char)('A' + (int)(code - 0xFF21)); /* full width */
  if (code >= 0xFF41 && code <= 0xFF5A) return (char)('a' + (int)(code - 0xFF41));
  for (size_t i = 0; i < sizeof alike / sizeof *alike; i++)
    if (alike[i].code == code) return alike[i].letter;
  return 0;
}

/* Characters that come together: of one script, or dashes and the like. */
static int group_of(uint32_t code) { return code < 0x400 ? 0 : code < 0x1000 ? 1 : code < 0xFF00 ? 2 : 3; }

uint32_t plm_character_alike(uint32_t code, size_t i) {
  enum { WIDE_LETTERS = 52 };
  const bool is_wide = group_of(code) == 3;
  if (is_wide && i < WIDE_LETTERS) return (uint32_t)(i < 26 ? 0xFF21 + i : 0xFF41 + (i - 26));
  size_t left = is_wide ? i - WIDE_LETTERS : i;
  for (size_t k = 0; k < sizeof alike / sizeof *alike; k++)
    if (alike[k].letter != '>' && group_of(alike[k].code) == group_of(code) && left-- == 0) return alike[k].code;
  return 0;
}

const char *plm_character_text(uint32_t code, char ret_text[5]) {
  const uint32_t tail = 0x80 | (code & 0x3F), middle = 0x80 | (code >> 6 & 0x3F);
  if (code < 0x80)
    snprintf(ret_text, 5, "%c", (int)code);
  else if (code < 0x800)
    snprintf(ret_text, 5, "%c%c", (int)(0xC0 | code >> 6), (int)tail);
  else if (code < 0x10000)
    snprintf(ret_text, 5, "%c%c%c", (int)(0xE0 | code >> 12), (int)middle, (int)tail);
  else
    snprintf(ret_text, 5, "%c%c%c%c", (int)(0xF0 | code >> 18), (int)(0x80 | (code >> 12 & 0x3F)), (int)middle,
             (int)tail);
  return ret_text;
}

const char *plm_character_words(plm_character character, char ret_words[PLM_CHARACTER_WORDS]) {
  const uint32_t code = character.code;
  char text[5];
  if (!character.is_valid)
    snprintf(ret_words, PLM_CHARACTER_WORDS, "byte 0x%02x", (unsigned)code);
  else if (code > ' ' && code < 127)
    snprintf(ret_words, PLM_CHARACTER_WORDS, "'%c'", (int)code);
  else if (code < 0xA0 || plm_character_is_space(code)) /* steers a terminal, or shows nothing */
    snprintf(ret_words, PLM_CHARACTER_WORDS, "U+%04X", (unsigned)code);
  else
    snprintf(ret_words, PLM_CHARACTER_WORDS, "U+%04X '%s'", (unsigned)code, plm_character_text(code, text));
  return ret_words;
}
