/* params.h - the table of parameters: the one list that checkpoint, optimiser, all-reduce, LoRA and `ckpt diff` walk.
 *
 * Names are Hugging Face's. Order is forward order: embedding, layers, final norm, head. Offsets are in elements of the
 * blocks below.
 *
 *   full block     F32: what is trained (the master), and what is read in fp32: norms, biases, the table that is looked
 *                  up; in fp32 runs everything
 *   half block     BF16, bf16 runs only: matrices that products read
 *   train block    F32 gradients and the optimiser's states: what is trained
 *
 * Where there are several ranks, each bucket of the train block ends in zeros, up to a multiple of 64 elements a rank
 * (pieces.h of dist): rank r owns the r-th of its equal pieces. Nothing writes the zeros, and files go by name, so
 * nothing else sees them. With `sharded` the master of what products alone read lives in those pieces, with its owner
 * (optimiser.h), and the full block has no place for it.
 *
 * What does not train, and everything in inference, is stored once, in the form in which it is read. The token
 * embedding is read in both ways (looked up in fp32, decoder in bf16) and has both.
 *
 * A group (q, k, v weights of a layer, their biases) has no gaps, so it can be seen as one [3C,C]. Group starts are
 * 256-byte aligned.
 */
#ifndef PLM_MODEL_PARAMS_H
#define PLM_MODEL_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/ops.h"
#include "model/config.h"

typedef enum plm_param_role {
  /* token embedding: init N(0, range^2), pad row 0; never decayed; looked up, and read by products */
  PLM_ROLE_EMBEDDING,
  PLM_ROLE_POSITIONS,   /* table of positions: init N(0, range^2); never decayed; looked up */
  PLM_ROLE_MATRIX,      /* linear weight: init N(0, range^2); decayed; read by products */
  PLM_ROLE_BIAS,        /* 0 */
  PLM_ROLE_NORM_WEIGHT, /* 1 */
  PLM_ROLE_NORM_BIAS,   /* 0 */
  PLM_ROLE_INV_FREQ,    /* buffer, kept once; never trained */
  PLM_ROLE_CONTACT,     /* contact head: kept and saved, not trained by MLM; zeros from scratch */
} plm_param_role;

enum { PLM_PARAM_DIMS = 4, PLM_PARAM_NAME = 96 };

typedef struct plm_param {
  char name[PLM_PARAM_NAME];
  plm_param_role role;
  int dims;
  int64_t shape[PLM_PARAM_DIMS];
  int64_t count;  /* elements */
  int32_t group;  /* parameters of one group have no gaps between them */
  int32_t bucket; /* unit of gradient reduction: 0 = embedding, 1..L = layers, L+1 = final norm and head */
  int64_t offset; /* in the full block; -1 = not there: frozen and read in bf16 alone, or its master is in pieces */
  int64_t half_offset;  /* in the half block; -1 = not there */
  int64_t train_offset; /* in the train block; -1 = not trained */
  bool decay;
  /* In files it stands once for each layer, as `written` with the layer's number for %lld. NULL: once, by its name. */
  const char *written;
  int64_t written_count;
} plm_param;

/* Where the gradients of a bucket lie in the train block, the zeros behind them included; none: count 0. */
typedef struct plm_bucket {
  int64_t first, count;
} plm_bucket;

typedef struct plm_params {
  plm_param *items;
  int count;
  const plm_param **by_name; /* [count] the same, in order of name */
  plm_bucket *buckets;
  int64_t *bucket_sizes; /* [bucket_count] their counts, as a communicator takes them */
  int bucket_count;
  int ranks; /* that the buckets are cut for */
  bool sharded;
  int64_t full_size, half_size, train_size; /* elements, alignment included */
  int64_t parameters, trainable;            /* elements that count (tied once; buffers not) */
} plm_params;

/* Parameters whose name matches the pattern (fnmatch) train, or don't. The last match decides; without one: trains. */
typedef struct plm_train_pattern {
  const char *pattern;
  bool trains;
} plm_train_pattern;

typedef struct plm_params_options {
  plm_dtype dtype;                   /* PLM_F32 or PLM_BF16, what products read */
  bool training;                     /* else nothing is trained */
  bool decay_all;                    /* weight decay on every trained parameter */
  const plm_train_pattern *patterns; /* [pattern_count] of training */
  int pattern_count;
  int ranks;    /* 0 = 1 */
  bool sharded; /* --zero 1: masters and states in pieces; with several ranks only */
} plm_params_options;

/* The table of a model of this shape, as its family lists it. */
PLM_CHECKED plm_status plm_params_create(const plm_model_config *config, const plm_params_options *options,
                                         plm_params **ret_params);
void plm_params_destroy(plm_params *params);                                  /* accepts NULL */
const plm_param *plm_params_find(const plm_params *params, const char *name); /* NULL */

/* Is its master kept by the owners of its pieces, and the model has its bf16 form alone? */
static inline bool plm_param_is_in_pieces(const plm_param *p) { return p->offset < 0 && p->train_offset >= 0; }

/* ---- for a family's `parameters` ---- */

typedef struct plm_params_builder plm_params_builder;

typedef struct plm_param_row {
  const char *name;
  plm_param_role role;
  int64_t rows, columns; /* columns 0: one-dimensional */
  bool joined;           /* of the group before it: follows it without a gap */
} plm_param_row;

/* Append to the newest bucket. `prefix` comes before the name: that of a layer, or "". */
PLM_CHECKED plm_status plm_params_add(plm_params_builder *builder, const char *prefix, const plm_param_row *rows,
                                      size_t count);
PLM_CHECKED plm_status plm_params_next_bucket(plm_params_builder *builder); /* the first is there already */

/* The parameter added last stands in files as `pattern`, a string that lives as long as the program, once a layer. */
void plm_params_written_as(plm_params_builder *builder, const char *pattern, int64_t layers);

#endif
