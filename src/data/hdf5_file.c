/* hdf5_file.c - sequences from HDF5: one dataset `sequences`, a list of strings of variable or fixed length.
 *
 * HDF5 is an import format here: its library holds one lock for everything and prints its errors itself, so a file is
 * read once, by one thread, and its error stack is kept quiet and quoted in our messages. The library doesn't survive
 * every damaged file: hdf5_process.h.
 */
#include "data/sequence_file.h"

#if !PLM_HAVE_HDF5

void plm_hdf5_reader_main(int argc, char *const *argv) { (void)argc, (void)argv; }

plm_status plm_hdf5_read(const char *path, const plm_hdf5_selection *selection, const char *reader,
                         plm_sequence_sink *sink) {
  (void)selection;
  (void)reader, (void)sink;
  return plm_hint(plm_fail(PLM_E_INPUT, "%s: this is an HDF5 file, and this build of protlm has no HDF5", path),
                  "convert it to FASTA, or build protlm where the HDF5 library is installed");
}

#else

#include <hdf5.h>
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "data/hdf5_process.h"
#include "protlm/log.h"

enum { ROWS_AT_ONCE = 1024, BYTES_AT_ONCE = 1 << 20, ANSWER_SECONDS = 20 };

typedef struct hdf5_input {
  const char *path;
  plm_sequence_sink *sink;
  FILE *to;                         /* instead of the sink, in a process of its own */
  hid_t file, dataset, space, type; /* negative: not open */
  hsize_t rows;
  bool lacked_memory; /* the library did */
} hdf5_input;

/* The innermost entry of HDF5's error stack: the cause. */
static herr_t take_first(unsigned n, const H5E_error2_t *error, void *user) {
  H5E_error2_t *cause = user;
  if (n == 0) *cause = *error;
  return 0;
}

static plm_status damaged(hdf5_input *in, const char *doing) {
  H5E_error2_t first = {.desc = NULL};
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_first, &first);
  const char *cause = first.desc;
  in->lacked_memory = cause != NULL && first.maj_num == H5E_RESOURCE;
  plm_fail(PLM_E_INPUT, "%s: %s failed (HDF5 says: %s)", in->path, doing, cause != NULL ? cause : "nothing");
  if (cause != NULL && strstr(cause, "lock file") != NULL) /* "unable to lock file"; a "sblock" is a superblock */
    return plm_hint(PLM_E_INPUT, "this file system refuses locks: set HDF5_USE_FILE_LOCKING=FALSE in the environment");
  return plm_hint(PLM_E_INPUT, "the file may be damaged or cut short: test it with h5ls, copy it again, or use FASTA");
}

static plm_status open_dataset(hdf5_input *in) {
  in->file = H5Fopen(in->path, H5F_ACC_RDONLY, H5P_DEFAULT);
  if (in->file < 0) return damaged(in, "opening the HDF5 file");
  if (H5Lexists(in->file, "sequences", H5P_DEFAULT) <= 0) {
    plm_fail(PLM_E_INPUT, "%s: the HDF5 file has no dataset 'sequences'", in->path);
    return plm_hint(PLM_E_INPUT,
                    "h5ls shows what it holds; a one-dimensional dataset of strings is needed, or use FASTA");
  }
  in->dataset = H5Dopen2(in->file, "sequences", H5P_DEFAULT);
  if (in->dataset < 0) return damaged(in, "opening the dataset 'sequences'");
  in->space = H5Dget_space(in->dataset);
  in->type = H5Dget_type(in->dataset);
  if (in->space < 0 || in->type < 0) return damaged(in, "reading the shape of 'sequences'");
  return PLM_OK;
}

static plm_status check_shape(hdf5_input *in) {
  if (H5Tget_class(in->type) != H5T_STRING) {
    plm_fail(PLM_E_INPUT, "%s: the HDF5 dataset 'sequences' does not hold strings", in->path);
    return plm_hint(PLM_E_INPUT, "store the letters, one string a protein, not token numbers");
  }
  int dimensions = H5Sget_simple_extent_ndims(in->space);
  if (dimensions != 1)
    return plm_hint(plm_fail(PLM_E_INPUT, "%s: the HDF5 dataset 'sequences' has %d dimensions", in->path, dimensions),
                    "a list of strings has one");
  if (H5Sget_simple_extent_dims(in->space, &in->rows, NULL) < 0)
    return damaged(in, "reading the length of 'sequences'");
  return PLM_OK;
}

static plm_status add_row(hdf5_input *in, hsize_t row, const char *text, size_t bytes) {
  if (in->to != NULL) {
    plm_hdf5_send_row(in->to, text, bytes);
    return PLM_OK;
  }
  plm_status status = plm_sequence_sink_text(in->sink, text, bytes);
  if (status == PLM_OK) status = plm_sequence_sink_end(in->sink);
  return status == PLM_OK ? PLM_OK : plm_hdf5_row_failed(status, in->path, row);
}

/* Rows first .. first+count-1 into `buffer`, in the type they have in the file. *ret_memory: their shape in memory. */
static plm_status read_rows(hdf5_input *in, hsize_t first, hsize_t count, void *buffer, hid_t *ret_memory) {
  *ret_memory = H5Screate_simple(1, &count, NULL);
  if (*ret_memory < 0 || H5Sselect_hyperslab(in->space, H5S_SELECT_SET, &first, NULL, &count, NULL) < 0 ||
      H5Dread(in->dataset, in->type, *ret_memory, in->space, H5P_DEFAULT, buffer) < 0)
    return damaged(in, "reading 'sequences'");
  return PLM_OK;
}

static plm_status read_variable(hdf5_input *in) {
  plm_status status = PLM_OK;
  char **text = NULL;
  PLM_TRY(PLM_NEW(&text, ROWS_AT_ONCE));
  for (hsize_t first = 0; status == PLM_OK && first < in->rows; first += ROWS_AT_ONCE) {
    hsize_t count = in->rows - first < ROWS_AT_ONCE ? in->rows - first : ROWS_AT_ONCE;
    hid_t memory = -1;
    status = read_rows(in, first, count, text, &memory);
    bool read = status == PLM_OK;
    for (hsize_t i = 0; status == PLM_OK && i < count; i++)
      status = add_row(in, first + i, text[i] != NULL ? text[i] : "", text[i] != NULL ? strlen(text[i]) : 0);
    if (read) H5Dvlen_reclaim(in->type, memory, H5P_DEFAULT, text);
    if (memory >= 0) H5Sclose(memory);
  }
  plm_free(text);
  return status;
}

/* Strings of fixed length are padded with NUL or spaces, as the writer chose. */
static plm_status read_fixed(hdf5_input *in) {
  plm_status status = PLM_OK;
  size_t size = H5Tget_size(in->type);
  if (size == 0) return damaged(in, "reading the type of 'sequences'");
  hsize_t rows_at_once = size < BYTES_AT_ONCE ? BYTES_AT_ONCE / size : 1;
  char *text = NULL;
  PLM_TRY(PLM_NEW(&text, rows_at_once * size));
  for (hsize_t first = 0; status == PLM_OK && first < in->rows; first += rows_at_once) {
    hsize_t count = in->rows - first < rows_at_once ? in->rows - first : rows_at_once;
    hid_t memory = -1;
    status = read_rows(in, first, count, text, &memory);
    for (hsize_t i = 0; status == PLM_OK && i < count; i++) {
      const char *row = text + i * size;
      status = add_row(in, first + i, row, strnlen(row, size)); /* the sink drops white space */
    }
    if (memory >= 0) H5Sclose(memory);
  }
  plm_free(text);
  return status;
}

static plm_status read_file(hdf5_input *in) {
  PLM_TRY(open_dataset(in));
  PLM_TRY(check_shape(in));
  htri_t variable = H5Tis_variable_str(in->type);
  if (variable < 0) return damaged(in, "reading the type of 'sequences'");
  return variable > 0 ? read_variable(in) : read_fixed(in);
}

static plm_status read_and_close(hdf5_input *in) {
  in->file = in->dataset = in->space = in->type = -1;
  plm_status status = read_file(in);
  if (in->type >= 0) H5Tclose(in->type);
  if (in->space >= 0) H5Sclose(in->space);
  if (in->dataset >= 0) H5Dclose(in->dataset);
  if (in->file >= 0) H5Fclose(in->file);
  return status;
}

/* The library prints its errors unless told not to; a host that uses it too keeps its own setting. */
static plm_status read_quietly(hdf5_input *in) {
  H5E_auto2_t print = NULL;
  void *print_data = NULL;
  H5Eget_auto2(H5E_DEFAULT, &print, &print_data);
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  plm_status status = read_and_close(in);
  H5Eset_auto2(H5E_DEFAULT, print, print_data);
  return status;
}

static plm_hdf5_end send_rows(const char *path, FILE *rows, plm_status *ret_status) {
  hdf5_input in = {.path = path, .to = rows};
  *ret_status = read_quietly(&in);
  if (*ret_status == PLM_OK) return PLM_HDF5_READ;
  return in.lacked_memory ? PLM_HDF5_NO_MEMORY : PLM_HDF5_REFUSED;
}

void plm_hdf5_reader_main(int argc, char *const *argv) { plm_hdf5_serve(argc, argv, send_rows); }

plm_status plm_hdf5_read(const char *path, const plm_hdf5_selection *selection, const char *reader,
                         plm_sequence_sink *sink) {
  (void)selection;
  static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER; /* the library need not be safe for threads */
  hdf5_input in = {.path = path, .sink = sink};
  plm_status status = reader != NULL ? plm_hdf5_process(reader, ANSWER_SECONDS, path, sink) : PLM_E_UNSUPPORTED;
  if (status != PLM_E_UNSUPPORTED) return status;
  if (reader != NULL) plm_debug("%s", plm_error_message());
  pthread_mutex_lock(&one_at_a_time);
  status = read_quietly(&in);
  pthread_mutex_unlock(&one_at_a_time);
  return status;
}

#endif
