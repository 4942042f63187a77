/* usage.c - the commands: finding one, listing them, and what to say about one that isn't there. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"

static bool is_named(const plm_command *command, int words, char **argv) {
  const char *rest = command->name;
  for (int i = 0; i < words; i++) {
    size_t length = strcspn(rest, " ");
    if (strlen(argv[i]) != length || strncmp(argv[i], rest, length) != 0) return false;
    rest += length + (rest[length] == ' ');
  }
  return *rest == '\0';
}

const plm_command *cli_find_command(int argc, char **argv, int *ret_words) {
  int count;
  const plm_command *commands = plm_commands(&count);
  for (int words = argc < 2 ? argc : 2; words >= 1; words--)
    for (int i = 0; i < count; i++) {
      if (!is_named(&commands[i], words, argv)) continue;
      *ret_words = words;
      return &commands[i];
    }
  return NULL;
}

static bool is_in_group(const plm_command *command, const char *word) {
  size_t n = strlen(word);
  return strncmp(command->name, word, n) == 0 && command->name[n] == ' ';
}

bool cli_is_group(const char *word) {
  int count;
  const plm_command *commands = plm_commands(&count);
  for (int i = 0; i < count; i++)
    if (is_in_group(&commands[i], word)) return true;
  return false;
}

/* One line a command; headings where the heading changes, unless only one first word is listed. */
static void list_commands(FILE *out, const char *only, const char *bold, const char *plain) {
  int count;
  const plm_command *commands = plm_commands(&count);
  const char *heading = "";
  for (int i = 0; i < count; i++) {
    if (only != NULL && !is_in_group(&commands[i], only)) continue;
    if (only == NULL && strcmp(heading, commands[i].heading) != 0)
      fprintf(out, "\n%s%s:%s\n", bold, commands[i].heading, plain);
    heading = commands[i].heading;
    fprintf(out, "  %-16s %s\n", commands[i].name, commands[i].options()->summary);
  }
}

void cli_print_usage(FILE *out, const char *only, const cli_terminal *terminal) {
  if (!cli_speaks()) return;
  bool colour = out == stdout ? terminal->stdout_colour : terminal->colour;
  const char *bold = colour ? "\033[1m" : "", *plain = colour ? "\033[0m" : "";
  if (only != NULL) {
    fprintf(out, "%sUsage:%s protlm %s <what> [options]\n\n", bold, plain, only);
    list_commands(out, only, bold, plain);
    fprintf(out, "\n`protlm %s <what> --help` explains each.\n", only);
    return;
  }
  fprintf(out, "protlm %s: train protein language models, without Python.\n\n%sUsage:%s protlm <command> [options]\n",
          PLM_VERSION, bold, plain);
  list_commands(out, NULL, bold, plain);
  fprintf(out,
          "\n`protlm <command> --help` explains a command and its options; --version, --quiet,\n"
          "--verbose (-v, -vv) and --no-color work everywhere.\n"
          "\n%sA first run:%s\n"
          "  protlm train --model esm2_t6_8M --train my.fasta --eval-fraction 0.05 \\\n"
          "    --output-dir run\n",
          bold, plain);
}

/* The command nearest to `words`; for a wrong second word, among those of its first. */
static const char *nearest_command(const char *words) {
  enum { MOST = 64 };
  int count;
  const plm_command *commands = plm_commands(&count);
  const char *names[MOST];
  size_t n = 0;
  for (int i = 0; i < count && n < MOST; i++) names[n++] = commands[i].name;
  const char *nearest = plm_nearest_name(words, names, n);
  for (int i = 0; i < count && nearest == NULL; i++) { /* "verify", "forward": the second word alone */
    const char *second = strchr(commands[i].name, ' ');
    if (second != NULL && strcmp(second + 1, words) == 0) nearest = commands[i].name;
  }
  return nearest;
}

plm_status cli_unknown_command(int argc, char **argv) {
  char words[160];
  if (argv[0][0] == '-') {
    plm_status status = plm_fail(PLM_E_USAGE, "'%s' stands where a command was expected", argv[0]);
    return plm_hint(status, "the command comes first: protlm train %s ...; protlm --help lists them", argv[0]);
  }
  bool has_second = argc > 1 && argv[1][0] != '-' && cli_is_group(argv[0]);
  snprintf(words, sizeof words, has_second ? "%.70s %.70s" : "%.70s", argv[0], has_second ? argv[1] : "");
  const char *nearest = nearest_command(words);
  plm_status status = plm_fail(PLM_E_USAGE, "there is no command '%s'", words);
  if (nearest != NULL) return plm_hint(status, "did you mean 'protlm %s'?", nearest);
  return plm_hint(status, "`protlm --help` lists the commands");
}
