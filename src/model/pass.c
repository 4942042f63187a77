/* pass.c - embedding, the loop over layers and back, and the three passes of model.h built on them. */
#include "model/internal.h"

/* ---- buckets ---- */

static plm_status bucket_needed(const plm_pass *pass, int bucket) {
  return pass->hooks != NULL && pass->hooks->needed != NULL ? pass->hooks->needed(pass->hooks->user, bucket) : PLM_OK;
}

static plm_status bucket_ready(const plm_pass *pass, int bucket) {
  return pass->hooks != NULL && pass->hooks->ready != NULL ? pass->hooks->ready(pass->hooks->user, bucket) : PLM_OK;
}

/* A rank without rows takes part in every exchange, in the same order as the others. */
static plm_status pass_all_buckets(const plm_pass *pass) {
  int buckets = pass->model->params->buckets;
  for (int b = 0; b < buckets; b++) PLM_TRY(bucket_needed(pass, b));
  for (int b = buckets - 1; b >= 0; b--) PLM_TRY(bucket_ready(pass, b));
  return PLM_OK;
}

/* ---- the encoder ---- */

/* hidden_states[i] as Hugging Face counts them; the last one is the head's business. */
static plm_status give_hidden(const plm_pass *pass, int64_t i, const float *x) {
  if (pass->request == NULL || pass->request->hidden == NULL || pass->request->hidden[i] == NULL) return PLM_OK;
  return plm_copy_to_host(pass, pass->request->hidden[i], x, pass->in.N * pass->model->config.hidden_size, PLM_F32);
}

plm_status plm_encoder_forward(const plm_pass *pass, float **ret_x) {
  plm_model *model = pass->model;
  const plm_model_config *config = &model->config;
  const plm_inputs *in = &pass->in;
  float *x; /* [N,C] */
  PLM_TRY(PLM_TAKE(&model->stack, in->N * config->hidden_size, PLM_F32, &x));
  PLM_TRY(bucket_needed(pass, 0));
  const plm_embed_forward_args args = {
      .N = in->N,
      .C = config->hidden_size,
      .V = config->vocab_size,
      .tokens = in->tokens,
      .table = model->embedding,
      .table_dtype = PLM_F32,
      .row_scale = in->row_scale,
      .out = x,
  };
  PLM_TRY(pass->x->ops->embed_forward(pass->x, &args));
  for (int64_t l = 0; l < pass->layers; l++) {
    plm_layer_state *state = &model->states[l];
    PLM_TRY(give_hidden(pass, l, x));
    PLM_TRY(bucket_needed(pass, (int)l + 1));
    state->x = x;
    PLM_TRY(plm_attention_block_forward(pass, &model->layers[l], state));
    PLM_TRY(plm_ffn_block_forward(pass, &model->layers[l], state, &x));
  }
  *ret_x = x;
  return pass->layers < config->num_hidden_layers ? give_hidden(pass, pass->layers, x) : PLM_OK;
}

/* d_rows [M,C] in: gradient of the last layer's output; d_x [N,C]: room for the gradient of every other layer's. */
plm_status plm_encoder_backward(const plm_pass *pass, float *d_rows, float *d_x) {
  plm_model *model = pass->model;
  const plm_inputs *in = &pass->in;
  for (int64_t l = model->config.num_hidden_layers - 1; l >= 0; l--) {
    const plm_layer *layer = &model->layers[l];
    float *d_out = layer->is_last ? d_rows : d_x;
    PLM_TRY(plm_ffn_block_backward(pass, layer, &model->states[l], d_out));
    PLM_TRY(plm_attention_block_backward(pass, layer, &model->states[l], d_out, d_x));
    PLM_TRY(bucket_ready(pass, (int)l + 1));
  }
  const plm_embed_backward_args args = {
      .N = in->N,
      .C = model->config.hidden_size,
      .V = model->config.vocab_size,
      .tokens = in->tokens,
      .d_out = d_x,
      .dtype = PLM_F32,
      .row_scale = in->row_scale,
      .has_padding_id = true,
      .padding_id = model->config.pad_token_id,
      .d_table = model->d_embedding,
  };
  PLM_TRY(pass->x->ops->embed_backward(pass->x, &args));
  return bucket_ready(pass, 0);
}

/* ---- passes ---- */

static plm_pass begin(plm_model *model, plm_exec *x) {
  return (plm_pass){.model = model, .x = x, .layers = model->config.num_hidden_layers};
}

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

plm_status plm_model_forward_backward(plm_model *model, plm_exec *x, const plm_batch *batch,
                                      const plm_bucket_hooks *hooks) {
  PLM_ASSERT(model->options.training);
  plm_pass pass = begin(model, x);
  pass.keep = true;
  pass.hooks = hooks;
  const plm_objective *objective;
  PLM_TRY(find_objective(batch, &objective));
  if (objective == NULL) return pass_all_buckets(&pass);
  PLM_TRY(plm_inputs_load(&pass, &batch->encoder, objective));

  int head_bucket = model->params->buckets - 1;
  int64_t C = model->config.hidden_size;
  float *out;          /* [M,C] */
  float *d_x, *d_rows; /* [N,C] [M,C] */
  PLM_TRY(plm_encoder_forward(&pass, &out));
  PLM_TRY(bucket_needed(&pass, head_bucket));
  PLM_TRY(plm_head_forward(&pass, out, &model->head));
  PLM_TRY(plm_head_loss(&pass, &model->head, false));

  PLM_TRY(PLM_TAKE(&model->stack, pass.in.N * C, PLM_F32, &d_x));
  PLM_TRY(PLM_TAKE(&model->stack, pass.in.M * C, PLM_F32, &d_rows));
  PLM_TRY(plm_head_backward(&pass, &model->head, d_rows));
  PLM_TRY(bucket_ready(&pass, head_bucket));
  return plm_encoder_backward(&pass, d_rows, d_x);
}

plm_status plm_model_evaluate(plm_model *model, plm_exec *x, const plm_batch *batch, float *ret_row_nll,
                              int32_t *ret_row_prediction) {
  plm_pass pass = begin(model, x);
  pass.row_invariant = true;
  const plm_objective *objective;
  PLM_TRY(find_objective(batch, &objective));
  if (objective == NULL) return PLM_OK;
  PLM_TRY(plm_inputs_load(&pass, &batch->encoder, objective));
  float *out; /* [M,C] */
  PLM_TRY(plm_encoder_forward(&pass, &out));
  PLM_TRY(plm_head_forward(&pass, out, &model->head));
  PLM_TRY(plm_head_loss(&pass, &model->head, true));
  if (ret_row_nll != NULL) PLM_TRY(plm_copy_to_host(&pass, ret_row_nll, model->head.row_nll, pass.in.M, PLM_F32));
  if (ret_row_prediction != NULL)
    PLM_TRY(plm_copy_to_host(&pass, ret_row_prediction, model->head.row_prediction, pass.in.M, PLM_I32));
  return PLM_OK;
}

/* Layers that a request needs: all for the logits and the last state, which is after the final norm. */
static int64_t count_layers(const plm_forward_request *request, int64_t L) {
  if (request->logits != NULL) return L;
  int64_t last = request->hidden == NULL ? 0 : L;
  while (last > 0 && request->hidden[last] == NULL) last--;
  return last;
}

static plm_status give_last_hidden(const plm_pass *pass, const float *x) {
  plm_model *model = pass->model;
  int64_t N = pass->in.N, C = model->config.hidden_size, L = model->config.num_hidden_layers;
  if (pass->layers < L || pass->request->hidden == NULL || pass->request->hidden[L] == NULL) return PLM_OK;
  size_t mark = plm_stack_mark(&model->stack);
  float *normed; /* [N,C], in F32 whatever the storage type */
  PLM_TRY(PLM_TAKE(&model->stack, N * C, PLM_F32, &normed));
  PLM_TRY(plm_norm_apply(pass, &model->final_norm, N, x, PLM_F32, normed, PLM_F32, NULL, NULL));
  PLM_TRY(plm_copy_to_host(pass, pass->request->hidden[L], normed, N * C, PLM_F32));
  plm_stack_release(&model->stack, mark);
  return PLM_OK;
}

plm_status plm_model_forward(plm_model *model, plm_exec *x, const plm_tokens *tokens,
                             const plm_forward_request *request) {
  PLM_ASSERT(model->options.all_rows);
  if (tokens->N == 0) return PLM_OK;
  plm_pass pass = begin(model, x);
  pass.row_invariant = true;
  pass.request = request;
  pass.layers = count_layers(request, pass.layers);
  PLM_TRY(plm_inputs_load(&pass, tokens, NULL));
  float *out; /* [N,C] */
  PLM_TRY(plm_encoder_forward(&pass, &out));
  PLM_TRY(give_last_hidden(&pass, out));
  if (request->logits == NULL) return PLM_OK;
  PLM_TRY(plm_head_forward(&pass, out, &model->head));
  return plm_copy_to_host(&pass, request->logits, model->head.logits, pass.in.N * model->config.vocab_size, PLM_F32);
}

plm_status plm_model_zero_gradient(plm_model *model, plm_exec *x) {
  PLM_ASSERT(model->options.training);
  return x->ops->fill(
      x, &(plm_fill_args){.to = model->gradient, .bytes = model->params->train_size * (int64_t)sizeof(float)});
}

plm_status plm_model_reset_sums(plm_model *model, plm_exec *x) {
  return x->ops->fill(x, &(plm_fill_args){.to = model->sums, .bytes = (int64_t)sizeof(plm_loss_sums)});
}

plm_status plm_model_read_sums(plm_model *model, plm_exec *x, plm_loss_sums *ret_sums) {
  PLM_TRY(x->device->synchronize(x->device));
  return x->device->copy(x->device, ret_sums, model->sums, sizeof *ret_sums, PLM_COPY_TO_HOST);
}
