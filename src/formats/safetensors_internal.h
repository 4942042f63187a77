/* safetensors_internal.h - what the files of the safetensors reader and writer share. */
#ifndef PLM_FORMATS_SAFETENSORS_INTERNAL_H
#define PLM_FORMATS_SAFETENSORS_INTERNAL_H

#include "base/alloc.h"
#include "base/file.h"
#include "formats/safetensors.h"

/* Element types in the format's own order, which is also how a writer orders tensors (largest first). */
typedef struct plm_tensor_dtype {
  const char *name;
  unsigned bits;
} plm_tensor_dtype;

/* NULL when the format has no such type. */
const plm_tensor_dtype *plm_tensor_dtype_find(const char *name);

struct plm_safetensors {
  char *path;
  plm_arena *memory; /* names and types */
  plm_tensor_info *items;
  size_t count; /* in order of name */
  plm_mapping mapping;
  plm_safetensors **shards; /* of a set: the files that the items point into */
  size_t shard_count;
};

/* Sort the items by name, bytewise. */
void plm_safetensors_sort(plm_safetensors *file);

#endif
