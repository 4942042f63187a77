/* params.h - the table of parameters: the one list that checkpoint, optimiser, all-reduce, LoRA and `ckpt diff` walk.
 *
 * Names are Hugging Face's. Order is forward order: embedding, layers, final norm, head. Offsets are in elements of the
 * blocks below.
 *
 *   master block   F32, every parameter; what is trained, saved and read at one-dimensional parameters
 *   half block     BF16 copies of matrices, bf16 runs only
 *   train block    F32 gradients, m, v: trainable parameters only
 *
 * q, k, v weights of a layer are neighbours without gaps (one [3C,C] view), their biases too. Group starts are 256-byte
 * aligned.
 */
#ifndef PLM_MODEL_PARAMS_H
#define PLM_MODEL_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "model/config.h"

typedef enum plm_param_role {
  PLM_ROLE_EMBEDDING,   /* tied token embedding: init N(0, range^2), pad row 0; never decayed */
  PLM_ROLE_MATRIX,      /* linear weight: init N(0, range^2); decayed */
  PLM_ROLE_BIAS,        /* 0 */
  PLM_ROLE_NORM_WEIGHT, /* 1 */
  PLM_ROLE_NORM_BIAS,   /* 0 */
  PLM_ROLE_INV_FREQ,    /* buffer, kept once, written once a layer */
  PLM_ROLE_CONTACT,     /* contact head: kept and saved, not trained by MLM; zeros from scratch */
} plm_param_role;

typedef struct plm_param {
  char name[96];
  plm_param_role role;
  int dims;
  int64_t shape[2];
  int64_t count;        /* elements */
  int32_t group;        /* parameters of one group have no gaps between them */
  int32_t bucket;       /* unit of gradient reduction: 0 = embedding, 1..L = layers, L+1 = final norm and head */
  int64_t offset;       /* in the master block */
  int64_t half_offset;  /* in the half block; -1 = none */
  int64_t train_offset; /* in the train block; -1 = not trained */
  bool decay;
} plm_param;

typedef struct plm_params {
  plm_param *items;
  int count;
  const plm_param **by_name; /* [count] the same, in order of name */
  int buckets;
  int64_t master_size, half_size, train_size; /* elements, alignment included */
  int64_t parameters, trainable;              /* elements that count (tied once; buffers not) */
} plm_params;

PLM_CHECKED plm_status plm_params_create(const plm_model_config *config, bool decay_all, plm_params **ret_params);
void plm_params_destroy(plm_params *params);                                  /* accepts NULL */
const plm_param *plm_params_find(const plm_params *params, const char *name); /* NULL */

#endif
