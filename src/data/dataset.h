/* dataset.h - sequences, in the one packed form (.plmd) that everything else reads.
 *
 * FASTA (plain, gzip, bgzf; files, pipes or "-" for standard input) and HDF5 (a dataset of strings, or one for each
 * sequence) are read once and become a .plmd file: memory-mapped, no object per sequence, so 60 million proteins cost
 * 16 bytes of index each, on disk.
 *
 *   magic      "PLMDATA1"
 *   residues   the letters as found, case kept, back to back; white space is not kept, and '*' at the very end of a
 *              sequence is not a residue and is dropped (counted in the summary)
 *   offsets    u64 [count+1] start of each sequence in `residues`
 *   names      the first word after '>', up to white space or a control character (at most 4,096 bytes), back to back;
 *              of rows of HDF5 without ids there are none (their numbers serve)
 *   names at   u64 [count+1]
 *   summary    the last 4096 bytes: counts, histogram of the 256 letters, xxh3 of the content, offsets of the sections
 *
 * Little-endian (plmd_format.h). Empty sequences are dropped and counted. Sequence id = index in the file, in input
 * order.
 */
#ifndef PLM_DATA_DATASET_H
#define PLM_DATA_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/alphabet.h"
#include "data/reading_notes.h"
#include "protlm/status.h"

typedef struct plm_dataset plm_dataset;

typedef struct plm_dataset_info {
  int64_t count, residues;
  int64_t longest; /* residues */
  plm_reading_notes notes;
  int64_t rules;           /* PLM_READING_RULES of who read the text */
  int64_t duplicate_names; /* sequences whose name an earlier one has (by hash) */
  int64_t histogram[256];  /* of the letters kept */
  char content_hash[33];   /* xxh3-128 of residues and offsets: the identity of the data, whatever the path */
  const char *source;      /* as the user named it, for messages */
  const char *path;        /* of the .plmd in use */
  bool from_cache;
} plm_dataset_info;

typedef struct plm_sequence_paths {
  const char **items;
  size_t count;
} plm_sequence_paths;

typedef struct plm_dataset_options {
  plm_sequence_paths paths; /* at least one; "-" = standard input; several are read one after the other */
  /* NULL: beside the first file if that can be written, else PROTLM_CACHE / XDG cache / $TMPDIR */
  const char *cache_directory;
  plm_alphabet_policy policy; /* `invalid` and `masks` matter here (checked while reading) */
  int threads;                /* for decompression; >= 1 */
  /* asked after each sequence that is read; true: PLM_STOPPED, nothing is left behind. NULL: never */
  bool (*interrupted)(void);
  /* HDF5: names of the data sets of sequences and of their ids; NULL: "sequences", and the first that looks like it */
  const char *hdf5_dataset, *hdf5_ids;
  const char *hdf5_reader; /* file of a program whose main begins with plm_begin_program (protlm/commands.h): HDF5 is
                              read by a process of it, which may crash. NULL: by this process */
} plm_dataset_options;

/* Open the packed form of these files, making it first when it is not cached (cache hit: path, size, times of
 * modification and of change in ns and inode of every file, PLM_READING_RULES, and the options that decide the
 * reading). A .plmd file, known by its content, is opened directly. Either way sizes,
 * the summary's checksum and all offsets are verified, and up to 1 GiB the content's hash. Concurrent makers of the
 * same cache don't harm each other. What comes by a pipe or standard input, or holds
 * a "<mask>" that the policy keeps, is not cached. PLM_E_INPUT names file and
 * line, or says "no sequence" when nothing is left. */
PLM_CHECKED plm_status plm_dataset_open(const plm_dataset_options *options, plm_dataset **ret_dataset);

/* The same from the packed form at `path` (of plm_dataset_info), which another process of this machine has found good
 * for the same options: the files themselves are not looked at. */
PLM_CHECKED plm_status plm_dataset_open_packed(const plm_dataset_options *options, const char *path,
                                               plm_dataset **ret_dataset);
void plm_dataset_close(plm_dataset *dataset); /* accepts NULL */

/* Read everything and compare its hash with the one taken when the file was made. PLM_E_INPUT. */
PLM_CHECKED plm_status plm_dataset_verify(const plm_dataset *dataset);

/* Whether the packed file is still what was opened; costs a look at its size and time, and a reading only after it was
 * written to. To be asked before results of its residues are kept. PLM_E_INPUT. Residues of a file that is overwritten
 * may be any letters meanwhile. */
PLM_CHECKED plm_status plm_dataset_check_unchanged(plm_dataset *dataset);

/* What was changed or left out on reading, one line each ("3,524 '*' at the end of sequences removed"). */
void plm_dataset_report(const plm_dataset *dataset, const plm_alphabet *alphabet, const plm_alphabet_policy *policy,
                        void (*line)(void *user, const char *text), void *user);
/* The same in the log, each line behind the dataset's source. */
void plm_dataset_log(const plm_dataset *dataset, const plm_alphabet *alphabet, const plm_alphabet_policy *policy);

/* Where a kind was first met: "b.fasta:12"; "" when that is not known. Returns `ret_text`. */
const char *plm_dataset_note_place(const plm_dataset *dataset, plm_note kind, char ret_text[PLM_PLACE_TEXT]);

/* At least 200 letters, 90 % of them A, C, G, T, U or N in either case. *opt_percent: how many of 100 are, rounded
 * down. */
bool plm_dataset_looks_like_nucleotides(const plm_dataset_info *info, int *opt_percent);

const plm_dataset_info *plm_dataset_get_info(const plm_dataset *dataset);
int64_t plm_dataset_count(const plm_dataset *dataset);

/* The letters of sequence `id` (not NUL-terminated) and their number. Memory of the mapping. */
const char *plm_dataset_residues(const plm_dataset *dataset, int64_t id, int64_t *ret_length);
int64_t plm_dataset_length(const plm_dataset *dataset, int64_t id); /* residues, without touching them */

/* Name of a sequence into `buffer`, safe to print (plm_printable) and cut to fit; the row number when it has none. */
void plm_dataset_name(const plm_dataset *dataset, int64_t id, char *buffer, size_t bytes);

bool plm_dataset_is_named(const plm_dataset *dataset, int64_t id); /* by its file; else its number serves */

/* Hash of the upper-cased residues: the same for the same protein in any file, soft-masked or not. Part of the stream
 * (evaluation masks): XXH3-64 of the first 4,096 letters, or, when there are more, carried on by XXH3-64 over the hash
 * so far and the next 4,088. */
uint64_t plm_residue_hash(const char *residues, int64_t length);

/* A subset in its own numbering: view[i] -> dataset id, for --eval-fraction. Owns `ids`. The identity view has ids
 * NULL. */
typedef struct plm_view {
  const plm_dataset *dataset;
  int64_t count;
  int64_t *ids; /* [count] ascending; NULL = all */
} plm_view;
static inline int64_t plm_view_id(const plm_view *view, int64_t i) { return view->ids == NULL ? i : view->ids[i]; }
void plm_view_all(const plm_dataset *dataset, plm_view *ret_view);
void plm_view_free(plm_view *view);

/* Split by the hash of the residues (upper-cased), keyed by seed: identical sequences always fall on one side, whatever
 * the order of the file. `fraction` of the distinct sequences go to evaluation (0 < fraction < 1); both sides non-empty
 * or PLM_E_INPUT. */
PLM_CHECKED plm_status plm_dataset_split(const plm_dataset *dataset, double fraction, uint64_t seed,
                                         plm_view *ret_train, plm_view *ret_eval);

/* How many sequences an earlier one equals (upper-cased, by hash). 8 bytes a sequence. */
PLM_CHECKED plm_status plm_dataset_count_repeats(const plm_dataset *dataset, int64_t *ret_count);

/* How many sequences of `eval` stand verbatim (upper-cased) in `train`. */
PLM_CHECKED plm_status plm_dataset_count_shared(const plm_view *train, const plm_view *eval, int64_t *ret_count);

#endif
