/* hdf5_files.c - see hdf5_files.h */
#include "support/hdf5_files.h"

#if PLM_HAVE_HDF5

#include "support/scratch.h"
#include "support/unit.h"

hid_t hdf5_create(const char *name) {
  const hid_t file = H5Fcreate(scratch_path(name), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  assert_true(file >= 0);
  return file;
}

void hdf5_put(hid_t file, const char *path, hid_t type, hid_t space, hid_t creation, const void *data) {
  const hid_t links = H5Pcreate(H5P_LINK_CREATE);
  H5Pset_create_intermediate_group(links, 1);
  const hid_t dataset = H5Dcreate2(file, path, type, space, links, creation, H5P_DEFAULT);
  assert_true(dataset >= 0);
  if (data != NULL) assert_true(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
  H5Dclose(dataset);
  H5Pclose(links);
}

static void put_rows(hid_t file, const char *path, int rows, hid_t type, const void *data) {
  const hsize_t extent = (hsize_t)rows;
  const hid_t space = H5Screate_simple(1, &extent, NULL);
  hdf5_put(file, path, type, space, H5P_DEFAULT, data);
  H5Sclose(space);
}

hid_t hdf5_fixed_type(int size) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, (size_t)size);
  return type;
}

static hid_t variable_type(void) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, H5T_VARIABLE);
  return type;
}

void hdf5_put_strings(hid_t file, const char *path, int rows, const char *const *text) {
  const hid_t type = variable_type();
  put_rows(file, path, rows, type, text);
  H5Tclose(type);
}

void hdf5_put_fixed(hid_t file, const char *path, int rows, int size, const char *text) {
  const hid_t type = hdf5_fixed_type(size);
  put_rows(file, path, rows, type, text);
  H5Tclose(type);
}

void hdf5_put_scalar(hid_t file, const char *path, const char *text) {
  const hid_t type = variable_type(), space = H5Screate(H5S_SCALAR);
  hdf5_put(file, path, type, space, H5P_DEFAULT, &text);
  H5Sclose(space);
  H5Tclose(type);
}

void hdf5_put_numbers(hid_t file, const char *path, int rows, hid_t type, const void *numbers) {
  put_rows(file, path, rows, type, numbers);
}

void hdf5_make_virtual(const char *name, int rows, int each, int count, const char *const *sources) {
  const hsize_t extent = (hsize_t)rows, block = (hsize_t)each;
  const hid_t file = hdf5_create(name), type = hdf5_fixed_type(8), creation = H5Pcreate(H5P_DATASET_CREATE);
  const hid_t space = H5Screate_simple(1, &extent, NULL), source = H5Screate_simple(1, &block, NULL);
  for (int i = 0; i < count; i++) {
    const hsize_t start = (hsize_t)(i * each);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, NULL, &block, NULL);
    assert_true(H5Pset_virtual(creation, space, sources[i], "sequences", source) >= 0);
  }
  H5Sselect_all(space);
  hdf5_put(file, "sequences", type, space, creation, NULL);
  H5Sclose(source);
  H5Sclose(space);
  H5Pclose(creation);
  H5Tclose(type);
  assert_true(H5Fclose(file) >= 0);
}

#endif
