/* hdf5_columns.c - what a dataset holds that could be sequences or ids, and what a group holds. */
#if PLM_HAVE_HDF5

#include "data/read/hdf5_input.h"

/* ---- a dataset ---- */

/* The field of a compound type that is best by `rank`; its index or -1. */
static int best_field(hid_t type, int (*rank)(const char *name)) {
  int best = -1, best_rank = 0;
  const int fields = H5Tget_nmembers(type);
  for (int i = 0; i < fields; i++) {
    char *name = H5Tget_member_name(type, (unsigned)i);
    const int its_rank = name != NULL ? rank(name) : -1;
    if (its_rank >= 0 && (best < 0 || its_rank < best_rank)) best = i, best_rank = its_rank;
    H5free_memory(name);
  }
  return best;
}

/* How a row that is `type` in the file lies in memory. */
static bool choose_type(hid_t type, bool with_numbers, plm_hdf5_column *column) {
  const H5T_class_t class = H5Tget_class(type);
  if (class == H5T_STRING) {
    const htri_t variable = H5Tis_variable_str(type);
    column->kind = variable > 0 ? PLM_HDF5_VARIABLE : PLM_HDF5_FIXED;
    column->type = H5Tcopy(type);
    column->size = H5Tget_size(type);
    column->is_terminated = H5Tget_strpad(type) == H5T_STR_NULLTERM;
    return variable >= 0 && column->type >= 0 && column->size > 0;
  }
  if (class != H5T_INTEGER || !with_numbers) return false;
  const bool is_signed = H5Tget_sign(type) == H5T_SGN_2;
  column->kind = is_signed ? PLM_HDF5_SIGNED : PLM_HDF5_UNSIGNED;
  column->type = H5Tcopy(is_signed ? H5T_NATIVE_INT64 : H5T_NATIVE_UINT64);
  column->size = sizeof(int64_t);
  return column->type >= 0;
}

/* One field of a compound: a compound of it alone, which libhdf5 fills by the field's name. */
static bool choose_field(hid_t type, int (*rank)(const char *name), bool with_numbers, plm_hdf5_column *column) {
  const int field = best_field(type, rank);
  if (field < 0) return false;
  const hid_t inner = H5Tget_member_type(type, (unsigned)field);
  if (inner < 0) return false;
  const bool fits = choose_type(inner, with_numbers, column);
  H5Tclose(inner);
  if (!fits) return false;
  char *name = H5Tget_member_name(type, (unsigned)field);
  const hid_t alone = H5Tcreate(H5T_COMPOUND, column->size);
  const bool made = name != NULL && alone >= 0 && H5Tinsert(alone, name, 0, column->type) >= 0;
  H5free_memory(name);
  H5Tclose(column->type);
  column->type = alone;
  return made;
}

/* False: more than one dimension has more than one element. No dimension at all: one row. */
static bool measure(plm_hdf5_column *column) {
  hsize_t extent[H5S_MAX_RANK];
  const hid_t space = H5Dget_space(column->dataset);
  if (space < 0) return false;
  const bool is_null = H5Sget_simple_extent_type(space) == H5S_NULL;
  column->dimensions = H5Sget_simple_extent_dims(space, extent, NULL);
  H5Sclose(space);
  column->axis = 0;
  column->rows = is_null ? 0 : 1;
  bool is_line = column->dimensions >= 0;
  for (int i = 0; i < column->dimensions; i++) {
    if (extent[i] == 1) continue;
    is_line = is_line && column->rows == 1;
    column->axis = i;
    column->rows = extent[i];
  }
  return is_line;
}

bool plm_hdf5_column_open(hid_t dataset, int (*rank)(const char *name), bool with_numbers,
                          plm_hdf5_column *ret_column) {
  *ret_column = (plm_hdf5_column){.dataset = dataset, .type = -1};
  const hid_t type = dataset >= 0 ? H5Dget_type(dataset) : -1;
  if (type < 0) return false;
  const bool fits = H5Tget_class(type) == H5T_COMPOUND ? choose_field(type, rank, with_numbers, ret_column)
                                                       : choose_type(type, with_numbers, ret_column);
  H5Tclose(type);
  return fits && measure(ret_column);
}

void plm_hdf5_column_close(plm_hdf5_column *column) {
  if (column->dataset < 0) return;
  if (column->type >= 0) H5Tclose(column->type);
  H5Dclose(column->dataset);
  column->dataset = column->type = -1;
}

/* ---- a group ---- */

enum { LOOKED_AT = 16 };

bool plm_hdf5_is_sequence(const plm_hdf5_column *column) {
  return column->rows == 1 || (column->kind == PLM_HDF5_FIXED && column->size == 1);
}

bool plm_hdf5_is_metadata(hid_t dataset, const char *name) {
  if (!plm_hdf5_is_about_file(name)) return false;
  const hid_t space = H5Dget_space(dataset);
  const hssize_t values = space >= 0 ? H5Sget_simple_extent_npoints(space) : -1;
  if (space >= 0) H5Sclose(space);
  return values == 1;
}

static bool is_string(hid_t dataset) {
  const hid_t type = H5Dget_type(dataset);
  const bool is = type >= 0 && H5Tget_class(type) == H5T_STRING;
  if (type >= 0) H5Tclose(type);
  return is;
}

typedef struct member_search {
  plm_hdf5_input *in;
  plm_hdf5_column found;
  int rank; /* of its name; -1: none is found */
} member_search;

static herr_t consider_member(hid_t group, const char *name, const H5L_info_t *link, void *user) {
  member_search *search = user;
  plm_hdf5_column column;
  const int rank = plm_hdf5_sequence_rank(name);
  (void)link;
  if (rank < 0 || (search->rank >= 0 && rank > search->rank)) return 0;
  const hid_t object = H5Oopen(group, name, search->in->access);
  if (object < 0) return 0;
  if (H5Iget_type(object) != H5I_DATASET || !is_string(object)) {
    H5Oclose(object);
    return 0;
  }
  if (!plm_hdf5_column_open(object, plm_hdf5_sequence_rank, false, &column) || !plm_hdf5_is_sequence(&column)) {
    plm_hdf5_column_close(&column);
    return 0;
  }
  plm_hdf5_column_close(&search->found);
  search->found = column;
  search->rank = rank;
  return 0;
}

bool plm_hdf5_find_member(plm_hdf5_input *in, hid_t group, plm_hdf5_column *ret_column) {
  member_search search = {.in = in, .found = {.dataset = -1, .type = -1}, .rank = -1};
  hsize_t next = 0;
  H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, &next, consider_member, &search);
  *ret_column = search.found;
  return search.rank >= 0;
}

static void look_at_inner_group(plm_hdf5_look *look, hid_t group) {
  plm_hdf5_column column;
  const bool has = plm_hdf5_find_member(look->in, group, &column);
  plm_hdf5_column_close(&column);
  look->proteins += has;
  look->lacking += !has;
}

static void look_at_dataset(plm_hdf5_look *look, hid_t dataset, const char *name) {
  plm_hdf5_column column;
  if (plm_hdf5_is_metadata(dataset, name)) {
    H5Dclose(dataset);
    return;
  }
  const hid_t type = H5Dget_type(dataset);
  const H5T_class_t class = type >= 0 ? H5Tget_class(type) : H5T_NO_CLASS;
  if (type >= 0) H5Tclose(type);
  const bool is_known_name = plm_hdf5_sequence_rank(name) >= 0 || plm_hdf5_ids_rank(name) >= 0;
  if (class == H5T_FLOAT) {
    look->numbers++;
    plm_hdf5_shape_text(dataset, look->shape);
  }
  const bool fits = plm_hdf5_column_open(dataset, plm_hdf5_sequence_rank, false, &column);
  const bool is_one = fits && class == H5T_STRING && column.dimensions <= 1 && plm_hdf5_is_sequence(&column);
  look->strings += is_one && !is_known_name;
  look->lists += is_one && column.dimensions == 1 && column.rows == 1;
  look->others += class != H5T_FLOAT && (!is_one || is_known_name);
  plm_hdf5_column_close(&column);
}

static herr_t look_at_link(hid_t group, const char *name, const H5L_info_t *link, void *user) {
  plm_hdf5_look *look = user;
  const hid_t object = H5Oopen(group, name, look->in->access);
  (void)link;
  if (object >= 0 && H5Iget_type(object) == H5I_DATASET) {
    look_at_dataset(look, object, name);
  } else if (object >= 0 && H5Iget_type(object) == H5I_GROUP) {
    look_at_inner_group(look, object);
    H5Oclose(object);
  } else {
    look->others++;
    if (object >= 0) H5Oclose(object);
  }
  return look->strings + look->numbers + look->others + look->proteins + look->lacking >= LOOKED_AT;
}

bool plm_hdf5_look_at_group(plm_hdf5_input *in, hid_t group, plm_hdf5_look *ret_look) {
  hsize_t next = 0;
  *ret_look = (plm_hdf5_look){.in = in};
  return H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, &next, look_at_link, ret_look) >= 0;
}

#endif
