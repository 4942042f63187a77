/* safetensors.h - reader and writer of the format (model_spec 2.2), with every rejection of that section, and sharded
 * sets (2.3). */
#ifndef PLM_FORMATS_SAFETENSORS_H
#define PLM_FORMATS_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/tensor_list.h"

/* ---- reading: a file, or all shards of a model.safetensors.index.json as one set ---- */
typedef struct plm_safetensors plm_safetensors;
PLM_CHECKED plm_status plm_safetensors_open(const char *path, plm_safetensors **ret_file);
PLM_CHECKED plm_status plm_safetensors_open_index(const char *index_path, plm_safetensors **ret_set);
void plm_safetensors_close(plm_safetensors *file); /* accepts NULL */
size_t plm_safetensors_count(const plm_safetensors *file);
const plm_tensor_info *plm_safetensors_at(const plm_safetensors *file, size_t i);           /* in order of name */
const plm_tensor_info *plm_safetensors_find(const plm_safetensors *file, const char *name); /* NULL */
const char *plm_safetensors_path(const plm_safetensors *file);

/* Values as F32 (from F32, F16, BF16, F64). PLM_E_INPUT for another dtype, naming tensor and file. `ret_values` has
 * room for all. */
PLM_CHECKED plm_status plm_tensor_to_f32(const plm_safetensors *file, const plm_tensor_info *tensor, float *ret_values);

/* ---- writing ---- */
/* Write a new file in canonical order (dtype, then name), 8-byte aligned header, metadata {"format":"pt"}; synced,
 * closed, size checked. The same tensors give the same bytes. `ret_hash` (33 bytes) optional: xxh3-128 of the file;
 * ret_bytes optional. Not atomic by itself: write into a temporary directory or name. */
PLM_CHECKED plm_status plm_safetensors_write(const char *path, const plm_tensor_list *list, char *ret_hash,
                                             int64_t *ret_bytes);

/* The same, split into shards of at most max_shard_bytes with HF's greedy rule and names, plus the index, into
 * `directory`; one shard: plain model.safetensors. Stale model*.safetensors and index files are removed first. */
PLM_CHECKED plm_status plm_safetensors_write_sharded(const char *directory, const plm_tensor_list *list,
                                                     int64_t max_shard_bytes);

#endif
