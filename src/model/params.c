/* params.c - builds the table of parameters: names, shapes, places. */
#include "model/params.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "model/family.h"

/* 256 bytes in elements of each block. */
enum { FULL_ALIGN = 64, HALF_ALIGN = 128, TRAIN_ALIGN = 64 /* and of a rank's piece of a bucket */ };

struct plm_params_builder {
  plm_params *params;
  size_t items_room, buckets_room;
  const plm_params_options *options;
  int32_t group; /* of the newest parameter */
};

/* ---- what a parameter is to this run ---- */

static bool is_read_in_full(plm_param_role role) { return role != PLM_ROLE_MATRIX; }
static bool is_read_by_products(plm_param_role role) { return role == PLM_ROLE_EMBEDDING || role == PLM_ROLE_MATRIX; }

static bool is_trained(const plm_params_options *options, const plm_param *p) {
  if (!options->training || p->role == PLM_ROLE_INV_FREQ || p->role == PLM_ROLE_CONTACT) return false;
  for (int i = options->pattern_count - 1; i >= 0; i--)
    if (fnmatch(options->patterns[i].pattern, p->name, 0) == 0) return options->patterns[i].trains;
  return true;
}

/* ---- places ---- */

/* `count` elements at the end of a block; behind its predecessor when `joined`, else aligned. */
static int64_t place(int64_t *size, int64_t count, bool joined, int64_t unit) {
  if (!joined) *size = (int64_t)plm_round_up((size_t)*size, (size_t)unit);
  int64_t at = *size;
  *size += count;
  return at;
}

static void place_param(plm_params_builder *b, plm_param *p, bool joined) {
  plm_params *params = b->params;
  const plm_param *before = joined ? p - 1 : NULL; /* of its group */
  const bool trained = is_trained(b->options, p);
  const bool half = b->options->dtype == PLM_BF16 && is_read_by_products(p->role);
  p->offset = p->half_offset = p->train_offset = -1;
  if ((trained && !params->sharded) || !half || is_read_in_full(p->role))
    p->offset = place(&params->full_size, p->count, joined && before->offset >= 0, FULL_ALIGN);
  if (half) p->half_offset = place(&params->half_size, p->count, joined, HALF_ALIGN);
  if (p->role != PLM_ROLE_INV_FREQ) params->parameters += p->count;
  if (!trained) return;
  plm_bucket *bucket = &params->buckets[p->bucket];
  p->train_offset = place(&params->train_size, p->count, joined && before->train_offset >= 0, TRAIN_ALIGN);
  if (bucket->count == 0) bucket->first = p->train_offset;
  bucket->count = params->train_size - bucket->first;
  params->trainable += p->count;
}

/* The newest bucket is complete: its end, where ranks share it. */
static void pad_bucket(plm_params *params) {
  if (params->bucket_count == 0 || params->ranks == 1) return;
  plm_bucket *bucket = &params->buckets[params->bucket_count - 1];
  bucket->count = (int64_t)plm_round_up((size_t)bucket->count, (size_t)TRAIN_ALIGN * (size_t)params->ranks);
  if (bucket->count > 0) params->train_size = bucket->first + bucket->count;
}

/* ---- the builder ---- */

static plm_status add(plm_params_builder *b, const char *prefix, const plm_param_row *row) {
  plm_params *params = b->params;
  PLM_TRY(PLM_GROW(&params->items, &b->items_room, params->count + 1));
  plm_param *p = &params->items[params->count++];
  int length = snprintf(p->name, sizeof p->name, "%s%s", prefix, row->name);
  PLM_ASSERT(length < (int)sizeof p->name);
  p->role = row->role;
  p->dims = row->columns > 0 ? 2 : 1;
  p->shape[0] = row->rows;
  p->shape[1] = row->columns > 0 ? row->columns : 1;
  p->count = row->rows * p->shape[1];
  p->group = row->joined ? b->group : ++b->group;
  p->bucket = params->bucket_count - 1;
  place_param(b, p, row->joined);
  p->decay = p->train_offset >= 0 && (b->options->decay_all || row->role == PLM_ROLE_MATRIX);
  return PLM_OK;
}

plm_status plm_params_add(plm_params_builder *builder, const char *prefix, const plm_param_row *rows, size_t count) {
  for (size_t i = 0; i < count; i++) PLM_TRY(add(builder, prefix, &rows[i]));
  return PLM_OK;
}

plm_status plm_params_next_bucket(plm_params_builder *builder) {
  plm_params *params = builder->params;
  pad_bucket(params);
  PLM_TRY(PLM_GROW(&params->buckets, &builder->buckets_room, params->bucket_count + 1));
  params->bucket_count++;
  return PLM_OK;
}

void plm_params_written_as(plm_params_builder *builder, const char *pattern, int64_t layers) {
  plm_param *p = &builder->params->items[builder->params->count - 1];
  p->written = pattern;
  p->written_count = layers;
}

/* ---- the table ---- */

static int compare_names(const void *a, const void *b) {
  return strcmp((*(const plm_param *const *)a)->name, (*(const plm_param *const *)b)->name);
}

static plm_status sort_by_name(plm_params *params) {
  PLM_TRY(PLM_NEW(&params->by_name, params->count));
  for (int i = 0; i < params->count; i++) params->by_name[i] = &params->items[i];
  qsort(params->by_name, (size_t)params->count, sizeof *params->by_name, compare_names);
  return PLM_OK;
}

plm_status plm_params_create(const plm_model_config *config, const plm_params_options *options,
                             plm_params **ret_params) {
  plm_params *params;
  plm_status status;
  PLM_TRY(plm_model_config_check(config));
  PLM_TRY(PLM_NEW(&params, 1));
  params->ranks = options->ranks > 1 ? options->ranks : 1;
  params->sharded = options->sharded && params->ranks > 1;
  plm_params_builder b = {.params = params, .options = options, .group = -1};
  PLM_TRY_GOTO(plm_params_next_bucket(&b), fail);
  PLM_TRY_GOTO(config->family->parameters(&b, config), fail);
  pad_bucket(params);
  PLM_TRY_GOTO(PLM_NEW(&params->bucket_sizes, params->bucket_count), fail);
  for (int i = 0; i < params->bucket_count; i++) params->bucket_sizes[i] = params->buckets[i].count;
  PLM_TRY_GOTO(sort_by_name(params), fail);
  *ret_params = params;
  return PLM_OK;
fail:
  plm_params_destroy(params);
  return status;
}

void plm_params_destroy(plm_params *params) {
  if (params == NULL) return;
  plm_free(params->by_name);
  plm_free(params->bucket_sizes);
  plm_free(params->buckets);
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
