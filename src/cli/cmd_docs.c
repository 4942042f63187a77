/* cmd_docs.c - `protlm generate-docs [FILE]`: man pages, completions and docs/options.md, made from the option tables.
 * Not in the list of commands: tools/generate_docs.sh calls it, and a test compares what it makes with the committed
 * files. */
#include <string.h>

#include "cli/cli.h"

enum { MOST = 64 };

static size_t list_tables(const plm_option_table **tables) {
  int count;
  const plm_command *commands = plm_commands(&count);
  size_t n = 0;
  for (; n < (size_t)count && n < MOST; n++) tables[n] = cli_full_table(&commands[n]);
  return n;
}

/* "share/man/man1/protlm-inspect-batch.1" */
static void man_page_name(const plm_option_table *table, char name[160]) {
  snprintf(name, 160, "share/man/man1/protlm-%.100s.1", table->command);
  for (char *c = name; *c != '\0'; c++)
    if (*c == ' ') *c = '-';
}

/* ---- the overview page ---- */

static void put_roff(const char *words) {
  for (const char *c = words; *c != '\0'; c++)
    *c == '-' ? (void)fputs("\\-", stdout) : *c == '\'' ? (void)fputs("\\(aq", stdout) : (void)putchar(*c);
}

static plm_status print_overview(void) {
  const plm_option_table *tables[MOST];
  size_t count = list_tables(tables);
  printf(
      ".TH PROTLM 1 \"\" \"protlm %s\" \"protlm manual\"\n"
      ".SH NAME\nprotlm \\- train protein language models\n"
      ".SH SYNOPSIS\n\\fBprotlm\\fR \\fIcommand\\fR [\\fIoptions\\fR]\n.br\n\\fBprotlm help\\fR [\\fIcommand\\fR]\n"
      ".SH DESCRIPTION\n"
      "protlm trains ESM\\-2 protein language models on a FASTA or HDF5 file, evaluates them, and shows what happens inside. Models are read and\n"
      "written as Hugging Face directories. No Python is needed.\n.PP\n"
      "Results go to standard output; the log, warnings and progress go to standard error.\n"
      ".SH COMMANDS\nEach has a page of its own, protlm\\-\\fIcommand\\fR(1).\n",
      PLM_VERSION);
  for (size_t i = 0; i < count; i++) {
    printf(".TP\n\\fB%s\\fR\n", tables[i]->command);
    put_roff(tables[i]->summary);
    putchar('\n');
  }
  fputs(
      ".SH ENVIRONMENT\n"
      ".TP\n\\fBPROTLM_\\fIOPTION\\fR\nA value for an option: \\-\\-learning\\-rate is PROTLM_LEARNING_RATE. The command line wins.\n"
      ".TP\n\\fBPROTLM_CPU\\fR\nHighest instruction set to use: ref, avx2, avx512, avx512bf16 or amx.\n"
      ".TP\n\\fBPROTLM_CACHE\\fR, \\fBXDG_CACHE_HOME\\fR, \\fBTMPDIR\\fR\nWhere packed sequence files go when the data's own directory cannot be written.\n"
      ".TP\n\\fBHF_HUB_CACHE\\fR, \\fBHF_HOME\\fR\nThe Hugging Face cache, in which models named by hub id are found. Nothing is ever downloaded.\n"
      ".TP\n\\fBNO_COLOR\\fR, \\fBTERM\\fR\nNo colours when NO_COLOR is set or TERM is dumb.\n"
      ".SH EXIT STATUS\n"
      ".TP\n0\ndone\n.TP\n1\nsomething outside protlm failed\n.TP\n2\nan option, or an output directory that cannot be used as asked\n"
      ".TP\n3\na data, model or configuration file is unreadable or wrong\n.TP\n4\ncheckpoints are damaged and there is none to fall back on\n"
      ".TP\n5\nthe loss or gradients were not finite, several times in a row\n.TP\n6\nout of memory or disk, or an output cannot be written\n"
      ".TP\n70\na defect of protlm; please report it\n.TP\n75\nstopped early with a good checkpoint: run the same command again\n",
      stdout);
  return PLM_OK;
}

/* ---- docs/options.md ---- */

static void put_cell(const char *words) {
  for (const char *c = words; *c != '\0'; c++) {
    if (*c == '|' || *c == '<' || *c == '*' || *c == '_') putchar('\\');
    putchar(*c);
  }
}

static void put_option_row(const plm_option *option) {
  bool is_flag = option->type == PLM_OPT_FLAG,
       is_on = is_flag && option->default_value != NULL && strcmp(option->default_value, "true") == 0;
  printf("| `--%s%s` | ", is_on ? "[no-]" : "", option->name);
  if (is_flag)
    fputs(is_on ? "on" : "", stdout);
  else if (option->default_value != NULL)
    printf("`%s`", option->default_value);
  fputs(" | ", stdout);
  put_cell(option->help);
  for (const char *c = option->choices == NULL ? "" : option->choices, *separator = " (one of "; *c != '\0';
       separator = ", ") {
    size_t length = strcspn(c, "|");
    printf("%s`%.*s`", separator, (int)length, c);
    c += length + (c[length] == '|');
    if (*c == '\0') putchar(')');
  }
  for (const char *c = option->aliases == NULL ? "" : option->aliases, *separator = "; also "; *c != '\0';
       separator = ", ") {
    size_t length = strcspn(c, " ");
    printf("%s`%s%.*s`", separator, length == 1 ? "-" : "--", (int)length, c);
    c += length + (c[length] == ' ');
  }
  fputs(" |\n", stdout);
}

static void put_table(const plm_option_table *table) {
  const char *group = "";
  printf("\n## protlm %s\n\n", table->command);
  put_cell(table->summary);
  printf("\n\n    %s\n", table->usage);
  for (size_t i = 0; i < table->count; i++) {
    const plm_option *option = &table->options[i];
    if (option->group == NULL || strcmp(option->group, "General") == 0) continue;
    if (strcmp(option->group, group) != 0)
      printf("\n**%s**\n\n| option | default | what it does |\n|---|---|---|\n", option->group);
    group = option->group;
    put_option_row(option);
  }
}

static plm_status print_options(void) {
  const plm_option_table *tables[MOST];
  size_t count = list_tables(tables);
  fputs(
      "# Options\n\n"
      "Made by `make docs` from the tables that the program itself uses; `protlm <command> --help` says the same.\n\n"
      "Values come, strongest first, from the command line, the environment (`--learning-rate` is `PROTLM_LEARNING_RATE`), the file named by\n"
      "`--config`, and the defaults; `--print-config` shows each with its origin. Underscores are read as dashes. Numbers take K, M and G (16K is\n"
      "16,000 for counts and 16,384 for memory), times s, m, h and d (`1h30m`). A flag is `--flag`, `--no-flag` or `--flag=false`. There are no\n"
      "abbreviations.\n\n"
      "Every command also takes `--help`, `--quiet`, `--verbose` (`-v`, `-vv`) and `--no-color`.\n",
      stdout);
  for (size_t i = 0; i < count; i++) put_table(tables[i]);
  return PLM_OK;
}

/* ---- the generated files, by name ---- */

static plm_status print_and_free(char *text) {
  fputs(text, stdout);
  plm_string_free(text);
  return PLM_OK;
}

static plm_status print_completion(plm_shell shell) {
  const plm_option_table *tables[MOST];
  size_t count = list_tables(tables);
  char *text;
  PLM_TRY(plm_options_completion(tables, count, shell, &text));
  return print_and_free(text);
}

static plm_status print_bash(void) { return print_completion(PLM_SHELL_BASH); }
static plm_status print_zsh(void) { return print_completion(PLM_SHELL_ZSH); }
static plm_status print_fish(void) { return print_completion(PLM_SHELL_FISH); }

static const struct {
  const char *name;
  plm_status (*print)(void);
} files[] = {
    {"share/man/man1/protlm.1", print_overview}, {"share/completions/protlm.bash", print_bash},
    {"share/completions/_protlm", print_zsh},    {"share/completions/protlm.fish", print_fish},
    {"docs/options.md", print_options},
};
enum { FILES = sizeof files / sizeof *files };

plm_status cli_generate_docs(const char *file) {
  const plm_option_table *tables[MOST];
  size_t count = list_tables(tables);
  for (size_t i = 0; i < FILES; i++) {
    if (file == NULL) printf("%s\n", files[i].name);
    if (file != NULL && strcmp(file, files[i].name) == 0) return files[i].print();
  }
  for (size_t i = 0; i < count; i++) {
    char name[160], *text;
    man_page_name(tables[i], name);
    if (file == NULL) printf("%s\n", name);
    if (file == NULL || strcmp(file, name) != 0) continue;
    PLM_TRY(plm_options_man_page(tables[i], PLM_VERSION, &text));
    return print_and_free(text);
  }
  return file == NULL ? PLM_OK : plm_fail(PLM_E_USAGE, "no generated file is called '%s'", file);
}
