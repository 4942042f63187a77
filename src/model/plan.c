/* plan.c - the memory plan: the model's own code run dry, for the largest batch that may come. */
#include "base/alloc.h"
#include "model/internal.h"

/* N tokens in sequences of `length`, every row predicted: nothing that a batch of N tokens can ask for is more. */
typedef struct worst_batch {
  plm_batch batch;
  int32_t *memory;
} worst_batch;

static plm_status make_worst_batch(const plm_model *model, int64_t length, worst_batch *ret_worst) {
  int64_t N = model->options.max_tokens, S = (N + length - 1) / length;
  int32_t *memory;
  PLM_TRY(PLM_NEW(&memory, 4 * N + S + 1));
  int32_t *tokens = memory, *positions = tokens + N, *rows = positions + N, *targets = rows + N,
          *cu_seqlens = targets + N;
  for (int64_t n = 0; n < N; n++) {
    tokens[n] = model->config.mask_token_id == 0 ? 1 : 0;
    positions[n] = (int32_t)(n % length);
    rows[n] = (int32_t)n;
  }
  for (int64_t s = 0; s <= S; s++) cu_seqlens[s] = (int32_t)(s * length < N ? s * length : N);
  ret_worst->memory = memory;
  ret_worst->batch = (plm_batch){
      .encoder =
          {.N = N, .S = S, .max_length = length, .tokens = tokens, .positions = positions, .cu_seqlens = cu_seqlens},
      .objective_count = 1,
      .objectives = {{.kind = PLM_LOSS_CROSS_ENTROPY, .M = N, .rows = rows, .targets = targets, .weight = 1}},
  };
  return PLM_OK;
}

/* Everything asked for. Nothing is written to the request: a dry run leaves copies to the host out. */
static plm_status run_inspection(plm_model *model, plm_exec *x, const plm_tokens *tokens) {
  float nothing = 0, **hidden;
  const plm_batch batch = {.encoder = *tokens};
  int64_t states = model->config.num_hidden_layers + 1;
  PLM_TRY(PLM_NEW(&hidden, states));
  for (int64_t i = 0; i < states; i++) hidden[i] = &nothing;
  plm_status status = plm_model_infer(model, x, &batch, &(plm_request){.hidden = hidden, .logits = &nothing});
  plm_free(hidden);
  return status;
}

/* Every pass that these options allow. */
static plm_status run_passes(plm_model *model, plm_exec *x, const plm_batch *batch) {
  if (model->options.training) PLM_TRY(plm_model_forward_backward(model, x, batch, NULL));
  float nll;
  int32_t prediction;
  const plm_request everything = {.row_nll = &nll, .row_prediction = &prediction}; /* a dry run writes nothing there */
  PLM_TRY(plm_model_infer(model, x, batch, &everything));
  return model->options.all_rows ? run_inspection(model, x, &batch->encoder) : PLM_OK;
}

/* What the training loop calls besides the model. */
static plm_status run_update(plm_model *model, plm_exec *x) {
  if (!model->options.training) return PLM_OK;
  const plm_planned_optimiser *o = &model->options.optimiser;
  int64_t n = model->params->train_size;
  PLM_TRY(plm_model_zero_gradient(model, x));
  PLM_TRY(x->ops->square_norm(x, &(plm_square_norm_args){.n = n, .x = model->gradient, .dtype = PLM_F32}));
  return o->update != NULL ? o->update(o->kind, x, n, model->full, model->gradient) : PLM_OK;
}

static plm_status run_dry(plm_model *model, plm_exec *x) {
  /* an operator's workspace may grow with lengths or with sequences */
  const int64_t lengths[] = {model->options.max_length, 1};
  PLM_TRY(plm_model_refresh(model, x, PLM_REFRESH_ALL));
  PLM_TRY(run_update(model, x));
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    worst_batch worst;
    PLM_TRY(make_worst_batch(model, lengths[i], &worst));
    plm_status status = run_passes(model, x, &worst.batch);
    plm_free(worst.memory);
    PLM_TRY(status);
  }
  return PLM_OK;
}

static plm_status add_up(plm_memory_plan *plan) {
  const int64_t parts[] = {plan->parameters, plan->gradients, plan->optimizer, plan->activations, plan->workspace};
  plan->total = 0;
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (__builtin_add_overflow(plan->total, parts[i], &plan->total))
      return plm_fail(PLM_E_RESOURCE, "this model takes more memory than can be addressed");
  return PLM_OK;
}

plm_status plm_model_plan(const plm_model_config *config, const plm_model_options *options, const plm_exec *x,
                          plm_memory_plan *ret_plan) {
  plm_exec dry = *x;
  dry.dry = true;
  dry.workspace_needed = 0;
  plm_model *model;
  PLM_TRY(plm_model_build(config, options, &dry, true, 0, &model));
  plm_status status = run_dry(model, &dry);
  if (status == PLM_OK) {
    plm_memory_plan plan = model->taken;
    plan.activations = (int64_t)model->stack.peak;
    plan.workspace = (int64_t)dry.workspace_needed;
    plan.parameter_count = model->params->parameters;
    plan.trainable_count = model->params->trainable;
    status = add_up(&plan);
    if (status == PLM_OK) *ret_plan = plan;
  }
  plm_model_destroy(model);
  return status;
}
