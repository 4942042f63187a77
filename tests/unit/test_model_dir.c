/* Model directories: every name a tensor has had is understood, what is wrong with a directory is said, and what we
 * save we load. */
#define _GNU_SOURCE
#include "support/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "data/alphabet.h"
#include "hub/model_dir.h"
#include "formats/safetensors.h"
#include "kernels/cpu/backend_cpu.h"
#include "support/scratch.h"
#include "support/warnings.h"

/* ---- a small model and its tensors, to be changed and written again ---- */

static plm_device *device;
static plm_exec *x;

static const char *fixture(const char *name) {
  static char path[2][512];
  static int next;
  next = 1 - next;
  snprintf(path[next], sizeof path[next], "%s/tests/fixtures/parity/%s", PLM_SOURCE_DIR, name);
  return path[next];
}

static plm_model *make_model(const char *directory) {
  plm_model_config config;
  plm_model *model;
  const plm_model_options options = {.dtype = PLM_F32, .max_tokens = 64, .max_length = 64};
  assert_ok(plm_model_dir_read_config(directory, &config));
  assert_ok(plm_model_create(&config, &options, x, &model));
  return model;
}

/* All parameters in one array. */
static float *all_values(const plm_model *model) {
  const plm_params *params = plm_model_get_params(model);
  float *values;
  assert_ok(PLM_NEW(&values, params->full_size));
  for (int i = 0; i < params->count; i++) assert_ok(plm_model_get(model, i, values + params->items[i].offset));
  return values;
}

static float *expected; /* of fixture d8 */
static int64_t value_count;

static int set_up(void **state) {
  plm_load_report report;
  if (scratch_setup(state) != 0) return -1;
  warnings_listen();
  assert_ok(plm_device_cpu_create(&device));
  assert_ok(plm_exec_create_cpu(device, 1, "ref", &x));
  plm_model *model = make_model(fixture("d8"));
  assert_ok(plm_model_dir_load(fixture("d8"), model, &report));
  expected = all_values(model);
  value_count = plm_model_get_params(model)->full_size;
  plm_model_destroy(model);
  return 0;
}

static int tear_down(void **state) {
  plm_free(expected);
  plm_exec_destroy(x);
  plm_device_destroy(device);
  return scratch_teardown(state);
}

/* ---- variants: the tensors of d8 under other names, types and with other contents ---- */

enum { MAX_TENSORS = 200, ROOM = 1 << 16 };

typedef struct variant {
  plm_tensor_info entries[MAX_TENSORS];
  char names[MAX_TENSORS][128];
  size_t count;
  plm_safetensors *source;
} variant;

static char spare[ROOM]; /* contents of tensors that d8 has not */

static size_t add(variant *v, const char *name, const plm_tensor_info *like, const void *data) {
  size_t i = v->count++;
  v->entries[i] = *like;
  snprintf(v->names[i], sizeof v->names[i], "%s", name);
  v->entries[i].name = v->names[i];
  v->entries[i].data = data;
  return i;
}

/* d8 as transformers 4 named it. */
static variant *open_variant(void) {
  variant *v;
  assert_ok(PLM_NEW(&v, 1));
  assert_ok(plm_safetensors_open(fixture("d8/model.safetensors"), &v->source));
  for (size_t i = 0; i < plm_safetensors_count(v->source); i++) {
    const plm_tensor_info *info = plm_safetensors_at(v->source, i);
    char name[128];
    snprintf(name, sizeof name, "%s", info->name);
    char *gamma = strstr(name, "LayerNorm.gamma"), *beta = strstr(name, "LayerNorm.beta");
    if (gamma != NULL) strcpy(gamma, "LayerNorm.weight");
    if (beta != NULL) strcpy(beta, "LayerNorm.bias");
    add(v, name, info, info->data);
  }
  return v;
}

static size_t find(const variant *v, const char *name) {
  for (size_t i = 0; i < v->count; i++)
    if (strcmp(v->names[i], name) == 0) return i;
  fail_msg("no tensor %s", name);
  return 0;
}

static void drop(variant *v, const char *name) { v->entries[find(v, name)].dtype = NULL; }

/* The copy may then be changed. */
static void *own_data(variant *v, const char *name) {
  size_t i = find(v, name);
  assert_true(v->entries[i].bytes <= ROOM);
  memcpy(spare, v->entries[i].data, (size_t)v->entries[i].bytes);
  v->entries[i].data = spare;
  return spare;
}

static const char *write_variant(variant *v) {
  static char directory[512];
  size_t kept = 0;
  for (size_t i = 0; i < v->count; i++) {
    if (v->entries[i].dtype == NULL) continue;
    v->entries[kept++] = v->entries[i];
  }
  snprintf(directory, sizeof directory, "%s", scratch_path("variant"));
  assert_ok(plm_tree_remove(directory));
  assert_ok(plm_directory_create(directory));
  const plm_tensor_list list = {.items = v->entries, .count = kept};
  assert_ok(plm_safetensors_write(scratch_path("variant/model.safetensors"), &list, NULL, NULL));
  char *config;
  size_t bytes;
  assert_ok(plm_file_read(fixture("d8/config.json"), 1 << 16, &config, &bytes));
  scratch_write("variant/config.json", config, bytes);
  plm_free(config);
  plm_safetensors_close(v->source);
  plm_free(v);
  return directory;
}

static void assert_loads_like_d8(const char *directory, plm_load_report *report) {
  plm_model *model = make_model(directory);
  assert_ok(plm_model_dir_load(directory, model, report));
  float *values = all_values(model);
  assert_memory_equal(values, expected, (size_t)value_count * sizeof(float));
  plm_free(values);
  plm_model_destroy(model);
}

static void assert_refused(const char *directory, const char *words) {
  plm_load_report report;
  plm_model *model = make_model(directory);
  assert_fails(plm_model_dir_load(directory, model, &report), PLM_E_INPUT, words);
  plm_model_destroy(model);
}

/* ---- names ---- */

typedef void change_name(const char *old, char *new);

static void keep_name(const char *old, char *new) { strcpy(new, old); }
static void add_module(const char *old, char *new) { sprintf(new, "module.%s", old); }
static void add_compiled_module(const char *old, char *new) { sprintf(new, "_orig_mod.module.%s", old); }
static void add_model(const char *old, char *new) { sprintf(new, "model.%s", old); }
static void drop_base(const char *old, char *new) { strcpy(new, strncmp(old, "esm.", 4) == 0 ? old + 4 : old); }
static void use_gamma_and_beta(const char *old, char *new) {
  strcpy(new, old);
  char *weight = strstr(new, "LayerNorm.weight"), *bias = strstr(new, "LayerNorm.bias");
  if (weight != NULL) strcpy(weight, "LayerNorm.gamma");
  if (bias != NULL) strcpy(bias, "LayerNorm.beta");
}
static void share_inv_freq(const char *old, char *new) {
  strcpy(new, strstr(old, "inv_freq") != NULL ? "esm.rotary_embeddings.inv_freq" : old);
}
static void number_inv_freq(const char *old, char *new) {
  strcpy(new, strstr(old, "inv_freq") != NULL ? "esm.encoder.layer.1.attention.self.rotary_embeddings.inv_freq" : old);
}

static void every_name_that_was_ever_used_is_understood(void **state) {
  (void)state;
  change_name *const changes[] = {keep_name, add_module,         add_compiled_module, add_model,
                                  drop_base, use_gamma_and_beta, share_inv_freq,      number_inv_freq};
  for (size_t c = 0; c < sizeof changes / sizeof *changes; c++) {
    plm_load_report report;
    variant *v = open_variant();
    for (size_t i = 0; i < v->count; i++) {
      char name[128];
      changes[c](v->names[i], name);
      strcpy(v->names[i], name);
    }
    size_t count = v->count;
    assert_loads_like_d8(write_variant(v), &report);
    assert_int_equal(report.tensors, count);
    assert_int_equal(report.ignored, 0);
    assert_int_equal(report.missing_optional, 0);
    assert_string_equal(report.inv_freq_source, "file");
  }
}

static void files_of_both_transformers_are_loaded(void **state) {
  (void)state;
  plm_load_report report;
  assert_loads_like_d8(fixture("d8"), &report);
  assert_int_equal(report.renamed, 13);
  assert_loads_like_d8(fixture("d8_v4_names"), &report);
  assert_int_equal(report.ignored, 2); /* position_ids and position_embeddings */
}

static void inv_freq_may_be_absent_but_not_differ_between_layers(void **state) {
  (void)state;
  plm_load_report report;
  variant *v = open_variant();
  drop(v, "esm.encoder.layer.*.attention.self.rotary_embeddings.inv_freq");
  assert_loads_like_d8(write_variant(v), &report); /* d8 holds the nominal ones rounded through fp16 */
  assert_string_equal(report.inv_freq_source, "fp16-rounded nominal");

  v = open_variant();
  size_t i = find(v, "esm.encoder.layer.*.attention.self.rotary_embeddings.inv_freq");
  memcpy(spare, v->entries[i].data, 16);
  spare[0] ^= 1;
  strcpy(v->names[i], "esm.encoder.layer.0.attention.self.rotary_embeddings.inv_freq");
  add(v, "esm.encoder.layer.1.attention.self.rotary_embeddings.inv_freq", &v->entries[i], spare);
  assert_refused(write_variant(v), "must be equal");
}

static void tied_names_must_agree(void **state) {
  (void)state;
  plm_load_report report;
  variant *v = open_variant();
  size_t i = find(v, "esm.embeddings.word_embeddings.weight");
  add(v, "lm_head.decoder.weight", &v->entries[i], v->entries[i].data);
  warnings_forget();
  assert_loads_like_d8(write_variant(v), &report);
  assert_int_equal(warnings_count(), 0);

  v = open_variant();
  i = find(v, "esm.embeddings.word_embeddings.weight");
  memset(spare, 0, sizeof spare);
  add(v, "lm_head.decoder.weight", &v->entries[i], spare);
  assert_loads_like_d8(write_variant(v), &report);
  assert_non_null(strstr(warnings_text(), "lm_head.decoder.weight"));

  v = open_variant();
  strcpy(v->names[find(v, "esm.embeddings.word_embeddings.weight")], "lm_head.decoder.weight");
  assert_loads_like_d8(write_variant(v), &report);

  v = open_variant();
  i = find(v, "lm_head.bias");
  add(v, "lm_head.decoder.bias", &v->entries[i], v->entries[i].data);
  assert_loads_like_d8(write_variant(v), &report);

  v = open_variant();
  i = find(v, "lm_head.bias");
  add(v, "lm_head.decoder.bias", &v->entries[i], spare);
  assert_refused(write_variant(v), "must be equal");
}

static void useless_tensors_are_ignored_and_unknown_ones_named(void **state) {
  (void)state;
  plm_load_report report;
  variant *v = open_variant();
  plm_tensor_info matrix = {.dtype = "F32", .dims = 2, .shape = {24, 24}, .bytes = 24 * 24 * 4},
                  ids = {.dtype = "I64", .dims = 2, .shape = {1, 10}, .bytes = 80};
  add(v, "esm.pooler.dense.weight", &matrix, spare);
  add(v, "esm.embeddings.position_ids", &ids, spare);
  add(v, "esm.embeddings.position_embeddings.weight", &matrix, spare);
  warnings_forget();
  assert_loads_like_d8(write_variant(v), &report);
  assert_int_equal(report.ignored, 3);
  assert_int_equal(warnings_count(), 0);

  v = open_variant();
  add(v, "classifier.dense.weight", &matrix, spare);
  assert_loads_like_d8(write_variant(v), &report);
  assert_non_null(strstr(warnings_text(), "classifier.dense.weight"));
}

static void a_missing_contact_head_is_zeros(void **state) {
  (void)state;
  plm_load_report report;
  variant *v = open_variant();
  drop(v, "esm.contact_head.regression.weight");
  drop(v, "esm.contact_head.regression.bias");
  const char *directory = write_variant(v);
  plm_model *model = make_model(directory);
  assert_ok(plm_model_dir_load(directory, model, &report));
  assert_int_equal(report.missing_optional, 2);
  plm_model_destroy(model);
}

/* ---- types ---- */

static void half_files_are_loaded(void **state) {
  (void)state;
  static const char *const types[] = {"BF16", "F16", "F64"};
  for (int t = 0; t < 3; t++) {
    plm_load_report report;
    variant *v = open_variant();
    size_t i = find(v, "lm_head.layer_norm.weight");
    int width = t == 2 ? 8 : 2;
    static const uint16_t one[] = {0x3f80, 0x3c00};
    static const double wide_one = 1;
    for (int k = 0; k < 24; k++)
      memcpy(spare + k * width, t == 2 ? (const void *)&wide_one : (const void *)&one[t], (size_t)width);
    v->entries[i].dtype = types[t];
    v->entries[i].bytes = 24 * width;
    v->entries[i].data = spare;
    const char *directory = write_variant(v);
    plm_model *model = make_model(directory);
    assert_ok(plm_model_dir_load(directory, model, &report));
    float values[24];
    const plm_params *params = plm_model_get_params(model);
    assert_ok(
        plm_model_get(model, (int)(plm_params_find(params, "lm_head.layer_norm.weight") - params->items), values));
    for (int k = 0; k < 24; k++) assert_true(values[k] == 1);
    plm_model_destroy(model);
  }
}

/* ---- what is wrong with a directory ---- */

static void bad_weights_are_refused_by_name(void **state) {
  (void)state;
  variant *v = open_variant();
  drop(v, "esm.encoder.layer.1.output.dense.weight");
  assert_refused(write_variant(v), "'esm.encoder.layer.1.output.dense.weight' is missing");

  v = open_variant();
  drop(v, "lm_head.dense.weight");
  assert_refused(write_variant(v), "EsmForMaskedLM");

  v = open_variant();
  size_t i = find(v, "esm.encoder.layer.2.attention.self.key.weight");
  v->entries[i].shape[0] = 12;
  v->entries[i].shape[1] = 48;
  assert_refused(write_variant(v), "'esm.encoder.layer.2.attention.self.key.weight' has shape [12, 48]");

  v = open_variant();
  i = find(v, "lm_head.bias");
  v->entries[i].dims = 2;
  v->entries[i].shape[0] = 33;
  v->entries[i].shape[1] = 1;
  assert_refused(write_variant(v), "[33, 1], but by config.json it is [33]");

  v = open_variant();
  v->entries[find(v, "lm_head.bias")].dtype = "I32";
  assert_refused(write_variant(v), "'lm_head.bias' has type I32");

  v = open_variant();
  ((float *)own_data(v, "esm.encoder.layer.0.LayerNorm.bias"))[3] = NAN;
  assert_refused(write_variant(v), "'esm.encoder.layer.0.LayerNorm.bias' holds NaN at element 3");

  v = open_variant();
  ((float *)own_data(v, "lm_head.bias"))[32] = -INFINITY;
  assert_refused(write_variant(v), "'lm_head.bias' holds an infinity at element 32");

  const char *directory = write_variant(open_variant());
  assert_int_equal(truncate(scratch_path("variant/model.safetensors"), 30000), 0);
  assert_refused(directory, "cut off");
}

static void directories_without_weights_say_what_to_do(void **state) {
  (void)state;
  plm_model_config config;
  const char *directory = write_variant(open_variant());
  assert_ok(plm_file_remove(scratch_path("variant/model.safetensors")));
  assert_refused(directory, "neither model.safetensors nor");
  scratch_write_text("variant/pytorch_model.bin", "PK");
  assert_refused(directory, "save_pretrained");
  assert_ok(plm_file_remove(scratch_path("variant/config.json")));
  assert_fails(plm_model_dir_read_config(directory, &config), PLM_E_INPUT, "no config.json");
  scratch_write_text("variant/config.json", "{\"model_type\": \"esm\", NaN}");
  assert_fails(plm_model_dir_read_config(directory, &config), PLM_E_INPUT, "config.json:1:");
  scratch_write_text("variant/config.json", "");
  assert_fails(plm_model_dir_read_config(directory, &config), PLM_E_INPUT, "config.json");
  scratch_write_text("variant/config.json", "{\"hidden_size\": NaN}");
  assert_fails(plm_model_dir_read_config(directory, &config), PLM_E_INPUT, "config.json");
}

/* ---- saving ---- */

static const char *save(const plm_save_options *options) {
  static char directory[512];
  plm_load_report report;
  snprintf(directory, sizeof directory, "%s", scratch_path("saved"));
  assert_ok(plm_tree_remove(directory));
  assert_ok(plm_directory_create(directory));
  plm_model *model = make_model(fixture("d8"));
  assert_ok(plm_model_dir_load(fixture("d8"), model, &report));
  assert_ok(plm_model_dir_save(directory, model, options));
  plm_model_destroy(model);
  return directory;
}

static void what_is_saved_is_loaded_bit_for_bit(void **state) {
  (void)state;
  plm_load_report report;
  const plm_save_options whole = {.weights = true}, sharded = {.weights = true, .max_shard_bytes = 20000};
  assert_loads_like_d8(save(&whole), &report);
  assert_int_equal(report.renamed, 3); /* inv_freq once a layer */
  assert_string_equal(report.inv_freq_source, "file");
  assert_loads_like_d8(save(&sharded), &report);
  assert_true(plm_file_exists(scratch_path("saved/model-00002-of-00004.safetensors")));
  assert_false(plm_file_exists(scratch_path("saved/model.safetensors")));
}

static void tokenizer_files_are_as_published(void **state) {
  (void)state;
  save(&(plm_save_options){0});
  assert_false(plm_file_exists(scratch_path("saved/model.safetensors")));
  const plm_alphabet *alphabet = plm_alphabet_esm2();
  plm_text vocabulary = {0};
  for (int32_t i = 0; i < alphabet->size; i++)
    plm_text_printf(&vocabulary, i == 0 ? "%s" : "\n%s", alphabet->tokens[i]);
  assert_string_equal(scratch_read("saved/vocab.txt"), vocabulary.data);
  assert_int_equal(vocabulary.length, 93);
  plm_text_free(&vocabulary);
  assert_int_equal(strlen(scratch_read("saved/special_tokens_map.json")), 125);
  assert_int_equal(strlen(scratch_read("saved/tokenizer_config.json")), 95);
}

static void half_files_keep_the_frequencies_whole(void **state) {
  (void)state;
  plm_safetensors *file;
  save(&(plm_save_options){.weights = true, .half = true});
  assert_ok(plm_safetensors_open(scratch_path("saved/model.safetensors"), &file));
  assert_string_equal(plm_safetensors_find(file, "lm_head.dense.weight")->dtype, "BF16");
  assert_string_equal(
      plm_safetensors_find(file, "esm.encoder.layer.2.attention.self.rotary_embeddings.inv_freq")->dtype, "F32");
  plm_safetensors_close(file);
  assert_non_null(strstr(scratch_read("saved/config.json"), "\"torch_dtype\": \"bfloat16\""));
  plm_load_report report;
  plm_model *model = make_model(scratch_path("saved"));
  assert_ok(plm_model_dir_load(scratch_path("saved"), model, &report));
  float *values = all_values(model);
  for (int64_t i = 0; i < value_count; i++) assert_true(fabsf(values[i] - expected[i]) <= fabsf(expected[i]) * 0x1p-8f);
  plm_free(values);
  plm_model_destroy(model);
}

static void equal_models_give_equal_files(void **state) {
  (void)state;
  plm_load_report report;
  static const char *const directories[] = {"first", "second"};
  char hashes[2][33];
  int64_t bytes;
  plm_model *model = make_model(fixture("d8"));
  assert_ok(plm_model_dir_load(fixture("d8"), model, &report));
  for (int i = 0; i < 2; i++) {
    char *path;
    assert_ok(plm_directory_create(scratch_path(directories[i])));
    assert_ok(plm_model_dir_save(scratch_path(directories[i]), model, &(plm_save_options){.weights = true}));
    assert_ok(plm_path_join(scratch_path(directories[i]), "model.safetensors", &path));
    assert_ok(plm_file_hash(path, hashes[i], &bytes));
    plm_free(path);
  }
  assert_string_equal(hashes[0], hashes[1]);
  plm_model_destroy(model);
}

static void failed_allocations_leave_nothing_behind(void **state) {
  (void)state;
  plm_load_report report;
  plm_model *model = make_model(fixture("d8_v4_names"));
  int64_t live = plm_alloc_live();
  plm_status status = PLM_E_RESOURCE;
  for (int64_t n = 1; status != PLM_OK; n++) {
    assert_ok(plm_tree_remove(scratch_path("alloc")));
    assert_ok(plm_directory_create(scratch_path("alloc")));
    live = plm_alloc_live();
    plm_alloc_fail_at(n);
    status = plm_model_dir_load(fixture("d8_v4_names"), model, &report);
    if (status == PLM_OK)
      status = plm_model_dir_save(scratch_path("alloc"), model, &(plm_save_options){.weights = true, .half = true});
    plm_alloc_fail_at(0);
    assert_int_equal(plm_alloc_live(), live);
    if (status != PLM_OK) assert_int_equal(status, PLM_E_RESOURCE);
  }
  plm_model_destroy(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_name_that_was_ever_used_is_understood),
      cmocka_unit_test(files_of_both_transformers_are_loaded),
      cmocka_unit_test(inv_freq_may_be_absent_but_not_differ_between_layers),
      cmocka_unit_test(tied_names_must_agree),
      cmocka_unit_test(useless_tensors_are_ignored_and_unknown_ones_named),
      cmocka_unit_test(a_missing_contact_head_is_zeros),
      cmocka_unit_test(half_files_are_loaded),
      cmocka_unit_test(bad_weights_are_refused_by_name),
      cmocka_unit_test(directories_without_weights_say_what_to_do),
      cmocka_unit_test(what_is_saved_is_loaded_bit_for_bit),
      cmocka_unit_test(tokenizer_files_are_as_published),
      cmocka_unit_test(half_files_keep_the_frequencies_whole),
      cmocka_unit_test(equal_models_give_equal_files),
      cmocka_unit_test(failed_allocations_leave_nothing_behind),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
