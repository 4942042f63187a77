/* hdf5_input.h - an open HDF5 file, and what the chapters of its reading share: hdf5_file.c (opening), hdf5_select.c
 * (which datasets), hdf5_columns.c and hdf5_names.c (what they hold and are called), hdf5_sources.c (other files behind
 * them), hdf5_rows.c (reading), hdf5_words.c (failures), hdf5_list.c (what is in a file that has not what was asked
 * for).
 */
#ifndef PLM_DATA_HDF5_INPUT_H
#define PLM_DATA_HDF5_INPUT_H

#if PLM_HAVE_HDF5

#include <hdf5.h>

#include "data/read/hdf5_process.h"

enum { PLM_HDF5_NAME = 1024 }; /* room for a name within a file */

typedef struct plm_hdf5_filter {
  int id; /* 0: none */
  char name[64];
} plm_hdf5_filter;

/* Rows of a dataset: of strings, or where ids are wanted of integers. */
typedef struct plm_hdf5_column {
  hid_t dataset, type; /* `type`: of a row in memory */
  enum { PLM_HDF5_VARIABLE, PLM_HDF5_FIXED, PLM_HDF5_SIGNED, PLM_HDF5_UNSIGNED } kind;
  size_t size;        /* bytes of a row in memory */
  bool is_terminated; /* fixed: what stands behind a NUL is not defined */
  hsize_t rows;
  int dimensions, axis; /* all other dimensions have one element */
} plm_hdf5_column;

typedef struct plm_hdf5_input {
  const plm_hdf5_task *task;
  plm_hdf5_taker *taker;
  hid_t file, access;             /* `access`: a property list by which links are followed */
  hid_t group;                    /* of one dataset for each sequence; or, negative: */
  bool has_proteins;              /* the group has a group for each protein, with its sequence in it */
  plm_hdf5_column sequences, ids; /* `dataset` negative: there are none */
  char name[PLM_HDF5_NAME];       /* of the group, or of the dataset of sequences */
  char ids_name[PLM_HDF5_NAME];
  plm_hdf5_filter lacking;     /* a filter of the datasets that libhdf5 here does not have */
  char missing[PLM_HDF5_NAME]; /* the file that a link leads to, where there is none */
  plm_status status;           /* of a failure within a function that libhdf5 calls */
  bool lacked_memory;          /* the library did */
} plm_hdf5_input;

/* ---- hdf5_names.c ---- */

/* Words for names, in order of preference. -1: not among them. */
int plm_hdf5_sequence_rank(const char *name);
int plm_hdf5_ids_rank(const char *name);
/* "species", "version": it tells of a file, not of a protein. */
bool plm_hdf5_is_about_file(const char *name);

/* ---- hdf5_columns.c ---- */

/* Takes over `dataset`, which is closed with the column. False: its rows are no strings, `with_numbers` nor integers,
 * or they have more than one dimension. */
bool plm_hdf5_column_open(hid_t dataset, int (*rank)(const char *name), bool with_numbers, plm_hdf5_column *ret_column);
void plm_hdf5_column_close(plm_hdf5_column *column);

/* One string; or letters, each a string of its own. */
bool plm_hdf5_is_sequence(const plm_hdf5_column *column);
/* One value, whose name says that it tells of the file. */
bool plm_hdf5_is_metadata(hid_t dataset, const char *name);
/* In a group that is one protein's: the dataset with its sequence, by its name. False: there is none. */
bool plm_hdf5_find_member(plm_hdf5_input *in, hid_t group, plm_hdf5_column *ret_column);

/* What the first objects of a group are; one that is all strings has a dataset for each sequence, or a group for each
 * protein. Metadata are not counted. */
typedef struct plm_hdf5_look {
  plm_hdf5_input *in;
  int strings, lists /* strings in a list of one */, numbers, others;
  int proteins, lacking; /* groups with a sequence in them, and those without */
  char shape[160];       /* of numbers */
} plm_hdf5_look;
bool plm_hdf5_look_at_group(plm_hdf5_input *in, hid_t group, plm_hdf5_look *ret_look); /* false: libhdf5 failed */
static inline bool plm_hdf5_is_all_proteins(const plm_hdf5_look *look) {
  return look->proteins > 1 && look->proteins > look->lacking && look->strings + look->numbers + look->others == 0;
}
static inline bool plm_hdf5_is_all_strings(const plm_hdf5_look *look) {
  return (look->strings > 0 && look->numbers + look->others + look->proteins + look->lacking == 0) ||
         plm_hdf5_is_all_proteins(look);
}

/* ---- hdf5_select.c ---- */

/* Opens what the task names, and the ids beside it. Its refusals list what the file holds. */
PLM_CHECKED plm_status plm_hdf5_select(plm_hdf5_input *in);

/* ---- hdf5_rows.c ---- */

PLM_CHECKED plm_status plm_hdf5_read_rows(plm_hdf5_input *in);
PLM_CHECKED plm_status plm_hdf5_read_group(plm_hdf5_input *in);

/* ---- hdf5_sources.c ---- */

/* Hands over the other files that the selected datasets are in; refuses those that are missing or hold too little. */
PLM_CHECKED plm_status plm_hdf5_check_sources(plm_hdf5_input *in);
/* Notes where links to other files lead. */
void plm_hdf5_watch_links(plm_hdf5_input *in);
/* The dataset is in this file, not in others. */
bool plm_hdf5_is_in_file(const plm_hdf5_input *in, hid_t dataset);

/* Which of the dataset's filters libhdf5 does not have here, if any: in->lacking. */
void plm_hdf5_note_filters(plm_hdf5_input *in, hid_t dataset);

/* ---- hdf5_words.c ---- */

/* libhdf5 failed at `doing`; its error stack says why. */
PLM_CHECKED plm_status plm_hdf5_failed(plm_hdf5_input *in, const char *doing);
/* "strings, [3]"; Returns `ret_text`. */
enum { PLM_HDF5_SHAPE = 160 };
const char *plm_hdf5_shape_text(hid_t dataset, char ret_text[PLM_HDF5_SHAPE]);

/* ---- hdf5_list.c ---- */

/* The name is not there, or nothing that is read: after `what`, a sentence without its end, the list of what is.
 * `hint` NULL: the dataset that may have been meant. */
PLM_CHECKED plm_status plm_hdf5_refuse_with_list(plm_hdf5_input *in, const char *what, const char *hint);

#endif
#endif
