/* internal.h - the inside of plm_model, for the files of this room and for families.
 *
 * Read model.h, family.h and activations.h first. Files, in the order of a pass:
 *   params.c          the table of parameters
 *   build.c           creation: blocks of memory, typed views of them, getting and setting
 *   shards.c          what of them lives in pieces with other ranks
 *   initialise.c      values from scratch
 *   inputs.c          a batch checked and brought to the device
 *   pass.c            the passes that model.h promises, around the family's forward and backward
 *   families/         forward and backward: the order in which the blocks of blocks.h are called
 *   plan.c            all of it run dry
 */
#ifndef PLM_MODEL_INTERNAL_H
#define PLM_MODEL_INTERNAL_H

#include "model/activations.h"
#include "model/model.h"

/* A stretch of a linear layer's rows that trains as one. */
typedef struct plm_linear_part {
  int64_t first, count;     /* rows of the weight, columns of the output */
  float *d_weight, *d_bias; /* NULL: frozen */
} plm_linear_part;

enum { PLM_LINEAR_PARTS = 3 };

/* A linear layer's weight (one matrix of the table, or neighbours seen as one), bias, and what of them trains. */
typedef struct plm_linear {
  plm_weight weight;
  const float *bias; /* NULL: none */
  plm_linear_part parts[PLM_LINEAR_PARTS];
  int part_count;
  int bucket; /* where the weight lies */
} plm_linear;

typedef struct plm_norm {
  const float *weight, *bias; /* [C] */
  float *d_weight, *d_bias;   /* NULL: frozen */
} plm_norm;

/* Rows of a batch that a block works on: all tokens, or those that are read. */
typedef struct plm_rows {
  int64_t count;
  const int32_t *ids;                          /* [count] tokens; NULL: all of them, in order */
  const int32_t *positions;                    /* [count] */
  const int32_t *cu_seqlens, *host_cu_seqlens; /* [S+1] how they divide over sequences, on the device and on the host */
} plm_rows;

/* A batch on the device. */
typedef struct plm_inputs {
  int64_t N, S;
  const int32_t *tokens;  /* [N] */
  const float *row_scale; /* [N] token dropout; NULL = 1 */
  plm_rows all, read;     /* read: what the loss, or the request, reads; equal to `all` when that is every row */
  const int32_t *targets; /* [read.count]; NULL without an objective */
} plm_inputs;

/* Host memory that a batch travels from: the arrays of plm_inputs one after the other, copied at once. There are two,
 * so that the next batch can be laid out while this one is on its way. */
typedef struct plm_slot {
  int32_t *host;
  plm_event *sent; /* NULL in a dry model */
} plm_slot;
enum { PLM_SLOTS = 2 };

struct plm_model {
  plm_model_config config;
  plm_model_options options;
  plm_params *params;
  /* NULL: a dry model of the memory plan, whose device pointers are addresses that nothing lives at */
  plm_device *device;
  plm_pool *pool;

  float *full;                  /* [params->full_size] */
  uint16_t *half;               /* [params->half_size] BF16; NULL in fp32 */
  float *gradient;              /* [params->train_size]; NULL where nothing trains */
  char *packed;                 /* backends' forms of the weights, one after the other */
  float *cos_table, *sin_table; /* [max_length, D/2]; NULL without rotary */
  const float *inv_freq;        /* [D/2] in the full block */
  plm_step_sums *sums;
  plm_stack stack;

  plm_linear **linears; /* all linear layers, for refreshing */
  size_t linear_count, linear_room;
  plm_model_shards shards; /* zero: nothing lives in pieces */
  plm_slot slots[PLM_SLOTS];
  int64_t batches; /* loaded so far */
  void *parts;     /* the family's: its blocks and what forward leaves for backward; zeroed, freed with the model */

  plm_memory_plan taken; /* bytes of each block as reserved */
  uintptr_t dry_address; /* next address of a dry model */
};

/* One pass over one batch. */
struct plm_pass {
  plm_model *model;
  plm_exec *x;
  plm_inputs in;
  bool keep;          /* what backward needs */
  bool row_invariant; /* inference: products that don't see batch mates */
  const plm_bucket_hooks *hooks;
  const plm_request *request; /* NULL: training */
  int64_t layers;             /* how many to compute: a request may ask for early states only */
};

/* ---- build.c ---- */
/* A model with all its blocks; dry (device NULL) for the plan. activation_bytes: size of the block,
 * ignored when dry. */
PLM_CHECKED plm_status plm_model_build(const plm_model_config *config, const plm_model_options *options, plm_exec *x,
                                       bool dry, size_t activation_bytes, plm_model **ret_model);

/* For a family's `bind`. Names are those of the table, `prefix` before each. */
PLM_CHECKED plm_status plm_bind_param(const plm_model *model, const char *prefix, const char *name,
                                      const plm_param **ret_param);
/* `count` neighbouring matrices from `weight` on, seen as one, with as many neighbouring biases from `bias` on (NULL:
 * none). Lives in the family's parts. */
PLM_CHECKED plm_status plm_bind_linear(plm_model *model, const char *prefix, const char *weight, int count,
                                       const char *bias, plm_linear *ret_linear);
PLM_CHECKED plm_status plm_bind_norm(plm_model *model, const char *prefix, const char *weight, const char *bias,
                                     plm_norm *ret_norm);
/* A table that is looked up, [rows,C] F32, and its gradient (NULL: frozen). */
PLM_CHECKED plm_status plm_bind_table(plm_model *model, const char *name, const float **ret_table,
                                      float **ret_gradient);

/* Elements first .. first + count - 1 of a parameter, F32 host memory, into every form in which it is stored. */
PLM_CHECKED plm_status plm_model_set_range(plm_model *model, const plm_param *p, int64_t first, int64_t count,
                                           const float *values);

/* ---- inputs.c ---- */
/* Room for the arrays of a batch of max_tokens tokens, in int32 elements. */
int64_t plm_inputs_room(int64_t max_tokens);
/* Check the batch, compute row scales and per-sequence row counts, copy all to the device (on top of the empty stack).
 * objective NULL: every row is read. */
PLM_CHECKED plm_status plm_inputs_load(plm_pass *pass, const plm_tokens *tokens, const plm_objective *objective);

/* ---- pass.c, for families: forward is about to read the bucket; backward has finished its gradients ---- */
PLM_CHECKED plm_status plm_bucket_needed(const plm_pass *pass, int bucket);
PLM_CHECKED plm_status plm_bucket_ready(const plm_pass *pass, int bucket);

/* May layer `layer` be asked for fewer rows than there are tokens? Its queries are then a product of their own. */
static inline bool plm_layer_reads_fewer(const plm_model *model, int64_t layer) {
  return layer == model->config.num_hidden_layers - 1;
}

/* Rows that layer `layer` computes queries, and everything after them, for: in the last one those that are read. */
const plm_rows *plm_pass_queries(const plm_pass *pass, int64_t layer);

/* Does the pass go on to the head? */
bool plm_pass_reads_head(const plm_pass *pass);
/* Device memory to the host's; nothing when `to` is NULL. */
PLM_CHECKED plm_status plm_pass_give(const plm_pass *pass, void *to, const void *from, int64_t count, plm_dtype dtype);
/* hidden_states[i] as Hugging Face counts them, where it is asked for; x [N,C]. */
PLM_CHECKED plm_status plm_pass_give_hidden(const plm_pass *pass, int64_t i, const float *x);
/* The last of them, after the final norm (NULL: none), in F32 whatever the storage type. */
PLM_CHECKED plm_status plm_pass_give_last_hidden(const plm_pass *pass, const plm_norm *norm, const float *x);

static inline int plm_head_bucket(const plm_pass *pass) { return pass->model->params->bucket_count - 1; }

#endif
