/* dataset_cache.h - where packed forms are kept, and how one is recognised as belonging to its source files.
 *
 * The file's name comes from the paths and what decides the reading, so a source that changed replaces its old packed
 * form; its summary holds a key of those and of each file's size, times of modification and of change (ns) and inode,
 * so one that is out of date is never used.
 */
#ifndef PLM_DATA_DATASET_CACHE_H
#define PLM_DATA_DATASET_CACHE_H

#include <stdbool.h>

#include "data/dataset.h"

typedef struct plm_cache_key {
  bool cacheable; /* false: standard input or a pipe is among the sources */
  uint64_t key;   /* never 0 */
  int64_t source_bytes;
  char name[128]; /* "train.fasta.0123456789ab.plmd" */
} plm_cache_key;

PLM_CHECKED plm_status plm_cache_key_of(const plm_dataset_options *options, plm_cache_key *ret_key);

/* Candidate `index` for the directory (0, 1, ...); *ret_path is NULL past the last, or allocated. One that does not
 * apply here (a variable that is not set) is an empty string. */
PLM_CHECKED plm_status plm_cache_directory(const plm_dataset_options *options, int index, char **ret_path);

/* Make the directory if need be; PLM_E_RESOURCE says why nothing of this size can be written there. */
PLM_CHECKED plm_status plm_cache_prepare(const char *directory, int64_t bytes);

/* A name for a temporary beside `path` that nobody else uses. */
PLM_CHECKED plm_status plm_cache_temporary(const char *path, char **ret_temporary);

/* Remove temporaries for cache file `name` that processes of this host left when they were killed. */
void plm_cache_sweep(const char *directory, const char *name);

#endif
