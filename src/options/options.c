/* options.c - the set of values: made with defaults, found by name, set by one source after another.
 *
 * Read include/protlm/options.h first. Chapters: value.c (one value as text), parse.c (command line,
 * environment), paths.c (lists and patterns), config.c (YAML), help.c (help, configuration), complete.c, dump.c.
 */
#include "protlm/options.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "options/internal.h"
#include "base/text.h"

/* ---- names ---- */

/* The first `length` characters; underscores are dashes. */
static bool begins_alike(const char *a, const char *b, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (a[i] == '\0' || (a[i] == '_' ? '-' : a[i]) != (b[i] == '_' ? '-' : b[i])) return false;
  return true;
}

static bool is_same_name(const char *a, size_t length, const char *b) {
  return strlen(b) == length && begins_alike(a, b, length);
}

const plm_option *plm_option_find(const plm_option_table *table, const char *name) {
  for (size_t i = 0; i < table->count; i++) {
    const plm_option *option = &table->options[i];
    const char *rest = option->aliases, *word = option->name;
    size_t length = strlen(word);
    do
      if (is_same_name(word, length, name)) return option;
    while ((word = plm_option_next_word(&rest, " ", &length)) != NULL);
  }
  return NULL;
}

const char *plm_option_source_name(plm_option_source source) {
  switch (source) {
    case PLM_FROM_DEFAULT:
      return "default";
    case PLM_FROM_PRESET:
      return "preset";
    case PLM_FROM_CONFIG:
      return "config file";
    case PLM_FROM_ENVIRONMENT:
      return "environment";
    case PLM_FROM_COMMAND_LINE:
      return "command line";
  }
  return "unknown source";
}

/* ---- names that are not there ---- */

static const char *without_dashes(const char *name) { return name + strspn(name, "-"); }

/* `pattern` may end in a star. */
static bool matches(const char *name, const char *pattern, size_t length) {
  const bool is_open = length > 0 && pattern[length - 1] == '*';
  if (is_open) length--;
  return begins_alike(name, pattern, length) && (is_open || name[length] == '\0');
}

/* "--fp16 False", "eval_strategy: no" */
static bool is_falsy(const char *value) {
  static const char *const words[] = {"false", "no", "none", "null", "0", "off", "~"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strcasecmp(value, words[i]) == 0) return true;
  return false;
}

/* What is no switch, or is on here whatever one writes: there the usual advice holds for false, too. */
static bool is_on_anyway(const char *name, const char *advice) {
  static const char *const parts[] = {"rank", "seed", "device", "gpu",    "cpu",  "cuda",   "tokenizer",
                                      "mlm",  "full", "column", "better", "clip", "warmup", "num"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (strstr(name, parts[i]) != NULL) return true;
  return strstr(advice, "always") != NULL;
}

static const char *advice_for_value(const plm_option_table *table, const char *name, const char *text) {
  for (const plm_foreign_value *row = table->foreign_values; row != NULL && row->option != NULL; row++) {
    const char *rest = row->values, *pattern;
    size_t length;
    if (!is_same_name(name, strlen(name), row->option)) continue;
    while ((pattern = plm_option_next_word(&rest, " ", &length)) != NULL)
      if (matches(text, pattern, length)) return row->advice;
  }
  return NULL;
}

const char *plm_option_foreign_advice(const plm_option_table *table, const char *name, const char *value) {
  for (const plm_foreign_option *row = table->foreign; row != NULL && row->name != NULL; row++) {
    const char *pattern = without_dashes(row->name);
    if (!matches(name, pattern, strlen(pattern))) continue;
    if (value == NULL || !is_falsy(value)) return row->advice;
    const char *special = advice_for_value(table, name, "false");
    if (special != NULL) return special;
    return is_on_anyway(name, row->advice) ? row->advice : "it is off here anyway: leave this out";
  }
  return begins_alike(name, "no-", 3) ? plm_option_foreign_advice(table, name + 3, "false") : NULL;
}

static bool is_number(const plm_option *option) {
  return option->type == PLM_OPT_INT || option->type == PLM_OPT_COUNT || option->type == PLM_OPT_SIZE ||
         option->type == PLM_OPT_NUMBER || option->type == PLM_OPT_DURATION;
}

/* The advice for a value that has a meaning in other programs alone; NULL. */
static const char *foreign_value_advice(const plm_option_table *table, const plm_option *option, const char *text) {
  const char *advice = advice_for_value(table, option->name, text);
  if (advice != NULL) return advice;
  const bool is_none = strcasecmp(text, "none") == 0 || strcasecmp(text, "null") == 0;
  return is_none && is_number(option) ? "leave it out" : NULL;
}

/* Every name one may write, without hidden ones, `no-` before flags included. */
static plm_status list_names(const plm_option_table *table, plm_arena *memory, plm_string_list *names) {
  for (size_t i = 0; i < table->count; i++) {
    const plm_option *option = &table->options[i];
    if (option->group == NULL) continue;
    const char *rest = option->aliases, *word = option->name;
    size_t length = strlen(word);
    do {
      char name[PLM_LONGEST_OPTION + 4] = "no-";
      if (length < 2 || length > PLM_LONGEST_OPTION) continue;
      memcpy(name + 3, word, length);
      PLM_TRY(plm_string_list_append(memory, names, name + 3));
      if (option->type == PLM_OPT_FLAG) PLM_TRY(plm_string_list_append(memory, names, name));
    } while ((word = plm_option_next_word(&rest, " ", &length)) != NULL);
  }
  return PLM_OK;
}

/* The nearest in spelling, else the only one or the first that begins so: names are never cut short, but people try. */
static const char *guess(const plm_string_list *names, const char *name) {
  const char *nearest = plm_nearest_name(name, names->items, names->count);
  for (size_t i = 0; i < names->count && nearest == NULL; i++)
    if (strlen(name) >= 2 && strncmp(names->items[i], name, strlen(name)) == 0) nearest = names->items[i];
  return nearest;
}

plm_status plm_option_fail_unknown(const plm_option_table *table, const char *spelled, const char *name,
                                   const char *value, int dashes, const char *where) {
  const char *advice = plm_option_foreign_advice(table, name, value);
  if (advice != NULL)
    return plm_hint(plm_fail(PLM_E_USAGE, "%s%s is not an option of protlm", where, spelled), "%s", advice);
  char asked[PLM_LONGEST_OPTION + 1] = "";
  for (size_t i = 0; name[i] != '\0' && i < PLM_LONGEST_OPTION; i++) asked[i] = name[i] == '_' ? '-' : name[i];
  plm_arena *memory;
  plm_string_list names = {0};
  const char *nearest = NULL;
  if (plm_arena_create(&memory) == PLM_OK) {
    if (list_names(table, memory, &names) == PLM_OK) nearest = guess(&names, asked);
  } else {
    memory = NULL; /* then there is no suggestion */
  }
  plm_status status = plm_fail(PLM_E_USAGE, "%sunknown option %s", where, spelled);
  if (nearest != NULL)
    plm_hint(status, "did you mean %s%s?", dashes == 0 ? "" : "--", nearest);
  else
    plm_hint(status, "`protlm %s --help` lists the options", table->command);
  plm_arena_destroy(memory);
  return status;
}

/* ---- lists ---- */

plm_string_list *plm_option_list(const plm_option_values *values, size_t offset) {
  return (plm_string_list *)(void *)((char *)values->options + offset);
}

/* Room doubles whenever the count is a power of two; the arena keeps the old arrays until the end. */
plm_status plm_string_list_append(plm_arena *memory, plm_string_list *list, const char *item) {
  if ((list->count & (list->count - 1)) == 0) {
    void *bigger;
    PLM_TRY(plm_arena_alloc(memory, 2 * (list->count + 1) * sizeof *list->items, &bigger));
    if (list->count > 0) memcpy(bigger, list->items, list->count * sizeof *list->items);
    list->items = bigger;
  }
  PLM_TRY(plm_arena_strdup(memory, item, &list->items[list->count]));
  list->count++;
  return PLM_OK;
}

/* ---- setting ---- */

static plm_option_source *source_of(const plm_option_values *values, const plm_option *option) {
  return &values->source[option - values->table->options];
}

static plm_status fail_given_twice(const plm_option *option, const plm_option_value *before,
                                   const plm_option_value *now) {
  plm_text words = {0};
  plm_option_value_write(option, before, &words);
  plm_text_append(&words, " and ");
  plm_option_value_write(option, now, &words);
  char *both;
  PLM_TRY(plm_text_take(&words, &both));
  plm_status status = plm_fail(PLM_E_USAGE, "--%s given twice: %s", option->name, both);
  plm_free(both);
  return status;
}

static plm_status apply_item(plm_option_values *values, const plm_option *option, const char *item,
                             plm_option_source source) {
  plm_option_source *known = source_of(values, option);
  if (source < *known) return PLM_OK;
  plm_string_list *list = plm_option_list(values, option->offset);
  if (source > *known) *list = (plm_string_list){0};
  *known = source;
  return plm_string_list_append(values->memory, list, item);
}

plm_status plm_option_apply_empty_list(plm_option_values *values, const plm_option *option, plm_option_source source) {
  plm_option_source *known = source_of(values, option);
  if (source < *known) return PLM_OK;
  *plm_option_list(values, option->offset) = (plm_string_list){0};
  *known = source;
  return PLM_OK;
}

/* A value is checked even where a stronger source hides it: a mistake should not wait for the day when it doesn't. */
plm_status plm_option_apply(plm_option_values *values, const plm_option *option, const char *name, const char *text,
                            plm_option_source source, const char *subject) {
  plm_option_value value, before;
  const char *advice = foreign_value_advice(values->table, option, text);
  if (advice != NULL)
    return plm_hint(plm_fail(PLM_E_USAGE, "%s: not a value that protlm takes", subject), "%s", advice);
  PLM_TRY(plm_option_value_parse(option, text, subject, values->memory, &value));
  if (option->share_alias != NULL && value.number >= 1 && is_same_name(name, strlen(name), option->share_alias))
    return plm_hint(plm_fail(PLM_E_USAGE, "%s: %s is a share, which is less than 1", subject, option->share_alias),
                    "a number of steps is given as --%s %g", option->name, value.number);
  if (option->type == PLM_OPT_PATHS) return apply_item(values, option, value.string, source);
  plm_option_source *known = source_of(values, option);
  if (source < *known) return PLM_OK;
  if (source == *known && source != PLM_FROM_DEFAULT) {
    plm_option_value_load(option, values->options, &before);
    if (!plm_option_value_equal(option, &before, &value)) return fail_given_twice(option, &before, &value);
  }
  plm_option_value_store(option, values->options, &value);
  *known = source;
  return PLM_OK;
}

plm_status plm_option_set(plm_option_values *values, const char *name, const char *text, plm_option_source source,
                          const char *origin) {
  bool has_origin = origin != NULL && *origin != '\0';
  char subject[512], where[256] = "";
  if (has_origin) snprintf(where, sizeof where, "%s: ", origin);
  const plm_option *option = plm_option_find(values->table, name);
  if (option == NULL) {
    char spelled[PLM_LONGEST_OPTION + 3];
    snprintf(spelled, sizeof spelled, "--%s", name);
    return plm_option_fail_unknown(values->table, spelled, name, text, 2, where);
  }
  snprintf(subject, sizeof subject, *text != '\0' ? "%s--%s %.100s" : "%s--%s '%s'", where, option->name, text);
  return plm_option_apply(values, option, name, text, source, subject);
}

plm_option_source plm_option_origin(const plm_option_values *values, const char *name) {
  const plm_option *option = plm_option_find(values->table, name);
  return option != NULL ? *source_of(values, option) : PLM_FROM_DEFAULT;
}

/* ---- the set ---- */

static plm_status set_defaults(plm_option_values *values) {
  for (size_t i = 0; i < values->table->count; i++) {
    const plm_option *option = &values->table->options[i];
    if (option->default_value == NULL) continue;
    plm_status status = plm_option_set(values, option->name, option->default_value, PLM_FROM_DEFAULT, NULL);
    if (status == PLM_E_USAGE)
      return plm_fail(PLM_E_BUG, "the option table of '%s': default of %s", values->table->command,
                      plm_error_message());
    PLM_TRY(status);
  }
  return PLM_OK;
}

plm_status plm_option_values_create(const plm_option_table *table, plm_option_values **ret_values) {
  plm_option_values *values;
  plm_status status;
  void *memory;
  PLM_TRY(PLM_NEW(&values, 1));
  values->table = table;
  PLM_TRY_GOTO(plm_arena_create(&values->memory), fail);
  PLM_TRY_GOTO(plm_arena_alloc(values->memory, table->struct_size, &memory), fail);
  values->options = memory;
  PLM_TRY_GOTO(plm_arena_alloc(values->memory, (table->count + 1) * sizeof *values->source, &memory), fail);
  values->source = memory;
  PLM_TRY_GOTO(set_defaults(values), fail);
  *ret_values = values;
  return PLM_OK;
fail:
  plm_option_values_destroy(values);
  return status;
}

void plm_option_values_destroy(plm_option_values *values) {
  if (values == NULL) return;
  plm_arena_destroy(values->memory);
  plm_free(values);
}

bool plm_option_is_unset(const plm_option_values *values, const plm_option *option) {
  if (option->type == PLM_OPT_PATHS)
    return *source_of(values, option) == PLM_FROM_DEFAULT && plm_option_list(values, option->offset)->count == 0;
  plm_option_value value, zero = {0};
  plm_option_value_load(option, values->options, &value);
  bool is_text = option->type == PLM_OPT_STRING || option->type == PLM_OPT_PATH || option->type == PLM_OPT_CHOICE;
  if (is_text) return value.string == NULL;
  bool has_words =
      option->default_value != NULL || option->type == PLM_OPT_FLAG || *source_of(values, option) != PLM_FROM_DEFAULT;
  return !has_words && plm_option_value_equal(option, &value, &zero); /* the program may have filled it in */
}

plm_status plm_option_text(const plm_option_values *values, const plm_option *option, char **ret_text) {
  plm_text out = {0};
  if (option->type == PLM_OPT_PATHS) {
    const plm_string_list *list = plm_option_list(values, option->offset);
    for (size_t i = 0; i < list->count; i++) plm_text_printf(&out, i > 0 ? " %s" : "%s", list->items[i]);
  } else if (!plm_option_is_unset(values, option)) {
    plm_option_value value;
    plm_option_value_load(option, values->options, &value);
    plm_option_value_write(option, &value, &out);
  }
  return plm_text_take(&out, ret_text);
}
