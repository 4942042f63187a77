/* plmd_write.h - making a .plmd file, one sequence at a time.
 *
 * Memory: 16 bytes a sequence (lengths of residues and name, hash of the name) and a buffer; residues go to the file,
 * names to a second file beside it that is appended at the end.
 */
#ifndef PLM_DATA_PLMD_WRITE_H
#define PLM_DATA_PLMD_WRITE_H

#include <stddef.h>
#include <stdint.h>

#include "data/reading_notes.h"
#include "protlm/status.h"

typedef struct plm_packed_file_writer plm_packed_file_writer;

PLM_CHECKED plm_status plm_packed_file_writer_open(const char *path, plm_packed_file_writer **ret_writer);
PLM_CHECKED plm_status plm_packed_file_writer_add(plm_packed_file_writer *writer, const char *name, size_t name_bytes,
                                                  const char *residues, size_t length);
int64_t plm_packed_file_writer_count(const plm_packed_file_writer *writer);

/* Write the rest, sync and verify; frees the writer in any case, and on failure leaves no file. */
PLM_CHECKED plm_status plm_packed_file_writer_close(plm_packed_file_writer *writer, const plm_reading_notes *notes,
                                                    uint64_t source_key);
void plm_packed_file_writer_abandon(plm_packed_file_writer *writer); /* accepts NULL */

#endif
