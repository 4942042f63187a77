/* dump.c - the tables as lines of fields, for the script that makes man pages and docs/options.md of them. */
#include "options/internal.h"

/* A tab, and the words with backslash, tab and newline written as in C; nothing for NULL. */
static void put_field(plm_text *out, const char *words) {
  plm_text_append(out, "\t");
  for (; words != NULL && *words != '\0'; words++)
    plm_text_printf(out, *words == '\n' ? "\\n" : *words == '\t' ? "\\t" : *words == '\\' ? "\\\\" : "%c", *words);
}

static void put_fields(plm_text *out, const char *kind, const char *const *fields, size_t count) {
  plm_text_append(out, kind);
  for (size_t i = 0; i < count; i++) put_field(out, fields[i]);
  plm_text_append(out, "\n");
}

static void put_option(plm_text *out, const plm_option *option) {
  static const char *const types[] = {
      [PLM_OPT_FLAG] = "flag",     [PLM_OPT_INT] = "int",       [PLM_OPT_COUNT] = "count",
      [PLM_OPT_SIZE] = "size",     [PLM_OPT_NUMBER] = "number", [PLM_OPT_DURATION] = "duration",
      [PLM_OPT_STRING] = "string", [PLM_OPT_PATH] = "path",     [PLM_OPT_CHOICE] = "choice",
      [PLM_OPT_PATHS] = "paths",
  };
  plm_text range = {0};
  plm_option_range_write(option, &range);
  const char *const fields[] = {
      option->name,          option->aliases, types[option->type], plm_option_argument(option),
      option->default_value, range.data,      option->choices,     option->group,
      option->help};
  put_fields(out, "option", fields, sizeof fields / sizeof *fields);
  if (range.status != PLM_OK && out->status == PLM_OK) out->status = range.status;
  plm_text_free(&range);
}

plm_status plm_options_dump(const plm_option_table *const *tables, size_t count, char **ret_text) {
  plm_text out = {0};
  for (size_t i = 0; i < count; i++) {
    const plm_option_table *table = tables[i];
    const char *const fields[] = {table->command, table->summary, table->usage, table->description, table->examples};
    put_fields(&out, "table", fields, sizeof fields / sizeof *fields);
    for (size_t j = 0; j < table->count; j++)
      if (table->options[j].group != NULL) put_option(&out, &table->options[j]);
  }
  return plm_text_take(&out, ret_text);
}
