/* The words of batch scripts: quoted as bash reads them; and what sinfo says, read. */
#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "app/commands.h"
#include "app/slurm.h"
#include "base/alloc.h"

static void expect_word(const char *word, bool is_array, const char *expected) {
  plm_text out = {0};
  char *text;
  plm_slurm_append_word(&out, word, is_array);
  assert_ok(plm_text_take(&out, &text));
  assert_string_equal(text, expected);
  plm_free(text);
}

static void a_word_is_one_word_of_bash(void **state) {
  (void)state;
  expect_word("--model", false, "--model");
  expect_word("--output-dir=my runs/a", false, "'--output-dir=my runs/a'");
  expect_word("it's $HOME", false, "'it'\\''s $HOME'");
  expect_word("", false, "''");
  expect_word("runs/%a", false, "runs/%a");
}

static void percent_a_is_the_number_of_the_task(void **state) {
  (void)state;
  expect_word("runs/%a", true, "runs/\"$SLURM_ARRAY_TASK_ID\"");
  expect_word("%a", true, "\"$SLURM_ARRAY_TASK_ID\"");
  expect_word("my runs/%a/x y", true, "'my runs/'\"$SLURM_ARRAY_TASK_ID\"'/x y'");
  expect_word("", true, "''");
}

static void bash_reads_back_what_was_quoted(void **state) {
  static const char *const words[] = {"a b", "it's", "$x `y` \"z\" \\ !", "*?[", "#no comment", "~/x", "a;b&c|d<e>(f)"};
  (void)state;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    plm_text out = {0};
    char *text, read_back[256] = "";
    plm_text_append(&out, "printf %s ");
    plm_slurm_append_word(&out, words[i], true);
    assert_ok(plm_text_take(&out, &text));
    FILE *shell = popen(text, "r");
    assert_non_null(shell);
    assert_int_equal(fread(read_back, 1, sizeof read_back - 1, shell), strlen(words[i]));
    assert_int_equal(pclose(shell), 0);
    assert_string_equal(read_back, words[i]);
    plm_free(text);
  }
}

static void the_default_partition_is_found(void **state) {
  static const char text[] =
      "debug|30:00|64|2|(null)\n"
      "work*|1-00:00:00|128+|2|(null)\n"
      "gpu|infinite|64|1|gpu:mi250x:8(S:0-7),shard:16\n";
  plm_slurm_cluster c;
  (void)state;
  plm_slurm_cluster_read(text, NULL, &c);
  assert_true(c.is_known);
  assert_string_equal(c.partition, "work");
  assert_int_equal((int)c.max_time, 86400);
  assert_int_equal(c.cpus, 128);
  assert_int_equal(c.sockets, 2);
  assert_int_equal(c.gpus, 0);
  plm_slurm_cluster_read(text, "gpu", &c);
  assert_int_equal(c.gpus, 8);
  assert_int_equal((int)c.max_time, 0);
  plm_slurm_cluster_read(text, "nowhere", &c);
  assert_false(c.is_known);
}

static void of_several_kinds_of_node_the_one_with_gpus_counts(void **state) {
  plm_slurm_cluster c;
  (void)state;
  plm_slurm_cluster_read("all*|2:00:00|32|2|(null)\nall*|2:00:00|64|2|gpu:a100:3,gpu:h100:1\n", NULL, &c);
  assert_int_equal(c.gpus, 4);
  assert_int_equal(c.cpus, 64);
}

/* What a broken or strange sinfo prints is read as nothing. */
static void odd_answers_are_no_answers(void **state) {
  static const char *const texts[] = {"", "\n\n", "all*", "all*|||", "|||||", "all*|x|y|z|gpu:", "all*|1:00|2|1|gpu"};
  plm_slurm_cluster c;
  (void)state;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    plm_slurm_cluster_read(texts[i], NULL, &c);
    assert_int_equal(c.gpus, 0);
  }
}

static void the_mask_is_the_one_that_lumi_publishes(void **state) {
  plm_text out = {0};
  char *text;
  (void)state;
  plm_slurm_append_mask(&out, "fe");
  assert_ok(plm_text_take(&out, &text));
  assert_string_equal(text, "mask_cpu:fe000000000000,fe00000000000000,fe0000,fe000000,fe,fe00,fe00000000,fe0000000000");
  plm_free(text);
}

/* ---- memory ---- */

static void count_bytes(void *user, const char *text) { *(size_t *)user += strlen(text); }

/* The whole command, without asking a cluster; *ret_bytes is what it printed. */
static plm_status make_script(size_t *ret_bytes) {
  static char *const words[] = {"--no-discover",
                                "--preset",
                                "setonix",
                                "--account",
                                "a",
                                "--container",
                                "/nowhere/image",
                                "--array",
                                "0-3",
                                "--module",
                                "x",
                                "y",
                                "--sbatch-option=--qos=q",
                                "--",
                                "train",
                                "--model",
                                "org/model",
                                "--train",
                                "/dev/null",
                                "--output-dir",
                                "/tmp/runs/%a",
                                "--seed",
                                "%a"};
  const plm_output output = {.user = ret_bytes, .write = count_bytes};
  plm_option_values *values;
  *ret_bytes = 0;
  PLM_TRY(plm_options_load(plm_slurm_option_table(), (int)(sizeof words / sizeof *words), words, &values));
  const plm_status status = plm_slurm_run(values, &output);
  plm_option_values_destroy(values);
  return status;
}

static void any_failed_allocation_is_reported_and_nothing_leaks(void **state) {
  size_t whole, bytes;
  (void)state;
  assert_ok(make_script(&whole)); /* tables are filled now */
  assert_true(whole > 4000);
  const int64_t live = plm_alloc_live(), before = plm_alloc_count();
  assert_ok(make_script(&whole));
  const int64_t total = plm_alloc_count() - before;
  for (int64_t n = 1; n <= total; n++) {
    plm_alloc_fail_at(n);
    const plm_status status = make_script(&bytes);
    plm_alloc_fail_at(0);
    if (status != PLM_OK) assert_int_equal(status, PLM_E_RESOURCE);
    assert_int_equal(bytes, status == PLM_OK ? whole : 0); /* all of it, or nothing */
    assert_int_equal(plm_alloc_live(), live);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_word_is_one_word_of_bash),
      cmocka_unit_test(percent_a_is_the_number_of_the_task),
      cmocka_unit_test(bash_reads_back_what_was_quoted),
      cmocka_unit_test(the_default_partition_is_found),
      cmocka_unit_test(of_several_kinds_of_node_the_one_with_gpus_counts),
      cmocka_unit_test(odd_answers_are_no_answers),
      cmocka_unit_test(any_failed_allocation_is_reported_and_nothing_leaks),
      cmocka_unit_test(the_mask_is_the_one_that_lumi_publishes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
