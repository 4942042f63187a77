/* shard.c - dividing a global batch over ranks and micro-batches (packer.h).
 *
 * Longest first onto the least loaded (Graham 1969, LPT), twice: sequences onto ranks, then each rank's onto as few
 * micro-batches as hold them. Equal loads go to the lower number and equal lengths to the earlier sequence, so every
 * rank computes the same division.
 */
#include <stdbool.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "data/packer.h"

typedef struct item {
  int64_t length, index;
} item;

typedef struct bin {
  double cost;
  int64_t tokens;
} bin;

static int longest_first(const void *a, const void *b) {
  const item *x = a, *y = b;
  if (x->length != y->length) return x->length < y->length ? 1 : -1;
  return (x->index > y->index) - (x->index < y->index);
}

/* The least loaded bin with room for `length` more tokens, or -1. An empty one takes anything. */
static int find_bin(const bin *bins, int count, int64_t length, int64_t limit) {
  int best = -1;
  for (int b = 0; b < count; b++) {
    if (bins[b].tokens > 0 && length > limit - bins[b].tokens) continue;
    if (best < 0 || bins[b].cost < bins[best].cost) best = b;
  }
  return best;
}

/* Give every item of `mine` (an index into rank[], or -1 = all) a bin in `assigned`. False: they don't fit. */
static bool fill(const item *items, int64_t count, const int32_t *rank, int32_t mine, double quadratic_cost,
                 int64_t limit, bin *bins, int bin_count, int32_t *assigned) {
  for (int b = 0; b < bin_count; b++) bins[b] = (bin){0};
  for (int64_t i = 0; i < count; i++) {
    int64_t length = items[i].length, index = items[i].index;
    if (mine >= 0 && rank[index] != mine) continue;
    int b = find_bin(bins, bin_count, length, limit);
    if (b < 0) return false;
    bins[b].tokens += length;
    bins[b].cost += (double)length + quadratic_cost * (double)length * (double)length;
    assigned[index] = b;
  }
  return true;
}

/* Micro-batches that this rank needs: from a number below which it is impossible, upwards until they fit. One for each
 * sequence is always enough. The steps grow with the number, so that many sequences of just over half the limit don't
 * take many tries. */
static plm_status divide_rank(const item *items, int64_t count, const int32_t *rank, int32_t mine,
                              double quadratic_cost, int64_t limit, int32_t *micro, int64_t *ret_needed) {
  int64_t tokens = 0, large = 0; /* of those over half the limit no two share a micro-batch */
  size_t room = 0;
  bin *bins = NULL;
  plm_status status = PLM_OK;
  for (int64_t i = 0; i < count; i++) {
    if (rank[items[i].index] != mine) continue;
    tokens += items[i].length;
    large += items[i].length > limit / 2;
  }
  int64_t needed = tokens == 0 ? 1 : (tokens - 1) / limit + 1;
  if (large > needed) needed = large;
  for (;; needed += 1 + needed / 32) {
    PLM_TRY_GOTO(PLM_GROW(&bins, &room, needed), done);
    if (fill(items, count, rank, mine, quadratic_cost, limit, bins, (int)needed, micro)) break;
  }
  *ret_needed = needed;
done:
  plm_free(bins);
  return status;
}

plm_status plm_shard(const int64_t *lengths, int64_t count, int ranks, int64_t micro_batch_tokens,
                     double quadratic_cost, int32_t *rank, int32_t *micro, int64_t *ret_micro_batches) {
  PLM_ASSERT(ranks >= 1 && micro_batch_tokens >= 1 && count <= INT32_MAX);
  plm_status status = PLM_OK;
  item *items = NULL;
  bin *bins = NULL;
  int64_t most = 1;
  PLM_TRY_GOTO(PLM_NEW(&items, count), done);
  PLM_TRY_GOTO(PLM_NEW(&bins, ranks), done);
  for (int64_t i = 0; i < count; i++) items[i] = (item){.length = lengths[i], .index = i};
  qsort(items, (size_t)count, sizeof *items, longest_first);
  fill(items, count, rank, -1, quadratic_cost, INT64_MAX, bins, ranks, rank);
  for (int32_t r = 0; r < ranks; r++) {
    int64_t needed = 1;
    PLM_TRY_GOTO(divide_rank(items, count, rank, r, quadratic_cost, micro_batch_tokens, micro, &needed), done);
    if (needed > most) most = needed;
  }
  *ret_micro_batches = most;
done:
  plm_free(items);
  plm_free(bins);
  return status;
}
