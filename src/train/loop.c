/* loop.c - step after step: when to log, evaluate, save and stop (design 4.8, 10.8).
 *
 * The order at the end of step s is fixed: log, evaluate, save. An evaluation that is asked to stop is not done: the
 * state says it is due, and the next start does it first. So whatever the moment of a stop, each line is written once,
 * with the same numbers. */
#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/text.h"
#include "protlm/log.h"
#include "train/run.h"

/* ---- when ---- */

static bool on_plateau(const plm_run *run) {
  int64_t patience = run->settings->o->early_stopping_patience;
  return patience > 0 && run->state.plateau_count >= patience;
}

bool plm_run_is_over(const plm_run *run) { return run->state.step >= run->settings->max_steps || on_plateau(run); }

void plm_run_set_end_reason(plm_run *run) {
  plm_run_context *context = &run->context;
  const long long steps = run->settings->max_steps;
  if (run->state.step >= steps && plm_train_explicit(run->settings, "max-steps"))
    plm_run_set_reason(context, "reached --max-steps %lld", steps);
  else if (run->state.step >= steps)
    plm_run_set_reason(context, "reached step %lld, the end of %g %s", steps, run->settings->o->num_train_epochs,
                       run->settings->o->num_train_epochs == 1 ? "epoch" : "epochs");
  else
    plm_run_set_reason(context, "no lower evaluation loss in %lld %s", (long long)run->state.plateau_count,
                       plm_plural(run->state.plateau_count, "evaluation", "evaluations"));
}

static bool is_epoch_end(const plm_run *run) { return run->state.step % run->settings->steps_per_epoch == 0; }

static bool evaluation_is_due(const plm_run *run) {
  return run->stream.has_eval &&
         (run->state.step % run->settings->o->eval_steps == 0 || run->state.step >= run->settings->max_steps);
}

static bool save_is_due(const plm_run *run) {
  return run->state.step % run->settings->o->save_steps == 0 || plm_run_is_over(run) ||
         (run->settings->save_at_epoch && is_epoch_end(run)) || (run->context.stop & PLM_STOP_SAVE) != 0;
}

/* ---- evaluation ---- */

/* Asked to stop, or time is nearly up; not before this start's first step, so that every start gets somewhere. */
static bool cancelled(void *user) {
  const plm_run *run = user;
  return plm_run_interrupted() || plm_deadline_flags(&run->context.deadline) != 0;
}

/* An evaluation that was owed may have been done, and logged, by a start that was killed before its next checkpoint. */
static plm_status is_logged(const plm_run *run, bool *ret_logged) {
  json_t *history, *line;
  size_t i;
  *ret_logged = false;
  if (!run->resumed || run->state.step != run->clock.first_step) return PLM_OK;
  PLM_TRY(plm_metrics_history(run->outputs.directory.path, run->state.step, &history));
  json_array_foreach(history, i, line) {
    if (json_integer_value(json_object_get(line, "step")) == run->state.step &&
        json_object_get(line, "eval_loss") != NULL)
      *ret_logged = true;
  }
  json_decref(history);
  return PLM_OK;
}

/* By rank 0; all learn how it went. */
static plm_status write_line(plm_run *run, const plm_record *line) {
  plm_metrics *metrics = run->outputs.metrics;
  return plm_agree(run->context.comm, "log", metrics != NULL ? plm_metrics_write(metrics, line) : PLM_OK);
}

static plm_status log_evaluation(plm_run *run, const plm_record *m) {
  bool logged = false;
  plm_info("step %lld: evaluation loss %.4f, perplexity %.3f, on <mask> rows %.3f (residue frequencies alone: %.3f)",
           (long long)run->state.step, plm_record_number(m, PLM_MEASURE_EVAL_LOSS),
           plm_record_number(m, PLM_MEASURE_EVAL_PERPLEXITY), plm_record_number(m, PLM_MEASURE_EVAL_PERPLEXITY_MASKED),
           plm_record_number(m, PLM_MEASURE_BASELINE_FREQUENCY_MASKED));
  PLM_TRY(plm_agree(run->context.comm, "log", run->outputs.metrics != NULL ? is_logged(run, &logged) : PLM_OK));
  PLM_TRY(plm_agree_on_first(run->context.comm, "log", &logged, sizeof logged));
  return logged ? PLM_OK : write_line(run, m);
}

/* Of a file that was changed meanwhile the results are worth nothing, whatever they are. */
static plm_status what_went_wrong(plm_run *run, plm_status status) {
  plm_error_record evaluated;
  plm_dataset *dataset = run->stream.eval_data != NULL ? run->stream.eval_data : run->stream.train_data;
  plm_error_take(status, &evaluated);
  PLM_TRY(plm_dataset_check_unchanged(dataset));
  return plm_error_give(&evaluated);
}

static plm_status evaluate(plm_run *run) {
  plm_record metrics;
  plm_evaluate_options options = {
      .draws = run->settings->o->eval_draws,
      .frequency = run->stream.frequency,
      .comm = run->context.comm,
      .cancelled = cancelled,
      .user = run,
  };
  double started = plm_clock_monotonic();
  plm_run_begin_stage(&run->context, "evaluation", 0);
  plm_run_phase(&run->context, "evaluating");
  plm_stream_packer_options(run->settings, run->plan.micro_batch_tokens, &options.packer);
  options.packer.seed = (uint64_t)run->settings->o->eval_seed;
  plm_status status = plm_evaluate(&run->stream.eval, run->model, run->machine.exec, &options, NULL, NULL, &metrics);
  PLM_TRY(plm_agree(run->context.comm, "evaluation", what_went_wrong(run, status)));
  plm_record_set_count(&metrics, PLM_MEASURE_STEP, run->state.step);
  plm_record_set(&metrics, PLM_MEASURE_EPOCH, (double)run->state.step / (double)run->settings->steps_per_epoch);
  plm_record_set(&metrics, PLM_MEASURE_EVAL_SECONDS, plm_clock_monotonic() - started);
  plm_run_clock_count_evaluation(&run->clock, &metrics);
  if (plm_train_state_add_evaluation(&run->state, run->settings, &metrics))
    plm_warn(
        "step %lld: the evaluation loss %.4f is above its value before training, %.4f: the model may be forgetting; a lower --learning-rate is gentler",
        (long long)run->state.step, plm_record_number(&metrics, PLM_MEASURE_EVAL_LOSS), run->state.first_eval_loss);
  return log_evaluation(run, &metrics);
}

/* A model that was evaluated and is being saved may be the best of those saved. */
static bool is_new_best(const plm_run *run) {
  const plm_train_state *s = &run->state;
  return isnan(s->best_eval_loss) || plm_record_number(&s->last_eval, PLM_MEASURE_EVAL_LOSS) < s->best_eval_loss;
}

static plm_status save(plm_run *run, bool evaluated) {
  plm_train_state *s = &run->state;
  const double best_loss = s->best_eval_loss;
  const int64_t best_step = s->best_step;
  const double started = plm_clock_monotonic();
  if (evaluated && is_new_best(run))
    plm_train_state_set_best(s, s->step, plm_record_number(&s->last_eval, PLM_MEASURE_EVAL_LOSS));
  plm_run_clock_update(&run->clock, s);
  plm_run_begin_stage(&run->context, "save", PLM_LONG_STAGE);
  plm_status status = plm_outputs_save(&run->outputs);
  if (status != PLM_OK) {
    plm_train_state_set_best(s, best_step, best_loss);
    return status;
  }
  plm_run_clock_mark_save(&run->clock);
  plm_deadline_save(&run->context.deadline, plm_clock_monotonic() - started);
  if ((run->context.stop & PLM_STOP_SAVE) != 0) plm_stop_clear(PLM_STOP_SAVE);
  return PLM_OK;
}

/* ---- stopping ---- */

static plm_status save_and_stop(plm_run *run) {
  PLM_TRY(save(run, false));
  return plm_run_stop_here(&run->context);
}

/* ---- one turn ---- */

static plm_status count_step(plm_run *run, const plm_step_outcome *outcome, double step_seconds) {
  plm_train_state *s = &run->state;
  plm_train_state_count_step(s, outcome);
  plm_run_clock_count_step(&run->clock, &outcome->control, run->context.comm->size);
  plm_deadline_step(&run->context.deadline, step_seconds);
  plm_stopped_count(&run->watch, s->step);
  plm_run_clock_update(&run->clock, s);
  const bool logged = s->step % run->settings->o->logging_steps == 0 || s->step >= run->settings->max_steps;
  if (logged) {
    plm_record line;
    plm_run_clock_close_interval(&run->clock, s, run->machine.exec->flops, run->context.comm->size, &line);
    PLM_TRY(write_line(run, &line));
  }
  plm_run_clock_report(&run->clock, &run->context, run->settings, s, outcome, logged);
  return PLM_OK;
}

/* A file of the user's, not the model, and all ranks know: what was learnt since the last save is kept. */
static plm_status save_and_fail(plm_run *run, plm_status failure) {
  plm_error_record first;
  if (run->state.step == 0) return failure;
  plm_error_take(failure, &first);
  if (save(run, false) != PLM_OK) plm_warn("%s", plm_error_message());
  return plm_error_give(&first);
}

static plm_status step_once(plm_run *run) {
  const plm_step_batch *batch;
  plm_step_outcome outcome;
  double waited, started = plm_clock_monotonic();
  plm_run_begin_stage(&run->context, "data", 0);
  plm_status status = plm_stream_get(&run->stream, run->state.step, &batch, &waited);
  status = plm_agree_fault(run->context.comm, "batch", status);
  plm_run_begin_stage(&run->context, "step", 0);
  status = status == PLM_OK ? plm_run_step(run, batch, waited, &outcome) : plm_run_step_without(run, status);
  if (status == PLM_E_INPUT) return save_and_fail(run, status);
  PLM_TRY(status);
  plm_run_set_stop(&run->context, outcome.control.stop_flags);
  /* Asked to stop before the first step was done: it does not count, is not logged, and leaves nothing. */
  if (run->state.step == 0 && (run->context.stop & PLM_STOP_EARLY) != 0 && !run->settings->save_at_start)
    return plm_run_stop_here(&run->context);
  if (outcome.verdict == PLM_GUARD_STOP) {
    char *path = NULL;
    if (plm_outputs_describe_batch(&run->outputs, run->stream.train_data, batch, &outcome.control, &path) != PLM_OK)
      plm_warn("%s", plm_error_message());
    plm_fail(
        PLM_E_NUMERIC,
        "loss or gradient was not finite in %lld %s in a row, the last one step %lld; its sequences are listed in %s",
        (long long)run->state.guard.nonfinite_in_a_row,
        plm_plural(run->state.guard.nonfinite_in_a_row, "step", "steps"), (long long)run->state.step + 1,
        path != NULL ? path : "no file");
    plm_free(path);
    return plm_hint(
        PLM_E_NUMERIC,
        "lower --learning-rate (with --allow-change learning-rate where a checkpoint is continued), or look at those sequences");
  }
  return count_step(run, &outcome, plm_clock_monotonic() - started);
}

/* What follows a step, or an evaluation that an earlier start owed. */
static plm_status after_step(plm_run *run) {
  const plm_train_state *s = &run->state;
  bool evaluated = false;
  if ((run->context.stop & PLM_STOP_EARLY) != 0) return save_and_stop(run);
  if (s->evaluation_due) {
    plm_status status = evaluate(run);
    if (status == PLM_STOPPED) {
      PLM_TRY(plm_run_add_requests(&run->context));
      return s->step == 0 ? plm_run_stop_here(&run->context) : save_and_stop(run);
    }
    PLM_TRY(status);
    evaluated = true;
  }
  plm_outputs_set_overwrite(&run->outputs, evaluated && run->resumed && s->step == run->clock.first_step);
  const bool keep_best = evaluated && run->settings->o->load_best_model_at_end && s->step > 0 && is_new_best(run);
  const bool start = s->step == 0 && run->settings->save_at_start && !run->resumed;
  const bool nothing_new = run->resumed && s->step == run->clock.first_step && !evaluated;
  const bool saves = !nothing_new && (s->step == 0 ? start : save_is_due(run) || keep_best);
  if (saves) PLM_TRY(save(run, evaluated));
  PLM_TRY(plm_run_agree_on_stop(&run->context, evaluated || saves));
  if ((run->context.stop & PLM_STOP_EARLY) == 0 || plm_run_is_over(run)) return PLM_OK;
  return saves || s->step == run->clock.first_step ? plm_run_stop_here(&run->context) : save_and_stop(run);
}

plm_status plm_run_loop(plm_run *run) {
  plm_train_state *s = &run->state;
  if (!run->resumed) plm_train_state_set_evaluation_due(s, run->stream.has_eval && run->settings->o->eval_on_start);
  PLM_TRY(after_step(run));
  plm_run_clock_begin(&run->clock, s, run->machine.exec->flops);
  while (!plm_run_is_over(run)) {
    PLM_TRY(step_once(run));
    plm_train_state_set_evaluation_due(s, evaluation_is_due(run));
    PLM_TRY(after_step(run));
  }
  return PLM_OK;
}
