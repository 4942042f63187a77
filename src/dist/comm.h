/* comm.h - the communicator table: the only way anything here knows of other ranks. `self` is the one of a single
 * process; those that an MPI launcher started fill the same table, and so will NCCL/RCCL.
 *
 * Collective: each function is called by all ranks, in the same order. A rank never fails alone: fallible stages end in
 * plm_agree (agree.h), and a rank that fails inside one calls `drain` first, so that nobody waits for what it owed.
 *
 * The sum rule. A bucket of n elements is cut into `size` equal pieces of n/size, a multiple of 64 elements (pieces.h;
 * the train block is laid out so). The owner r adds piece r of all ranks in fp32, beginning with rank 0's value; what
 * the others then have is what the owner computed. So replicas hold equal bits by construction, and the bits depend on
 * the number of ranks, not on MPI's make, transport or launcher. With `gradient_dtype` BF16 each contribution is
 * rounded before the sum, the owner's too, and the sum is rounded before anyone uses it.
 */
#ifndef PLM_DIST_COMM_H
#define PLM_DIST_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/ops.h"
#include "protlm/status.h"

enum {
  PLM_EXCHANGE_MAX = 64 * 1024, /* bytes a rank */
  PLM_AGREE_BYTES = 512,        /* the most that agree.c exchanges, a rank */
  PLM_HOST_NAME = 64,
  PLM_EVERY_BUCKET = -1,
  PLM_EVERY_RANK = -1,
};

/* Where a rank runs. Node and local rank come from MPI_Comm_split_type(SHARED), never from the environment. */
typedef struct plm_rank_place {
  char host[PLM_HOST_NAME];
  int node, local_rank;
  int64_t process;            /* its id, */
  uint64_t process_namespace; /* which counts among these; 0: not known */
} plm_rank_place;

/* Bytes of one owner, which the others are to have in the same place. */
typedef struct plm_span {
  void *data; /* device memory of the exec */
  int64_t bytes;
  int owner;
} plm_span;

/* Since the communicator was opened. */
typedef struct plm_comm_traffic {
  int64_t sent;   /* bytes, by this rank */
  double busy;    /* seconds in which something of reduce or gather was under way */
  double exposed; /* seconds in which the caller waited for that */
} plm_comm_traffic;

typedef struct plm_comm plm_comm;
struct plm_comm {
  const char *name; /* "self", "Open MPI 4.1.4" */
  int rank, size, local_rank, local_size, node, nodes;
  const plm_rank_place *places; /* [size] */
  plm_comm_traffic traffic;

  /* The user's: of gradients on the wire (F32; or BF16), and the seconds that a section lasts at most (--timeout),
   * from the next `section` on. Set before the first reduce. */
  plm_dtype gradient_dtype;
  double timeout;

  /* The user's: called on the watchdog's thread before all are ended; it may write `stopped` and nothing else. Rank and
   * stage are those of the cause. `is_writer`, on one rank: the one that found the cause, of those that answer. May be
   * NULL. */
  void (*before_abort)(void *user, const plm_error_record *why, int rank, const char *stage, bool is_writer);
  void *user;

  /* agree.c's: [size * PLM_AGREE_BYTES]; that the last failure of an exchange was that others had come elsewhere,
   * so that this rank's own failure, if it has one, is a consequence (set by exchange, taken back by plm_agree). */
  void *scratch;
  bool parted;
  plm_error_record owed; /* plm_agree_later's; code PLM_OK: nothing */

  /* All-gather of at most PLM_EXCHANGE_MAX bytes a rank, host memory: ret_all [size * bytes], in rank order. `stage`
   * says what for; ranks that come with another stage or length learn of it and fail, each naming the other. */
  plm_status (*exchange)(plm_comm *comm, const char *stage, const void *mine, size_t bytes, void *ret_all);
  /* Host memory, any size (sent in pieces). Begins with an exchange, so it cannot hang on a root that failed. */
  plm_status (*broadcast)(plm_comm *comm, const char *stage, void *data, int64_t bytes, int root);

  /* Start adding up a bucket: n elements at `gradient`, n a multiple of 64*size, zeros behind what is the model's.
   * keep_shard: only this rank's piece is the sum afterwards, the others' pieces are undefined. The elements may not be
   * touched until `wait`. Asynchronous devices: begins after what is queued on x. */
  plm_status (*reduce)(plm_comm *comm, plm_exec *x, int bucket, float *gradient, int64_t n, bool keep_shard);
  /* Start sending what each owner has to `root`, or to all (PLM_EVERY_RANK). The same spans on every rank; they are
   * copied. */
  plm_status (*gather)(plm_comm *comm, plm_exec *x, int bucket, const plm_span *spans, int count, int root);
  /* Until all that was started for this bucket (or for every one) is done. May fail, naming a rank. */
  plm_status (*wait)(plm_comm *comm, plm_exec *x, int bucket);
  /* This rank failed somewhere between the step's first bucket and its agreement, having started the buckets that it
   * had: the other `count` of them it contributes zeros to. sizes[b]: n of bucket b. Buckets already started are waited
   * for. For `self` nothing. */
  plm_status (*drain)(plm_comm *comm, const int64_t *sizes, int count, bool keep_shard);

  /* What this rank is doing from now on, for at most timeout_s seconds (0: comm->timeout): for the watchdog, which
   * names who is where when somebody waited too long, has the stack of a hung rank printed, and ends all. */
  void (*section)(plm_comm *comm, const char *name, double timeout_s);
  /* Ends all ranks: says why, calls before_abort, MPI_Abort. Does not return where there are others. */
  void (*abort)(plm_comm *comm, const plm_error_record *why);
  void (*destroy)(plm_comm *comm); /* collective: the last barrier */
};

/* One process. */
PLM_CHECKED plm_status plm_comm_self_create(plm_comm **ret_comm);

/* What launched us decides: `self`, or the ranks of its MPI (launch.h). PLM_E_USAGE where a launcher started several
 * processes that do not find each other, with the line that mends it. Once in a process, which then calls
 * plm_comm_destroy before it ends. */
PLM_CHECKED plm_status plm_comm_open(plm_comm **ret_comm);

void plm_comm_destroy(plm_comm *comm); /* accepts NULL */

#endif
