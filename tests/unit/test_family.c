/* What it takes to add a family: a file like tests/support/made_up.c, and a call that registers it. Nothing in src/
 * knows of it, and it trains, evaluates, saves, resumes and is read back like ESM-2. */
#include "support/unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "data/packer.h"
#include "kernels/backend.h"
#include "protlm/commands.h"
#include "protlm/train.h"
#include "support/made_up.h"
#include "support/model.h"
#include "support/parity.h"
#include "support/scratch.h"
#include "support/sequences.h"

#define PROTEINS PLM_SOURCE_DIR "/tests/integration/proteins.fasta"

/* ---- its gradient ---- */

typedef struct bench {
  plm_exec *x;
  plm_model *model;
  plm_dataset *dataset;
  plm_packed *packed;
} bench;

static void open_bench(bench *b, plm_dtype dtype) {
  const plm_exec_options cpu = {.device = "cpu", .threads = 2};
  const plm_model_config config = made_up_config();
  const plm_model_options options = {
      .dtype = dtype,
      .training = true,
      .max_tokens = 256,
      .max_length = config.max_position_embeddings,
      .all_rows = true,
  };
  plm_packer_options packer = {
      .alphabet = plm_family_alphabet(config.family),
      .masked = true,
      .seed = 3,
      .max_length = config.max_position_embeddings,
      .micro_batch_tokens = 256,
  };
  const int64_t ids[] = {0, 1, 2, 3, 4, 5};
  plm_mask_options_defaults(&packer.mask);
  assert_ok(plm_exec_open(&cpu, &b->x));
  assert_ok(plm_model_create(&config, &options, b->x, &b->model));
  assert_ok(plm_model_initialise(b->model, 11));
  assert_ok(plm_model_refresh(b->model, b->x, PLM_REFRESH_ALL));
  b->dataset = open_made_up(5, 6, 3, 60);
  assert_ok(plm_packed_create(&b->packed));
  assert_ok(plm_pack(b->dataset, &packer, 0, ids, 6, b->packed));
}

static void close_bench(bench *b) {
  plm_packed_destroy(b->packed);
  plm_dataset_close(b->dataset);
  plm_model_destroy(b->model);
  plm_exec_destroy(b->x);
}

static double loss(const bench *b) {
  plm_loss_sums sums;
  assert_ok(plm_model_reset_sums(b->model, b->x));
  assert_ok(model_evaluate(b->model, b->x, &b->packed->batch, NULL, NULL));
  assert_ok(model_read_sums(b->model, b->x, &sums));
  return sums.nll;
}

/* All values of the model in the order of the table, each with its gradient (0: frozen). */
typedef struct point {
  float *values, *gradient;
  int64_t count;
  double norm;
} point;

static void point_free(point *p) {
  plm_free(p->values);
  plm_free(p->gradient);
}

static point here(const bench *b) {
  const plm_params *params = plm_model_get_params(b->model);
  point p = {0};
  int64_t at = 0;
  assert_ok(plm_model_zero_gradient(b->model, b->x));
  assert_ok(plm_model_forward_backward(b->model, b->x, &b->packed->batch, NULL));
  for (int i = 0; i < params->count; i++) p.count += params->items[i].count;
  assert_ok(PLM_NEW(&p.values, p.count));
  assert_ok(PLM_NEW(&p.gradient, p.count));
  for (int i = 0; i < params->count; at += params->items[i++].count) {
    assert_ok(plm_model_get(b->model, i, p.values + at));
    assert_ok(plm_model_get_gradient(b->model, i, p.gradient + at));
  }
  p.norm = parity_norm(p.gradient, p.count);
  return p;
}

static double loss_along(const bench *b, const point *p, double step) {
  const plm_params *params = plm_model_get_params(b->model);
  int64_t at = 0;
  for (int i = 0; i < params->count; at += params->items[i++].count) {
    float *moved;
    assert_ok(PLM_NEW(&moved, params->items[i].count));
    for (int64_t k = 0; k < params->items[i].count; k++)
      moved[k] = (float)(p->values[at + k] + step * p->gradient[at + k] / p->norm);
    assert_ok(plm_model_set(b->model, i, moved));
    plm_free(moved);
  }
  assert_ok(plm_model_refresh(b->model, b->x, PLM_REFRESH_ALL));
  return loss(b);
}

/* As unit/test_model asks of ESM-2. */
static void its_loss_moves_along_its_gradient(void **state) {
  (void)state;
  bench b;
  open_bench(&b, PLM_F32);
  point p = here(&b);
  const double h = 1e-3, slope = (loss_along(&b, &p, h) - loss_along(&b, &p, -h)) / (2 * h);
  if (!(fabs(slope / p.norm - 1) < 0.01)) fail_msg("slope %g, gradient norm %g", slope, p.norm);
  point_free(&p);
  close_bench(&b);
}

/* What bf16 rounds moves the gradient a little, and nowhere else. */
static void its_gradient_in_bf16_is_that_in_fp32_rounded(void **state) {
  (void)state;
  bench full, half;
  open_bench(&full, PLM_F32);
  open_bench(&half, PLM_BF16);
  point p = here(&full), q = here(&half);
  const double error = parity_distance(p.gradient, q.gradient, p.count);
  if (!(error < 0.03 * p.norm)) fail_msg("off by %g of %g", error, p.norm);
  point_free(&p);
  point_free(&q);
  close_bench(&full);
  close_bench(&half);
}

/* Every parameter is reached: none has a gradient of zeros but the positions that no sequence has. */
static void every_parameter_has_a_gradient(void **state) {
  (void)state;
  bench b;
  open_bench(&b, PLM_F32);
  const plm_params *params = plm_model_get_params(b.model);
  point p = here(&b);
  int64_t at = 0;
  for (int i = 0; i < params->count; at += params->items[i++].count)
    if (!(parity_norm(p.gradient + at, params->items[i].count) > 0)) fail_msg("%s has none", params->items[i].name);
  point_free(&p);
  close_bench(&b);
}

/* ---- a run, by the commands ---- */

static char *word(const char *text) { return (char *)(uintptr_t)text; }

static void train(const char *run, const char *dtype, const char *steps) {
  char *words[] = {
      word("--model"),         word("made_up_tiny"),
      word("--dtype"),         word(dtype),
      word("--max-length"),    word("40"),
      word("--batch-tokens"),  word("512"),
      word("--threads"),       word("1"),
      word("--save-steps"),    word("1"),
      word("--eval-steps"),    word("2"),
      word("--logging-steps"), word("1"),
      word("--warmup-steps"),  word("1"),
      word("--learning-rate"), word("1e-3"),
      word("--train"),         word(PROTEINS),
      word("--eval"),          word(PROTEINS),
      word("--cache-dir"),     word(scratch_path("cache")),
      word("--output-dir"),    word(scratch_path(run)),
      word("--allow-change"),  word("max-steps"),
      word("--max-steps"),     word(steps),
  };
  plm_option_values *values;
  plm_train_result result;
  assert_ok(plm_options_load(plm_train_option_table(), sizeof words / sizeof *words, words, &values));
  assert_ok(plm_train(values, NULL, &result));
  assert_true(isfinite(result.final_loss) && isfinite(result.final_eval_loss));
  plm_option_values_destroy(values);
}

static void assert_same_file(const char *a, const char *b) {
  char *x, *y;
  size_t x_bytes, y_bytes;
  assert_ok(plm_file_read(scratch_path(a), INT64_MAX, &x, &x_bytes));
  assert_ok(plm_file_read(scratch_path(b), INT64_MAX, &y, &y_bytes));
  assert_int_equal(x_bytes, y_bytes);
  assert_memory_equal(x, y, x_bytes);
  plm_free(x);
  plm_free(y);
}

static void keep_text(void *user, const char *text) { strncat(user, text, 4000 - strlen(user)); }

static void run_command(const char *name, char **words, int count, char text[4096]) {
  const plm_output output = {.user = text, .write = keep_text, .width = 80};
  int commands;
  const plm_command *list = plm_commands(&commands);
  text[0] = '\0';
  for (int i = 0; i < commands; i++) {
    plm_option_values *values;
    if (strcmp(list[i].name, name) != 0) continue;
    assert_ok(plm_options_load(list[i].options(), count, words, &values));
    assert_ok(list[i].run(values, &output));
    plm_option_values_destroy(values);
  }
}

/* Five steps at once; and what is left when all after step 2 is lost, which goes on to the same bytes. */
static void check_run(const char *dtype) {
  static const char *const lost[] = {"checkpoint-3", "checkpoint-4", "checkpoint-5", "final"};
  static const char *const files[] = {"model.safetensors", "optimizer.safetensors"};
  char whole[32], parts[32], a[128], b[128], text[4096], model[256];
  snprintf(whole, sizeof whole, "whole-%s", dtype);
  snprintf(parts, sizeof parts, "parts-%s", dtype);
  train(whole, dtype, "5");
  train(parts, dtype, "5");
  for (int i = 0; i < 4; i++) {
    snprintf(b, sizeof b, "%s/%s", parts, lost[i]);
    assert_ok(plm_tree_remove(scratch_path(b)));
  }
  train(parts, dtype, "5");
  for (int i = 0; i < 2; i++) {
    snprintf(a, sizeof a, "%s/checkpoint-5/%s", whole, files[i]);
    snprintf(b, sizeof b, "%s/checkpoint-5/%s", parts, files[i]);
    assert_same_file(a, b);
  }
  snprintf(a, sizeof a, "%s/final", whole);
  snprintf(model, sizeof model, "%s", scratch_path(a));
  char *eval[] = {
      word("--model"), model,           word("--data"), word(PROTEINS),      word("--max-length"),
      word("40"),      word("--dtype"), word(dtype),    word("--cache-dir"), word(scratch_path("cache")),
  };
  run_command("eval", eval, sizeof eval / sizeof *eval, text);
  assert_non_null(strstr(text, "perplexity"));
}

static void it_trains_saves_resumes_and_evaluates_in_fp32(void **state) {
  (void)state;
  check_run("fp32");
}

static void it_trains_saves_resumes_and_evaluates_in_bf16(void **state) {
  (void)state;
  check_run("bf16");
}

/* A directory says whose it is: the registry finds the family by config.json, and the tokenizer files are its own. */
static void its_directories_are_told_apart(void **state) {
  (void)state;
  char *text;
  size_t bytes;
  assert_ok(plm_file_read(scratch_path("whole-fp32/final/vocab.txt"), INT64_MAX, &text, &bytes));
  assert_true(bytes > 10 && strncmp(text, "Y\nC\n[PAD]\n", 10) == 0);
  plm_free(text);
  plm_model_config config;
  json_t *document = json_pack("{s:s}", "model_type", "neither");
  assert_fails(plm_model_config_read(document, "config.json", &config), PLM_E_INPUT, "made_up");
  json_decref(document);
  assert_fails(plm_family_register(&made_up_family), PLM_E_BUG, "made_up");
}

static int setup(void **state) {
  (void)state;
  made_up_register();
  return scratch_setup(state);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(its_loss_moves_along_its_gradient),
      cmocka_unit_test(its_gradient_in_bf16_is_that_in_fp32_rounded),
      cmocka_unit_test(every_parameter_has_a_gradient),
      cmocka_unit_test(it_trains_saves_resumes_and_evaluates_in_fp32),
      cmocka_unit_test(it_trains_saves_resumes_and_evaluates_in_bf16),
      cmocka_unit_test(its_directories_are_told_apart),
  };
  return cmocka_run_group_tests(tests, setup, scratch_teardown);
}
