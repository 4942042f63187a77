/* sampler.c - see sampler.h. Part of the stream: a change here is a new stream_version.
 *
 *   1. the permutation: a Feistel network, as a function of one index and as tables for a whole epoch
 *   2. the batches: where each starts in the epoch's order
 */
#include "data/sampler.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "data/packer.h"

/* ---- 1. permutation ---- */

/* Eight rounds: even the smallest networks (halves of one bit) then reach a good part of all orders. */
enum { ROUNDS = 8 };

/* Bits of one half, so that 4^bits >= n. */
static unsigned half_bits(uint64_t n) {
  unsigned bits = 0;
  while (bits < 32 && ((uint64_t)1 << (2 * bits)) < n) bits++;
  return bits;
}

static uint32_t round_function(uint64_t seed, uint32_t epoch, unsigned round, uint32_t input) {
  return plm_rng(seed, PLM_RNG_SHUFFLE, input, epoch, round).word[0];
}

/* A permutation of 0..n-1. The round functions of n = 60 million have 8,192 inputs each, so for a pass over an epoch
 * they are tables. */
typedef struct permutation {
  uint64_t seed, n;
  uint32_t epoch;
  unsigned bits;
  const uint32_t *table; /* [ROUNDS << bits], or NULL: compute */
} permutation;

/* Applied until it falls into 0..n-1: a cycle that starts inside must come back inside, so this is a bijection too. */
static uint64_t permute(const permutation *p, uint64_t index) {
  const uint32_t mask = (uint32_t)(((uint64_t)1 << p->bits) - 1);
  do {
    uint32_t left = (uint32_t)(index >> p->bits) & mask, right = (uint32_t)index & mask;
    for (unsigned round = 0; round < ROUNDS; round++) {
      uint32_t f = p->table != NULL ? p->table[((size_t)round << p->bits) + right]
                                    : round_function(p->seed, p->epoch, round, right);
      uint32_t next = left ^ (f & mask);
      left = right;
      right = next;
    }
    index = (uint64_t)left << p->bits | right;
  } while (index >= p->n);
  return index;
}

uint64_t plm_permute(uint64_t seed, uint32_t epoch, uint64_t n, uint64_t index) {
  const permutation p = {.seed = seed, .n = n, .epoch = epoch, .bits = half_bits(n)};
  return permute(&p, index);
}

/* ---- 2. batches ---- */

struct plm_sampler {
  plm_view view; /* borrowed */
  plm_sampler_options options;
  int64_t total; /* tokens of an epoch */
  int64_t steps; /* of an epoch */
  int64_t epoch; /* whose order is at hand; -1: none */
  permutation order;
  uint32_t *table;
  int64_t *starts; /* [steps+1] index in the epoch's order of each batch's first sequence */
  int64_t *ids;    /* of the batch asked for last */
  size_t ids_capacity;
};

static int64_t tokens_at(const plm_sampler *sampler, int64_t i) {
  return plm_token_length(sampler->view.dataset, sampler->options.alphabet, plm_view_id(&sampler->view, i),
                          sampler->options.max_length);
}

/* Where batch b begins on the axis 0..total. */
static int64_t boundary(int64_t b, int64_t total, int64_t steps) {
  return (int64_t)((unsigned __int128)b * (uint64_t)total / (uint64_t)steps);
}

static plm_status check_budget(const plm_sampler_options *options, int64_t longest) {
  if (options->batch_sequences > 0) return PLM_OK;
  if (options->batch_tokens < 1)
    return plm_fail(PLM_E_USAGE, "a batch needs a size: batch-tokens is %lld", (long long)options->batch_tokens);
  if (options->batch_tokens >= longest) return PLM_OK;
  return plm_hint(
      plm_fail(PLM_E_USAGE, "a batch of %lld tokens cannot hold the longest sequence, %lld tokens after cropping",
               (long long)options->batch_tokens, (long long)longest),
      "raise --batch-tokens or lower --max-length");
}

plm_status plm_sampler_create(const plm_view *view, const plm_sampler_options *options, plm_sampler **ret_sampler) {
  PLM_ASSERT(view->count > 0);
  plm_status status = PLM_OK;
  plm_sampler *sampler = NULL;
  PLM_TRY(PLM_NEW(&sampler, 1));
  sampler->view = *view;
  sampler->options = *options;
  sampler->epoch = -1;
  int64_t longest = 0;
  for (int64_t i = 0; i < view->count; i++) {
    int64_t tokens = tokens_at(sampler, i);
    sampler->total += tokens;
    if (tokens > longest) longest = tokens;
  }
  PLM_TRY_GOTO(check_budget(options, longest), fail);
  sampler->steps =
      options->batch_sequences > 0 ? view->count / options->batch_sequences : sampler->total / options->batch_tokens;
  if (sampler->steps < 1) sampler->steps = 1;
  unsigned bits = half_bits((uint64_t)view->count);
  PLM_TRY_GOTO(PLM_NEW(&sampler->table, (size_t)ROUNDS << bits), fail);
  PLM_TRY_GOTO(PLM_NEW(&sampler->starts, sampler->steps + 1), fail);
  sampler->order =
      (permutation){.seed = options->seed, .n = (uint64_t)view->count, .bits = bits, .table = sampler->table};
  *ret_sampler = sampler;
  return PLM_OK;
fail:
  plm_sampler_destroy(sampler);
  return status;
}

void plm_sampler_destroy(plm_sampler *sampler) {
  if (sampler == NULL) return;
  plm_free(sampler->table);
  plm_free(sampler->starts);
  plm_free(sampler->ids);
  plm_free(sampler);
}

int64_t plm_sampler_steps_per_epoch(const plm_sampler *sampler) { return sampler->steps; }
int64_t plm_sampler_total_tokens(const plm_sampler *sampler) { return sampler->total; }

/* One pass over the epoch's order finds where the batches start; nothing else of the epoch is kept. */
static void enter_epoch(plm_sampler *sampler, int64_t epoch) {
  permutation *order = &sampler->order;
  order->epoch = (uint32_t)epoch;
  for (unsigned round = 0; round < ROUNDS; round++)
    for (uint32_t input = 0; input < (uint32_t)1 << order->bits; input++)
      sampler->table[((size_t)round << order->bits) + input] = round_function(order->seed, order->epoch, round, input);

  int64_t count = sampler->view.count, b = 0, at = 0;
  bool by_sequences = sampler->options.batch_sequences > 0;
  int64_t extent = by_sequences ? count : sampler->total;
  for (int64_t i = 0; i < count; i++) {
    while (b < sampler->steps && at >= boundary(b, extent, sampler->steps)) sampler->starts[b++] = i;
    at += by_sequences ? 1 : tokens_at(sampler, (int64_t)permute(order, (uint64_t)i));
  }
  while (b <= sampler->steps) sampler->starts[b++] = count;
  sampler->epoch = epoch;
}

plm_status plm_sampler_batch(plm_sampler *sampler, int64_t step, int64_t *ret_epoch, const int64_t **ret_ids,
                             int64_t *ret_count) {
  PLM_ASSERT(step >= 0);
  int64_t epoch = step / sampler->steps, b = step % sampler->steps;
  if (epoch > UINT32_MAX)
    return plm_fail(PLM_E_USAGE, "step %lld lies in epoch %lld; there are at most 2^32", (long long)step + 1,
                    (long long)epoch);
  if (epoch != sampler->epoch) enter_epoch(sampler, epoch);
  int64_t begin = sampler->starts[b], count = sampler->starts[b + 1] - begin;
  PLM_TRY(PLM_GROW(&sampler->ids, &sampler->ids_capacity, count));
  for (int64_t i = 0; i < count; i++)
    sampler->ids[i] = plm_view_id(&sampler->view, (int64_t)permute(&sampler->order, (uint64_t)(begin + i)));
  *ret_epoch = epoch;
  *ret_ids = sampler->ids;
  *ret_count = count;
  return PLM_OK;
}
