/* scaling_model.h - how long a step takes on many ranks: arithmetic alone, of measured or stated figures.
 *
 * Compute is what the rank with the most work needs for its micro-batches. In the last one's backward pass buckets
 * become ready one after another, from the head to the embedding, and are reduced in that order, one at a time. What is
 * not done when the backward pass is, is waited for. Then all agree (one small exchange) and update.
 *
 *   flat   each rank sends every other its piece, and has the sums back (dist/ranks.h). Over a node's link go
 *          local_size x what a ring sends: local_size bytes (size - local_size) / size, each way
 *   ring   NCCL and RCCL: reduce-scatter and all-gather, size - 1 hops each; a node's link carries bytes (size - 1) /
 *          size, each way
 *
 * Seconds, bytes, bytes a second, FLOP a second throughout.
 */
#ifndef PLM_APP_SCALING_MODEL_H
#define PLM_APP_SCALING_MODEL_H

#include <stdbool.h>
#include <stdint.h>

typedef struct plm_scaling_link {
  double latency, rate; /* of a message or a hop; one way */
} plm_scaling_link;

typedef struct plm_scaling_machine {
  int per_node;             /* ranks */
  plm_scaling_link inside;  /* of one rank to others of its node */
  plm_scaling_link between; /* of a node, whole, to the others */
  bool is_ring;             /* else flat */
  bool is_beside;           /* communication has processors of its own: what is hidden costs nothing */
} plm_scaling_machine;

enum { PLM_SCALING_BUCKETS = 128 };

typedef struct plm_scaling_job {
  int64_t elements[PLM_SCALING_BUCKETS]; /* in forward order */
  int buckets;
  int wire_bytes;        /* of an element: 4, or 2 for bf16 */
  double compute;        /* forward and backward of all micro-batches, of the rank with the most */
  int64_t micro_batches; /* alike */
  double update;         /* of all parameters, by one rank */
  bool is_sharded;       /* --zero 1: each updates its part */
} plm_scaling_job;

typedef struct plm_scaling_step {
  double compute, communication; /* the latter if nothing were hidden */
  double exposed;                /* of it, not hidden behind compute, or taken from it */
  double agreement, update;
  double total;
} plm_scaling_step;

/* Reducing one bucket and having the sums everywhere. */
double plm_scaling_reduce(const plm_scaling_machine *machine, double bytes, int ranks);

void plm_scaling_predict(const plm_scaling_machine *machine, const plm_scaling_job *job, int ranks,
                         plm_scaling_step *ret_step);

/* ---- a batch of fixed size on more and more ranks ---- */

/* What `ranks` do of what one rank would do with its time: (c B + update) / (ranks x step). `per_token`: compute of one
 * token; `per_micro_batch`: what each costs besides; `imbalance`: the most loaded rank has (1 + imbalance) of the mean. */
typedef struct plm_scaling_work {
  double per_token, per_micro_batch, imbalance;
  int64_t micro_batch_tokens;
} plm_scaling_work;

/* job->compute and micro_batches of a global batch. */
void plm_scaling_divide(const plm_scaling_work *work, double batch_tokens, int ranks, plm_scaling_job *job);
double plm_scaling_efficiency(const plm_scaling_machine *machine, const plm_scaling_job *job,
                              const plm_scaling_work *work, double batch_tokens, int ranks);

/* The smallest batch, in tokens, whose efficiency is at least this; INFINITY where none is. */
double plm_scaling_smallest_batch(const plm_scaling_machine *machine, const plm_scaling_job *job,
                                  const plm_scaling_work *work, int ranks, double efficiency);

/* ---- saving and failing ---- */

/* Mean time between failures of `count` devices, from Llama 3's: 419 interruptions in 54 days of 16,384 GPUs. */
double plm_scaling_failure_time(int count);

/* The interval between saves that loses least (Daly 2006, of higher order than Young's sqrt(2 cost failure_time)). */
double plm_scaling_save_interval(double cost, double failure_time);

/* Share of the time lost to saves, and to work done again and `restart` after a failure. */
double plm_scaling_lost(double cost, double interval, double failure_time, double restart);

#endif
