/* ranks_cases.h - what several ranks do together and how it must come out: by threads of one process (unit/test_ranks.c)
 * and under the launchers of MPI (integration/mpi_ranks.c). A rank that finds something wrong fails with the place.
 */
#ifndef TESTS_SUPPORT_RANKS_CASES_H
#define TESTS_SUPPORT_RANKS_CASES_H

#include <stdbool.h>

#include "dist/comm.h"

enum { CASES_MOST_RANKS = 8, CASES_BUCKETS = 4 };

/* PLM_E_BUG with the place: cmocka's assertions cannot be used here. */
#define cases_check(condition)                                                                         \
  do {                                                                                                 \
    if (!(condition)) return plm_fail(PLM_E_BUG, "%s:%d: not so: %s", __FILE__, __LINE__, #condition); \
  } while (0)

typedef struct cases_sums {
  bool is_bf16, keep_shard;
  int failing; /* this rank starts `started` buckets, then drains; -1: none */
  int started;
} cases_sums;

plm_status cases_exchange_sizes(plm_comm *comm, void *context);
plm_status cases_know_places(plm_comm *comm, void *context); /* two ranks a node */
plm_status cases_part(plm_comm *comm, void *context);
plm_status cases_broadcast_sizes(plm_comm *comm, void *context);
plm_status cases_add_buckets(plm_comm *comm, void *context); /* context: a cases_sums */
plm_status cases_take_steps(plm_comm *comm, void *context);
plm_status cases_count_traffic(plm_comm *comm, void *context);
plm_status cases_late_device(plm_comm *comm, void *context);
plm_status cases_gather_spans(plm_comm *comm, void *context); /* context: an int: the root */
plm_status cases_fail_in_turn(plm_comm *comm, void *context);
plm_status cases_fail_elsewhere(plm_comm *comm, void *context); /* ends with rank 1's words on all */

#endif
