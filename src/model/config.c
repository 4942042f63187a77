/* config.c - config.json to plm_model_config and back; sizes checked against each other; FLOPs of a token.
 *
 * The keys, their class defaults when absent, and what is refused: model_spec 3.1. A default here is what transformers'
 * EsmConfig would take, so a file means the same to both. Keys without influence on an ESM-2 (hidden_act, use_cache,
 * torch_dtype or dtype, ...) are not read: ESM code always uses the exact GELU, and tensors carry their own type.
 */
#include "model/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Wide enough for anything that can be trained; small enough that no product of sizes leaves 64 bits. */
enum { MAX_WIDTH = 1 << 20, MAX_LAYERS = 1000, MAX_INNER = 1 << 24 };

static const double ROPE_THETA = 10000.0;

/* ---- refusing ---- */

/* "config.json: position_embedding_type is "absolute"; supported: "rotary" (ESM-2)" */
static plm_status refuse(const char *what, const json_t *value, const char *key, const char *supported) {
  char text[80];
  if (value == NULL) {
    snprintf(text, sizeof text, "absent");
  } else {
    size_t length = json_dumpb(value, text, sizeof text - 1, JSON_ENCODE_ANY | JSON_COMPACT);
    if (length >= sizeof text) length = sizeof text - 1;
    text[length] = '\0';
  }
  return plm_fail(PLM_E_INPUT, "%s: %s is %s; supported: %s", what, key, text, supported);
}

static bool is_given(const json_t *value) { return value != NULL && !json_is_null(value); }

/* A flag that must be false (absent and null mean false). */
static plm_status require_false(const json_t *object, const char *what, const char *key, const char *supported) {
  bool flag = false;
  PLM_TRY(plm_json_get_bool(object, what, key, false, &flag));
  return flag ? refuse(what, json_object_get(object, key), key, supported) : PLM_OK;
}

/* ---- parts of the document ---- */

static plm_status read_family(const json_t *object, const char *what) {
  const char *type = NULL;
  PLM_TRY(plm_json_get_string(object, what, "model_type", false, &type));
  if (type != NULL)
    return strcmp(type, "esm") == 0
               ? PLM_OK
               : refuse(what, json_object_get(object, "model_type"), "model_type", "\"esm\" (ESM-2)");
  const json_t *architectures = json_object_get(object, "architectures");
  const char *first = json_string_value(json_array_get(architectures, 0));
  if (first == NULL || strncmp(first, "Esm", 3) != 0)
    return refuse(what, architectures, "model_type is absent and architectures",
                  "\"model_type\": \"esm\" or an architecture Esm...");
  return PLM_OK;
}

static plm_status read_sizes(const json_t *object, const char *what, plm_model_config *config) {
  const struct {
    const char *key;
    int64_t min, max, *value;
  } sizes[] = {
      {"vocab_size", 33, MAX_WIDTH, &config->vocab_size},
      {"hidden_size", 1, MAX_WIDTH, &config->hidden_size},
      {"num_hidden_layers", 1, MAX_LAYERS, &config->num_hidden_layers},
      {"num_attention_heads", 1, MAX_WIDTH, &config->num_attention_heads},
      {"intermediate_size", 1, MAX_INNER, &config->intermediate_size},
  };
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    PLM_TRY(plm_json_get_int(object, what, sizes[i].key, true, sizes[i].min, sizes[i].max, sizes[i].value));
  config->max_position_embeddings = 1026;
  return plm_json_get_int(object, what, "max_position_embeddings", false, 1, INT32_MAX,
                          &config->max_position_embeddings);
}

static plm_status read_token_ids(const json_t *object, const char *what, plm_model_config *config) {
  int64_t mask = 32, pad = 1;
  PLM_TRY(plm_json_get_int(object, what, "mask_token_id", false, 0, config->vocab_size - 1, &mask));
  PLM_TRY(plm_json_get_int(object, what, "pad_token_id", false, 0, config->vocab_size - 1, &pad));
  config->mask_token_id = (int32_t)mask;
  config->pad_token_id = (int32_t)pad;
  config->token_dropout = false;
  return plm_json_get_bool(object, what, "token_dropout", false, &config->token_dropout);
}

static plm_status read_numbers(const json_t *object, const char *what, plm_model_config *config) {
  config->layer_norm_eps = 1e-12; /* the class default; published files say 1e-05 */
  PLM_TRY(plm_json_get_double(object, what, "layer_norm_eps", false, &config->layer_norm_eps));
  if (!(config->layer_norm_eps > 0 && config->layer_norm_eps < 1))
    return refuse(what, json_object_get(object, "layer_norm_eps"), "layer_norm_eps", "a number between 0 and 1");
  config->initializer_range = 0.02;
  PLM_TRY(plm_json_get_double(object, what, "initializer_range", false, &config->initializer_range));
  if (!(config->initializer_range >= 0 && config->initializer_range <= 100))
    return refuse(what, json_object_get(object, "initializer_range"), "initializer_range", "a number from 0 to 100");
  config->dropout = 0;
  static const char *const dropouts[] = {"hidden_dropout_prob", "attention_probs_dropout_prob"};
  for (size_t i = 0; i < 2; i++) {
    double p = 0;
    PLM_TRY(plm_json_get_double(object, what, dropouts[i], false, &p));
    if (!(p >= 0 && p < 1))
      return refuse(what, json_object_get(object, dropouts[i]), dropouts[i], "0 or more and less than 1");
    if (p > config->dropout) config->dropout = p;
  }
  return PLM_OK;
}

static plm_status check_theta(const json_t *object, const char *what) {
  double theta = ROPE_THETA;
  PLM_TRY(plm_json_get_double(object, what, "rope_theta", false, &theta));
  return theta == ROPE_THETA ? PLM_OK : refuse(what, json_object_get(object, "rope_theta"), "rope_theta", "10000");
}

/* transformers 4 has rope_theta and rope_scaling, 5 has rope_parameters {rope_theta, rope_type, ...}. */
static plm_status read_rotary(const json_t *object, const char *what) {
  const json_t *type = json_object_get(object, "position_embedding_type");
  const char *name = json_string_value(type);
  if (name == NULL || strcmp(name, "rotary") != 0)
    return refuse(what, type, "position_embedding_type",
                  "\"rotary\" (ESM-2); absolute positions are ESM-1b's and ESM-1v's");
  PLM_TRY(check_theta(object, what));
  static const char *const groups[] = {"rope_parameters", "rope_scaling"};
  for (size_t i = 0; i < 2; i++) {
    const json_t *group = json_object_get(object, groups[i]);
    if (!is_given(group)) continue;
    if (!json_is_object(group)) return refuse(what, group, groups[i], "null or an object");
    PLM_TRY(check_theta(group, what));
    const json_t *kind = json_object_get(group, "rope_type");
    if (kind == NULL) kind = json_object_get(group, "type");
    const char *kind_name = json_string_value(kind);
    if (is_given(kind) && (kind_name == NULL || strcmp(kind_name, "default") != 0))
      return refuse(what, kind, "rope_type", "\"default\"");
    double share = 1;
    PLM_TRY(plm_json_get_double(group, what, "partial_rotary_factor", false, &share));
    if (share != 1) return refuse(what, json_object_get(group, "partial_rotary_factor"), "partial_rotary_factor", "1");
  }
  return PLM_OK;
}

/* Everything that would make it another model than an ESM-2 for masked-language modelling. */
static plm_status refuse_others(const json_t *object, const char *what) {
  static const char *const flags[][2] = {
      {"is_folding_model", "false (ESMFold cannot be trained here)"},
      {"emb_layer_norm_before", "false (true is ESM-1b's)"},
      {"is_decoder", "false"},
      {"add_cross_attention", "false"},
  };
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
    PLM_TRY(require_false(object, what, flags[i][0], flags[i][1]));
  bool tied = true;
  PLM_TRY(plm_json_get_bool(object, what, "tie_word_embeddings", false, &tied));
  if (!tied) return refuse(what, json_object_get(object, "tie_word_embeddings"), "tie_word_embeddings", "true");
  const json_t *quantized = json_object_get(object, "quantization_config");
  if (is_given(quantized))
    return refuse(what, quantized, "quantization_config", "weights in float32, float16 or bfloat16");
  return PLM_OK;
}

/* ---- sizes against each other ---- */

typedef struct speaker {
  plm_status code;
  const char *what; /* file, or NULL: the command line's options */
} speaker;

/* hidden_size as it is called where it came from: "hidden_size" or "--hidden-size". */
static const char *call(const speaker *s, const char *key, char name[40]) {
  snprintf(name, 40, "%s%s", s->what == NULL ? "--" : "", key);
  for (char *c = name; s->what == NULL && *c != '\0'; c++)
    if (*c == '_') *c = '-';
  return name;
}

static plm_status check_sizes(const plm_model_config *config, const speaker *s) {
  char a[40], b[40];
  const char *what = s->what == NULL ? "" : s->what, *colon = s->what == NULL ? "" : ": ";
  const struct {
    const char *key;
    int64_t value, min, max;
  } sizes[] = {
      {"vocab_size", config->vocab_size, 1, MAX_WIDTH},
      {"hidden_size", config->hidden_size, 1, MAX_WIDTH},
      {"num_hidden_layers", config->num_hidden_layers, 1, MAX_LAYERS},
      {"num_attention_heads", config->num_attention_heads, 1, MAX_WIDTH},
      {"intermediate_size", config->intermediate_size, 1, MAX_INNER},
  };
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    if (sizes[i].value < sizes[i].min || sizes[i].value > sizes[i].max)
      return plm_fail(s->code, "%s%s%s is %lld; it must be from %lld to %lld", what, colon, call(s, sizes[i].key, a),
                      (long long)sizes[i].value, (long long)sizes[i].min, (long long)sizes[i].max);
  if (config->hidden_size % config->num_attention_heads != 0)
    return plm_fail(s->code, "%s%s%s %lld cannot be divided by %s %lld", what, colon, call(s, "hidden_size", a),
                    (long long)config->hidden_size, call(s, "num_attention_heads", b),
                    (long long)config->num_attention_heads);
  if (config->head_width != config->hidden_size / config->num_attention_heads || config->head_width % 2 != 0)
    return plm_fail(s->code, "%s%s%s %lld over %s %lld makes heads %lld wide; rotary embedding needs an even width",
                    what, colon, call(s, "hidden_size", a), (long long)config->hidden_size,
                    call(s, "num_attention_heads", b), (long long)config->num_attention_heads,
                    (long long)(config->hidden_size / config->num_attention_heads));
  return PLM_OK;
}

plm_status plm_model_config_check(const plm_model_config *config) {
  return check_sizes(config, &(speaker){PLM_E_USAGE, NULL});
}

/* ---- reading and writing ---- */

plm_status plm_model_config_read(const json_t *document, const char *what, plm_model_config *ret_config) {
  if (!json_is_object(document))
    return plm_fail(PLM_E_INPUT, "%s: not a JSON object, so not a model's configuration", what);
  plm_model_config config = {.family = PLM_FAMILY_ESM2, .inv_freq_is_fp16 = true};
  PLM_TRY(read_family(document, what));
  PLM_TRY(refuse_others(document, what));
  PLM_TRY(read_sizes(document, what, &config));
  PLM_TRY(read_token_ids(document, what, &config));
  PLM_TRY(read_numbers(document, what, &config));
  PLM_TRY(read_rotary(document, what));
  config.head_width = config.hidden_size / config.num_attention_heads;
  PLM_TRY(check_sizes(&config, &(speaker){PLM_E_INPUT, what}));
  *ret_config = config;
  return PLM_OK;
}

plm_status plm_model_config_write(const plm_model_config *config, json_t **ret_document) {
  json_t *document = json_pack(
      "{s:[s], s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:s, s:b, s:b, s:i, s:i, s:I, s:f, s:f, s:s, s:f, s:b, s:n, s:n, s:b, s:b, s:s}",
      "architectures", "EsmForMaskedLM", "model_type", "esm", "vocab_size", (json_int_t)config->vocab_size,
      "hidden_size", (json_int_t)config->hidden_size, "num_hidden_layers", (json_int_t)config->num_hidden_layers,
      "num_attention_heads", (json_int_t)config->num_attention_heads, "intermediate_size",
      (json_int_t)config->intermediate_size, "layer_norm_eps", config->layer_norm_eps, "position_embedding_type",
      "rotary", "token_dropout", config->token_dropout, "emb_layer_norm_before", 0, "mask_token_id",
      (int)config->mask_token_id, "pad_token_id", (int)config->pad_token_id, "max_position_embeddings",
      (json_int_t)config->max_position_embeddings, "attention_probs_dropout_prob", 0.0, "hidden_dropout_prob", 0.0,
      "hidden_act", "gelu", "initializer_range", config->initializer_range, "is_folding_model", 0, "esmfold_config",
      "vocab_list", "use_cache", 1, "tie_word_embeddings", 1, "torch_dtype", "float32");
  if (document == NULL) return plm_fail(PLM_E_RESOURCE, "out of memory writing a model's configuration");
  *ret_document = document;
  return PLM_OK;
}

/* ---- rotary frequencies ---- */

/* The nearest number that fp16 has, ties to even; |value| within fp16's range. */
static double round_through_fp16(double value) {
  int exponent;
  frexp(value, &exponent);
  double unit =
      ldexp(1.0, exponent - 11 > -24 ? exponent - 11 : -24); /* 11 significant bits; smallest subnormal 2^-24 */
  return nearbyint(value / unit) * unit;
}

void plm_model_config_inv_freq(const plm_model_config *config, float *ret_values) {
  for (int64_t j = 0; j < config->head_width / 2; j++) {
    double nominal = pow(ROPE_THETA, -2.0 * (double)j / (double)config->head_width);
    ret_values[j] = (float)(config->inv_freq_is_fp16 ? round_through_fp16(nominal) : nominal);
  }
}

/* ---- FLOPs ---- */

double plm_model_train_flops(const plm_model_config *config, double t_mean, double rows) {
  double C = (double)config->hidden_size, F = (double)config->intermediate_size, V = (double)config->vocab_size;
  double L = (double)config->num_hidden_layers;
  double layer = 4 * C * C + 2 * C * F;
  double last = 2 * C * C + rows * (2 * C * C + 2 * C * F); /* k and v everywhere; q, output and FFN at the rows read */
  double head = rows * (C * C + V * C);
  return 6 * ((L - 1) * layer + last + head) +
         12 * C * t_mean * (L - 1 + rows); /* forward 2, backward 4 per multiply-add */
}
