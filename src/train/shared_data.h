/* shared_data.h - sequence files among ranks: rank 0 makes the packed form, and the others open what it made. */
#ifndef PLM_TRAIN_SHARED_DATA_H
#define PLM_TRAIN_SHARED_DATA_H

#include "dist/agree.h"
#include "train/data_options.h"

/* plm_data_open on every rank, and collective. Rank 0 first; then the first rank of each other node, which finds what
 * rank 0 made where the cache is shared, and makes its own where it is not; then the rest, from the packed form of their
 * node's first, where they were given the same files. So a file is read as text, and an HDF5 file by a process of its own, once a node at most. PLM_E_USAGE:
 * what can be read only once (standard input, a pipe) and several ranks. */
PLM_CHECKED plm_status plm_shared_data_open(plm_comm *comm, const plm_data_options *options,
                                            const plm_string_list *paths, const plm_data_reader *reader,
                                            plm_dataset **ret_dataset);

#endif
