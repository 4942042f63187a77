/* sum_exact.h - sums of doubles that come out the same in whatever order, on whatever number of ranks (design 10.18):
 * each value is turned into a 128-bit integer of units 2^-40 and added as such.
 */
#ifndef PLM_DIST_SUM_EXACT_H
#define PLM_DIST_SUM_EXACT_H

#include "dist/comm.h"

typedef struct plm_int128 {
  uint64_t low;
  int64_t high;
} plm_int128;

/* Add rint(x * 2^40). x is finite and below 2^60 in size, or false is returned and nothing added. */
bool plm_int128_add(plm_int128 *sum, double x);
double plm_int128_value(plm_int128 sum); /* the nearest double */

/* Over all ranks, in place. */
PLM_CHECKED plm_status plm_sum_exact(plm_comm *comm, const char *stage, plm_int128 *values, int count);

#endif
