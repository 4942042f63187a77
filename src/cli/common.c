/* common.c - the options every command takes: rows laid behind those of the command's own table, so that parsing, help,
 * man pages and completions see one table, and fields laid behind its struct. */
#include "cli/cli.h"

#include <stddef.h>
#include <string.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <unistd.h>

/* By the kernel's link, whatever has the file's name by now; where /proc is not there, by the name it was started by. */
const char *cli_own_program(void) {
  static const char link[] = "/proc/self/exe";
  return access(link, X_OK) == 0 ? link : (const char *)(uintptr_t)getauxval(AT_EXECFN);
}

typedef struct common_fields {
  bool help, quiet, verbose, no_color;
} common_fields;

enum { GENERAL_ROWS = 4, MOST_ROWS = 128, MOST_TABLES = 32 };

#define GENERAL_FLAG(words, short_name, field, sentence)                                                  \
  {                                                                                                       \
    .name = words, .aliases = short_name, .type = PLM_OPT_FLAG, .offset = offsetof(common_fields, field), \
    .group = "General", .help = sentence, .command_line_only = true                                       \
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
  full->table.struct_size = behind(own->struct_size) + sizeof(common_fields);
  if (own_rows > 0) memcpy(full->rows, own->options, own_rows * sizeof *full->rows);
  memcpy(full->rows + own_rows, general, sizeof general);
  for (size_t i = 0; i < GENERAL_ROWS; i++) full->rows[own_rows + i].offset += behind(own->struct_size);
}

const plm_option_table *cli_full_table(const plm_command *command) {
  const plm_option_table *own = command->options();
  size_t i = 0;
  while (i + 1 < MOST_TABLES && full_tables[i].own != NULL && full_tables[i].own != own) i++;
  if (full_tables[i].own != own) fill(&full_tables[i], own);
  return &full_tables[i].table;
}

/* ---- values ---- */

void cli_scan_common(int argc, char **argv, cli_common *ret_common) {
  *ret_common = (cli_common){0};
  for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
    const char *word = argv[i];
    bool is_short = word[0] == '-' && word[1] != '-';
    const plm_option_table rows = {.options = general, .count = GENERAL_ROWS};
    const plm_option *row = word[0] != '-' ? NULL : plm_option_find(&rows, word + (is_short ? 1 : 2));
    const char *name = row != NULL ? row->name : "";
    if (strcmp(name, "help") == 0) ret_common->help = true;
    if (strcmp(name, "quiet") == 0) ret_common->quiet = true;
    if (strcmp(name, "no-color") == 0) ret_common->no_color = true;
    if (strcmp(name, "verbose") == 0) ret_common->verbose++;
    if (strcmp(word, "--version") == 0) ret_common->version = true;
    if (strcmp(word, "-vv") != 0) continue;
    ret_common->verbose += 2;
    argv[i]++; /* "-v" is what the parser knows */
    argv[i][0] = '-';
  }
}

void cli_read_common(const plm_command *command, const plm_option_values *values, cli_common *common) {
  const common_fields *fields =
      (const common_fields *)(const void *)((const char *)values->options + behind(command->options()->struct_size));
  common->quiet = fields->quiet;
  common->no_color = fields->no_color;
  if (!fields->verbose) common->verbose = 0;
  if (fields->verbose && common->verbose == 0) common->verbose = 1;
}
