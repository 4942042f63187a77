/* cmd_docs.c - `protlm generate-docs DIR`: man pages and completions from the option tables. Hidden; `make docs` and the packagers call it.
 * The files are compared with the committed ones in `make check`. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"

static plm_status write_text(const char *directory, const char *name, const char *text) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  FILE *file = fopen(path, "w");
  if (file == NULL) return plm_fail(PLM_E_RESOURCE, "%s: %s", path, strerror(errno));
  bool wrote = fputs(text, file) >= 0;
  bool closed = fclose(file) == 0;
  return wrote && closed ? PLM_OK : plm_fail(PLM_E_RESOURCE, "%s: could not be written", path);
}

static plm_status make_folder(const char *directory, const char *name, char *path, size_t bytes) {
  snprintf(path, bytes, "%s/%s", directory, name);
  if (mkdir(path, 0777) == 0 || errno == EEXIST) return PLM_OK;
  return plm_fail(PLM_E_RESOURCE, "%s: %s", path, strerror(errno));
}

static plm_status write_man_page(const char *folder, const plm_option_table *table) {
  char *text, name[128];
  PLM_TRY(plm_options_man_page(table, PLM_VERSION, &text));
  snprintf(name, sizeof name, "protlm-%s.1", table->command);
  for (char *c = name; *c != '\0'; c++)
    if (*c == ' ') *c = '-';
  plm_status status = write_text(folder, name, text);
  plm_string_free(text);
  return status;
}

static plm_status write_completion(const char *folder, const plm_option_table *const *tables, size_t count, plm_shell shell, const char *name) {
  char *text;
  PLM_TRY(plm_options_completion(tables, count, shell, &text));
  plm_status status = write_text(folder, name, text);
  plm_string_free(text);
  return status;
}

plm_status cli_generate_docs(const char *directory) {
  enum { MOST = 64 };
  const plm_option_table *tables[MOST];
  char folder[4096];
  int count;
  const plm_command *commands = plm_commands(&count);
  PLM_TRY(make_folder(directory, "", folder, sizeof folder));
  PLM_TRY(make_folder(directory, "man", folder, sizeof folder));
  PLM_TRY(make_folder(directory, "man/man1", folder, sizeof folder));
  for (int i = 0; i < count && i < MOST; i++) {
    tables[i] = commands[i].options();
    PLM_TRY(write_man_page(folder, tables[i]));
  }
  PLM_TRY(make_folder(directory, "completions", folder, sizeof folder));
  PLM_TRY(write_completion(folder, tables, (size_t)count, PLM_SHELL_BASH, "protlm.bash"));
  PLM_TRY(write_completion(folder, tables, (size_t)count, PLM_SHELL_ZSH, "_protlm"));
  PLM_TRY(write_completion(folder, tables, (size_t)count, PLM_SHELL_FISH, "protlm.fish"));
  return PLM_OK;
}
