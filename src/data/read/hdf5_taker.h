/* hdf5_taker.h - what a reading of an HDF5 file finds, handed over piece by piece: to a sink of sequences, to a list of
 * the files behind the file, or through a pipe to the process that asked, where plm_hdf5_forward gives it to that
 * process's own taker.
 */
#ifndef PLM_DATA_HDF5_TAKER_H
#define PLM_DATA_HDF5_TAKER_H

#include <stdio.h>

#include "base/text.h"
#include "data/read/sequence_sink.h"

typedef struct plm_hdf5_taker {
  FILE *pipe;                          /* not NULL: all goes there */
  int64_t source_bytes;                /* of the other files, so far; where there is a pipe */
  void (*allow)(int64_t source_bytes); /* before the rows: so much more there is to read. NULL: no limits */
  plm_sequence_sink *sink;
  plm_text *sources; /* paths, each with a NUL behind it */
  const char *path;  /* of the file, for messages */
  char title[256];   /* its dataset of sequences, or the group that has one for each */
  char name[128];    /* of the row to come, as far as it has room */
  bool is_group;     /* rows are known by their names, not by their numbers */
  unsigned long long row;
} plm_hdf5_taker;

/* What follows; then for each row its name, if it has one, its text in pieces, and its end. An empty name is one that
 * is missing where others are. */
void plm_hdf5_take_title(plm_hdf5_taker *taker, const char *dataset, bool is_group);
void plm_hdf5_take_name(plm_hdf5_taker *taker, const char *name, size_t bytes);
PLM_CHECKED plm_status plm_hdf5_take_text(plm_hdf5_taker *taker, const char *text, size_t bytes);
PLM_CHECKED plm_status plm_hdf5_take_end(plm_hdf5_taker *taker);

/* There are ids, and they fit nothing. */
void plm_hdf5_take_unused_ids(plm_hdf5_taker *taker);

/* A dataset that tells of the file is passed over. */
void plm_hdf5_take_metadata(plm_hdf5_taker *taker);

/* Another file that the sequences, or some of them, are in. */
void plm_hdf5_take_source(plm_hdf5_taker *taker, const char *path);

/* In the process that reads: the reading failed. */
void plm_hdf5_send_failure(FILE *pipe, plm_status status);

/* The first eight bytes in a pipe of a program that speaks as this one does. */
uint64_t plm_hdf5_greeting(void);

/* In the process that asked: all that comes through `pipe`, until its end or a failure that was sent (*ret_failure, whose
 * code else is PLM_OK). Fails as the taker does. */
PLM_CHECKED plm_status plm_hdf5_forward(FILE *pipe, plm_hdf5_taker *taker, plm_error_record *ret_failure);

#endif
