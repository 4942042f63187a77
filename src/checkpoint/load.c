/* load.c - a verified checkpoint back into a model and its optimiser. That it is whole has been checked
 * (list.c); that it is this model's, and ours, is checked here. */
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "checkpoint/internal.h"
#include "checkpoint/manifest.h"
#include "hub/internal.h"

/* ---- is it this model's? ---- */

static plm_status compare_size(const char *path, const char *name, int64_t saved, int64_t ours) {
  if (saved == ours) return PLM_OK;
  plm_status status = plm_fail(PLM_E_CHECKPOINT, "%s is of a model with %s %lld; this run's has %lld", path, name,
                               (long long)saved, (long long)ours);
  return plm_hint(status, "give the model that the run was started with, or another --output-dir");
}

static plm_status check_config(const char *path, const plm_model_config *ours) {
  plm_model_config saved;
  PLM_TRY(plm_model_dir_read_config(path, &saved));
  PLM_TRY(compare_size(path, "vocab_size", saved.vocab_size, ours->vocab_size));
  PLM_TRY(compare_size(path, "hidden_size", saved.hidden_size, ours->hidden_size));
  PLM_TRY(compare_size(path, "num_hidden_layers", saved.num_hidden_layers, ours->num_hidden_layers));
  PLM_TRY(compare_size(path, "num_attention_heads", saved.num_attention_heads, ours->num_attention_heads));
  PLM_TRY(compare_size(path, "intermediate_size", saved.intermediate_size, ours->intermediate_size));
  PLM_TRY(compare_size(path, "token_dropout", saved.token_dropout, ours->token_dropout));
  if (saved.layer_norm_eps != ours->layer_norm_eps)
    return plm_fail(PLM_E_CHECKPOINT, "%s is of a model with layer_norm_eps %g; this run's has %g", path,
                    saved.layer_norm_eps, ours->layer_norm_eps);
  return PLM_OK;
}

/* ---- the files ---- */

/* The loader of models passes over tensors it has no use for, and makes up some it lacks (heads, buffers of other
 * versions). A checkpoint of ours has exactly the tensors that we write. */
static plm_status check_tensors(const plm_safetensors *file, const plm_model_tensors *expected) {
  for (size_t i = 0; i < expected->count; i++)
    if (plm_safetensors_find(file, expected->entries[i].name) == NULL)
      return plm_fail(PLM_E_CHECKPOINT, "%s lacks %s", plm_safetensors_path(file), expected->entries[i].name);
  for (size_t i = 0; i < plm_safetensors_count(file); i++) {
    const char *name = plm_safetensors_at(file, i)->name;
    size_t k = 0;
    while (k < expected->count && strcmp(expected->entries[k].name, name) != 0) k++;
    if (k == expected->count)
      return plm_fail(PLM_E_CHECKPOINT, "%s holds %s, which this model has not", plm_safetensors_path(file), name);
  }
  return PLM_OK;
}

static plm_status load_weights(const char *path, plm_model *model) {
  char *weights = NULL;
  plm_safetensors *file = NULL;
  plm_model_tensors *expected = NULL;
  plm_load_report report;
  plm_status status;
  PLM_TRY_GOTO(plm_path_join(path, PLM_CHECKPOINT_WEIGHTS, &weights), done);
  PLM_TRY_GOTO(plm_safetensors_open(weights, &file), done);
  PLM_TRY_GOTO(plm_model_tensors_create(model, false, &expected), done);
  PLM_TRY_GOTO(check_tensors(file, expected), done);
  PLM_TRY_GOTO(plm_model_dir_load(path, model, &report), done);
done:
  plm_model_tensors_destroy(expected);
  plm_safetensors_close(file);
  plm_free(weights);
  return status;
}

static plm_status load_optimizer(const char *path, const plm_model *model, plm_exec *exec, plm_moments moments) {
  char *file;
  PLM_TRY(plm_path_join(path, PLM_CHECKPOINT_OPTIMIZER, &file));
  plm_status status = plm_optimizer_read(file, plm_model_get_params(model), exec, moments);
  plm_free(file);
  return status;
}

plm_status plm_checkpoint_read_state(const char *path, json_t **ret_state) {
  char *file;
  PLM_TRY(plm_path_join(path, PLM_CHECKPOINT_STATE, &file));
  plm_status status = plm_json_load(file, ret_state);
  plm_free(file);
  return plm_as_checkpoint_failure(status);
}

static plm_status load_all(const char *path, plm_model *model, plm_exec *exec, plm_moments moments,
                           json_t **ret_state) {
  plm_manifest manifest;
  PLM_TRY(plm_manifest_read(path, &manifest));
  if (strcmp(manifest.kind, "full") != 0)
    return plm_fail(PLM_E_CHECKPOINT, "%s is a checkpoint of kind '%s'; training goes on from kind 'full' only", path,
                    manifest.kind);
  PLM_TRY(plm_manifest_check(&manifest, path, false));
  PLM_TRY(check_config(path, plm_model_get_config(model)));
  PLM_TRY(load_weights(path, model));
  PLM_TRY(load_optimizer(path, model, exec, moments));
  return plm_checkpoint_read_state(path, ret_state);
}

plm_status plm_checkpoint_load(const char *path, plm_model *model, plm_exec *exec, plm_moments moments,
                               json_t **ret_state) {
  return plm_as_checkpoint_failure(load_all(path, model, exec, moments, ret_state));
}
