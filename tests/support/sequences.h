/* sequences.h - made-up proteins, the same on every machine, and datasets of them. Needs the scratch directory. */
#ifndef TESTS_SUPPORT_SEQUENCES_H
#define TESTS_SUPPORT_SEQUENCES_H

#include "data/dataset.h"

/* Residues of protein `index` of a set: at most `longest` letters and a NUL into `buffer`; returns the length,
 * shortest..longest. */
int64_t made_up_protein(uint64_t set, int64_t index, int64_t shortest, int64_t longest, char *buffer);

/* Options for one file, with the cache in the scratch directory; the path must live as long. */
plm_dataset_options options_for(const char **path);

/* Write `text` to a file in the scratch directory and open it. Fails the test when that fails. */
plm_dataset *open_text(const char *name, const char *text);

/* Open a file with these options, whatever comes of it. */
PLM_CHECKED plm_status open_file(const char *path, plm_dataset **ret_dataset);

/* All that is in it: "name:residues|name:residues", valid until the next call. */
const char *records_of(const plm_dataset *dataset);

/* A dataset of `count` made-up proteins named p0, p1, ... */
plm_dataset *open_made_up(uint64_t set, int64_t count, int64_t shortest, int64_t longest);

#endif
