/* mending.h - the shell line that mends a text file of the user's: reads the file, writes a new one. */
#ifndef PLM_DATA_MENDING_H
#define PLM_DATA_MENDING_H

#include <stdbool.h>
#include <stddef.h>

enum { PLM_MENDED_NAME = 32 };

/* A name for a mended file in the working directory, which no file has: "mended.fasta" mostly, with ".fasta" for
 * `extension`. Returns `ret_name`. */
const char *plm_mended_name(const char *extension, char ret_name[PLM_MENDED_NAME]);

enum { PLM_MENDING_LINE = 8192 };

/* What is to be mended: `path` as the user gave it ("-": standard input), unpacked first where it is compressed. */
typedef struct plm_mending {
  const char *path;    /* NULL: it is no text */
  const char *rows_of; /* then the HDF5 file, whose rows are read; NULL: unknown */
  bool is_compressed;
} plm_mending;

/* "`gzip -dc < a.fasta.gz | FILTER > mended.fasta`", between backquotes: FILTER reads standard input, as what comes
 * behind a program's name may mean something else to it (awk takes lr=3.fasta for an assignment). The new file gets a
 * name that no file has yet. For a stream there is no line that would be complete: "FILTER", without them. Returns
 * `ret_line`. */
const char *plm_mending_line(const plm_mending *mending, const char *filter, char ret_line[PLM_MENDING_LINE]);

/* The same through several filters; those that are NULL are left out. */
const char *plm_mending_pipe(const plm_mending *mending, const char *const *filters, size_t count,
                             char ret_line[PLM_MENDING_LINE]);

#endif
