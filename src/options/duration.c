/* duration.c - times as people type them (1h30m), and as Slurm writes them (1-12:00:00). */
#include <math.h>
#include <string.h>

#include "options/internal.h"
#include "protlm/log.h"

/* "1h30m": false for what is not of this form. A number without a unit is seconds, and stands alone. */
static bool parse_units(const char *text, double *ret_seconds) {
  static const struct {
    char letter;
    double seconds;
  } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
  const char *rest = text;
  double total = 0;
  do {
    double part, unit = 0;
    if (!plm_number_parse(rest, &rest, &part) || part < 0) return false;
    if (*rest == '\0' && total == 0) unit = 1;
    for (size_t i = 0; i < sizeof units / sizeof *units && unit == 0; i++)
      if (*rest == units[i].letter) unit = units[i].seconds, rest++;
    if (unit == 0) return false;
    total += part * unit;
  } while (*rest != '\0');
  *ret_seconds = total;
  return isfinite(total);
}

/* At most nine digits; *ret_rest is what follows. */
static bool read_digits(const char *text, const char **ret_rest, int64_t *ret_value) {
  const size_t count = strspn(text, "0123456789");
  *ret_value = 0;
  for (size_t i = 0; i < count && count < 10; i++) *ret_value = 10 * *ret_value + (text[i] - '0');
  *ret_rest = text + count;
  return count > 0 && count < 10;
}

/* "1", "00", "30": the numbers between one dash and colons. False where there is anything else. */
static bool split_clock(const char *text, int64_t fields[4], int *ret_count, bool *ret_has_days) {
  *ret_count = 0;
  *ret_has_days = false;
  for (const char *rest = text;; rest++) {
    if (*ret_count == 4 || !read_digits(rest, &rest, &fields[*ret_count])) return false;
    const bool is_first = (*ret_count)++ == 0;
    if (*rest == '\0') return *ret_count > 1;
    if (*rest == '-' && is_first)
      *ret_has_days = true;
    else if (*rest != ':')
      return false;
  }
}

/* Slurm's MM:SS, HH:MM:SS, D-HH, D-HH:MM and D-HH:MM:SS (man sbatch). A field behind others is less than the next unit,
 * but behind zeros: 0-48:00:00 are two days. */
static bool parse_clock(const char *text, double *ret_seconds) {
  static const struct {
    double seconds;
    int64_t next;
  } units[] = {{86400, INT64_MAX}, {3600, 24}, {60, 60}, {1, 60}};
  int64_t fields[4];
  int count;
  bool has_days;
  if (!split_clock(text, fields, &count, &has_days) || (!has_days && count > 3)) return false;
  const int first = has_days ? 0 : 4 - count;
  double total = 0;
  for (int i = 0; i < count; i++) {
    if (total > 0 && fields[i] >= units[first + i].next) return false;
    total += (double)fields[i] * units[first + i].seconds;
  }
  *ret_seconds = total;
  return true;
}

plm_status plm_option_duration_read(const char *text, const char *subject, double *ret_seconds) {
  char words[PLM_NUMBER_TEXT];
  if (parse_units(text, ret_seconds)) {
    if (*ret_seconds > 0 && strspn(text, "+0123456789.") == strlen(text))
      plm_info("%s is in seconds; Slurm reads such a number as minutes, which are written %sm", subject, text);
    return PLM_OK;
  }
  if (!parse_clock(text, ret_seconds))
    return plm_hint(plm_fail(PLM_E_USAGE, "%s: must be a time like 90s, 30m, 2h, 1d or 1h30m", subject),
                    "or as Slurm writes it: MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS");
  if (*ret_seconds > 0 && strchr(text, '-') == NULL && strchr(text, ':') == strrchr(text, ':'))
    plm_info("%s is read as minutes and seconds, as Slurm does: %s", subject, plm_duration_text(*ret_seconds, words));
  return PLM_OK;
}
