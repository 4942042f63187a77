/* shard.c - dividing a global batch over ranks and micro-batches (packer.h).
 *
 * Longest first onto the least loaded (Graham 1969, LPT), twice: sequences onto ranks, then each rank's onto as few
 * micro-batches as hold them. Between the two, ranks that stand out in cost or in tokens (equal costs can be few long
 * sequences or many short ones) swap sequences with others. Equal loads go to the lower number and equal lengths to the
 * earlier sequence, so every rank computes the same division.
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

static double cost_of(int64_t length, double quadratic_cost) {
  return (double)length + quadratic_cost * (double)length * (double)length;
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
    bins[b].cost += cost_of(length, quadratic_cost);
    assigned[index] = b;
  }
  return true;
}

/* ---- evening out ---- */

/* What counts as even: within 0.3 % of the mean cost and 0.5 % of the mean tokens. */
#define COST_GOAL 0.003
#define TOKENS_GOAL 0.005

typedef struct evening {
  double quadratic_cost, mean_cost, mean_tokens;
  int ranks;
  bin *bins;     /* [ranks] */
  int64_t *from; /* [ranks + 1] where each rank's part of `mine` begins */
  item *mine;    /* [count] the sequences, by rank */
  bool *stuck;   /* [ranks] no swap makes it better */
} evening;

/* How far a rank is from even; at most 1: even. */
static double unevenness(const evening *e, const bin *b) {
  const double cost = (b->cost / e->mean_cost - 1) / COST_GOAL;
  const double tokens = ((double)b->tokens / e->mean_tokens - 1) / TOKENS_GOAL;
  return cost * cost + tokens * tokens;
}

static int find_worst(const evening *e) {
  int worst = -1;
  double most = 1;
  for (int r = 0; r < e->ranks; r++) {
    const double is = unevenness(e, &e->bins[r]);
    if (e->stuck[r] || is <= most) continue;
    worst = r;
    most = is;
  }
  return worst;
}

/* Two bins after the first gave a sequence for the other's. */
static void exchange(const evening *e, int64_t gives, int64_t takes, bin pair[2]) {
  const double cost = cost_of(takes, e->quadratic_cost) - cost_of(gives, e->quadratic_cost);
  pair[0].cost += cost;
  pair[1].cost -= cost;
  pair[0].tokens += takes - gives;
  pair[1].tokens -= takes - gives;
}

typedef struct swap {
  int other;
  int64_t give, take; /* in `mine` */
  double gain;
} swap;

/* The best of all swaps between two ranks, if better than *best. */
static void try_swaps(const evening *e, int rank, int other, swap *best) {
  const double before = unevenness(e, &e->bins[rank]) + unevenness(e, &e->bins[other]);
  for (int64_t i = e->from[rank]; i < e->from[rank + 1]; i++)
    for (int64_t j = e->from[other]; j < e->from[other + 1]; j++) {
      bin pair[2] = {e->bins[rank], e->bins[other]};
      if (e->mine[i].length == e->mine[j].length) continue;
      exchange(e, e->mine[i].length, e->mine[j].length, pair);
      const double gain = before - unevenness(e, &pair[0]) - unevenness(e, &pair[1]);
      if (gain > best->gain) *best = (swap){other, i, j, gain};
    }
}

static void do_swap(const evening *e, int rank, const swap *s) {
  const item given = e->mine[s->give];
  bin pair[2] = {e->bins[rank], e->bins[s->other]};
  exchange(e, given.length, e->mine[s->take].length, pair);
  e->bins[rank] = pair[0];
  e->bins[s->other] = pair[1];
  e->mine[s->give] = e->mine[s->take];
  e->mine[s->take] = given;
  e->stuck[s->other] = false;
}

/* With so many other ranks a swap is tried, so that the time for a batch grows with the ranks and not with their square.
 */
enum { PARTNERS = 64 };

/* The rank that stands out most swaps, until none does or can. */
static void swap_all(const evening *e) {
  for (int tries = 0, rank; tries < 8 * e->ranks && (rank = find_worst(e)) >= 0; tries++) {
    swap best = {.gain = 1e-9};
    for (int i = 1; i < e->ranks && i <= PARTNERS; i++) try_swaps(e, rank, (rank + i) % e->ranks, &best);
    if (best.gain > 1e-9)
      do_swap(e, rank, &best);
    else
      e->stuck[rank] = true;
  }
}

/* Sequences by rank, and the means. */
static void sort_by_rank(evening *e, const item *items, int64_t count, const int32_t *rank) {
  for (int64_t i = 0; i < count; i++) e->from[rank[items[i].index] + 1]++;
  for (int r = 0; r < e->ranks; r++) e->from[r + 1] += e->from[r];
  for (int64_t i = count - 1; i >= 0; i--) e->mine[--e->from[rank[items[i].index] + 1]] = items[i];
  for (int r = 0; r < e->ranks; r++) { /* each stands where its part begins, a place too far */
    e->from[r] = e->from[r + 1];
    e->mean_cost += e->bins[r].cost / e->ranks;
    e->mean_tokens += (double)e->bins[r].tokens / e->ranks;
  }
  e->from[e->ranks] = count;
}

/* bins: what each rank has, as in rank[]; both are brought up to date. */
static plm_status even_out(const item *items, int64_t count, int ranks, double quadratic_cost, bin *bins,
                           int32_t *rank) {
  evening e = {.quadratic_cost = quadratic_cost, .ranks = ranks, .bins = bins};
  plm_status status = PLM_OK;
  if (ranks == 1 || count <= ranks) return PLM_OK;
  PLM_TRY_GOTO(PLM_NEW(&e.from, ranks + 1), done);
  PLM_TRY_GOTO(PLM_NEW(&e.mine, count), done);
  PLM_TRY_GOTO(PLM_NEW(&e.stuck, ranks), done);
  sort_by_rank(&e, items, count, rank);
  swap_all(&e);
  for (int r = 0; r < ranks; r++)
    for (int64_t i = e.from[r]; i < e.from[r + 1]; i++) rank[e.mine[i].index] = r;
done:
  plm_free(e.from);
  plm_free(e.mine);
  plm_free(e.stuck);
  return status;
}

/* ---- micro-batches ---- */

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
  PLM_TRY_GOTO(even_out(items, count, ranks, quadratic_cost, bins, rank), done);
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
