/* mistaken_directory.c - directories that are no model, or one without the weights or the head that are read here: what
 * they are, and what to type. Contents: looking, adapters, runs, what else there may be, weights, heads. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "hub/internal.h"

/* ---- looking ---- */

/* The first name in a directory that ends so, and the directory itself for "". */
static bool find_ending(const char *directory, const char *end, char ret_name[256]) {
  char **names;
  size_t count;
  bool found = false;
  if (plm_directory_list(directory, &names, &count) != PLM_OK) {
    plm_error_clear();
    return false;
  }
  for (size_t i = 0; i < count && !found; i++) {
    found = plm_hub_ends_with(names[i], end);
    if (found) snprintf(ret_name, 256, "%s", names[i]);
  }
  plm_names_free(names, count);
  return found;
}

/* ---- adapters ---- */

/* Where the base model is, from here: as the file says it, or beside the adapter; a hub id is itself. */
static plm_status find_base(const char *directory, const char *named, char **ret_base) {
  char *parent;
  *ret_base = NULL;
  if (named[0] == '\0') return PLM_OK;
  if (plm_file_is_directory(named) || plm_hub_is_id(named)) return plm_strdup(named, ret_base);
  PLM_TRY(plm_path_parent(directory, &parent));
  plm_status status = plm_path_join(parent, named, ret_base);
  plm_free(parent);
  if (status != PLM_OK || plm_file_is_directory(*ret_base)) return status;
  plm_free(*ret_base);
  *ret_base = NULL;
  return PLM_OK;
}

static plm_status hint_merge(plm_status status, const char *directory, const char *base, const char *to) {
  static const char python[] =
      "import sys; from transformers import AutoModelForMaskedLM as M; from peft import PeftModel as P; b, a, o = "
      "sys.argv[1:]; P.from_pretrained(M.from_pretrained(b), a).merge_and_unload().save_pretrained(o)";
  return plm_remedy_python(status, "merge it into its base model: ", python, base, directory, to);
}

static plm_status fail_adapter(const char *directory) {
  char *path, *base = NULL, *to = NULL, shown[128];
  json_t *config = NULL;
  plm_status status;
  PLM_TRY(plm_path_join(directory, "adapter_config.json", &path));
  if (plm_json_load_wide(path, &config) != PLM_OK) plm_error_clear();
  const char *named = json_string_value(json_object_get(config, "base_model_name_or_path"));
  if (named == NULL) named = "";
  PLM_TRY_GOTO(find_base(directory, named, &base), out);
  PLM_TRY_GOTO(plm_remedy_new_name(directory, "-merged", &to), out);
  if (named[0] == '\0') {
    status = plm_hint(plm_fail(PLM_E_INPUT,
                               "%s is an adapter of PEFT (LoRA and the like), not a model, and its "
                               "adapter_config.json does not say of which model (base_model_name_or_path)",
                               directory),
                      "put the directory of its base model there, and run the same command again");
    goto out;
  }
  status = plm_fail(PLM_E_INPUT, "%s is an adapter of PEFT (LoRA and the like) for the model '%s', not a model",
                    directory, plm_printable(named, strlen(named), shown, sizeof shown));
  if (base != NULL)
    hint_merge(status, directory, base, to);
  else
    plm_hint(status,
             "'%s' is not to be found from here: merge the adapter where it is, with merge_and_unload() of peft",
             shown);
out:
  json_decref(config);
  plm_free(to);
  plm_free(base);
  plm_free(path);
  return status;
}

/* ---- runs, and other directories of models ---- */

/* Is `name` `prefix` and a number? */
static long long number_behind(const char *name, const char *prefix) {
  const size_t length = strlen(prefix);
  return strncmp(name, prefix, length) == 0 ? strtoll(name + length, NULL, 10) : -1;
}

/* The subdirectory `prefix`<number> that is a model (has `mark`), with the greatest number; "" is the prefix of any. */
static bool find_model_in(const char *directory, const char *prefix, const char *mark, char ret_name[256]) {
  char **names;
  size_t count;
  long long best = -1;
  if (plm_directory_list(directory, &names, &count) != PLM_OK) {
    plm_error_clear();
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    const long long number = number_behind(names[i], prefix);
    char *path = NULL;
    if (number > best && plm_path_join(directory, names[i], &path) == PLM_OK && plm_directory_holds(path, mark)) {
      best = number;
      snprintf(ret_name, 256, "%s", names[i]);
    }
    plm_free(path);
  }
  plm_names_free(names, count);
  return best >= 0;
}

static plm_status fail_holder(const char *directory, const char *what, const char *inner, const char *name) {
  char word[PLM_SHELL_WORD], *path;
  plm_status status = plm_fail(PLM_E_INPUT, "%s is %s, not a model's", directory, what);
  if (plm_sprintf(&path, "%s%s%s%s", directory, plm_hub_ends_with(directory, "/") ? "" : "/", inner, name) != PLM_OK)
    return status;
  plm_hint(status, "give the model in it: --model %s", plm_shell_word(path, word));
  plm_free(path);
  return status;
}

/* PLM_OK: it holds none. */
static plm_status check_holder(const char *directory) {
  char name[256], *snapshots;
  if (plm_directory_holds(directory, "final/config.json"))
    return fail_holder(directory, "the directory of a run", "", "final");
  if (find_model_in(directory, "checkpoint-", "config.json", name))
    return fail_holder(directory, "the directory of a run", "", name);
  if (find_model_in(directory, "checkpoint-", "adapter_config.json", name))
    return fail_holder(directory, "the directory of a run that trained an adapter", "", name);
  if (plm_directory_holds(directory, "run.lock"))
    return plm_fail(PLM_E_INPUT, "%s is the directory of a run that has saved no model so far", directory);
  PLM_TRY(plm_path_join(directory, "snapshots", &snapshots));
  const bool is_cache = plm_file_is_directory(snapshots) && find_model_in(snapshots, "", "config.json", name);
  plm_free(snapshots);
  if (is_cache) return fail_holder(directory, "a repository in the Hugging Face cache", "snapshots/", name);
  if (find_model_in(directory, "", "final/config.json", name)) {
    snprintf(name + strlen(name), sizeof name - strlen(name), "/final");
    return fail_holder(directory, "a directory of runs", "", name);
  }
  if (find_model_in(directory, "", "config.json", name))
    return fail_holder(directory, "a directory of others", "", name);
  return PLM_OK;
}

/* ---- what else a directory may be ---- */

plm_status plm_mistake_directory(const char *directory) {
  static const struct {
    const char *end, *words;
  } kinds[] = {
      {"dataset_dict.json", "is of a data set of Hugging Face's datasets"},
      {"dataset_info.json", "is of a data set of Hugging Face's datasets"},
      {".arrow", "is a data set (Arrow)"},
      {".parquet", "is a data set (Parquet)"},
      {".gguf", "is a model of llama.cpp (GGUF), which is not read here"},
      {".safetensors", "holds weights, and config.json must say of what model"},
      {"pytorch_model.bin", "holds weights, and config.json must say of what model"},
      {".ckpt", "is a checkpoint of PyTorch Lightning (a pickle), which is not read here"},
      {".pt", "is a checkpoint of PyTorch (a pickle), which is not read here"},
      {".pth", "is a checkpoint of PyTorch (a pickle), which is not read here"},
      {"vocab.txt", "is of a tokenizer, which is not a model"},
      {"tokenizer.json", "is of a tokenizer, which is not a model"},
  };
  char name[256];
  if (plm_directory_holds(directory, "adapter_config.json")) return fail_adapter(directory);
  PLM_TRY(check_holder(directory));
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (find_ending(directory, kinds[i].end, name))
      return plm_hint(plm_fail(PLM_E_INPUT, "%s has no config.json, so it is not the directory of a model: %s %s",
                               directory, name, kinds[i].words),
                      "give a directory that save_pretrained of transformers has written, or a name on the hub");
  return plm_fail(PLM_E_INPUT, "%s has no config.json, so it is not the directory of a model", directory);
}

/* ---- weights ---- */

static plm_status fail_pickle(const char *directory, const char *name, const plm_family *family) {
  char *path;
  PLM_TRY(plm_path_join(directory, name, &path));
  plm_status status = plm_mistake_explain(path, PLM_OK);
  plm_free(path);
  if (status != PLM_OK && strstr(plm_error_message(), "pickle") == NULL) return status; /* a pointer, a page ... */
  status =
      plm_fail(PLM_E_INPUT, "%s has its weights only as %s, a Python pickle, which is not read here", directory, name);
  return plm_remedy_resave(status, "convert it once: ", family, directory, "-safetensors");
}

/* Weights of another name, which a link gives the name that is read. */
static plm_status fail_named(const char *directory, const char *name) {
  char words[2][PLM_SHELL_WORD], *path;
  plm_status status =
      plm_fail(PLM_E_INPUT, "%s has its weights as %s, and model.safetensors is what is read", directory, name);
  if (strstr(name, "-of-") != NULL)
    return plm_hint(status, "model.safetensors.index.json, which says what is in which file, belongs beside them");
  if (plm_path_join(directory, "model.safetensors", &path) != PLM_OK) return status;
  plm_hint(status, "`ln -s -- %s %s`", plm_shell_word(name, words[0]), plm_shell_word(path, words[1]));
  plm_free(path);
  return status;
}

plm_status plm_mistake_weights(const char *directory, const plm_family *family) {
  static const char *const pickles[] = {"pytorch_model.bin", "pytorch_model.bin.index.json"};
  static const char *const others[] = {"tf_model.h5", "flax_model.msgpack", ".gguf", ".onnx", ".ckpt", ".pt", ".pth"};
  char name[256];
  for (size_t i = 0; i < sizeof pickles / sizeof *pickles; i++)
    if (plm_directory_holds(directory, pickles[i])) return fail_pickle(directory, pickles[i], family);
  if (plm_directory_holds(directory, "adapter_config.json")) return fail_adapter(directory);
  if (find_ending(directory, ".safetensors", name)) return fail_named(directory, name);
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (find_ending(directory, others[i], name))
      return plm_hint(plm_fail(PLM_E_INPUT, "%s has its weights only as %s, which is not read here", directory, name),
                      "protlm reads model.safetensors, which save_pretrained of transformers writes");
  return plm_hint(plm_fail(PLM_E_INPUT, "%s has neither model.safetensors nor model.safetensors.index.json", directory),
                  "the weights of the model belong beside its config.json");
}

/* ---- heads ---- */

/* The class that wrote the directory, as its config.json says; "" when it doesn't. */
static void read_class(const char *directory, char class[128]) {
  char *path = NULL;
  json_t *config = NULL;
  class[0] = '\0';
  plm_status status = plm_path_join(directory, "config.json", &path);
  if (status == PLM_OK) status = plm_json_load(path, &config);
  if (status != PLM_OK) plm_error_clear();
  const char *first = json_string_value(json_array_get(json_object_get(config, "architectures"), 0));
  if (first != NULL) plm_printable(first, strlen(first), class, 128);
  json_decref(config);
  plm_free(path);
}

plm_status plm_mistake_head(const char *directory, const plm_family *family, const char *weights, const char *tensor) {
  char class[128];
  read_class(directory, class);
  const char *stem = strstr(family->architecture, "For"); /* behind the "Esm" of EsmForMaskedLM */
  const bool is_bare = class[0] == '\0' || strcmp(class, family->architecture) == 0 || strstr(class, "For") == NULL;
  plm_status status =
      is_bare ? plm_fail(PLM_E_INPUT,
                         "%s: tensor '%s' is missing: a model saved from %.*sModel has no masked-language head",
                         weights, tensor, (int)(stem - family->architecture), family->architecture)
              : plm_fail(PLM_E_INPUT, "%s: tensor '%s' is missing: an %s has another head in its place", weights,
                         tensor, class);
  return plm_remedy_resave(
      status,
      "give the model that it was made from; or, to be trained and not evaluated as it is, let it have a "
      "new head: ",
      family, directory, "-mlm");
}
