/* internal.h - shared by the files that read and write model directories. */
#ifndef PLM_HUB_INTERNAL_H
#define PLM_HUB_INTERNAL_H

#include "base/alloc.h"
#include "data/alphabet.h"
#include "hub/model_dir.h"
#include "formats/safetensors.h"

/* ---- model_names.c: names of the file -> names of the parameter table (model_spec 2.5, 2.6, 3.3) ---- */

typedef struct plm_named_tensor {
  const char *name; /* in the table; NULL: known and of no use to us */
  const plm_tensor_info *info;
  bool renamed;
  bool is_alias; /* a second name for a tied tensor: the first one wins */
} plm_named_tensor;

/* All tensors of the file, sorted by table name, own names before aliases, useless ones last. Strings
 * live in `memory`. */
PLM_CHECKED plm_status plm_model_names_resolve(const plm_family *family, const plm_safetensors *file, plm_arena *memory,
                                               plm_named_tensor **ret_tensors);

/* ---- tokenizer_files.c ---- */

/* vocab.txt, tokenizer_config.json, special_tokens_map.json, as transformers reads them. */
PLM_CHECKED plm_status plm_tokenizer_files_write(const char *directory, const plm_alphabet *alphabet);

/* PLM_E_INPUT when there is a vocab.txt with other tokens than the family's: the letters of a sequence would mean
 * something else to that model. */
PLM_CHECKED plm_status plm_tokenizer_files_check(const char *directory, const plm_family *family);

/* ---- hub_cache.c ---- */

/* "org/name[@revision]" in the Hugging Face cache, as a directory. */
PLM_CHECKED plm_status plm_hub_cache_find(const char *id, char **ret_directory);

/* Whether `name` can be a hub id; "esm2_t6_8M_UR50D" can, and means "facebook/...". */
bool plm_hub_is_id(const char *name);

#endif
