/* model.h - the two readings of a model that tests ask for most, in one call each. */
#ifndef TESTS_SUPPORT_MODEL_H
#define TESTS_SUPPORT_MODEL_H

#include "model/model.h"

/* Loss of a batch, and of each row where asked for. */
static inline plm_status model_evaluate(plm_model *model, plm_exec *x, const plm_batch *batch, float *nll,
                                        int32_t *prediction) {
  return plm_model_infer(model, x, batch, &(plm_request){.row_nll = nll, .row_prediction = prediction});
}

/* Every row of these tokens. */
static inline plm_status model_forward(plm_model *model, plm_exec *x, const plm_tokens *tokens,
                                       const plm_request *request) {
  const plm_batch batch = {.encoder = *tokens};
  return plm_model_infer(model, x, &batch, request);
}

/* Sums of the one objective. */
static inline plm_status model_read_sums(plm_model *model, plm_exec *x, plm_loss_sums *ret_sums) {
  plm_step_sums sums;
  *ret_sums = (plm_loss_sums){0};
  PLM_TRY(plm_model_read_sums(model, x, &sums));
  *ret_sums = sums.objective[0];
  return PLM_OK;
}

/* Necessary FLOPs of one training token at mean attended length t_mean, when a share `rows` of the tokens is read by
 * the loss: the last layer and the head don't work for the others. What plm_exec.flops must come to. */
static inline double model_train_flops(const plm_model_config *config, double t_mean, double rows) {
  double C = (double)config->hidden_size, F = (double)config->intermediate_size, V = (double)config->vocab_size;
  double L = (double)config->num_hidden_layers;
  double layer = 4 * C * C + 2 * C * F;
  double last = 2 * C * C + rows * (2 * C * C + 2 * C * F); /* k, v everywhere; q, output and FFN at the rows read */
  double head = rows * (C * C + V * C);
  return 6 * ((L - 1) * layer + last + head) + 12 * C * t_mean * (L - 1 + rows); /* forward 2, backward 4 */
}

#endif
