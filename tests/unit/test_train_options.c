/* Command lines of `protlm train`: which are refused, with what words, and what the others become. Nothing is read or
 * computed. */
#include "support/unit.h"

#include <math.h>
#include <stdio.h>

#include "train/resolve.h"

enum { WORDS = 48 };

/* Cut `line` at spaces. The words live as long as `buffer`. */
static int split(const char *line, char *buffer, size_t room, char *words[WORDS]) {
  int count = 0;
  snprintf(buffer, room, "%s", line);
  for (char *word = strtok(buffer, " "); word != NULL && count < WORDS; word = strtok(NULL, " ")) words[count++] = word;
  return count;
}

/* From a command line to settings with the model and, when steps_per_epoch > 0, the horizon resolved. */
static plm_status resolve(const char *line, int64_t steps_per_epoch, plm_option_values **ret_values,
                          plm_train_settings **ret_settings) {
  static char buffer[1024];
  char *words[WORDS];
  int count = split(line, buffer, sizeof buffer, words);
  *ret_values = NULL;
  *ret_settings = NULL;
  PLM_TRY(plm_options_load(plm_train_option_table(), count, words, ret_values));
  PLM_TRY(plm_train_settings_create(*ret_values, ret_settings));
  PLM_TRY(plm_train_resolve_model(*ret_settings, NULL));
  return steps_per_epoch > 0 ? plm_train_resolve_horizon(*ret_settings, steps_per_epoch, -1) : PLM_OK;
}

#define BASE "--model esm2_t6_8M --train x.fasta --output-dir out "

static void bad_command_lines_are_refused_with_the_remedy(void **state) {
  (void)state;
  static const struct {
    const char *line, *words;
  } table[] = {
      {"--train x.fasta --output-dir out", "--model"},
      {"--model esm2_t6_8M --output-dir out", "--train FILE"},
      {"--model esm2_t6_8M --train x.fasta", "--output-dir DIR"},
      {BASE "--max-stepz 5", "--max-steps"},
      {BASE "--max-step 5", "--max-steps"},
      {BASE "--fp16", "--dtype bf16"},
      {BASE "--report-to wandb", "log.jsonl"},
      {BASE "--ddp", "srun"},
      {BASE "--do-train", "leave this out"},
      {BASE "--eval-strategy steps", "--eval-steps"},
      {BASE "--evaluation-strategy steps", "--eval-steps"},
      {BASE "--optim adamw_torch", "AdamW"},
      {BASE "--group-by-length", "without padding"},
      {BASE "--overwrite-output-dir", "new --output-dir"},
      {BASE "--threads 0", "threads"},
      {BASE "--max-steps 0", "max-steps"},
      {BASE "--max-steps ten", "ten"},
      {BASE "--seed -1", "seed"},
      {BASE "--learning-rate 0", "learning-rate"},
      {BASE "--learning-rate nan", "learning-rate"},
      {BASE "--mask-probability 0", "mask-probability"},
      {BASE "--mask-probability 1", "mask-probability"},
      {BASE "--mlm-probability 1.5", "mlm-probability"},
      {BASE "--adam-beta1 1", "adam-beta1"},
      {BASE "--dtype fp64", "bf16"},
      {BASE "--lr-scheduler-type cosin", "cosine"},
      {BASE "--max-length 2", "max-length"},
      {BASE "--eval-fraction 1", "eval-fraction"},
      {BASE "--batch-tokens 512 --max-length 1024", "raise --batch-tokens"},
      {BASE "--batch-tokens 2", "3 or more"},
      {BASE "--gradient-accumulation-steps 4 --batch-tokens 4K", "leave it out"},
      {BASE "--gradient-accumulation-steps 4", "--per-device-train-batch-size"},
      {BASE "--per-device-train-batch-size 8 --batch-tokens 4K", "give one of them"},
      {BASE "--eval y.fasta --eval-fraction 0.1", "give one of them"},
      {BASE "--bf16 --dtype fp32", "give one of them"},
      {BASE "--early-stopping-patience 3", "--eval FILE"},
      {BASE "--load-best-model-at-end", "--eval FILE"},
      {BASE "--eval y.fasta --early-stopping-threshold 0.1", "--early-stopping-patience"},
      {BASE "--warmup-steps 100 --max-steps 100 --lr-scheduler-type linear", "--warmup-steps 100"},
      {BASE "--warmup-steps 95 --max-steps 100", "esm2"},
      {BASE "--save-at begin", "start or epoch"},
      {BASE "--allow-change learning-rat", "learning-rat"},
      {BASE "--allow-change seed", "can't change"},
      {BASE "--hidden-size 65 --num-attention-heads 4", "num-attention-heads"},
      {"--model esm2_t6_8m --train x --output-dir o", "esm2_t6_8M"},
      {"--model esm2_t13_8M --train x --output-dir o", "esm2_t"},
      {BASE "--batch-tokens 4K --batch-tokens 8K", "twice"},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    plm_option_values *values;
    plm_train_settings *settings;
    plm_status status = resolve(table[i].line, 100, &values, &settings);
    if (status != PLM_E_USAGE ||
        (strstr(plm_error_message(), table[i].words) == NULL && strstr(plm_error_hint(), table[i].words) == NULL))
      fail_msg("train %s\n  gives %s: %s\n  hint: %s\n  expected a usage error with the words '%s'", table[i].line,
               plm_status_name(status), plm_error_message(), plm_error_hint(), table[i].words);
    plm_train_settings_destroy(settings);
    plm_option_values_destroy(values);
  }
}

/* Resolve a good line and hand its settings to `check`. */
static void with_settings(const char *line, int64_t steps_per_epoch, void (*check)(const plm_train_settings *s)) {
  plm_option_values *values;
  plm_train_settings *settings;
  assert_ok(resolve(line, steps_per_epoch, &values, &settings));
  check(settings);
  plm_train_settings_destroy(settings);
  plm_option_values_destroy(values);
}

static void check_scratch(const plm_train_settings *s) {
  assert_true(s->from_scratch);
  assert_true(s->o->learning_rate == 4e-4);
  assert_string_equal(s->o->lr_scheduler_type, "esm2");
  assert_int_equal(s->max_steps, 300);
  assert_int_equal(s->schedule.W, 24);
  assert_int_equal(s->o->batch_tokens, 16000);
  assert_int_equal(s->o->max_length, 1024);
  assert_int_equal(s->config.hidden_size, 320);
  assert_int_equal(s->o->hidden_size, 320);
  assert_int_equal(s->o->save_steps, 500);
  assert_true(s->o->eval_on_start);
  assert_int_equal(s->mask.random, PLM_RANDOM_AA_OTHER);
}
static void defaults_from_scratch(void **state) {
  (void)state;
  with_settings(BASE, 100, check_scratch);
}

static void check_sizes(const plm_train_settings *s) {
  assert_int_equal(s->config.hidden_size, 256);
  assert_int_equal(s->config.intermediate_size, 1024);
  assert_int_equal(s->config.head_width, 32);
  assert_int_equal(s->config.num_hidden_layers, 4);
}
static void a_width_brings_its_feed_forward_width(void **state) {
  (void)state;
  with_settings(BASE "--num-hidden-layers 4 --hidden-size 256 --num-attention-heads 8", 100, check_sizes);
}

static void check_short_batch(const plm_train_settings *s) { assert_int_equal(s->o->max_length, 500); }
static void check_long_batch(const plm_train_settings *s) { assert_int_equal(s->o->batch_tokens, 20000); }
static void a_default_that_cannot_be_is_adapted(void **state) {
  (void)state;
  with_settings(BASE "--batch-tokens 500", 100, check_short_batch);
  with_settings(BASE "--max-length 20000", 100, check_long_batch);
}

static void check_sequences(const plm_train_settings *s) {
  assert_int_equal(s->o->per_device_train_batch_size, 8);
  assert_int_equal(s->o->gradient_accumulation_steps, 2);
  assert_int_equal(s->max_steps, 50);
}
static void names_of_other_programs_are_understood(void **state) {
  (void)state;
  with_settings("-m esm2_t6_8M -t x.fasta -o out -b 8 --gradient_accumulation_steps 2 -e 0.5", 100, check_sequences);
  with_settings(
      "--model_name_or_path esm2_t6_8M --train-hdf5-file x.h5 --out-dir out --per_device_train_batch_size=8 --gradient-accumulation-steps=2 -s 50",
      100, check_sequences);
}

static void check_ratio(const plm_train_settings *s) {
  assert_int_equal(s->schedule.W, 20);
  assert_true(s->o->warmup_steps == 20);
}
static void a_warmup_ratio_is_resolved(void **state) {
  (void)state;
  with_settings(BASE "--warmup-ratio 0.1 --max-steps 200", 7, check_ratio);
}

/* A run that began when a share was rounded to the nearest, or to another one, goes on with its own warm-up. */
static void a_resumed_run_keeps_its_warmup(void **state) {
  (void)state;
  static const struct {
    const char *share;
    int64_t saved, kept;
  } cases[] = {{"0.07", 1, 1}, {"0.07", 2, 2}, {"0.07", 5, 2}, {"0.5", 10, 10}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char line[256];
    plm_option_values *values;
    plm_train_settings *settings;
    snprintf(line, sizeof line, BASE "--max-steps 20 --warmup-ratio %s", cases[i].share);
    assert_ok(resolve(line, 0, &values, &settings));
    assert_ok(plm_train_resolve_horizon(settings, 7, cases[i].saved));
    assert_int_equal(settings->schedule.W, cases[i].kept);
    plm_train_settings_destroy(settings);
    plm_option_values_destroy(values);
  }
}

static void check_demo(const plm_train_settings *s) {
  assert_true(s->o->learning_rate == 3e-4);
  assert_true(s->o->adam_beta2 == 0.95 && s->o->weight_decay == 0.5 && s->o->decay_all && s->o->max_grad_norm == 0);
  assert_int_equal(s->o->max_length, 512);
  assert_string_equal(s->o->lr_scheduler_type, "cosine_max");
  assert_int_equal(s->schedule.W, 1000);
  assert_true(fabs(plm_schedule_highest(&s->schedule) - 3e-4 * 0.257) < 1e-12);
  assert_true(s->mask.nonstandard && s->mask.random == PLM_RANDOM_AA);
}
static void the_demo_is_a_set_of_defaults(void **state) {
  (void)state;
  with_settings(BASE "--demo-compat --max-steps 258 --weight-decay 0.5", 100, check_demo);
}

static void check_again(const plm_train_settings *s) {
  assert_true(plm_train_allows(s, "max-steps"));
  assert_true(plm_train_allows(s, "learning-rate"));
  assert_false(plm_train_allows(s, "weight-decay"));
  assert_true(s->save_at_start && s->save_at_epoch);
}
static void lists_of_words(void **state) {
  (void)state;
  with_settings(BASE "--allow-change max_steps,lr --save-at start,epoch", 100, check_again);
}

static void every_option_says_what_it_does(void **state) {
  (void)state;
  const plm_option_table *table = plm_train_option_table();
  for (size_t i = 0; i < table->count; i++) {
    const plm_option *option = &table->options[i];
    size_t length = option->help != NULL ? strlen(option->help) : 0;
    if (length < 10 || option->help[length - 1] == '.') fail_msg("--%s: help '%s'", option->name, option->help);
    if (option->type == PLM_OPT_CHOICE && option->choices == NULL) fail_msg("--%s has no choices", option->name);
    if (option->offset >= table->struct_size) fail_msg("--%s lies outside the struct", option->name);
    for (size_t j = 0; j < i; j++)
      if (table->options[j].offset == option->offset)
        fail_msg("--%s and --%s share a field", option->name, table->options[j].name);
    assert_ptr_equal(plm_option_find(table, option->name), option);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bad_command_lines_are_refused_with_the_remedy),
      cmocka_unit_test(defaults_from_scratch),
      cmocka_unit_test(a_width_brings_its_feed_forward_width),
      cmocka_unit_test(a_default_that_cannot_be_is_adapted),
      cmocka_unit_test(names_of_other_programs_are_understood),
      cmocka_unit_test(a_warmup_ratio_is_resolved),
      cmocka_unit_test(a_resumed_run_keeps_its_warmup),
      cmocka_unit_test(the_demo_is_a_set_of_defaults),
      cmocka_unit_test(lists_of_words),
      cmocka_unit_test(every_option_says_what_it_does),
  };
  return cmocka_run_group_tests_name("train options", tests, NULL, NULL);
}
