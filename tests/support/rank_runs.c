/* rank_runs.c - see rank_runs.h. Contents: making a run, its steps, what came of it. */
#include "support/rank_runs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "kernels/cpu/backend_cpu.h"
#include "support/ranks_cases.h"
#include "support/unit.h"
#include "train/replicas.h"

enum { MAX_LENGTH = 100 };

/* ---- a run ---- */

typedef struct rank_run {
  plm_run run;
  plm_train_options options;
  plm_train_settings settings;
  plm_device *device;
} rank_run;

static plm_model_config make_config(void) {
  return (plm_model_config){
      .family = &plm_family_esm2,
      .alphabet = plm_alphabet_esm2(),
      .vocab_size = 33,
      .hidden_size = 40,
      .num_hidden_layers = 2,
      .num_attention_heads = 2,
      .head_width = 20,
      .intermediate_size = 72,
      .layer_norm_eps = 1e-5,
      .initializer_range = 0.02,
      .token_dropout = true,
      .mask_token_id = 32,
      .pad_token_id = 1,
      .max_position_embeddings = 1026,
  };
}

static plm_status open_loader(const rank_runs *runs, const plm_comm *comm, plm_loader **ret_loader) {
  plm_loader_options options = {
      .sampler =
          {
              .seed = 3,
              .batch_tokens = runs->batch_tokens > 0 ? runs->batch_tokens : 400,
              .max_length = MAX_LENGTH,
              .alphabet = plm_alphabet_esm2(),
          },
      .packer =
          {
              .alphabet = plm_alphabet_esm2(),
              .masked = true,
              .seed = 3,
              .max_length = MAX_LENGTH,
              .micro_batch_tokens = 120,
              .quadratic_cost = 1e-3,
          },
      .rank = comm->rank,
      .ranks = comm->size,
  };
  plm_mask_options_defaults(&options.packer.mask);
  return plm_loader_create(runs->view, &options, ret_loader);
}

static void settle(rank_run *r, const rank_runs *runs) {
  static const plm_schedule_request constant = {
      .name = "constant", .peak = 2e-3, .warmup = 0, .min_lr_ratio = 1, .T = 1000};
  r->options.check_replicas = runs->check_replicas;
  r->settings.o = &r->options;
  r->settings.max_steps = 1000;
  r->settings.steps_per_epoch = 100;
  r->settings.optimiser = (plm_optimiser_options){
      .beta1 = 0.9,
      .beta2 = 0.98,
      .epsilon = 1e-8,
      .weight_decay = 0.01,
      .max_grad_norm = 0.5,
  };
  if (plm_schedule_resolve(&constant, &r->settings.schedule) != PLM_OK) abort();
  r->run.settings = &r->settings;
  plm_train_state_init(&r->run.state);
  plm_guard_configure(&r->run.state.guard, 5, false);
  plm_run_clock_init(&r->run.clock);
  plm_deadline_init(&r->run.context.deadline, 0, 0, 0);
}

/* Every rank takes the whole of each tensor, as from a checkpoint. */
static plm_status load(const rank_runs *from, plm_run *run) {
  plm_training_parts parts;
  const float *values = from->weights;
  plm_status status = PLM_OK;
  PLM_TRY(plm_training_parts_create(run->model, run->optimiser, NULL, &parts));
  const plm_tensor_list *weights = &parts.weights, *states = &parts.states;
  for (size_t i = 0; i < weights->count && status == PLM_OK; i++) {
    status = plm_model_set(run->model, weights->items[i].key, values);
    values += weights->items[i].bytes / (int64_t)sizeof *values;
  }
  values = from->states;
  for (size_t i = 0; i < states->count && status == PLM_OK; i++) {
    status = states->take(states->user, &states->items[i], values);
    values += states->items[i].bytes / (int64_t)sizeof *values;
  }
  plm_training_parts_free(&parts);
  return status;
}

static plm_status open_model(rank_run *r, const rank_runs *runs, plm_comm *comm) {
  plm_run *run = &r->run;
  const plm_model_options options = {
      .dtype = runs->dtype,
      .training = true,
      .patterns = runs->patterns,
      .pattern_count = runs->pattern_count,
      .max_tokens = 200,
      .max_length = MAX_LENGTH,
      .ranks = comm->size,
      .sharded = runs->sharded,
  };
  const plm_model_config config = make_config();
  plm_optimiser_options optimiser = r->settings.optimiser;
  const int threads = runs->threads[comm->rank] > 0 ? runs->threads[comm->rank] : 1;
  const char *level = runs->levels[comm->rank] != NULL ? runs->levels[comm->rank] : "avx2";
  PLM_TRY(plm_device_cpu_create(&r->device));
  PLM_TRY(plm_exec_create_cpu(r->device, threads, level, &run->machine.exec));
  PLM_TRY(plm_model_create(&config, &options, run->machine.exec, &run->model));
  const size_t before = r->device->bytes_in_use;
  optimiser.comm = comm;
  PLM_TRY(plm_optimiser_create(run->model, run->machine.exec, &optimiser, &run->optimiser));
  if (comm->rank == 0) ((rank_runs *)(uintptr_t)runs)->optimiser_bytes = (int64_t)(r->device->bytes_in_use - before);
  PLM_TRY(runs->from != NULL ? load(runs->from, run) : plm_model_initialise(run->model, 5));
  return plm_model_refresh(run->model, run->machine.exec, PLM_REFRESH_ALL);
}

/* ---- its steps ---- */

static plm_status step_once(rank_runs *runs, plm_run *run, plm_loader *loader, int step) {
  const plm_step_batch *batch;
  plm_step_outcome outcome;
  plm_status mine = runs->before != NULL ? runs->before(run, step) : PLM_OK;
  if (mine == PLM_OK) mine = plm_loader_get(loader, step, &batch, NULL);
  if (mine != PLM_OK) return plm_run_step_without(run, mine);
  PLM_TRY(plm_run_step(run, batch, 0, &outcome));
  if (run->context.comm->rank == 0) runs->losses[step] = outcome.loss;
  plm_train_state_count_step(&run->state, &outcome);
  plm_run_clock_count_step(&run->clock, &outcome.control, run->context.comm->size);
  return runs->logs ? plm_agree(run->context.comm, "log", PLM_OK) : PLM_OK;
}

static plm_status take_steps(rank_runs *runs, plm_run *run) {
  plm_loader *loader;
  PLM_TRY(open_loader(runs, run->context.comm, &loader));
  plm_status status = PLM_OK;
  for (int step = 0; step < runs->steps && status == PLM_OK; step++) status = step_once(runs, run, loader, step);
  plm_loader_destroy(loader);
  return status;
}

/* ---- what came of it ---- */

/* Every rank walks the same lists, as for a checkpoint; rank 0 receives. */
static plm_status collect_list(const plm_tensor_list *list, const plm_comm *comm, float **ret_values,
                               int64_t *ret_count) {
  const int64_t count = plm_tensor_list_bytes(list) / (int64_t)sizeof(float);
  float *values = NULL;
  int64_t at = 0;
  if (comm->rank == 0) PLM_TRY(PLM_NEW(&values, count));
  for (size_t i = 0; i < list->count; i++) {
    PLM_TRY(plm_tensor_list_fill(list, &list->items[i], values != NULL ? values + at : NULL));
    at += list->items[i].bytes / (int64_t)sizeof(float);
  }
  if (comm->rank != 0) return PLM_OK;
  *ret_values = values;
  *ret_count = count;
  return PLM_OK;
}

static plm_status collect(rank_runs *runs, plm_run *run) {
  plm_training_parts parts;
  int64_t nonfinite;
  const plm_comm *comm = run->context.comm;
  PLM_TRY(plm_run_compare_replicas(run));
  PLM_TRY(plm_optimiser_count_nonfinite(run->optimiser, run->machine.exec, &nonfinite));
  cases_check(nonfinite == 0);
  PLM_TRY(plm_replica_hash(run->model, run->machine.exec, &runs->hashes[comm->rank]));
  PLM_TRY(plm_training_parts_create(run->model, run->optimiser, NULL, &parts));
  plm_status status = collect_list(&parts.weights, comm, &runs->weights, &runs->weight_count);
  if (status == PLM_OK) status = collect_list(&parts.states, comm, &runs->states, &runs->state_count);
  plm_training_parts_free(&parts);
  return status;
}

plm_status rank_runs_one(plm_comm *comm, void *context) {
  rank_runs *runs = context;
  rank_run *r = calloc(1, sizeof *r);
  settle(r, runs);
  r->run.context.comm = comm;
  comm->gradient_dtype = runs->wire;
  plm_status status = open_model(r, runs, comm);
  if (status == PLM_OK) status = take_steps(runs, &r->run);
  if (status == PLM_OK) status = collect(runs, &r->run);
  status = plm_comm_end(comm, status);
  plm_error_record first;
  plm_error_take(status, &first);
  plm_optimiser_destroy(r->run.optimiser);
  plm_model_destroy(r->run.model);
  plm_exec_destroy(r->run.machine.exec);
  plm_device_destroy(r->device);
  plm_train_state_free(&r->run.state);
  free(r);
  return plm_error_give(&first);
}

void rank_runs_prepare(rank_runs *runs) {
  assert_ok(PLM_NEW(&runs->losses, runs->steps));
  for (int i = 0; i < runs->steps; i++) runs->losses[i] = NAN;
}

void rank_runs_try(rank_runs *runs) {
  const threads_options options = {.size = runs->ranks, .most_delay = 2, .seed = 1};
  rank_runs_prepare(runs);
  threads_run(&options, rank_runs_one, runs, runs->results);
}

void rank_runs_go(rank_runs *runs) {
  rank_runs_try(runs);
  threads_expect_ok(runs->results, runs->ranks);
  for (int rank = 1; rank < runs->ranks; rank++)
    if (runs->hashes[rank] != runs->hashes[0]) fail_msg("rank %d reads other parameters than rank 0", rank);
}

void rank_runs_free(rank_runs *runs) {
  plm_free(runs->losses);
  plm_free(runs->weights);
  plm_free(runs->states);
}
