/* foreign_file.h - files that are no FASTA, HDF5 or .plmd, called by their name, with the line that makes FASTA of them.
 *
 * Told by content alone: by magic bytes, or by a look at the first lines. foreign_file.c has the table of the former,
 * foreign_text.c flat files, alignments and pages, foreign_json.c JSON, foreign_table.c columns, foreign_list.c bare
 * lists, foreign_header.c letters in the wrong place; foreign_words.c what they have in common.
 */
#ifndef PLM_DATA_FOREIGN_FILE_H
#define PLM_DATA_FOREIGN_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "data/read/mending.h"
#include "protlm/status.h"

/* Fails (PLM_E_INPUT, with name and remedy) where `text`, the first `bytes` of a file or of what it decompresses to, is
 * of a kind that is known and is none that is read; PLM_OK otherwise. Some kilobytes are enough. `path` may be "-";
 * `compressed`: the text came out of gzip. */
PLM_CHECKED plm_status plm_foreign_file_check(const char *path, bool compressed, const char *text, size_t bytes);

/* For a file whose records are all empty: adds to the current failure, of `status`, that the letters stand in the
 * headers, and what to do, where that is so. Looks at the file again, unless it is a stream. Returns `status`. */
plm_status plm_foreign_file_header_hint(const char *path, plm_status status);

/* Adds the hint `words` and then, between backquotes, the shell line that puts the text of `path` through `filter` (NULL:
 * only out of gzip) into a new file. Returns PLM_E_INPUT. */
plm_status plm_foreign_file_hint(const char *path, bool compressed, const char *filter, const char *words);

#endif
