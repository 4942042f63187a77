/* config.h - the shape of a model: Hugging Face's config.json in and out, presets. What a file must say, and what is
 * written, is the family's (family.h). */
#ifndef PLM_MODEL_CONFIG_H
#define PLM_MODEL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "protlm/status.h"

struct plm_alphabet;
struct plm_family;

typedef struct plm_model_config {
  const struct plm_family *family;
  const struct plm_alphabet *alphabet; /* the family's, with what the model's tokenizer adds (hub); never freed */
  int64_t vocab_size;                  /* V, rows of the embedding: at least the tokens of the alphabet */
  int64_t hidden_size;                 /* C */
  int64_t num_hidden_layers;           /* L */
  int64_t num_attention_heads;         /* H */
  int64_t head_width;                  /* D */
  int64_t intermediate_size;           /* F */
  double layer_norm_eps;
  double initializer_range;
  bool token_dropout; /* model_spec 3.4 */
  double dropout;     /* what the file asks for in training, the larger of its two; protlm applies none and writes 0 */
  int32_t mask_token_id, pad_token_id;
  int64_t max_position_embeddings; /* kept for the file; rotary does not enforce it */
  /* nominal inverse frequencies rounded to fp16, as the published ESM-2 (model_spec 3.5); from scratch: false */
  bool inv_freq_is_fp16;
} plm_model_config;

/* config.json to config, by the family that claims it. What cannot be honoured is refused with its name, value and what
 * is supported. `what` names the file in messages. PLM_E_INPUT. */
PLM_CHECKED plm_status plm_model_config_read(const json_t *document, const char *what, plm_model_config *ret_config);

/* The config.json that transformers 4 and 5 both open (model_spec 11). New reference, json_decref. */
PLM_CHECKED plm_status plm_model_config_write(const plm_model_config *config, json_t **ret_document);

/* "esm2_t6_8M" ... "esm2_t48_15B". Unknown: PLM_E_USAGE with the nearest. */
PLM_CHECKED plm_status plm_model_config_preset(const char *name, plm_model_config *ret_config);
bool plm_model_is_preset(const char *name);
const char *plm_model_nearest_preset(const char *name); /* NULL: none is near */

/* Check sizes against each other (C divisible by H, D even, all >= 1, no overflow). Messages use option names.
 * PLM_E_USAGE. */
PLM_CHECKED plm_status plm_model_config_check(const plm_model_config *config);

/* Nominal inverse frequencies 10000^(-2j/D), j < D/2, rounded through fp16 first when the config says so (model_spec
 * 3.5). */
void plm_model_config_inv_freq(const plm_model_config *config, float *ret_values);

/* ---- for families: members that config.json files of transformers share --------------------------------------------
 * Each reads from the object `what` names and refuses what it cannot take (PLM_E_INPUT). */

/* "config.json: position_embedding_type is "absolute"; supported: "rotary" (ESM-2)" */
PLM_CHECKED plm_status plm_config_refuse(const char *what, const json_t *value, const char *key, const char *supported);

/* A flag that must be false (absent and null mean false). */
PLM_CHECKED plm_status plm_config_require_false(const json_t *object, const char *what, const char *key,
                                                const char *supported);

/* vocab_size (at least `vocabulary`), hidden_size, num_hidden_layers, num_attention_heads, intermediate_size; the head
 * width that follows. */
PLM_CHECKED plm_status plm_config_read_sizes(const json_t *object, const char *what, int64_t vocabulary,
                                             plm_model_config *config);

/* layer_norm_eps, initializer_range, hidden_dropout_prob and attention_probs_dropout_prob; what the file leaves out
 * stays as it is in config. */
PLM_CHECKED plm_status plm_config_read_numbers(const json_t *object, const char *what, plm_model_config *config);

/* A token id inside the vocabulary; absent: *id stays. */
PLM_CHECKED plm_status plm_config_read_token(const json_t *object, const char *what, const char *key,
                                             const plm_model_config *config, int32_t *id);

/* rope_theta (transformers 4) or rope_parameters {rope_theta, rope_type, ...} (5): plain rotary of base 10000 only. */
PLM_CHECKED plm_status plm_config_check_rotary(const json_t *object, const char *what);

#endif
