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
#include "hub/internal.h"
#include "formats/safetensors.h"
#include "kernels/cpu/backend_cpu.h"
#include "protlm/log.h"
#include "support/made_up_alphabet.h"
#include "support/scratch.h"

/* ---- a small model and its tensors, to be changed and written again ---- */

static plm_device *device;
static plm_exec *x;
static char warnings[4096];

static void catch_warning(void *user, plm_log_level level, const char *line) {
  (void)user;
  if (level <= PLM_LOG_WARN) snprintf(warnings + strlen(warnings), sizeof warnings - strlen(warnings), "%s\n", line);
}

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
  plm_log_set_sink(catch_warning, NULL);
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
  warnings[0] = '\0';
  assert_loads_like_d8(write_variant(v), &report);
  assert_string_equal(warnings, "");

  v = open_variant();
  i = find(v, "esm.embeddings.word_embeddings.weight");
  memset(spare, 0, sizeof spare);
  add(v, "lm_head.decoder.weight", &v->entries[i], spare);
  assert_loads_like_d8(write_variant(v), &report);
  assert_non_null(strstr(warnings, "lm_head.decoder.weight"));

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
  warnings[0] = '\0';
  assert_loads_like_d8(write_variant(v), &report);
  assert_int_equal(report.ignored, 3);
  assert_string_equal(warnings, "");

  v = open_variant();
  add(v, "classifier.dense.weight", &matrix, spare);
  assert_loads_like_d8(write_variant(v), &report);
  assert_non_null(strstr(warnings, "classifier.dense.weight"));
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

/* Letters in another order are another language, in which every sequence would be read wrongly and without a sign of
 * it. */
static void another_alphabet_is_refused(void **state) {
  (void)state;
  plm_model_config config;
  char *text;
  size_t bytes;
  assert_ok(plm_file_read(fixture("d8/config.json"), 1 << 16, &text, &bytes));
  assert_ok(plm_directory_make(scratch_path("alphabet")));
  scratch_write("alphabet/config.json", text, bytes);
  plm_free(text);
  assert_ok(plm_model_dir_read_config(scratch_path("alphabet"), &config)); /* no vocab.txt: transformers 5 */
  assert_ok(plm_tokenizer_files_write(scratch_path("alphabet"), plm_alphabet_esm2(), NULL));
  assert_ok(plm_model_dir_read_config(scratch_path("alphabet"), &config));
  static const char *const bad[] = {"", "<cls>\n<pad>\n<eos>\n<unk>\nA\nL\n", "<cls>\r\n<pad>\r\n<eos>\r\n"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    scratch_write_text("alphabet/vocab.txt", bad[i]);
    assert_fails(plm_model_dir_read_config(scratch_path("alphabet"), &config), PLM_E_INPUT,
                 i == 0   ? "vocab.txt is empty"
                 : i == 1 ? "vocab.txt:5: token 4 is 'A', where ESM-2 has 'L': the model has another alphabet"
                          : "vocab.txt:4: token 3 is '', where ESM-2 has '<unk>': the model has another alphabet");
  }
}

/* ---- tokens that a tokenizer was given ---- */

#define MODELS PLM_SOURCE_DIR "/tests/fixtures/models/"

/* A directory of config.json, which says vocab_size and mask_token_id, and of the files that follow: name, text, ...,
 * NULL. "{}" in a text is ESM-2's vocabulary. */
static const char *write_model(int vocab_size, int mask, const char *const *files) {
  static char directory[512];
  char text[4096];
  snprintf(directory, sizeof directory, "%s", scratch_path("tokens"));
  assert_ok(plm_tree_remove(directory));
  assert_ok(plm_directory_create(directory));
  snprintf(text, sizeof text,
           "{\"model_type\": \"esm\", \"vocab_size\": %d, \"hidden_size\": 8, \"num_hidden_layers\": 1, "
           "\"num_attention_heads\": 2, \"intermediate_size\": 12, \"position_embedding_type\": \"rotary\", "
           "\"mask_token_id\": %d, \"pad_token_id\": 1}",
           vocab_size, mask);
  scratch_write_text("tokens/config.json", text);
  for (; *files != NULL; files += 2) {
    char name[64];
    size_t used = 0;
    const char *place = strstr(files[1], "{}");
    snprintf(name, sizeof name, "tokens/%s", files[0]);
    text[0] = '\0';
    for (int32_t id = 0; place != NULL && id < 33; id++)
      used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", id > 0 ? "\n" : "",
                               plm_alphabet_esm2()->tokens[id]);
    snprintf(text + used, sizeof text - used, "%s", place != NULL ? place + 2 : files[1]);
    scratch_write_text(name, text);
  }
  return directory;
}

static void a_tokenizer_may_have_more_tokens(void **state) {
  (void)state;
  static const struct {
    int vocab_size, size;
    const char *files[9];
  } cases[] = {
      {33, 33, {NULL}},
      {33, 33, {"vocab.txt", "{}\n\n"}},
      {64, 33, {"vocab.txt", "{}"}}, /* padded */
      {36, 36, {"vocab.txt", "{}\n<heavy>\n<light>\nJ"}},
      {40, 36, {"vocab.txt", "{}\n<heavy>\n<light>\nJ\n"}},
      {40, 35, {"vocab.txt", "{}", "added_tokens.json", "{\"J\": 34, \"<x>\": 33}"}},
      {36,
       36,
       {"vocab.txt", "{}\nJ", "added_tokens.json", "{\"<x>\": 34}", "tokenizer_config.json",
        "{\"added_tokens_decoder\": {\"32\": {\"content\": \"<mask>\"}, \"35\": {\"content\": \"<y>\"}}, "
        "\"model_max_length\": 1000000000000000019884624838656, \"mask_token\": \"<mask>\"}"}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    plm_model_config config;
    assert_ok(plm_model_dir_read_config(write_model(cases[i].vocab_size, 32, cases[i].files), &config));
    assert_int_equal(config.vocab_size, cases[i].vocab_size);
    assert_int_equal(config.alphabet->size, cases[i].size);
    if (cases[i].size == 33) assert_ptr_equal(config.alphabet, plm_alphabet_esm2());
  }
  warnings[0] = '\0';
  plm_model_config config;
  assert_ok(plm_model_dir_read_config(write_model(35, 32, (const char *const[]){"vocab.txt", "{}\nMSE\n<h>", NULL}),
                                      &config));
  assert_non_null(strstr(warnings, "token 'MSE'; in a sequence it is read letter by letter"));
  assert_null(strstr(warnings, "<h>"));
}

static void a_tokenizer_that_means_something_else_is_refused(void **state) {
  (void)state;
  static const char fast[] =
      "{\"model\": {\"vocab\": {\"<cls>\": 0, \"<pad>\": 1, \"<eos>\": 2, \"<unk>\": 3, \"A\": 4}}}";
  static const struct {
    int vocab_size, mask;
    const char *words, *files[5];
  } cases[] = {
      {36, 32, "vocab_size is 36, where ESM-2 has 33, and there is no vocab.txt", {NULL}},
      {33, 4, "mask_token_id is 4, where ESM-2 has 32 ('<mask>')", {NULL}},
      {34, 33, "mask_token_id is 33", {"vocab.txt", "{}\nJ"}},
      {33, 32, "vocab.txt:34: token 33 is 'J', but by config.json the model has 33", {"vocab.txt", "{}\nJ"}},
      {40, 32, "vocab.txt:35: token 34 is 'L', which is token 4 already", {"vocab.txt", "{}\nJ\nL"}},
      {40, 32, "vocab.txt:34: token 33 is empty", {"vocab.txt", "{}\n\nJ"}},
      {40, 32, "says what token 33 is", {"vocab.txt", "{}", "added_tokens.json", "{\"J\": 34}"}},
      {40, 32, "another file of the tokenizer says 'J'", {"vocab.txt", "{}\nJ", "added_tokens.json", "{\"<x>\": 33}"}},
      {34, 32, "there is no vocab.txt", {"added_tokens.json", "{\"J\": 33}"}},
      {33, 32, "tokenizer.json: token 4 is 'A', where ESM-2 has 'L'", {"tokenizer.json", fast}},
      {33, 32, "mask_token is '[MASK]'", {"special_tokens_map.json", "{\"mask_token\": {\"content\": \"[MASK]\"}}"}},
      {33, 32, "tokenizer_config.json:1:1: not valid JSON", {"tokenizer_config.json", "x"}},
      {33, 32, "vocab.txt is a git-lfs pointer", {"vocab.txt", "version https://git-lfs.github.com/spec/v1\n"}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    plm_model_config config;
    const char *directory = write_model(cases[i].vocab_size, cases[i].mask, cases[i].files);
    assert_fails(plm_model_dir_read_config(directory, &config), PLM_E_INPUT, cases[i].words);
  }
}

/* ---- what a continued model keeps ---- */

static char *read_text(const char *path) {
  char *text;
  size_t bytes;
  assert_ok(plm_file_read(path, 1 << 20, &text, &bytes));
  return text;
}

static void assert_same_text(const char *name, const char *change, const char *into) {
  char path[512];
  snprintf(path, sizeof path, MODELS "extended/%s", name);
  char *text = read_text(path), *expected_text = text, *at = change != NULL ? strstr(text, change) : NULL;
  assert_true((change == NULL) == (at == NULL));
  if (at != NULL) assert_ok(plm_sprintf(&expected_text, "%.*s%s%s", (int)(at - text), text, into, at + strlen(change)));
  snprintf(path, sizeof path, "kept/%s", name);
  const char *kept = scratch_read(path); /* a final newline is no key */
  const size_t length = strlen(expected_text) - (at != NULL || kept[strlen(kept) - 1] != '\n');
  assert_true(strlen(kept) >= length);
  assert_memory_equal(kept, expected_text, length);
  if (expected_text != text) plm_free(expected_text);
  plm_free(text);
}

static void save_extended(bool half) {
  plm_model_origin *origin;
  plm_load_report report;
  plm_model *model = make_model(MODELS "extended");
  assert_ok(plm_model_dir_load(MODELS "extended", model, &report));
  assert_ok(plm_model_origin_read(MODELS "extended", &origin));
  assert_ok(plm_tree_remove(scratch_path("kept")));
  assert_ok(plm_directory_create(scratch_path("kept")));
  assert_ok(plm_model_dir_save(scratch_path("kept"), model,
                               &(plm_save_options){.weights = true, .half = half, .origin = origin}));
  plm_model_origin_free(origin);
  plm_model_destroy(model);
}

static void a_continued_model_keeps_its_files(void **state) {
  (void)state;
  plm_model_config config;
  save_extended(false);
  assert_same_text("config.json", NULL, NULL); /* dropout, the order of its keys and what protlm never reads, too */
  assert_same_text("vocab.txt", NULL, NULL);
  assert_same_text("added_tokens.json", NULL, NULL);
  assert_same_text("tokenizer_config.json", NULL, NULL);
  assert_false(plm_file_exists(scratch_path("kept/special_tokens_map.json"))); /* it had none */
  assert_ok(plm_model_dir_read_config(scratch_path("kept"), &config));
  assert_int_equal(config.alphabet->size, 36);
  assert_string_equal(config.alphabet->tokens[35], "J");
  save_extended(true);
  assert_same_text("config.json", "\"dtype\": \"float32\"", "\"dtype\": \"bfloat16\"");
}

static void only_what_is_no_longer_true_is_changed(void **state) {
  (void)state;
  plm_model_origin *origin;
  static const char *const files[] = {NULL};
  json_t *ours = json_pack("{s:[s], s:s, s:i}", "architectures", "EsmForMaskedLM", "torch_dtype", "float32",
                           "use_cache", 1),
         *config;
  char *text;
  const char *directory = write_model(33, 32, files);
  scratch_write_text(
      "tokens/config.json",
      "{\"b\": 1e-05, \"architectures\": [\"EsmModel\"], \"torch_dtype\": \"float16\", \"a\": [null, {}]}");
  assert_ok(plm_model_origin_read(directory, &origin));
  assert_ok(plm_model_origin_config(origin, ours, &config));
  assert_ok(plm_json_dump(config, &text));
  assert_string_equal(text,
                      "{\n  \"b\": 1e-05,\n  \"architectures\": [\n    \"EsmForMaskedLM\"\n  ],\n"
                      "  \"torch_dtype\": \"float32\",\n  \"a\": [\n    null,\n    {}\n  ]\n}\n");
  plm_free(text);
  json_decref(config);
  json_decref(ours);
  plm_model_origin_free(origin);
}

/* They come from the alphabet, whichever it is. */
static void tokenizer_files_are_those_of_the_alphabet(void **state) {
  (void)state;
  const plm_alphabet *alphabet = made_up_alphabet();
  plm_alphabet *read;
  assert_ok(plm_directory_make(scratch_path("made-up")));
  assert_ok(plm_tokenizer_files_write(scratch_path("made-up"), alphabet, NULL));
  const plm_family family = {.name = "made-up", .words = "Made-up", .alphabet = alphabet->name};
  plm_model_config config = {
      .family = &family,
      .vocab_size = alphabet->size,
      .mask_token_id = alphabet->mask,
      .pad_token_id = alphabet->pad,
  };
  assert_ok(plm_vocabulary_read(scratch_path("made-up"), &config));
  assert_ptr_equal(config.alphabet, alphabet);
  assert_fails(plm_vocabulary_read(scratch_path("alphabet"), &config), PLM_E_INPUT, "where Made-up has 'Y'");
  config.family = &plm_family_esm2;
  assert_fails(plm_vocabulary_read(scratch_path("made-up"), &config), PLM_E_INPUT, "token 0 is 'Y'");
  assert_ok(plm_alphabet_read(scratch_read("made-up/vocab.txt"), &read));
  assert_int_equal(read->size, alphabet->size);
  assert_int_equal(read->mask, alphabet->mask);
  plm_free(read);
  assert_string_equal(scratch_read("made-up/special_tokens_map.json"),
                      "{\n  \"cls_token\": \"[CLS]\",\n  \"eos_token\": \"[SEP]\",\n  \"mask_token\": \"[MASK]\",\n"
                      "  \"pad_token\": \"[PAD]\",\n  \"unk_token\": \"[UNK]\"\n}\n");
  assert_non_null(strstr(scratch_read("made-up/tokenizer_config.json"), "\"tokenizer_class\": \"BertTokenizer\""));
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

static void failed_allocations_while_a_tokenizer_is_read_leave_nothing_behind(void **state) {
  (void)state;
  plm_model_config config;
  plm_model_origin *origin;
  plm_status status = PLM_E_RESOURCE;
  assert_ok(plm_model_dir_read_config(MODELS "extended", &config)); /* its alphabet stays */
  for (int64_t n = 1; status != PLM_OK; n++) {
    const int64_t live = plm_alloc_live();
    origin = NULL;
    plm_alloc_fail_at(n);
    status = plm_model_dir_read_config(MODELS "extended", &config);
    if (status == PLM_OK) status = plm_model_origin_read(MODELS "extended", &origin);
    plm_alloc_fail_at(0);
    plm_model_origin_free(origin);
    assert_int_equal(plm_alloc_live(), live);
    if (status != PLM_OK) assert_int_equal(status, PLM_E_RESOURCE);
  }
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
      cmocka_unit_test(another_alphabet_is_refused),
      cmocka_unit_test(tokenizer_files_are_those_of_the_alphabet),
      cmocka_unit_test(a_tokenizer_may_have_more_tokens),
      cmocka_unit_test(a_tokenizer_that_means_something_else_is_refused),
      cmocka_unit_test(a_continued_model_keeps_its_files),
      cmocka_unit_test(only_what_is_no_longer_true_is_changed),
      cmocka_unit_test(half_files_keep_the_frequencies_whole),
      cmocka_unit_test(equal_models_give_equal_files),
      cmocka_unit_test(failed_allocations_while_a_tokenizer_is_read_leave_nothing_behind),
      cmocka_unit_test(failed_allocations_leave_nothing_behind),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
