/* shards.h - a sharded model's pieces (--zero 1): which elements of the train block a rank owns, how what it has
 * updated comes to the others, and how something that lies in pieces becomes whole. Read comm.h for the sum rule and
 * params.h for the train block.
 *
 * A rank keeps the optimiser's states, and in bf16 runs the masters of matrices, of the pieces that it owns: blocks of
 * train_size / ranks elements, its pieces one after the other. After an update each owner sends what is read: bf16 of
 * matrices, fp32 of the rest. That is under way while the next batch is fetched and earlier buckets are computed with.
 */
#ifndef PLM_TRAIN_SHARDS_H
#define PLM_TRAIN_SHARDS_H

#include "dist/comm.h"
#include "model/model.h"

/* Elements first .. first + n - 1 of the train block, and where the owner's blocks have the first of them. */
typedef struct plm_piece {
  int64_t first, n, shard;
} plm_piece;

/* What of elements first .. first + n - 1, all of one bucket, `rank` owns. False: nothing. One rank owns all. */
bool plm_piece_of(const plm_params *params, int bucket, int rank, int64_t first, int64_t n, plm_piece *ret_piece);

/* Elements of one rank's blocks. */
static inline int64_t plm_shard_size(const plm_params *params) { return params->train_size / params->ranks; }

typedef struct plm_shards plm_shards;

/* Elements of others that rank 0 has room for at a time, on the device. */
enum { PLM_SHARDS_STAGE = 4 * 1024 * 1024 };

/* `model` is sharded for comm->size ranks; all three must outlive the shards. */
PLM_CHECKED plm_status plm_shards_create(plm_model *model, plm_exec *x, plm_comm *comm, plm_shards **ret_shards);
void plm_shards_destroy(plm_shards *shards); /* accepts NULL; waits for what is under way */

/* Collective, after the owners' update: starts to send each bucket, in the order of forward. */
PLM_CHECKED plm_status plm_shards_send(plm_shards *shards);

/* The bucket is here, and what is derived from it up to date. At once, where nothing is under way. */
PLM_CHECKED plm_status plm_shards_arrive(plm_shards *shards, int bucket);

/* Collective: the elements of a parameter out of all ranks' `block`s (device memory), to rank 0's ret_values; the others'
 * is not looked at. */
PLM_CHECKED plm_status plm_shards_whole(plm_shards *shards, const plm_param *p, float *block, float *ret_values);

/* Elements first .. first + n - 1 of a parameter: those that this rank owns, into its block. */
PLM_CHECKED plm_status plm_shards_keep(plm_shards *shards, const plm_param *p, int64_t first, int64_t n,
                                       const float *values, float *block);

#endif
