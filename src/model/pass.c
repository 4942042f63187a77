/* pass.c - the passes that model.h promises, around the family's forward and backward; what a pass gives back; buckets;
 * the step's scalars. */
#include "model/blocks.h"

/* ---- buckets ---- */

plm_status plm_bucket_needed(const plm_pass *pass, int bucket) { return plm_model_arrive(pass->model, bucket); }

plm_status plm_bucket_ready(const plm_pass *pass, int bucket) {
  const plm_bucket_hooks *hooks = pass->hooks;
  return hooks != NULL ? hooks->ready(hooks->user, bucket) : PLM_OK;
}

/* A rank without rows takes part in every exchange, in the same order as the others. */
static plm_status pass_all_buckets(const plm_pass *pass) {
  int buckets = pass->model->params->bucket_count;
  for (int b = 0; b < buckets; b++) PLM_TRY(plm_bucket_needed(pass, b));
  for (int b = buckets - 1; b >= 0; b--) PLM_TRY(plm_bucket_ready(pass, b));
  return PLM_OK;
}

/* ---- what is read, and given ---- */

const plm_rows *plm_pass_queries(const plm_pass *pass, int64_t layer) {
  return plm_layer_reads_fewer(pass->model, layer) ? &pass->in.read : &pass->in.all;
}

bool plm_pass_reads_head(const plm_pass *pass) {
  return pass->request == NULL || pass->in.targets != NULL || pass->request->logits != NULL;
}

static bool reads_hidden(const plm_pass *pass, int64_t i) {
  return pass->request != NULL && pass->request->hidden != NULL && pass->request->hidden[i] != NULL;
}

plm_status plm_pass_give(const plm_pass *pass, void *to, const void *from, int64_t count, plm_dtype dtype) {
  plm_device *device = pass->x->device;
  if (pass->x->dry || to == NULL || count == 0) return PLM_OK;
  return device->copy(device, to, from, (size_t)count * plm_dtype_size(dtype), PLM_COPY_TO_HOST);
}

plm_status plm_pass_give_hidden(const plm_pass *pass, int64_t i, const float *x) {
  if (!reads_hidden(pass, i)) return PLM_OK;
  return plm_pass_give(pass, pass->request->hidden[i], x, pass->in.N * pass->model->config.hidden_size, PLM_F32);
}

plm_status plm_pass_give_last_hidden(const plm_pass *pass, const plm_norm *norm, const float *x) {
  plm_stack *stack = &pass->model->stack;
  const int64_t N = pass->in.N, C = pass->model->config.hidden_size, L = pass->model->config.num_hidden_layers;
  if (!reads_hidden(pass, L)) return PLM_OK;
  size_t mark = plm_stack_mark(stack);
  float *normed; /* [N,C] */
  PLM_TRY(PLM_TAKE(stack, N * C, PLM_F32, &normed));
  PLM_TRY(plm_norm_apply(pass, norm, N, x, PLM_F32, normed, PLM_F32, NULL, NULL));
  PLM_TRY(plm_pass_give_hidden(pass, L, normed));
  plm_stack_release(stack, mark);
  return PLM_OK;
}

/* Layers that a pass needs: all for the head and the last state, which is after the final norm. */
static int64_t count_layers(const plm_pass *pass) {
  int64_t last = pass->model->config.num_hidden_layers;
  if (plm_pass_reads_head(pass)) return last;
  while (last > 0 && !reads_hidden(pass, last)) last--;
  return last;
}

/* ---- passes ---- */

/* The batch's one objective, or NULL when there is nothing to predict. */
static plm_status find_objective(const plm_model *model, const plm_batch *batch, const plm_objective **ret_objective) {
  const char *family = model->config.family->words;
  *ret_objective = NULL;
  if (batch->has_decoder) return plm_fail(PLM_E_UNSUPPORTED, "%s has no decoder", family);
  if (batch->objective_count == 0 || batch->encoder.N == 0) return PLM_OK;
  const plm_objective *objective = &batch->objectives[0];
  if (batch->objective_count != 1 || objective->kind != PLM_LOSS_CROSS_ENTROPY || objective->weight != 1.0)
    return plm_fail(PLM_E_UNSUPPORTED, "%s trains on one masked-language objective of weight 1", family);
  if (objective->M > 0) *ret_objective = objective;
  return PLM_OK;
}

plm_status plm_model_forward_backward(plm_model *model, plm_exec *x, const plm_batch *batch,
                                      const plm_bucket_hooks *hooks) {
  PLM_ASSERT(model->options.training);
  plm_pass pass = {.model = model, .x = x, .keep = true, .hooks = hooks};
  const plm_objective *objective;
  PLM_TRY(find_objective(model, batch, &objective));
  if (objective == NULL) return pass_all_buckets(&pass);
  PLM_TRY(plm_inputs_load(&pass, &batch->encoder, objective));
  pass.layers = count_layers(&pass);
  PLM_TRY(model->config.family->forward(&pass));
  return model->config.family->backward(&pass);
}

plm_status plm_model_infer(plm_model *model, plm_exec *x, const plm_batch *batch, const plm_request *request) {
  plm_pass pass = {.model = model, .x = x, .row_invariant = true, .request = request};
  const plm_objective *objective;
  PLM_TRY(find_objective(model, batch, &objective));
  if (batch->encoder.N == 0 || (objective == NULL && batch->objective_count > 0)) return PLM_OK;
  PLM_ASSERT(objective != NULL ? request->hidden == NULL : model->options.all_rows);
  PLM_TRY(plm_inputs_load(&pass, &batch->encoder, objective));
  pass.layers = count_layers(&pass);
  return model->config.family->forward(&pass);
}

plm_status plm_model_zero_gradient(plm_model *model, plm_exec *x) {
  PLM_ASSERT(model->options.training);
  const plm_fill_args args = {
      .to = model->gradient,
      .bytes = model->params->train_size * (int64_t)sizeof(float),
  };
  return x->ops->fill(x, &args);
}

/* ---- the step's scalars ---- */

plm_status plm_model_reset_sums(plm_model *model, plm_exec *x) {
  return x->ops->fill(x, &(plm_fill_args){.to = model->sums, .bytes = (int64_t)sizeof *model->sums});
}

plm_status plm_model_read_sums(plm_model *model, plm_exec *x, plm_step_sums *ret_sums) {
  return x->device->copy(x->device, ret_sums, model->sums, sizeof *ret_sums, PLM_COPY_TO_HOST);
}
