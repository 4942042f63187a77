/* transport.h - how bytes travel between ranks: the seam below the communicator of several (ranks.h). Above it is our
 * engine, below it an MPI module, or queues between threads in tests.
 *
 * No call waits for another rank, but for those that open and close. All are made by one thread, except `abort`. The
 * header stands alone: a module is compiled against one MPI's header and linked to nothing of ours.
 */
#ifndef PLM_DIST_TRANSPORT_H
#define PLM_DIST_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  PLM_TRANSPORT_ABI = 1, /* goes up whenever this header changes */
  PLM_TRANSPORT_WORDS = 1024,
  PLM_TRANSPORT_REQUESTS = 1 << 16, /* sends and receives under way at a time */
};

/* Messages of the two never meet. */
typedef enum plm_channel { PLM_CHANNEL_DATA, PLM_CHANNEL_WATCH, PLM_CHANNELS } plm_channel;

typedef struct plm_transport plm_transport;
struct plm_transport {
  char name[128]; /* "Open MPI 4.1.4" */
  int rank, size;
  /* Ranks that can share memory are a node; nodes are numbered by the lowest rank of each. */
  int local_rank, local_size, node, nodes;
  char words[PLM_TRANSPORT_WORDS]; /* why the last call failed */

  /* Start; false: failed. Bytes below 2 GiB, tags 0..32767. Messages between two ranks with one tag arrive in the order
   * of the calls. The memory is the transport's until `test` gives the token back. */
  bool (*send)(plm_transport *t, plm_channel channel, int to, int tag, const void *data, int64_t bytes, void *token);
  bool (*receive)(plm_transport *t, plm_channel channel, int from, int tag, void *data, int64_t bytes, void *token);
  /* Tokens of what has finished, at most `most`; -1: failed. */
  int (*test)(plm_transport *t, void **ret_tokens, int most);
  /* The rank from which a message of this tag has come and waits to be received; -1: none; -2: failed. */
  int (*probe)(plm_transport *t, plm_channel channel, int tag);
  /* End all processes. By any thread. */
  void (*abort)(plm_transport *t, int code);
  /* Collective. Nothing may be under way. The transport is gone afterwards. */
  void (*close)(plm_transport *t);
};

/* What a module exports, under the name PLM_MPI_MODULE_SYMBOL. */
typedef struct plm_mpi_module {
  int abi;
  /* MPI_Init. NULL: failed, with the reason in `words`. The thread that calls it makes all later calls. */
  plm_transport *(*open)(char *words, size_t room);
} plm_mpi_module;
#define PLM_MPI_MODULE_SYMBOL "plm_mpi_module_v1"

#endif
