/* slurm_line.c - the words after `--`: a mistyped option must not wait in a queue for a day to be told. */
#include <string.h>

#include "app/commands.h"
#include "app/general_options.h"
#include "app/slurm.h"
#include "base/alloc.h"
#include "base/file.h"
#include "protlm/log.h"
#include "train/options.h"

/* ---- words ---- */

static const char task_number[] = "%a";

static void append_quoted(plm_text *out, const char *word, size_t length) {
  static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+,:@%=";
  if (length > 0 && strspn(word, plain) >= length) {
    plm_text_append_bytes(out, word, length);
    return;
  }
  plm_text_append(out, "'");
  for (size_t i = 0; i < length; i++)
    if (word[i] == '\'')
      plm_text_append(out, "'\\''");
    else
      plm_text_append_bytes(out, word + i, 1);
  plm_text_append(out, "'");
}

void plm_slurm_append_word(plm_text *out, const char *word, bool is_array) {
  const char *rest = word, *place;
  while (is_array && (place = strstr(rest, task_number)) != NULL) {
    if (place > rest) append_quoted(out, rest, (size_t)(place - rest));
    plm_text_append(out, "\"$SLURM_ARRAY_TASK_ID\"");
    rest = place + strlen(task_number);
  }
  if (*rest != '\0' || rest == word) append_quoted(out, rest, strlen(rest));
}

/* The word as the first task of the array would have it. */
static plm_status put_task(plm_arena *memory, const char *word, const char *task, const char **ret_word) {
  plm_text out = {0};
  const char *place;
  char *text;
  for (; (place = strstr(word, task_number)) != NULL; word = place + strlen(task_number)) {
    plm_text_append_bytes(&out, word, (size_t)(place - word));
    plm_text_append(&out, task);
  }
  plm_text_append(&out, word);
  PLM_TRY(plm_text_take(&out, &text));
  const plm_status status = plm_arena_strdup(memory, text, ret_word);
  plm_free(text);
  return status;
}

/* ---- arrays ---- */

/* "0-9%2", "1,3,5": the first number. */
static plm_status read_array(const char *array, char ret_task[16]) {
  const size_t digits = strspn(array, "0123456789");
  if (digits == 0 || digits > 9 || strspn(array, "0123456789,-:%") != strlen(array))
    return plm_hint(plm_fail(PLM_E_USAGE, "--array %s: must be numbers as sbatch takes them", array),
                    "--array 0-9, or --array 0-9%%2 for two at a time");
  memcpy(ret_task, array, digits);
  ret_task[digits] = '\0';
  return PLM_OK;
}

/* ---- the command ---- */

/* What a job may run. */
static const plm_command runnable[] = {{.name = "train", .options = plm_train_option_table},
                                       {.name = "eval", .options = plm_eval_option_table}};

static plm_status find_command(const plm_slurm_options *options, const plm_command **ret_command) {
  static const char example[] = "`protlm slurm --nodes 2 -- train --model M --train FILE --output-dir DIR`";
  if (options->line.count == 0)
    return plm_hint(plm_fail(PLM_E_USAGE, "what is the job to run? Its command stands behind two dashes"), "%s",
                    example);
  const char *name = options->line.items[0];
  for (size_t i = 0; i < sizeof runnable / sizeof *runnable; i++)
    if (strcmp(runnable[i].name, name) == 0) {
      *ret_command = &runnable[i];
      return PLM_OK;
    }
  plm_status status = plm_fail(PLM_E_USAGE, "'%s' behind the two dashes: a job runs train or eval", name);
  if (strcmp(name, "protlm") == 0) return plm_hint(status, "leave the word protlm out: -- train ...");
  return plm_hint(status, "%s", example);
}

/* What would break a line of the script in two. */
static plm_status check_words(const plm_string_list *words) {
  for (size_t i = 0; i < words->count; i++)
    for (const char *c = words->items[i]; *c != '\0'; c++)
      if ((unsigned char)*c < ' ' || *c == 127)
        return plm_fail(PLM_E_USAGE, "word %zu behind the two dashes holds a line break or another control character",
                        i + 1);
  return PLM_OK;
}

static plm_status read_values(plm_slurm_line *line, const char *task) {
  plm_arena *memory;
  plm_status status;
  char **argv = NULL;
  PLM_TRY(plm_arena_create(&memory));
  PLM_TRY_GOTO(PLM_NEW(&argv, line->words.count + 1), done);
  for (size_t i = 0; i < line->words.count; i++) {
    const char *word = line->words.items[i];
    if (line->is_array) PLM_TRY_GOTO(put_task(memory, word, task, &word), done);
    argv[i] = (char *)(uintptr_t)word;
  }
  PLM_TRY_GOTO(plm_options_load(line->table, (int)line->words.count, argv, &line->values), done);
done:
  if (status == PLM_E_USAGE) status = plm_error_prefix(status, "%s: ", line->command->name);
  plm_free(argv);
  plm_arena_destroy(memory);
  return status;
}

/* The last value of --`name` as typed; NULL: it does not stand on this line. */
static const char *typed(const plm_slurm_line *line, const char *name) {
  const plm_option *option = plm_option_find(line->table, name);
  const char *value = NULL;
  for (size_t i = 0; i < line->words.count; i++) {
    const char *word = line->words.items[i];
    char spelled[64] = "";
    const size_t dashes = strspn(word, "-"), length = strcspn(word, "=");
    if (dashes == 0 || length - dashes >= sizeof spelled) continue;
    memcpy(spelled, word + dashes, length - dashes);
    if (plm_option_find(line->table, spelled) != option) continue;
    if (word[length] == '=') value = word + length + 1;
    if (word[length] != '=' && i + 1 < line->words.count) value = line->words.items[i + 1];
  }
  return value;
}

/* ---- what a queue needs ---- */

static plm_status find_output_dir(plm_slurm_line *line) {
  const plm_train_options *train = line->values->options;
  const char *name = typed(line, "output-dir");
  line->gives_output_dir = name != NULL;
  if (name == NULL) name = train->output_dir;
  if (name == NULL || *name == '\0')
    return plm_hint(plm_fail(PLM_E_USAGE,
                             "train: --output-dir is missing: a job that is started again goes on with the run that it "
                             "finds in a directory that is always the same one"),
                    "-- train ... --output-dir DIR%s",
                    line->is_array ? "/%a, where %a stands for the number of the task" : "");
  if (line->is_array && strstr(name, task_number) == NULL)
    return plm_hint(plm_fail(PLM_E_USAGE, "--array: all its tasks would write to one directory, %s", name),
                    "--output-dir %s/%%a, where %%a stands for the number of the task", name);
  PLM_TRY(plm_path_expand_home(name, "--output-dir", &line->output_dir_memory));
  line->output_dir = line->output_dir_memory;
  return PLM_OK;
}

static plm_status check_train(plm_slurm_line *line) {
  const plm_train_options *train = line->values->options;
  if (train->model == NULL) return plm_hint(plm_fail(PLM_E_USAGE, "train: --model is missing"), "-- train --model M");
  if (train->train.count == 0)
    return plm_hint(plm_fail(PLM_E_USAGE, "train: --train is missing: no sequences"), "-- train --train my.fasta");
  line->gives_time_limit = typed(line, "time-limit") != NULL;
  return find_output_dir(line);
}

/* A job may be started in another directory or on another machine, so what is not here is only said. */
static plm_status check_files(const plm_slurm_line *line) {
  for (size_t i = 0; i < line->table->count; i++) {
    const plm_option *option = &line->table->options[i];
    if (option->type != PLM_OPT_PATHS || option->is_words) continue;
    const plm_string_list *list = (const void *)((const char *)line->values->options + option->offset);
    for (size_t j = 0; j < list->count; j++) {
      const char *path = list->items[j];
      if (strcmp(path, "-") == 0)
        return plm_hint(plm_fail(PLM_E_USAGE, "--%s -: a job has no standard input", option->name), "give a file");
      if (!plm_file_exists(path))
        plm_warn("--%s %s: there is no such file here; the job looks for it from the directory in which sbatch is run",
                 option->name, path);
    }
  }
  return PLM_OK;
}

static plm_status check_general(const plm_slurm_line *line) {
  const plm_option *print = plm_option_find(line->table, "print-config");
  const bool prints = print != NULL && *(const bool *)((const char *)line->values->options + print->offset);
  if (!plm_general_options_of(line->command, line->values)->help && !prints) return PLM_OK;
  return plm_hint(plm_fail(PLM_E_USAGE, "%s: --help and --print-config are no work for a job", line->command->name),
                  "`protlm %s --help`", line->command->name);
}

plm_status plm_slurm_line_read(const plm_slurm_options *options, plm_slurm_line *ret_line) {
  plm_slurm_line *line = ret_line;
  char task[16] = "";
  *line = (plm_slurm_line){.is_array = options->array != NULL};
  PLM_TRY(find_command(options, &line->command));
  if (line->is_array) PLM_TRY(read_array(options->array, task));
  PLM_TRY(check_words(&options->line));
  line->table = plm_command_full_table(line->command);
  line->words = (plm_string_list){.items = options->line.items + 1, .count = options->line.count - 1};
  PLM_TRY(read_values(line, task));
  PLM_TRY(check_general(line));
  if (strcmp(line->command->name, "train") == 0) PLM_TRY(check_train(line));
  return check_files(line);
}

void plm_slurm_line_destroy(plm_slurm_line *line) {
  plm_option_values_destroy(line->values);
  plm_free(line->output_dir_memory);
}
