/* session.c */
#include "app/session.h"

#include <string.h>

#include "base/alloc.h"
#include "dist/share.h"
#include "protlm/log.h"
#include "train/shared_data.h"
#include "train/shared_parts.h"

plm_status plm_session_open_machine(int64_t threads, plm_comm *comm, plm_session *ret_session) {
  PLM_TRY(plm_rank_threads_decide(comm, (plm_thread_request){.asked = threads}, &ret_session->threads));
  return plm_machine_open(&(plm_machine_options){.threads = ret_session->threads.threads}, &ret_session->machine);
}

/* The end of what can fail on one of several ranks. */
static plm_status agree(plm_comm *comm, const char *stage, plm_status mine) {
  return comm != NULL ? plm_agree(comm, stage, mine) : mine;
}

plm_status plm_session_open_like_machine(int64_t threads, plm_comm *comm, plm_session *ret_session) {
  char words[PLM_LEVEL_WORDS];
  PLM_TRY(agree(comm, "machine", plm_session_open_machine(threads, comm, ret_session)));
  if (comm == NULL) return PLM_OK;
  const plm_machine_options options = {.threads = ret_session->threads.threads};
  PLM_TRY(plm_machine_level_out(comm, &options, &ret_session->machine, words));
  if (strcmp(words, ret_session->machine.exec->kernels) != 0) plm_info("kernels: %s", words);
  return PLM_OK;
}

/* The shape of a preset, or of the directory that holds the weights (*ret_directory, allocated). */
static plm_status read_config(const char *model, bool random_weights, plm_model_config *ret_config,
                              char **ret_directory) {
  *ret_directory = NULL;
  if (model == NULL)
    return plm_hint(plm_fail(PLM_E_USAGE, "--model is missing"),
                    "--model DIRECTORY, a hub id, or a preset such as esm2_t6_8M");
  if (plm_model_is_preset(model)) {
    if (!random_weights)
      return plm_hint(plm_fail(PLM_E_USAGE, "--model %s is a preset: it has a shape but no weights", model),
                      "give a model directory or hub id (%s_UR50D), or --random-weights to look at untrained numbers",
                      model);
    return plm_model_config_preset(model, ret_config);
  }
  PLM_TRY(plm_model_dir_resolve(model, ret_directory));
  return plm_model_dir_read_config(*ret_directory, ret_config);
}

/* As rank 0 reads it, who alone looks at the directory; *ret_directory stays NULL on the others. */
static plm_status share_config(const plm_session_options *options, plm_comm *comm, plm_model_config *ret_config,
                               char **ret_directory) {
  plm_status status = PLM_OK;
  *ret_directory = NULL;
  if (comm == NULL || comm->rank == 0)
    status = read_config(options->model, options->random_weights, ret_config, ret_directory);
  PLM_TRY(agree(comm, "model", status));
  return comm != NULL ? plm_shared_config(comm, ret_config) : PLM_OK;
}

static plm_status open_data(const plm_session_options *options, const char *program, plm_comm *comm,
                            plm_session *session) {
  if (options->data.count == 0) return PLM_OK;
  const plm_data_reader reader = {.threads = plm_pool_threads(session->machine.exec->pool), .program = program};
  PLM_TRY(plm_shared_data_open(comm, &options->read, &options->data, &reader, &session->dataset));
  plm_data_log(&options->read, session->dataset, session->alphabet);
  plm_data_warn_of_unused(&options->read, &options->data, NULL);
  return PLM_OK;
}

/* The longest sequence sets the room for activations: whole sequences are never cut here unless asked. */
static void decide_lengths(const plm_session_options *options, plm_session *session) {
  enum { WITHOUT_DATA = 1024 };
  int64_t longest = WITHOUT_DATA;
  if (session->dataset != NULL)
    longest = plm_dataset_get_info(session->dataset)->longest + plm_alphabet_specials(session->alphabet);
  session->max_length = options->max_length > 0 && options->max_length < longest ? options->max_length : longest;
  int64_t tokens =
      options->micro_batch_tokens > 0 ? options->micro_batch_tokens : session->machine.exec->usual_micro_batch;
  session->micro_batch_tokens = tokens > session->max_length ? tokens : session->max_length;
}

static plm_status create_model(const plm_session_options *options, const plm_model_config *config,
                               plm_session *session) {
  const plm_model_options model = {
      .dtype = options->dtype != NULL && strcmp(options->dtype, "bf16") == 0 ? PLM_BF16 : PLM_F32,
      .max_tokens = session->micro_batch_tokens,
      .max_length = session->max_length,
      .all_rows = options->all_rows,
  };
  plm_status status = plm_model_create(config, &model, session->machine.exec, &session->model);
  return status != PLM_E_RESOURCE
             ? status
             : plm_hint(status, "--max-length N cuts long sequences (the longest here has %lld tokens)",
                        (long long)session->max_length);
}

/* is_random: there is no directory, on rank 0. */
static plm_status fill_model(const plm_session_options *options, plm_comm *comm, const char *directory, bool is_random,
                             plm_session *session) {
  if (is_random) {
    plm_warn("%s: random weights; the numbers mean nothing biologically", options->model);
    return plm_model_initialise(session->model, (uint64_t)options->seed);
  }
  return comm != NULL ? plm_shared_load_weights(comm, directory, false, session->model, &session->loaded)
                      : plm_model_dir_load(directory, session->model, &session->loaded);
}

static plm_status open_model(const plm_session_options *options, plm_comm *comm, const plm_model_config *config,
                             const char *directory, plm_session *session) {
  bool is_random = directory == NULL;
  PLM_TRY(agree(comm, "model", create_model(options, config, session)));
  if (comm != NULL) PLM_TRY(plm_agree_on_first(comm, "model", &is_random, sizeof is_random));
  PLM_TRY(agree(comm, "load", fill_model(options, comm, directory, is_random, session)));
  return agree(comm, "model", plm_model_refresh(session->model, session->machine.exec, PLM_REFRESH_ALL));
}

/* A mistake in the model's name is found before data is read. */
plm_status plm_session_open(const plm_session_options *options, const plm_output *output, plm_session *ret_session) {
  plm_model_config config;
  char *directory = NULL;
  plm_status status;
  *ret_session = (plm_session){0};
  plm_comm *comm = output != NULL ? output->comm : NULL;
  PLM_TRY_GOTO(share_config(options, comm, &config, &directory), done);
  PLM_TRY_GOTO(plm_session_open_like_machine(options->threads, comm, ret_session), done);
  ret_session->alphabet = config.alphabet;
  PLM_TRY_GOTO(open_data(options, output != NULL ? output->program : NULL, comm, ret_session), done);
  decide_lengths(options, ret_session);
  PLM_TRY_GOTO(open_model(options, comm, &config, directory, ret_session), done);
done:
  plm_free(directory);
  if (status != PLM_OK) plm_session_close(ret_session);
  return status;
}

void plm_session_close(plm_session *session) {
  plm_dataset_close(session->dataset);
  plm_model_destroy(session->model);
  plm_machine_close(&session->machine);
  *session = (plm_session){0};
}
