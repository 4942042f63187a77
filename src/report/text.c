/* text.c - words and numbers as they stand on the page. */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "report/internal.h"

static const char REPLACEMENT[] = "\xEF\xBF\xBD"; /* U+FFFD */
static const char DASH[] = "\xE2\x80\x93";
static const char MINUS[] = "\xE2\x88\x92";

void plm_html_escape(plm_text *html, const char *words) {
  for (size_t rest = strlen(words); rest > 0;) {
    size_t length = plm_utf8_length(words, rest);
    unsigned char c = (unsigned char)*words;
    if (c == '&')
      plm_text_append(html, "&amp;");
    else if (c == '<')
      plm_text_append(html, "&lt;");
    else if (c == '>')
      plm_text_append(html, "&gt;");
    else if (c == '"')
      plm_text_append(html, "&quot;");
    else if (c == '\'')
      plm_text_append(html, "&#39;");
    else if (length == 0 || (c < 0x20 && c != '\t' && c != '\n') || c == 0x7F)
      plm_text_append(html, REPLACEMENT);
    else
      plm_text_append_bytes(html, words, length);
    length = length == 0 ? 1 : length;
    words += length;
    rest -= length;
  }
}

/* `plain` with a comma before every third digit of its whole part, and a true minus sign. */
static const char *group_thousands(const char *plain, char ret_text[PLM_LABEL]) {
  const bool is_negative = *plain == '-';
  if (is_negative) memcpy(ret_text, MINUS, sizeof MINUS - 1);
  plm_group_thousands(plain + is_negative, ret_text + (is_negative ? sizeof MINUS - 1 : 0), ret_text + PLM_LABEL);
  return ret_text;
}

static const char *copy_label(const char *words, char ret_text[PLM_LABEL]) {
  snprintf(ret_text, PLM_LABEL, "%s", words);
  return ret_text;
}

const char *plm_label_decimals(double value, int decimals, char ret_text[PLM_LABEL]) {
  if (!isfinite(value)) return copy_label(DASH, ret_text);
  if (fabs(value) >= 1e15) {
    char plain[PLM_NUMBER_TEXT];
    return copy_label(plm_number_digits(value, 3, plain), ret_text);
  }
  if (decimals > 15) decimals = 15; /* a double has no more, and 10^15 fits an integer */
  /* Digits of a rounded integer: independent of the locale's decimal point. */
  double scale = pow(10, decimals), scaled = round(fabs(value) * scale);
  char plain[PLM_LABEL];
  const char *sign = value < 0 && scaled > 0 ? "-" : "";
  if (decimals == 0 || scaled >= 1e18)
    snprintf(plain, sizeof plain, "%s%.0f", sign, scaled / scale);
  else
    snprintf(plain, sizeof plain, "%s%lld.%0*lld", sign, (long long)scaled / (long long)scale, decimals,
             (long long)scaled % (long long)scale);
  return group_thousands(plain, ret_text);
}

const char *plm_label_count(double value, char ret_text[PLM_LABEL]) { return plm_label_decimals(value, 0, ret_text); }

const char *plm_label_value(double value, int digits, char ret_text[PLM_LABEL]) {
  if (!isfinite(value)) return copy_label(DASH, ret_text);
  double size = fabs(value);
  if (size > 0 && size < 1e-3) { /* 4.0e-4 as people write it: 4.0×10⁻⁴ */
    int exponent = (int)floor(log10(size) + 1e-9);
    char mantissa[PLM_LABEL];
    snprintf(ret_text, PLM_LABEL,
             "%s\xC3\x97"
             "10<sup>%s%d</sup>",
             plm_label_decimals(value / pow(10, exponent), digits > 3 ? 2 : 1, mantissa), MINUS, -exponent);
    return ret_text;
  }
  int before_point = size < 1 ? 1 : (int)floor(log10(size) + 1e-9) + 1;
  if (size > 0 && size < 1)
    before_point = (int)floor(log10(size) + 1e-9) + 1; /* 0.0123: leading zeros are not significant */
  return plm_label_decimals(value, digits > before_point ? digits - before_point : 0, ret_text);
}

const char *plm_label_short(double value, char ret_text[PLM_LABEL]) {
  static const struct {
    double size;
    const char *suffix;
  } units[] = {{1e12, " T"}, {1e9, " G"}, {1e6, " M"}};
  char number[PLM_LABEL];
  if (!isfinite(value)) return copy_label(DASH, ret_text);
  for (size_t i = 0; i < sizeof units / sizeof *units; i++)
    if (fabs(value) >= units[i].size) {
      snprintf(ret_text, PLM_LABEL, "%.40s%s", plm_label_value(value / units[i].size, 3, number), units[i].suffix);
      return ret_text;
    }
  return plm_label_count(value, ret_text);
}

const char *plm_label_duration(double seconds, char ret_text[PLM_LABEL]) {
  if (!isfinite(seconds) || seconds < 0 || seconds > 1e12) return copy_label(DASH, ret_text);
  long long s = llround(seconds), days = s / 86400, hours = s / 3600 % 24, minutes = s / 60 % 60;
  if (seconds < 9.95)
    snprintf(ret_text, PLM_LABEL, "%lld.%lld s", llround(seconds * 10) / 10, llround(seconds * 10) % 10);
  else if (s < 60)
    snprintf(ret_text, PLM_LABEL, "%lld s", s);
  else if (s < 3600)
    snprintf(ret_text, PLM_LABEL, "%lld min %02lld s", minutes, s % 60);
  else if (days == 0)
    snprintf(ret_text, PLM_LABEL, "%lld h %02lld min", hours, minutes);
  else
    snprintf(ret_text, PLM_LABEL, "%lld d %lld h", days, hours);
  return ret_text;
}

const char *plm_label_time(double unix_time, char ret_text[PLM_LABEL]) {
  struct tm utc;
  if (!isfinite(unix_time) || fabs(unix_time) > 1e11) return copy_label(DASH, ret_text);
  time_t seconds = (time_t)unix_time;
  if (gmtime_r(&seconds, &utc) == NULL || strftime(ret_text, PLM_LABEL, "%Y-%m-%d %H:%M UTC", &utc) == 0)
    return copy_label(DASH, ret_text);
  return ret_text;
}
