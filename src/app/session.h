/* session.h - what the commands that run a model share: machine, the model's weights and the sequences, opened and
 * closed together. */
#ifndef PLM_APP_SESSION_H
#define PLM_APP_SESSION_H

#include "data/dataset.h"
#include "dist/agree.h"
#include "hub/model_dir.h"
#include "model/model.h"
#include "protlm/commands.h"
#include "train/data_options.h"
#include "train/machine.h"

typedef struct plm_session_options {
  const char *model; /* directory, hub id, or preset with random_weights */
  bool random_weights;
  int64_t seed;         /* of random weights */
  const char *dtype;    /* "fp32", "bf16" */
  int64_t threads;      /* --threads; 0 = not given */
  plm_string_list data; /* sequence files; count 0 = none */
  plm_data_options read;
  int64_t max_length;         /* tokens, 0 = the longest sequence of the data */
  int64_t micro_batch_tokens; /* 0 = a default */
  bool all_rows;
} plm_session_options;

typedef struct plm_session {
  plm_thread_count threads;
  plm_machine machine;
  plm_model *model;
  const plm_alphabet *alphabet; /* the model's */
  plm_dataset *dataset;
  plm_load_report loaded;
  int64_t max_length, micro_batch_tokens;
} plm_session;

/* output: who reads HDF5 files, and the other ranks, for which this is collective; NULL: this process, alone. */
PLM_CHECKED plm_status plm_session_open(const plm_session_options *options, const plm_output *output,
                                        plm_session *ret_session);
void plm_session_close(plm_session *session);

/* The machine alone, for commands without a model. comm: the other ranks, for which this is collective; NULL: alone. */
PLM_CHECKED plm_status plm_session_open_machine(int64_t threads, plm_comm *comm, plm_session *ret_session);

/* The same, with the kernels that all ranks have. */
PLM_CHECKED plm_status plm_session_open_like_machine(int64_t threads, plm_comm *comm, plm_session *ret_session);

#endif
