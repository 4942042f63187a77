/* presets.c - the six published ESM-2 shapes, for training from scratch. */
#include <string.h>

#include "base/text.h"
#include "model/config.h"

static const char *const names[] = {"esm2_t6_8M",    "esm2_t12_35M", "esm2_t30_150M",
                                    "esm2_t33_650M", "esm2_t36_3B",  "esm2_t48_15B"};
enum { PRESETS = sizeof names / sizeof *names };

/* In the order of the names. */
typedef struct preset {
  int64_t layers, width, heads;
} preset;
static const preset presets[PRESETS] = {{6, 320, 20},   {12, 480, 20},  {30, 640, 20},
                                        {33, 1280, 20}, {36, 2560, 40}, {48, 5120, 40}};

const char *const *plm_model_preset_names(int *ret_count) {
  *ret_count = PRESETS;
  return names;
}

static const preset *find_preset(const char *name) {
  for (int i = 0; i < PRESETS; i++)
    if (strcmp(names[i], name) == 0) return &presets[i];
  return NULL;
}

bool plm_model_is_preset(const char *name) { return find_preset(name) != NULL; }

plm_status plm_model_config_preset(const char *name, plm_model_config *ret_config) {
  const preset *found = find_preset(name);
  if (found == NULL) {
    plm_status status = plm_fail(PLM_E_USAGE, "there is no model preset '%s'", name);
    const char *nearest = plm_nearest_name(name, names, PRESETS);
    return nearest != NULL ? plm_hint(status, "did you mean '%s'?", nearest)
                           : plm_hint(status, "presets run from %s to %s", names[0], names[PRESETS - 1]);
  }
  *ret_config = (plm_model_config){
      .family = PLM_FAMILY_ESM2,
      .vocab_size = 33,
      .hidden_size = found->width,
      .num_hidden_layers = found->layers,
      .num_attention_heads = found->heads,
      .head_width = found->width / found->heads,
      .intermediate_size = 4 * found->width,
      .layer_norm_eps = 1e-5,
      .initializer_range = 0.02,
      .token_dropout = true,
      .mask_token_id = 32,
      .pad_token_id = 1,
      .max_position_embeddings = 1026,
      .inv_freq_is_fp16 = false,
  };
  return PLM_OK;
}
