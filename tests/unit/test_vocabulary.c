/* The tokenizer of a model directory: which tokens its ids stand for, what is refused, and what a continued model keeps of
 * the files it came with. */
#define _GNU_SOURCE
#include "support/unit.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "hub/internal.h"
#include "kernels/cpu/backend_cpu.h"
#include "support/made_up_alphabet.h"
#include "support/scratch.h"
#include "support/warnings.h"

static plm_device *device;
static plm_exec *x;

static int set_up(void **state) {
  if (scratch_setup(state) != 0) return -1;
  warnings_listen();
  assert_ok(plm_device_cpu_create(&device));
  assert_ok(plm_exec_create_cpu(device, 1, "ref", &x));
  return 0;
}

static int tear_down(void **state) {
  plm_exec_destroy(x);
  plm_device_destroy(device);
  return scratch_teardown(state);
}

/* ---- the family's alphabet ---- */

/* Letters in another order are another language, in which every sequence would be read wrongly and without a sign of
 * it. */
static void another_alphabet_is_refused(void **state) {
  (void)state;
  plm_model_config config;
  char *text;
  size_t bytes;
  assert_ok(plm_file_read(PLM_SOURCE_DIR "/tests/fixtures/parity/d8/config.json", 1 << 16, &text, &bytes));
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
  warnings_forget();
  plm_model_config config;
  assert_ok(plm_model_dir_read_config(write_model(35, 32, (const char *const[]){"vocab.txt", "{}\nMSE\n<h>", NULL}),
                                      &config));
  assert_non_null(strstr(warnings_text(), "token 'MSE'; in a sequence it is read letter by letter"));
  assert_null(strstr(warnings_text(), "<h>"));
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
  plm_model *model;
  plm_model_config config;
  const plm_model_options options = {.dtype = PLM_F32, .max_tokens = 64, .max_length = 64};
  assert_ok(plm_model_dir_read_config(MODELS "extended", &config));
  assert_ok(plm_model_create(&config, &options, x, &model));
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(another_alphabet_is_refused),
      cmocka_unit_test(tokenizer_files_are_those_of_the_alphabet),
      cmocka_unit_test(a_tokenizer_may_have_more_tokens),
      cmocka_unit_test(a_tokenizer_that_means_something_else_is_refused),
      cmocka_unit_test(a_continued_model_keeps_its_files),
      cmocka_unit_test(only_what_is_no_longer_true_is_changed),
      cmocka_unit_test(failed_allocations_while_a_tokenizer_is_read_leave_nothing_behind),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
