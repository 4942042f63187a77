/* Command lines of `protlm train`: which are refused, with what words, and what the others become. Nothing is read or
 * computed. */
#include "support/unit.h"

#include <math.h>
#include <stdio.h>

#include "support/scratch.h"
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
  PLM_TRY(plm_train_resolve_model(*ret_settings, NULL, NULL));
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
      {BASE "--ddp", "one process"},
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
      {BASE "--bf16 False --dtype bf16", "give one of them"},
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

/* ---- options of other programs ---- */

/* Accepted, or refused with what to do here: never by a guess at a name, or without a word. */
static void expect_understood(plm_status status, const char *line) {
  const char *hint = plm_error_hint();
  if (status == PLM_OK) return;
  const bool is_advice =
      *hint != '\0' && strstr(hint, "did you mean") == NULL && strstr(hint, "lists the options") == NULL;
  if (status != PLM_E_USAGE || !is_advice)
    fail_msg("train %s\n  gives %s: %s\n  hint: %s", line, plm_status_name(status), plm_error_message(), hint);
}

static void load_word(const char *word) {
  char copy[256];
  char *argv[] = {copy};
  plm_option_values *values = NULL;
  snprintf(copy, sizeof copy, "%s", word);
  expect_understood(plm_options_load(plm_train_option_table(), 1, argv, &values), word);
  plm_option_values_destroy(values);
}

static void load_yaml(const char *name, const char *value) {
  char text[256];
  plm_option_values *values;
  snprintf(text, sizeof text, "%s: %s\n", name, value);
  scratch_write_text("c.yaml", text);
  assert_ok(plm_option_values_create(plm_train_option_table(), &values));
  expect_understood(plm_options_read_config(values, scratch_path("c.yaml")), text);
  plm_option_values_destroy(values);
}

/* With its default there; a name that is ours has to take that or say what to do. */
static void ask_for(const char *name, const char *value) {
  char word[256], dashed[128];
  const bool is_flag = strcmp(value, "True") == 0 || strcmp(value, "False") == 0;
  if (strcmp(name, "quiet") == 0) return; /* every command's, which `cli` adds */
  if (*value == '\0' && plm_option_find(plm_train_option_table(), name) != NULL) return;
  snprintf(dashed, sizeof dashed, "%s", name);
  for (char *c = dashed; *c != '\0'; c++) *c = *c == '_' ? '-' : *c;
  const char *const spellings[] = {name, dashed};
  for (size_t i = 0; i < 2; i++) {
    snprintf(word, sizeof word, "--%s=%s", spellings[i], *value != '\0' ? value : "1");
    load_word(word);
    snprintf(word, sizeof word, "--no-%s", spellings[i]);
    if (is_flag) load_word(word);
    load_yaml(spellings[i], value);
  }
}

static void every_option_of_other_programs_is_understood(void **state) {
  (void)state;
  FILE *list = fopen(PLM_SOURCE_DIR "/tests/cli/foreign_options.txt", "r");
  char line[256];
  int count = 0;
  assert_non_null(list);
  while (fgets(line, sizeof line, list) != NULL) {
    char name[128] = "", value[128] = "";
    if (*line == '#' || sscanf(line, "%127s %127[^\n]", name, value) < 1) continue;
    ask_for(name, value);
    count++;
  }
  fclose(list);
  assert_in_range(count, 300, 1000);
}

/* What each says, and to whom a value means something here. */
static void values_of_other_programs_are_understood(void **state) {
  (void)state;
  static const struct {
    const char *line, *words; /* NULL: accepted */
  } cases[] = {
      {"--max-steps -1", "--num-train-epochs"},
      {"--max_steps=-1", "--num-train-epochs"},
      {"--save-total-limit 0", "all checkpoints are kept"},
      {"--save_total_limit None", "leave it out"},
      {"--gradient_accumulation_steps None", "leave it out"},
      {"--eval-steps 0.1", "number of steps"},
      {"--save_steps 0.05", "number of steps"},
      {"--logging_steps 0.05", "number of steps"},
      {"--resume_from_checkpoint True", "auto"},
      {"--resume_from_checkpoint False", "never"},
      {"--dtype bfloat16", "use bf16"},
      {"--dtype float16", "use bf16"},
      {"--dtype float32", "use fp32"},
      {"--precision no", "use fp32"},
      {"--time-limit UNLIMITED", "leave it out"},
      {"--lr_scheduler_type linear", NULL},
      {"--lr_scheduler_type cosine", NULL},
      {"--lr_scheduler_type cosine_with_restarts", "use cosine"},
      {"--lr_scheduler_type polynomial", "use linear"},
      {"--lr_scheduler_type constant", NULL},
      {"--lr_scheduler_type constant_with_warmup", NULL},
      {"--lr_scheduler_type inverse_sqrt", NULL},
      {"--lr_scheduler_type reduce_lr_on_plateau", "constant_with_warmup"},
      {"--lr_scheduler_type cosine_with_min_lr", NULL},
      {"--lr_scheduler_type cosine_warmup_with_min_lr", "cosine_with_min_lr"},
      {"--lr_scheduler_type warmup_stable_decay", NULL},
      {"--lr_scheduler_type greedy", "linear"},
      {"--bf16 true --dataloader_num_workers 0 --warmup_ratio 0.07 --learning_rate 5e-5 --mlm_probability 0.15", NULL},
      {"--deepspeed x.json", "trains as one process"},
      {"--fsdp full_shard", "trains as one process"},
      {"--nproc-per-node 8", "trains as one process"},
      {"--nproc_per_node=8", "trains as one process"},
      {"--logging-strategy steps", "--logging-steps"},
      {"--eval-strategy epoch", "--eval-steps"},
      {"--optim adamw_torch", "AdamW"},
      {"--remove_unused_columns False", "leave this out"},
      {"--no_remove_unused_columns", "leave this out"},
      {"--max_epochs 3", "--num-train-epochs"},
      {"--accumulate-grad-batches 2", "--gradient-accumulation-steps"},
      {"--fp16 True", "--dtype bf16"},
      {"--fp16 False", "off here anyway"},
      {"--no-fp16", "off here anyway"},
      {"--fp16=0 --seed 1", "off here anyway"},
      {"--save_strategy no", "always saved at the end"},
      {"--eval_strategy no", "leave this out"},
      {"--gradient-clip-val 0", "--max-grad-norm 0"},
      {"--local_rank 0", "one process"},
      {"--save_safetensors False", "always saved as"},
      {"--hidden_dropout_prob 0.1", "without dropout"},
      {"--report_to none", "leave this out"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char buffer[256], *words[WORDS];
    plm_option_values *values = NULL;
    int count = split(cases[i].line, buffer, sizeof buffer, words);
    plm_status status = plm_options_load(plm_train_option_table(), count, words, &values);
    if (status != (cases[i].words != NULL ? PLM_E_USAGE : PLM_OK) ||
        (cases[i].words != NULL && strstr(plm_error_hint(), cases[i].words) == NULL))
      fail_msg("train %s\n  gives %s: %s\n  hint: %s", cases[i].line, plm_status_name(status), plm_error_message(),
               plm_error_hint());
    plm_option_values_destroy(values);
  }
}

/* A value that advice is given for is no value that the option takes, and the option is there. */
static void no_advice_hides_a_value(void **state) {
  (void)state;
  const plm_option_table *table = plm_train_option_table();
  for (const plm_foreign_value *row = table->foreign_values; row->option != NULL; row++) {
    const plm_option *option = plm_option_find(table, row->option);
    if (option == NULL && strcmp(row->values, "false") == 0) continue; /* a foreign name that says no */
    assert_non_null(option);
    if (option->choices == NULL) continue;
    char choices[512], values[512], *rest;
    snprintf(choices, sizeof choices, "|%s|", option->choices);
    snprintf(values, sizeof values, "%s", row->values);
    for (char *word = strtok_r(values, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
      char whole[128];
      snprintf(whole, sizeof whole, "|%s|", word);
      if (strstr(choices, whole) != NULL) fail_msg("--%s %s is a choice, and refused", row->option, word);
    }
  }
  for (const plm_foreign_option *row = table->foreign; row->name != NULL; row++)
    if (plm_option_find(table, row->name) != NULL) fail_msg("--%s is ours", row->name);
}

/* ---- what lines become ---- */

static void check_fp32(const plm_train_settings *s) { assert_string_equal(s->o->dtype, "fp32"); }
static void without_bf16_is_fp32(void **state) {
  (void)state;
  with_settings(BASE "--bf16 False", 7, check_fp32);
  with_settings(BASE "--no-bf16", 7, check_fp32);
  with_settings(BASE "--no-bf16 --dtype fp32", 7, check_fp32);
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
      cmocka_unit_test(every_option_of_other_programs_is_understood),
      cmocka_unit_test(values_of_other_programs_are_understood),
      cmocka_unit_test(no_advice_hides_a_value),
      cmocka_unit_test(without_bf16_is_fp32),
      cmocka_unit_test(a_warmup_ratio_is_resolved),
      cmocka_unit_test(a_resumed_run_keeps_its_warmup),
      cmocka_unit_test(the_demo_is_a_set_of_defaults),
      cmocka_unit_test(lists_of_words),
      cmocka_unit_test(every_option_says_what_it_does),
  };
  return cmocka_run_group_tests_name("train options", tests, scratch_setup, scratch_teardown);
}
