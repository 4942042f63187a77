/* model_names.c - the many names that one ESM-2 tensor has had, brought to the one in our table.
 *
 *   module.X, _orig_mod.X                         X      (DDP, torch.compile)
 *   model.X, if every name has it                 X
 *   embeddings.X, encoder.X, ... (from EsmModel)  esm.X
 *   ...LayerNorm.gamma, .beta                     ...LayerNorm.weight, .bias  (written by transformers 5 and by TF-era
 *                                                 files)
 *   esm.encoder.layer.{i or *}.attention.self.rotary_embeddings.inv_freq      esm.rotary_embeddings.inv_freq
 *   lm_head.decoder.weight, lm_head.decoder.bias  the token embedding, lm_head.bias   (tied)
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "hub/internal.h"

static bool starts_with(const char *text, const char *start) { return strncmp(text, start, strlen(start)) == 0; }

static bool ends_with(const char *text, const char *end) {
  size_t length = strlen(text), tail = strlen(end);
  return length >= tail && strcmp(text + length - tail, end) == 0;
}

static const char *strip_wrappers(const char *name) {
  for (;;) {
    if (starts_with(name, "module."))
      name += strlen("module.");
    else if (starts_with(name, "_orig_mod."))
      name += strlen("_orig_mod.");
    else
      return name;
  }
}

static bool have_all_model_prefix(const plm_safetensors *file) {
  for (size_t i = 0; i < plm_safetensors_count(file); i++)
    if (!starts_with(strip_wrappers(plm_safetensors_at(file, i)->name), "model.")) return false;
  return true;
}

/* esm.encoder.layer.12.attention.self.rotary_embeddings.inv_freq, and with a literal asterisk for the number. */
static bool is_layer_inv_freq(const char *name) {
  static const char start[] = "esm.encoder.layer.";
  if (!starts_with(name, start)) return false;
  const char *rest = name + strlen(start);
  if (*rest == '*')
    rest++;
  else
    while (isdigit((unsigned char)*rest)) rest++;
  return strcmp(rest, ".attention.self.rotary_embeddings.inv_freq") == 0;
}

/* Tensors that published files carry and an ESM-2 does not use: positions are rotary, and the pooler was never trained.
 * */
static bool is_useless(const char *name) {
  return strcmp(name, "esm.embeddings.position_embeddings.weight") == 0 ||
         strcmp(name, "esm.embeddings.position_ids") == 0 || starts_with(name, "esm.pooler.");
}

static plm_status join(plm_arena *memory, const char *a, size_t a_bytes, const char *b, const char **ret_text) {
  void *room = NULL;
  size_t b_bytes = strlen(b);
  PLM_TRY(plm_arena_alloc(memory, a_bytes + b_bytes + 1, &room));
  char *text = room;
  memcpy(text, a, a_bytes);
  memcpy(text + a_bytes, b, b_bytes);
  *ret_text = text;
  return PLM_OK;
}

/* Every rule but the tied names, in the order of model_spec 2.5. */
static plm_status rename_plainly(const char *name, bool strip_model, plm_arena *memory, const char **ret_name) {
  static const char *const bare[] = {"embeddings.", "encoder.", "rotary_embeddings.", "contact_head.", "pooler."};
  name = strip_wrappers(name);
  if (strip_model) name += strlen("model.");
  for (size_t i = 0; i < sizeof bare / sizeof *bare; i++)
    if (starts_with(name, bare[i])) {
      PLM_TRY(join(memory, "esm.", 4, name, &name));
      break;
    }
  if (ends_with(name, "LayerNorm.gamma")) PLM_TRY(join(memory, name, strlen(name) - strlen("gamma"), "weight", &name));
  if (ends_with(name, "LayerNorm.beta")) PLM_TRY(join(memory, name, strlen(name) - strlen("beta"), "bias", &name));
  *ret_name = is_layer_inv_freq(name) ? "esm.rotary_embeddings.inv_freq" : name;
  return PLM_OK;
}

static plm_status resolve_name(const plm_tensor_info *info, bool strip_model, plm_arena *memory,
                               plm_named_tensor *ret_tensor) {
  static const char *const aliases[][2] = {
      {"lm_head.decoder.weight", "esm.embeddings.word_embeddings.weight"},
      {"lm_head.decoder.bias", "lm_head.bias"},
  };
  const char *name;
  PLM_TRY(rename_plainly(info->name, strip_model, memory, &name));
  *ret_tensor = (plm_named_tensor){.name = is_useless(name) ? NULL : name, .info = info};
  for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
    if (strcmp(name, aliases[i][0]) == 0) {
      ret_tensor->name = aliases[i][1];
      ret_tensor->is_alias = true;
    }
  ret_tensor->renamed = ret_tensor->name != NULL && strcmp(ret_tensor->name, info->name) != 0;
  return PLM_OK;
}

static int compare(const void *a, const void *b) {
  const plm_named_tensor *x = a, *y = b;
  if (x->name == NULL || y->name == NULL) return (x->name == NULL) - (y->name == NULL);
  int order = strcmp(x->name, y->name);
  if (order == 0) order = x->is_alias - y->is_alias;
  return order != 0 ? order : strcmp(x->info->name, y->info->name);
}

plm_status plm_model_names_resolve(const plm_safetensors *file, plm_arena *memory, plm_named_tensor **ret_tensors) {
  size_t count = plm_safetensors_count(file);
  bool strip_model = have_all_model_prefix(file);
  plm_named_tensor *tensors;
  PLM_TRY(PLM_NEW(&tensors, count));
  for (size_t i = 0; i < count; i++) {
    plm_status status = resolve_name(plm_safetensors_at(file, i), strip_model, memory, &tensors[i]);
    if (status != PLM_OK) {
      plm_free(tensors);
      return status;
    }
  }
  qsort(tensors, count, sizeof *tensors, compare);
  *ret_tensors = tensors;
  return PLM_OK;
}
