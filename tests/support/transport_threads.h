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

/* Zero-initialised but for the size: everything works, at once, on one node. */
typedef struct threads_options {
  int size, ranks_per_node;
  int most_delay; /* what is done is said after up to so many tests */
  uint64_t seed;  /* of the delays */
  /* This rank's send or receive of this number, from 1, fails; 0: none. */
  int fail_rank;
  int64_t fail_at;
  /* From its send or receive of this number on nothing is heard of this rank, though it does not know; 0: none. */
  int dead_rank;
  int64_t dead_at;
  bool never_closes; /* closing comes back only when all ranks have ended */
} threads_options;

/* What a rank does; the status is its result. */
typedef plm_status threads_rank(plm_comm *comm, void *context);

/* Run all ranks, each with a communicator that it destroys in the end. results[rank]: its status and words.
 * When one ends all, the transport of every other fails from then on. Returns the code with which the first that did so ended all ranks; -1: none did. */
int threads_run(const threads_options *options, threads_rank *rank, void *context, plm_error_record *results);

/* Fails the test unless every rank ended well. */
void threads_expect_ok(const plm_error_record *results, int size);

#endif
