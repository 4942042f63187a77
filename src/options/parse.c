/* parse.c - the command line and the environment. */
#define _GNU_SOURCE
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options/internal.h"
#include "protlm/log.h"
#include "base/text.h"

/* ---- command line ---- */

/* One command line on its way through. */
typedef struct scan {
  plm_option_values *values;
  int argc, next;
  char *const *argv;
} scan;

/* One word taken apart: "--name=value", "--no-name", "-n". */
typedef struct spelling {
  char option[PLM_LONGEST_OPTION + 4]; /* as typed, with dashes: "--name" */
  const char *name;                    /* into `option`, after the dashes */
  const char *value;                   /* after '=', or NULL */
  bool is_negated;                     /* --no-name */
} spelling;

/* A lone dash is standard input, and -5 is a number. */
static bool looks_like_option(const char *word) {
  return word[0] == '-' && word[1] != '\0' && !isdigit((unsigned char)word[1]) && word[1] != '.';
}

static plm_status fail_unknown_word(const scan *s, const spelling *spelled) {
  const plm_option_table *table = s->values->table;
  const char *next = s->next < s->argc ? s->argv[s->next] : NULL;
  const char *given = spelled->value != NULL ? spelled->value : next;
  plm_status status = plm_option_fail_unknown(table, spelled->option, spelled->name, given, 2, "");
  bool is_short = spelled->option[1] != '-';
  char first[2] = {spelled->name[0], '\0'};
  const plm_option *meant = plm_option_find(table, spelled->name);
  if (meant != NULL && is_short) return plm_hint(status, "did you mean --%s?", spelled->name);
  if (meant != NULL) return plm_hint(status, "did you mean -%s?", spelled->name);
  if (is_short && strcmp(spelled->name, "bs") == 0 && plm_option_find(table, "b") != NULL)
    return plm_hint(status, "did you mean -b%s%.20s?", given != NULL ? " " : "", given != NULL ? given : "");
  if (is_short && (meant = plm_option_find(table, first)) != NULL && meant->type != PLM_OPT_FLAG)
    return plm_hint(status, "did you mean -%c %s?", first[0], spelled->name + 1);
  return status;
}

/* Take `word` apart and find its option. Long names want two dashes, one-letter names one. */
static plm_status find_spelled(const scan *s, const char *word, spelling *ret_spelled, const plm_option **ret_option) {
  const plm_option_table *table = s->values->table;
  spelling *spelled = ret_spelled;
  size_t dashes = word[1] == '-' ? 2 : 1, length = strcspn(word, "=");
  bool is_too_long = length > sizeof spelled->option - 1;
  snprintf(spelled->option, sizeof spelled->option, "%.*s", (int)(is_too_long ? sizeof spelled->option - 1 : length),
           word);
  spelled->name = spelled->option + dashes;
  spelled->value = word[length] == '=' ? word + length + 1 : NULL;
  spelled->is_negated = false;
  bool is_long = strlen(spelled->name) != 1;
  const plm_option *option = is_long == (dashes == 2) && !is_too_long ? plm_option_find(table, spelled->name) : NULL;
  if (option == NULL && dashes == 2 && strncmp(spelled->name, "no", 2) == 0 &&
      (spelled->name[2] == '-' || spelled->name[2] == '_')) {
    const plm_option *flag = plm_option_find(table, spelled->name + 3);
    if (flag != NULL && flag->type != PLM_OPT_FLAG)
      return plm_hint(plm_fail(PLM_E_USAGE, "unknown option %s", spelled->option),
                      "--%s takes a value: it cannot be negated", flag->name);
    option = flag;
    spelled->is_negated = flag != NULL;
  }
  if (option == NULL) return fail_unknown_word(s, spelled);
  *ret_option = option;
  return PLM_OK;
}

static plm_status apply_typed(const scan *s, const plm_option *option, const spelling *spelled, const char *value) {
  char subject[256];
  snprintf(subject, sizeof subject, *value != '\0' ? "%s %.100s" : "%s '%s'", spelled->option, value);
  return plm_option_apply(s->values, option, spelled->name, value, PLM_FROM_COMMAND_LINE, subject);
}

/* --flag, --no-flag, --flag=true; and `--bf16 True`, as other programs want it, where the word can be nothing else. */
static plm_status take_flag(scan *s, const plm_option *option, const spelling *spelled) {
  const char *value = spelled->value;
  if (spelled->is_negated) {
    if (value != NULL)
      return plm_hint(plm_fail(PLM_E_USAGE, "%s=%s: a negated flag takes no value", spelled->option, value),
                      "write --%s=%s", option->name, value);
    return apply_typed(s, option, spelled, "false");
  }
  const char *next = s->next < s->argc ? s->argv[s->next] : "";
  bool flag;
  if (value == NULL && s->values->table->positional == NULL && plm_option_flag_read(next, &flag)) {
    value = next;
    s->next++;
  }
  return apply_typed(s, option, spelled, value != NULL ? value : "true");
}

static plm_status check_typed_files(const scan *s, const plm_option *option) {
  if (option->type != PLM_OPT_PATHS || !plm_option_is_path(option)) return PLM_OK;
  return plm_option_check_files(option, plm_option_list(s->values, option->offset), PLM_FROM_COMMAND_LINE, "",
                                s->values->memory);
}

static plm_status take_value(scan *s, const plm_option *option, const spelling *spelled) {
  if (spelled->value != NULL) {
    PLM_TRY(apply_typed(s, option, spelled, spelled->value));
    return check_typed_files(s, option);
  }
  if (s->next >= s->argc)
    return plm_hint(plm_fail(PLM_E_USAGE, "%s needs a value", spelled->option), "%s %s", spelled->option,
                    plm_option_argument(option));
  const char *value = s->argv[s->next];
  if (looks_like_option(value))
    return plm_hint(plm_fail(PLM_E_USAGE, "%s needs a value, but %s follows", spelled->option, value),
                    "a value that begins with a dash is written %s=%s", spelled->option, value);
  s->next++;
  PLM_TRY(apply_typed(s, option, spelled, value));
  if (option->type != PLM_OPT_PATHS) return PLM_OK;
  for (; s->next < s->argc && !looks_like_option(s->argv[s->next]); s->next++)
    PLM_TRY(apply_typed(s, option, spelled, s->argv[s->next]));
  return check_typed_files(s, option);
}

/* A word where none was expected: a file of options, as the Trainer's scripts take it; lr=1e-4 without its dashes. */
static plm_status fail_unexpected(const plm_option_table *table, const char *word) {
  char name[PLM_LONGEST_OPTION + 1] = "", quoted[PLM_SHELL_WORD];
  const size_t length = strcspn(word, "=");
  const char *ending = strrchr(word, '.');
  plm_status status = plm_fail(PLM_E_USAGE, "unexpected argument '%s'", word);
  const bool is_config =
      ending != NULL && (strcmp(ending, ".yaml") == 0 || strcmp(ending, ".yml") == 0 || strcmp(ending, ".json") == 0);
  if (is_config && plm_option_find(table, "config") != NULL)
    return plm_hint(status, "a file of options is given as --config %s", plm_shell_word(word, quoted));
  if (length < sizeof name && word[length] == '=') memcpy(name, word, length);
  if (strlen(name) > 1 && plm_option_find(table, name) != NULL)
    return plm_hint(status, "write --%s", plm_shell_word(word, quoted));
  return plm_hint(status, "usage: %s", table->usage);
}

static plm_status take_positional(const scan *s, const char *word, bool options_ended) {
  const plm_option_table *table = s->values->table;
  if (table->positional == NULL || (table->positional_is_line && !options_ended)) return fail_unexpected(table, word);
  plm_string_list *list = plm_option_list(s->values, table->positional_offset);
  if (list->count == 1 && strstr(table->positional, "...") == NULL)
    return plm_fail(PLM_E_USAGE, "unexpected argument '%s': one %s was given already, '%s'", word, table->positional,
                    list->items[0]);
  const char *path = word;
  if (!table->positional_is_line) PLM_TRY(plm_option_expand_home(word, word, s->values->memory, &path));
  return plm_string_list_append(s->values->memory, list, path);
}

static plm_status check_positional(const plm_option_values *values) {
  const plm_option_table *table = values->table;
  if (table->positional == NULL || table->positional_is_line) return PLM_OK;
  return plm_option_check_files(NULL, plm_option_list(values, table->positional_offset), PLM_FROM_COMMAND_LINE, "",
                                values->memory);
}

plm_status plm_options_parse(plm_option_values *values, int argc, char *const *argv) {
  scan s = {.values = values, .argc = argc, .argv = argv};
  bool options_ended = false;
  while (s.next < argc) {
    const char *word = argv[s.next++];
    if (options_ended || !looks_like_option(word)) {
      PLM_TRY(take_positional(&s, word, options_ended));
    } else if (strcmp(word, "--") == 0) {
      options_ended = true;
    } else {
      spelling spelled;
      const plm_option *option = NULL;
      PLM_TRY(find_spelled(&s, word, &spelled, &option));
      PLM_TRY(option->type == PLM_OPT_FLAG ? take_flag(&s, option, &spelled) : take_value(&s, option, &spelled));
    }
  }
  return check_positional(values);
}

/* ---- environment ---- */

static const char prefix[] = "PROTLM_";

/* PROTLM_ and the name in capitals, dashes as underscores. */
static void environment_name(const char *word, size_t length, char ret_name[PLM_LONGEST_OPTION + sizeof prefix]) {
  size_t used = sizeof prefix - 1;
  memcpy(ret_name, prefix, used);
  for (size_t i = 0; i < length && i < PLM_LONGEST_OPTION; i++)
    ret_name[used++] = (char)(word[i] == '-' ? '_' : toupper((unsigned char)word[i]));
  ret_name[used] = '\0';
}

static bool is_read(const plm_option *option) {
  return !option->command_line_only || strcmp(option->name, "config") == 0;
}

/* An empty variable is one that is not set. */
static plm_status read_variable(plm_option_values *values, const plm_option *option, const char *word, size_t length) {
  char name[PLM_LONGEST_OPTION + sizeof prefix], plain[PLM_LONGEST_OPTION + 1], subject[256];
  snprintf(plain, sizeof plain, "%.*s", (int)length, word);
  environment_name(word, length, name);
  const char *value = getenv(name);
  if (value == NULL || *value == '\0') return PLM_OK;
  snprintf(subject, sizeof subject, "%s=%.100s", name, value);
  PLM_TRY(plm_option_apply(values, option, plain, value, PLM_FROM_ENVIRONMENT, subject));
  if (option->type != PLM_OPT_PATHS || !plm_option_is_path(option)) return PLM_OK;
  snprintf(subject, sizeof subject, "%s: ", name);
  return plm_option_check_files(option, plm_option_list(values, option->offset), PLM_FROM_ENVIRONMENT, subject,
                                values->memory);
}

/* "LEARNING_RATE=1e-3" to "learning-rate" */
static void option_name(const char *variable, char ret_name[PLM_LONGEST_OPTION + 1]) {
  size_t i = 0;
  for (; variable[i] != '=' && variable[i] != '\0' && i < PLM_LONGEST_OPTION; i++)
    ret_name[i] = (char)(variable[i] == '_' ? '-' : tolower((unsigned char)variable[i]));
  ret_name[i] = '\0';
}

static void warn_of_near_miss(const plm_option_table *table, const char *name, int length, const char *variable) {
  for (size_t i = 0; i < table->count; i++) {
    char meant[PLM_LONGEST_OPTION + sizeof prefix];
    if (strlen(name) < 6 || plm_nearest_name(name, &table->options[i].name, 1) == NULL) continue;
    environment_name(table->options[i].name, strlen(table->options[i].name), meant);
    plm_warn("the environment variable %.*s is no option of protlm %s; did you mean %s?", length, variable,
             table->command, meant);
    return;
  }
}

/* Read by other parts of protlm: which instructions are used (kernels), where packed data go (data), which MPI library
 * is opened (dist). */
static bool is_read_elsewhere(const char *name) {
  return strcmp(name, "cpu") == 0 || strcmp(name, "cache") == 0 || strcmp(name, "mpi") == 0;
}

/* A variable that misses an option by a letter is probably a mistake; one that resembles none may belong to another
 * part of protlm. */
static void warn_of_variables_without_effect(const plm_option_table *table) {
  for (char *const *entry = environ; *entry != NULL; entry++) {
    char name[PLM_LONGEST_OPTION + 1];
    if (strncmp(*entry, prefix, sizeof prefix - 1) != 0) continue;
    const int length = (int)strcspn(*entry, "=");
    option_name(*entry + sizeof prefix - 1, name);
    if (is_read_elsewhere(name)) continue;
    const plm_option *option = plm_option_find(table, name);
    const char *advice = option == NULL ? plm_option_foreign_advice(table, name, strchr(*entry, '=') + 1) : NULL;
    if (advice != NULL)
      plm_warn("the environment variable %.*s is no option of protlm %s: %s", length, *entry, table->command, advice);
    else if (option == NULL)
      warn_of_near_miss(table, name, length, *entry);
    else if (!is_read(option))
      plm_warn("the environment variable %.*s has no effect: --%s can only be given on the command line", length,
               *entry, option->name);
  }
}

plm_status plm_options_read_environment(plm_option_values *values) {
  for (size_t i = 0; i < values->table->count; i++) {
    const plm_option *option = &values->table->options[i];
    if (!is_read(option)) continue;
    const char *rest = option->aliases, *word = option->name;
    size_t length = strlen(word);
    do
      if (length > 1) PLM_TRY(read_variable(values, option, word, length));
    while ((word = plm_option_next_word(&rest, " ", &length)) != NULL);
  }
  warn_of_variables_without_effect(values->table);
  return PLM_OK;
}

/* ---- everything ---- */

plm_status plm_options_load(const plm_option_table *table, int argc, char *const *argv,
                            plm_option_values **ret_values) {
  plm_option_values *values;
  plm_status status;
  PLM_TRY(plm_option_values_create(table, &values));
  PLM_TRY_GOTO(plm_options_parse(values, argc, argv), fail);
  PLM_TRY_GOTO(plm_options_read_environment(values), fail);
  const plm_option *config = plm_option_find(table, "config");
  if (config != NULL && config->type == PLM_OPT_PATH) {
    plm_option_value path;
    plm_option_value_load(config, values->options, &path);
    if (path.string != NULL) PLM_TRY_GOTO(plm_options_read_config(values, path.string), fail);
  }
  *ret_values = values;
  return PLM_OK;
fail:
  plm_option_values_destroy(values);
  return status;
}
