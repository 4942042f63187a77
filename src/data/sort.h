/* sort.h - sorting hashes. */
#ifndef PLM_DATA_SORT_H
#define PLM_DATA_SORT_H

#include <stddef.h>
#include <stdint.h>

/* Ascending, in place, without memory of its own. Made for hashes: the time is linear when the high bits are spread
 * evenly. */
void plm_sort_u64(uint64_t *values, size_t count);

#endif
