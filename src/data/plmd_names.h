/* plmd_names.h - which records have a name that an earlier one has: how many, and where the first of them stands. */
#ifndef PLM_DATA_PLMD_NAMES_H
#define PLM_DATA_PLMD_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/plmd_write.h"

/* One of the files that are read one after the other. */
typedef struct plm_packed_source {
  size_t begin; /* the first record of it, or of one behind it */
  bool has_rows;
} plm_packed_source;

/* 12 bytes a record. Start with {0}. */
typedef struct plm_packed_names {
  uint64_t *hashes; /* [named] of those that have a name */
  uint32_t *lines;  /* [count] place.line, UINT32_MAX where it has no room */
  plm_packed_source *sources;
  size_t named, source_count;
  size_t hashes_capacity, lines_capacity, sources_capacity;
} plm_packed_names;

PLM_CHECKED plm_status plm_packed_names_add(plm_packed_names *names, size_t index, const plm_packed_record *record);

/* Once, at the end: `text` is all names back to back, their lengths [count]. Of names that were cut the place may not
 * be found; then the line is 0. */
PLM_CHECKED plm_status plm_packed_names_duplicates(plm_packed_names *names, const char *text, const uint32_t *lengths,
                                                   size_t count, plm_noted *ret_duplicates);

void plm_packed_names_clear(plm_packed_names *names);

#endif
