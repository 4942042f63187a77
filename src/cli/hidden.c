/* hidden.c - commands that no list shows: `__complete WORDS...`, by which share/completions asks what may stand at the
 * end of a line, and `__options`, of which tools/generate_docs.sh makes the man pages and docs/options.md. */
#include <string.h>

#include "app/general_options.h"
#include "cli/cli.h"

plm_status cli_run_hidden(int argc, char **argv, bool *ret_is_hidden) {
  enum { MOST = 64 };
  const plm_option_table *tables[MOST];
  int count;
  size_t n = 0;
  char *text;
  const bool completes = argc > 1 && strcmp(argv[1], "__complete") == 0;
  *ret_is_hidden = completes || (argc == 2 && strcmp(argv[1], "__options") == 0);
  if (!*ret_is_hidden) return PLM_OK;
  const plm_command *commands = plm_commands(&count);
  for (; n < (size_t)count && n < MOST; n++) tables[n] = plm_command_full_table(&commands[n]);
  if (completes)
    PLM_TRY(plm_options_complete(tables, n, argc - 2, argv + 2, &text));
  else
    PLM_TRY(plm_options_dump(tables, n, &text));
  if (!completes) printf("version\t%s\n", PLM_VERSION);
  fputs(text, stdout);
  plm_string_free(text);
  return PLM_OK;
}
