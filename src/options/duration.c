/* duration.c - times as people type them (1h30m), and as Slurm writes them (1-12:00:00). */
#include <math.h>
#include <string.h>

#include "options/internal.h"
#include "protlm/log.h"

/* "h", "hr", "hours": its seconds, and *rest past it; 0 for other words. */
static double take_unit(const char **rest) {
  static const struct {
    const char *words;
    double seconds;
  } units[] = {{"s sec secs second seconds", 1},
               {"m min mins minute minutes", 60},
               {"h hr hrs hour hours", 3600},
               {"d day days", 86400}};
  const size_t letters = strspn(*rest, "abcdefghijklmnopqrstuvwxyz");
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    const char *words = units[i].words, *word;
    size_t length;
    while ((word = plm_option_next_word(&words, " ", &length)) != NULL) {
      if (length != letters || memcmp(*rest, word, length) != 0) continue;
      *rest += length;
      return units[i].seconds;
    }
  }
  return 0;
}

/* "1h30m", "1 hour 30 min": false for what is not of this form. A number without a unit is seconds, and stands alone. */
static bool parse_units(const char *text, double *ret_seconds) {
  const char *rest = text + strspn(text, " ");
  double total = 0;
  do {
    double part;
    if (!plm_number_parse(rest, &rest, &part) || part < 0) return false;
    rest += strspn(rest, " ");
    const double unit = *rest == '\0' && total == 0 ? 1 : take_unit(&rest);
    if (unit == 0) return false;
    total += part * unit;
    rest += strspn(rest, " ");
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

/* Slurm's MM:SS, HH:MM:SS, D-HH, D-HH:MM and D-HH:MM:SS (man sbatch). As there, a field may pass the next unit:
 * 0-48:00:00 are two days, 1:60:00 are two hours. *ret_passes: one behind the first does. */
static bool parse_clock(const char *text, double *ret_seconds, bool *ret_passes) {
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
  *ret_passes = false;
  for (int i = 0; i < count; i++) {
    if (i > 0 && fields[i] >= units[first + i].next) *ret_passes = true;
    total += (double)fields[i] * units[first + i].seconds;
  }
  *ret_seconds = total;
  return true;
}

plm_status plm_option_duration_read(const char *text, const char *subject, double *ret_seconds) {
  enum { LONG = 10000000 }; /* nobody means as many minutes */
  char words[PLM_NUMBER_TEXT];
  bool passes;
  if (parse_units(text, ret_seconds)) {
    if (*ret_seconds > 0 && *ret_seconds < LONG && strspn(text, "+0123456789. ") == strlen(text))
      plm_info("%s is in seconds; Slurm reads such a number as minutes, which are written %sm", subject, text);
    return PLM_OK;
  }
  if (!parse_clock(text, ret_seconds, &passes))
    return plm_hint(plm_fail(PLM_E_USAGE, "%s: must be a time like 90s, 30m, 2h, 1d or 1h30m", subject),
                    "or as Slurm writes it: MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS");
  if (passes)
    plm_info("%s is read as %s, as Slurm does", subject, plm_duration_text(*ret_seconds, words));
  else if (*ret_seconds > 0 && strchr(text, '-') == NULL && strchr(text, ':') == strrchr(text, ':'))
    plm_info("%s is read as minutes and seconds, as Slurm does: %s", subject, plm_duration_text(*ret_seconds, words));
  return PLM_OK;
}
