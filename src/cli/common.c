/* common.c - the options every command takes. */
#include <string.h>

#include "cli/cli.h"

/* True when argv[i - 1] is an option of the command that is waiting for argv[i] as its value. */
static bool is_value(const plm_option_table *table, char *const *argv, int i) {
  if (table == NULL || i == 0) return false;
  const char *before = argv[i - 1];
  if (before[0] != '-' || strchr(before, '=') != NULL) return false;
  const plm_option *option = plm_option_find(table, before + (before[1] == '-' ? 2 : 1));
  return option != NULL && option->type != PLM_OPT_FLAG;
}

/* Reads one argument; false when it is not a common option. */
static bool take_one(const char *argument, cli_common *common) {
  if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0)
    common->help = true;
  else if (strcmp(argument, "--version") == 0)
    common->version = true;
  else if (strcmp(argument, "--quiet") == 0 || strcmp(argument, "-q") == 0)
    common->quiet = true;
  else if (strcmp(argument, "--verbose") == 0 || strcmp(argument, "-v") == 0)
    common->verbose++;
  else if (strcmp(argument, "-vv") == 0)
    common->verbose += 2;
  else if (strcmp(argument, "--no-color") == 0 || strcmp(argument, "--no-colour") == 0 || strcmp(argument, "--no_color") == 0)
    common->no_color = true;
  else
    return false;
  return true;
}

void cli_take_common(const plm_option_table *table, int *argc, char **argv, cli_common *ret_common) {
  *ret_common = (cli_common){0};
  int kept = 0;
  bool options_over = false;
  for (int i = 0; i < *argc; i++) {
    if (strcmp(argv[i], "--") == 0) options_over = true;
    if (!options_over && !is_value(table, argv, i) && take_one(argv[i], ret_common)) continue;
    argv[kept++] = argv[i];
  }
  *argc = kept;
}
