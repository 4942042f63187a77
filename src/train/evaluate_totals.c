/* evaluate_totals.c - see evaluate_totals.h */
#include "train/evaluate_totals.h"

#include <math.h>

/* A whole number, in the same units as everything else; it can always be added. */
static void count(plm_int128 *counter) { (void)plm_int128_add(counter, 1); }

static bool is_any(plm_int128 counter) { return counter.low != 0 || counter.high != 0; }

void plm_exact_totals_add(plm_exact_totals *totals, const double sums[PLM_SUMS]) {
  for (int i = 0; i < PLM_SUMS; i++) {
    const double x = sums[i];
    if (!plm_int128_add(&totals->sum[i], x))
      count(isnan(x) ? &totals->nan[i] : x > 0 ? &totals->above[i] : &totals->below[i]);
    if (x > 0) count(&totals->clusters[i]);
    for (int j = 0; j < PLM_SUMS; j++)
      if (!plm_int128_add(&totals->product[i][j], x * sums[j])) count(&totals->lost[i][j]);
  }
}

plm_status plm_exact_totals_agree(plm_comm *comm, const char *stage, plm_exact_totals *totals) {
  _Static_assert(_Alignof(plm_exact_totals) == _Alignof(plm_int128), "nothing but integers, and no holes");
  return plm_sum_exact(comm, stage, (plm_int128 *)totals, (int)(sizeof *totals / sizeof(plm_int128)));
}

static double sum_value(const plm_exact_totals *totals, int i) {
  const bool above = is_any(totals->above[i]), below = is_any(totals->below[i]);
  if (is_any(totals->nan[i]) || (above && below)) return (double)NAN;
  return above ? (double)INFINITY : below ? -(double)INFINITY : plm_int128_value(totals->sum[i]);
}

void plm_exact_totals_values(const plm_exact_totals *totals, plm_totals *ret_totals) {
  for (int i = 0; i < PLM_SUMS; i++) {
    ret_totals->sum[i] = sum_value(totals, i);
    ret_totals->clusters[i] = plm_int128_value(totals->clusters[i]);
    for (int j = 0; j < PLM_SUMS; j++)
      ret_totals->product[i][j] = is_any(totals->lost[i][j]) ? (double)NAN : plm_int128_value(totals->product[i][j]);
  }
}
