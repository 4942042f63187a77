/* config.h - the shape of a model: Hugging Face's config.json in and out, presets, and the data that drives the one
 * encoder. */
#ifndef PLM_MODEL_CONFIG_H
#define PLM_MODEL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "protlm/status.h"

typedef enum plm_family { PLM_FAMILY_ESM2 } plm_family;

typedef struct plm_model_config {
  plm_family family;
  int64_t vocab_size;          /* V */
  int64_t hidden_size;         /* C */
  int64_t num_hidden_layers;   /* L */
  int64_t num_attention_heads; /* H */
  int64_t head_width;          /* D; ESM-2: C / H, even */
  int64_t intermediate_size;   /* F */
  double layer_norm_eps;
  double initializer_range;
  bool token_dropout; /* model_spec 3.4 */
  double dropout;     /* what the file asks for in training, the larger of its two; protlm applies none and writes 0 */
  int32_t mask_token_id, pad_token_id;
  int64_t max_position_embeddings; /* kept for the file; rotary does not enforce it */
  bool
      /* nominal inverse frequencies rounded to fp16, as the published ESM-2 (model_spec 3.5); from scratch: false */
      inv_freq_is_fp16;
} plm_model_config;

/* config.json (both transformers 4 and 5 spellings) to config. Everything of model_spec 3.1 that we cannot honour is
 * refused with its name, value and what is supported (folding models, absolute positions, untied embeddings, odd head
 * widths, rope_theta != 10000, ...). `what` names the file in messages. */
PLM_CHECKED plm_status plm_model_config_read(const json_t *document, const char *what, plm_model_config *ret_config);

/* The config.json that transformers 4 and 5 both open (model_spec 11). New reference, json_decref. */
PLM_CHECKED plm_status plm_model_config_write(const plm_model_config *config, json_t **ret_document);

/* "esm2_t6_8M" ... "esm2_t48_15B". Unknown: PLM_E_USAGE with the nearest. */
PLM_CHECKED plm_status plm_model_config_preset(const char *name, plm_model_config *ret_config);
bool plm_model_is_preset(const char *name);
const char *const *plm_model_preset_names(int *ret_count);

/* Check sizes against each other (C divisible by H, D even, all >= 1, no overflow). Messages use option names.
 * PLM_E_USAGE. */
PLM_CHECKED plm_status plm_model_config_check(const plm_model_config *config);

/* Nominal inverse frequencies 10000^(-2j/D), j < D/2, rounded through fp16 first when the config says so (model_spec
 * 3.5). */
void plm_model_config_inv_freq(const plm_model_config *config, float *ret_values);

/* Necessary FLOPs of one training token at mean attended length t_mean, when a share `rows` of the tokens is read by
 * the loss: the last layer and the head don't work for the others. What plm_exec.flops must come to. */
double plm_model_train_flops(const plm_model_config *config, double t_mean, double rows);

#endif
