/* man.c - the man page of a command, in the man(7) macros of roff. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "options/internal.h"

/* `bytes` bytes of plain text: no letter of it may be a request or an escape, and dashes can be copied into a shell. */
static void put_bytes(plm_text *out, const char *words, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) {
    bool starts_line = out->length == 0 || out->data[out->length - 1] == '\n';
    if (starts_line && (words[i] == '.' || words[i] == '\'')) plm_text_append(out, "\\&");
    switch (words[i]) {
      case '\\':
        plm_text_append(out, "\\e");
        break;
      case '-':
        plm_text_append(out, "\\-");
        break;
      case '\'':
        plm_text_append(out, "\\(aq");
        break;
      case '`':
        plm_text_append(out, "\\(ga");
        break;
      case '~':
        plm_text_append(out, "\\(ti");
        break;
      case '^':
        plm_text_append(out, "\\(ha");
        break;
      default:
        plm_text_append_bytes(out, &words[i], 1);
    }
  }
}

static void put(plm_text *out, const char *words) { put_bytes(out, words, strlen(words)); }

static void put_section(plm_text *out, const char *title) { plm_text_printf(out, ".SH %s\n", title); }

static void put_paragraphs(plm_text *out, const char *text) {
  for (const char *line = text; *line != '\0';) {
    size_t length = strcspn(line, "\n");
    if (length == 0)
      plm_text_append(out, ".PP\n");
    else {
      put_bytes(out, line, length);
      plm_text_append(out, "\n");
    }
    line += length + (line[length] == '\n');
    if (length == 0) line += strspn(line, "\n");
  }
}

/* The terms of an option: ".TP" and one line "\fB--name\fR \fIN\fR", the short name first. */
static void put_names(plm_text *out, const plm_option *option) {
  const char *rest = option->aliases, *word, *argument = plm_option_argument(option);
  size_t length;
  plm_text_append(out, ".TP\n");
  while ((word = plm_option_next_word(&rest, " ", &length)) != NULL)
    if (length == 1) plm_text_printf(out, "\\fB\\-%c\\fR, ", *word);
  plm_text_append(out, "\\fB\\-\\-");
  if (plm_option_is_on_by_default(option)) plm_text_append(out, "[no\\-]");
  put(out, option->name);
  plm_text_append(out, "\\fR");
  if (*argument != '\0') {
    plm_text_append(out, " \\fI");
    put(out, argument);
    plm_text_append(out, "\\fR");
    if (option->type == PLM_OPT_PATHS && strstr(argument, "...") == NULL) plm_text_append(out, "...");
  }
  plm_text_append(out, "\n");
}

static void put_list(plm_text *out, const char *opening, const char *words, const char *separators, const char *before,
                     bool short_too) {
  const char *rest = words, *word, *separator = opening;
  size_t length;
  while ((word = plm_option_next_word(&rest, separators, &length)) != NULL) {
    if (length == 1 && !short_too) continue;
    plm_text_printf(out, "%s\\fB", separator);
    put(out, before);
    put_bytes(out, word, length);
    plm_text_append(out, "\\fR");
    separator = ", ";
  }
  if (separator != opening) plm_text_append(out, ".\n");
}

static void put_option(plm_text *out, const plm_option *option) {
  put_names(out, option);
  put(out, option->help);
  plm_text_append(out, ".\n");
  plm_text range = {0};
  plm_option_range_write(option, &range);
  if (range.length > 0) {
    plm_text_append(out, "The value ");
    put(out, range.data);
    plm_text_append(out, ".\n");
  }
  if (range.status != PLM_OK && out->status == PLM_OK) out->status = range.status;
  plm_text_free(&range);
  put_list(out, "One of ", option->choices, "|", "", true);
  put_list(out, "Also written ", option->aliases, " ", "--", false);
  bool is_flag = option->type == PLM_OPT_FLAG;
  if (option->default_value == NULL || (is_flag && !plm_option_is_on_by_default(option))) return;
  plm_text_append(out, "Default: ");
  put(out, is_flag ? "on" : option->default_value);
  plm_text_append(out, ".\n");
}

static void put_options(plm_text *out, const plm_option_table *table) {
  put_section(out, "OPTIONS");
  for (size_t i = 0; i < table->count; i++) {
    const char *group = table->options[i].group;
    bool is_first = group != NULL;
    for (size_t j = 0; j < i && is_first; j++)
      is_first = table->options[j].group == NULL || strcmp(table->options[j].group, group) != 0;
    if (!is_first) continue;
    plm_text_append(out, ".SS \"");
    put(out, group);
    plm_text_append(out, "\"\n");
    for (size_t j = i; j < table->count; j++)
      if (table->options[j].group != NULL && strcmp(table->options[j].group, group) == 0)
        put_option(out, &table->options[j]);
  }
}

static void put_examples(plm_text *out, const char *examples) {
  if (examples == NULL) return;
  put_section(out, "EXAMPLES");
  for (const char *line = examples; *line != '\0';) {
    size_t length = strcspn(line, "\n");
    if (*line == '#') {
      const char *words = line + 1 + strspn(line + 1, " ");
      plm_text_append(out, ".PP\n");
      put_bytes(out, words, (size_t)(line + length - words));
      plm_text_append(out, ":\n");
    } else if (length > 0) {
      plm_text_append(out, ".PP\n.RS 4\n.nf\n");
      put_bytes(out, line, length);
      plm_text_append(out, "\n.fi\n.RE\n");
    }
    line += length + (line[length] == '\n');
  }
}

static void put_exit_status(plm_text *out) {
  static const struct {
    plm_status code;
    const char *meaning;
  } codes[] = {
      {PLM_OK, "Done"},
      {PLM_E_FAILURE, "Something outside the program failed"},
      {PLM_E_USAGE, "An option is wrong, or a run directory cannot be used as asked"},
      {PLM_E_INPUT, "A data, model or configuration file cannot be read or is damaged"},
      {PLM_E_CHECKPOINT, "The checkpoints of the run are damaged and there is none to fall back on"},
      {PLM_E_NUMERIC, "The loss or the gradients were not finite, several times in a row"},
      {PLM_E_RESOURCE, "Memory or disk space ran out, or an output cannot be written"},
      {PLM_E_BUG, "An error in the program itself: please report it"},
      {PLM_STOPPED, "Stopped early, in good order: run the same command again to go on"},
  };
  put_section(out, "EXIT STATUS");
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    plm_text_printf(out, ".TP 6\n.B %d\n%s.\n", (int)codes[i].code, codes[i].meaning);
}

static void put_environment_and_files(plm_text *out) {
  put_section(out, "ENVIRONMENT");
  plm_text_append(
      out,
      ".TP\n.B PROTLM_\\fINAME\\fR\nA value for the option \\fB\\-\\-\\fIname\\fR, in capitals, with underscores for dashes: \\fBPROTLM_SEED=7\\fR "
      "is \\fB\\-\\-seed 7\\fR.\nThe command line wins over the environment, the environment over a configuration file.\n");
  put_section(out, "FILES");
  plm_text_append(
      out,
      ".TP\n.I FILE\\fR of \\fB\\-\\-config\\fR\nA YAML file with one option a line, without the dashes:\n.RS\n.PP\n.nf\n"
      "seed: 7\nlearning\\-rate: 4e\\-4\ntrain: [a.fasta, b.fasta.gz]\n.fi\n.RE\n");
}

/* "protlm-ckpt-ls", in small letters or capitals. */
static void put_page_name(plm_text *out, const char *command, bool in_capitals) {
  char name[128];
  snprintf(name, sizeof name, "protlm-%s", command);
  for (char *c = name; *c != '\0'; c++) *c = *c == ' ' ? '-' : in_capitals ? (char)toupper((unsigned char)*c) : *c;
  put(out, name);
}

plm_status plm_options_man_page(const plm_option_table *table, const char *version, char **ret_text) {
  plm_text out = {0};
  plm_text_append(&out, ".TH ");
  put_page_name(&out, table->command, true);
  plm_text_append(&out, " 1 \"\" \"protlm ");
  put(&out, version);
  plm_text_append(&out, "\" \"protlm manual\"\n");
  put_section(&out, "NAME");
  put_page_name(&out, table->command, false);
  plm_text_append(&out, " \\- ");
  put(&out, table->summary);
  plm_text_append(&out, "\n");
  put_section(&out, "SYNOPSIS");
  put(&out, table->usage);
  plm_text_append(&out, "\n");
  put_section(&out, "DESCRIPTION");
  put_paragraphs(&out, table->description != NULL ? table->description : table->summary);
  put_options(&out, table);
  put_examples(&out, table->examples);
  put_exit_status(&out);
  if (plm_option_find(table, "config") != NULL) put_environment_and_files(&out);
  put_section(&out, "SEE ALSO");
  plm_text_append(&out, ".BR protlm (1)\n");
  return plm_text_take(&out, ret_text);
}
