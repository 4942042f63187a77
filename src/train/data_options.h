/* data_options.h - how sequence files are read: the options of every command that reads some, and its one door to them.
 */
#ifndef PLM_TRAIN_DATA_OPTIONS_H
#define PLM_TRAIN_DATA_OPTIONS_H

#include "data/dataset.h"
#include "protlm/options.h"

typedef struct plm_data_options {
  const char *lowercase, *on_invalid, *alphabet_check, *hdf5_dataset, *hdf5_ids, *cache_dir;
  bool masks; /* no option: keep "<mask>", for the command that asks a model there */
} plm_data_options;

/* Their rows in an option table, in the order of help; `member` is a plm_data_options in the command's struct `S`. */
#define PLM_DATA_OPTION_ROWS(S, member, heading)                                                                    \
  {.name = "lowercase",                                                                                             \
   .type = PLM_OPT_CHOICE,                                                                                          \
   .offset = offsetof(S, member.lowercase),                                                                         \
   .default_value = "upper",                                                                                        \
   .choices = "upper|x",                                                                                            \
   .group = heading,                                                                                                \
   .argument = "HOW",                                                                                               \
   .help = "read lower-case (soft-masked) residues as upper case, or as X",                                         \
   .resume = PLM_RESUME_NEVER},                                                                                     \
      {.name = "on-invalid",                                                                                        \
       .type = PLM_OPT_CHOICE,                                                                                      \
       .offset = offsetof(S, member.on_invalid),                                                                    \
       .default_value = "error",                                                                                    \
       .choices = "error|x|skip",                                                                                   \
       .group = heading,                                                                                            \
       .argument = "HOW",                                                                                           \
       .help = "what to do with a character that is no residue: stop, read it as X, or leave the sequence out",     \
       .resume = PLM_RESUME_NEVER},                                                                                 \
      {.name = "alphabet-check",                                                                                    \
       .type = PLM_OPT_CHOICE,                                                                                      \
       .offset = offsetof(S, member.alphabet_check),                                                                \
       .default_value = "on",                                                                                       \
       .choices = "on|off",                                                                                         \
       .group = heading,                                                                                            \
       .argument = "HOW",                                                                                           \
       .help = "warn of sequences that look like nucleotides, which are read as amino acids all the same"},         \
      {.name = "hdf5-dataset",                                                                                      \
       .type = PLM_OPT_STRING,                                                                                      \
       .offset = offsetof(S, member.hdf5_dataset),                                                                  \
       .group = heading,                                                                                            \
       .argument = "NAME",                                                                                          \
       .help =                                                                                                      \
           "where HDF5 files have their sequences: a dataset of strings, or a group of them (default: sequences)"}, \
      {.name = "hdf5-ids",                                                                                          \
       .type = PLM_OPT_STRING,                                                                                      \
       .offset = offsetof(S, member.hdf5_ids),                                                                      \
       .group = heading,                                                                                            \
       .argument = "NAME",                                                                                          \
       .help = "dataset of the sequences' names in HDF5 files (default: ids, names, accession ... beside them)"},   \
  {                                                                                                                 \
    .name = "cache-dir", .type = PLM_OPT_PATH, .offset = offsetof(S, member.cache_dir), .group = heading,           \
    .argument = "DIR",                                                                                              \
    .help =                                                                                                         \
        "where the packed form of the data is kept (default: beside the data if that can be written, else "         \
        "the cache directory)"                                                                                      \
  }

plm_alphabet_policy plm_data_policy(const plm_data_options *options);

/* Who reads: as in plm_dataset_options. */
typedef struct plm_data_reader {
  int threads;
  bool (*interrupted)(void);
  const char *program;
  const char *packed; /* plm_dataset_open_packed of this one; NULL: plm_dataset_open */
} plm_data_reader;

PLM_CHECKED plm_status plm_data_open(const plm_data_options *options, const plm_string_list *paths,
                                     const plm_data_reader *reader, plm_dataset **ret_dataset);

/* What a person should know of what was read, in the log: plm_dataset_log, and warnings. */
void plm_data_log(const plm_data_options *options, const plm_dataset *dataset, const plm_alphabet *alphabet);

/* The warnings alone. */
void plm_data_warn(const plm_data_options *options, const plm_dataset *dataset);

/* Warns where --hdf5-dataset or --hdf5-ids is given and none of the files, in either list, is HDF5. `opt_more`: NULL is
 * no list. */
void plm_data_warn_of_unused(const plm_data_options *options, const plm_string_list *paths,
                             const plm_string_list *opt_more);

/* How a set of sequences is shown to a model. */
typedef struct plm_data_showing {
  const char *side;        /* "training ", "evaluation ", or "" where there is one set */
  int64_t max_length;      /* tokens; 0: whole */
  double mask_probability; /* 0: nothing is hidden */
  bool is_fixed;           /* each sequence has one window, not another in every epoch */
} plm_data_showing;

/* How many sequences are cropped, to what, and which share of the residues is left: a line, or none when none is. */
void plm_data_report_crops(const plm_view *view, const plm_alphabet *alphabet, const plm_data_showing *showing,
                           void (*line)(void *user, const char *text), void *user);

/* The same in the log, behind the dataset's source, and a warning when the mask probability is less than one residue in
 * most of the sequences. */
void plm_data_log_showing(const plm_view *view, const plm_alphabet *alphabet, const plm_data_showing *showing);

#endif
