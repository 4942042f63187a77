/* hdf5_files.h - small HDF5 files, made in the scratch directory. libhdf5's own failures end the test. */
#ifndef TESTS_SUPPORT_HDF5_FILES_H
#define TESTS_SUPPORT_HDF5_FILES_H

#if PLM_HAVE_HDF5

#include <hdf5.h>

/* A new file of this name, closed with H5Fclose. */
hid_t hdf5_create(const char *name);

/* Datasets in it, with the groups that their paths name: rows of strings of variable length; of fixed length, `size`
 * bytes each in `text`; one string without dimensions; numbers of this type. */
void hdf5_put_strings(hid_t file, const char *path, int rows, const char *const *text);
void hdf5_put_fixed(hid_t file, const char *path, int rows, int size, const char *text);
void hdf5_put_scalar(hid_t file, const char *path, const char *text);
void hdf5_put_numbers(hid_t file, const char *path, int rows, hid_t type, const void *numbers);

/* A dataset of these dimensions, which data is written to unless it is NULL; `creation` H5P_DEFAULT or a list. */
void hdf5_put(hid_t file, const char *path, hid_t type, hid_t space, hid_t creation, const void *data);

/* Fixed strings as they lie in files: to be closed with H5Tclose. */
hid_t hdf5_fixed_type(int size);

/* A virtual dataset `sequences` of strings of 8 bytes: `rows` rows, `each` of every source's `sequences`. */
void hdf5_make_virtual(const char *name, int rows, int each, int count, const char *const *sources);

#endif
#endif
