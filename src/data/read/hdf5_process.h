/* hdf5_process.h - reading an HDF5 file in a process of its own, which hands us what it finds through a pipe.
 *
 * libhdf5 trusts what it reads: on some damaged files it crashes, on others it goes on for ever and takes ever
 * more memory, and on others it damages the heap and seems to succeed. None of it can be told beforehand, so it
 * is kept out of our process. The process is a program that is started, not a fork: where threads run, a fork
 * may do next to nothing.
 */
#ifndef PLM_DATA_HDF5_PROCESS_H
#define PLM_DATA_HDF5_PROCESS_H

#include "data/read/hdf5_taker.h"

/* What is asked of a file. */
typedef struct plm_hdf5_task {
  const char *path;
  const char *dataset, *ids; /* as hdf5_dataset, hdf5_ids in plm_dataset_options */
  bool only_sources;         /* no rows, only the other files that they are in */
} plm_hdf5_task;

/* How a reading ended; exit codes of the process, such that no other way to end gives them. */
typedef enum plm_hdf5_end { PLM_HDF5_READ = 40, PLM_HDF5_REFUSED, PLM_HDF5_NO_MEMORY } plm_hdf5_end;

/* Hands over what it finds. *ret_status: of the failure, unless all is read. */
typedef plm_hdf5_end plm_hdf5_reading(const plm_hdf5_task *task, plm_hdf5_taker *taker, plm_status *ret_status);

/* In the program that reads: to be called before anything else in main. Returns unless these are the words by which
 * plm_hdf5_process started it; then the process ends here. */
void plm_hdf5_serve(int argc, char *const *argv, plm_hdf5_reading *reading);

/* Starts `program`, whose main calls plm_hdf5_serve; "/proc/self/exe" is the one that runs, even when its file has been
 * replaced since. Fails as its reading or the taker does, and when the reading crashes, or needs more time or memory
 * than a file of that size can. PLM_E_UNSUPPORTED: no process is to be had, or the program is not one of ours: it has
 * not said within so many seconds that it is, and is ended. */
PLM_CHECKED plm_status plm_hdf5_process(const char *program, int seconds, const plm_hdf5_task *task,
                                        plm_hdf5_taker *taker);

#endif
