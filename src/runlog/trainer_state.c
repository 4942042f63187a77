/* trainer_state.c - the members that transformers' TrainerState has known since 4.42 (it refuses unknown ones, and none
 * is newer), in its order. */
#include <math.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "runlog/metrics.h"

static json_t *number_or_null(double value) { return isfinite(value) ? json_real(value) : json_null(); }
static json_t *text_or_null(const char *text) { return text != NULL ? json_string(text) : json_null(); }

plm_status plm_trainer_state_build(const plm_trainer_state *values, json_t *history, json_t **ret_document) {
  struct {
    const char *name;
    json_t *value;
  } members[] = {
      {"best_metric", number_or_null(values->best_metric)},
      {"best_model_checkpoint", text_or_null(values->best_model_checkpoint)},
      {"epoch", number_or_null(values->epoch)},
      {"eval_steps", json_integer(values->eval_steps)},
      {"global_step", json_integer(values->step)},
      {"is_hyper_param_search", json_false()},
      {"is_local_process_zero", json_true()},
      {"is_world_process_zero", json_true()},
      {"log_history", json_incref(history)},
      {"logging_steps", json_integer(values->logging_steps)},
      {"max_steps", json_integer(values->max_steps)},
      {"num_input_tokens_seen", json_integer(values->tokens)},
      {"num_train_epochs", json_integer((json_int_t)ceil(values->num_train_epochs))},
      {"save_steps", json_integer(values->save_steps)},
      /* without it a Trainer that goes on from here cannot save */
      {"stateful_callbacks", json_pack("{s:{s:{}, s:{}}}", "TrainerControl", "args", "attributes")},
      {"total_flos", number_or_null(values->flops)},
      {"train_batch_size", json_integer(values->batch_sequences)},
      {"trial_name", json_null()},
      {"trial_params", json_null()},
  };
  json_t *document = json_object();
  int failed = document == NULL;
  for (size_t i = 0; i < sizeof members / sizeof *members; i++)
    failed |= json_object_set_new(document, members[i].name, members[i].value); /* frees the value when it fails */
  if (failed) {
    json_decref(document);
    return plm_fail(PLM_E_RESOURCE, "out of memory: trainer_state.json");
  }
  *ret_document = document;
  return PLM_OK;
}

size_t plm_trainer_state_lines(const char *checkpoint) {
  char *path = NULL;
  json_t *state = NULL;
  plm_status status = plm_path_join(checkpoint, "trainer_state.json", &path);
  if (status == PLM_OK) status = plm_json_load(path, &state);
  size_t count = status == PLM_OK ? json_array_size(json_object_get(state, "log_history")) : 0;
  if (status != PLM_OK) plm_error_clear();
  json_decref(state);
  plm_free(path);
  return count;
}
