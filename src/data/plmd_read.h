/* plmd_read.h - opening a .plmd file; what a plm_dataset is inside. */
#ifndef PLM_DATA_PLMD_READ_H
#define PLM_DATA_PLMD_READ_H

#include "base/file.h"
#include "data/dataset.h"

struct plm_dataset {
  plm_dataset_info info;
  plm_mapping file;
  uint64_t source_key; /* as in the summary */
  const char *residues;
  const uint64_t *offsets; /* [count+1] */
  const char *names;
  uint64_t names_bytes;
  const uint64_t *name_offsets; /* [count+1]; NULL: no sequence has a name */
  char *path, *source;
  char **sources; /* names of the files that were read, by plm_place.source; those that are known */
  size_t source_count;
};

/* Map and verify: sizes, the summary's checksum, and that all offsets ascend inside the file, so that no later access
 * can leave it. The content hash is not taken here (plm_dataset_verify), as that means reading everything. `source` is
 * what the user calls it, `opt_sources` how its sources are called: NULL: by the names that are in the file. */
PLM_CHECKED plm_status plm_packed_file_open(const char *path, const char *source, const plm_note_sources *opt_sources,
                                            plm_dataset **ret_dataset);

#endif
