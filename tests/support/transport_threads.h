/* transport_threads.h - several ranks as threads of one process: the engine of src/dist over queues in memory.
 *
 * A send is done when its receive has taken the bytes, as MPI may do it, so whoever relies on a buffer in between waits
 * for ever here, and whoever uses memory too early is seen by the sanitizers. What is done may be said late and out of
 * order.
 */
#ifndef TESTS_SUPPORT_TRANSPORT_THREADS_H
#define TESTS_SUPPORT_TRANSPORT_THREADS_H

#include <stdbool.h>
#include <stdint.h>

#include "dist/comm.h"

typedef struct threads_world threads_world;

/* Zero-initialised but for the size: everything works, at once, on one node. */
typedef struct threads_options {
  int size, ranks_per_node;
  int most_delay; /* what is done is said after up to so many tests */
  uint64_t seed;  /* of the delays */
  /* This rank's send or receive of this number, from 1, fails; 0: none. */
  int fail_rank;
  int64_t fail_at;
} threads_options;

/* What a rank does. The status is its result. */
typedef plm_status threads_rank(plm_comm *comm, threads_world *world, void *context);

/* Run all ranks, each with a communicator that it destroys in the end. results[rank]: its status and words. */
void threads_run(const threads_options *options, threads_rank *rank, void *context, plm_error_record *results);

/* From here on nothing is heard of this rank, though it does not know. */
void threads_kill(threads_world *world, int rank);
int threads_abort_code(threads_world *world); /* of the first that ended all; -1: nobody did */

/* PLM_E_BUG with the place, for a check in a rank, where cmocka's cannot be used. */
#define threads_check(condition)                                                               \
  do {                                                                                         \
    if (!(condition)) return plm_fail(PLM_E_BUG, "line %d: not so: %s", __LINE__, #condition); \
  } while (0)

/* Fails the test unless every rank ended well. */
void threads_expect_ok(const plm_error_record *results, int size);

#endif
