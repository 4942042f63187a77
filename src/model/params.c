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

/* Append one parameter; columns 0: one-dimensional. `joined`: it follows the one before without a gap, in every block.
 * */
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
  const int64_t C = config->hidden_size, F = config->intermediate_size,
                HD = config->num_attention_heads * config->head_width;
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

static void add_all(plm_params *params, const plm_model_config *config, bool decay_all) {
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
}

static int compare_names(const void *a, const void *b) {
  return strcmp((*(const plm_param *const *)a)->name, (*(const plm_param *const *)b)->name);
}

static void sort_by_name(plm_params *params) {
  for (int i = 0; i < params->count; i++) params->by_name[i] = &params->items[i];
  qsort(params->by_name, (size_t)params->count, sizeof *params->by_name, compare_names);
}

plm_status plm_params_create(const plm_model_config *config, bool decay_all, plm_params **ret_params) {
  PLM_TRY(plm_model_config_check(config));
  plm_params *params;
  plm_status status;
  int64_t count = PER_LAYER * config->num_hidden_layers + OUTSIDE_LAYERS;
  PLM_TRY(PLM_NEW(&params, 1));
  PLM_TRY_GOTO(PLM_NEW(&params->items, count), fail);
  PLM_TRY_GOTO(PLM_NEW(&params->by_name, count), fail);
  add_all(params, config, decay_all);
  sort_by_name(params);
  *ret_params = params;
  return PLM_OK;
fail:
  plm_params_destroy(params);
  return status;
}

void plm_params_destroy(plm_params *params) {
  if (params == NULL) return;
  plm_free(params->by_name);
  plm_free(params->items);
  plm_free(params);
}

static int compare_with_name(const void *name, const void *param) {
  return strcmp(name, (*(const plm_param *const *)param)->name);
}

const plm_param *plm_params_find(const plm_params *params, const char *name) {
  const plm_param *const *found =
      bsearch(name, params->by_name, (size_t)params->count, sizeof *params->by_name, compare_with_name);
  return found != NULL ? *found : NULL;
}
