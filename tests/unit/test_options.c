/* Options are what was typed, or the run does not start: every mistake has its code, its words and a way out. */
#define _GNU_SOURCE
#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"
#include "protlm/log.h"
#include "support/sample_options.h"
#include "support/scratch.h"

enum { MOST_WORDS = 16 };

/* A command line as one text, its words separated by blanks; '' is an empty word. */
static plm_status load(const plm_option_table *table, const char *line, plm_option_values **ret_values) {
  static char words[1024];
  char *argv[MOST_WORDS];
  int argc = 0;
  snprintf(words, sizeof words, "%s", line);
  for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " "))
    argv[argc++] = strcmp(word, "''") == 0 ? word + 2 : word;
  return plm_options_load(table, argc, argv, ret_values);
}

static const sample *options_of(const plm_option_values *values) { return values->options; }

/* ---- what is right ---- */

static void defaults_hold_until_something_is_said(void **state) {
  (void)state;
  plm_option_values *values;
  assert_ok(load(&sample_table, "", &values));
  const sample *o = options_of(values);
  assert_true(o->batch_tokens == 16000 && o->seed == 42 && o->max_steps == 0 && o->memory == 0);
  assert_true(o->mask_probability == 0.15 && o->learning_rate == 4e-4 && o->save_interval == 1800);
  assert_true(o->flash && !o->bf16);
  assert_string_equal(o->scheduler, "esm2");
  assert_null(o->model);
  assert_int_equal(o->train.count, 0);
  assert_false(plm_option_given(values, "seed"));
  plm_option_values_destroy(values);
  plm_option_values_destroy(NULL);
}

static void every_way_of_writing_a_value_is_read(void **state) {
  (void)state;
  const struct {
    const char *line, *name, *text;
  } cases[] = {
      {"--seed 7", "seed", "7"},
      {"--seed=7", "seed", "7"},
      {"-s 7", "seed", "7"},
      {"-s=7", "seed", "7"},
      {"--seed +7", "seed", "7"},
      {"--seed 9223372036854775807", "seed", "9223372036854775807"},
      {"--learning_rate 1e-3", "learning-rate", "0.001"},
      {"--lr .5", "learning-rate", "0.5"},
      {"--lr 1", "learning-rate", "1"},
      {"-b 8", "batch-tokens", "8"},
      {"-b 8k", "batch-tokens", "8000"},
      {"-b 1.5M", "batch-tokens", "1500000"},
      {"-b 1e6", "batch-tokens", "1000000"},
      {"-b 2G", "batch-tokens", "2000000000"},
      {"-b 9223372036854775807", "batch-tokens", "9223372036854775807"},
      {"--memory 1M", "memory", "1048576"},
      {"--memory 2GiB", "memory", "2147483648"},
      {"--memory 1.5GB", "memory", "1610612736"},
      {"--memory 1048576B", "memory", "1048576"},
      {"--memory 1T", "memory", "1099511627776"},
      {"--save-interval 90", "save-interval", "90s"},
      {"--save-interval 90s", "save-interval", "90s"},
      {"--save-interval 1.5m", "save-interval", "90s"},
      {"--save-interval 1h30m", "save-interval", "5400s"},
      {"--save-interval 1d", "save-interval", "86400s"},
      {"--save-interval 24:00:00", "save-interval", "86400s"},
      {"--save-interval 1-00:00:00", "save-interval", "86400s"},
      {"--save-interval 1-12", "save-interval", "129600s"},
      {"--save-interval 2-03:30", "save-interval", "185400s"},
      {"--save-interval 1:02:03", "save-interval", "3723s"},
      {"--save-interval 90:00", "save-interval", "5400s"},
      {"--save-interval 00:90:00", "save-interval", "5400s"},
      {"--save-interval 1:60:00", "save-interval", "7200s"},
      {"--save-interval 1-24:00:00", "save-interval", "172800s"},
      {"--save-interval 5min", "save-interval", "300s"},
      {"--save-interval 3hours", "save-interval", "10800s"},
      {"--save-interval 1hr30min", "save-interval", "5400s"},
      {"--save-interval 0-48:00:00", "save-interval", "172800s"},
      {"--bf16", "bf16", "true"},
      {"--bf16=yes", "bf16", "true"},
      {"--bf16 True", "bf16", "true"},
      {"--bf16 1", "bf16", "true"},
      {"--bf16 no --seed 3", "bf16", "false"},
      {"--bf16=off", "bf16", "false"},
      {"--no-bf16", "bf16", "false"},
      {"--no-flash-attention", "flash-attention", "false"},
      {"--no_flash_attention", "flash-attention", "false"},
      {"--flash-attention=false", "flash-attention", "false"},
      {"--bf16 false", "bf16", "false"},
      {"--lr-scheduler-type constant_with_warmup", "lr-scheduler-type", "constant_with_warmup"},
      {"--output-dir -", "output-dir", "-"},
      {"-o=--odd", "output-dir", "--odd"},
      {"--note -5", "note", "-5"},
      {"--note ''", "note", ""},
      {"--note=a=b", "note", "a=b"},
      {"--model-name-or-path x", "model", "x"},
      {"--seed 7 --seed=7", "seed", "7"},
      {"--train a b c --seed 1", "train", "a b c"},
      {"--train a --seed 1 --train-file b", "train", "a b"},
      {"--train -", "train", "-"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    plm_option_values *values;
    char *text;
    assert_ok(load(&sample_table, cases[i].line, &values));
    assert_ok(plm_option_text(values, plm_option_find(&sample_table, cases[i].name), &text));
    if (strcmp(text, cases[i].text) != 0) fail_msg("%s: got '%s', expected '%s'", cases[i].line, text, cases[i].text);
    assert_int_equal(plm_option_origin(values, cases[i].name), PLM_FROM_COMMAND_LINE);
    plm_free(text);
    plm_option_values_destroy(values);
  }
}

static void long_lists_keep_their_order(void **state) {
  (void)state;
  plm_option_values *values;
  assert_ok(plm_option_values_create(&sample_table, &values));
  for (int i = 0; i < 1000; i++) {
    char name[32];
    snprintf(name, sizeof name, "%d.fasta", i);
    assert_ok(plm_option_set(values, "train", name, PLM_FROM_COMMAND_LINE, NULL));
  }
  assert_int_equal(options_of(values)->train.count, 1000);
  for (int i = 0; i < 1000; i++) assert_int_equal(atoi(options_of(values)->train.items[i]), i);
  plm_option_values_destroy(values);
}

static void positional_words_are_kept_where_they_are_allowed(void **state) {
  (void)state;
  plm_option_values *values;
  assert_ok(load(&sample_files_table, "run1 --seed 1 run2 -- --odd -", &values));
  const sample *o = options_of(values);
  assert_int_equal(o->files.count, 4);
  assert_string_equal(o->files.items[1], "run2");
  assert_string_equal(o->files.items[2], "--odd");
  assert_string_equal(o->files.items[3], "-");
  plm_option_values_destroy(values);
}

/* ---- what is wrong ---- */

static void every_mistake_has_its_code_and_words(void **state) {
  (void)state;
  const struct {
    const char *line, *message, *hint;
  } cases[] = {
      {"--learnng-rate 1", "unknown option --learnng-rate", "did you mean --learning-rate?"},
      {"--learning-rat=1", "unknown option --learning-rat", "did you mean --learning-rate?"},
      {"--learn 1", "unknown option --learn", "did you mean --learning-rate?"},
      {"--sede 1", "unknown option --sede", "did you mean --seed?"},
      {"--SEED 1", "unknown option --SEED", ""},
      {"--no-flash-atention", "unknown option --no-flash-atention", "did you mean --no-flash-attention?"},
      {"--xyzzy", "unknown option --xyzzy", "`protlm train --help` lists the options"},
      {"--secre", "unknown option --secre", "lists the options"},
      {"--no-seed", "unknown option --no-seed", "--seed takes a value"},
      {"--b 8", "unknown option --b", "did you mean -b?"},
      {"-lr 1", "unknown option -lr", "did you mean --lr?"},
      {"-b8", "unknown option -b8", "did you mean -b 8?"},
      {"-x", "unknown option -x", ""},
      {"--=3", "unknown option --", ""},
      {"--a-very-long-name-that-nobody-would-ever-want-to-type-into-a-command-line-of-any-program x",
       "unknown option --a-very-long", ""},
      {"--fp16", "--fp16 is not an option of protlm", "use --bf16"},
      {"--no_fp16", "--no_fp16 is not an option of protlm", "it is off here anyway"},
      {"--fsdp_config=x", "--fsdp_config is not an option of protlm", "nothing is sharded"},
      {"--fsdp", "--fsdp is not an option of protlm", "nothing is sharded"},
      {"--max-steps -1", "--max-steps -1: not a value that protlm takes", "leave it out"},
      {"--max-steps 0.5", "--max-steps 0.5: not a value", "leave it out"},
      {"--max-steps -10", "must be at least 1", ""},
      {"--note True", "--note True: not a value", "write words"},
      {"--report_to wandb", "--report_to is not an option of protlm", "TensorBoard"},
      {"--seed", "--seed needs a value", "--seed N"},
      {"--output-dir --seed 1", "--output-dir needs a value, but --seed follows", "--output-dir=--seed"},
      {"--train", "--train needs a value", "FILE"},
      {"stray", "unexpected argument 'stray'", "usage: protlm train"},
      {"run.yml", "unexpected argument 'run.yml'", "--config run.yml"},
      {"args.json", "unexpected argument 'args.json'", "a file of options is given as --config args.json"},
      {"learning_rate=1e-4", "unexpected argument 'learning_rate=1e-4'", "write --learning_rate=1e-4"},
      {"no_such=1", "unexpected argument", "usage: protlm train"},
      {"--bf16 maybe", "unexpected argument 'maybe'", ""},
      {"--bf16=maybe", "--bf16 maybe: must be true or false", ""},
      {"--no-bf16=true", "--no-bf16=true: a negated flag takes no value", "--bf16=true"},
      {"--seed ''", "--seed '': must be a whole number", ""},
      {"--seed=", "--seed '': must be a whole number", ""},
      {"--seed 1.5", "--seed 1.5: must be a whole number", ""},
      {"--seed 7x", "--seed 7x: must be a whole number", ""},
      {"--seed 0x10", "must be a whole number", ""},
      {"--seed 9223372036854775808", "--seed 9223372036854775808: the number is too large", ""},
      {"--seed -1", "--seed -1: must be at least 0", ""},
      {"-s -1", "-s -1: must be at least 0", ""},
      {"-b 0", "-b 0: must be at least 1", ""},
      {"-b 1.5", "must be a whole number like 5000 or 16K", ""},
      {"-b 16KB", "must be a whole number like", ""},
      {"-b K", "must be a whole number like", ""},
      {"-b nan", "must be a whole number like", ""},
      {"-b 10000000000G", "the number is too large", ""},
      {"-b 1e30", "the number is too large", ""},
      {"-b ''", "must be a whole number like", ""},
      {"--memory 1K", "--memory 1K: must be at least 1.00 MiB", ""},
      {"--memory lots", "must be a size like 512M or 16G", ""},
      {"--mask-probability 1.5", "--mask-probability 1.5: must be greater than 0 and less than 1", ""},
      {"--mask-probability 1", "must be greater than 0 and less than 1", ""},
      {"--mask-probability 0", "must be greater than 0 and less than 1", ""},
      {"--lr 2", "--lr 2: must be greater than 0 and at most 1", ""},
      {"--lr nan", "--lr nan: must be a number", ""},
      {"--lr inf", "must be a number", ""},
      {"--lr -inf", "--lr needs a value", ""},
      {"--lr 1e999", "the number is too large", ""},
      {"--lr 1e-3x", "must be a number", ""},
      {"--lr 1,5", "must be a number", ""},
      {"--lr 0x1p-3", "must be a number", ""},
      {"--lr=", "--lr '': must be a number", ""},
      {"--save-interval 10w", "must be a time like 90s, 30m, 2h, 1d or 1h30m", "D-HH:MM:SS"},
      {"--save-interval 1h30", "must be a time like", ""},
      {"--save-interval 0", "must be at least 1 s", ""},
      {"--save-interval ''", "must be a time like", ""},
      {"--save-interval m", "must be a time like", ""},
      {"--save-interval 1:2:3:4", "must be a time like", "D-HH:MM:SS"},
      {"--save-interval 1-", "must be a time like", "HH:MM:SS"},
      {"--save-interval -5", "must be a time like", "MM:SS"},
      {"--save-interval -5:00", "must be a time like", "MM:SS"},
      {"--save-interval 1-2-3", "must be a time like", "D-HH"},
      {"--save-interval 1:00h", "must be a time like", "D-HH"},
      {"--save-interval 1-00:00:00:00", "must be a time like", "D-HH"},
      {"--save-interval 99999999999999999999:00", "must be a time like", "D-HH"},
      {"--lr-scheduler-type cosin", "--lr-scheduler-type cosin: must be one of esm2, linear, cosine, constant, ",
       "did you mean cosine?"},
      {"--lr-scheduler-type ''", "must be one of", ""},
      {"--output-dir ''", "--output-dir '': the file name is empty", ""},
      {"--note \xff", "must be UTF-8 text", ""},
      {"--seed 1 --seed 2", "--seed given twice: 1 and 2", ""},
      {"--lr 1 --learning-rate 0.5", "--learning-rate given twice: 1 and 0.5", ""},
      {"--bf16 --no-bf16", "--bf16 given twice: true and false", ""},
      {"--config /nonexistent.yaml", "/nonexistent.yaml", ""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    plm_option_values *values = NULL;
    plm_status status = load(&sample_table, cases[i].line, &values),
               expected = strstr(cases[i].line, ".yaml") != NULL ? PLM_E_INPUT : PLM_E_USAGE;
    if (status != expected || strstr(plm_error_message(), cases[i].message) == NULL ||
        strstr(plm_error_hint(), cases[i].hint) == NULL)
      fail_msg("%s: got %s: %s (%s)", cases[i].line, plm_status_name(status), plm_error_message(), plm_error_hint());
    assert_null(values);
  }
}

static void a_single_positional_word_is_not_taken_twice(void **state) {
  (void)state;
  plm_option_values *values;
  assert_fails(load(&sample_file_table, "one two", &values), PLM_E_USAGE,
               "unexpected argument 'two': one RUN was given already, 'one'");
}

static void a_wrong_table_is_our_bug(void **state) {
  (void)state;
  plm_option wrong = sample_options[1];
  wrong.default_value = "0";
  const plm_option_table table = {.command = "train", .options = &wrong, .count = 1, .struct_size = sizeof(sample)};
  plm_option_values *values;
  assert_fails(plm_option_values_create(&table, &values), PLM_E_BUG,
               "option table of 'train': default of --batch-tokens 0: must be at least 1");
}

/* ---- sources ---- */

static void the_command_line_wins_over_environment_over_file_over_preset(void **state) {
  (void)state;
  scratch_write_text("c.yaml", "seed: 3\nlr: 0.3\nbatch-tokens: 3\nmax-steps: 3\ntrain: [c1, c2]\n");
  setenv("PROTLM_SEED", "2", 1);
  setenv("PROTLM_LR", "0.2", 1);
  setenv("PROTLM_BF16", "", 1);
  char line[300];
  snprintf(line, sizeof line, "--seed 1 --train a --config %s", scratch_path("c.yaml"));
  plm_option_values *values;
  assert_ok(load(&sample_table, line, &values));
  assert_ok(plm_option_set(values, "batch-tokens", "4", PLM_FROM_PRESET, "preset esm2_t6_8M"));
  assert_ok(plm_option_set(values, "memory", "2M", PLM_FROM_PRESET, "preset esm2_t6_8M"));
  const sample *o = options_of(values);
  assert_true(o->seed == 1 && o->learning_rate == 0.2 && o->batch_tokens == 3 && o->max_steps == 3 &&
              o->memory == 2097152 && !o->bf16);
  assert_int_equal(o->train.count, 1);
  assert_int_equal(plm_option_origin(values, "learning_rate"), PLM_FROM_ENVIRONMENT);
  assert_int_equal(plm_option_origin(values, "max-steps"), PLM_FROM_CONFIG);
  assert_int_equal(plm_option_origin(values, "memory"), PLM_FROM_PRESET);
  assert_int_equal(plm_option_origin(values, "bf16"), PLM_FROM_DEFAULT);
  assert_fails(plm_option_set(values, "memory", "x", PLM_FROM_PRESET, "preset esm2_t6_8M"), PLM_E_USAGE,
               "preset esm2_t6_8M: --memory x: must be");
  plm_option_values_destroy(values);

  snprintf(line, sizeof line, "--seed 1");
  setenv("PROTLM_CONFIG", scratch_path("c.yaml"), 1);
  assert_ok(load(&sample_table, line, &values));
  assert_int_equal(options_of(values)->max_steps, 3);
  plm_option_values_destroy(values);
  unsetenv("PROTLM_CONFIG");

  setenv("PROTLM_SEED", "x", 1);
  assert_fails(load(&sample_table, "--seed 1", &values), PLM_E_USAGE, "PROTLM_SEED=x: must be a whole number");
  unsetenv("PROTLM_SEED");
  unsetenv("PROTLM_LR");
  unsetenv("PROTLM_BF16");
}

static char warned[512];
static void remember(void *user, plm_log_level level, const char *line) {
  (void)user, (void)level;
  snprintf(warned, sizeof warned, "%s", line);
}

static void expect_warning(const char *variable, const char *value, const char *words) {
  plm_option_values *values;
  warned[0] = '\0';
  plm_log_set_sink(remember, NULL);
  setenv(variable, value, 1);
  assert_ok(load(&sample_table, "", &values));
  unsetenv(variable);
  plm_option_values_destroy(values);
  plm_log_set_sink(NULL, NULL);
  assert_string_equal(warned, words);
}

static void a_variable_without_effect_is_warned_of(void **state) {
  (void)state;
  expect_warning(
      "PROTLM_LEARNNG_RATE", "1",
      "the environment variable PROTLM_LEARNNG_RATE is no option of protlm train; did you mean PROTLM_LEARNING_RATE?");
  expect_warning(
      "PROTLM_PRINT_CONFIG", "1",
      "the environment variable PROTLM_PRINT_CONFIG has no effect: --print-config can only be given on the command line");
  expect_warning("PROTLM_FP16", "1", "the environment variable PROTLM_FP16 is no option of protlm train: use --bf16");
  expect_warning("PROTLM_FSDP_CONFIG", "x",
                 "the environment variable PROTLM_FSDP_CONFIG is no option of protlm train: nothing is sharded");
  expect_warning("PROTLM_CPU", "ref", "");
}

static void what_a_time_is_read_as_is_said_where_slurm_reads_another(void **state) {
  (void)state;
  expect_warning("PROTLM_SAVE_INTERVAL", "90",
                 "PROTLM_SAVE_INTERVAL=90 is in seconds; Slurm reads such a number as minutes, which are written 90m");
  expect_warning("PROTLM_SAVE_INTERVAL", "24:00",
                 "PROTLM_SAVE_INTERVAL=24:00 is read as minutes and seconds, as Slurm does: 24m00s");
  expect_warning("PROTLM_SAVE_INTERVAL", "24:00:00", "");
  expect_warning("PROTLM_SAVE_INTERVAL", "90s", "");
}

/* ---- names of files ---- */

/* Where no shell has expanded it: behind `=`, in the environment, in a file. What is no path keeps its tilde. */
static void a_tilde_is_expanded_wherever_a_path_comes_from(void **state) {
  (void)state;
  char home[300];
  snprintf(home, sizeof home, "%s", getenv("HOME") != NULL ? getenv("HOME") : "/");
  setenv("HOME", "/home/ada", 1);
  setenv("PROTLM_TRAIN", "~/e.fasta", 1);
  scratch_write_text("c.yaml", "output-dir: ~/run\nmodel: ~/m\nnote: ~/n\n");
  char line[400];
  plm_option_values *values;
  snprintf(line, sizeof line, "--config=%s", scratch_path("c.yaml"));
  assert_ok(load(&sample_table, line, &values));
  assert_string_equal(options_of(values)->output_dir, "/home/ada/run");
  assert_string_equal(options_of(values)->model, "/home/ada/m");
  assert_string_equal(options_of(values)->train.items[0], "/home/ada/e.fasta");
  assert_string_equal(options_of(values)->note, "~/n");
  plm_option_values_destroy(values);
  unsetenv("PROTLM_TRAIN");
  assert_ok(load(&sample_table, "--output-dir=~ --model=./~/m --train=a --train=~/b", &values));
  assert_string_equal(options_of(values)->output_dir, "/home/ada");
  assert_string_equal(options_of(values)->model, "./~/m");
  assert_string_equal(options_of(values)->train.items[1], "/home/ada/b");
  plm_option_values_destroy(values);
  assert_ok(load(&sample_files_table, "~/run ./~", &values));
  assert_string_equal(options_of(values)->files.items[0], "/home/ada/run");
  assert_string_equal(options_of(values)->files.items[1], "./~");
  plm_option_values_destroy(values);
  unsetenv("HOME");
  assert_fails(load(&sample_table, "--output-dir=~/run", &values), PLM_E_USAGE, "--output-dir ~/run: HOME is not set");
  setenv("HOME", home, 1);
}

/* Run in a directory that holds the files "a.fasta", "b.fasta", "c d.fasta" and "e,f.fasta". */
static void one_word_for_several_files_is_explained(void **state) {
  (void)state;
  static const char *const names[] = {"in/a.fasta", "in/b.fasta", "in/c d.fasta", "in/e,f.fasta"};
  static const struct {
    const char *words[4], *message, *hint;
  } cases[] = {
      {{"--train", "a.fasta,b.fasta"},
       "a.fasta,b.fasta: no file has this name, but a.fasta",
       ": --train a.fasta b.fasta"},
      {{"--train", "a.fasta,", "b.fasta"}, "--train a.fasta,: no file", ": --train a.fasta b.fasta"},
      {{"--train=a.fasta, c d.fasta"}, "no file has this name", ": --train a.fasta 'c d.fasta'"},
      {{"--train", "b.fasta", "--train=a.fasta,x"}, "no file has this name", ": --train b.fasta a.fasta x"},
      {{"--train", "a.fasta b.fasta"}, "no file has this name", ": --train a.fasta b.fasta"},
      {{"--train", "a.fasta;b.fasta"}, "no file has this name", ": --train a.fasta b.fasta"},
      {{"--train", "*.fasta"}, "--train *.fasta: no file has this name, but a.fasta", "without the quotes"},
      {{"--train", "c d*"}, "c d.fasta is there", ": --train c\\ d*"},
      {{"--train={a,b}.fasta"}, "a.fasta is there", ": --train {a,b}.fasta"},
      {{"--train", "e,f.fasta"}, NULL, NULL},
      {{"--train", "missing,too.fasta"}, NULL, NULL},
      {{"--train", "missing*"}, NULL, NULL},
      {{"--train", "a.fasta missing"}, NULL, NULL},
      {{"--output-dir", "a.fasta,b.fasta"}, NULL, NULL},
  };
  char before[1024];
  assert_non_null(getcwd(before, sizeof before));
  mkdir(scratch_path("in"), 0755);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) scratch_write_text(names[i], ">a\nMK\n");
  assert_int_equal(chdir(scratch_path("in")), 0);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int count = 0;
    plm_option_values *values = NULL;
    while (count < 4 && cases[i].words[count] != NULL) count++;
    plm_status status = plm_options_load(&sample_table, count, (char *const *)(uintptr_t)cases[i].words, &values);
    if (status != (cases[i].message != NULL ? PLM_E_USAGE : PLM_OK) ||
        (cases[i].message != NULL &&
         (strstr(plm_error_message(), cases[i].message) == NULL || strstr(plm_error_hint(), cases[i].hint) == NULL)))
      fail_msg("%s %s: %s: %s (%s)", cases[i].words[0], cases[i].words[1], plm_status_name(status), plm_error_message(),
               plm_error_hint());
    if (status == PLM_OK) plm_option_values_destroy(values);
  }
  assert_int_equal(chdir(before), 0);
}

/* ---- configuration files ---- */

static plm_status read_config(const char *text, plm_option_values **ret_values) {
  scratch_write_text("run.yaml", text);
  plm_option_values *values;
  PLM_TRY(plm_option_values_create(&sample_table, &values));
  plm_status status = plm_options_read_config(values, scratch_path("run.yaml"));
  if (status == PLM_OK)
    *ret_values = values;
  else
    plm_option_values_destroy(values);
  return status;
}

static void a_config_file_may_be_written_in_the_ways_of_yaml(void **state) {
  (void)state;
  plm_option_values *values = NULL;
  assert_ok(read_config(
      "# a comment\n---\nseed: 7   # seven\nlearning_rate: 5e-5\nbf16: yes\ntrain:\n  - a.fasta\n  - 'b c.fasta'\n"
      "note: \"two\\nlines\"\nmodel: ~\nmax-steps:\noutput-dir: run\nbatch-tokens: 16K\n...\n",
      &values));
  const sample *o = options_of(values);
  assert_true(o->seed == 7 && o->learning_rate == 5e-5 && o->bf16 && o->batch_tokens == 16000);
  assert_int_equal(o->train.count, 2);
  assert_string_equal(o->train.items[1], "b c.fasta");
  assert_string_equal(o->note, "two\nlines");
  assert_null(o->model);
  assert_false(plm_option_given(values, "max-steps"));
  plm_option_values_destroy(values);
  const char *const nothing[] = {"", "# nothing\n", "---\n", "~\n", "{}\n"};
  for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++) {
    assert_ok(read_config(nothing[i], &values));
    plm_option_values_destroy(values);
  }
  assert_ok(read_config("train: one.fasta\n", &values));
  assert_int_equal(options_of(values)->train.count, 1);
  plm_option_values_destroy(values);
}

static void every_mistake_in_a_config_file_has_its_place(void **state) {
  (void)state;
  const struct {
    const char *text;
    plm_status code;
    const char *message, *hint;
  } cases[] = {
      {"seed: 7\nlearnng-rate: 1\n", PLM_E_USAGE, "run.yaml:2:1: unknown option learnng-rate",
       "did you mean learning-rate?"},
      {"fp16: true\n", PLM_E_USAGE, "run.yaml:1:1: fp16 is not an option of protlm", "use --bf16"},
      {"fsdp_config: {a: 1}\n", PLM_E_USAGE, "run.yaml:1:1: fsdp_config is not an option", "nothing is sharded"},
      {"seed: 1\nmax_steps: -1\n", PLM_E_USAGE, "run.yaml:2:12: max-steps -1: not a value", "leave it out"},
      {"b: 8\n", PLM_E_USAGE, "unknown option b", ""},
      {"seed: x\n", PLM_E_USAGE, "run.yaml:1:7: seed x: must be a whole number", ""},
      {"mask-probability: 2\n", PLM_E_USAGE,
       "run.yaml:1:19: mask-probability 2: must be greater than 0 and less than 1", ""},
      {"seed: \"\"\n", PLM_E_USAGE, "run.yaml:1:7: seed '': must be a whole number", ""},
      {"seed: 1\nlr: 0.1\nseed: 1\n", PLM_E_USAGE, "run.yaml:3:1: seed is given twice: also on line 1", ""},
      {"lr: 0.1\nlearning-rate: 0.1\n", PLM_E_USAGE, "run.yaml:2:1: learning-rate is given twice: also on line 1", ""},
      {"config: other.yaml\n", PLM_E_USAGE, "config belongs on the command line", ""},
      {"seed: [1, 2]\n", PLM_E_USAGE, "run.yaml:1:7: seed takes one value, not a list", ""},
      {"seed: {a: 1}\n", PLM_E_INPUT, "run.yaml:1:7: the value of seed must not be nested", ""},
      {"train: [a, [b]]\n", PLM_E_INPUT, "run.yaml:1:12: a list may hold only plain values", ""},
      {"train: [a, {b: c}]\n", PLM_E_INPUT, "a list may hold only plain values", ""},
      {"train: &x [a]\n", PLM_E_INPUT, "must not be nested or anchored", ""},
      {"seed: &x 1\n", PLM_E_INPUT, "anchors (&name) are not supported", ""},
      {"seed: &x 1\nbatch-tokens: *x\n", PLM_E_INPUT, "anchors", ""},
      {"seed: *x\n", PLM_E_INPUT, "aliases (*name) are not supported", ""},
      {"seed: !!int 1\n", PLM_E_INPUT, "tags (!name) are not supported", ""},
      {"? [a]\n: 1\n", PLM_E_INPUT, "an option's name was expected", ""},
      {"- seed\n", PLM_E_INPUT, "run.yaml:1:1: lines of the form `name: value` were expected", ""},
      {"just words\n", PLM_E_INPUT, "run.yaml:1:1: lines of the form", ""},
      {"seed: 1\n---\nseed: 2\n", PLM_E_INPUT, "run.yaml:2:1: a second document", ""},
      {"seed: 1\n  lr: 2\n", PLM_E_USAGE, "run.yaml:1:7: seed 1 lr: must be a whole number", ""},
      {"seed: 1\n lr\nbf16: 1\n", PLM_E_USAGE, "run.yaml:1:7: seed 1 lr: must be a whole number", ""},
      {"train: [1\n", PLM_E_INPUT, "not valid YAML", ""},
      {"train: *.fasta\n", PLM_E_INPUT, "run.yaml:1:9: a word that begins with *", "[a.fasta, b.fasta]"},
      {"note: \"unended\n", PLM_E_INPUT, "not valid YAML", ""},
      {"note: \"a\\0b\"\n", PLM_E_INPUT, "NUL", ""},
      {"note: \xff\n", PLM_E_INPUT, "not valid YAML at byte 6", ""},
      {"note: \x01\n", PLM_E_INPUT, "not valid YAML", ""},
      {"\tseed: 1\n", PLM_E_INPUT, "not valid YAML", ""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    plm_option_values *values;
    plm_status status = read_config(cases[i].text, &values);
    if (status != cases[i].code || strstr(plm_error_message(), cases[i].message) == NULL ||
        strstr(plm_error_hint(), cases[i].hint) == NULL)
      fail_msg("%s: got %s: %s (%s)", cases[i].text, plm_status_name(status), plm_error_message(), plm_error_hint());
  }
}

/* ---- names ---- */

static void the_nearest_name_is_near(void **state) {
  (void)state;
  const char *const names[] = {"learning-rate", "seed", "batch-tokens", "lr"};
  const struct {
    const char *word, *nearest;
  } cases[] = {{"learing-rate", "learning-rate"},
               {"sede", "seed"},
               {"sed", "seed"},
               {"btach-tokens", "batch-tokens"},
               {"lrr", "lr"},
               {"rl", "lr"},
               {"", NULL},
               {"x", NULL},
               {"sxxd", NULL},
               {"completely-other", NULL}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *nearest = plm_nearest_name(cases[i].word, names, 4);
    if (cases[i].nearest == NULL)
      assert_null(nearest);
    else {
      assert_non_null(nearest);
      assert_string_equal(nearest, cases[i].nearest);
    }
  }
  char enormous[3000];
  memset(enormous, 'a', sizeof enormous - 1);
  enormous[sizeof enormous - 1] = '\0';
  assert_null(plm_nearest_name(enormous, names, 4));
}

/* ---- every allocation ---- */

static void any_failed_allocation_ends_in_a_status_without_a_leak(void **state) {
  (void)state;
  scratch_write_text("a.yaml", "seed: 3\ntrain: [c1, c2]\nnote: words\n");
  char line[300];
  snprintf(line, sizeof line, "--lr 0.1 --lr-scheduler-type linear --config %s", scratch_path("a.yaml"));
  const char *const lines[] = {line, "--learnng-rate 3", "--lr 7", "--lr 0.1 --lr 0.2", "--lr-scheduler-type x"};
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    int64_t live = plm_alloc_live();
    for (int64_t n = 1; n < 100; n++) {
      plm_option_values *values = NULL;
      plm_alloc_fail_at(n);
      plm_status status = load(&sample_table, lines[i], &values);
      plm_alloc_fail_at(0);
      plm_option_values_destroy(values);
      assert_int_equal(plm_alloc_live(), live);
      assert_true(status == PLM_E_RESOURCE || status == (i == 0 ? PLM_OK : PLM_E_USAGE));
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(defaults_hold_until_something_is_said),
      cmocka_unit_test(every_way_of_writing_a_value_is_read),
      cmocka_unit_test(long_lists_keep_their_order),
      cmocka_unit_test(positional_words_are_kept_where_they_are_allowed),
      cmocka_unit_test(every_mistake_has_its_code_and_words),
      cmocka_unit_test(a_single_positional_word_is_not_taken_twice),
      cmocka_unit_test(a_wrong_table_is_our_bug),
      cmocka_unit_test(the_command_line_wins_over_environment_over_file_over_preset),
      cmocka_unit_test(a_variable_without_effect_is_warned_of),
      cmocka_unit_test(a_tilde_is_expanded_wherever_a_path_comes_from),
      cmocka_unit_test(one_word_for_several_files_is_explained),
      cmocka_unit_test(what_a_time_is_read_as_is_said_where_slurm_reads_another),
      cmocka_unit_test(a_config_file_may_be_written_in_the_ways_of_yaml),
      cmocka_unit_test(every_mistake_in_a_config_file_has_its_place),
      cmocka_unit_test(the_nearest_name_is_near),
      cmocka_unit_test(any_failed_allocation_ends_in_a_status_without_a_leak),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
