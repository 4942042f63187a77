/* model_dir.h - models as directories: what transformers writes, we read; what we write, transformers opens.
 *
 * A model is named by a directory, or by a hub id ("facebook/esm2_t6_8M_UR50D[@revision]"; "esm2_t6_8M_UR50D" means
 * facebook/...) that is looked up read-only and offline in the Hugging Face cache (HF_HUB_CACHE, HF_HOME/hub,
 * ~/.cache/huggingface/hub). Nothing is ever downloaded here; when it is absent the message gives the command that
 * would.
 */
#ifndef PLM_HUB_MODEL_DIR_H
#define PLM_HUB_MODEL_DIR_H

#include "formats/tensor_list.h"
#include "model/model.h"

/* The directory that `name` means. A preset's name is PLM_E_USAGE here ("random weights"). Free with plm_free. */
PLM_CHECKED plm_status plm_model_dir_resolve(const char *name, char **ret_directory);

/* The Hugging Face cache, whether it exists or not. Free with plm_free. */
PLM_CHECKED plm_status plm_model_hub_root(char **ret_root);

/* config.json of a directory, and its alphabet by the tokenizer files: the family's, which may have tokens more.
 * PLM_E_INPUT: it has another alphabet, or is no model's directory. */
PLM_CHECKED plm_status plm_model_dir_read_config(const char *directory, plm_model_config *ret_config);

/* What a continued model keeps of the directory it came from: its tokenizer files as they are, and config.json, in which
 * only what is no longer true is changed. */
typedef struct plm_model_origin plm_model_origin;
PLM_CHECKED plm_status plm_model_origin_read(const char *directory, plm_model_origin **ret_origin);
void plm_model_origin_free(plm_model_origin *origin); /* accepts NULL */

/* What loading found besides the plain case; for one log line each. */
typedef struct plm_load_report {
  int renamed, ignored, missing_optional;
  int64_t tensors;
  char inv_freq_source[32]; /* "file", "fp16-rounded nominal", "nominal" */
} plm_load_report;

/* Fill the model from model.safetensors, the sharded set, or a clear message (a pytorch_model.bin alone: how to
 * convert). All aliases of model_spec 2.5, 2.6 and 3.3. Missing, misshapen or non-finite required tensors are
 * PLM_E_INPUT by name. The caller then refreshes the model. */
PLM_CHECKED plm_status plm_model_dir_load(const char *directory, plm_model *model, plm_load_report *ret_report);

/* Where a parameter's values go as they are read, in the order of the table, each once: for who has more to do with them
 * than plm_model_set. */
typedef struct plm_parameter_sink {
  plm_status (*set)(void *user, int index, const float *values);
  void *user;
} plm_parameter_sink;
PLM_CHECKED plm_status plm_model_dir_load_into(const char *directory, plm_model *model, const plm_parameter_sink *sink,
                                               plm_load_report *ret_report);

/* Fill a model from a directory that plm_model_dir_save wrote for one just like it: PLM_E_CHECKPOINT names the
 * size in which the saved one differs, PLM_E_INPUT the tensor that is lacking, or too many. The caller then
 * refreshes the model. */
PLM_CHECKED plm_status plm_model_dir_load_own(const char *directory, plm_model *model);
PLM_CHECKED plm_status plm_model_dir_load_own_into(const char *directory, plm_model *model,
                                                   const plm_parameter_sink *sink);

/* The parameters as tensors by name, in table order, inv_freq once for each layer: F32, or BF16 with `half`. To be
 * written; reading is plm_model_dir_load's. `model` must outlive the list. Free with plm_tensor_list_free. */
PLM_CHECKED plm_status plm_model_tensors(const plm_model *model, bool half, plm_tensor_list *ret_list);

/* Write config.json, tokenizer files and (unless `weights` is false) model.safetensors (F32, or BF16 with half) into an
 * existing, empty directory. Sharded above max_shard_bytes (0 = never). Each file synced. */
typedef struct plm_save_options {
  bool weights, half;
  int64_t max_shard_bytes;
  const plm_model_origin *origin; /* NULL: from scratch */
} plm_save_options;
PLM_CHECKED plm_status plm_model_dir_save(const char *directory, const plm_model *model,
                                          const plm_save_options *options);

#endif
