/* hdf5_file.c - sequences from HDF5, from outside: a dataset of strings, or one dataset for each sequence.
 *
 * HDF5 is an import format here: its library holds one lock for everything and prints its errors itself, so a file is
 * read once, by one thread, and its error stack is kept quiet and quoted in our messages. The library doesn't survive
 * every damaged file: hdf5_process.h. The chapters of a reading: hdf5_input.h.
 */
#include "data/read/sequence_file.h"

#if !PLM_HAVE_HDF5

void plm_hdf5_reader_main(int argc, char *const *argv) { (void)argc, (void)argv; }

static plm_status unsupported(const char *path) {
  return plm_hint(plm_fail(PLM_E_INPUT, "%s: this is an HDF5 file, and this build of protlm has no HDF5", path),
                  "convert it to FASTA, or build protlm where the HDF5 library is installed");
}

plm_status plm_hdf5_read(const char *path, const plm_hdf5_selection *selection, const char *reader,
                         plm_sequence_sink *sink) {
  (void)selection, (void)reader, (void)sink;
  return unsupported(path);
}

plm_status plm_hdf5_sources(const char *path, const plm_hdf5_selection *selection, const char *reader,
                            plm_text *sources) {
  (void)selection, (void)reader, (void)sources;
  return unsupported(path);
}

#else

#include <pthread.h>

#include "data/read/hdf5_input.h"
#include "protlm/log.h"

enum { ANSWER_SECONDS = 20 };

static plm_status read_file(plm_hdf5_input *in) {
  in->file = H5Fopen(in->task->path, H5F_ACC_RDONLY, H5P_DEFAULT);
  if (in->file < 0) return plm_hdf5_failed(in, "opening the HDF5 file");
  plm_hdf5_watch_links(in);
  PLM_TRY(plm_hdf5_select(in));
  PLM_TRY(plm_hdf5_check_sources(in));
  if (in->task->only_sources) return PLM_OK;
  if (in->taker->allow != NULL) in->taker->allow(in->taker->source_bytes);
  plm_hdf5_take_title(in->taker, in->name, in->group >= 0);
  return in->group >= 0 ? plm_hdf5_read_group(in) : plm_hdf5_read_rows(in);
}

static plm_status read_and_close(plm_hdf5_input *in) {
  in->file = in->access = in->group = in->sequences.dataset = in->ids.dataset = -1;
  plm_status status = read_file(in);
  plm_hdf5_column_close(&in->sequences);
  plm_hdf5_column_close(&in->ids);
  if (in->group >= 0) H5Gclose(in->group);
  if (in->access >= 0) H5Pclose(in->access);
  if (in->file >= 0) H5Fclose(in->file);
  return status;
}

/* The library prints its errors unless told not to; a host that uses it too keeps its own setting. */
static plm_status read_quietly(plm_hdf5_input *in) {
  H5E_auto2_t print = NULL;
  void *print_data = NULL;
  H5Eget_auto2(H5E_DEFAULT, &print, &print_data);
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  plm_status status = read_and_close(in);
  H5Eset_auto2(H5E_DEFAULT, print, print_data);
  return status;
}

static plm_hdf5_end read_in_process(const plm_hdf5_task *task, plm_hdf5_taker *taker, plm_status *ret_status) {
  plm_hdf5_input in = {.task = task, .taker = taker};
  *ret_status = read_quietly(&in);
  if (*ret_status == PLM_OK) return PLM_HDF5_READ;
  return in.lacked_memory ? PLM_HDF5_NO_MEMORY : PLM_HDF5_REFUSED;
}

void plm_hdf5_reader_main(int argc, char *const *argv) { plm_hdf5_serve(argc, argv, read_in_process); }

static plm_status do_task(const plm_hdf5_task *task, const char *reader, plm_hdf5_taker *taker) {
  static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER; /* the library need not be safe for threads */
  plm_hdf5_input in = {.task = task, .taker = taker};
  plm_status status = reader != NULL ? plm_hdf5_process(reader, ANSWER_SECONDS, task, taker) : PLM_E_UNSUPPORTED;
  if (status != PLM_E_UNSUPPORTED) return status;
  if (reader != NULL) plm_debug("%s", plm_error_message());
  pthread_mutex_lock(&one_at_a_time);
  status = read_quietly(&in);
  pthread_mutex_unlock(&one_at_a_time);
  return status;
}

static const char *unless_empty(const char *name) { return name != NULL && name[0] != '\0' ? name : NULL; }

static plm_hdf5_task task_of(const char *path, const plm_hdf5_selection *selection) {
  return (plm_hdf5_task){
      .path = path,
      .dataset = unless_empty(selection->dataset),
      .ids = unless_empty(selection->ids),
  };
}

plm_status plm_hdf5_read(const char *path, const plm_hdf5_selection *selection, const char *reader,
                         plm_sequence_sink *sink) {
  const plm_hdf5_task task = task_of(path, selection);
  plm_hdf5_taker taker = {.path = path, .sink = sink};
  sink->mending = (plm_mending){.rows_of = path};
  plm_status status = do_task(&task, reader, &taker);
  sink->mending = (plm_mending){0};
  return status;
}

plm_status plm_hdf5_sources(const char *path, const plm_hdf5_selection *selection, const char *reader,
                            plm_text *sources) {
  plm_hdf5_task task = task_of(path, selection);
  plm_hdf5_taker taker = {.path = path, .sources = sources};
  task.only_sources = true;
  return do_task(&task, reader, &taker);
}

#endif
