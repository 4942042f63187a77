/* model.h - a transformer encoder with an MLM head on a device: forward, backward, evaluation, memory plan.
 *
 * The encoder is written once and driven by plm_model_config. It computes through x->ops only and never dereferences
 * device memory. The same code on a dry exec (exec.h) is the memory plan: allocation counted, nothing computed.
 */
#ifndef PLM_MODEL_MODEL_H
#define PLM_MODEL_MODEL_H

#include "kernels/ops.h"
#include "model/params.h"
#include "protlm/batch.h"

typedef struct plm_model_options {
  plm_dtype
      /* PLM_F32 or PLM_BF16: storage of activations and of the matrices products read. Residual stream: F32 always */
      dtype;
  bool training;      /* gradients, and activations kept for backward */
  bool decay_all;     /* weight decay on every parameter */
  int64_t max_tokens; /* largest N of a batch: sizes the activation block */
  int64_t max_length; /* longest sequence: sizes the rotary table */
  bool all_rows;      /* logits or hidden states of every row will be asked for (inspect), so M may reach N */
} plm_model_options;

typedef struct plm_model plm_model;

/* What a model of this shape would take, found by running the model's own code dry. Bytes, but for the counts. */
typedef struct plm_memory_plan {
  int64_t parameters; /* master (and half) blocks, packed weights */
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

/* Initialise from scratch: Philox(seed, INIT, hash(name), element), the rules of plm_param_role; inv_freq per config.
 * */
PLM_CHECKED plm_status plm_model_initialise(plm_model *model, uint64_t seed);

/* One parameter's values (master, F32, host memory). After a set or an update call plm_model_refresh. */
PLM_CHECKED plm_status plm_model_get(const plm_model *model, int index, float *ret_values);
PLM_CHECKED plm_status plm_model_set(plm_model *model, int index, const float *values);
PLM_CHECKED plm_status plm_model_get_gradient(const plm_model *model, int index, float *ret_values);

/* Device blocks, for the optimiser and the reduction. Gradient block: [params->train_size] F32; NULL without training.
 * */
float *plm_model_master(plm_model *model);
float *plm_model_gradient(plm_model *model);
uint16_t *plm_model_half(plm_model *model); /* BF16 bits; NULL in fp32 */

/* Bring bf16 copies (unless copies_written: the optimiser wrote them), packed weights and the rotary table up to date
 * with master. */
PLM_CHECKED plm_status plm_model_refresh(plm_model *model, plm_exec *x, bool copies_written);

/* gradient = 0 */
PLM_CHECKED plm_status plm_model_zero_gradient(plm_model *model, plm_exec *x);

/* Called around a bucket's use on the last micro-batch of a step; see dist/comm.h. Either may be NULL. */
typedef struct plm_bucket_hooks {
  void *user;
  plm_status (*needed)(void *user, int bucket); /* forward is about to read it */
  plm_status (*ready)(void *user, int bucket);  /* backward has finished its gradients */
} plm_bucket_hooks;

/* Forward, loss, backward of one micro-batch: adds the gradient of the SUM of NLL to the gradient block and the sums to
 * `sums` (device memory of this model, see plm_model_read_sums). The last layer's queries, attention output and FFN,
 * and the head, run only at the rows the loss reads. A batch with N = 0 or M = 0 is fine. */
PLM_CHECKED plm_status plm_model_forward_backward(plm_model *model, plm_exec *x, const plm_batch *batch,
                                                  const plm_bucket_hooks *hooks);

/* Forward and loss only; per-row results to host arrays of M (optional). Row-invariant products: a sequence's result
 * does not depend on its batch mates, bit for bit. */
PLM_CHECKED plm_status plm_model_evaluate(plm_model *model, plm_exec *x, const plm_batch *batch, float *ret_row_nll,
                                          int32_t *ret_row_prediction);

/* Sums added by forward_backward and evaluate since the last reset. Waits for the device. */
PLM_CHECKED plm_status plm_model_read_sums(plm_model *model, plm_exec *x, plm_loss_sums *ret_sums);
PLM_CHECKED plm_status plm_model_reset_sums(plm_model *model, plm_exec *x);

/* Forward of every row. hidden[i] (i = 0..L, host [N,C] F32 or NULL): hidden_states as HF gives them (the last after
 * the final norm); logits: host [N,V] F32 or NULL. Row-invariant. Needs options.all_rows. */
typedef struct plm_forward_request {
  float **hidden; /* [L+1] or NULL */
  float *logits;
} plm_forward_request;
PLM_CHECKED plm_status plm_model_forward(plm_model *model, plm_exec *x, const plm_tokens *tokens,
                                         const plm_forward_request *request);

#endif
