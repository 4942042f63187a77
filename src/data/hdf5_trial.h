/* hdf5_trial.h - reading an HDF5 file once in a process of its own, before it is read in ours.
 *
 * libhdf5 trusts what it reads: on some damaged files it crashes, on others it goes on for ever and takes ever more memory. Neither can be
 * told beforehand, nor stopped from within.
 */
#ifndef PLM_DATA_HDF5_TRIAL_H
#define PLM_DATA_HDF5_TRIAL_H

#include "protlm/status.h"

/* How a reading ended; exit codes of the process, such that no other way to end gives them. */
typedef enum plm_hdf5_end { PLM_HDF5_READ = 40, PLM_HDF5_REFUSED, PLM_HDF5_NO_MEMORY } plm_hdf5_end;

typedef plm_hdf5_end plm_hdf5_reading(const char *path);

/* Fails if the reading crashes, or needs more time or memory than a file of that size can. PLM_OK says that it may be done in this process,
 * where it may fail; also when no process is to be had. No other thread may be using libhdf5. */
PLM_CHECKED plm_status plm_hdf5_trial(const char *path, plm_hdf5_reading *reading);

#endif
