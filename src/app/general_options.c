/* general_options.c */
#include "app/general_options.h"

#include <stddef.h>
#include <string.h>

enum { GENERAL_ROWS = 4, MOST_ROWS = 128, MOST_TABLES = 32 };

#define GENERAL_FLAG(words, short_name, field, sentence)                                                        \
  {                                                                                                             \
    .name = words, .aliases = short_name, .type = PLM_OPT_FLAG, .offset = offsetof(plm_general_options, field), \
    .group = "General", .help = sentence, .command_line_only = true                                             \
  }

static const plm_option general[GENERAL_ROWS] = {
    GENERAL_FLAG("quiet", "q", quiet, "only warnings and errors on standard error"),
    GENERAL_FLAG("verbose", "v", verbose, "more detail; -vv: as much as there is"),
    GENERAL_FLAG("no-color", "no-colour", no_color, "no colours, as with NO_COLOR in the environment"),
    GENERAL_FLAG("help", "h", help, "show this help"),
};

/* A command's table with the general rows. Filled when first asked for; the pointers into it stay good. */
static struct full_table {
  const plm_option_table *own;
  plm_option_table table;
  plm_option rows[MOST_ROWS];
} full_tables[MOST_TABLES];

static size_t behind(size_t struct_size) { return (struct_size + 15) / 16 * 16; }

static void fill(struct full_table *full, const plm_option_table *own) {
  size_t own_rows = own->count < MOST_ROWS - GENERAL_ROWS ? own->count : MOST_ROWS - GENERAL_ROWS;
  full->own = own;
  full->table = *own;
  full->table.options = full->rows;
  full->table.count = own_rows + GENERAL_ROWS;
  full->table.struct_size = behind(own->struct_size) + sizeof(plm_general_options);
  if (own_rows > 0) memcpy(full->rows, own->options, own_rows * sizeof *full->rows);
  memcpy(full->rows + own_rows, general, sizeof general);
  for (size_t i = 0; i < GENERAL_ROWS; i++) full->rows[own_rows + i].offset += behind(own->struct_size);
}

const plm_option_table *plm_command_full_table(const plm_command *command) {
  const plm_option_table *own = command->options();
  size_t i = 0;
  while (i + 1 < MOST_TABLES && full_tables[i].own != NULL && full_tables[i].own != own) i++;
  if (full_tables[i].own != own) fill(&full_tables[i], own);
  return &full_tables[i].table;
}

const plm_option *plm_general_option_find(const char *name) {
  const plm_option_table rows = {.options = general, .count = GENERAL_ROWS};
  return plm_option_find(&rows, name);
}

const plm_general_options *plm_general_options_of(const plm_command *command, const plm_option_values *values) {
  return (const void *)((const char *)values->options + behind(command->options()->struct_size));
}
