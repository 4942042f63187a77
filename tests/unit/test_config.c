/* config.json is understood in both spellings, and whatever cannot be honoured is refused by name. */
#include "support/unit.h"

#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "model/family.h"
#include "support/model.h"

/* A configuration as published, with `change` merged over it ("\"key\": value, ...", or "" for none) and without
 * `absent`. */
static plm_status read_changed(const char *change, const char *absent, plm_model_config *config) {
  static const char base[] =
      "{\"architectures\": [\"EsmForMaskedLM\"], \"attention_probs_dropout_prob\": 0.0, \"classifier_dropout\": null, \"emb_layer_norm_before\": false,"
      "\"esmfold_config\": null, \"hidden_act\": \"gelu\", \"hidden_dropout_prob\": 0.0, \"hidden_size\": 320, \"initializer_range\": 0.02,"
      "\"intermediate_size\": 1280, \"is_folding_model\": false, \"layer_norm_eps\": 1e-05, \"mask_token_id\": 32, \"max_position_embeddings\": 1026,"
      "\"model_type\": \"esm\", \"num_attention_heads\": 20, \"num_hidden_layers\": 6, \"pad_token_id\": 1, \"position_embedding_type\": \"rotary\","
      "\"token_dropout\": true, \"torch_dtype\": \"float32\", \"transformers_version\": \"4.25.0.dev0\", \"use_cache\": true, \"vocab_list\": null,"
      "\"vocab_size\": 33}";
  char text[512];
  json_t *document, *changes;
  snprintf(text, sizeof text, "{%s}", change);
  assert_ok(plm_json_parse(base, sizeof base - 1, 15, "base", &document));
  assert_ok(plm_json_parse(text, strlen(text), 15, "change", &changes));
  assert_int_equal(json_object_update(document, changes), 0);
  if (absent != NULL) json_object_del(document, absent);
  plm_status status = plm_model_config_read(document, "config.json", config);
  json_decref(changes);
  json_decref(document);
  return status;
}

static void published_configuration_is_read(void **state) {
  (void)state;
  plm_model_config c;
  assert_ok(read_changed("", NULL, &c));
  assert_int_equal(c.vocab_size, 33);
  assert_int_equal(c.hidden_size, 320);
  assert_int_equal(c.num_hidden_layers, 6);
  assert_int_equal(c.num_attention_heads, 20);
  assert_int_equal(c.head_width, 16);
  assert_int_equal(c.intermediate_size, 1280);
  assert_true(c.layer_norm_eps == 1e-5);
  assert_true(c.token_dropout);
  assert_true(c.inv_freq_is_fp16);
  assert_int_equal(c.mask_token_id, 32);
  assert_int_equal(c.pad_token_id, 1);
  assert_int_equal(c.max_position_embeddings, 1026);
}

static void both_spellings_and_absent_keys_are_understood(void **state) {
  (void)state;
  static const struct {
    const char *change, *absent;
  } accepted[] = {
      {"\"rope_theta\": 10000.0, \"dtype\": \"float32\"", "torch_dtype"},
      {"\"rope_parameters\": {\"rope_theta\": 10000, \"rope_type\": \"default\"}", NULL},
      {"\"rope_parameters\": null, \"rope_scaling\": null", NULL},
      {"\"emb_layer_norm_before\": null", NULL},
      {"", "model_type"},
      {"", "architectures"},
      {"", "mask_token_id"},
      {"\"mask_token_id\": null, \"pad_token_id\": null", NULL},
      {"\"intermediate_size\": 7", NULL},
      {"\"vocab_size\": 64", NULL},
      {"\"tie_word_embeddings\": true", NULL},
  };
  for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
    plm_model_config c;
    assert_ok(read_changed(accepted[i].change, accepted[i].absent, &c));
    assert_int_equal(c.mask_token_id, 32);
  }
}

static void class_defaults_apply_to_absent_keys(void **state) {
  (void)state;
  plm_model_config c;
  assert_ok(read_changed("", "layer_norm_eps", &c));
  assert_true(c.layer_norm_eps == 1e-12);
  assert_ok(read_changed("", "token_dropout", &c));
  assert_false(c.token_dropout);
  assert_ok(read_changed("\"hidden_dropout_prob\": 0.1", NULL, &c));
  assert_true(c.dropout == 0.1); /* for training to warn of; inference has none */
}

static void what_cannot_be_honoured_is_refused_by_name(void **state) {
  (void)state;
  static const struct {
    const char *change, *absent, *key, *value;
  } refused[] = {
      {"\"model_type\": \"bert\"", NULL, "model_type", "\"bert\""},
      {"\"architectures\": [\"BertForMaskedLM\"]", "model_type", "model_type", "BertForMaskedLM"},
      {"\"architectures\": []", "model_type", "model_type", "[]"},
      {"\"is_folding_model\": true", NULL, "is_folding_model", "true"},
      {"\"emb_layer_norm_before\": true", NULL, "emb_layer_norm_before", "true"},
      {"\"is_decoder\": true", NULL, "is_decoder", "true"},
      {"\"add_cross_attention\": true", NULL, "add_cross_attention", "true"},
      {"\"tie_word_embeddings\": false", NULL, "tie_word_embeddings", "false"},
      {"\"position_embedding_type\": \"absolute\"", NULL, "position_embedding_type", "\"absolute\""},
      {"", "position_embedding_type", "position_embedding_type", "absent"},
      {"\"position_embedding_type\": 3", NULL, "position_embedding_type", "3"},
      {"\"rope_theta\": 500000.0", NULL, "rope_theta", "500000"},
      {"\"rope_parameters\": {\"rope_theta\": 20000.0}", NULL, "rope_theta", "20000"},
      {"\"rope_parameters\": {\"rope_type\": \"yarn\"}", NULL, "rope_type", "\"yarn\""},
      {"\"rope_parameters\": [1]", NULL, "rope_parameters", "[1]"},
      {"\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.0}", NULL, "rope_type", "\"linear\""},
      {"\"rope_parameters\": {\"partial_rotary_factor\": 0.5}", NULL, "partial_rotary_factor", "0.5"},
      {"\"quantization_config\": {\"bits\": 4}", NULL, "quantization_config", "bits"},
      {"\"hidden_dropout_prob\": 1.0", NULL, "hidden_dropout_prob", "1.0"},
      {"\"attention_probs_dropout_prob\": -0.1", NULL, "attention_probs_dropout_prob", "-0.1"},
      {"\"layer_norm_eps\": 0.0", NULL, "layer_norm_eps", "0.0"},
      {"\"layer_norm_eps\": -1e-5", NULL, "layer_norm_eps", "-"},
      {"\"layer_norm_eps\": \"1e-5\"", NULL, "layer_norm_eps", "string"},
      {"\"initializer_range\": -1", NULL, "initializer_range", "-1"},
      {"\"hidden_size\": 330", NULL, "hidden_size", "330"},
      {"\"hidden_size\": 300", NULL, "15 wide", "even"},
      {"\"hidden_size\": -320", NULL, "hidden_size", "-320"},
      {"\"hidden_size\": 0", NULL, "hidden_size", "0"},
      {"\"hidden_size\": 320.0", NULL, "hidden_size", "integer"},
      {"\"hidden_size\": \"320\"", NULL, "hidden_size", "string"},
      {"\"hidden_size\": [320]", NULL, "hidden_size", "array"},
      {"\"hidden_size\": true", NULL, "hidden_size", "true"},
      {"\"hidden_size\": 9223372036854775807", NULL, "hidden_size", "9223372036854775807"},
      {"\"num_hidden_layers\": 1000000000", NULL, "num_hidden_layers", "1000000000"},
      {"\"intermediate_size\": 99999999999", NULL, "intermediate_size", "99999999999"},
      {"", "hidden_size", "hidden_size", "missing"},
      {"", "num_hidden_layers", "num_hidden_layers", "missing"},
      {"\"vocab_size\": 32", NULL, "vocab_size", "32"},
      {"\"mask_token_id\": 33", NULL, "mask_token_id", "33"},
      {"\"pad_token_id\": -1", NULL, "pad_token_id", "-1"},
      {"\"token_dropout\": 1", NULL, "token_dropout", "integer"},
      {"\"max_position_embeddings\": 0", NULL, "max_position_embeddings", "0"},
  };
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    plm_model_config c;
    assert_fails(read_changed(refused[i].change, refused[i].absent, &c), PLM_E_INPUT, refused[i].key);
    assert_non_null(strstr(plm_error_message(), refused[i].value));
    assert_non_null(strstr(plm_error_message(), "config.json"));
  }
}

static void hostile_documents_are_refused(void **state) {
  (void)state;
  static const char *const texts[] = {"[]",
                                      "{}",
                                      "3",
                                      "\"esm\"",
                                      "null",
                                      "[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]",
                                      "{\"model_type\": {\"a\": [1, {\"b\": 2}]}}"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    json_t *document = json_loads(texts[i], JSON_DECODE_ANY, NULL);
    plm_model_config c;
    assert_non_null(document);
    assert_fails(plm_model_config_read(document, "config.json", &c), PLM_E_INPUT, "config.json");
    json_decref(document);
  }
}

static void written_configuration_reads_back(void **state) {
  (void)state;
  plm_model_config written, read;
  json_t *first, *second;
  assert_ok(plm_model_config_preset("esm2_t30_150M", &written));
  written.layer_norm_eps = 1e-12;
  written.max_position_embeddings = 2050;
  assert_ok(plm_model_config_write(&written, &first));
  assert_ok(plm_model_config_read(first, "config.json", &read));
  assert_ok(plm_model_config_write(&read, &second));
  assert_true(json_equal(first, second));
  assert_int_equal(read.head_width, written.head_width);
  json_decref(second);
  json_decref(first);
}

static const plm_params_options all_train = {.dtype = PLM_BF16, .training = true};
static const plm_params_options all_decay = {.dtype = PLM_BF16, .training = true, .decay_all = true};

static void presets_have_the_published_sizes(void **state) {
  (void)state;
  static const int64_t trainable[] = {7512353, 33501153, 148139553, 651042593, 2839004193, 15129098273};
  static const int64_t with_contact_head[] = {7512474, 33501394, 148140154, 651043254, 2839005634, 15129100194};
  const plm_family *family = &plm_family_esm2;
  assert_int_equal(family->preset_count, 6);
  for (int i = 0; i < family->preset_count; i++) {
    plm_model_config c;
    plm_params *params;
    assert_true(plm_model_is_preset(family->presets[i].name));
    assert_ok(plm_model_config_preset(family->presets[i].name, &c));
    assert_ok(plm_params_create(&c, &all_train, &params));
    assert_int_equal(params->trainable, trainable[i]);
    assert_int_equal(params->parameters, with_contact_head[i]);
    plm_params_destroy(params);
  }
  plm_model_config c;
  assert_fails(plm_model_config_preset("esm2_t6_8m", &c), PLM_E_USAGE, "esm2_t6_8M");
  assert_fails(plm_model_config_preset("", &c), PLM_E_USAGE, "preset");
  assert_false(plm_model_is_preset("esm2_t6_8M_UR50D"));
}

static void sizes_from_options_are_checked_in_their_words(void **state) {
  (void)state;
  plm_model_config c;
  assert_ok(plm_model_config_preset("esm2_t6_8M", &c));
  c.hidden_size = 321;
  assert_fails(plm_model_config_check(&c), PLM_E_USAGE, "--hidden-size 321");
  c.hidden_size = 320;
  c.num_hidden_layers = 0;
  assert_fails(plm_model_config_check(&c), PLM_E_USAGE, "--num-hidden-layers");
}

/* Offsets: no overlap, groups without gaps, group starts aligned to 256 bytes. */
static void parameters_have_places_of_their_own(void **state) {
  (void)state;
  plm_model_config c;
  plm_params *params;
  assert_ok(plm_model_config_preset("esm2_t12_35M", &c));
  assert_ok(plm_params_create(&c, &all_train, &params));
  int64_t master_end = 0, half_end = 0, train_end = 0;
  for (int i = 0; i < params->count; i++) {
    const plm_param *p = &params->items[i];
    bool joined = i > 0 && p->group == p[-1].group;
    assert_true(joined ? p->offset == master_end : p->offset >= master_end && p->offset % 64 == 0);
    master_end = p->offset + p->count;
    if (p->half_offset >= 0) {
      assert_true(joined ? p->half_offset == half_end : p->half_offset >= half_end && p->half_offset % 128 == 0);
      half_end = p->half_offset + p->count;
    }
    if (p->train_offset >= 0) {
      assert_true(joined ? p->train_offset == train_end : p->train_offset >= train_end && p->train_offset % 64 == 0);
      train_end = p->train_offset + p->count;
    }
    assert_int_equal(p->half_offset >= 0, p->role == PLM_ROLE_MATRIX || p->role == PLM_ROLE_EMBEDDING);
    assert_int_equal(p->train_offset >= 0, p->role != PLM_ROLE_INV_FREQ && p->role != PLM_ROLE_CONTACT);
    assert_int_equal(p->decay, p->role == PLM_ROLE_MATRIX);
    assert_ptr_equal(plm_params_find(params, p->name), p);
  }
  assert_int_equal(master_end, params->full_size);
  assert_int_equal(half_end, params->half_size);
  assert_int_equal(train_end, params->train_size);
  assert_int_equal(params->bucket_count, 14);
  assert_null(plm_params_find(params, "esm.embeddings"));
  const plm_param *q = plm_params_find(params, "esm.encoder.layer.11.attention.self.query.weight");
  assert_int_equal(q->bucket, 12);
  assert_int_equal(q[0].group, q[2].group);
  assert_int_equal(q[3].group, q[5].group);
  assert_int_not_equal(q[2].group, q[3].group);
  assert_string_equal(q[2].name, "esm.encoder.layer.11.attention.self.value.weight");
  plm_params_destroy(params);

  assert_ok(plm_params_create(&c, &all_decay, &params));
  for (int i = 0; i < params->count; i++) assert_int_equal(params->items[i].decay, params->items[i].train_offset >= 0);
  plm_params_destroy(params);
}

static void published_frequencies_went_through_fp16(void **state) {
  (void)state;
  static const float expected[] = {1.0f,
                                   0.316162109375f,
                                   0.0999755859375f,
                                   0.0316162109375f,
                                   0.01000213623046875f,
                                   0.003162384033203125f,
                                   0.0010004043579101562f,
                                   0.0003161430358886719f};
  float got[8];
  plm_model_config c;
  assert_ok(plm_model_config_preset("esm2_t6_8M", &c));
  c.inv_freq_is_fp16 = true;
  plm_model_config_inv_freq(&c, got);
  assert_memory_equal(got, expected, sizeof got);
  c.inv_freq_is_fp16 = false;
  plm_model_config_inv_freq(&c, got);
  assert_true(fabsf(got[1] - 0.3162277660f) < 1e-8f);
}

/* anchors: FLOPs per token at 1,024; the last layer's rows save 12 % at 8M and 2 % at 150M. */
static void training_flops_match_the_published_formula(void **state) {
  (void)state;
  plm_model_config c;
  assert_ok(plm_model_config_preset("esm2_t6_8M", &c));
  assert_true(fabs(model_train_flops(&c, 1024, 1) / 6.85e7 - 1) < 0.005);
  double saved = 1 - model_train_flops(&c, 256, 0.15) / model_train_flops(&c, 256, 1);
  assert_true(saved > 0.10 && saved < 0.14);
  assert_ok(plm_model_config_preset("esm2_t48_15B", &c));
  assert_true(fabs(model_train_flops(&c, 1024, 1) / 9.38e10 - 1) < 0.005);
}

static void failed_allocations_leave_nothing_behind(void **state) {
  (void)state;
  plm_model_config c;
  assert_ok(plm_model_config_preset("esm2_t6_8M", &c));
  int64_t live = plm_alloc_live();
  for (int64_t n = 1;; n++) {
    plm_params *params;
    plm_alloc_fail_at(n);
    plm_status status = plm_params_create(&c, &all_train, &params);
    plm_alloc_fail_at(0);
    if (status == PLM_OK) {
      plm_params_destroy(params);
      assert_true(n > 1);
      break;
    }
    assert_int_equal(status, PLM_E_RESOURCE);
    assert_int_equal(plm_alloc_live(), live);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(published_configuration_is_read),
      cmocka_unit_test(both_spellings_and_absent_keys_are_understood),
      cmocka_unit_test(class_defaults_apply_to_absent_keys),
      cmocka_unit_test(what_cannot_be_honoured_is_refused_by_name),
      cmocka_unit_test(hostile_documents_are_refused),
      cmocka_unit_test(written_configuration_reads_back),
      cmocka_unit_test(presets_have_the_published_sizes),
      cmocka_unit_test(sizes_from_options_are_checked_in_their_words),
      cmocka_unit_test(parameters_have_places_of_their_own),
      cmocka_unit_test(published_frequencies_went_through_fp16),
      cmocka_unit_test(training_flops_match_the_published_formula),
      cmocka_unit_test(failed_allocations_leave_nothing_behind),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
