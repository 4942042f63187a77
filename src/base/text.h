/* text.h - building text, and numbers as text and back.
 *
 * A plm_text grows as it is appended to. Its first failure sticks: later appends do nothing and plm_text_take reports
 * it, so code that builds a page of text has one check at the end. Start with `plm_text text = {0};`.
 *
 * Numbers are read and written as in the C locale, whatever locale the program runs in.
 */
#ifndef PLM_BASE_TEXT_H
#define PLM_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protlm/status.h"

typedef struct plm_text {
  char *data; /* NULL until the first append, then NUL-terminated */
  size_t length;
  size_t capacity;
  plm_status status; /* the first failure, PLM_E_RESOURCE */
} plm_text;

void plm_text_append(plm_text *text, const char *words);
void plm_text_append_bytes(plm_text *text, const char *bytes, size_t count);
void plm_text_repeat(plm_text *text, char character, size_t count);
void plm_text_printf(plm_text *text, const char *format, ...) PLM_PRINTF(2, 3);

/* Hand over what was built (never NULL on success; free with plm_free) and start afresh; or free everything and say
 * what failed. */
PLM_CHECKED plm_status plm_text_take(plm_text *text, char **ret_text);
void plm_text_free(plm_text *text);

/* Bytes of the UTF-8 character at `text`, of which `available` bytes may be read; 0 if it is not valid UTF-8. */
size_t plm_utf8_length(const char *text, size_t available);

/* `count` bytes that somebody else chose, safe to print on a terminal or in a table: control characters and what is no
 * valid UTF-8 as "\x1b", a backslash as it is; cut to `room`, never within a character. Returns `ret_text`. */
const char *plm_printable(const char *bytes, size_t count, char *ret_text, size_t room);

enum { PLM_SHELL_WORD = 4096 };

/* `word` as one word of a shell's command line, quoted where need be; "FILE" when it has no room. What begins with a
 * dash gets "./" in front, as a file's name. Returns `ret_text`. */
const char *plm_shell_word(const char *word, char ret_text[PLM_SHELL_WORD]);

enum { PLM_NUMBER_TEXT = 32 }; /* room for any number, and the NUL */

/* `value` with `digits` significant digits (%g); and with the fewest that read back as the same double. Return
 * `ret_text`. */
const char *plm_number_digits(double value, int digits, char ret_text[PLM_NUMBER_TEXT]);
const char *plm_number_text(double value, char ret_text[PLM_NUMBER_TEXT]);

/* The decimal number at the start of `text` (no white space, hexadecimal, nan or inf); *ret_end is what follows it.
 * False when there is none or it is beyond the range of a double. */
bool plm_number_parse(const char *text, const char **ret_end, double *ret_value);

/* Numbers for people. Return `ret_text`. "512 B", "1.50 GiB": three digits and a binary unit, two where room is short;
 * "12.3k"; "4.2s", "4m05s", "2h13m". A dash for what is not finite. */
const char *plm_bytes_text(int64_t bytes, char ret_text[PLM_NUMBER_TEXT]);
const char *plm_bytes_short_text(int64_t bytes, char ret_text[PLM_NUMBER_TEXT]);
const char *plm_count_short_text(double value, char ret_text[PLM_NUMBER_TEXT]);
const char *plm_duration_text(double seconds, char ret_text[PLM_NUMBER_TEXT]);

/* "1,234,567". Returns `ret_text`. */
const char *plm_count_text(int64_t value, char ret_text[PLM_NUMBER_TEXT]);

/* The word that fits a count: `one` for 1, else `many`. For verbs too: plm_plural(n, "is", "are"). */
const char *plm_plural(int64_t count, const char *one, const char *many);

enum { PLM_COUNTED_TEXT = 96 };

/* "1 sequence", "20,000 sequences": a count with its noun. Returns `ret_text`. */
const char *plm_counted(int64_t count, const char *one, const char *many, char ret_text[PLM_COUNTED_TEXT]);

/* "97.3 %": what share `part` is of `whole`. More digits where fewer would say 100.0 or 0.0 for what is not all or none.
 * Returns `ret_text`. */
const char *plm_share_text(double part, double whole, char ret_text[PLM_NUMBER_TEXT]);

/* A comma before every third digit of the whole part of a number without sign, at *ret_end on, before `end`. Returns
 * where it ends. */
char *plm_group_thousands(const char *digits, char *ret_end, const char *end);

/* Nearest of `names` to `word` (edit distance, at most a third of its length wrong), or NULL. */
const char *plm_nearest_name(const char *word, const char *const *names, size_t count);

#endif
