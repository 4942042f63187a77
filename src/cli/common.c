/* common.c - the options every command takes, at work. */
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "app/general_options.h"
#include "cli/cli.h"

/* By the kernel's link, whatever has the file's name by now; where /proc is not there, by the name it was started by. */
const char *cli_own_program(void) {
  static const char link[] = "/proc/self/exe";
  return access(link, X_OK) == 0 ? link : (const char *)(uintptr_t)getauxval(AT_EXECFN);
}

void cli_scan_common(int argc, char **argv, cli_common *ret_common) {
  *ret_common = (cli_common){0};
  for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
    const char *word = argv[i];
    bool is_short = word[0] == '-' && word[1] != '-';
    const plm_option *row = word[0] != '-' ? NULL : plm_general_option_find(word + (is_short ? 1 : 2));
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
  const plm_general_options *fields = plm_general_options_of(command, values);
  common->quiet = fields->quiet;
  common->no_color = fields->no_color;
  if (!fields->verbose) common->verbose = 0;
  if (fields->verbose && common->verbose == 0) common->verbose = 1;
}
