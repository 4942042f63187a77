/* ranks_internal.h - what the files of the communicator of several ranks share.
 *
 *   ranks.c           the table: what the thread of the run calls
 *   ranks_memory.c    what both threads share, and its end
 *   ranks_thread.c    the communication thread: its loop and its end
 *   ranks_messages.c  sends and receives
 *   ranks_exchange.c  exchange and broadcast
 *   ranks_reduce.c    the sum rule
 *   ranks_gather.c    spans from their owners
 *   ranks_device.c    memory that is not the host's
 *   ranks_watch.c     who is where, and the end of all; ranks_stack.c: the stack of a thread that hangs
 */
#ifndef PLM_DIST_RANKS_INTERNAL_H
#define PLM_DIST_RANKS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "dist/ranks.h"

enum {
  RANKS_STAGE = 48,     /* of a stage's or section's name, with its NUL */
  RANKS_OPS = 256,      /* buckets under way, most */
  RANKS_BUCKETS = 4096, /* numbers of buckets are below */
  RANKS_LANES = 2,      /* reductions, and gathers, that are served at a time */
};

typedef struct ranks ranks;

/* What a finished send or receive goes back to: the token of the transport. */
typedef struct ranks_note ranks_note;
struct ranks_note {
  void (*done)(ranks *r, ranks_note *note);
  void *owner;
  int peer, slot;
};

typedef enum ranks_tag {
  RANKS_TAG_PACKET,
  RANKS_TAG_DATA,
  RANKS_TAG_TREE,
  RANKS_TAG_CONTRIBUTION,
  RANKS_TAG_SUM,
  RANKS_TAG_GATHER,
} ranks_tag;

static inline int ranks_tag_of(ranks_tag kind, int bucket) { return (int)kind * RANKS_BUCKETS + bucket; }

/* ---- a bucket under way ---- */

typedef enum ranks_kind { RANKS_REDUCE, RANKS_GATHER } ranks_kind;

typedef struct ranks_op {
  struct ranks_op *next; /* in the order of posting */
  ranks_kind kind;
  int bucket;
  bool is_active, is_done;
  /* reduce */
  float *data; /* NULL: zeros, and nobody wants the sum */
  int64_t n;
  bool keep_shard, is_bf16;
  /* gather */
  plm_span *spans;
  int span_count, root;
  /* of a device whose memory is not the host's: where it came from; `data` and `spans` are in `host` then */
  plm_device *device;
  void *host;
  float *device_data;
  plm_span *device_spans;
} ranks_op;

#define RANKS_LEAVING "leave" /* the last stage: who has passed it may be gone */

typedef struct ranks_reducer ranks_reducer; /* ranks_reduce.c */
typedef struct ranks_gatherer ranks_gatherer;
typedef struct ranks_caller ranks_caller; /* ranks_exchange.c */
typedef struct ranks_watch ranks_watch;
typedef struct ranks_dead ranks_dead;

/* ---- where a rank is ---- */

typedef struct ranks_where {
  char section[RANKS_STAGE];
  double since, limit; /* when it began, monotonic; how long it may last */
  double doubt;        /* after waiting for so long a rank asks whether the others are there */
  bool is_waiting;     /* in the communicator, for others */
  char stage[RANKS_STAGE];
  double waiting_since;
} ranks_where;

struct ranks {
  plm_comm comm; /* first: the table is what the caller holds */
  plm_transport *transport;
  plm_transport_opener *open;
  void *open_context;
  plm_rank_place *places;
  pthread_t thread, run_thread;

  /* Under `lock`. */
  pthread_mutex_t lock;
  pthread_cond_t posted, finished;
  ranks_op ops[RANKS_OPS], *spare;
  ranks_op *first, **end; /* posted and not yet waited for */
  int under_way;          /* of them, not done */
  double busy_from;       /* since when there have been such */
  bool has_opened, is_ready, is_called, is_leaving, is_doomed, is_over;
  bool is_left_behind; /* the communication thread, by the thread of the run: it releases all this */
  ranks_where where;
  plm_error_record failure;      /* code PLM_OK: none */
  plm_error_record *abort_words; /* the run asks to end all */
  plm_comm_traffic traffic;

  /* Of the thread of the run. */
  bool was_started[RANKS_BUCKETS]; /* reductions since the last exchange */
  bool is_thread_running;

  /* Of the communication thread. */
  ranks_caller *caller;
  ranks_reducer *reducer;
  ranks_gatherer *gatherer;
  ranks_watch *watch;
  ranks_dead *dead;        /* NULL: not yet */
  bool has_moved;          /* since it was last looked at */
  bool is_broken;          /* the transport failed: transport->words */
  int64_t sent;            /* bytes */
  double woken;            /* when it last stood still: what has ended meanwhile may have been told of by others */
  double seen, lost;       /* when the loop last came by; seconds in which the process stood still */
  char fault[RANKS_STAGE]; /* a stage at which tests make a send fail */
  bool is_fault_due;
};

/* ---- ranks_memory.c ---- */

void plm_ranks_prepare_lock(ranks *r);
void plm_ranks_release(ranks *r);

/* ---- ranks_thread.c ---- */

void *plm_ranks_thread(void *r);
/* Once nothing is under way. False: it stays behind, and releases r. */
bool plm_ranks_thread_stop(ranks *r);

/* ---- ranks_messages.c ---- */

/* Start a message; a failure breaks the transport, which the loop sees. */
void plm_ranks_send(ranks *r, int to, int tag, const void *data, int64_t bytes, ranks_note *note);
void plm_ranks_receive(ranks *r, int from, int tag, void *data, int64_t bytes, ranks_note *note);
void plm_ranks_collect(ranks *r); /* what has finished goes back to whoever started it */
void plm_ranks_op_finish(ranks *r, ranks_op *op);

/* ---- ranks_exchange.c ---- */

typedef enum ranks_call_kind { RANKS_CALL_EXCHANGE, RANKS_CALL_BROADCAST } ranks_call_kind;

PLM_CHECKED plm_status plm_ranks_caller_create(ranks *r);
void plm_ranks_caller_destroy(ranks *r);
/* On the thread of the run, one at a time: said, then (is_called) under way until is_called is false. */
void plm_ranks_call_prepare(ranks *r, ranks_call_kind kind, const char *stage, const void *mine, void *all,
                            int64_t bytes, int root);
/* What came of it: PLM_OK, or all ranks fail as they met at different stages. */
PLM_CHECKED plm_status plm_ranks_call_outcome(ranks *r);
/* On the communication thread. True: done. */
bool plm_ranks_call_advance(ranks *r);

/* ---- ranks_reduce.c, ranks_gather.c ---- */

PLM_CHECKED plm_status plm_ranks_reducer_create(ranks *r);
void plm_ranks_reducer_destroy(ranks *r);
bool plm_ranks_reduce_begin(ranks *r, ranks_op *op); /* false: there is no room yet */
void plm_ranks_reduce_advance(ranks *r);

PLM_CHECKED plm_status plm_ranks_gatherer_create(ranks *r);
void plm_ranks_gatherer_destroy(ranks *r);
bool plm_ranks_gather_begin(ranks *r, ranks_op *op);
void plm_ranks_gather_advance(ranks *r);

/* ---- ranks_device.c ---- */

/* On the thread of the run. x may be NULL: the host. */
PLM_CHECKED plm_status plm_ranks_fetch(const ranks *r, plm_exec *x, ranks_op *op);
PLM_CHECKED plm_status plm_ranks_store(const ranks *r, const ranks_op *op);
void plm_ranks_release_host(ranks_op *op);

/* ---- ranks_dead.c ---- */

uint64_t plm_ranks_dead_namespace(void); /* 0: not known */
/* Once the places are known. */
PLM_CHECKED plm_status plm_ranks_dead_create(ranks *r);
void plm_ranks_dead_destroy(ranks *r);
/* On the communication thread: a rank of this machine whose process has ended; -1: none. */
int plm_ranks_dead_find(ranks *r);
bool plm_ranks_dead_is_lowest_left(const ranks *r); /* by what was found last: this rank, of those that are left */

/* ---- ranks_watch.c ---- */

PLM_CHECKED plm_status plm_ranks_watch_create(ranks *r);
void plm_ranks_watch_destroy(ranks *r);
/* On the communication thread, often: answers, and asks when a wait has lasted too long. True: something is going on. */
bool plm_ranks_watch_poll(ranks *r);
/* Says why, and ends all processes: for a cause that is this rank's. Returns in tests only. */
void plm_ranks_end_all(ranks *r, const plm_error_record *why, const char *stage);

#endif
