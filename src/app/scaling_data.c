/* scaling_data.c - see scaling_data.h. Contents: buckets, lengths. */
#include "app/scaling_data.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "data/sampler.h"

/* ---- buckets ---- */

plm_status plm_scaling_job_of(const plm_model_config *config, plm_scaling_job *ret_job) {
  plm_params *params;
  PLM_TRY(plm_params_create(config, &(plm_params_options){.dtype = PLM_F32, .training = true}, &params));
  PLM_ASSERT(params->bucket_count <= PLM_SCALING_BUCKETS);
  *ret_job = (plm_scaling_job){.buckets = params->bucket_count, .wire_bytes = 4, .micro_batches = 1};
  for (int b = 0; b < params->bucket_count; b++) ret_job->elements[b] = params->buckets[b].count;
  plm_params_destroy(params);
  return PLM_OK;
}

/* ---- lengths ---- */

typedef struct division {
  int64_t *lengths;
  int32_t *rank, *micro; /* [count] */
  size_t lengths_room, rank_room, micro_room;
  double *cost, *tokens; /* [ranks] */
} division;

static void division_free(division *d) {
  plm_free(d->lengths);
  plm_free(d->rank);
  plm_free(d->micro);
  plm_free(d->cost);
  plm_free(d->tokens);
}

/* The most of one rank above the mean, as a share. */
static double excess(const double *load, int ranks) {
  double most = 0, sum = 0;
  for (int r = 0; r < ranks; r++) {
    most = fmax(most, load[r]);
    sum += load[r];
  }
  return most * ranks / sum - 1;
}

static plm_status divide(const plm_view *view, const plm_scaling_lengths *l, int ranks, const int64_t *ids,
                         int64_t count, division *d) {
  int64_t micro_batches;
  PLM_TRY(PLM_GROW(&d->lengths, &d->lengths_room, count));
  PLM_TRY(PLM_GROW(&d->rank, &d->rank_room, count));
  PLM_TRY(PLM_GROW(&d->micro, &d->micro_room, count));
  for (int64_t i = 0; i < count; i++)
    d->lengths[i] = plm_token_length(view->dataset, l->alphabet, ids[i], l->max_length);
  PLM_TRY(plm_shard(d->lengths, count, ranks, INT32_MAX, l->quadratic_cost, d->rank, d->micro, &micro_batches));
  memset(d->cost, 0, (size_t)ranks * sizeof *d->cost);
  memset(d->tokens, 0, (size_t)ranks * sizeof *d->tokens);
  for (int64_t i = 0; i < count; i++) {
    const double n = (double)d->lengths[i];
    d->cost[d->rank[i]] += n + l->quadratic_cost * n * n;
    d->tokens[d->rank[i]] += n;
  }
  return PLM_OK;
}

static plm_status find_worst(const plm_view *view, const plm_scaling_lengths *l, int ranks, plm_sampler *sampler,
                             division *d, plm_scaling_imbalance *worst) {
  PLM_TRY(PLM_NEW(&d->cost, ranks));
  PLM_TRY(PLM_NEW(&d->tokens, ranks));
  for (int64_t step = 0; step < l->batches; step++) {
    const int64_t *ids;
    int64_t epoch, count;
    PLM_TRY(plm_sampler_batch(sampler, step, &epoch, &ids, &count));
    PLM_TRY(divide(view, l, ranks, ids, count, d));
    const double cost = excess(d->cost, ranks);
    worst->cost = fmax(worst->cost, cost);
    worst->tokens = fmax(worst->tokens, excess(d->tokens, ranks));
    worst->mean_cost += cost / (double)l->batches;
  }
  return PLM_OK;
}

plm_status plm_scaling_imbalance_find(const plm_view *view, const plm_scaling_lengths *lengths, int ranks,
                                      plm_scaling_imbalance *ret_imbalance) {
  const plm_sampler_options options = {
      .seed = 42,
      .batch_tokens = lengths->tokens_per_rank * ranks,
      .max_length = lengths->max_length,
      .alphabet = lengths->alphabet,
  };
  plm_sampler *sampler;
  division d = {.lengths = NULL};
  *ret_imbalance = (plm_scaling_imbalance){0};
  PLM_TRY(plm_sampler_create(view, &options, &sampler));
  plm_status status = find_worst(view, lengths, ranks, sampler, &d, ret_imbalance);
  division_free(&d);
  plm_sampler_destroy(sampler);
  return status;
}

double plm_scaling_attended_length(const plm_view *view, const plm_scaling_lengths *lengths) {
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < view->count; i++) {
    const double n =
        (double)plm_token_length(view->dataset, lengths->alphabet, plm_view_id(view, i), lengths->max_length);
    sum += n;
    squares += n * n;
  }
  return squares / sum;
}
