/* complete.c - what a shell may offer for a word that is being typed. share/completions asks, by
 * `protlm __complete`. */
#include <string.h>

#include "options/internal.h"

static const char file_names[] = ":files\n";

/* With `group`, the second words of its commands; else the first words. */
static void put_commands(plm_text *out, const plm_option_table *const *tables, size_t count, const char *group) {
  for (size_t i = 0; i < count; i++) {
    const char *name = tables[i]->command;
    const size_t length = strcspn(name, " ");
    const bool is_two_words = name[length] == ' ';
    if (group != NULL) {
      if (is_two_words && strncmp(name, group, length) == 0 && group[length] == '\0')
        plm_text_printf(out, "%s\t%s\n", name + length + 1, tables[i]->summary);
    } else if (!is_two_words) {
      plm_text_printf(out, "%s\t%s\n", name, tables[i]->summary);
    } else if (i == 0 || strncmp(tables[i - 1]->command, name, length + 1) != 0) {
      plm_text_printf(out, "%.*s\t%s", (int)length, name, name + length + 1);
      for (size_t j = i + 1; j < count && strncmp(tables[j]->command, name, length + 1) == 0; j++)
        plm_text_printf(out, ", %s", tables[j]->command + length + 1);
      plm_text_append(out, "\n");
    }
  }
}

static void put_options(plm_text *out, const plm_option_table *table) {
  for (size_t i = 0; i < table->count; i++) {
    const plm_option *option = &table->options[i];
    if (option->group == NULL) continue;
    plm_text_printf(out, "--%s\t%s\n", option->name, option->help);
    if (plm_option_is_on_by_default(option)) plm_text_printf(out, "--no-%s\tnot: %s\n", option->name, option->help);
  }
}

/* Values of an option, each behind the `length` bytes of `before`. */
static void put_values(plm_text *out, const plm_option *option, const char *before, size_t length) {
  const char *rest = option->choices, *word;
  size_t bytes;
  if (option->type == PLM_OPT_PATH || option->type == PLM_OPT_PATHS) plm_text_append(out, file_names);
  while (option->type == PLM_OPT_CHOICE && (word = plm_option_next_word(&rest, "|", &bytes)) != NULL)
    plm_text_printf(out, "%.*s%.*s\n", (int)length, before, (int)bytes, word);
}

/* The option that a word of the line names; NULL. */
static const plm_option *named(const plm_option_table *table, const char *word, size_t length) {
  char name[PLM_LONGEST_OPTION + 1] = "";
  const size_t dashes = strspn(word, "-");
  if (dashes < 1 || dashes > 2 || length - dashes > PLM_LONGEST_OPTION) return NULL;
  memcpy(name, word + dashes, length - dashes);
  return plm_option_find(table, name);
}

/* The words are those after the command. */
static void put_rest(plm_text *out, const plm_option_table *table, int argc, char *const *argv) {
  const char *current = argv[argc - 1];
  int last = argc - 2;
  if (strcmp(current, "=") == 0) /* bash makes three words of --name=value */
    current = "";
  else if (last >= 0 && strcmp(argv[last], "=") == 0)
    last--;
  const size_t name = strcspn(current, "=");
  const plm_option *option = current[name] == '=' ? named(table, current, name) : NULL;
  const plm_option *before = last >= 0 ? named(table, argv[last], strlen(argv[last])) : NULL;
  if (option != NULL) {
    put_values(out, option, current, name + 1);
    return;
  }
  if (before != NULL && before->type != PLM_OPT_FLAG) {
    put_values(out, before, "", 0);
    return;
  }
  while (last >= 0 && argv[last][0] != '-') last--; /* several files may follow one option */
  option = last >= 0 ? named(table, argv[last], strlen(argv[last])) : NULL;
  const bool takes_files =
      (table->positional != NULL && !table->positional_is_line) || (option != NULL && option->type == PLM_OPT_PATHS);
  if (takes_files && current[0] != '-')
    plm_text_append(out, file_names);
  else
    put_options(out, table);
}

/* Where the words of another command line begin, behind the `--` of a command that takes one; 0: nowhere. */
static int find_line(const plm_option_table *const *tables, size_t count, int argc, char *const *argv) {
  const plm_option_table *table = NULL;
  for (size_t i = 0; i < count && argc > 1; i++)
    if (tables[i]->positional_is_line && strcmp(tables[i]->command, argv[0]) == 0) table = tables[i];
  for (int i = 1; table != NULL && i < argc - 1; i++)
    if (strcmp(argv[i], "--") == 0) return i + 1;
  return 0;
}

plm_status plm_options_complete(const plm_option_table *const *tables, size_t count, int argc, char *const *argv,
                                char **ret_text) {
  plm_text out = {0};
  const int line = find_line(tables, count, argc, argv);
  argc -= line;
  argv += line;
  if (argc <= 1) {
    plm_text_append(&out, "--help\tshow the commands\n--version\tshow the version\n");
    put_commands(&out, tables, count, NULL);
  } else if (argc == 2) {
    put_commands(&out, tables, count, argv[0]);
  }
  for (size_t i = 0; i < count && argc > 1; i++) {
    const char *name = tables[i]->command, *second = strchr(name, ' ');
    const size_t length = strcspn(name, " ");
    const int words = second != NULL ? 2 : 1;
    if (strncmp(name, argv[0], length) != 0 || argv[0][length] != '\0' || argc <= words) continue;
    if (second == NULL || strcmp(second + 1, argv[1]) == 0) put_rest(&out, tables[i], argc - words, argv + words);
  }
  return plm_text_take(&out, ret_text);
}
