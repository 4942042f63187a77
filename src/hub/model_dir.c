/* model_dir.c - what a model's name means, its configuration, and writing a directory that from_pretrained opens. */
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "base/json.h"
#include "hub/internal.h"

plm_status plm_model_dir_resolve(const char *name, char **ret_directory) {
  if (name[0] == '\0') return plm_fail(PLM_E_USAGE, "the name of a model is empty");
  if (plm_file_is_directory(name)) return plm_strdup(name, ret_directory);
  if (plm_model_is_preset(name))
    return plm_hint(plm_fail(PLM_E_USAGE, "'%s' is a preset: a shape with random weights, not a model", name),
                    "the published model is called facebook/%s_UR50D", name);
  if (plm_file_exists(name)) return plm_mistake_file(name);
  char id[128];
  if (plm_hub_id_within(name, id)) return plm_hub_cache_find(id, ret_directory);
  PLM_TRY(plm_mistake_address(name));
  PLM_TRY(plm_hub_check_family(name));
  const char *nearest = plm_hub_nearest("facebook", name, id) ? id : NULL;
  if (nearest != NULL)
    return plm_hint(plm_fail(PLM_E_INPUT, "there is no model '%s': no such directory", name), "did you mean %s?", id);
  nearest = plm_model_nearest_preset(name);
  plm_status status = plm_fail(PLM_E_INPUT, "there is no model '%s': no such directory", name);
  if (nearest != NULL) return plm_hint(status, "did you mean the preset %s?", nearest);
  return plm_hint(status, "a model is a directory, or a hub id such as facebook/esm2_t6_8M_UR50D");
}

plm_status plm_model_dir_read_config(const char *directory, plm_model_config *ret_config) {
  char *path;
  json_t *document = NULL;
  plm_status status;
  PLM_TRY(plm_path_join(directory, "config.json", &path));
  if (!plm_file_exists(path)) {
    status = plm_mistake_directory(directory);
    goto out;
  }
  status = plm_json_load(path, &document);
  if (status == PLM_OK) status = plm_model_config_read(document, path, ret_config);
  if (status == PLM_E_INPUT) status = plm_mistake_explain(path, status);
  PLM_TRY_GOTO(status, out);
  status = plm_vocabulary_read(directory, ret_config);
out:
  json_decref(document);
  plm_free(path);
  return status;
}

static plm_status save_config(const char *directory, const plm_model_config *config, const plm_save_options *options) {
  json_t *ours, *document = NULL;
  PLM_TRY(plm_model_config_write(config, &ours));
  plm_status status = PLM_OK;
  if (options->half && json_object_set_new(ours, "torch_dtype", json_string("bfloat16")) != 0)
    status = plm_fail(PLM_E_RESOURCE, "out of memory writing config.json");
  if (status == PLM_OK && options->origin != NULL) status = plm_model_origin_config(options->origin, ours, &document);
  if (status == PLM_OK)
    status = plm_json_create(directory, "config.json", document != NULL ? document : ours, NULL, NULL);
  json_decref(document);
  json_decref(ours);
  return status;
}

static plm_status save_weights(const char *directory, const plm_model *model, const plm_save_options *options) {
  plm_tensor_list tensors;
  PLM_TRY(plm_model_tensors(model, options->half, &tensors));
  plm_status status = plm_safetensors_write_sharded(directory, &tensors, options->max_shard_bytes);
  plm_tensor_list_free(&tensors);
  return status;
}

plm_status plm_model_dir_save(const char *directory, const plm_model *model, const plm_save_options *options) {
  const plm_model_config *config = plm_model_get_config(model);
  PLM_TRY(save_config(directory, config, options));
  PLM_TRY(plm_tokenizer_files_write(directory, config->alphabet, options->origin));
  if (options->weights) PLM_TRY(save_weights(directory, model, options));
  return plm_directory_sync(directory);
}
