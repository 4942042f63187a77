/* model_load.c - weights of a model directory into a model: found, renamed, checked, converted. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "hub/internal.h"
#include "protlm/log.h"

/* ---- finding the weights (model_spec 2.1) ---- */

static plm_status path_if_there(const char *directory, const char *name, char **ret_path) {
  PLM_TRY(plm_path_join(directory, name, ret_path));
  if (plm_file_exists(*ret_path)) return PLM_OK;
  plm_free(*ret_path);
  *ret_path = NULL;
  return PLM_OK;
}

/* After a failure to read them: what a file of weights is instead, the index or a shard too. */
static plm_status explain_weights(const char *directory, plm_status failure) {
  char **names;
  size_t count;
  plm_error_record first;
  plm_status status = PLM_OK;
  plm_error_take(failure, &first);
  if (plm_directory_list(directory, &names, &count) != PLM_OK) return plm_error_give(&first);
  for (size_t i = 0; i < count && status == PLM_OK; i++) {
    char *path = NULL;
    if (strstr(names[i], ".safetensors") == NULL) continue;
    status = plm_path_join(directory, names[i], &path);
    if (status == PLM_OK) status = plm_mistake_explain(path, PLM_OK);
    plm_free(path);
  }
  plm_names_free(names, count);
  return status != PLM_OK ? status : plm_error_give(&first);
}

static plm_status open_weights(const char *directory, const plm_family *family, plm_safetensors **ret_file) {
  static const struct {
    const char *name;
    plm_status (*open)(const char *path, plm_safetensors **ret_file);
  } kinds[] = {{"model.safetensors", plm_safetensors_open},
               {"model.safetensors.index.json", plm_safetensors_open_index}};
  for (size_t i = 0; i < 2; i++) {
    char *path;
    PLM_TRY(path_if_there(directory, kinds[i].name, &path));
    if (path == NULL) continue;
    plm_status status = kinds[i].open(path, ret_file);
    plm_free(path);
    return status == PLM_E_INPUT ? explain_weights(directory, status) : status;
  }
  return plm_mistake_weights(directory, family);
}

/* ---- one parameter ---- */

typedef struct loader {
  const char *directory;
  plm_model *model;
  const plm_safetensors *file;
  plm_named_tensor *tensors;
  float *values; /* room for the largest parameter */
  const plm_parameter_sink *sink;
  plm_load_report report;
} loader;

static plm_status check_shape(const loader *l, const plm_param *p, const plm_tensor_info *info) {
  bool is_same = info->dims == p->dims;
  for (int i = 0; i < p->dims && is_same; i++) is_same = info->shape[i] == p->shape[i];
  if (is_same) return PLM_OK;
  char found[PLM_SHAPE_TEXT], expected[PLM_SHAPE_TEXT];
  return plm_hint(
      plm_fail(PLM_E_INPUT, "%s: tensor '%s' has shape %s, but by config.json it is %s", plm_safetensors_path(l->file),
               info->name, plm_shape_text(info->dims, info->shape, found), plm_shape_text(p->dims, p->shape, expected)),
      "config.json and weights are of two different models");
}

/* transformers' resize_token_embeddings gives the embedding rows for new tokens and leaves the bias of ESM's head as short
 * as it was, so that it cannot open what it has saved. The new tokens' biases begin at 0. */
static bool is_short_bias(const loader *l, const plm_param *p, const plm_tensor_info *info) {
  const plm_model_config *config = plm_model_get_config(l->model);
  const char *head = config->family->head;
  return p->role == PLM_ROLE_BIAS && p->dims == 1 && info->dims == 1 && p->shape[0] == config->vocab_size &&
         info->shape[0] == plm_family_alphabet(config->family)->size && info->shape[0] < p->shape[0] &&
         strncmp(p->name, head, strlen(head)) == 0;
}

static void pad_bias(const loader *l, const plm_param *p, const plm_tensor_info *info, float *values) {
  for (int64_t i = info->shape[0]; i < p->shape[0]; i++) values[i] = 0;
  plm_warn(
      "%s: tensor '%s' has %lld values where config.json has %lld tokens, as transformers' "
      "resize_token_embeddings leaves it; those that are missing are taken as 0",
      plm_safetensors_path(l->file), info->name, (long long)info->shape[0], (long long)p->shape[0]);
}

static plm_status read_values(const loader *l, const plm_param *p, const plm_tensor_info *info, float *values) {
  const bool is_short = is_short_bias(l, p, info);
  if (!is_short) PLM_TRY(check_shape(l, p, info));
  PLM_TRY(plm_tensor_to_f32(l->file, info, values));
  if (is_short) pad_bias(l, p, info, values);
  for (int64_t i = 0; i < p->count; i++)
    if (!isfinite(values[i]))
      return plm_fail(PLM_E_INPUT, "%s: tensor '%s' holds %s at element %lld", plm_safetensors_path(l->file),
                      info->name, isnan(values[i]) ? "NaN" : "an infinity", (long long)i);
  return PLM_OK;
}

/* The same parameter under a second name, or once per layer. */
static plm_status check_duplicate(const loader *l, const plm_param *p, const plm_named_tensor *first,
                                  const plm_named_tensor *other) {
  float *values;
  PLM_TRY(PLM_NEW(&values, p->count));
  plm_status status = read_values(l, p, other->info, values);
  bool is_same = status == PLM_OK && memcmp(values, l->values, (size_t)p->count * sizeof *values) == 0;
  plm_free(values);
  PLM_TRY(status);
  if (is_same) return PLM_OK;
  if (p->role != PLM_ROLE_EMBEDDING)
    return plm_fail(PLM_E_INPUT, "%s: tensors '%s' and '%s' must be equal and are not", plm_safetensors_path(l->file),
                    first->info->name, other->info->name);
  plm_warn("%s: '%s' differs from '%s', to which it is tied; the latter is used", plm_safetensors_path(l->file),
           other->info->name, first->info->name);
  return PLM_OK;
}

/* It may be there with something before its name, as what wraps a model puts there. */
static plm_status fail_missing(const loader *l, const plm_param *p) {
  char shown[128];
  plm_status status = plm_fail(PLM_E_INPUT, "%s: tensor '%s' is missing", plm_safetensors_path(l->file), p->name);
  for (size_t i = 0; i < plm_safetensors_count(l->file); i++) {
    const char *name = plm_safetensors_at(l->file, i)->name;
    if (plm_hub_ends_with(name, p->name))
      return plm_hint(status,
                      "the file calls it '%s': save_pretrained() of the %s that is wrapped writes the names that are "
                      "read",
                      plm_printable(name, strlen(name), shown, sizeof shown),
                      plm_model_get_config(l->model)->family->architecture);
  }
  return status;
}

static plm_status fill_missing(loader *l, const plm_param *p) {
  const plm_model_config *config = plm_model_get_config(l->model);
  if (p->role == PLM_ROLE_INV_FREQ) {
    plm_model_config_inv_freq(config, l->values);
    snprintf(l->report.inv_freq_source, sizeof l->report.inv_freq_source, "%s",
             config->inv_freq_is_fp16 ? "fp16-rounded nominal" : "nominal");
    return PLM_OK;
  }
  if (p->role == PLM_ROLE_CONTACT) {
    memset(l->values, 0, (size_t)p->count * sizeof *l->values);
    l->report.missing_optional++;
    return PLM_OK;
  }
  const char *head = config->family->head;
  if (strncmp(p->name, head, strlen(head)) == 0)
    return plm_mistake_head(l->directory, config->family, plm_safetensors_path(l->file), p->name);
  return fail_missing(l, p);
}

/* The run of tensors that stand for parameter `name`; *ret_count 0 if none. */
static const plm_named_tensor *find_named(const loader *l, const char *name, size_t *ret_count) {
  size_t count = plm_safetensors_count(l->file), low = 0, high = count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const char *at = l->tensors[middle].name;
    if (at != NULL && strcmp(at, name) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  size_t end = low;
  while (end < count && l->tensors[end].name != NULL && strcmp(l->tensors[end].name, name) == 0) end++;
  *ret_count = end - low;
  return &l->tensors[low];
}

static plm_status load_param(loader *l, int index) {
  const plm_param *p = &plm_model_get_params(l->model)->items[index];
  size_t count;
  const plm_named_tensor *found = find_named(l, p->name, &count);
  if (count == 0) {
    PLM_TRY(fill_missing(l, p));
  } else {
    PLM_TRY(read_values(l, p, found[0].info, l->values));
    for (size_t i = 1; i < count; i++) PLM_TRY(check_duplicate(l, p, &found[0], &found[i]));
    for (size_t i = 0; i < count; i++) plm_file_let_go(found[i].info->data, (size_t)found[i].info->bytes);
    if (p->role == PLM_ROLE_INV_FREQ) snprintf(l->report.inv_freq_source, sizeof l->report.inv_freq_source, "file");
  }
  return l->sink->set(l->sink->user, index, l->values);
}

/* ---- the whole ---- */

/* Count what the file's names came to; say which tensors mean nothing to us. */
static void report_names(loader *l) {
  enum { MAX_LINES = 5 };
  int unknown = 0;
  for (size_t i = 0; i < plm_safetensors_count(l->file); i++) {
    const plm_named_tensor *t = &l->tensors[i];
    l->report.tensors++;
    l->report.renamed += t->renamed;
    if (t->name != NULL && plm_params_find(plm_model_get_params(l->model), t->name) != NULL) continue;
    l->report.ignored++;
    if (t->name != NULL && unknown++ < MAX_LINES)
      plm_warn("%s: tensor '%s' is not part of an %s masked-language model and is ignored",
               plm_safetensors_path(l->file), t->info->name, plm_model_get_config(l->model)->family->words);
  }
  if (unknown > MAX_LINES)
    plm_warn("%s: %d more %s ignored", plm_safetensors_path(l->file), unknown - MAX_LINES,
             plm_plural(unknown - MAX_LINES, "tensor is", "tensors are"));
}

static plm_status load_all(loader *l) {
  const plm_params *params = plm_model_get_params(l->model);
  int64_t largest = 0;
  for (int i = 0; i < params->count; i++) largest = params->items[i].count > largest ? params->items[i].count : largest;
  PLM_TRY(PLM_NEW(&l->values, largest));
  report_names(l);
  for (int i = 0; i < params->count; i++) PLM_TRY(load_param(l, i));
  return PLM_OK;
}

plm_status plm_model_dir_load_into(const char *directory, plm_model *model, const plm_parameter_sink *sink,
                                   plm_load_report *ret_report) {
  plm_safetensors *file = NULL;
  plm_arena *memory = NULL;
  plm_status status;
  loader l = {.directory = directory, .model = model, .sink = sink};
  const plm_family *family = plm_model_get_config(model)->family;
  PLM_TRY_GOTO(open_weights(directory, family, &file), out);
  PLM_TRY_GOTO(plm_arena_create(&memory), out);
  l.file = file;
  PLM_TRY_GOTO(plm_model_names_resolve(family, file, memory, &l.tensors), out);
  PLM_TRY_GOTO(load_all(&l), out);
  *ret_report = l.report;
out:
  plm_free(l.values);
  plm_free(l.tensors);
  plm_arena_destroy(memory);
  plm_safetensors_close(file);
  return status;
}

static plm_status set_parameter(void *user, int index, const float *values) {
  return plm_model_set(user, index, values);
}

plm_status plm_model_dir_load(const char *directory, plm_model *model, plm_load_report *ret_report) {
  const plm_parameter_sink sink = {.set = set_parameter, .user = model};
  return plm_model_dir_load_into(directory, model, &sink, ret_report);
}

/* ---- a directory that we wrote ---- */

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
  if (saved.alphabet != ours->alphabet)
    return plm_fail(PLM_E_CHECKPOINT, "%s is of a model with other tokens than this run's", path);
  if (saved.layer_norm_eps != ours->layer_norm_eps)
    return plm_fail(PLM_E_CHECKPOINT, "%s is of a model with layer_norm_eps %g; this run's has %g", path,
                    saved.layer_norm_eps, ours->layer_norm_eps);
  return PLM_OK;
}

/* plm_model_dir_load passes over tensors it has no use for, and makes up some that are lacking (heads, buffers of other
 * versions). A directory of ours has exactly the tensors that we write. */
static plm_status check_names(const char *directory, const plm_model *model) {
  plm_tensor_list expected = {0};
  char *weights;
  PLM_TRY(plm_path_join(directory, "model.safetensors", &weights));
  plm_status status = plm_model_tensors(model, false, &expected);
  if (status == PLM_OK) status = plm_tensor_list_read(&expected, weights);
  plm_tensor_list_free(&expected);
  plm_free(weights);
  return status;
}

plm_status plm_model_dir_load_own_into(const char *directory, plm_model *model, const plm_parameter_sink *sink) {
  plm_load_report report;
  PLM_TRY(check_config(directory, plm_model_get_config(model)));
  PLM_TRY(check_names(directory, model));
  return plm_model_dir_load_into(directory, model, sink, &report);
}

plm_status plm_model_dir_load_own(const char *directory, plm_model *model) {
  const plm_parameter_sink sink = {.set = set_parameter, .user = model};
  return plm_model_dir_load_own_into(directory, model, &sink);
}
