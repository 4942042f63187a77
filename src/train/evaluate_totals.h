/* evaluate_totals.h - an evaluation's sums over sequences, added without rounding: the same bytes for any order, number
 * of ranks and of threads (design 10.18).
 */
#ifndef PLM_TRAIN_EVALUATE_TOTALS_H
#define PLM_TRAIN_EVALUATE_TOTALS_H

#include "dist/sum_exact.h"
#include "runlog/measures.h"

/* Integers of one kind throughout, so that adding up over ranks is one sum of the whole. */
typedef struct plm_exact_totals {
  plm_int128 sum[PLM_SUMS], clusters[PLM_SUMS], product[PLM_SUMS][PLM_SUMS];
  /* Counted apart: sequences whose value is NaN, or an infinity or beyond 2^60 above or below. */
  plm_int128 nan[PLM_SUMS], above[PLM_SUMS], below[PLM_SUMS], lost[PLM_SUMS][PLM_SUMS];
} plm_exact_totals;

void plm_exact_totals_add(plm_exact_totals *totals, const double sums[PLM_SUMS]); /* one sequence */

/* Over all ranks, in place. Collective. */
PLM_CHECKED plm_status plm_exact_totals_agree(plm_comm *comm, const char *stage, plm_exact_totals *totals);

/* The nearest doubles. A sum that lacks values counted apart is what doubles would have made of it, NAN or an infinity;
 * such a product is NAN. */
void plm_exact_totals_values(const plm_exact_totals *totals, plm_totals *ret_totals);

#endif
