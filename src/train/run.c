/* run.c - plm_train: from options to a result, stage by stage. Everything is opened here and closed here. */
#include "train/run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "checkpoint/checkpoint.h"
#include "dist/preflight.h"
#include "hub/model_dir.h"
#include "protlm/log.h"
#include "train/alike.h"
#include "train/shared_parts.h"

/* ---- state ---- */

/* The best checkpoint may not be here: of the run that this one branches off from, or removed since. The search then
 * begins again. */
static plm_status look_for_best(plm_run *run, bool *ret_absent) {
  char *path;
  const plm_train_state *s = &run->state;
  PLM_TRY(plm_sprintf(&path, "%s/checkpoint-%lld", run->outputs.directory.path, (long long)s->best_step));
  *ret_absent = !plm_file_is_directory(path);
  plm_free(path);
  if (*ret_absent)
    plm_info("checkpoint-%lld, the best so far, is not in %s: the next that is evaluated counts as the best",
             (long long)s->best_step, run->outputs.directory.path);
  return PLM_OK;
}

static plm_status forget_absent_best(plm_run *run) {
  plm_comm *comm = run->context.comm;
  bool absent = false;
  if (run->state.best_step < 0) return PLM_OK;
  PLM_TRY(plm_agree(comm, "state", comm->rank == 0 ? look_for_best(run, &absent) : PLM_OK));
  PLM_TRY(plm_agree_on_first(comm, "state", &absent, sizeof absent));
  if (absent) plm_train_state_set_best(&run->state, -1, NAN);
  return PLM_OK;
}

/* Rank 0's document, on all. */
static plm_status get_state(plm_run *run, json_t **ret_document) {
  plm_comm *comm = run->context.comm;
  const char *checkpoint = run->outputs.directory.checkpoint;
  PLM_TRY(plm_agree(comm, "state", comm->rank == 0 ? plm_checkpoint_read_state(checkpoint, ret_document) : PLM_OK));
  return plm_shared_document(comm, "state", ret_document);
}

static plm_status read_state(plm_run *run) {
  const char *checkpoint = run->outputs.directory.checkpoint;
  json_t *document = NULL;
  if (checkpoint == NULL) {
    plm_train_state_begin(&run->state);
    return plm_train_state_share_name(&run->state, run->context.comm);
  }
  plm_status status = get_state(run, &document);
  if (status == PLM_OK) {
    plm_train_state_free(&run->state);
    status = plm_train_state_read(document, checkpoint, &run->state);
  }
  json_decref(document);
  PLM_TRY(plm_agree(run->context.comm, "state", status));
  run->resumed = true;
  plm_run_clock_set_first_step(&run->clock, run->state.step);
  plm_info("continuing from %s", checkpoint);
  return forget_absent_best(run);
}

/* Hold the options against those of the state, then put them, and what was resolved with them, in their place. */
static plm_status settle_state(plm_run *run) {
  const plm_dataset_info *train = plm_dataset_get_info(run->stream.train_data);
  const plm_dataset_info *eval = run->stream.eval_data != NULL ? plm_dataset_get_info(run->stream.eval_data) : NULL;
  const plm_data_identity data = {
      .train_hash = train->content_hash,
      .eval_hash = eval != NULL ? eval->content_hash : "",
      .train_rules = train->rules,
      .eval_rules = eval != NULL ? eval->rules : 0,
  };
  json_t *options;
  plm_arithmetic arithmetic;
  if (run->resumed) PLM_TRY(plm_resume_compare(run->settings, &run->state, &data, run->context.comm->size));
  PLM_TRY(plm_resume_options(run->settings, &options));
  plm_run_arithmetic(&run->plan, run->settings, run->machine.exec, &arithmetic);
  if (run->resumed && run->context.comm->rank == 0) plm_arithmetic_say_changes(&run->state.arithmetic, &arithmetic);
  plm_train_state_settle(&run->state, run->settings, &arithmetic, options, &data);
  return PLM_OK;
}

/* A run cannot be made shorter than it is. */
static plm_status check_horizon(const plm_run *run) {
  const long long steps = run->settings->max_steps, done = run->state.step;
  if (!run->resumed || done <= steps) return PLM_OK;
  plm_fail(PLM_E_USAGE, "%s has done %lld %s already, and is asked for %lld", run->outputs.directory.path, done,
           plm_plural(done, "step", "steps"), steps);
  return plm_hint(PLM_E_USAGE,
                  "ask for %lld or more, or take an earlier checkpoint of it as --model for another --output-dir",
                  done);
}

/* ---- model ---- */

static plm_status fill_weights(plm_run *run) {
  const plm_train_settings *s = run->settings;
  plm_comm *comm = run->context.comm;
  plm_load_report report;
  if (run->resumed) return plm_shared_load(comm, run->outputs.directory.checkpoint, run->model, run->optimiser);
  if (s->from_scratch) return plm_model_initialise(run->model, (uint64_t)s->o->seed);
  PLM_TRY(plm_shared_load_weights(comm, s->model_directory, false, run->model, &report));
  if (comm->rank == 0)
    plm_info("%s: %lld tensors, rotary frequencies from %s", s->model_directory, (long long)report.tensors,
             report.inv_freq_source);
  return PLM_OK;
}

static plm_status make_model(plm_run *run) {
  plm_model_options options;
  plm_run_model_options(&run->plan, run->settings, &options);
  plm_run_phase(&run->context, "loading %s", run->settings->o->model);
  PLM_TRY(plm_model_create(&run->settings->config, &options, run->machine.exec, &run->model));
  plm_optimiser_options optimiser = run->settings->optimiser;
  optimiser.comm = run->context.comm;
  return plm_optimiser_create(run->model, run->machine.exec, &optimiser, &run->optimiser);
}

static plm_status open_model(plm_run *run) {
  PLM_TRY(plm_agree(run->context.comm, "model", make_model(run)));
  PLM_TRY(plm_agree(run->context.comm, "model", fill_weights(run)));
  PLM_TRY(plm_model_refresh(run->model, run->machine.exec, PLM_REFRESH_ALL));
  return plm_run_check_interrupted();
}

/* ---- all that can be known without computing: ends with the plan ---- */

typedef struct preparation {
  plm_run *run;
  const plm_option_values *values;
  const plm_train_observer *observer;
  plm_train_settings *settings; /* run->settings, to be resolved */
  const plm_arithmetic *saved;  /* the state's; NULL: a new run */
} preparation;

static plm_status resolve_options(preparation *p) {
  PLM_TRY(plm_train_settings_create(p->values, &p->settings));
  p->run->settings = p->settings;
  p->run->context.comm->timeout = p->settings->o->timeout;
  return PLM_OK;
}

static plm_status compare_ranks(preparation *p) {
  PLM_TRY(plm_alike_program(p->run->context.comm));
  return plm_alike_options(p->run->context.comm, p->settings);
}

/* From here on there is a place for the note of why a run stopped. */
static plm_status enter_directory(preparation *p) {
  plm_run *run = p->run;
  PLM_TRY(plm_outputs_enter(&run->outputs, p->settings, run->context.comm));
  const plm_run_directory *d = &run->outputs.directory;
  if (!p->settings->o->dry_run)
    plm_stopped_arm(&run->watch, run->context.comm, d->path, d->checkpoint != NULL ? d->step : 0);
  return PLM_OK;
}

static plm_status find_state(preparation *p) {
  plm_run *run = p->run;
  PLM_TRY(read_state(run));
  if (run->resumed) p->saved = &run->state.arithmetic;
  return PLM_OK;
}

static plm_status resolve_model(preparation *p) {
  plm_run *run = p->run;
  PLM_TRY(plm_train_resolve_model(p->settings, run->outputs.directory.checkpoint, run->context.comm));
  plm_train_resolve_batches(p->settings, run->resumed ? run->state.global_batch_sequences : -1,
                            run->context.comm->size);
  return PLM_OK;
}

static plm_status open_machine(preparation *p) {
  const char *device = p->observer != NULL ? p->observer->device : NULL;
  return plm_run_open_machine(p->settings, p->saved, device, p->run->context.comm, &p->run->machine, &p->run->plan);
}

static plm_status plan_memory(preparation *p) {
  return plm_run_plan_memory(p->settings, p->saved, p->run->machine.exec, p->run->context.comm, &p->run->plan);
}

static plm_status open_data(preparation *p) {
  plm_run *run = p->run;
  PLM_TRY(plm_run_end_stage(&run->context, plm_run_check_interrupted()));
  plm_status status = plm_stream_open(&run->stream, p->settings, &run->context);
  if (plm_run_interrupted()) status = PLM_STOPPED;
  PLM_TRY(plm_run_end_stage(&run->context, status));
  return plm_alike_data(run->context.comm, &run->stream);
}

/* Batches of sequences are as large as was asked for; of tokens, about so. */
static void say_idle_ranks(const plm_run *run) {
  const int64_t steps = plm_loader_steps_per_epoch(run->stream.loader), ranks = run->context.comm->size;
  const int64_t batch = run->settings->batch_sequences > 0 ? run->settings->batch_sequences
                                                           : (run->stream.train.count + steps - 1) / steps;
  char sequences[PLM_COUNTED_TEXT];
  if (batch < ranks && run->context.comm->rank == 0)
    plm_warn("a global batch holds %s%s, so of %lld ranks some have nothing to do: fewer ranks, or a larger batch",
             run->settings->batch_sequences > 0 ? "" : "about ", plm_counted(batch, "sequence", "sequences", sequences),
             (long long)ranks);
}

static plm_status resolve_steps(preparation *p) {
  plm_run *run = p->run;
  PLM_TRY(plm_stream_open_loader(&run->stream, p->settings, run->plan.micro_batch_tokens, run->context.comm));
  PLM_TRY(plm_train_resolve_horizon(p->settings, plm_loader_steps_per_epoch(run->stream.loader),
                                    run->resumed ? run->state.warmup : -1));
  PLM_TRY(check_horizon(run));
  return settle_state(run);
}

/* For a person: rank 0's. */
static plm_status report(preparation *p) {
  plm_run *run = p->run;
  if (run->context.comm->rank != 0) return PLM_OK;
  PLM_TRY(plm_stream_report(&run->stream, p->settings, run->resumed));
  plm_run_report_plan(&run->plan, p->settings, plm_loader_tokens_per_epoch(run->stream.loader),
                      run->outputs.directory.path);
  say_idle_ranks(run);
  return PLM_OK;
}

/* Each ends in an agreement. */
static const struct {
  const char *name;
  double seconds;
  plm_status (*work)(preparation *p);
} preparations[] = {
    {"options", 0, resolve_options},
    {"options", 0, compare_ranks},
    {"directory", PLM_LONG_STAGE, enter_directory}, /* every byte of a checkpoint is read */
    {"state", 0, find_state},
    {"model", 0, resolve_model},
    {"machine", 0, open_machine},
    {"plan", 0, plan_memory},
    {"data", PLM_LONG_STAGE, open_data},
    {"plan", 0, resolve_steps},
    {"plan", PLM_LONG_STAGE, report},
};

static plm_status prepare(plm_run *run, const plm_option_values *values, const plm_train_observer *observer) {
  preparation p = {.run = run, .values = values, .observer = observer};
  PLM_TRY(plm_run_context_open(&run->context, observer));
  for (size_t i = 0; i < sizeof preparations / sizeof *preparations; i++) {
    plm_run_begin_stage(&run->context, preparations[i].name, preparations[i].seconds);
    PLM_TRY(plm_run_end_stage(&run->context, preparations[i].work(&p)));
  }
  return PLM_OK;
}

/* ---- training ---- */

/* final/ of the last step is written when all else is done, also an evaluation that the checkpoint still owed. */
static plm_status is_finished(const plm_run *run, bool *ret_finished) {
  *ret_finished = false;
  if (!run->resumed || !plm_run_is_over(run)) return PLM_OK;
  return plm_outputs_has_final(&run->outputs, run->context.comm, run->state.step, ret_finished);
}

static plm_status tell_ready(const plm_run_context *context) {
  const plm_train_observer *o = context->observer;
  return o != NULL && o->ready != NULL ? o->ready(o->user) : PLM_OK;
}

static plm_status open_outputs(plm_run *run) {
  const plm_output_parts parts = {
      .context = &run->context,
      .settings = run->settings,
      .state = &run->state,
      .model = run->model,
      .optimiser = run->optimiser,
      .exec = run->machine.exec,
  };
  plm_run_begin_stage(&run->context, "description", PLM_LONG_STAGE);
  plm_run_begin_deadline(&run->context, run->clock.started, run->settings->o->time_limit,
                         plm_run_checkpoint_bytes(&run->plan, run->settings->optimiser.kind));
  plm_run_clock_mark_save(&run->clock);
  PLM_TRY(plm_outputs_open(&run->outputs, &parts, run->resumed));
  return plm_agree(run->context.comm, "description", tell_ready(&run->context));
}

static plm_status train(plm_run *run) {
  plm_run_begin_stage(&run->context, "load", PLM_LONG_STAGE);
  PLM_TRY(plm_run_end_stage(&run->context, open_model(run)));
  PLM_TRY(open_outputs(run));
  plm_run_begin_stage(&run->context, "preflight", 0);
  PLM_TRY(plm_preflight(run->context.comm, run->machine.exec));
  const plm_status status = plm_run_loop(run);
  plm_run_clock_tell_ranks(&run->clock, run->context.comm);
  PLM_TRY(status);
  PLM_TRY(plm_run_compare_replicas(run));
  plm_run_begin_stage(&run->context, "final", PLM_LONG_STAGE);
  PLM_TRY(plm_outputs_write_final(&run->outputs));
  plm_run_set_end_reason(run);
  return PLM_OK;
}

static plm_status run_stages(plm_run *run, const plm_option_values *values, const plm_train_observer *observer,
                             plm_train_outcome *ret_outcome) {
  bool finished;
  PLM_TRY(prepare(run, values, observer));
  if (run->settings->o->dry_run) {
    *ret_outcome = PLM_TRAIN_DRY_RUN;
    plm_run_set_reason(&run->context, "the plan fits this machine");
    return PLM_OK;
  }
  PLM_TRY(is_finished(run, &finished));
  if (finished) {
    *ret_outcome = PLM_TRAIN_ALREADY_FINISHED;
    plm_run_set_end_reason(run);
    plm_info("%s is finished: %s", run->outputs.directory.path, run->context.reason);
    return PLM_OK;
  }
  return train(run);
}

/* ---- the result ---- */

static void fill_result(const plm_run *run, plm_train_outcome outcome, plm_train_result *ret_result) {
  const plm_train_state *s = &run->state;
  const plm_run_clock *clock = &run->clock;
  const double seconds = isnan(clock->first_step_at) ? 0 : s->seconds - clock->seconds_before;
  const bool has_plan = run->model != NULL || outcome == PLM_TRAIN_DRY_RUN || outcome == PLM_TRAIN_ALREADY_FINISHED;
  const char *directory = has_plan && run->outputs.directory.path != NULL ? run->outputs.directory.path : "";
  *ret_result = (plm_train_result){
      .outcome = outcome,
      .step = s->step,
      .first_step = clock->first_step,
      .max_steps = run->settings != NULL ? run->settings->max_steps : 0,
      .skipped_updates = s->guard.skipped,
      .final_loss = s->last_loss,
      .final_eval_loss = plm_record_number(&s->last_eval, PLM_MEASURE_EVAL_LOSS),
      .final_eval_perplexity = plm_record_number(&s->last_eval, PLM_MEASURE_EVAL_PERPLEXITY),
      .final_eval_perplexity_masked = plm_record_number(&s->last_eval, PLM_MEASURE_EVAL_PERPLEXITY_MASKED),
      .baseline_frequency_masked = plm_record_number(&s->last_eval, PLM_MEASURE_BASELINE_FREQUENCY_MASKED),
      .gain_masked = plm_record_number(&s->last_eval, PLM_MEASURE_GAIN_MASKED),
      .gain_masked_se = plm_record_number(&s->last_eval, PLM_MEASURE_GAIN_MASKED_SE),
      .best_eval_loss = s->best_eval_loss,
      .best_step = s->best_step,
      .residues = clock->residues,
      .tokens = clock->tokens,
      .seconds = seconds,
      .residues_per_s = seconds > 0 ? (double)clock->residues / seconds : 0,
      .data_wait = seconds > 0 ? fmin(1, clock->waited / seconds) : 0,
  };
  snprintf(ret_result->reason, sizeof ret_result->reason, "%s", run->context.reason);
  snprintf(ret_result->output_directory, sizeof ret_result->output_directory, "%s", directory);
  snprintf(ret_result->checkpoint, sizeof ret_result->checkpoint, "%s", has_plan ? run->outputs.checkpoint : "");
}

/* The logs are closed, and all ranks end alike, wherever each of them was. The first failure is the one that is told. */
static plm_status end_together(plm_run *run, plm_status status) {
  plm_error_record first;
  plm_error_take(status, &first);
  const plm_status closed = plm_outputs_close(&run->outputs);
  if (closed != PLM_OK && status == PLM_OK) plm_error_take(closed, &first);
  if (run->context.comm == NULL) return plm_error_give(&first);
  return plm_comm_end(run->context.comm, plm_error_give(&first));
}

/* Why this start ended before its goal, for the next one. A start that leaves nothing leaves no such file either, but
 * where a launcher hides what it came to. */
static void write_stopped(const plm_run *run, plm_status status, bool fruitless) {
  const plm_run_directory *d = &run->outputs.directory;
  const plm_comm *comm = run->context.comm;
  const bool leaves_nothing = fruitless || (d->created && run->state.step == 0 && run->outputs.checkpoint[0] == '\0');
  plm_stopped note;
  plm_error_record first;
  if (status == PLM_OK || d->lock == NULL || (comm->size == 1 && leaves_nothing)) return;
  plm_error_take(status, &first);
  plm_stopped_fill(&note, comm, status, status == PLM_STOPPED ? run->context.reason : first.message, run->context.stage,
                   run->clock.first_step, run->state.step);
  if (plm_stopped_write(d->path, &note) != PLM_OK) plm_warn("%s", plm_error_message());
  plm_error_give(&first);
}

/* Close in reverse order. Others may wait in the communicator's last barrier: so last. */
static void close_run(plm_run *run, bool fruitless) {
  plm_optimiser_destroy(run->optimiser);
  plm_model_destroy(run->model);
  plm_stream_close(&run->stream);
  plm_machine_close(&run->machine);
  plm_outputs_leave(&run->outputs, fruitless);
  if (run->context.comm != NULL) plm_stopped_disarm(run->context.comm);
  plm_train_state_free(&run->state);
  plm_train_settings_destroy(run->settings);
  plm_run_context_close(&run->context);
}

plm_status plm_train(const plm_option_values *values, const plm_train_observer *observer,
                     plm_train_result *ret_result) {
  plm_train_outcome outcome = PLM_TRAIN_FINISHED;
  plm_error_record ended;
  plm_run *run;
  memset(ret_result, 0, sizeof *ret_result);
  PLM_TRY(PLM_NEW(&run, 1));
  plm_run_clock_init(&run->clock);
  plm_train_state_init(&run->state);
  plm_status status = plm_stop_install();
  const bool listens = status == PLM_OK;
  if (listens) status = run_stages(run, values, observer, &outcome);
  status = end_together(run, status);
  fill_result(run, status == PLM_STOPPED ? PLM_TRAIN_STOPPED : outcome, ret_result);
  const bool fruitless =
      status == PLM_STOPPED && run->state.step == 0 && !run->resumed && ret_result->checkpoint[0] == '\0';
  write_stopped(run, status, fruitless);
  plm_error_take(status, &ended);
  close_run(run, fruitless);
  plm_error_give(&ended);
  if (listens) plm_stop_restore(); /* not before a fruitless start's directory is gone */
  plm_free(run);
  return status;
}
