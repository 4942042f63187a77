/* run.c - plm_train: from options to a result, stage by stage. Everything is opened here and closed here. */
#include "train/run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "checkpoint/checkpoint.h"
#include "hub/model_dir.h"
#include "protlm/log.h"

/* ---- state ---- */

/* The best checkpoint may not be here: of the run that this one branches off from, or removed since. The search then
 * begins again. */
static plm_status forget_absent_best(plm_run *run) {
  char *path;
  const plm_train_state *s = &run->state;
  if (s->best_step < 0) return PLM_OK;
  PLM_TRY(plm_sprintf(&path, "%s/checkpoint-%lld", run->outputs.directory.path, (long long)s->best_step));
  if (!plm_file_is_directory(path)) {
    plm_info("checkpoint-%lld, the best so far, is not in %s: the next that is evaluated counts as the best",
             (long long)s->best_step, run->outputs.directory.path);
    plm_train_state_set_best(&run->state, -1, NAN);
  }
  plm_free(path);
  return PLM_OK;
}

static plm_status read_state(plm_run *run) {
  if (run->outputs.directory.checkpoint == NULL) {
    plm_train_state_begin(&run->state);
    return PLM_OK;
  }
  json_t *document;
  PLM_TRY(plm_checkpoint_read_state(run->outputs.directory.checkpoint, &document));
  plm_train_state_free(&run->state);
  plm_status status = plm_train_state_read(document, run->outputs.directory.checkpoint, &run->state);
  json_decref(document);
  PLM_TRY(status);
  run->resumed = true;
  plm_run_clock_set_first_step(&run->clock, run->state.step);
  plm_info("continuing from %s", run->outputs.directory.checkpoint);
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
  if (run->resumed) PLM_TRY(plm_resume_compare(run->settings, &run->state, &data));
  PLM_TRY(plm_resume_options(run->settings, &options));
  plm_run_arithmetic(&run->plan, run->settings, run->machine.exec, &arithmetic);
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
  plm_load_report report;
  if (run->resumed) return plm_training_load(run->outputs.directory.checkpoint, run->model, run->optimiser, NULL);
  if (s->from_scratch) return plm_model_initialise(run->model, (uint64_t)s->o->seed);
  PLM_TRY(plm_model_dir_load(s->model_directory, run->model, &report));
  plm_info("%s: %lld tensors, rotary frequencies from %s", s->model_directory, (long long)report.tensors,
           report.inv_freq_source);
  return PLM_OK;
}

static plm_status open_model(plm_run *run) {
  plm_model_options options;
  plm_run_model_options(&run->plan, run->settings, &options);
  plm_run_phase(&run->context, "loading %s", run->settings->o->model);
  PLM_TRY(plm_model_create(&run->settings->config, &options, run->machine.exec, &run->model));
  plm_optimiser_options optimiser = run->settings->optimiser;
  optimiser.comm = run->context.comm;
  PLM_TRY(plm_optimiser_create(run->model, run->machine.exec, &optimiser, &run->optimiser));
  PLM_TRY(fill_weights(run));
  return plm_model_refresh(run->model, run->machine.exec, PLM_REFRESH_ALL);
}

/* ---- stages ---- */

/* All that can be known without computing: ends with the plan. */
static plm_status prepare(plm_run *run, const plm_option_values *values, const plm_train_observer *observer) {
  plm_train_settings *settings;
  PLM_TRY(plm_train_settings_create(values, &settings));
  run->settings = settings;
  PLM_TRY(plm_run_context_open(&run->context, observer));
  run->context.comm->timeout = settings->o->timeout;
  PLM_TRY(plm_outputs_enter(&run->outputs, settings));
  PLM_TRY(read_state(run));
  PLM_TRY(plm_train_resolve_model(settings, run->outputs.directory.checkpoint));
  plm_train_resolve_batches(settings, run->resumed ? run->state.global_batch_sequences : -1, run->context.comm->size);
  const plm_arithmetic *saved = run->resumed ? &run->state.arithmetic : NULL;
  PLM_TRY(plm_run_open_machine(settings, saved, observer != NULL ? observer->device : NULL, run->context.comm,
                               &run->machine, &run->plan));
  PLM_TRY(plm_run_plan_memory(settings, saved, run->machine.exec, run->context.comm, &run->plan));
  PLM_TRY(plm_run_check_interrupted(&run->context));
  plm_status status = plm_stream_open(&run->stream, settings, &run->context);
  PLM_TRY(plm_run_check_interrupted(&run->context));
  PLM_TRY(status);
  PLM_TRY(plm_stream_open_loader(&run->stream, settings, run->plan.micro_batch_tokens, run->context.comm));
  PLM_TRY(plm_train_resolve_horizon(settings, plm_loader_steps_per_epoch(run->stream.loader),
                                    run->resumed ? run->state.warmup : -1));
  PLM_TRY(check_horizon(run));
  PLM_TRY(settle_state(run));
  PLM_TRY(plm_stream_report(&run->stream, settings, run->resumed));
  plm_run_report_plan(&run->plan, settings, plm_loader_tokens_per_epoch(run->stream.loader),
                      run->outputs.directory.path);
  return PLM_OK;
}

/* final/ of the last step is written when all else is done, also an evaluation that the checkpoint still owed. */
static bool is_finished(const plm_run *run) {
  return run->resumed && plm_run_is_over(run) && plm_outputs_has_final(&run->outputs, run->state.step);
}

static plm_status tell_ready(const plm_run_context *context) {
  const plm_train_observer *o = context->observer;
  return o != NULL && o->ready != NULL ? o->ready(o->user) : PLM_OK;
}

static plm_status train(plm_run *run) {
  PLM_TRY(open_model(run));
  const plm_output_parts parts = {
      .context = &run->context,
      .settings = run->settings,
      .state = &run->state,
      .model = run->model,
      .optimiser = run->optimiser,
      .exec = run->machine.exec,
  };
  PLM_TRY(plm_run_check_interrupted(&run->context));
  plm_deadline_init(&run->context.deadline, run->clock.started, run->settings->o->time_limit,
                    plm_run_checkpoint_bytes(&run->plan, run->settings->optimiser.kind));
  plm_run_clock_mark_save(&run->clock);
  PLM_TRY(plm_outputs_open(&run->outputs, &parts, run->resumed));
  PLM_TRY(tell_ready(&run->context));
  plm_status status = plm_run_loop(run);
  plm_run_clock_tell_ranks(&run->clock, run->context.comm);
  PLM_TRY(status);
  PLM_TRY(plm_run_compare_replicas(run));
  PLM_TRY(plm_outputs_write_final(&run->outputs));
  plm_run_set_end_reason(run);
  return PLM_OK;
}

static plm_status run_stages(plm_run *run, const plm_option_values *values, const plm_train_observer *observer,
                             plm_train_outcome *ret_outcome) {
  PLM_TRY(prepare(run, values, observer));
  if (run->settings->o->dry_run) {
    *ret_outcome = PLM_TRAIN_DRY_RUN;
    plm_run_set_reason(&run->context, "the plan fits this machine");
    return PLM_OK;
  }
  if (is_finished(run)) {
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

/* Close in reverse order. The first failure is the one that is told. */
static plm_status close_run(plm_run *run, plm_status status, bool fruitless) {
  plm_error_record first = {.code = status};
  if (status != PLM_OK) plm_error_take(status, &first);
  plm_status closed = plm_outputs_close(&run->outputs);
  if (closed != PLM_OK && status == PLM_OK) plm_error_take(closed, &first);
  plm_optimiser_destroy(run->optimiser);
  plm_model_destroy(run->model);
  plm_stream_close(&run->stream);
  plm_machine_close(&run->machine);
  plm_outputs_leave(&run->outputs, fruitless);
  plm_run_context_close(&run->context);
  plm_train_state_free(&run->state);
  plm_train_settings_destroy(run->settings);
  return first.code == PLM_OK ? PLM_OK : plm_error_give(&first);
}

plm_status plm_train(const plm_option_values *values, const plm_train_observer *observer,
                     plm_train_result *ret_result) {
  plm_train_outcome outcome = PLM_TRAIN_FINISHED;
  plm_run *run;
  memset(ret_result, 0, sizeof *ret_result);
  PLM_TRY(PLM_NEW(&run, 1));
  plm_run_clock_init(&run->clock);
  plm_train_state_init(&run->state);
  plm_status status = plm_stop_install();
  const bool listens = status == PLM_OK;
  if (listens) status = run_stages(run, values, observer, &outcome);
  fill_result(run, status == PLM_STOPPED ? PLM_TRAIN_STOPPED : outcome, ret_result);
  const bool fruitless =
      status == PLM_STOPPED && run->state.step == 0 && !run->resumed && ret_result->checkpoint[0] == '\0';
  status = close_run(run, status, fruitless);
  if (listens) plm_stop_restore(); /* not before a fruitless start's directory is gone */
  plm_free(run);
  return status;
}
