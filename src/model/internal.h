/* internal.h - the inside of plm_model, shared by the files of this room.
 *
 * Read model.h and activations.h first. Files, in the order of a pass:
 *   build.c            creation, blocks of parameters, getting and setting
 *   inputs.c           a batch checked and brought to the device
 *   layers.c           linear layers and norms: the operator calls that every block makes
 *   attention.c  x + attention(norm(x)), forward and backward
 *   ffn.c        x + ffn(norm(x)), forward and backward
 *   head.c             final norm, MLM head, loss, forward and backward
 *   pass.c          embedding, the loop over layers, and the passes that model.h promises
 *   initialise.c, plan.c
 */
#ifndef PLM_MODEL_INTERNAL_H
#define PLM_MODEL_INTERNAL_H

#include "model/activations.h"
#include "model/model.h"

/* A linear layer's weight (one matrix of the table, or neighbours seen as one), bias and their gradients. */
typedef struct plm_linear {
  plm_weight weight;
  const float *bias;
  float *d_weight, *d_bias; /* NULL without training */
} plm_linear;

typedef struct plm_norm {
  const float *weight, *bias; /* [C] */
  float *d_weight, *d_bias;
} plm_norm;

/* The last layer computes queries only at the rows that are read, so there q is a product of its own. */
typedef struct plm_layer {
  bool is_last;
  plm_norm attention_norm;
  plm_linear *query_key_value;   /* [3HD,C]; NULL in the last layer */
  plm_linear *query, *key_value; /* [HD,C], [2HD,C]; last layer only */
  plm_linear *attention_output;  /* [C,HD] */
  plm_norm ffn_norm;
  plm_linear *ffn_up, *ffn_down; /* [F,C], [C,F] */
} plm_layer;

/* What forward leaves for backward; shapes in activations.h. */
typedef struct plm_layer_state {
  float *x, *mean1, *rstd1;
  char *q, *k, *v;
  int64_t q_stride, kv_stride; /* elements */
  void *o;
  float *lse;
  float *middle, *mean2, *rstd2;
  void *up;
} plm_layer_state;

typedef struct plm_head_state {
  float *x, *mean1, *rstd1; /* [M,C] the last layer's output; its norm's statistics */
  void *y;                  /* [M,C] A after the final norm */
  void *dense, *gelu;       /* [M,C] A before and after GELU */
  float *mean2, *rstd2;
  void *normed;            /* [M,C] A what the decoder reads */
  float *logits;           /* [M,V] F32 */
  void *d_logits;          /* [M,V] A; the same memory as logits in fp32 */
  float *row_nll;          /* [M] evaluation only */
  int32_t *row_prediction; /* [M] */
} plm_head_state;

/* A batch on the device, and the two arrays that attention schedules by on the host. Rows are what the loss (or
 * inspection) reads. */
typedef struct plm_inputs {
  int64_t N, S, M;
  bool every_row; /* rows are all tokens in order: nothing to gather; the three row arrays are the token arrays */
  const int32_t *tokens, *positions, *cu_seqlens;                 /* [N] [N] [S+1] */
  const float *row_scale;                                         /* [N] token dropout; NULL = 1 */
  const int32_t *rows, *row_positions, *row_cu_seqlens, *targets; /* [M] [M] [S+1] [M] */
  const int32_t *host_cu_seqlens, *host_row_cu_seqlens;
} plm_inputs;

struct plm_model {
  plm_model_config config;
  plm_model_options options;
  plm_params *params;
  plm_device
      *device; /* NULL: a dry model of the memory plan, whose device pointers are addresses that nothing lives at */
  plm_pool *pool;

  float *master;                /* [params->master_size] */
  uint16_t *half;               /* [params->half_size] BF16; NULL in fp32 */
  float *gradient;              /* [params->train_size]; NULL without training */
  char *packed;                 /* backends' forms of the weights, one after the other */
  float *cos_table, *sin_table; /* [max_length, D/2] */
  plm_loss_sums *sums;
  plm_stack stack;

  plm_linear *linears; /* all linear layers, for refreshing */
  int linear_count;
  plm_layer *layers; /* [L] */
  const float *embedding;
  float *d_embedding;
  plm_norm final_norm, head_norm;
  plm_linear *head_dense, *decoder; /* decoder: the embedding again, with lm_head.bias */
  const float *inv_freq;

  plm_layer_state *states; /* [L] */
  plm_head_state head;
  int32_t *staging; /* host memory: the arrays of plm_inputs one after the other, copied at once */

  plm_memory_plan taken; /* bytes of each block as reserved */
  uintptr_t dry_address; /* next address of a dry model */
};

/* One pass over one batch. */
typedef struct plm_pass {
  plm_model *model;
  plm_exec *x;
  plm_inputs in;
  bool keep;          /* what backward needs */
  bool row_invariant; /* inference: products that don't see batch mates */
  const plm_bucket_hooks *hooks;
  const plm_forward_request *request; /* inspection, or NULL */
  int64_t layers;                     /* how many to compute: inspection may ask for early states only */
} plm_pass;

/* ---- model.c ---- */
/* A model with all its blocks; dry (device NULL) for the plan. activation_bytes: size of the block, ignored when dry.
 * */
PLM_CHECKED plm_status plm_model_build(const plm_model_config *config, const plm_model_options *options, plm_exec *x,
                                       bool dry, size_t activation_bytes, plm_model **ret_model);

/* ---- inputs.c ---- */
/* Room for the staging arrays of a batch of max_tokens tokens, in int32 elements. */
int64_t plm_inputs_room(int64_t max_tokens);
/* Check the batch, compute row scales and per-sequence row counts, copy all to the device (on top of the empty stack).
 * objective NULL: every row is read. */
PLM_CHECKED plm_status plm_inputs_load(plm_pass *pass, const plm_tokens *tokens, const plm_objective *objective);

/* ---- layers.c ---- */
PLM_CHECKED plm_status plm_linear_apply(const plm_pass *pass, const plm_linear *linear, int64_t n, const void *x,
                                        const void *add, void *y, plm_dtype y_dtype);
/* d_weight, d_bias += from d_y [n,out] and x [n,in]. */
PLM_CHECKED plm_status plm_linear_gradient(const plm_pass *pass, const plm_linear *linear, int64_t n, const void *d_y,
                                           const void *x);
PLM_CHECKED plm_status plm_linear_input_gradient(const plm_pass *pass, const plm_linear *linear, int64_t n,
                                                 const void *d_y, void *d_x, plm_dtype d_x_dtype);
/* y = norm(x); mean and rstd NULL when not kept (or kept already). */
PLM_CHECKED plm_status plm_norm_apply(const plm_pass *pass, const plm_norm *norm, int64_t n, const void *x,
                                      plm_dtype x_dtype, void *y, plm_dtype y_dtype, float *mean, float *rstd);
/* d_x = gradient through the norm + add (NULL: none); d_y is F32. */
PLM_CHECKED plm_status plm_norm_gradient(const plm_pass *pass, const plm_norm *norm, int64_t n, const float *d_y,
                                         const void *x, plm_dtype x_dtype, const float *mean, const float *rstd,
                                         const void *add, void *d_x, plm_dtype d_x_dtype);
/* `x` [count] F32 as an operand of products: itself in fp32, a converted copy on the stack in bf16. */
PLM_CHECKED plm_status plm_as_operand(const plm_pass *pass, const float *x, int64_t count, const void **ret_operand);

/* ---- blocks: `n` of a layer is N, or M in the last ---- */
PLM_CHECKED plm_status plm_attention_block_forward(const plm_pass *pass, const plm_layer *layer,
                                                   plm_layer_state *state);
/* d_rows [n,C]: gradient of the block's output. d_x [N,C]: gradient of its input, written; the same memory unless rows
 * were gathered. */
PLM_CHECKED plm_status plm_attention_block_backward(const plm_pass *pass, const plm_layer *layer,
                                                    const plm_layer_state *state, float *d_rows, float *d_x);
/* *ret_out [n,C]: the stream after the block. */
PLM_CHECKED plm_status plm_ffn_block_forward(const plm_pass *pass, const plm_layer *layer, plm_layer_state *state,
                                             float **ret_out);
PLM_CHECKED plm_status plm_ffn_block_backward(const plm_pass *pass, const plm_layer *layer,
                                              const plm_layer_state *state, float *d_x);

/* ---- head.c ---- */
PLM_CHECKED plm_status plm_head_forward(const plm_pass *pass, float *x, plm_head_state *head);
PLM_CHECKED plm_status plm_head_loss(const plm_pass *pass, plm_head_state *head, bool per_row);
PLM_CHECKED plm_status plm_head_backward(const plm_pass *pass, const plm_head_state *head, float *d_x);

/* ---- pass.c ---- */
/* *ret_x [M,C]: the stream after the last layer that runs, before the final norm. */
PLM_CHECKED plm_status plm_encoder_forward(const plm_pass *pass, float **ret_x);
PLM_CHECKED plm_status plm_encoder_backward(const plm_pass *pass, float *d_rows, float *d_x);

static inline int64_t plm_layer_rows(const plm_pass *pass, const plm_layer *layer) {
  return layer->is_last ? pass->in.M : pass->in.N;
}

/* Copies that a dry run leaves out. */
static inline plm_status plm_copy_to_host(const plm_pass *pass, void *to, const void *from, int64_t count,
                                          plm_dtype dtype) {
  plm_device *device = pass->x->device;
  if (pass->x->dry || count == 0) return PLM_OK;
  return device->copy(device, to, from, (size_t)count * plm_dtype_size(dtype), PLM_COPY_TO_HOST);
}

#endif
