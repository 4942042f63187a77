/* plmd_write.h - making a .plmd file, one sequence at a time.
 *
 * Memory: 20 bytes a sequence (lengths of residues and name, hash of the name, line) and a buffer; residues go to the
 * file, names to a second file beside it that is appended at the end.
 */
#ifndef PLM_DATA_PLMD_WRITE_H
#define PLM_DATA_PLMD_WRITE_H

#include <stddef.h>
#include <stdint.h>

#include "data/reading_notes.h"
#include "protlm/status.h"

typedef struct plm_packed_file_writer plm_packed_file_writer;

PLM_CHECKED plm_status plm_packed_file_writer_open(const char *path, plm_packed_file_writer **ret_writer);
typedef struct plm_packed_record {
  const char *name, *residues;
  size_t name_bytes, length; /* name_bytes 0: it has none */
  uint64_t name_hash;        /* of the whole name, where `name` is cut too */
  plm_place place;
} plm_packed_record;
PLM_CHECKED plm_status plm_packed_file_writer_add(plm_packed_file_writer *writer, const plm_packed_record *record);
int64_t plm_packed_file_writer_count(const plm_packed_file_writer *writer);

/* What it was made from. */
typedef struct plm_packed_origin {
  const plm_reading_notes *notes; /* counts of letters are taken from what was added, and duplicates */
  uint64_t source_key;
  plm_note_sources sources; /* paths */
} plm_packed_origin;

/* Write the rest, sync and verify; frees the writer in any case, and on failure leaves no file. */
PLM_CHECKED plm_status plm_packed_file_writer_close(plm_packed_file_writer *writer, const plm_packed_origin *origin);
void plm_packed_file_writer_abandon(plm_packed_file_writer *writer); /* accepts NULL */

#endif
