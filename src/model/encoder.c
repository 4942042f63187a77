/* encoder.c - embedding, the loop over layers and back, and the three passes of model.h built on them. */
#include "model/model_internal.h"

/* ---- buckets ---- */

static plm_status bucket_needed(const plm_run *run, int bucket) {
  return run->hooks != NULL && run->hooks->needed != NULL ? run->hooks->needed(run->hooks->user, bucket) : PLM_OK;
}

static plm_status bucket_ready(const plm_run *run, int bucket) {
  return run->hooks != NULL && run->hooks->ready != NULL ? run->hooks->ready(run->hooks->user, bucket) : PLM_OK;
}

/* A rank without rows takes part in every exchange, in the same order as the others. */
static plm_status pass_all_buckets(const plm_run *run) {
  int buckets = run->model->params->buckets;
  for (int b = 0; b < buckets; b++) PLM_TRY(bucket_needed(run, b));
  for (int b = buckets - 1; b >= 0; b--) PLM_TRY(bucket_ready(run, b));
  return PLM_OK;
}

/* ---- the encoder ---- */

/* hidden_states[i] as Hugging Face counts them; the last one is the head's business. */
static plm_status give_hidden(const plm_run *run, int64_t i, const float *x) {
  if (run->request == NULL || run->request->hidden == NULL || run->request->hidden[i] == NULL) return PLM_OK;
  return plm_copy_to_host(run, run->request->hidden[i], x, run->in.N * run->model->config.hidden_size, PLM_F32);
}

plm_status plm_encoder_forward(const plm_run *run, float **ret_x) {
  plm_model *model = run->model;
  const plm_model_config *config = &model->config;
  const plm_inputs *in = &run->in;
  float *x; /* [N,C] */
  PLM_TRY(PLM_TAKE(&model->stack, in->N * config->hidden_size, PLM_F32, &x));
  PLM_TRY(bucket_needed(run, 0));
  PLM_TRY(run->x->ops->embed_forward(run->x, &(plm_embed_forward_args){.N = in->N,
                                                                       .C = config->hidden_size,
                                                                       .V = config->vocab_size,
                                                                       .tokens = in->tokens,
                                                                       .table = model->embedding,
                                                                       .table_dtype = PLM_F32,
                                                                       .row_scale = in->row_scale,
                                                                       .out = x}));
  for (int64_t l = 0; l < run->layers; l++) {
    plm_layer_state *state = &model->states[l];
    PLM_TRY(give_hidden(run, l, x));
    PLM_TRY(bucket_needed(run, (int)l + 1));
    state->x = x;
    PLM_TRY(plm_attention_block_forward(run, &model->layers[l], state));
    PLM_TRY(plm_ffn_block_forward(run, &model->layers[l], state, &x));
  }
  *ret_x = x;
  return run->layers < config->num_hidden_layers ? give_hidden(run, run->layers, x) : PLM_OK;
}

/* d_rows [M,C] in: gradient of the last layer's output; d_x [N,C]: room for the gradient of every other layer's. */
plm_status plm_encoder_backward(const plm_run *run, float *d_rows, float *d_x) {
  plm_model *model = run->model;
  const plm_inputs *in = &run->in;
  for (int64_t l = model->config.num_hidden_layers - 1; l >= 0; l--) {
    const plm_layer *layer = &model->layers[l];
    float *d_out = layer->is_last ? d_rows : d_x;
    PLM_TRY(plm_ffn_block_backward(run, layer, &model->states[l], d_out));
    PLM_TRY(plm_attention_block_backward(run, layer, &model->states[l], d_out, d_x));
    PLM_TRY(bucket_ready(run, (int)l + 1));
  }
  PLM_TRY(run->x->ops->embed_backward(run->x, &(plm_embed_backward_args){.N = in->N,
                                                                         .C = model->config.hidden_size,
                                                                         .V = model->config.vocab_size,
                                                                         .tokens = in->tokens,
                                                                         .d_out = d_x,
                                                                         .dtype = PLM_F32,
                                                                         .row_scale = in->row_scale,
                                                                         .has_padding_id = true,
                                                                         .padding_id = model->config.pad_token_id,
                                                                         .d_table = model->d_embedding}));
  return bucket_ready(run, 0);
}

/* ---- passes ---- */

static plm_run begin(plm_model *model, plm_exec *x) { return (plm_run){.model = model, .x = x, .layers = model->config.num_hidden_layers}; }

/* The batch's one objective, or NULL when there is nothing to predict. */
static plm_status find_objective(const plm_batch *batch, const plm_objective **ret_objective) {
  *ret_objective = NULL;
  if (batch->has_decoder) return plm_fail(PLM_E_UNSUPPORTED, "an ESM-2 has no decoder");
  if (batch->objective_count == 0 || batch->encoder.N == 0) return PLM_OK;
  const plm_objective *objective = &batch->objectives[0];
  if (batch->objective_count != 1 || objective->kind != PLM_LOSS_CROSS_ENTROPY || objective->weight != 1.0)
    return plm_fail(PLM_E_UNSUPPORTED, "an ESM-2 trains on one masked-language objective of weight 1");
  if (objective->M > 0) *ret_objective = objective;
  return PLM_OK;
}

plm_status plm_model_forward_backward(plm_model *model, plm_exec *x, const plm_batch *batch, const plm_bucket_hooks *hooks) {
  PLM_ASSERT(model->options.training);
  plm_run run = begin(model, x);
  run.keep = true;
  run.hooks = hooks;
  const plm_objective *objective;
  PLM_TRY(find_objective(batch, &objective));
  if (objective == NULL) return pass_all_buckets(&run);
  PLM_TRY(plm_inputs_load(&run, &batch->encoder, objective));

  int head_bucket = model->params->buckets - 1;
  int64_t C = model->config.hidden_size;
  float *out;           /* [M,C] */
  float *d_x, *d_rows;  /* [N,C] [M,C] */
  PLM_TRY(plm_encoder_forward(&run, &out));
  PLM_TRY(bucket_needed(&run, head_bucket));
  PLM_TRY(plm_head_forward(&run, out, &model->head));
  PLM_TRY(plm_head_loss(&run, &model->head, false));

  PLM_TRY(PLM_TAKE(&model->stack, run.in.N * C, PLM_F32, &d_x));
  PLM_TRY(PLM_TAKE(&model->stack, run.in.M * C, PLM_F32, &d_rows));
  PLM_TRY(plm_head_backward(&run, &model->head, d_rows));
  PLM_TRY(bucket_ready(&run, head_bucket));
  return plm_encoder_backward(&run, d_rows, d_x);
}

plm_status plm_model_evaluate(plm_model *model, plm_exec *x, const plm_batch *batch, float *ret_row_nll, int32_t *ret_row_prediction) {
  plm_run run = begin(model, x);
  run.row_invariant = true;
  const plm_objective *objective;
  PLM_TRY(find_objective(batch, &objective));
  if (objective == NULL) return PLM_OK;
  PLM_TRY(plm_inputs_load(&run, &batch->encoder, objective));
  float *out; /* [M,C] */
  PLM_TRY(plm_encoder_forward(&run, &out));
  PLM_TRY(plm_head_forward(&run, out, &model->head));
  PLM_TRY(plm_head_loss(&run, &model->head, true));
  if (ret_row_nll != NULL) PLM_TRY(plm_copy_to_host(&run, ret_row_nll, model->head.row_nll, run.in.M, PLM_F32));
  if (ret_row_prediction != NULL) PLM_TRY(plm_copy_to_host(&run, ret_row_prediction, model->head.row_prediction, run.in.M, PLM_I32));
  return PLM_OK;
}

/* Layers that a request needs: all for the logits and the last state, which is after the final norm. */
static int64_t count_layers(const plm_forward_request *request, int64_t L) {
  if (request->logits != NULL) return L;
  int64_t last = request->hidden == NULL ? 0 : L;
  while (last > 0 && request->hidden[last] == NULL) last--;
  return last;
}

static plm_status give_last_hidden(const plm_run *run, const float *x) {
  plm_model *model = run->model;
  int64_t N = run->in.N, C = model->config.hidden_size, L = model->config.num_hidden_layers;
  if (run->layers < L || run->request->hidden == NULL || run->request->hidden[L] == NULL) return PLM_OK;
  size_t mark = plm_stack_mark(&model->stack);
  float *normed; /* [N,C], in F32 whatever the storage type */
  PLM_TRY(PLM_TAKE(&model->stack, N * C, PLM_F32, &normed));
  PLM_TRY(plm_norm_apply(run, &model->final_norm, N, x, PLM_F32, normed, PLM_F32, NULL, NULL));
  PLM_TRY(plm_copy_to_host(run, run->request->hidden[L], normed, N * C, PLM_F32));
  plm_stack_release(&model->stack, mark);
  return PLM_OK;
}

plm_status plm_model_forward(plm_model *model, plm_exec *x, const plm_tokens *tokens, const plm_forward_request *request) {
  PLM_ASSERT(model->options.all_rows);
  if (tokens->N == 0) return PLM_OK;
  plm_run run = begin(model, x);
  run.row_invariant = true;
  run.request = request;
  run.layers = count_layers(request, run.layers);
  PLM_TRY(plm_inputs_load(&run, tokens, NULL));
  float *out; /* [N,C] */
  PLM_TRY(plm_encoder_forward(&run, &out));
  PLM_TRY(give_last_hidden(&run, out));
  if (request->logits == NULL) return PLM_OK;
  PLM_TRY(plm_head_forward(&run, out, &model->head));
  return plm_copy_to_host(&run, request->logits, model->head.logits, run.in.N * model->config.vocab_size, PLM_F32);
}

plm_status plm_model_zero_gradient(plm_model *model, plm_exec *x) {
  PLM_ASSERT(model->options.training);
  return x->ops->fill(x, &(plm_fill_args){.to = model->gradient, .bytes = model->params->train_size * (int64_t)sizeof(float)});
}

plm_status plm_model_reset_sums(plm_model *model, plm_exec *x) {
  return x->ops->fill(x, &(plm_fill_args){.to = model->sums, .bytes = (int64_t)sizeof(plm_loss_sums)});
}

plm_status plm_model_read_sums(plm_model *model, plm_exec *x, plm_loss_sums *ret_sums) {
  PLM_TRY(x->device->synchronize(x->device));
  return x->device->copy(x->device, ret_sums, model->sums, sizeof *ret_sums, PLM_COPY_TO_HOST);
}
