/* text.c - the growing buffer; UTF-8; numbers in the C locale. */
#define _GNU_SOURCE
#include "base/text.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* ---- the buffer ---- */

/* Room for `more` bytes and a NUL. False after a failure. */
static bool make_room(plm_text *text, size_t more) {
  if (text->status == PLM_OK) text->status = PLM_GROW(&text->data, &text->capacity, text->length + more + 1);
  return text->status == PLM_OK;
}

void plm_text_append_bytes(plm_text *text, const char *bytes, size_t count) {
  if (!make_room(text, count)) return;
  memcpy(text->data + text->length, bytes, count);
  text->length += count;
  text->data[text->length] = '\0';
}

void plm_text_append(plm_text *text, const char *words) { plm_text_append_bytes(text, words, strlen(words)); }

void plm_text_repeat(plm_text *text, char character, size_t count) {
  if (!make_room(text, count)) return;
  memset(text->data + text->length, character, count);
  text->length += count;
  text->data[text->length] = '\0';
}

void plm_text_printf(plm_text *text, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int length = vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (length < 0 && text->status == PLM_OK) text->status = plm_fail(PLM_E_BUG, "bad format '%s'", format);
  if (length >= 0 && make_room(text, (size_t)length)) {
    vsnprintf(text->data + text->length, (size_t)length + 1, format, again);
    text->length += (size_t)length;
  }
  va_end(again);
}

plm_status plm_text_take(plm_text *text, char **ret_text) {
  plm_text_append(text, "");
  plm_status status = text->status;
  if (status == PLM_OK) {
    *ret_text = text->data;
    *text = (plm_text){0};
  } else {
    plm_text_free(text);
  }
  return status;
}

void plm_text_free(plm_text *text) {
  plm_free(text->data);
  *text = (plm_text){0};
}

/* ---- UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing past U+10FFFF ---- */

size_t plm_utf8_length(const char *text, size_t available) {
  const unsigned char *p = (const unsigned char *)text;
  if (available == 0) return 0;
  if (p[0] < 0x80) return 1;
  size_t length = p[0] >= 0xC2 && p[0] <= 0xDF   ? 2
                  : p[0] >= 0xE0 && p[0] <= 0xEF ? 3
                  : p[0] >= 0xF0 && p[0] <= 0xF4 ? 4
                                                 : 0;
  if (length == 0 || length > available) return 0;
  for (size_t i = 1; i < length; i++)
    if ((p[i] & 0xC0) != 0x80) return 0;
  bool is_overlong = (p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xF0 && p[1] < 0x90);
  bool is_surrogate = p[0] == 0xED && p[1] >= 0xA0;
  bool is_too_large = p[0] == 0xF4 && p[1] >= 0x90;
  return is_overlong || is_surrogate || is_too_large ? 0 : length;
}

/* ---- other people's words ---- */

/* Of no width, or turning the direction of what follows, so that a name looks like another: U+061C, U+200B to U+200F,
 * U+2028 to U+202E, U+2060 to U+206F, U+FEFF. */
static bool is_hidden(const unsigned char *p, size_t length) {
  if (length == 2) return p[0] == 0xD8 && p[1] == 0x9C;
  if (length != 3) return false;
  if (p[0] == 0xE2 && p[1] == 0x80) return (p[2] >= 0x8B && p[2] <= 0x8F) || (p[2] >= 0xA8 && p[2] <= 0xAE);
  return (p[0] == 0xE2 && p[1] == 0x81 && p[2] >= 0xA0 && p[2] <= 0xAF) ||
         (p[0] == 0xEF && p[1] == 0xBB && p[2] == 0xBF);
}

/* A character of two bytes from U+0080 to U+009F steers a terminal as an escape does. */
static bool is_shown_as_it_is(const unsigned char *p, size_t length) {
  if (length == 1) return p[0] >= ' ' && p[0] != 127;
  return length > 0 && !(p[0] == 0xC2 && p[1] < 0xA0) && !is_hidden(p, length);
}

const char *plm_printable(const char *bytes, size_t count, char *ret_text, size_t room) {
  size_t used = 0;
  for (size_t i = 0; i < count;) {
    const unsigned char *p = (const unsigned char *)bytes + i;
    const size_t length = plm_utf8_length(bytes + i, count - i);
    const bool as_it_is = is_shown_as_it_is(p, length);
    const size_t needed = as_it_is ? length : 4;
    if (used + needed >= room) break;
    if (as_it_is)
      memcpy(ret_text + used, p, needed);
    else
      snprintf(ret_text + used, room - used, "\\x%02x", p[0]);
    used += needed;
    i += as_it_is ? length : 1;
  }
  if (room > 0) ret_text[used] = '\0';
  return ret_text;
}

static bool needs_quotes(const char *word) {
  for (const char *c = word; *c != '\0'; c++)
    if (!(*c >= 'a' && *c <= 'z') && !(*c >= 'A' && *c <= 'Z') && !(*c >= '0' && *c <= '9') &&
        strchr("/._-+,:@%=", *c) == NULL)
      return true;
  return *word == '\0';
}

const char *plm_shell_word(const char *word, char ret_text[PLM_SHELL_WORD]) {
  const bool quoted = needs_quotes(word);
  size_t used = (size_t)snprintf(ret_text, PLM_SHELL_WORD, "%s%s", quoted ? "'" : "", *word == '-' ? "./" : "");
  for (const char *c = word; *c != '\0'; c++) {
    const char character[2] = {*c, '\0'};
    const char *piece = *c == '\'' ? "'\\''" : character;
    if (used + strlen(piece) + 2 > PLM_SHELL_WORD) return strcpy(ret_text, "FILE");
    used += (size_t)snprintf(ret_text + used, PLM_SHELL_WORD - used, "%s", piece);
  }
  if (quoted) strcpy(ret_text + used, "'");
  return ret_text;
}

/* ---- numbers ---- */

/* snprintf and strtod follow the thread's locale; this one is glibc's constant "C" locale, which is never freed. */
static locale_t c_locale(void) { return newlocale(LC_ALL_MASK, "C", (locale_t)0); }

const char *plm_number_digits(double value, int digits, char ret_text[PLM_NUMBER_TEXT]) {
  locale_t before = uselocale(c_locale());
  snprintf(ret_text, PLM_NUMBER_TEXT, "%.*g", digits, value);
  uselocale(before);
  return ret_text;
}

const char *plm_number_text(double value, char ret_text[PLM_NUMBER_TEXT]) {
  for (int digits = 15; digits < 17; digits++)
    if (strtod_l(plm_number_digits(value, digits, ret_text), NULL, c_locale()) == value) return ret_text;
  return plm_number_digits(value, 17, ret_text);
}

bool plm_number_parse(const char *text, const char **ret_end, double *ret_value) {
  const char *first = text + (*text == '-' || *text == '+');
  bool has_digit = (first[0] >= '0' && first[0] <= '9') || (first[0] == '.' && first[1] >= '0' && first[1] <= '9');
  if (!has_digit || (first[0] == '0' && (first[1] == 'x' || first[1] == 'X'))) return false;
  char *end;
  errno = 0;
  double value = strtod_l(text, &end, c_locale());
  if (!isfinite(value) || (errno == ERANGE && value == 0))
    return false; /* ERANGE alone: a subnormal, which is a number */
  *ret_end = end;
  *ret_value = value;
  return true;
}

/* ---- numbers for people ---- */

typedef struct scale {
  double step;
  size_t count;
  const char *units[7];
} scale;
static const scale binary = {1024, 7, {" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"}};
static const scale decimal = {1000, 5, {"", "k", "M", "G", "T"}};

/* `digits` digits in the unit that leaves the fewest before the point. What would print as 1024 or 10.00 is counted as
 * such: the next unit, or one decimal less, reads better. */
static const char *scaled_text(double value, int digits, const scale *s, char *ret_text) {
  size_t unit = 0;
  int decimals = digits - 1;
  for (; fabs(value) >= s->step - 0.5 && unit + 1 < s->count; unit++) value /= s->step;
  for (double most = 10; decimals > 0 && fabs(value) >= most - 0.5 * pow(10, -decimals); most *= 10) decimals--;
  locale_t before = uselocale(c_locale());
  snprintf(ret_text, PLM_NUMBER_TEXT, "%.*f%s", unit > 0 ? decimals : 0, value, s->units[unit]);
  uselocale(before);
  return ret_text;
}

const char *plm_bytes_text(int64_t bytes, char ret_text[PLM_NUMBER_TEXT]) {
  return scaled_text((double)bytes, 3, &binary, ret_text);
}

const char *plm_bytes_short_text(int64_t bytes, char ret_text[PLM_NUMBER_TEXT]) {
  return scaled_text((double)bytes, 2, &binary, ret_text);
}

const char *plm_count_short_text(double value, char ret_text[PLM_NUMBER_TEXT]) {
  return isfinite(value) ? scaled_text(value, 3, &decimal, ret_text) : strcpy(ret_text, "-");
}

const char *plm_duration_text(double seconds, char ret_text[PLM_NUMBER_TEXT]) {
  if (!isfinite(seconds) || seconds < 0) return strcpy(ret_text, "-");
  const long long s = seconds < 1e18 ? (long long)(seconds + 0.5) : (long long)1e18;
  locale_t before = uselocale(c_locale());
  if (seconds < 59.95)
    snprintf(ret_text, PLM_NUMBER_TEXT, seconds < 9.95 ? "%.1fs" : "%.0fs", seconds);
  else if (s < 3600)
    snprintf(ret_text, PLM_NUMBER_TEXT, "%lldm%02llds", s / 60, s % 60);
  else
    snprintf(ret_text, PLM_NUMBER_TEXT, "%lldh%02lldm", s / 3600, s % 3600 / 60);
  uselocale(before);
  return ret_text;
}

char *plm_group_thousands(const char *digits, char *ret_end, const char *end) {
  const size_t whole = strspn(digits, "0123456789");
  for (size_t i = 0; digits[i] != '\0' && ret_end + 2 < end; i++) {
    if (i > 0 && i < whole && (whole - i) % 3 == 0) *ret_end++ = ',';
    *ret_end++ = digits[i];
  }
  *ret_end = '\0';
  return ret_end;
}

const char *plm_count_text(int64_t value, char ret_text[PLM_NUMBER_TEXT]) {
  char digits[PLM_NUMBER_TEXT];
  snprintf(digits, sizeof digits, "%lld", (long long)value);
  ret_text[0] = '-';
  plm_group_thousands(digits + (value < 0), ret_text + (value < 0), ret_text + PLM_NUMBER_TEXT);
  return ret_text;
}

const char *plm_plural(int64_t count, const char *one, const char *many) { return count == 1 ? one : many; }

const char *plm_counted(int64_t count, const char *one, const char *many, char ret_text[PLM_COUNTED_TEXT]) {
  char number[PLM_NUMBER_TEXT];
  snprintf(ret_text, PLM_COUNTED_TEXT, "%s %s", plm_count_text(count, number), plm_plural(count, one, many));
  return ret_text;
}

const char *plm_share_text(double part, double whole, char ret_text[PLM_NUMBER_TEXT]) {
  const double percent = whole > 0 ? 100 * part / whole : 0;
  int decimals = 1;
  for (double unit = 0.05; decimals < 9; decimals++, unit /= 10)
    if ((percent >= unit || part <= 0) && (100 - percent >= unit || part >= whole)) break;
  locale_t before = uselocale(c_locale());
  snprintf(ret_text, PLM_NUMBER_TEXT, "%.*f %%", decimals, percent);
  uselocale(before);
  return ret_text;
}

/* ---- the nearest of names ---- */

enum { LONGEST = 64 };

static int smaller(int a, int b) { return a < b ? a : b; }

/* Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours, each 1. Three rows of the
 * table suffice. */
static int edit_distance(const char *a, int a_length, const char *b, int b_length) {
  int rows[3][LONGEST + 1];
  int *before = rows[0], *above = rows[1], *row = rows[2];
  for (int j = 0; j <= b_length; j++) above[j] = j;
  for (int i = 1; i <= a_length; i++) {
    row[0] = i;
    for (int j = 1; j <= b_length; j++) {
      int substituted = above[j - 1] + (a[i - 1] != b[j - 1]);
      row[j] = smaller(smaller(above[j], row[j - 1]) + 1, substituted);
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = smaller(row[j], before[j - 2] + 1);
    }
    int *oldest = before;
    before = above;
    above = row;
    row = oldest;
  }
  return above[b_length];
}

const char *plm_nearest_name(const char *word, const char *const *names, size_t count) {
  size_t length = strlen(word);
  if (length == 0 || length > LONGEST) return NULL;
  int allowed = length < 3 ? 1 : (int)(length / 3);
  const char *nearest = NULL;
  for (size_t i = 0; i < count; i++) {
    size_t other = strlen(names[i]);
    if (other > LONGEST) continue;
    int distance = edit_distance(word, (int)length, names[i], (int)other);
    if (distance <= allowed && distance < (int)length) {
      nearest = names[i];
      allowed = distance - 1;
    }
  }
  return nearest;
}
