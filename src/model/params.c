/* params.c - builds the table of parameters: names, shapes, places. */
#include "model/params.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* 256 bytes in elements of each block. */
enum { MASTER_ALIGN = 64, HALF_ALIGN = 128, TRAIN_ALIGN = 64, PER_LAYER = 16, OUTSIDE_LAYERS = 11 };

static int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

typedef struct builder {
  plm_params *params;
  bool decay_all;
  int32_t group;  /* of the newest parameter */
  int32_t bucket; /* where new ones go */
} builder;

static bool is_trained(plm_param_role role) { return role != PLM_ROLE_INV_FREQ && role != PLM_ROLE_CONTACT; }
static bool has_half_copy(plm_param_role role) { return role == PLM_ROLE_EMBEDDING || role == PLM_ROLE_MATRIX; }

/* Append one parameter; columns 0: one-dimensional. `joined`: it follows the one before without a gap, in every block. */
static void add(builder *b, const char *name, plm_param_role role, int64_t rows, int64_t columns, bool joined) {
  plm_params *params = b->params;
  plm_param *p = &params->items[params->count++];
  snprintf(p->name, sizeof p->name, "%s", name);
  p->role = role;
  p->dims = columns > 0 ? 2 : 1;
  p->shape[0] = rows;
  p->shape[1] = columns > 0 ? columns : 1;
  p->count = rows * p->shape[1];
  p->group = joined ? b->group : ++b->group;
  p->bucket = b->bucket;
  p->decay = is_trained(role) && (b->decay_all || role == PLM_ROLE_MATRIX);

  if (!joined) params->master_size = round_up(params->master_size, MASTER_ALIGN);
  p->offset = params->master_size;
  params->master_size += p->count;
  p->half_offset = -1;
  if (has_half_copy(role)) {
    if (!joined) params->half_size = round_up(params->half_size, HALF_ALIGN);
    p->half_offset = params->half_size;
    params->half_size += p->count;
  }
  p->train_offset = -1;
  if (is_trained(role)) {
    if (!joined) params->train_size = round_up(params->train_size, TRAIN_ALIGN);
    p->train_offset = params->train_size;
    params->train_size += p->count;
    params->trainable += p->count;
  }
  if (role != PLM_ROLE_INV_FREQ) params->parameters += p->count;
}

static void add_layer(builder *b, const plm_model_config *config, int64_t layer) {
  const int64_t C = config->hidden_size, F = config->intermediate_size, HD = config->num_attention_heads * config->head_width;
  const struct {
    const char *name;
    plm_param_role role;
    int64_t rows, columns;
    bool joined;
  } table[PER_LAYER] = {
      {"attention.LayerNorm.weight", PLM_ROLE_NORM_WEIGHT, C, 0, false},
      {"attention.LayerNorm.bias", PLM_ROLE_NORM_BIAS, C, 0, false},
      {"attention.self.query.weight", PLM_ROLE_MATRIX, HD, C, false},
      {"attention.self.key.weight", PLM_ROLE_MATRIX, HD, C, true},
      {"attention.self.value.weight", PLM_ROLE_MATRIX, HD, C, true},
      {"attention.self.query.bias", PLM_ROLE_BIAS, HD, 0, false},
      {"attention.self.key.bias", PLM_ROLE_BIAS, HD, 0, true},
      {"attention.self.value.bias", PLM_ROLE_BIAS, HD, 0, true},
      {"attention.output.dense.weight", PLM_ROLE_MATRIX, C, HD, false},
      {"attention.output.dense.bias", PLM_ROLE_BIAS, C, 0, false},
      {"LayerNorm.weight", PLM_ROLE_NORM_WEIGHT, C, 0, false},
      {"LayerNorm.bias", PLM_ROLE_NORM_BIAS, C, 0, false},
      {"intermediate.dense.weight", PLM_ROLE_MATRIX, F, C, false},
      {"intermediate.dense.bias", PLM_ROLE_BIAS, F, 0, false},
      {"output.dense.weight", PLM_ROLE_MATRIX, C, F, false},
      {"output.dense.bias", PLM_ROLE_BIAS, C, 0, false},
  };
  for (int i = 0; i < PER_LAYER; i++) {
    char name[96];
    snprintf(name, sizeof name, "esm.encoder.layer.%d.%s", (int)layer, table[i].name);
    add(b, name, table[i].role, table[i].rows, table[i].columns, table[i].joined);
  }
}

plm_status plm_params_create(const plm_model_config *config, bool decay_all, plm_params **ret_params) {
  PLM_TRY(plm_model_config_check(config));
  plm_params *params = NULL;
  PLM_TRY(PLM_NEW(&params, 1));
  plm_status status = PLM_NEW(&params->items, PER_LAYER * config->num_hidden_layers + OUTSIDE_LAYERS);
  if (status != PLM_OK) {
    plm_params_destroy(params);
    return status;
  }
  const int64_t C = config->hidden_size, L = config->num_hidden_layers;
  builder b = {.params = params, .decay_all = decay_all, .group = -1};
  add(&b, "esm.embeddings.word_embeddings.weight", PLM_ROLE_EMBEDDING, config->vocab_size, C, false);
  for (int64_t i = 0; i < L; i++) {
    b.bucket = (int32_t)i + 1;
    add_layer(&b, config, i);
  }
  b.bucket = (int32_t)L + 1;
  add(&b, "esm.encoder.emb_layer_norm_after.weight", PLM_ROLE_NORM_WEIGHT, C, 0, false);
  add(&b, "esm.encoder.emb_layer_norm_after.bias", PLM_ROLE_NORM_BIAS, C, 0, false);
  add(&b, "lm_head.dense.weight", PLM_ROLE_MATRIX, C, C, false);
  add(&b, "lm_head.dense.bias", PLM_ROLE_BIAS, C, 0, false);
  add(&b, "lm_head.layer_norm.weight", PLM_ROLE_NORM_WEIGHT, C, 0, false);
  add(&b, "lm_head.layer_norm.bias", PLM_ROLE_NORM_BIAS, C, 0, false);
  add(&b, "lm_head.bias", PLM_ROLE_BIAS, config->vocab_size, 0, false);
  add(&b, "esm.rotary_embeddings.inv_freq", PLM_ROLE_INV_FREQ, config->head_width / 2, 0, false);
  add(&b, "esm.contact_head.regression.weight", PLM_ROLE_CONTACT, 1, L * config->num_attention_heads, false);
  add(&b, "esm.contact_head.regression.bias", PLM_ROLE_CONTACT, 1, 0, false);
  params->buckets = (int)L + 2;
  *ret_params = params;
  return PLM_OK;
}

void plm_params_destroy(plm_params *params) {
  if (params == NULL) return;
  plm_free(params->items);
  plm_free(params);
}

/* A layer's parameters stand together, so that models of any depth are searched in no time. */
static void narrow_to_layer(const char *name, int *first, int *end) {
  static const char prefix[] = "esm.encoder.layer.";
  if (strncmp(name, prefix, sizeof prefix - 1) != 0) return;
  long layer = strtol(name + sizeof prefix - 1, NULL, 10);
  if (layer < 0 || layer > (*end - OUTSIDE_LAYERS) / PER_LAYER) return;
  *first = 1 + (int)layer * PER_LAYER;
  if (*first + PER_LAYER < *end) *end = *first + PER_LAYER;
}

const plm_param *plm_params_find(const plm_params *params, const char *name) {
  int first = 0, end = params->count;
  narrow_to_layer(name, &first, &end);
  for (int i = first; i < end; i++)
    if (strcmp(params->items[i].name, name) == 0) return &params->items[i];
  return NULL;
}
