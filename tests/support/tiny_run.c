/* tiny_run.c - each step has values of its own, so that a mixture of two is noticed. */
#include "support/tiny_run.h"

#include <stdio.h>

#include "base/rng.h"
#include "kernels/cpu/backend_cpu.h"
#include "runlog/metrics.h"
#include "support/guarded.h"

static plm_model_config tiny_config(int64_t hidden_size) {
  return (plm_model_config){
      .family = &plm_family_esm2,
      .alphabet = plm_alphabet_esm2(),
      .vocab_size = 33,
      .hidden_size = hidden_size,
      .num_hidden_layers = 1,
      .num_attention_heads = 2,
      .head_width = hidden_size / 2,
      .intermediate_size = 2 * hidden_size,
      .layer_norm_eps = 1e-5,
      .initializer_range = 0.02,
      .token_dropout = true,
      .mask_token_id = 32,
      .pad_token_id = 1,
      .max_position_embeddings = 1026,
  };
}

void tiny_run_create(tiny_run *run, const char *name, int64_t hidden_size, bool guarded) {
  const plm_model_config config = tiny_config(hidden_size);
  const plm_model_options options = {.dtype = PLM_F32, .training = true, .max_tokens = 8, .max_length = 8};
  *run = (tiny_run){0};
  snprintf(run->directory, sizeof run->directory, "%s", scratch_path(name));
  assert_ok(plm_directory_make(run->directory));
  assert_ok(guarded ? plm_device_guarded_create(&run->device) : plm_device_cpu_create(&run->device));
  assert_ok(plm_exec_create_cpu(run->device, 1, "ref", &run->exec));
  if (guarded) run->exec->ops = plm_ops_guarded(plm_ops_ref());
  assert_ok(plm_model_create(&config, &options, run->exec, &run->model));
  assert_ok(plm_optimiser_create(run->model, run->exec, &(plm_optimiser_options){.beta1 = 0.9}, &run->optimiser));
}

void tiny_run_destroy(tiny_run *run) {
  plm_optimiser_destroy(run->optimiser);
  plm_model_destroy(run->model);
  plm_exec_destroy(run->exec);
  plm_device_destroy(run->device);
}

/* ---- the content of a step ---- */

enum { WEIGHT, FIRST_MOMENT, SECOND_MOMENT, KINDS };

static void make_values(int64_t step, int kind, int param, int64_t count, float *values) {
  for (int64_t i = 0; i < count; i++)
    values[i] =
        (float)(plm_rng_unit(
                    plm_rng((uint64_t)step, PLM_RNG_INIT, (uint64_t)i, (uint32_t)param, (uint32_t)kind).word[0]) -
                0.5);
}

static const plm_tensor_info *state_of(const plm_tensor_list *states, const char *param, const char *suffix) {
  char name[160];
  snprintf(name, sizeof name, "%s%s", param, suffix);
  for (size_t i = 0; i < states->count; i++)
    if (strcmp(states->items[i].name, name) == 0) return &states->items[i];
  return NULL;
}

static const char *const suffixes[] = {[FIRST_MOMENT] = ".exp_avg", [SECOND_MOMENT] = ".exp_avg_sq"};

static void put(tiny_run *run, const plm_tensor_list *states, int kind, int index, const float *values) {
  const plm_param *param = &plm_model_get_params(run->model)->items[index];
  if (kind == WEIGHT)
    assert_ok(plm_model_set(run->model, index, values));
  else if (param->train_offset >= 0)
    assert_ok(states->take(states->user, state_of(states, param->name, suffixes[kind]), values));
}

static void compare(tiny_run *run, const plm_tensor_list *states, int kind, int index, const float *expected,
                    int64_t step) {
  const plm_param *param = &plm_model_get_params(run->model)->items[index];
  size_t bytes = (size_t)param->count * sizeof(float);
  float *found;
  assert_ok(PLM_NEW(&found, param->count));
  if (kind == WEIGHT)
    assert_ok(plm_model_get(run->model, index, found));
  else if (param->train_offset >= 0)
    assert_ok(plm_tensor_list_fill(states, state_of(states, param->name, suffixes[kind]), found));
  else
    memcpy(found, expected, bytes);
  if (memcmp(found, expected, bytes) != 0)
    fail_msg("%s (kind %d) is not that of step %lld", param->name, kind, (long long)step);
  plm_free(found);
}

void tiny_run_poison_state(tiny_run *run, const char *param, const char *suffix, float value) {
  plm_tensor_list states;
  float *values;
  assert_ok(plm_optimiser_tensors(run->optimiser, &states));
  const plm_tensor_info *tensor = state_of(&states, param, suffix);
  assert_ok(PLM_NEW(&values, tensor->bytes / 4));
  assert_ok(plm_tensor_list_fill(&states, tensor, values));
  values[0] = value;
  assert_ok(states.take(states.user, tensor, values));
  plm_free(values);
  plm_tensor_list_free(&states);
}

static void for_each_value(tiny_run *run, int64_t step, bool is_check) {
  const plm_params *params = plm_model_get_params(run->model);
  plm_tensor_list states;
  assert_ok(plm_optimiser_tensors(run->optimiser, &states));
  for (int i = 0; i < params->count; i++)
    for (int kind = 0; kind < KINDS; kind++) {
      float *values;
      assert_ok(PLM_NEW(&values, params->items[i].count));
      make_values(step, kind, i, params->items[i].count, values);
      if (is_check)
        compare(run, &states, kind, i, values, step);
      else
        put(run, &states, kind, i, values);
      plm_free(values);
    }
  plm_tensor_list_free(&states);
}

void tiny_run_set(tiny_run *run, int64_t step) { for_each_value(run, step, false); }
void tiny_run_assert_is(tiny_run *run, int64_t step) { for_each_value(run, step, true); }

plm_status tiny_run_save(tiny_run *run, int64_t step) {
  const plm_trainer_state values = {
      .step = step,
      .max_steps = 9,
      .epoch = 0.5,
      .num_train_epochs = 3,
      .logging_steps = 1,
      .best_metric = 2.5,
  };
  json_t *history = NULL, *trainer_state = NULL, *protlm_state = NULL;
  plm_status status;
  history = json_array();
  protlm_state = json_pack("{s:I}", "step", (json_int_t)step);
  status = history == NULL || protlm_state == NULL ? PLM_E_RESOURCE
                                                   : plm_trainer_state_build(&values, history, &trainer_state);
  plm_training_parts parts = {0};
  if (status == PLM_OK) status = plm_training_parts_create(run->model, run->optimiser, NULL, &parts);
  if (status == PLM_OK) {
    const plm_checkpoint_content content = {
        .parts =
            {
                parts.items[0],
                parts.items[1],
                parts.items[2],
                {.name = PLM_CHECKPOINT_TRAINER_STATE, .document = trainer_state},
                {.name = PLM_CHECKPOINT_STATE, .document = protlm_state},
            },
        .count = 5,
        .overwrite = run->overwrite,
    };
    status = plm_checkpoint_save(run->directory, step, &content, NULL);
  }
  plm_training_parts_free(&parts);
  json_decref(history);
  json_decref(trainer_state);
  json_decref(protlm_state);
  return status;
}

/* ---- the run directory ---- */

plm_status tiny_run_load_newest(tiny_run *run, char **ret_path, json_t **ret_state) {
  int64_t step;
  char *path;
  *ret_path = NULL;
  PLM_TRY(plm_checkpoint_find_newest(run->directory, &path, &step));
  if (path == NULL) return PLM_OK;
  plm_status status = plm_training_load(path, run->model, run->optimiser, ret_state);
  if (status == PLM_OK)
    *ret_path = path;
  else
    plm_free(path);
  return status;
}

void tiny_run_remove(tiny_run *run, int64_t step) {
  char *path;
  assert_ok(plm_sprintf(&path, "%s/checkpoint-%lld", run->directory, (long long)step));
  assert_ok(plm_tree_remove(path));
  plm_free(path);
  assert_ok(plm_checkpoint_reclaim(run->directory));
}

bool tiny_run_has(tiny_run *run, int64_t step) {
  plm_checkpoint_info *list;
  size_t count;
  bool has = false;
  assert_ok(plm_checkpoint_list(run->directory, true, &list, &count));
  for (size_t i = 0; i < count; i++) has |= list[i].step == step && list[i].state == PLM_CHECKPOINT_GOOD;
  plm_checkpoint_list_free(list, count);
  return has;
}

int64_t tiny_run_check(tiny_run *run, int64_t newest, bool or_next, const char *what) {
  plm_checkpoint_info *list;
  size_t count;
  char *path;
  json_t *state;
  assert_ok(plm_checkpoint_list(run->directory, true, &list, &count));
  for (size_t i = 0; i < count; i++)
    if (list[i].state != PLM_CHECKPOINT_GOOD)
      fail_msg("after %s a bad checkpoint is listed: %s", what, list[i].problem);
  if (count == 0) fail_msg("after %s no checkpoint is left", what);
  int64_t found = list[0].step;
  if (found != newest && !(or_next && found == newest + 1))
    fail_msg("after %s the newest checkpoint is of step %lld", what, (long long)found);
  plm_checkpoint_list_free(list, count);

  tiny_run_set(run, 99);
  assert_ok(tiny_run_load_newest(run, &path, &state));
  tiny_run_assert_is(run, found);
  assert_int_equal(json_integer_value(json_object_get(state, "step")), found);
  json_decref(state);
  plm_free(path);
  return found;
}
