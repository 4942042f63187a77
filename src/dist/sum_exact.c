/* sum_exact.c - see sum_exact.h. Contents: one value, over ranks.
 *
 * Integers are added without rounding, so their sum does not depend on the order. A value below 2^60 is below 2^100
 * units, so that more than a hundred million of the largest have room in 127 bits.
 */
#include "dist/sum_exact.h"

#include <math.h>

#include "dist/agree.h"

enum { FRACTION = 40, LIMIT = 60 /* bits */ };

__extension__ typedef __int128 wide;
__extension__ typedef unsigned __int128 unsigned_wide;

/* ---- one value ---- */

static unsigned_wide join(plm_int128 parts) {
  return (unsigned_wide)(uint64_t)parts.high << 64 | (unsigned_wide)parts.low;
}

static plm_int128 split(unsigned_wide joined) {
  return (plm_int128){.low = (uint64_t)joined, .high = (int64_t)(joined >> 64)};
}

bool plm_int128_add(plm_int128 *sum, double x) {
  if (!(fabs(x) < ldexp(1, LIMIT))) return false; /* NaN is below nothing */
  *sum = split(join(*sum) + (unsigned_wide)(wide)rint(ldexp(x, FRACTION)));
  return true;
}

/* The conversion rounds to nearest; the scaling is exact. */
double plm_int128_value(plm_int128 sum) { return ldexp((double)(wide)join(sum), -FRACTION); }

/* ---- over ranks ---- */

/* In pieces that fit the memory which the communicator brings, so that no rank can fail for want of it. */
plm_status plm_sum_exact(plm_comm *comm, const char *stage, plm_int128 *values, int count) {
  enum { PIECE = PLM_AGREE_BYTES / sizeof(plm_int128) };
  const plm_int128 *all = comm->scratch;
  if (comm->size == 1) return PLM_OK;
  for (int first = 0; first < count; first += PIECE) {
    const int n = count - first < PIECE ? count - first : PIECE;
    PLM_TRY(comm->exchange(comm, stage, values + first, (size_t)n * sizeof *values, comm->scratch));
    for (int i = 0; i < n; i++) {
      unsigned_wide sum = 0;
      for (int rank = 0; rank < comm->size; rank++) sum += join(all[rank * n + i]);
      values[first + i] = split(sum);
    }
  }
  return PLM_OK;
}
