/* What the option table generates is complete, fits its page, and works in the programs it is for. */
#define _GNU_SOURCE
#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "support/sample_options.h"
#include "support/scratch.h"

static const plm_option_table *const tables[] = {&sample_table, &sample_files_table, &sample_file_table};

/* ---- help ---- */

static void help_names_every_option_and_nothing_hidden(void **state) {
  (void)state;
  char *help;
  assert_ok(plm_options_help(&sample_table, 80, false, &help));
  for (size_t i = 0; i < sample_table.count; i++) {
    char name[80];
    snprintf(name, sizeof name, i == 4 ? "--[no-]%s" : "--%s", sample_options[i].name);
    assert_true((strstr(help, name) != NULL) == (sample_options[i].group != NULL));
  }
  const char *const shown[] = {"-b, --batch-tokens N ", "[default: 16K]",  "[also: --lr]",
                               "[default: on]",         "linear, cosine,", "--train FILE... ",
                               "PROTLM_SEED=7",         "Optimisation:\n", "  # Train a small model from scratch\n"};
  for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
    if (strstr(help, shown[i]) == NULL) fail_msg("'%s' is not in\n%s", shown[i], help);
  assert_null(strchr(help, '\033'));
  plm_free(help);
}

/* Longest run of characters between blanks: what no page can break. */
static void help_fits_every_width(void **state) {
  (void)state;
  for (int width = 40; width <= 100; width++) {
    char *help;
    assert_ok(plm_options_help(&sample_table, width, false, &help));
    for (char *line = strtok(help, "\n"); line != NULL; line = strtok(NULL, "\n")) {
      if ((int)strlen(line) > width) fail_msg("%d columns: %s", width, line);
      assert_true(line[0] != '\0' && line[strlen(line) - 1] != ' ');
    }
    plm_free(help);
  }
}

static void colour_changes_nothing_but_colour(void **state) {
  (void)state;
  char *plain, *coloured, *out;
  assert_ok(plm_options_help(&sample_table, 80, false, &plain));
  assert_ok(plm_options_help(&sample_table, 80, true, &coloured));
  assert_non_null(strstr(coloured, "\033[1m"));
  out = coloured;
  for (const char *in = coloured; *in != '\0'; in++) {
    if (*in == '\033')
      in = strchr(in, 'm');
    else
      *out++ = *in;
  }
  *out = '\0';
  assert_string_equal(coloured, plain);
  plm_free(plain);
  plm_free(coloured);
}

/* ---- configuration ---- */

/* Both sets hold the same options; sources may differ. */
static void assert_same_values(const plm_option_values *a, const plm_option_values *b) {
  for (size_t i = 0; i < sample_table.count; i++) {
    char *x, *y;
    assert_ok(plm_option_text(a, &sample_options[i], &x));
    assert_ok(plm_option_text(b, &sample_options[i], &y));
    assert_string_equal(x, y);
    plm_free(x);
    plm_free(y);
  }
}

static void assert_survives_a_file(const plm_option_values *values) {
  for (int with_sources = 0; with_sources < 2; with_sources++) {
    char *yaml;
    plm_option_values *back;
    assert_ok(plm_options_config(values, with_sources, &yaml));
    scratch_write_text("config.yaml", yaml);
    assert_ok(plm_option_values_create(&sample_table, &back));
    assert_ok(plm_options_read_config(back, scratch_path("config.yaml")));
    assert_same_values(values, back);
    plm_option_values_destroy(back);
    plm_free(yaml);
  }
}

static void a_written_configuration_reads_back_the_same(void **state) {
  (void)state;
  const char *const lines[][12] = {
      {NULL},
      {"--lr", "0.30000000000000004", "--seed", "9223372036854775807", "-b", "16K", "--bf16", "--no-flash-attention",
       "--secret", NULL},
      {"--train", "a.fasta", "b c", "-", "null", "3", "--memory", "2G", "--save-interval", "0.5h", NULL},
      {"--note", "null", "--output-dir", "true", "--model", "~", NULL},
      {"--note", "", "--model", "a: b # c", "--output-dir", "[x, {y}]", NULL},
      {"--note", " 'x' \"y\" \\ \n\t\r\x01\x7f", "--model", "&a *b !c %d @e `f |g >h ,i ?j -k", "--output-dir",
       "http://x:80/#y", NULL},
  };
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    int argc = 0;
    while (lines[i][argc] != NULL) argc++;
    plm_option_values *values;
    assert_ok(plm_option_values_create(&sample_table, &values));
    assert_ok(plm_options_parse(values, argc, (char *const *)(uintptr_t)lines[i]));
    assert_survives_a_file(values);
    plm_option_values_destroy(values);
  }
}

/* One random code point as UTF-8, more often an odd one. */
static size_t random_character(uint64_t seed, uint32_t i, char *out) {
  static const unsigned odd[] = {0x85,   0xA0,     0x80,   0x9F,    0x2028, 0x2029, 0xFEFF, 0xFFFD, 0xFFFE,
                                 0xFFFF, 0x10FFFF, 0xE000, 0x1F600, '"',    '\\',   ':',    '#',    ' '};
  plm_rng_block block = plm_rng(seed, PLM_RNG_INIT, i, 0, 0);
  unsigned code = block.word[0] % 2 ? odd[plm_rng_below(block.word[1], sizeof odd / sizeof *odd)]
                                    : 1 + plm_rng_below(block.word[1], 0xD7FF);
  if (code < 0x80) return out[0] = (char)code, 1;
  size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t j = length - 1; j > 0; j--, code >>= 6) out[j] = (char)(0x80 | (code & 0x3F));
  out[0] = (char)((length == 2 ? 0xC0 : length == 3 ? 0xE0 : 0xF0) | code);
  return length;
}

static void any_text_survives_a_configuration_file(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 300; seed++) {
    char note[256];
    size_t used = 0;
    for (uint32_t i = 0; i < 1 + seed % 40; i++) used += random_character(seed, i, note + used);
    note[used] = '\0';
    plm_option_values *values;
    assert_ok(plm_option_values_create(&sample_table, &values));
    assert_ok(plm_option_set(values, "note", note, PLM_FROM_COMMAND_LINE, NULL));
    assert_ok(plm_option_set(values, "train", note, PLM_FROM_COMMAND_LINE, NULL));
    assert_survives_a_file(values);
    plm_option_values_destroy(values);
  }
}

static void every_value_is_shown_with_its_source(void **state) {
  (void)state;
  plm_option_values *values;
  char *yaml;
  char *const line[] = {"--lr", "5e-5", "--print-config"};
  assert_ok(plm_option_values_create(&sample_table, &values));
  assert_ok(plm_options_parse(values, 3, line));
  assert_ok(plm_option_set(values, "seed", "5", PLM_FROM_PRESET, NULL));
  assert_ok(plm_options_config(values, true, &yaml));
  const char *const shown[] = {"\nlearning-rate:     5e-05                    # from command line\n",
                               "\nseed:              5                        # from preset\n",
                               "\nmax-steps:         null                     # from default\n"};
  for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
    if (strstr(yaml, shown[i]) == NULL) fail_msg("'%s' is not in\n%s", shown[i], yaml);
  assert_null(strstr(yaml, "print-config"));
  assert_null(strstr(yaml, "\nconfig"));
  plm_free(yaml);
  plm_option_values_destroy(values);
}

/* ---- other programs ---- */

/* What a shell command prints, in a static buffer; skips the test when `program` is not installed. */
static const char *output_of(const char *program, const char *command) {
  static char output[1 << 16];
  char line[4096];
  snprintf(line, sizeof line, "command -v %s >/dev/null 2>&1", program);
  if (system(line) != 0) skip();
  FILE *pipe = popen(command, "r");
  assert_non_null(pipe);
  size_t length = fread(output, 1, sizeof output - 1, pipe);
  output[length] = '\0';
  pclose(pipe);
  return output;
}

/* What protlm does with its own tables: this program, under that name, with the sample tables. */
static int answer_as_protlm(int argc, char **argv) {
  char *text = NULL;
  plm_status status = strcmp(argv[1], "__options") == 0 ? plm_options_dump(tables, 3, &text)
                                                        : plm_options_complete(tables, 3, argc - 2, argv + 2, &text);
  if (status == PLM_OK) fputs(text, stdout);
  plm_free(text);
  return plm_status_exit_code(status);
}

static int setup(void **state) {
  char program[4096];
  int failure = scratch_setup(state);
  ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  if (failure != 0 || length < 0) return -1;
  program[length] = '\0';
  return symlink(program, scratch_path("protlm"));
}

static void the_man_page_is_clean_roff_with_every_section(void **state) {
  (void)state;
  const char *const pages[] = {"protlm-train", "protlm-ckpt-ls", "protlm-ckpt-verify"};
  char command[2048];
  snprintf(command, sizeof command, PLM_SOURCE_DIR "/tools/generate_docs.sh %s %s 2>&1", scratch_path("protlm"),
           scratch_path("made"));
  assert_string_equal(output_of("awk", command), "");
  for (size_t i = 0; i < 3; i++) {
    snprintf(command, sizeof command, "groff -man -Tascii -ww -P-c -P-u -P-b -P-o %s/share/man/man1/%s.1 2>&1",
             scratch_path("made"), pages[i]);
    const char *text = output_of("groff", command);
    if (strstr(text, "warning:") != NULL || strstr(text, "error:") != NULL) fail_msg("%s", text);
    const char *const sections[] = {"\nNAME\n",        "\nSYNOPSIS\n", "\nDESCRIPTION\n", "\nOPTIONS\n",
                                    "\nEXIT STATUS\n", "\nSEE ALSO\n", "--batch-tokens"};
    for (size_t s = 0; s < sizeof sections / sizeof *sections; s++)
      if (strstr(text, sections[s]) == NULL) fail_msg("'%s' is not in\n%s", sections[s], text);
    if (i > 0) continue;
    const char *const train_only[] = {"\nENVIRONMENT\n",   "\nFILES\n",
                                      "\nEXAMPLES\n",      ".Run the same command again",
                                      "'quotes': and \\.", "--learning-rate X"};
    for (size_t s = 0; s < sizeof train_only / sizeof *train_only; s++)
      if (strstr(text, train_only[s]) == NULL) fail_msg("'%s' is not in\n%s", train_only[s], text);
  }
}

#define COMPLETIONS PLM_SOURCE_DIR "/share/completions/"

static void bash_completes_commands_options_choices_and_files(void **state) {
  (void)state;
  const struct {
    const char *words;
    int cursor;
    const char *completed;
  } cases[] = {
      {"protlm ''", 1, "--help --version ckpt train "},
      {"protlm t", 1, "train "},
      {"protlm ckpt ''", 2, "ls verify "},
      {"protlm train --lr-", 2, "--lr-scheduler-type "},
      {"protlm train --no-", 2, "--no-flash-attention "},
      {"protlm train --lr-scheduler-type co", 3, "constant constant_with_warmup cosine "},
      {"protlm train --lr-scheduler-type = in", 4, "inverse_sqrt "},
      {"protlm train --lr-scheduler-type =", 3, "constant constant_with_warmup cosine esm2 inverse_sqrt linear "},
      {"protlm train --seed ''", 3, " "},
      {"protlm train --output-dir fi", 3, "file.fasta file.yaml "},
      {"protlm train -o file.y", 3, "file.yaml "},
      {"protlm train --train file.fasta fi", 4, "file.fasta file.yaml "},
      {"protlm train --bf16 --tr", 3, "--train "},
      {"protlm train --no-flash-attention --tr", 3, "--train "},
      {"protlm train --se", 2, "--seed "},
      {"protlm ckpt ls fi", 3, "file.fasta file.yaml "},
      {"protlm ckpt verify --b", 3, "--batch-tokens "},
  };
  scratch_write_text("file.fasta", "");
  scratch_write_text("file.yaml", "");
  assert_string_equal(output_of("bash", "true"), "");
  char command[4096];
  snprintf(command, sizeof command, "bash -n " COMPLETIONS "protlm.bash 2>&1");
  assert_string_equal(output_of("bash", command), "");
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    snprintf(
        command, sizeof command,
        "cd %s; PATH=.:$PATH bash -c \"source " COMPLETIONS
        "protlm.bash; COMP_WORDS=(%s) COMP_CWORD=%d; _protlm; printf %%s'\\n' \\\"\\${COMPREPLY[@]}\\\"\" 2>&1 | LC_ALL=C sort | tr '\\n' ' '",
        scratch_path(""), cases[i].words, cases[i].cursor);
    const char *completed = output_of("bash", command);
    if (strcmp(completed, cases[i].completed) != 0)
      fail_msg("%s: completed '%s', expected '%s'", cases[i].words, completed, cases[i].completed);
  }
}

static void the_zsh_script_is_accepted(void **state) {
  (void)state;
  char command[2048];
  snprintf(command, sizeof command, "zsh -n " COMPLETIONS "_protlm 2>&1");
  assert_string_equal(output_of("zsh", command), "");
}

static void fish_completes_choices(void **state) {
  (void)state;
  char command[2048];
  snprintf(command, sizeof command,
           "HOME=%s PATH=%s:$PATH fish -N -c 'source " COMPLETIONS
           "protlm.fish; complete -C \"protlm train --lr-scheduler-type lin\"' 2>&1",
           scratch_path(""), scratch_path(""));
  assert_memory_equal(output_of("fish", command), "linear", 6);
}

/* ---- every allocation ---- */

static void any_failed_allocation_ends_in_a_status_without_a_leak(void **state) {
  (void)state;
  plm_option_values *values;
  assert_ok(plm_option_values_create(&sample_table, &values));
  char *line[] = {(char[]){"train"}, (char[]){"--"}};
  for (int kind = 0; kind < 4; kind++) {
    int64_t live = plm_alloc_live();
    for (int64_t n = 1;; n++) {
      char *text = NULL;
      plm_alloc_fail_at(n);
      plm_status status = kind == 0   ? plm_options_help(&sample_table, 80, true, &text)
                          : kind == 1 ? plm_options_dump(tables, 3, &text)
                          : kind == 2 ? plm_options_config(values, true, &text)
                                      : plm_options_complete(tables, 3, 2, line, &text);
      plm_alloc_fail_at(0);
      plm_free(text);
      assert_int_equal(plm_alloc_live(), live);
      if (status == PLM_OK) break;
      assert_int_equal(status, PLM_E_RESOURCE);
    }
  }
  plm_option_values_destroy(values);
}

static void what_is_dumped_is_whole_and_on_lines(void **state) {
  (void)state;
  char *text;
  assert_ok(plm_options_dump(tables, 3, &text));
  const char *const parts[] = {
      "table\tckpt ls\tlist checkpoints\tprotlm ckpt ls RUN... [options]\t\t\n",
      "option\tseed\ts\tint\tN\t42\tmust be at least 0\t\tOptimisation\tSeed of everything random\n",
      "'quotes': and \\\\\n",
      "no work is done for nothing.\\n\\n.Run the same",
  };
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (strstr(text, parts[i]) == NULL) fail_msg("'%s' is not in\n%s", parts[i], text);
  assert_null(strstr(text, "secret"));
  plm_free(text);
}

int main(int argc, char **argv) {
  if (argc > 1) return answer_as_protlm(argc, argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(help_names_every_option_and_nothing_hidden),
      cmocka_unit_test(help_fits_every_width),
      cmocka_unit_test(colour_changes_nothing_but_colour),
      cmocka_unit_test(a_written_configuration_reads_back_the_same),
      cmocka_unit_test(any_text_survives_a_configuration_file),
      cmocka_unit_test(every_value_is_shown_with_its_source),
      cmocka_unit_test(the_man_page_is_clean_roff_with_every_section),
      cmocka_unit_test(what_is_dumped_is_whole_and_on_lines),
      cmocka_unit_test(bash_completes_commands_options_choices_and_files),
      cmocka_unit_test(the_zsh_script_is_accepted),
      cmocka_unit_test(fish_completes_choices),
      cmocka_unit_test(any_failed_allocation_ends_in_a_status_without_a_leak),
  };
  return cmocka_run_group_tests(tests, setup, scratch_teardown);
}
