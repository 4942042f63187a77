/* general_options.h - the options that every command takes: rows laid behind those of the command's own table, so that
 * parsing, help, man pages and completions see one table, and fields laid behind its struct. */
#ifndef PLM_APP_GENERAL_OPTIONS_H
#define PLM_APP_GENERAL_OPTIONS_H

#include "protlm/commands.h"

typedef struct plm_general_options {
  bool help, quiet, verbose, no_color;
} plm_general_options;

/* The command's table with the general rows behind its own. */
const plm_option_table *plm_command_full_table(const plm_command *command);

/* The row of a general option; NULL for any other name. */
const plm_option *plm_general_option_find(const char *name);

/* As parsed with plm_command_full_table. */
const plm_general_options *plm_general_options_of(const plm_command *command, const plm_option_values *values);

#endif
