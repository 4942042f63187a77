/* hdf5_select.c - which datasets of an HDF5 file are its sequences and their ids.
 *
 * A name is asked for, or it is `sequences`; nothing else is guessed, but for a file that holds nothing but strings, one
 * dataset for each sequence, which can mean only one thing.
 */
#if PLM_HAVE_HDF5

#include <string.h>

#include "data/read/hdf5_input.h"

/* ---- names ---- */

typedef enum presence { ABSENT, LEADS_NOWHERE, PRESENT } presence;

/* libhdf5 asks for a link only where all above it is there. */
static presence find(plm_hdf5_input *in, const char *name) {
  char part[PLM_HDF5_NAME];
  const size_t bytes = strlen(name);
  if (bytes >= sizeof part) return ABSENT;
  for (size_t i = 1; i <= bytes; i++) {
    if (i < bytes && (name[i] != '/' || name[i - 1] == '/')) continue;
    memcpy(part, name, i);
    part[i] = '\0';
    if (strspn(part, "/") == i) continue; /* the root */
    if (H5Lexists(in->file, part, in->access) <= 0) return ABSENT;
    if (H5Oexists_by_name(in->file, part, in->access) <= 0) return LEADS_NOWHERE;
  }
  return PRESENT;
}

static plm_status leads_nowhere(plm_hdf5_input *in, const char *name) {
  char shown[256], missing[256], words[400];
  plm_printable(name, strlen(name), shown, sizeof shown);
  if (in->missing[0] != '\0') {
    plm_fail(PLM_E_INPUT, "%s: '%s' lies in another file, %s, which is not there", in->task->path, shown,
             plm_printable(in->missing, strlen(in->missing), missing, sizeof missing));
    return plm_hint(PLM_E_INPUT, "put that file where the link looks for it: beside this one, if its name is relative");
  }
  snprintf(words, sizeof words, "'%s' in the HDF5 file is a link that leads nowhere", shown);
  return plm_hdf5_refuse_with_list(in, words, NULL);
}

/* ---- ids ---- */

typedef struct ids_search {
  plm_hdf5_input *in;
  int rank;   /* of the best so far; -1: none */
  bool unfit; /* there was one of no use */
} ids_search;

static bool open_ids(plm_hdf5_input *in, hid_t place, const char *name, plm_hdf5_column *ret_ids) {
  const hid_t dataset = H5Oopen(place, name, in->access);
  ret_ids->dataset = -1;
  if (dataset < 0) return false;
  if (H5Iget_type(dataset) != H5I_DATASET) {
    H5Oclose(dataset);
    return false;
  }
  if (plm_hdf5_column_open(dataset, plm_hdf5_ids_rank, true, ret_ids) && ret_ids->rows == in->sequences.rows)
    return true;
  plm_hdf5_column_close(ret_ids);
  return false;
}

static herr_t consider_ids(hid_t group, const char *name, const H5L_info_t *link, void *user) {
  ids_search *search = user;
  plm_hdf5_column ids;
  const int rank = plm_hdf5_ids_rank(name);
  (void)link;
  if (rank < 0 || (search->rank >= 0 && rank > search->rank)) return 0;
  if (!open_ids(search->in, group, name, &ids)) {
    search->unfit = true;
    return 0;
  }
  plm_hdf5_column_close(&search->in->ids);
  search->in->ids = ids;
  search->rank = rank;
  snprintf(search->in->ids_name, sizeof search->in->ids_name, "%s", name);
  return 0;
}

/* The group of a name: what stands before its last '/'. */
static hid_t open_group_of(plm_hdf5_input *in) {
  char group[PLM_HDF5_NAME];
  snprintf(group, sizeof group, "%s", in->name);
  char *slash = strrchr(group, '/');
  if (slash == NULL || slash == group) return H5Gopen2(in->file, "/", in->access);
  *slash = '\0';
  return H5Gopen2(in->file, group, in->access);
}

static plm_status find_ids(plm_hdf5_input *in) {
  ids_search search = {.in = in, .rank = -1};
  hsize_t next = 0;
  const hid_t group = open_group_of(in);
  if (group < 0) return plm_hdf5_failed(in, "opening the group of the sequences");
  plm_status status = PLM_OK;
  if (H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, &next, consider_ids, &search) < 0)
    status = plm_hdf5_failed(in, "looking for ids beside the sequences");
  H5Gclose(group);
  if (status != PLM_OK) return status;
  if (search.rank < 0 && search.unfit && !in->task->only_sources) plm_hdf5_take_unused_ids(in->taker);
  return PLM_OK;
}

static const char other_ids[] =
    "name a dataset with an id for each sequence, or leave --hdf5-ids out: then ids, names, accessions and the like are "
    "looked for beside the sequences, and rows without are numbered";

static plm_status unfit_ids(plm_hdf5_input *in) {
  char shape[PLM_HDF5_SHAPE], words[PLM_HDF5_NAME];
  const hid_t object = H5Oopen(in->file, in->ids_name, in->access);
  if (object < 0) return plm_hdf5_failed(in, "opening the ids");
  plm_hdf5_shape_text(object, shape);
  snprintf(words, sizeof words,
           "'%.200s' (%s) cannot be the ids of the %llu rows of '%.200s': a string or an integer for each is needed",
           in->ids_name, shape, (unsigned long long)in->sequences.rows, in->name);
  H5Oclose(object);
  return plm_hdf5_refuse_with_list(in, words, other_ids);
}

/* From the root, or beside the sequences. */
static presence find_named_ids(plm_hdf5_input *in) {
  const char *slash = strrchr(in->name, '/');
  snprintf(in->ids_name, sizeof in->ids_name, "%s", in->task->ids);
  const presence is = find(in, in->ids_name);
  if (is != ABSENT || slash == NULL) return is;
  snprintf(in->ids_name, sizeof in->ids_name, "%.*s/%.500s", (int)(slash - in->name), in->name, in->task->ids);
  return find(in, in->ids_name);
}

static plm_status open_named_ids(plm_hdf5_input *in) {
  char words[PLM_HDF5_NAME];
  const presence is = find_named_ids(in);
  if (is == LEADS_NOWHERE) return leads_nowhere(in, in->ids_name);
  snprintf(words, sizeof words, "there is no '%.200s' for the ids in the HDF5 file", in->task->ids);
  if (is == ABSENT) return plm_hdf5_refuse_with_list(in, words, other_ids);
  return open_ids(in, in->file, in->ids_name, &in->ids) ? PLM_OK : unfit_ids(in);
}

/* A table of fields has its ids in itself, if anywhere. */
static bool open_own_ids(plm_hdf5_input *in) {
  const hid_t type = H5Dget_type(in->sequences.dataset);
  const bool is_table = type >= 0 && H5Tget_class(type) == H5T_COMPOUND;
  if (type >= 0) H5Tclose(type);
  if (!is_table) return false;
  snprintf(in->ids_name, sizeof in->ids_name, "%s", in->name);
  return open_ids(in, in->file, in->name, &in->ids);
}

/* ---- sequences ---- */

static plm_status unfit_sequences(plm_hdf5_input *in, hid_t dataset) {
  char shape[PLM_HDF5_SHAPE], words[PLM_HDF5_NAME];
  plm_hdf5_shape_text(dataset, shape);
  snprintf(words, sizeof words, "the HDF5 dataset '%.200s' is not a list of strings (%s)", in->name, shape);
  return plm_hdf5_refuse_with_list(in, words, NULL);
}

static plm_status open_dataset(plm_hdf5_input *in, hid_t dataset) {
  plm_hdf5_column column;
  const bool fits = plm_hdf5_column_open(dataset, plm_hdf5_sequence_rank, false, &column);
  in->sequences = column;
  if (!fits) return unfit_sequences(in, dataset);
  if (in->task->ids != NULL) return open_named_ids(in);
  return open_own_ids(in) ? PLM_OK : find_ids(in);
}

static plm_status embeddings(const plm_hdf5_input *in, const plm_hdf5_look *look) {
  plm_fail(PLM_E_INPUT, "%s: this HDF5 file holds embeddings (a dataset for each protein: %s), not sequences",
           in->task->path, look->shape);
  return plm_hint(PLM_E_INPUT, "give the FASTA file that they were computed from");
}

/* Takes over `group`. */
static plm_status open_group(plm_hdf5_input *in, hid_t group) {
  plm_hdf5_look look;
  char words[PLM_HDF5_NAME];
  in->group = group;
  if (!plm_hdf5_look_at_group(in, group, &look)) return plm_hdf5_failed(in, "looking into the group");
  in->has_proteins = plm_hdf5_is_all_proteins(&look);
  if (plm_hdf5_is_all_strings(&look)) {
    if (in->task->ids == NULL) return PLM_OK;
    plm_fail(PLM_E_USAGE,
             "%s: '%s' has a dataset or a group for each sequence, whose name is its id: --hdf5-ids does not apply",
             in->task->path, in->name);
    return plm_hint(PLM_E_USAGE, "leave --hdf5-ids out");
  }
  if (look.numbers > 0 && look.strings + look.others + look.proteins + look.lacking == 0) return embeddings(in, &look);
  snprintf(words, sizeof words, "'%.200s' in the HDF5 file is a group, not a dataset", in->name);
  return plm_hdf5_refuse_with_list(in, words, NULL);
}

static plm_status open_named(plm_hdf5_input *in, const char *name) {
  snprintf(in->name, sizeof in->name, "%s", name);
  const hid_t object = H5Oopen(in->file, name, in->access);
  char doing[PLM_HDF5_NAME + 32];
  snprintf(doing, sizeof doing, "opening '%s'", in->name);
  if (object < 0) return plm_hdf5_failed(in, doing);
  if (H5Iget_type(object) == H5I_DATASET) return open_dataset(in, object);
  if (H5Iget_type(object) == H5I_GROUP) return open_group(in, object);
  H5Oclose(object);
  snprintf(doing, sizeof doing, "'%.200s' in the HDF5 file is a type, not a dataset", in->name);
  return plm_hdf5_refuse_with_list(in, doing, NULL);
}

/* Neither asked for by name, nor called `sequences`. */
static plm_status open_unnamed(plm_hdf5_input *in) {
  plm_hdf5_look look;
  const hid_t root = H5Gopen2(in->file, "/", in->access);
  if (root < 0) return plm_hdf5_failed(in, "opening the root group");
  plm_status status = PLM_OK;
  if (!plm_hdf5_look_at_group(in, root, &look)) status = plm_hdf5_failed(in, "looking into the root group");
  H5Gclose(root);
  if (status != PLM_OK) return status;
  const bool is_list = look.strings == 1 && look.lists == 1; /* of one sequence, with a name of its own */
  if (plm_hdf5_is_all_strings(&look) && !is_list) return open_named(in, "/");
  if (look.numbers > 0 && look.strings + look.others + look.proteins + look.lacking == 0 && look.numbers > 1)
    return embeddings(in, &look);
  return plm_hdf5_refuse_with_list(in, "the HDF5 file has no dataset 'sequences'", NULL);
}

plm_status plm_hdf5_select(plm_hdf5_input *in) {
  char words[PLM_HDF5_NAME];
  const char *name = in->task->dataset != NULL ? in->task->dataset : "sequences";
  switch (find(in, name)) {
    case PRESENT:
      return open_named(in, name);
    case LEADS_NOWHERE:
      return leads_nowhere(in, name);
    case ABSENT:
      break;
  }
  if (in->task->dataset == NULL) return open_unnamed(in);
  snprintf(words, sizeof words, "the HDF5 file has no '%.200s'", name);
  return plm_hdf5_refuse_with_list(in, words, NULL);
}

#endif
