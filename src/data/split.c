/* split.c - what is decided by the content of sequences: their hash, the split, repeats, and sequences that two sets share. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/rng.h"
#include "data/dataset.h"
#include "data/sort.h"

enum { PIECE = 4096 };

static char upper(char c) { return (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c); }

uint64_t plm_residue_hash(const char *residues, int64_t length) {
  char piece[PIECE];
  uint64_t hash = 0;
  int64_t done = 0;
  do {
    size_t used = 0;
    if (done > 0) {
      memcpy(piece, &hash, sizeof hash);
      used = sizeof hash;
    }
    size_t take = (size_t)(length - done) < PIECE - used ? (size_t)(length - done) : PIECE - used;
    for (size_t i = 0; i < take; i++) piece[used + i] = upper(residues[(size_t)done + i]);
    hash = plm_hash64(piece, used + take);
    done += (int64_t)take;
  } while (done < length);
  return hash;
}

static uint64_t hash_of(const plm_dataset *dataset, int64_t id) {
  int64_t length;
  const char *residues = plm_dataset_residues(dataset, id, &length);
  return plm_residue_hash(residues, length);
}

/* ---- split ---- */

/* Number of distinct values among `count` sorted ones, moved to the front. */
static size_t make_distinct(uint64_t *values, size_t count) {
  size_t distinct = 0;
  for (size_t i = 0; i < count; i++)
    if (i == 0 || values[i] != values[distinct - 1]) values[distinct++] = values[i];
  return distinct;
}

/* Every distinct sequence has a random rank of 64 bits; the lowest `fraction` are evaluation. *ret_first_train: the
 * lowest rank that is not. `ranks` is left with the rank of each sequence. */
static plm_status rank_sequences(const plm_dataset *dataset, double fraction, uint64_t seed, uint64_t *ranks,
                                 uint64_t *ret_first_train) {
  size_t count = (size_t)plm_dataset_count(dataset);
  uint64_t *sorted = NULL;
  PLM_TRY(PLM_NEW(&sorted, count));
  for (size_t i = 0; i < count; i++) {
    plm_rng_block block = plm_rng(seed, PLM_RNG_SPLIT, hash_of(dataset, (int64_t)i), 0, 0);
    sorted[i] = ranks[i] = (uint64_t)block.word[0] << 32 | block.word[1];
  }
  plm_sort_u64(sorted, count);
  size_t distinct = make_distinct(sorted, count);
  double wanted = fraction * (double)distinct + 0.5;
  size_t evaluation = wanted < 1 ? 1 : (size_t)wanted;
  if (evaluation >= distinct) evaluation = distinct - 1;
  if (distinct >= 2) *ret_first_train = sorted[evaluation];
  plm_free(sorted);
  if (distinct >= 2) return PLM_OK;
  return plm_hint(plm_fail(PLM_E_INPUT, "%s: cannot be split: all its sequences are the same",
                           plm_dataset_get_info(dataset)->source),
                  "give an evaluation file, or train without evaluation");
}

plm_status plm_dataset_split(const plm_dataset *dataset, double fraction, uint64_t seed, plm_view *ret_train,
                             plm_view *ret_eval) {
  if (!(fraction > 0 && fraction < 1))
    return plm_fail(PLM_E_USAGE, "the fraction for evaluation must lie between 0 and 1, not be %g", fraction);
  plm_status status = PLM_OK;
  int64_t count = plm_dataset_count(dataset), evaluations = 0;
  uint64_t *ranks = NULL, first_train = 0;
  plm_view train = {.dataset = dataset}, eval = {.dataset = dataset};
  PLM_TRY(PLM_NEW(&ranks, count));
  PLM_TRY_GOTO(rank_sequences(dataset, fraction, seed, ranks, &first_train), done);
  for (int64_t i = 0; i < count; i++) evaluations += ranks[i] < first_train;
  PLM_TRY_GOTO(PLM_NEW(&eval.ids, evaluations), done);
  PLM_TRY_GOTO(PLM_NEW(&train.ids, count - evaluations), done);
  for (int64_t i = 0; i < count; i++) {
    plm_view *side = ranks[i] < first_train ? &eval : &train;
    side->ids[side->count++] = i;
  }
  *ret_train = train;
  *ret_eval = eval;
done:
  if (status != PLM_OK) {
    plm_view_free(&train);
    plm_view_free(&eval);
  }
  plm_free(ranks);
  return status;
}

/* ---- repeated sequences ---- */

plm_status plm_dataset_count_repeats(const plm_dataset *dataset, int64_t *ret_count) {
  const size_t count = (size_t)plm_dataset_count(dataset);
  uint64_t *hashes;
  PLM_TRY(PLM_NEW(&hashes, count));
  for (size_t i = 0; i < count; i++) hashes[i] = hash_of(dataset, (int64_t)i);
  plm_sort_u64(hashes, count);
  *ret_count = (int64_t)(count - make_distinct(hashes, count));
  plm_free(hashes);
  return PLM_OK;
}

/* ---- shared sequences ---- */

typedef struct entry {
  uint64_t hash;
  int64_t id;
  bool found;
} entry;

static int compare_entries(const void *a, const void *b) {
  const entry *x = a, *y = b;
  return x->hash != y->hash ? (x->hash > y->hash) - (x->hash < y->hash) : (x->id > y->id) - (x->id < y->id);
}

static bool are_equal(const plm_dataset *a, int64_t a_id, const plm_dataset *b, int64_t b_id) {
  int64_t a_length, b_length;
  const char *x = plm_dataset_residues(a, a_id, &a_length), *y = plm_dataset_residues(b, b_id, &b_length);
  if (a_length != b_length) return false;
  for (int64_t i = 0; i < a_length; i++)
    if (upper(x[i]) != upper(y[i])) return false;
  return true;
}

/* First entry with a hash of at least `hash`. */
static int64_t lower_bound(const entry *entries, int64_t count, uint64_t hash) {
  int64_t low = 0;
  for (int64_t high = count; low < high;) {
    int64_t middle = low + (high - low) / 2;
    if (entries[middle].hash < hash)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* The evaluation side is the small one: it is sorted by hash, and training sequences are looked up in it. */
plm_status plm_dataset_count_shared(const plm_view *train, const plm_view *eval, int64_t *ret_count) {
  entry *entries = NULL;
  int64_t shared = 0;
  PLM_TRY(PLM_NEW(&entries, eval->count));
  for (int64_t i = 0; i < eval->count; i++) {
    int64_t id = plm_view_id(eval, i);
    entries[i] = (entry){.hash = hash_of(eval->dataset, id), .id = id};
  }
  qsort(entries, (size_t)eval->count, sizeof *entries, compare_entries);
  for (int64_t i = 0; i < train->count; i++) {
    int64_t id = plm_view_id(train, i);
    uint64_t hash = hash_of(train->dataset, id);
    for (int64_t e = lower_bound(entries, eval->count, hash); e < eval->count && entries[e].hash == hash; e++)
      if (!entries[e].found) entries[e].found = are_equal(train->dataset, id, eval->dataset, entries[e].id);
  }
  for (int64_t i = 0; i < eval->count; i++) shared += entries[i].found;
  plm_free(entries);
  *ret_count = shared;
  return PLM_OK;
}
