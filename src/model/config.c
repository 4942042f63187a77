/* config.c - the families there are; config.json to plm_model_config and back by the family that claims it, presets,
 * sizes checked against each other. Contents: the registry of families, refusing, shared members, sizes, reading and
 * writing, presets, rotary frequencies.
 *
 * A default in a family's reading is what transformers' class would take, so a file means the same to both. Keys
 * without influence (use_cache, torch_dtype or dtype, ...) are not read: tensors carry their own type.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "model/family.h"

/* Wide enough for anything that can be trained; small enough that no product of sizes leaves 64 bits. */
enum { MAX_WIDTH = 1 << 20, MAX_LAYERS = 1000, MAX_INNER = 1 << 24 };

static const double ROPE_THETA = 10000.0;

/* ---- the registry of families ---- */

enum { MOST = 16 };
static const plm_family *families[MOST] = {&plm_family_esm2};
static int count = 1;

plm_status plm_family_register(const plm_family *family) {
  for (int i = 0; i < count; i++)
    if (strcmp(families[i]->name, family->name) == 0)
      return plm_fail(PLM_E_BUG, "there is a family '%s' already", family->name);
  if (plm_family_alphabet(family) == NULL)
    return plm_fail(PLM_E_BUG, "the family '%s' reads an alphabet '%s', which is not registered", family->name,
                    family->alphabet);
  if (count == MOST) return plm_fail(PLM_E_BUG, "there is no room for a family '%s'", family->name);
  families[count++] = family;
  return PLM_OK;
}

const plm_family *plm_family_at(int i) { return i < count ? families[i] : NULL; }

const plm_alphabet *plm_family_alphabet(const plm_family *family) { return plm_alphabet_find(family->alphabet); }

/* ---- refusing ---- */

plm_status plm_config_refuse(const char *what, const json_t *value, const char *key, const char *supported) {
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

plm_status plm_config_require_false(const json_t *object, const char *what, const char *key, const char *supported) {
  bool flag = false;
  PLM_TRY(plm_json_get_bool(object, what, key, false, &flag));
  return flag ? plm_config_refuse(what, json_object_get(object, key), key, supported) : PLM_OK;
}

/* ---- members that families share ---- */

plm_status plm_config_read_sizes(const json_t *object, const char *what, int64_t vocabulary, plm_model_config *config) {
  const struct {
    const char *key;
    int64_t min, max, *value;
  } sizes[] = {
      {"vocab_size", vocabulary, MAX_WIDTH, &config->vocab_size},
      {"hidden_size", 1, MAX_WIDTH, &config->hidden_size},
      {"num_hidden_layers", 1, MAX_LAYERS, &config->num_hidden_layers},
      {"num_attention_heads", 1, MAX_WIDTH, &config->num_attention_heads},
      {"intermediate_size", 1, MAX_INNER, &config->intermediate_size},
  };
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    PLM_TRY(plm_json_get_int(object, what, sizes[i].key, true, sizes[i].min, sizes[i].max, sizes[i].value));
  config->head_width = config->hidden_size / config->num_attention_heads;
  return plm_json_get_int(object, what, "max_position_embeddings", false, 1, INT32_MAX,
                          &config->max_position_embeddings);
}

plm_status plm_config_read_token(const json_t *object, const char *what, const char *key,
                                 const plm_model_config *config, int32_t *id) {
  int64_t value = *id;
  PLM_TRY(plm_json_get_int(object, what, key, false, 0, config->vocab_size - 1, &value));
  *id = (int32_t)value;
  return PLM_OK;
}

plm_status plm_config_read_numbers(const json_t *object, const char *what, plm_model_config *config) {
  PLM_TRY(plm_json_get_double(object, what, "layer_norm_eps", false, &config->layer_norm_eps));
  if (!(config->layer_norm_eps > 0 && config->layer_norm_eps < 1))
    return plm_config_refuse(what, json_object_get(object, "layer_norm_eps"), "layer_norm_eps",
                             "a number between 0 and 1");
  PLM_TRY(plm_json_get_double(object, what, "initializer_range", false, &config->initializer_range));
  if (!(config->initializer_range >= 0 && config->initializer_range <= 100))
    return plm_config_refuse(what, json_object_get(object, "initializer_range"), "initializer_range",
                             "a number from 0 to 100");
  static const char *const dropouts[] = {"hidden_dropout_prob", "attention_probs_dropout_prob"};
  for (size_t i = 0; i < 2; i++) {
    double p = 0;
    PLM_TRY(plm_json_get_double(object, what, dropouts[i], false, &p));
    if (!(p >= 0 && p < 1))
      return plm_config_refuse(what, json_object_get(object, dropouts[i]), dropouts[i], "0 or more and less than 1");
    if (p > config->dropout) config->dropout = p;
  }
  return PLM_OK;
}

static plm_status check_theta(const json_t *object, const char *what) {
  double theta = ROPE_THETA;
  PLM_TRY(plm_json_get_double(object, what, "rope_theta", false, &theta));
  return theta == ROPE_THETA ? PLM_OK
                             : plm_config_refuse(what, json_object_get(object, "rope_theta"), "rope_theta", "10000");
}

plm_status plm_config_check_rotary(const json_t *object, const char *what) {
  PLM_TRY(check_theta(object, what));
  static const char *const groups[] = {"rope_parameters", "rope_scaling"};
  for (size_t i = 0; i < 2; i++) {
    const json_t *group = json_object_get(object, groups[i]);
    if (!is_given(group)) continue;
    if (!json_is_object(group)) return plm_config_refuse(what, group, groups[i], "null or an object");
    PLM_TRY(check_theta(group, what));
    const json_t *kind = json_object_get(group, "rope_type");
    if (kind == NULL) kind = json_object_get(group, "type");
    const char *kind_name = json_string_value(kind);
    if (is_given(kind) && (kind_name == NULL || strcmp(kind_name, "default") != 0))
      return plm_config_refuse(what, kind, "rope_type", "\"default\"");
    double share = 1;
    PLM_TRY(plm_json_get_double(group, what, "partial_rotary_factor", false, &share));
    if (share != 1)
      return plm_config_refuse(what, json_object_get(group, "partial_rotary_factor"), "partial_rotary_factor", "1");
  }
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
  const long long C = config->hidden_size, H = config->num_attention_heads, D = config->head_width;
  const struct {
    const char *key;
    int64_t value, max;
  } sizes[] = {
      {"vocab_size", config->vocab_size, MAX_WIDTH},
      {"hidden_size", C, MAX_WIDTH},
      {"num_hidden_layers", config->num_hidden_layers, MAX_LAYERS},
      {"num_attention_heads", H, MAX_WIDTH},
      {"intermediate_size", config->intermediate_size, MAX_INNER},
  };
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    if (sizes[i].value < 1 || sizes[i].value > sizes[i].max)
      return plm_fail(s->code, "%s%s%s is %lld; it must be from 1 to %lld", what, colon, call(s, sizes[i].key, a),
                      (long long)sizes[i].value, (long long)sizes[i].max);
  if (C % H != 0)
    return plm_fail(s->code, "%s%s%s %lld cannot be divided by %s %lld", what, colon, call(s, "hidden_size", a), C,
                    call(s, "num_attention_heads", b), H);
  if (D != C / H || (config->family->rotary && D % 2 != 0))
    return plm_fail(s->code, "%s%s%s %lld over %s %lld makes heads %lld wide; rotary embedding needs an even width",
                    what, colon, call(s, "hidden_size", a), C, call(s, "num_attention_heads", b), H, C / H);
  return PLM_OK;
}

plm_status plm_model_config_check(const plm_model_config *config) {
  return check_sizes(config, &(speaker){PLM_E_USAGE, NULL});
}

/* ---- reading and writing ---- */

/* What the families would have claimed, one after the other. */
static void list_claims(bool has_type, char words[256]) {
  size_t used = 0;
  words[0] = '\0';
  for (int i = 0; plm_family_at(i) != NULL && used < 256; i++)
    used += (size_t)snprintf(words + used, 256 - used, "%s%s", i > 0 ? ", " : "",
                             has_type ? plm_family_at(i)->model_type : plm_family_at(i)->claim);
}

/* Which models of proteins, or of what else, have a model_type that none of our families claims. */
static plm_status hint_type(plm_status status, const char *type) {
  static const char *const others[][2] = {
      {"bert", "a BERT, as ProtBERT is"},
      {"t5", "a T5, as ProtT5 and Ankh are"},
      {"albert", "an ALBERT, as ProtAlbert is"},
      {"xlnet", "an XLNet, as ProtXLNet is"},
      {"electra", "an ELECTRA, as ProtElectra is"},
      {"gpt2", "a GPT-2, as ProtGPT2 is"},
      {"roberta", "a RoBERTa"},
  };
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (strcmp(type, others[i][0]) == 0)
      return plm_hint(status, "it is %s, which is not read here; a model that is read is facebook/esm2_t6_8M_UR50D",
                      others[i][1]);
  return plm_hint(status, "it is a model of another family; one that is read is facebook/esm2_t6_8M_UR50D");
}

static plm_status find_family(const json_t *document, const char *what, const plm_family **ret_family) {
  char claims[256];
  const char *type = NULL;
  PLM_TRY(plm_json_get_string(document, what, "model_type", false, &type));
  for (int i = 0; plm_family_at(i) != NULL; i++) {
    if (!plm_family_at(i)->claims(document)) continue;
    *ret_family = plm_family_at(i);
    return PLM_OK;
  }
  list_claims(type != NULL, claims);
  return type != NULL
             ? hint_type(plm_config_refuse(what, json_object_get(document, "model_type"), "model_type", claims), type)
             : plm_config_refuse(what, json_object_get(document, "architectures"),
                                 "model_type is absent and architectures", claims);
}

plm_status plm_model_config_read(const json_t *document, const char *what, plm_model_config *ret_config) {
  if (!json_is_object(document))
    return plm_fail(PLM_E_INPUT, "%s: not a JSON object, so not a model's configuration", what);
  plm_model_config config = {0};
  PLM_TRY(find_family(document, what, &config.family));
  config.alphabet = plm_family_alphabet(config.family);
  PLM_TRY(config.family->read_config(document, what, &config));
  PLM_TRY(check_sizes(&config, &(speaker){PLM_E_INPUT, what}));
  *ret_config = config;
  return PLM_OK;
}

plm_status plm_model_config_write(const plm_model_config *config, json_t **ret_document) {
  return config->family->write_config(config, ret_document);
}

/* ---- presets ---- */

enum { MOST_PRESETS = 64 };

/* All presets' names; the family and the row of the one that is called `name`, where it is given and there. */
static size_t list_presets(const char *name, const char *names[MOST_PRESETS], const plm_family **ret_family,
                           const plm_preset **ret_preset) {
  size_t n = 0;
  for (int i = 0; plm_family_at(i) != NULL; i++) {
    const plm_family *family = plm_family_at(i);
    for (int j = 0; j < family->preset_count && n < MOST_PRESETS; j++) {
      names[n++] = family->presets[j].name;
      if (name == NULL || strcmp(family->presets[j].name, name) != 0) continue;
      *ret_family = family;
      *ret_preset = &family->presets[j];
    }
  }
  return n;
}

bool plm_model_is_preset(const char *name) {
  const char *names[MOST_PRESETS];
  const plm_family *family;
  const plm_preset *found = NULL;
  list_presets(name, names, &family, &found);
  return found != NULL;
}

const char *plm_model_nearest_preset(const char *name) {
  const char *names[MOST_PRESETS];
  return plm_nearest_name(name, names, list_presets(NULL, names, NULL, NULL));
}

plm_status plm_model_config_preset(const char *name, plm_model_config *ret_config) {
  const char *names[MOST_PRESETS];
  const plm_family *family = NULL;
  const plm_preset *found = NULL;
  size_t n = list_presets(name, names, &family, &found);
  if (found == NULL) {
    plm_status status = plm_fail(PLM_E_USAGE, "there is no model preset '%s'", name);
    const char *nearest = plm_nearest_name(name, names, n);
    return nearest != NULL ? plm_hint(status, "did you mean '%s'?", nearest)
                           : plm_hint(status, "presets run from %s to %s", names[0], names[n - 1]);
  }
  *ret_config = (plm_model_config){
      .family = family,
      .alphabet = plm_family_alphabet(family),
      .hidden_size = found->width,
      .num_hidden_layers = found->layers,
      .num_attention_heads = found->heads,
      .head_width = found->width / found->heads,
      .intermediate_size = family->intermediate_size(found->width),
  };
  family->preset(ret_config);
  return PLM_OK;
}

/* ---- rotary frequencies ---- */

/* The nearest number that fp16 has, ties to even; |value| within fp16's range. */
static double round_through_fp16(double value) {
  int exponent;
  frexp(value, &exponent);
  double unit = ldexp(1.0, exponent - 11 > -24 ? exponent - 11 : -24); /* 11 significant bits; least subnormal 2^-24 */
  return nearbyint(value / unit) * unit;
}

void plm_model_config_inv_freq(const plm_model_config *config, float *ret_values) {
  for (int64_t j = 0; j < config->head_width / 2; j++) {
    double nominal = pow(ROPE_THETA, -2.0 * (double)j / (double)config->head_width);
    ret_values[j] = (float)(config->inv_freq_is_fp16 ? round_through_fp16(nominal) : nominal);
  }
}
