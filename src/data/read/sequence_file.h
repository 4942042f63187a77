/* sequence_file.h - what an input file is, and the readers of each format into a sink.
 *
 * FASTA: plain, gzip or bgzf; from a file, a pipe or standard input ("-"). HDF5: a dataset of strings,
 * or one for each sequence. Which it is is told by the content, never by the name.
 */
#ifndef PLM_DATA_SEQUENCE_FILE_H
#define PLM_DATA_SEQUENCE_FILE_H

#include "base/text.h"
#include "data/read/sequence_sink.h"

typedef enum plm_sequence_format { PLM_FORMAT_TEXT, PLM_FORMAT_HDF5, PLM_FORMAT_PLMD } plm_sequence_format;

/* "standard input" for "-", else the path: what messages call it. */
const char *plm_sequence_file_words(const char *path);

/* Not a pipe, a FIFO or a terminal: it can be read twice. */
bool plm_sequence_file_is_regular(const char *path);

/* Standard input, a pipe, a process substitution: its name means nothing in a line that is pasted later. */
bool plm_sequence_file_is_stream(const char *path);

/* What the file is, by its first bytes. Fails for what is missing, unreadable, a directory, empty, or of
 * a kind that is known and not read (foreign_file.h). Pipes and standard input are PLM_FORMAT_TEXT, unlooked at. */
PLM_CHECKED plm_status plm_sequence_file_format(const char *path, plm_sequence_format *ret_format);

/* fasta.c and hdf5_file.c: read all sequences into the sink. `threads` decompress bgzf; `reader`: as hdf5_reader in
 * plm_dataset_options. Errors name file and line (FASTA) or row (HDF5). */
PLM_CHECKED plm_status plm_fasta_read(const char *path, int threads, plm_sequence_sink *sink);

typedef struct plm_hdf5_selection {
  const char *dataset, *ids; /* as hdf5_dataset, hdf5_ids in plm_dataset_options */
} plm_hdf5_selection;
PLM_CHECKED plm_status plm_hdf5_read(const char *path, const plm_hdf5_selection *selection, const char *reader,
                                     plm_sequence_sink *sink);

/* The paths, each with a NUL behind it, of other files that the selected sequences of this one are in: sources of a
 * virtual dataset, files that links lead to, raw files. Mostly there are none. Fails as the reading would, and where
 * one of them is missing or holds less than is taken from it: libhdf5 would make empty rows of that. */
PLM_CHECKED plm_status plm_hdf5_sources(const char *path, const plm_hdf5_selection *selection, const char *reader,
                                        plm_text *sources);

/* To be called before anything else in the main of a program that is named as reader: where it was started to read a
 * file, it does so and ends the process; else it returns. */
void plm_hdf5_reader_main(int argc, char *const *argv);

#endif
