/* baseline.c - predictors without context, which every perplexity is to be read beside. Contents: letters, frequencies,
 * copying. */
#include <math.h>
#include <string.h>

#include "train/evaluate.h"

void plm_view_histogram(const plm_view *view, int64_t histogram[256]) {
  if (view->ids == NULL) {
    memcpy(histogram, plm_dataset_get_info(view->dataset)->histogram, 256 * sizeof *histogram);
    return;
  }
  memset(histogram, 0, 256 * sizeof *histogram);
  for (int64_t i = 0; i < view->count; i++) {
    int64_t length;
    const char *residues = plm_dataset_residues(view->dataset, plm_view_id(view, i), &length);
    for (int64_t j = 0; j < length; j++) histogram[(unsigned char)residues[j]]++;
  }
}

int64_t plm_count_predictable(const plm_packer_options *packer, const int64_t histogram[256]) {
  int32_t map[256];
  int64_t count = 0;
  plm_alphabet_map(packer->alphabet, &packer->policy, map);
  for (int letter = 0; letter < 256; letter++)
    if (map[letter] >= 0 && plm_mask_is_eligible(packer->alphabet, &packer->mask, map[letter]))
      count += histogram[letter];
  return count;
}

void plm_residue_frequencies(const plm_packer_options *packer, const int64_t histogram[256], double *ret_frequency) {
  const plm_alphabet *alphabet = packer->alphabet;
  int32_t map[256];
  plm_alphabet_map(alphabet, &packer->policy, map);
  for (int32_t id = 0; id < alphabet->size; id++)
    ret_frequency[id] = plm_mask_is_eligible(alphabet, &packer->mask, id) ? 1 : 0;
  for (int letter = 0; letter < 256; letter++)
    if (map[letter] >= 0 && ret_frequency[map[letter]] > 0) ret_frequency[map[letter]] += (double)histogram[letter];
  double total = 0;
  for (int32_t id = 0; id < alphabet->size; id++) total += ret_frequency[id];
  for (int32_t id = 0; id < alphabet->size; id++) ret_frequency[id] /= total;
}

/* q(seen | target): how a random replacement of `target` is drawn. */
static double replacement(const plm_packer_options *packer, int32_t target, int32_t seen) {
  const plm_alphabet *a = packer->alphabet;
  const double standard = a->standard_count;
  const bool seen_is_standard = plm_alphabet_rank(a, seen) >= 0;
  switch (packer->mask.random) {
    case PLM_RANDOM_AA_OTHER:
      if (!seen_is_standard || seen == target) return 0;
      return 1 / (plm_alphabet_rank(a, target) >= 0 ? standard - 1 : standard);
    case PLM_RANDOM_AA:
      return seen_is_standard ? 1 / standard : 0;
    case PLM_RANDOM_VOCAB:
      return 1.0 / a->size;
  }
  return 0;
}

void plm_copy_baseline(const plm_packer_options *packer, const double *frequency, double *ret_nll) {
  const int32_t V = packer->alphabet->size, mask = packer->alphabet->mask;
  const double random = packer->mask.random_share, kept = 1 - packer->mask.mask_share - random;
  for (int32_t seen = 0; seen < V; seen++) {
    double total = 0;
    for (int32_t target = 0; target < V; target++) {
      double likelihood = seen == mask ? 1 : random * replacement(packer, target, seen) + (seen == target ? kept : 0);
      ret_nll[target * V + seen] = frequency[target] * likelihood;
      total += ret_nll[target * V + seen];
    }
    for (int32_t target = 0; target < V; target++) {
      double p = total > 0 ? ret_nll[target * V + seen] / total : 0;
      ret_nll[target * V + seen] = p > 0 ? -log(p) : INFINITY;
    }
  }
}
