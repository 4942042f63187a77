/* model.h - a transformer encoder with an MLM head on a device: forward, backward, evaluation, memory plan.
 *
 * What is computed is the family's order of calls (family.h) over shared blocks. All of it goes through x->ops only
 * and never dereferences device memory. The same code on a dry exec (exec.h) is the memory plan: allocation
 * counted, nothing computed.
 */
#ifndef PLM_MODEL_MODEL_H
#define PLM_MODEL_MODEL_H

#include "kernels/ops.h"
#include "model/family.h"
#include "model/params.h"
#include "protlm/batch.h"

/* An optimiser as the plan sees it: the bytes that it will allocate, and its update of n elements run dry. */
typedef struct plm_planned_optimiser {
  const void *kind; /* for the two functions */
  int64_t (*bytes)(const void *kind, const plm_params *params);
  plm_status (*update)(const void *kind, plm_exec *x, int64_t n, float *w, const float *grad);
} plm_planned_optimiser;

typedef struct plm_model_options {
  /* PLM_F32 or PLM_BF16: storage of activations and of the matrices products read. Residual stream: F32 always */
  plm_dtype dtype;
  bool training;                     /* gradients, and activations kept for backward */
  bool decay_all;                    /* weight decay on every parameter */
  const plm_train_pattern *patterns; /* [pattern_count] which parameters train; none: all that can */
  int pattern_count;
  int64_t max_tokens; /* largest N of a batch: sizes the activation block */
  int64_t max_length; /* longest sequence: sizes the rotary table */
  int ranks;          /* that share the gradient's buckets; 0 = 1 */
  bool sharded;       /* masters and the optimiser's states in pieces (params.h); with several ranks only */
  bool all_rows;      /* logits or hidden states of every row will be asked for (inspect), so M may reach N */
  plm_planned_optimiser optimiser; /* beside this model, for the plan; zero: none */
} plm_model_options;

/* What a model of this shape would take, found by running the model's own code dry. Bytes, but for the counts. */
typedef struct plm_memory_plan {
  int64_t parameters; /* full and half blocks, packed weights */
  int64_t gradients, optimizer;
  int64_t activations; /* of one micro-batch, kept and temporary */
  int64_t workspace;
  int64_t total;
  int64_t parameter_count, trainable_count;
} plm_memory_plan;
PLM_CHECKED plm_status plm_model_plan(const plm_model_config *config, const plm_model_options *options,
                                      const plm_exec *x, plm_memory_plan *ret_plan);

/* Allocates everything (and the exec's workspace), parameters zero. Fails with PLM_E_RESOURCE, saying need and have,
 * before allocating. */
PLM_CHECKED plm_status plm_model_create(const plm_model_config *config, const plm_model_options *options, plm_exec *x,
                                        plm_model **ret_model);
void plm_model_destroy(plm_model *model); /* accepts NULL */

const plm_model_config *plm_model_get_config(const plm_model *model);
const plm_params *plm_model_get_params(const plm_model *model);
plm_dtype plm_model_get_dtype(const plm_model *model);

/* Initialise from scratch: Philox(seed, INIT, hash(name), element), the rules of plm_param_role;
 * inv_freq per config. */
PLM_CHECKED plm_status plm_model_initialise(plm_model *model, uint64_t seed);

/* One parameter's values (F32, host memory; what is stored in bf16 alone is rounded as `convert` rounds). After a set
 * or an update call plm_model_refresh. Of a master in pieces plm_model_get is collective: all ranks call it for the same
 * parameter, rank 0 receives the values, the others' ret_values is not looked at. It may be NULL: nothing is copied. */
PLM_CHECKED plm_status plm_model_get(const plm_model *model, int index, float *ret_values);
PLM_CHECKED plm_status plm_model_set(plm_model *model, int index, const float *values);
PLM_CHECKED plm_status plm_model_get_gradient(const plm_model *model, int index, float *ret_values);

/* Device blocks, for the optimiser and the reduction. Gradient block: [params->train_size] F32; NULL
 * without training. */
float *plm_model_full(plm_model *model);
float *plm_model_gradient(plm_model *model);
uint16_t *plm_model_half(plm_model *model); /* BF16 bits; NULL in fp32 */

/* What has changed since the last refresh: all values (set, loaded), or what an update trained, whose bf16 copies the
 * optimiser has written. */
typedef enum plm_refresh { PLM_REFRESH_ALL, PLM_REFRESH_UPDATED } plm_refresh;

/* Bring what is derived from the parameters up to date: bf16 copies, packed weights, the rotary table. In a sharded
 * model PLM_REFRESH_UPDATED does nothing: each bucket is brought up to date when it has arrived. */
PLM_CHECKED plm_status plm_model_refresh(plm_model *model, plm_exec *x, plm_refresh what);

/* The same for what lies in one bucket, all of which is here in the form that its owners sent. */
PLM_CHECKED plm_status plm_model_refresh_bucket(plm_model *model, plm_exec *x, int bucket);

/* Who keeps and brings what lives in pieces: the optimiser of a sharded model. */
typedef struct plm_model_shards {
  void *user;
  /* Before a pass, a reader or a writer touches the bucket: what its owners sent after an update is here. */
  plm_status (*arrive)(void *user, int bucket);
  /* The master of a parameter that is in pieces: see plm_model_get, and plm_model_set, for some of its elements. */
  plm_status (*get)(void *user, const plm_param *p, float *ret_values);
  plm_status (*set)(void *user, const plm_param *p, int64_t first, int64_t count, const float *values);
} plm_model_shards;
void plm_model_set_shards(plm_model *model, const plm_model_shards *shards); /* NULL: none any more */

/* Every pass asks by itself; who reads the blocks below asks first. */
PLM_CHECKED plm_status plm_model_arrive(const plm_model *model, int bucket);

/* gradient = 0 */
PLM_CHECKED plm_status plm_model_zero_gradient(plm_model *model, plm_exec *x);

/* Called on the last micro-batch of a step, last bucket first; see dist/comm.h. */
typedef struct plm_bucket_hooks {
  void *user;
  plm_status (*ready)(void *user, int bucket); /* backward has finished its gradients */
} plm_bucket_hooks;

/* Forward, loss, backward of one micro-batch: adds the gradient of the SUM of NLL to the gradient block and the sums to
 * the step's (device memory of this model, see plm_model_read_sums). The last layer's queries, attention output and
 * FFN, and the head, run only at the rows the loss reads. A batch with N = 0 or M = 0 is fine. hooks: may be NULL. */
PLM_CHECKED plm_status plm_model_forward_backward(plm_model *model, plm_exec *x, const plm_batch *batch,
                                                  const plm_bucket_hooks *hooks);

/* What a pass without backward returns, all host memory or NULL; nothing is computed that it does not read. M rows:
 * those of the batch's objective, or every token where the batch has none. */
typedef struct plm_request {
  /* [L+1] of [N,C] or NULL: hidden_states as HF gives them (the last after the final norm). Every row only */
  float **hidden;
  float *logits;           /* [M,V] */
  float *row_nll;          /* [M]; an objective only, and so is the next */
  int32_t *row_prediction; /* [M] the likeliest token */
} plm_request;

/* Forward, and the loss where there is an objective, whose sums are added to the step's. Row-invariant products: a
 * sequence's result does not depend on its batch mates, bit for bit. Every row needs options.all_rows. */
PLM_CHECKED plm_status plm_model_infer(plm_model *model, plm_exec *x, const plm_batch *batch,
                                       const plm_request *request);

/* The scalars of a step, one block of device memory: sums added by passes since the last reset, one for each objective,
 * and the gradient's norm, which the optimiser leaves there. Reading waits for the device, once. */
typedef struct plm_step_sums {
  plm_loss_sums objective[PLM_MAX_OBJECTIVES];
  plm_norm_sums norm;
} plm_step_sums;
PLM_CHECKED plm_status plm_model_read_sums(plm_model *model, plm_exec *x, plm_step_sums *ret_sums);
PLM_CHECKED plm_status plm_model_reset_sums(plm_model *model, plm_exec *x);
plm_norm_sums *plm_model_norm_sums(plm_model *model); /* device memory */

#endif
