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

/* vocab.txt, tokenizer_config.json, special_tokens_map.json, as transformers reads them. Those of `origin` (optional)
 * are written as they were; where it has a vocabulary, they are all. */
PLM_CHECKED plm_status plm_tokenizer_files_write(const char *directory, const plm_alphabet *alphabet,
                                                 const plm_model_origin *origin);

/* ---- vocabulary.c ---- */

/* config->alphabet, by the family and the tokenizer's files. PLM_E_INPUT names the first difference from the family's:
 * the letters of a sequence would mean something else to that model. */
PLM_CHECKED plm_status plm_vocabulary_read(const char *directory, plm_model_config *config);

/* ---- model_origin.c ---- */

const char *plm_tokenizer_file(int i);                                       /* their names; NULL behind the last */
bool plm_model_origin_has(const plm_model_origin *origin, const char *name); /* a tokenizer file; NULL has none */
PLM_CHECKED plm_status plm_model_origin_write_tokenizer(const plm_model_origin *origin, const char *directory);

/* The file's own config.json with what is different in `ours`, for a model of that file which was trained on. New
 * reference. */
PLM_CHECKED plm_status plm_model_origin_config(const plm_model_origin *origin, const json_t *ours,
                                               json_t **ret_document);

/* ---- mistaken_file.c ---- */

/* After a failure to read `path` as what its name says: the same failure, or, where its first bytes are known to be
 * something else (a git-lfs pointer, a web page, a pickle ...), one that says so and what to do. */
plm_status plm_mistake_explain(const char *path, plm_status status);

/* A file that is there in place of a model's directory, and a web address: PLM_E_INPUT. PLM_OK: not an address. */
PLM_CHECKED plm_status plm_mistake_file(const char *path);
PLM_CHECKED plm_status plm_mistake_address(const char *name);

/* ---- mistaken_directory.c: each is PLM_E_INPUT ---- */

/* What a directory without config.json is instead. */
PLM_CHECKED plm_status plm_mistake_directory(const char *directory);

/* A directory without weights that are read here. */
PLM_CHECKED plm_status plm_mistake_weights(const char *directory, const plm_family *family);

/* The weights lack `tensor`, of the family's head: config.json may say what was saved in its place. */
PLM_CHECKED plm_status plm_mistake_head(const char *directory, const plm_family *family, const char *weights,
                                        const char *tensor);

/* ---- remedies.c: each adds to a failure, and returns `status` ---- */

bool plm_hub_ends_with(const char *name, const char *end);

/* A name beside `directory` that nothing has, ending in `end`: for what a remedy writes. Free with plm_free. */
PLM_CHECKED plm_status plm_remedy_new_name(const char *directory, const char *end, char **ret_name);

/* `before` and a line of Python that is given one directory or two (second: optional) and the new one, `to`. The
 * tokenizer of the first goes with it. */
plm_status plm_remedy_python(plm_status status, const char *before, const char *python, const char *first,
                             const char *second, const char *to);

/* transformers reads the directory and writes it anew, as a model of the family's class. */
plm_status plm_remedy_resave(plm_status status, const char *before, const plm_family *family, const char *directory,
                             const char *end);

/* A pickle of tensors that is called *.safetensors: its tensors, in a directory of their own. */
plm_status plm_remedy_rewrite(plm_status status, const char *directory, const char *path);

/* ---- hub_families.c ---- */

/* PLM_E_INPUT when a hub id, or the part behind its slash, is of a family that is known and not read here. */
PLM_CHECKED plm_status plm_hub_check_family(const char *id);

/* ---- hub_cache.c ---- */

/* "org/name[@revision]" in the Hugging Face cache, as a directory. */
PLM_CHECKED plm_status plm_hub_cache_find(const char *id, char **ret_directory);

/* Whether `name` can be a hub id; "esm2_t6_8M_UR50D" can, and means "facebook/...". */
bool plm_hub_is_id(const char *name);

/* Is it nearly the name of a published model, and not the name itself? */
bool plm_hub_nearest(const char *organisation, const char *name, char ret_id[128]);

/* The hub id in " org/name/" or "models--org--name"; false: there is none. */
bool plm_hub_id_within(const char *text, char ret_id[128]);

#endif
