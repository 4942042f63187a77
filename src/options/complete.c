/* complete.c - scripts by which bash, zsh and fish complete commands, options, choices and file names.
 *
 * A command may be two words ("ckpt ls"). Each script first finds the command on the line, then the option before the
 * cursor.
 */
#include <stdio.h>
#include <string.h>

#include "options/internal.h"

typedef struct tables {
  const plm_option_table *const *item;
  size_t count;
} tables;

typedef enum value_kind { VALUE_NONE, VALUE_ANY, VALUE_CHOICE, VALUE_FILE, VALUE_FILES } value_kind;

static value_kind kind_of(const plm_option *option) {
  switch (option->type) {
    case PLM_OPT_FLAG:
      return VALUE_NONE;
    case PLM_OPT_CHOICE:
      return VALUE_CHOICE;
    case PLM_OPT_PATH:
      return VALUE_FILE;
    case PLM_OPT_PATHS:
      return VALUE_FILES;
    default:
      return VALUE_ANY;
  }
}

/* `words` inside single quotes of a shell, with a backslash before each of `escaped`. */
static void put_quoted(plm_text *out, const char *words, const char *escaped) {
  for (; *words != '\0'; words++) {
    if (*words == '\'') {
      plm_text_append(out, "'\\''");
      continue;
    }
    if (strchr(escaped, *words) != NULL) plm_text_append(out, "\\");
    plm_text_append_bytes(out, words, 1);
  }
}

static void put_choices(plm_text *out, const plm_option *option) {
  const char *rest = option->choices, *word, *separator = "";
  size_t length;
  for (; (word = plm_option_next_word(&rest, "|", &length)) != NULL; separator = " ")
    plm_text_printf(out, "%s%.*s", separator, (int)length, word);
}

/* Length of the first word of a command, and its second word ("" if there is none). */
static size_t split_command(const char *command, const char **ret_second) {
  size_t length = strcspn(command, " ");
  *ret_second = command[length] == ' ' ? command + length + 1 : "";
  return length;
}

static bool is_first_with_word(const tables *t, size_t index) {
  const char *second;
  size_t length = split_command(t->item[index]->command, &second);
  for (size_t i = 0; i < index; i++)
    if (strncmp(t->item[i]->command, t->item[index]->command, length) == 0 &&
        split_command(t->item[i]->command, &second) == length)
      return false;
  return true;
}

static bool has_two_words(const tables *t) {
  const char *second;
  for (size_t i = 0; i < t->count; i++)
    if (split_command(t->item[i]->command, &second) > 0 && *second != '\0') return true;
  return false;
}

/* ---- bash ---- */

static void put_bash_names(plm_text *out, const plm_option *option, const char *separator, const char *command) {
  const char *rest = option->aliases, *word = option->name;
  size_t length = strlen(word);
  do {
    if (out->length > 0 && out->data[out->length - 1] != '(') plm_text_append(out, separator);
    if (command != NULL) plm_text_printf(out, "'%s ", command);
    plm_text_printf(out, "%s%.*s", length == 1 ? "-" : "--", (int)length, word);
    if (command != NULL) plm_text_append(out, "'");
  } while ((word = plm_option_next_word(&rest, " ", &length)) != NULL);
}

/* The case that finds what may follow an option. */
static void put_bash_values(plm_text *out, const plm_option_table *table, const plm_option *option) {
  value_kind kind = kind_of(option);
  if (kind == VALUE_NONE) return;
  plm_text_append(out, "    (");
  put_bash_names(out, option, "|", table->command);
  plm_text_append(out, ") ");
  if (kind == VALUE_ANY) plm_text_append(out, "return ;;\n");
  if (kind == VALUE_FILE || kind == VALUE_FILES) plm_text_append(out, "_protlm_files \"$cur\"; return ;;\n");
  if (kind == VALUE_CHOICE) {
    plm_text_append(out, "mapfile -t COMPREPLY < <(compgen -W '");
    put_choices(out, option);
    plm_text_append(out, "' -- \"$cur\"); return ;;\n");
  }
}

static void put_bash_command(plm_text *out, const plm_option_table *table) {
  plm_text_printf(out, "    ('%s') options='--help", table->command);
  for (size_t i = 0; i < table->count; i++) {
    const plm_option *option = &table->options[i];
    if (option->group == NULL || strcmp(option->name, "help") == 0) continue;
    plm_text_printf(out, " --%s", option->name);
    if (plm_option_is_on_by_default(option)) plm_text_printf(out, " --no-%s", option->name);
  }
  plm_text_printf(out, "'; files=%d ;;\n", table->positional != NULL);
}

static void put_bash_command_names(plm_text *out, const tables *t) {
  const char *second;
  for (size_t i = 0; i < t->count; i++)
    if (is_first_with_word(t, i))
      plm_text_printf(out, " %.*s", (int)split_command(t->item[i]->command, &second), t->item[i]->command);
}

static void put_bash_second_words(plm_text *out, const tables *t) {
  if (!has_two_words(t)) return;
  plm_text_append(out, "  case \"$command\" in\n");
  for (size_t i = 0; i < t->count; i++) {
    const char *second;
    size_t length = split_command(t->item[i]->command, &second);
    if (*second == '\0' || !is_first_with_word(t, i)) continue;
    plm_text_printf(out, "    (%.*s) seconds='", (int)length, t->item[i]->command);
    for (size_t j = i; j < t->count; j++)
      if (split_command(t->item[j]->command, &second) == length &&
          strncmp(t->item[i]->command, t->item[j]->command, length) == 0)
        plm_text_printf(out, j > i ? " %s" : "%s", second);
    plm_text_append(out, "' ;;\n");
  }
  plm_text_append(out,
                  "  esac\n"
                  "  if [[ -n $seconds ]]; then\n"
                  "    if ((COMP_CWORD == 2)); then\n"
                  "      mapfile -t COMPREPLY < <(compgen -W \"$seconds\" -- \"$cur\")\n"
                  "      return\n"
                  "    fi\n"
                  "    command+=\" ${COMP_WORDS[2]}\"\n"
                  "  fi\n");
}

static void put_bash(plm_text *out, const tables *t) {
  plm_text_append(
      out,
      "# bash completion for protlm\n"
      "_protlm_files() {\n"
      "  compopt -o filenames 2>/dev/null\n"
      "  mapfile -t COMPREPLY < <(compgen -f -- \"$1\")\n"
      "}\n"
      "_protlm() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} last=$((COMP_CWORD - 1)) command=${COMP_WORDS[1]} seconds='' options='' files=0\n"
      "  COMPREPLY=()\n"
      "  # --name=value comes as three words\n"
      "  if [[ $cur == = ]]; then cur=''; elif [[ ${COMP_WORDS[last]} == = ]]; then last=$((last - 1)); fi\n"
      "  if ((COMP_CWORD == 1)); then\n"
      "    mapfile -t COMPREPLY < <(compgen -W '--help --version");
  put_bash_command_names(out, t);
  plm_text_append(out, "' -- \"$cur\")\n    return\n  fi\n");
  put_bash_second_words(out, t);
  plm_text_append(out, "  case \"$command ${COMP_WORDS[last]}\" in\n");
  for (size_t i = 0; i < t->count; i++)
    for (size_t j = 0; j < t->item[i]->count; j++) put_bash_values(out, t->item[i], &t->item[i]->options[j]);
  plm_text_append(out, "  esac\n  case \"$command\" in\n");
  for (size_t i = 0; i < t->count; i++) put_bash_command(out, t->item[i]);
  plm_text_append(out,
                  "  esac\n"
                  "  # several files may follow one option\n"
                  "  while ((last > 1)) && [[ ${COMP_WORDS[last]} != -* ]]; do last=$((last - 1)); done\n"
                  "  case \"$command ${COMP_WORDS[last]}\" in\n");
  for (size_t i = 0; i < t->count; i++)
    for (size_t j = 0; j < t->item[i]->count; j++) {
      if (kind_of(&t->item[i]->options[j]) != VALUE_FILES) continue;
      plm_text_append(out, "    (");
      put_bash_names(out, &t->item[i]->options[j], "|", t->item[i]->command);
      plm_text_append(out, ") files=1 ;;\n");
    }
  plm_text_append(out,
                  "  esac\n"
                  "  if [[ $cur != -* ]] && ((files)); then\n"
                  "    _protlm_files \"$cur\"\n"
                  "  else\n"
                  "    mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$cur\")\n"
                  "  fi\n"
                  "}\n"
                  "complete -F _protlm protlm\n");
}

/* ---- zsh ---- */

/* A specification of _arguments: '--name=[help]:argument:action'. Help comes in brackets, so its own are escaped. */
static void put_zsh_option(plm_text *out, const plm_option *option) {
  const char *rest = option->aliases, *word = option->name, *argument = plm_option_argument(option);
  size_t length = strlen(word);
  value_kind kind = kind_of(option);
  do {
    plm_text_printf(out, " \\\n        '%s%s%.*s%s[", kind == VALUE_FILES ? "*" : "", length == 1 ? "-" : "--",
                    (int)length, word,
                    kind == VALUE_NONE ? ""
                    : length == 1      ? "+"
                                       : "=");
    put_quoted(out, option->help, "[]:\\");
    plm_text_append(out, "]");
    if (kind != VALUE_NONE) {
      plm_text_append(out, ":");
      put_quoted(out, argument, "[]:\\");
      plm_text_append(out, ":");
    }
    if (kind == VALUE_FILE || kind == VALUE_FILES) plm_text_append(out, "_files");
    if (kind == VALUE_CHOICE) {
      plm_text_append(out, "(");
      put_choices(out, option);
      plm_text_append(out, ")");
    }
    plm_text_append(out, "'");
  } while ((word = plm_option_next_word(&rest, " ", &length)) != NULL);
  if (!plm_option_is_on_by_default(option)) return;
  plm_text_printf(out, " \\\n        '--no-%s[not: ", option->name);
  put_quoted(out, option->help, "[]:\\");
  plm_text_append(out, "]'");
}

/* What the first word of command i stands for: its summary, or the second words that may follow. */
static const char *describe_first_word(const tables *t, size_t i, char buffer[128]) {
  const char *second;
  const size_t length = split_command(t->item[i]->command, &second);
  if (*second == '\0') return t->item[i]->summary;
  int used = 0;
  for (size_t j = i; j < t->count && used < 100; j++)
    if (split_command(t->item[j]->command, &second) == length &&
        strncmp(t->item[i]->command, t->item[j]->command, length) == 0)
      used += snprintf(buffer + used, (size_t)(128 - used), "%s%s", used > 0 ? ", " : "", second);
  return buffer;
}

static void put_zsh_summaries(plm_text *out, const tables *t) {
  char words[128];
  for (size_t i = 0; i < t->count; i++) {
    const char *second;
    size_t length = split_command(t->item[i]->command, &second);
    if (!is_first_with_word(t, i)) continue;
    plm_text_printf(out, "    '%.*s:", (int)length, t->item[i]->command);
    put_quoted(out, describe_first_word(t, i, words), ":\\");
    plm_text_append(out, "'\n");
  }
}

static void put_zsh_second_words(plm_text *out, const tables *t) {
  for (size_t i = 0; i < t->count; i++) {
    const char *second;
    size_t length = split_command(t->item[i]->command, &second);
    if (*second == '\0' || !is_first_with_word(t, i)) continue;
    plm_text_printf(out, "  if [[ $command == %.*s ]]; then\n    commands=(\n", (int)length, t->item[i]->command);
    for (size_t j = i; j < t->count; j++) {
      if (split_command(t->item[j]->command, &second) != length ||
          strncmp(t->item[i]->command, t->item[j]->command, length) != 0)
        continue;
      plm_text_printf(out, "      '%s:", second);
      put_quoted(out, t->item[j]->summary, ":\\");
      plm_text_append(out, "'\n");
    }
    plm_text_append(out,
                    "    )\n    if (( CURRENT == 2 )); then _describe command commands; return; fi\n"
                    "    command+=\" $words[2]\"\n    shift words\n    (( CURRENT-- ))\n  fi\n");
  }
}

static void put_zsh(plm_text *out, const tables *t) {
  plm_text_append(out, "#compdef protlm\n_protlm() {\n  local -a commands\n  commands=(\n");
  put_zsh_summaries(out, t);
  plm_text_append(out,
                  "  )\n  if (( CURRENT == 2 )); then _describe command commands; return; fi\n"
                  "  local command=$words[2]\n  shift words\n  (( CURRENT-- ))\n");
  put_zsh_second_words(out, t);
  plm_text_append(out, "  case $command in\n");
  for (size_t i = 0; i < t->count; i++) {
    const plm_option_table *table = t->item[i];
    plm_text_printf(out, "    ('%s')\n      _arguments -S", table->command);
    for (size_t j = 0; j < table->count; j++)
      if (table->options[j].group != NULL) put_zsh_option(out, &table->options[j]);
    if (table->positional != NULL) plm_text_append(out, " \\\n        '*:file:_files'");
    plm_text_append(out, " ;;\n");
  }
  plm_text_append(
      out, "  esac\n}\nif [[ $funcstack[1] == _protlm ]]; then _protlm \"$@\"; else compdef _protlm protlm; fi\n");
}

/* ---- fish ---- */

/* The condition under which a line holds for a command. */
static void put_fish_condition(plm_text *out, const char *command) {
  const char *second;
  size_t length = split_command(command, &second);
  plm_text_printf(out, "complete -c protlm -n '__fish_seen_subcommand_from %.*s", (int)length, command);
  if (*second != '\0') plm_text_printf(out, "; and __fish_seen_subcommand_from %s", second);
  plm_text_append(out, "'");
}

/* " -d 'words'": fish escapes inside quotes with a backslash. */
static void put_fish_description(plm_text *out, const char *words) {
  plm_text_append(out, " -d '");
  for (; *words != '\0'; words++) plm_text_printf(out, *words == '\'' || *words == '\\' ? "\\%c" : "%c", *words);
  plm_text_append(out, "'\n");
}

static void put_fish_option(plm_text *out, const plm_option_table *table, const plm_option *option) {
  const char *rest = option->aliases, *word = option->name;
  size_t length = strlen(word);
  value_kind kind = kind_of(option);
  put_fish_condition(out, table->command);
  do plm_text_printf(out, " -%c %.*s", length == 1 ? 's' : 'l', (int)length, word);
  while ((word = plm_option_next_word(&rest, " ", &length)) != NULL);
  if (kind == VALUE_ANY) plm_text_append(out, " -x");
  if (kind == VALUE_FILE || kind == VALUE_FILES) plm_text_append(out, " -r -F");
  if (kind == VALUE_CHOICE) {
    plm_text_append(out, " -x -a '");
    put_choices(out, option);
    plm_text_append(out, "'");
  }
  put_fish_description(out, option->help);
  if (!plm_option_is_on_by_default(option)) return;
  put_fish_condition(out, table->command);
  plm_text_printf(out, " -l no-%s\n", option->name);
}

static void put_fish(plm_text *out, const tables *t) {
  const char *second;
  char words[128];
  plm_text_append(out, "# fish completion for protlm\ncomplete -c protlm -f\n");
  for (size_t i = 0; i < t->count; i++) {
    const plm_option_table *table = t->item[i];
    size_t length = split_command(table->command, &second);
    if (is_first_with_word(t, i)) {
      plm_text_printf(out, "complete -c protlm -n __fish_use_subcommand -a %.*s", (int)length, table->command);
      put_fish_description(out, describe_first_word(t, i, words));
    }
    if (*second != '\0') {
      plm_text_printf(out, "complete -c protlm -n '__fish_seen_subcommand_from %.*s' -a %s", (int)length,
                      table->command, second);
      put_fish_description(out, table->summary);
    }
    for (size_t j = 0; j < table->count; j++)
      if (table->options[j].group != NULL) put_fish_option(out, table, &table->options[j]);
    if (table->positional != NULL) {
      put_fish_condition(out, table->command);
      plm_text_append(out, " -F\n");
    }
  }
}

plm_status plm_options_completion(const plm_option_table *const *item, size_t count, plm_shell shell, char **ret_text) {
  plm_text out = {0};
  tables t = {.item = item, .count = count};
  switch (shell) {
    case PLM_SHELL_BASH:
      put_bash(&out, &t);
      break;
    case PLM_SHELL_ZSH:
      put_zsh(&out, &t);
      break;
    case PLM_SHELL_FISH:
      put_fish(&out, &t);
      break;
  }
  return plm_text_take(&out, ret_text);
}
