/* help.c - what a person reads: the help of a command and its configuration. */
#include <stdio.h>
#include <string.h>

#include "options/internal.h"

/* ---- how an option is named ---- */

const char *plm_option_argument(const plm_option *option) {
  if (option->argument != NULL) return option->argument;
  switch (option->type) {
    case PLM_OPT_FLAG:
      return "";
    case PLM_OPT_INT:
    case PLM_OPT_COUNT:
      return "N";
    case PLM_OPT_SIZE:
      return "SIZE";
    case PLM_OPT_NUMBER:
      return "X";
    case PLM_OPT_DURATION:
      return "TIME";
    case PLM_OPT_STRING:
      return "TEXT";
    case PLM_OPT_CHOICE:
      return "NAME";
    case PLM_OPT_PATH:
    case PLM_OPT_PATHS:
      return "FILE";
  }
  return "";
}

bool plm_option_is_on_by_default(const plm_option *option) {
  return option->type == PLM_OPT_FLAG && option->default_value != NULL && strcmp(option->default_value, "true") == 0;
}

/* ---- wrapping ---- */

/* The page being written. Columns count characters, not bytes; escape sequences are written past `column`. */
typedef struct page {
  plm_text text;
  size_t width, column;
  bool colour;
} page;

static size_t count_characters(const char *text, size_t bytes) {
  size_t characters = 0;
  for (size_t i = 0; i < bytes; i++) characters += ((unsigned char)text[i] & 0xC0) != 0x80;
  return characters;
}

static void put_bytes(page *p, const char *words, size_t bytes) {
  plm_text_append_bytes(&p->text, words, bytes);
  p->column += count_characters(words, bytes);
}

static void put(page *p, const char *words) { put_bytes(p, words, strlen(words)); }

static void end_line(page *p) {
  plm_text_append(&p->text, "\n");
  p->column = 0;
}

/* To column `column`, on a new line if that is behind us or touches what stands there. */
static void move_to(page *p, size_t column) {
  if (p->column > 0 && p->column + 2 > column) end_line(p);
  plm_text_repeat(&p->text, ' ', column - p->column);
  p->column = column;
}

typedef enum style { STYLE_HEADING, STYLE_NAME, STYLE_NOTE } style;

static void begin_style(page *p, style s) {
  static const char *const codes[] = {
      [STYLE_HEADING] = "\033[1;4m", [STYLE_NAME] = "\033[1m", [STYLE_NOTE] = "\033[2m"};
  if (p->colour) plm_text_append(&p->text, codes[s]);
}

static void end_style(page *p) {
  if (p->colour) plm_text_append(&p->text, "\033[0m");
}

static void put_styled(page *p, style s, const char *words) {
  begin_style(p, s);
  put(p, words);
  end_style(p);
}

enum { NO_BREAK = '\x1f' }; /* in texts for wrap(): a space at which no line ends */

static void put_word(page *p, const char *word, size_t length) {
  size_t start = p->text.length;
  put_bytes(p, word, length);
  for (size_t i = start; i < p->text.length; i++)
    if (p->text.data[i] == NO_BREAK) p->text.data[i] = ' ';
}

/* Words of `words` from the current column on, broken at `width` and continued at `indent`. */
static void wrap(page *p, const char *words, size_t indent) {
  const char *rest = words;
  size_t length;
  for (const char *word; (word = plm_option_next_word(&rest, " \n", &length)) != NULL;) {
    size_t characters = count_characters(word, length);
    bool is_first = p->column <= indent;
    if (!is_first && p->column + 1 + characters > p->width) {
      end_line(p);
      move_to(p, indent);
      is_first = true;
    }
    if (!is_first) put(p, " ");
    put_word(p, word, length);
  }
}

/* Paragraphs, separated by blank lines, are filled; lines that begin with a space are kept. */
static void put_paragraphs(page *p, const char *text) {
  for (const char *line = text; *line != '\0';) {
    const char *end = strstr(line, "\n\n");
    size_t length = end != NULL ? (size_t)(end - line) : strlen(line);
    if (line != text) end_line(p);
    if (*line == ' ') {
      put_bytes(p, line, length);
    } else {
      char paragraph[4096];
      size_t kept = length < sizeof paragraph - 1 ? length : sizeof paragraph - 1;
      memcpy(paragraph, line, kept);
      paragraph[kept] = '\0';
      wrap(p, paragraph, 0);
    }
    end_line(p);
    line += length;
    line += strspn(line, "\n");
  }
}

/* ---- help ---- */

enum { NAME_COLUMN = 2, WORDS_COLUMN = 32, NARROW = 64, NARROW_WORDS_COLUMN = 8, WIDEST = 100, NARROWEST = 40 };

/* "-b, --batch-tokens N": the short name, if any, stands first. */
static void put_names(page *p, const plm_option *option) {
  const char *rest = option->aliases, *word, *argument = plm_option_argument(option);
  size_t length;
  char name[PLM_LONGEST_OPTION + 8] = "    ";
  while ((word = plm_option_next_word(&rest, " ", &length)) != NULL)
    if (length == 1) snprintf(name, sizeof name, "-%c, ", *word);
  move_to(p, NAME_COLUMN);
  begin_style(p, STYLE_NAME);
  put(p, name);
  snprintf(name, sizeof name, plm_option_is_on_by_default(option) ? "--[no-]%s" : "--%s", option->name);
  put(p, name);
  end_style(p);
  if (*argument == '\0') return;
  put(p, " ");
  put(p, argument);
  if (option->type == PLM_OPT_PATHS && strstr(argument, "...") == NULL) put(p, "...");
}

/* "[default: x] [one of: a, b] [also: --name]", as words to be wrapped, but not after the colons. */
static void write_notes(const plm_option *option, plm_text *out) {
  const char *rest, *word, *separator;
  size_t length;
  bool is_off = option->type == PLM_OPT_FLAG && !plm_option_is_on_by_default(option);
  if (option->default_value != NULL && !is_off)
    plm_text_printf(out, " [default:\x1f%s]", option->type == PLM_OPT_FLAG ? "on" : option->default_value);
  rest = option->choices;
  separator = " [one\x1fof:\x1f";
  for (; (word = plm_option_next_word(&rest, "|", &length)) != NULL; separator = ", ")
    plm_text_printf(out, "%s%.*s", separator, (int)length, word);
  if (option->choices != NULL) plm_text_append(out, "]");
  rest = option->aliases;
  separator = " [also:\x1f";
  bool has_alias = false;
  while ((word = plm_option_next_word(&rest, " ", &length)) != NULL) {
    if (length == 1) continue;
    plm_text_printf(out, "%s--%.*s", separator, (int)length, word);
    separator = ", ";
    has_alias = true;
  }
  if (has_alias) plm_text_append(out, "]");
}

static void put_option(page *p, const plm_option *option) {
  plm_text notes = {0};
  char *words;
  size_t column = p->width < NARROW ? NARROW_WORDS_COLUMN : WORDS_COLUMN;
  put_names(p, option);
  move_to(p, column);
  wrap(p, option->help, column);
  write_notes(option, &notes);
  plm_status status = plm_text_take(&notes, &words);
  if (status != PLM_OK) {
    if (p->text.status == PLM_OK) p->text.status = status;
    return;
  }
  begin_style(p, STYLE_NOTE);
  wrap(p, words, column);
  end_style(p);
  end_line(p);
  plm_free(words);
}

static bool is_first_of_group(const plm_option_table *table, size_t index) {
  const char *group = table->options[index].group;
  if (group == NULL) return false;
  for (size_t i = 0; i < index; i++)
    if (table->options[i].group != NULL && strcmp(table->options[i].group, group) == 0) return false;
  return true;
}

static void put_group(page *p, const plm_option_table *table, const char *group) {
  end_line(p);
  put_styled(p, STYLE_HEADING, group);
  put(p, ":");
  end_line(p);
  for (size_t i = 0; i < table->count; i++)
    if (table->options[i].group != NULL && strcmp(table->options[i].group, group) == 0)
      put_option(p, &table->options[i]);
}

/* A command too long for the page goes on after a backslash, as it would in a shell. */
static void put_command(page *p, const char *line, size_t length) {
  enum { CONTINUED_COLUMN = 6, BACKSLASH = 2 };
  move_to(p, NAME_COLUMN);
  if (NAME_COLUMN + count_characters(line, length) <= p->width) {
    put_bytes(p, line, length);
    return;
  }
  for (size_t i = 0; i < length;) {
    size_t word = 0;
    while (i + word < length && line[i + word] != ' ') word++;
    bool is_first = p->column <= CONTINUED_COLUMN;
    if (!is_first && p->column + 1 + count_characters(line + i, word) + BACKSLASH > p->width) {
      put(p, " \\");
      end_line(p);
      move_to(p, CONTINUED_COLUMN);
      is_first = true;
    }
    if (!is_first) put(p, " ");
    put_bytes(p, line + i, word);
    i += word + 1;
  }
}

static void put_examples(page *p, const char *examples) {
  if (examples == NULL) return;
  end_line(p);
  put_styled(p, STYLE_HEADING, "Examples");
  put(p, ":");
  end_line(p);
  for (const char *line = examples; *line != '\0';) {
    size_t length = strcspn(line, "\n");
    if (*line == '#') {
      move_to(p, NAME_COLUMN);
      begin_style(p, STYLE_NOTE);
      put_bytes(p, line, length);
      end_style(p);
    } else if (length > 0) {
      put_command(p, line, length);
    }
    end_line(p);
    line += length + (line[length] == '\n');
  }
}

plm_status plm_options_help(const plm_option_table *table, int width, bool colour, char **ret_text) {
  page p = {
      .width = (size_t)(width <= 0          ? 80
                        : width > WIDEST    ? WIDEST
                        : width < NARROWEST ? NARROWEST
                                            : width),
      .colour = colour,
  };
  put(&p, "protlm ");
  put(&p, table->command);
  put(&p, ":");
  wrap(&p, table->summary, 2);
  end_line(&p);
  end_line(&p);
  put_styled(&p, STYLE_HEADING, "Usage");
  put(&p, ": ");
  wrap(&p, table->usage, sizeof "Usage: " - 1);
  end_line(&p);
  if (table->description != NULL) {
    end_line(&p);
    put_paragraphs(&p, table->description);
  }
  for (size_t i = 0; i < table->count; i++)
    if (is_first_of_group(table, i)) put_group(&p, table, table->options[i].group);
  put_examples(&p, table->examples);
  if (plm_option_find(table, "config") != NULL) {
    end_line(&p);
    wrap(
        &p,
        "Every option can also be given as `name: value` in a file named by --config, or as an environment variable: --seed 7 is PROTLM_SEED=7. "
        "The command line wins over the environment, and that over the file.",
        0);
    end_line(&p);
  }
  return plm_text_take(&p.text, ret_text);
}

/* ---- configuration ---- */

static void write_yaml_value(plm_text *out, const plm_option_values *values, const plm_option *option) {
  if (plm_option_is_unset(values, option)) {
    plm_text_append(out, "null");
  } else if (option->type == PLM_OPT_PATHS) {
    const plm_string_list *list = plm_option_list(values, option->offset);
    plm_text_append(out, "[");
    for (size_t i = 0; i < list->count; i++) {
      plm_text_append(out, i > 0 ? ", " : "");
      plm_option_yaml_write(list->items[i], out);
    }
    plm_text_append(out, "]");
  } else {
    plm_option_value value;
    plm_option_value_load(option, values->options, &value);
    bool is_text = option->type == PLM_OPT_STRING || option->type == PLM_OPT_PATH || option->type == PLM_OPT_CHOICE;
    if (is_text)
      plm_option_yaml_write(value.string, out);
    else
      plm_option_value_write(option, &value, out);
  }
}

plm_status plm_options_config(const plm_option_values *values, bool with_sources, char **ret_yaml) {
  enum { SOURCE_COLUMN = 24 }; /* after the values' column: most values are shorter */
  const plm_option_table *table = values->table;
  plm_text out = {0};
  size_t longest = 0;
  for (size_t i = 0; i < table->count; i++)
    if (!table->options[i].command_line_only && strlen(table->options[i].name) > longest)
      longest = strlen(table->options[i].name);
  plm_text_printf(&out, "# protlm %s: use it with --config\n", table->command);
  for (size_t i = 0; i < table->count; i++) {
    const plm_option *option = &table->options[i];
    if (option->command_line_only || (option->group == NULL && values->source[i] == PLM_FROM_DEFAULT)) continue;
    plm_text_printf(&out, "%s:", option->name);
    plm_text_repeat(&out, ' ', longest + 1 - strlen(option->name));
    size_t start = out.length;
    write_yaml_value(&out, values, option);
    if (with_sources) {
      size_t used = out.length - start;
      plm_text_repeat(&out, ' ', used < SOURCE_COLUMN ? SOURCE_COLUMN - used : 1);
      plm_text_printf(&out, " # from %s", plm_option_source_name(values->source[i]));
    }
    plm_text_append(&out, "\n");
  }
  return plm_text_take(&out, ret_yaml);
}

void plm_string_free(char *text) { plm_free(text); }
