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

const char *plm_bytes_text(int64_t bytes, char ret_text[PLM_NUMBER_TEXT]) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes > -1024 && bytes < 1024) {
    snprintf(ret_text, PLM_NUMBER_TEXT, "%lld B", (long long)bytes);
    return ret_text;
  }
  double value = (double)bytes;
  size_t unit = 0;
  /* 1023.5 would print as 1024: the next unit reads better. */
  for (; fabs(value) >= 1023.5 && unit + 1 < sizeof units / sizeof *units; unit++) value /= 1024;
  int decimals = fabs(value) < 9.995 ? 2 : fabs(value) < 99.95 ? 1 : 0;
  locale_t before = uselocale(c_locale());
  snprintf(ret_text, PLM_NUMBER_TEXT, "%.*f %s", decimals, value, units[unit]);
  uselocale(before);
  return ret_text;
}

const char *plm_count_text(int64_t value, char ret_text[PLM_NUMBER_TEXT]) {
  char digits[PLM_NUMBER_TEXT];
  size_t length = (size_t)snprintf(digits, sizeof digits, "%lld", (long long)value), used = 0;
  for (size_t i = 0; i < length; i++) {
    if (i > 0 && digits[i - 1] != '-' && (length - i) % 3 == 0) ret_text[used++] = ',';
    ret_text[used++] = digits[i];
  }
  ret_text[used] = '\0';
  return ret_text;
}
