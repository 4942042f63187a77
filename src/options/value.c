/* value.c - one value: from text, with limits, and back to text. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "options/internal.h"
#include "base/text.h"

/* ---- limits ---- */

static bool has_min(const plm_option *o) {
  return (o->min != 0 || o->max != 0 || o->exclusive_min || o->exclusive_max) && !isinf(o->min);
}
static bool has_max(const plm_option *o) { return (o->max != 0 || o->min < 0 || o->exclusive_max) && !isinf(o->max); }

static void write_limit(const plm_option *option, const char *words, double limit, plm_text *out) {
  char number[PLM_NUMBER_TEXT];
  bool is_size = option->type == PLM_OPT_SIZE && fabs(limit) < 0x1p62;
  plm_text_printf(out, "%s %s", words,
                  is_size ? plm_bytes_text((int64_t)limit, number) : plm_number_text(limit, number));
  if (option->type == PLM_OPT_DURATION) plm_text_append(out, " s");
}

void plm_option_range_write(const plm_option *option, plm_text *out) {
  if (!has_min(option) && !has_max(option)) return;
  plm_text_append(out, "must be ");
  if (has_min(option) && has_max(option) && !option->exclusive_min && !option->exclusive_max) {
    write_limit(option, "between", option->min, out);
    write_limit(option, " and", option->max, out);
    return;
  }
  if (has_min(option)) write_limit(option, option->exclusive_min ? "greater than" : "at least", option->min, out);
  if (has_min(option) && has_max(option)) plm_text_append(out, " and ");
  if (has_max(option)) write_limit(option, option->exclusive_max ? "less than" : "at most", option->max, out);
}

static plm_status check_range(const plm_option *option, double value, const char *subject) {
  bool too_small = has_min(option) && (option->exclusive_min ? value <= option->min : value < option->min);
  bool too_large = has_max(option) && (option->exclusive_max ? value >= option->max : value > option->max);
  if (!too_small && !too_large) return PLM_OK;
  plm_text words = {0};
  plm_option_range_write(option, &words);
  char *range;
  PLM_TRY(plm_text_take(&words, &range));
  plm_status status = plm_fail(PLM_E_USAGE, "%s: %s", subject, range);
  plm_free(range);
  return status;
}

/* ---- text to value ---- */

bool plm_option_flag_read(const char *text, bool *ret_flag) {
  static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1", "f", "t", "n", "y"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (strcasecmp(text, words[i]) != 0) continue;
    *ret_flag = i % 2 == 1;
    return true;
  }
  return false;
}

static plm_status parse_flag(const char *text, const char *subject, bool *ret_flag) {
  if (plm_option_flag_read(text, ret_flag)) return PLM_OK;
  return plm_fail(PLM_E_USAGE, "%s: must be true or false", subject);
}

/* Decimal digits with an optional sign; *ret_end is what follows. False when there are none or they overflow. */
static bool parse_digits(const char *text, const char **ret_end, int64_t *ret_value) {
  const char *first = text + (*text == '-' || *text == '+');
  if (*first < '0' || *first > '9') return false;
  char *end;
  errno = 0;
  *ret_value = strtoll(text, &end, 10);
  *ret_end = end;
  return errno != ERANGE;
}

static plm_status parse_int(const char *text, const char *subject, int64_t *ret_value) {
  const char *end = text + (*text == '-' || *text == '+');
  if (*end == '\0' || strspn(end, "0123456789") != strlen(end))
    return plm_fail(PLM_E_USAGE, "%s: must be a whole number", subject);
  if (!parse_digits(text, &end, ret_value)) return plm_fail(PLM_E_USAGE, "%s: the number is too large", subject);
  return PLM_OK;
}

/* K, M, G, T in either case; for sizes also with B or iB. 0 if `suffix` is none of these. */
static int64_t factor_of(const char *suffix, bool is_size) {
  int64_t factor = 1, step = is_size ? 1024 : 1000;
  static const char letters[] = "KMGT";
  const char *letter = *suffix != '\0' ? strchr(letters, *suffix & ~0x20) : NULL;
  if (letter != NULL) {
    for (const char *l = letters; l <= letter; l++) factor *= step;
    suffix++;
    if (is_size && strcmp(suffix, "iB") == 0) suffix += 2;
  }
  if (is_size && strcmp(suffix, "B") == 0) suffix++;
  return *suffix == '\0' ? factor : 0;
}

/* Plain digits are multiplied exactly; 1.5M and 1e6 go through a double and must come out whole. */
static plm_status parse_count(const char *text, bool is_size, const char *subject, int64_t *ret_value) {
  const char *end;
  const char *expected = is_size ? "a size like 512M or 16G" : "a whole number like 5000 or 16K";
  if (strspn(text, "+-0123456789KMGTkmgtiBbE.e") != strlen(text) || *text == '\0')
    return plm_fail(PLM_E_USAGE, "%s: must be %s", subject, expected);
  int64_t whole;
  bool is_exact = parse_digits(text, &end, &whole) && factor_of(end, is_size) != 0;
  if (is_exact) {
    if (!__builtin_mul_overflow(whole, factor_of(end, is_size), ret_value)) return PLM_OK;
    return plm_fail(PLM_E_USAGE, "%s: the number is too large", subject);
  }
  double value;
  if (!plm_number_parse(text, &end, &value) || factor_of(end, is_size) == 0)
    return plm_fail(PLM_E_USAGE, "%s: must be %s", subject, expected);
  value *= (double)factor_of(end, is_size);
  if (fabs(value) >= 0x1p53) return plm_fail(PLM_E_USAGE, "%s: the number is too large", subject);
  if (value != floor(value)) return plm_fail(PLM_E_USAGE, "%s: must be %s", subject, expected);
  *ret_value = (int64_t)value;
  return PLM_OK;
}

static plm_status parse_number(const char *text, const char *subject, double *ret_value) {
  const char *end = text;
  if (plm_number_parse(text, &end, ret_value) && *end == '\0') return PLM_OK;
  bool is_number =
      *text != '\0' && strspn(text, "+-0123456789.eE") == strlen(text) && strpbrk(text, "eE0123456789") != NULL;
  char *tail;
  if (is_number && !isfinite(strtod(text, &tail)) && *tail == '\0')
    return plm_fail(PLM_E_USAGE, "%s: the number is too large", subject);
  return plm_fail(PLM_E_USAGE, "%s: must be a number", subject);
}

/* The choice's own text, as the table has it, copied: callers compare with strcmp. */
static plm_status parse_choice(const plm_option *option, const char *text, const char *subject, plm_arena *memory,
                               const char **ret_choice) {
  enum { MOST = 64 };
  const char *names[MOST];
  size_t count = 0, length;
  const char *rest = option->choices, *word;
  plm_text list = {0};
  while ((word = plm_option_next_word(&rest, "|", &length)) != NULL) {
    if (strlen(text) == length && memcmp(text, word, length) == 0) {
      plm_text_free(&list);
      return plm_arena_strdup(memory, text, ret_choice);
    }
    plm_text_append(&list, list.length > 0 ? ", " : "");
    plm_text_append_bytes(&list, word, length);
    void *name;
    plm_status status = plm_arena_alloc(memory, length + 1, &name);
    if (status != PLM_OK) {
      plm_text_free(&list);
      return status;
    }
    memcpy(name, word, length);
    if (count < MOST) names[count++] = name;
  }
  char *choices;
  PLM_TRY(plm_text_take(&list, &choices));
  plm_status status = plm_fail(PLM_E_USAGE, "%s: must be one of %s", subject, choices);
  plm_free(choices);
  const char *nearest = plm_nearest_name(text, names, count);
  return nearest != NULL ? plm_hint(status, "did you mean %s?", nearest) : status;
}

/* ---- names of files ---- */

bool plm_option_is_path(const plm_option *option) {
  return option->type == PLM_OPT_PATH || (option->type == PLM_OPT_PATHS && !option->is_words) ||
         (option->type == PLM_OPT_STRING && option->may_be_path);
}

plm_status plm_option_expand_home(const char *text, const char *subject, plm_arena *memory, const char **ret_path) {
  char *path;
  PLM_TRY(plm_path_expand_home(text, subject, &path));
  if (path[0] == '~' && !plm_file_exists(path)) {
    plm_free(path);
    return plm_hint(plm_fail(PLM_E_USAGE, "%s: there is no user %.*s", subject, (int)strcspn(text + 1, "/"), text + 1),
                    "~/ is your own home; a name that begins with ~ is written ./%s", text);
  }
  plm_status status = plm_arena_strdup(memory, path, ret_path);
  plm_free(path);
  return status;
}

/* Texts go into JSON and YAML, which hold nothing but UTF-8. An empty path is an unset shell variable; an empty string
 * means none. */
static plm_status parse_string(const plm_option *option, const char *text, const char *subject, plm_arena *memory,
                               const char **ret_string) {
  size_t length = strlen(text);
  for (size_t i = 0, used; i < length; i += used) {
    used = plm_utf8_length(text + i, length - i);
    if (used == 0) return plm_fail(PLM_E_USAGE, "%s: must be UTF-8 text", subject);
  }
  if (length == 0 && option->type != PLM_OPT_STRING)
    return plm_fail(PLM_E_USAGE, "%s: the file name is empty", subject);
  *ret_string = NULL;
  if (length > 0 && plm_option_is_path(option)) return plm_option_expand_home(text, subject, memory, ret_string);
  return length > 0 ? plm_arena_strdup(memory, text, ret_string) : PLM_OK;
}

plm_status plm_option_value_parse(const plm_option *option, const char *text, const char *subject, plm_arena *memory,
                                  plm_option_value *ret_value) {
  plm_option_value value = {0};
  switch (option->type) {
    case PLM_OPT_FLAG:
      PLM_TRY(parse_flag(text, subject, &value.flag));
      break;
    case PLM_OPT_INT:
      PLM_TRY(parse_int(text, subject, &value.integer));
      break;
    case PLM_OPT_COUNT:
      PLM_TRY(parse_count(text, false, subject, &value.integer));
      break;
    case PLM_OPT_SIZE:
      PLM_TRY(parse_count(text, true, subject, &value.integer));
      break;
    case PLM_OPT_NUMBER:
      PLM_TRY(parse_number(text, subject, &value.number));
      break;
    case PLM_OPT_DURATION:
      PLM_TRY(plm_option_duration_read(text, subject, &value.number));
      break;
    case PLM_OPT_CHOICE:
      PLM_TRY(parse_choice(option, text, subject, memory, &value.string));
      break;
    case PLM_OPT_STRING:
    case PLM_OPT_PATH:
    case PLM_OPT_PATHS:
      PLM_TRY(parse_string(option, text, subject, memory, &value.string));
      break;
  }
  bool is_integer = option->type == PLM_OPT_INT || option->type == PLM_OPT_COUNT || option->type == PLM_OPT_SIZE;
  bool is_number = option->type == PLM_OPT_NUMBER || option->type == PLM_OPT_DURATION;
  if (is_integer || is_number) PLM_TRY(check_range(option, is_integer ? (double)value.integer : value.number, subject));
  *ret_value = value;
  return PLM_OK;
}

/* ---- the field of the options struct ---- */

void plm_option_value_load(const plm_option *option, const void *options, plm_option_value *ret_value) {
  const void *field = (const char *)options + option->offset;
  *ret_value = (plm_option_value){0};
  switch (option->type) {
    case PLM_OPT_FLAG:
      ret_value->flag = *(const bool *)field;
      break;
    case PLM_OPT_INT:
    case PLM_OPT_COUNT:
    case PLM_OPT_SIZE:
      ret_value->integer = *(const int64_t *)field;
      break;
    case PLM_OPT_NUMBER:
    case PLM_OPT_DURATION:
      ret_value->number = *(const double *)field;
      break;
    case PLM_OPT_STRING:
    case PLM_OPT_PATH:
    case PLM_OPT_CHOICE:
      ret_value->string = *(const char *const *)field;
      break;
    case PLM_OPT_PATHS:
      break;
  }
}

void plm_option_value_store(const plm_option *option, void *options, const plm_option_value *value) {
  void *field = (char *)options + option->offset;
  switch (option->type) {
    case PLM_OPT_FLAG:
      *(bool *)field = value->flag;
      break;
    case PLM_OPT_INT:
    case PLM_OPT_COUNT:
    case PLM_OPT_SIZE:
      *(int64_t *)field = value->integer;
      break;
    case PLM_OPT_NUMBER:
    case PLM_OPT_DURATION:
      *(double *)field = value->number;
      break;
    case PLM_OPT_STRING:
    case PLM_OPT_PATH:
    case PLM_OPT_CHOICE:
      *(const char **)field = value->string;
      break;
    case PLM_OPT_PATHS:
      break;
  }
}

bool plm_option_value_equal(const plm_option *option, const plm_option_value *a, const plm_option_value *b) {
  switch (option->type) {
    case PLM_OPT_FLAG:
      return a->flag == b->flag;
    case PLM_OPT_INT:
    case PLM_OPT_COUNT:
    case PLM_OPT_SIZE:
      return a->integer == b->integer;
    case PLM_OPT_NUMBER:
    case PLM_OPT_DURATION:
      return a->number == b->number;
    default:
      return a->string == b->string || (a->string != NULL && b->string != NULL && strcmp(a->string, b->string) == 0);
  }
}

void plm_option_value_write(const plm_option *option, const plm_option_value *value, plm_text *out) {
  char number[PLM_NUMBER_TEXT];
  switch (option->type) {
    case PLM_OPT_FLAG:
      plm_text_append(out, value->flag ? "true" : "false");
      break;
    case PLM_OPT_INT:
    case PLM_OPT_COUNT:
    case PLM_OPT_SIZE:
      plm_text_printf(out, "%" PRId64, value->integer);
      break;
    case PLM_OPT_NUMBER:
      plm_text_append(out, plm_number_text(value->number, number));
      break;
    case PLM_OPT_DURATION:
      plm_text_printf(out, "%ss", plm_number_text(value->number, number));
      break;
    default:
      plm_text_append(out, value->string != NULL ? value->string : "");
      break;
  }
}
