/* hdf5_list.c - the answer to a name that an HDF5 file does not have: what it holds, whose file it is, and what to type.
 */
#if PLM_HAVE_HDF5

#include <string.h>

#include "data/read/hdf5_input.h"

enum { LISTED = 10, COUNTED = 10000, DEEPEST = 8, LIST_BYTES = 640, OF_SENTENCE = 260 };

typedef struct listing {
  plm_hdf5_input *in;
  char text[LIST_BYTES];
  size_t length;
  int listed, count;
  char prefix[PLM_HDF5_NAME]; /* of the group that is walked: "", "group/" */
  int depth;
  char likely[PLM_HDF5_NAME]; /* the dataset that may be meant; empty: none */
  int rank;                   /* of its name; large: it is only the one of strings */
  int possible;               /* datasets of strings that are no ids */
  bool is_matlab;
} listing;
enum { ONLY_ONE = 1000 };

static void add_line(listing *list, const char *name, const char *what) {
  char shown[64];
  list->count++;
  if (list->listed >= LISTED) return;
  plm_printable(name, strlen(name), shown, sizeof shown);
  const size_t room = sizeof list->text - list->length;
  const int bytes = snprintf(list->text + list->length, room, "\n  %s: %s", shown, what);
  if (bytes < 0 || (size_t)bytes >= room) {
    list->text[list->length] = '\0';
    return;
  }
  list->length += (size_t)bytes;
  list->listed++;
}

/* A name that stands for sequences, else the only one of strings. */
static void consider(listing *list, const char *path, const char *name, bool is_group) {
  const int rank = plm_hdf5_sequence_rank(name);
  if (plm_hdf5_ids_rank(name) >= 0) return;
  list->possible++;
  if (rank < 0 && list->possible > 1 && list->rank >= ONLY_ONE) list->likely[0] = '\0';
  if (rank < 0 && list->possible > 1) return;
  const int worth = rank >= 0 ? rank : ONLY_ONE + is_group;
  if (worth >= list->rank) return;
  list->rank = worth;
  snprintf(list->likely, sizeof list->likely, "%s", path);
}

static void add_dataset(listing *list, hid_t dataset, const char *path, const char *name) {
  plm_hdf5_column column;
  char shape[PLM_HDF5_SHAPE];
  add_line(list, path, plm_hdf5_shape_text(dataset, shape));
  list->is_matlab = list->is_matlab || H5Aexists(dataset, "MATLAB_class") > 0;
  if (plm_hdf5_column_open(dataset, plm_hdf5_sequence_rank, false, &column)) consider(list, path, name, false);
  plm_hdf5_column_close(&column);
}

static void walk(listing *list, hid_t group);

/* A column whose values are numbers of words (AnnData): its strings are no list of rows. */
static bool is_categorical(hid_t group) {
  return H5Lexists(group, "categories", H5P_DEFAULT) > 0 && H5Lexists(group, "codes", H5P_DEFAULT) > 0;
}

static void add_group(listing *list, hid_t group, const char *path, const char *name) {
  plm_hdf5_look look;
  H5G_info_t facts = {0};
  char what[PLM_HDF5_SHAPE];
  if (strncmp(name, "_i_", 3) == 0) return; /* an index of PyTables */
  if (is_categorical(group)) {
    add_line(list, path, "categories");
  } else if (H5Gget_info(group, &facts) < 0 || !plm_hdf5_look_at_group(list->in, group, &look)) {
    add_line(list, path, "a group that cannot be read");
  } else if (plm_hdf5_is_all_strings(&look)) {
    snprintf(what, sizeof what, "a group of strings, one for each of %llu %s", (unsigned long long)facts.nlinks,
             plm_hdf5_is_all_proteins(&look) ? "groups" : "datasets");
    add_line(list, path, what);
    consider(list, path, name, true);
  } else if (facts.nlinks == 0 || list->depth >= DEEPEST) {
    add_line(list, path, facts.nlinks == 0 ? "an empty group" : "a group");
  } else {
    const size_t bytes = strlen(list->prefix);
    snprintf(list->prefix + bytes, sizeof list->prefix - bytes, "%s/", name);
    list->depth++;
    walk(list, group);
    list->depth--;
    list->prefix[bytes] = '\0';
  }
}

static herr_t add_link(hid_t group, const char *name, const H5L_info_t *link, void *user) {
  listing *list = user;
  char path[2 * PLM_HDF5_NAME];
  const hid_t object = H5Oopen(group, name, list->in->access);
  (void)link;
  snprintf(path, sizeof path, "%s%s", list->prefix, name);
  if (object < 0)
    add_line(list, path, "cannot be opened here");
  else if (H5Iget_type(object) == H5I_DATASET)
    add_dataset(list, object, path, name);
  else if (H5Iget_type(object) == H5I_GROUP)
    add_group(list, object, path, name);
  if (object >= 0 && H5Iget_type(object) != H5I_BADID) H5Oclose(object); /* a dataset was closed with its column */
  return list->count >= COUNTED;
}

static void walk(listing *list, hid_t group) {
  hsize_t next = 0;
  if (H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, &next, add_link, list) < 0)
    add_line(list, list->prefix, "a group that cannot be read to its end");
}

/* ---- whose file it is ---- */

static herr_t find_pandas(hid_t group, const char *name, const H5L_info_t *link, void *user) {
  (void)link;
  if (H5Aexists_by_name(group, name, "pandas_type", H5P_DEFAULT) <= 0) return 0;
  snprintf(user, PLM_HDF5_NAME, "%s", name);
  return 1;
}

/* The column with the most letters is taken, whatever it is called. */
static plm_status advise_pandas(const plm_hdf5_input *in, const char *key) {
  char file[PLM_SHELL_WORD], word[PLM_SHELL_WORD], mended[PLM_MENDED_NAME];
  return plm_hint(PLM_E_INPUT,
                  "write its sequences as FASTA: `python3 -c \"import sys, pandas; "
                  "d = pandas.DataFrame(pandas.read_hdf(sys.argv[1], sys.argv[2])).astype(str); "
                  "c = max(d, key=lambda c: d[c].str.len().sum()); "
                  "open('%s', 'w').writelines(f'>{n}\\n{s}\\n' for n, s in zip(d.index, d[c]))\" %s %s`",
                  plm_mended_name(".fasta", mended), plm_shell_word(in->task->path, file), plm_shell_word(key, word));
}

static plm_status advise_anndata(const plm_hdf5_input *in, const char *column) {
  char file[PLM_SHELL_WORD], word[PLM_SHELL_WORD], mended[PLM_MENDED_NAME];
  return plm_hint(PLM_E_INPUT,
                  "write its sequences as FASTA: `python3 -c \"import sys, anndata; "
                  "d = anndata.read_h5ad(sys.argv[1]).obs[sys.argv[2]]; "
                  "open('%s', 'w').writelines(f'>{n}\\n{s}\\n' for n, s in d.items())\" %s %s`",
                  plm_mended_name(".fasta", mended), plm_shell_word(in->task->path, file),
                  plm_shell_word(column, word));
}

static herr_t find_column(hid_t group, const char *name, const H5L_info_t *link, void *user) {
  (void)group, (void)link;
  if (plm_hdf5_sequence_rank(name) < 0) return 0;
  snprintf(user, PLM_HDF5_NAME, "%s", name);
  return 1;
}

/* What wrote it, between two parts of the message, and what to do with such a file. */
typedef struct origin {
  const char *words;
  plm_status (*advise)(const plm_hdf5_input *in, const char *name);
  char name[PLM_HDF5_NAME];
} origin;

static void find_origin(plm_hdf5_input *in, const listing *list, origin *ret_origin) {
  hsize_t next = 0;
  *ret_origin = (origin){.words = ";"};
  if (H5Aexists_by_name(in->file, "/", "PYTABLES_FORMAT_VERSION", H5P_DEFAULT) > 0) {
    ret_origin->words = "; PyTables wrote it, and";
    if (H5Literate(in->file, H5_INDEX_NAME, H5_ITER_INC, &next, find_pandas, ret_origin->name) > 0) {
      ret_origin->words = "; pandas wrote it (to_hdf), and";
      ret_origin->advise = advise_pandas;
    }
  } else if (H5Lexists(in->file, "obs", H5P_DEFAULT) > 0 && H5Lexists(in->file, "var", H5P_DEFAULT) > 0) {
    ret_origin->words = "; it is an AnnData file (h5ad), and";
    if (list->likely[0] == '\0' && H5Literate_by_name(in->file, "obs", H5_INDEX_NAME, H5_ITER_INC, &next, find_column,
                                                      ret_origin->name, H5P_DEFAULT) > 0)
      ret_origin->advise = advise_anndata;
  } else if (list->is_matlab) {
    ret_origin->words = "; MATLAB wrote it, and";
  }
}

/* ---- the answer ---- */

static plm_status advise(plm_hdf5_input *in, const listing *list, const origin *from) {
  char word[PLM_SHELL_WORD];
  if (from->advise != NULL) return from->advise(in, from->name);
  if (list->likely[0] != '\0' && strcmp(list->likely, in->name) != 0)
    return plm_hint(PLM_E_INPUT, "name the dataset of the sequences: --hdf5-dataset %s",
                    plm_shell_word(list->likely, word));
  if (list->possible > 0) return plm_hint(PLM_E_INPUT, "name the dataset of the sequences with --hdf5-dataset NAME");
  return plm_hint(PLM_E_INPUT, "store the letters, one string a protein, not numbers; or use FASTA");
}

plm_status plm_hdf5_refuse_with_list(plm_hdf5_input *in, const char *what, const char *hint) {
  char sentence[OF_SENTENCE], more[PLM_NUMBER_TEXT], rest[64] = "";
  origin from;
  listing list = {.in = in, .rank = 2 * ONLY_ONE};
  const hid_t root = H5Gopen2(in->file, "/", H5P_DEFAULT);
  if (root < 0) return plm_hdf5_failed(in, "opening the root group");
  walk(&list, root);
  H5Gclose(root);
  find_origin(in, &list, &from);
  plm_printable(what, strlen(what), sentence, sizeof sentence);
  if (list.count == 0) {
    plm_fail(PLM_E_INPUT, "%s: %s: it is empty", in->task->path, sentence);
    return plm_hint(PLM_E_INPUT, "its writer may not have closed it; make it again");
  }
  if (list.count > list.listed)
    snprintf(rest, sizeof rest, "\n  and %s%s more", list.count >= COUNTED ? "at least " : "",
             plm_count_text(list.count - list.listed, more));
  plm_fail(PLM_E_INPUT, "%s: %s%s it holds%s%s", in->task->path, sentence, from.words, list.text, rest);
  return hint != NULL ? plm_hint(PLM_E_INPUT, "%s", hint) : advise(in, &list, &from);
}

#endif
