/* characters.h - what stands in a text beyond ASCII: one character at a time, whether it is white space, what it is
 * called, and which letter it is easily taken for.
 */
#ifndef PLM_DATA_CHARACTERS_H
#define PLM_DATA_CHARACTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct plm_character {
  uint32_t code; /* as Unicode numbers it; the byte where it is no valid UTF-8 */
  uint32_t bytes;
  bool is_valid;
} plm_character;

/* The character at `text`, of which `available` (> 0) bytes may be read. */
plm_character plm_character_at(const char *text, size_t available);

/* Bytes at the end of `text` that are the beginning of a character which goes on behind it: 0..3. */
size_t plm_character_begun(const char *text, size_t bytes);

/* White space of Unicode, and what takes no room on a page: joiners, marks of direction, soft hyphens, byte order
 * marks. */
bool plm_character_is_space(uint32_t code);

/* A dash or a piece of a frame, of which people draw lines between records. */
bool plm_character_is_rule(uint32_t code);
/* A line, without blanks at its ends, that only sets others apart: two or more of one character that stands in no
 * sequence, or of dashes and frames beyond ASCII. Dashes of ASCII are gaps: not here. */
bool plm_characters_separate(const char *text, size_t bytes);

/* The letter, '-', '*' or '>' which it looks like but is not (Cyrillic, Greek, full width, dashes); 0: none. */
char plm_character_looks_like(uint32_t code);

/* The i-th of the look-alikes that come where `code`, one of them, does: of its script. Behind the last, 0. */
uint32_t plm_character_alike(uint32_t code, size_t i);

/* UTF-8 of `code`, NUL-terminated. Returns `ret_text`. */
const char *plm_character_text(uint32_t code, char ret_text[5]);

enum { PLM_CHARACTER_WORDS = 32 };

/* "'5'", "U+00E9 'é'", "U+00A0", "byte 0x07". Returns `ret_words`. */
const char *plm_character_words(plm_character character, char ret_words[PLM_CHARACTER_WORDS]);

#endif
