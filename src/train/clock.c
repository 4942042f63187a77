/* clock.c - what is measured between two lines of the log, and the lines. All clocks run from end of step to end of
 * step: reading, update, logging, evaluation and saving are inside. */
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/system.h"
#include "train/run.h"

void plm_run_begin_interval(plm_run *run) {
  double now = plm_clock_monotonic();
  run->first_step_at = run->interval_at = now;
  run->seconds_before = run->state.seconds;
  run->interval_before = run->state.window.seconds;
  run->interval_flops = run->machine.exec->flops;
}

static void bring_clocks_up_to_date(plm_run *run, double now) {
  plm_train_state_set_clocks(&run->state, run->seconds_before + now - run->first_step_at,
                             run->interval_before + now - run->interval_at);
}

void plm_run_close_interval_for_save(plm_run *run) {
  if (!isnan(run->first_step_at)) bring_clocks_up_to_date(run, plm_clock_monotonic());
}

/* ---- counters ---- */

static void add_step(plm_run *run, const plm_step_outcome *outcome, double step_seconds) {
  plm_train_state_count_step(&run->state, outcome);
  run->waited += outcome->control.data_wait;
  run->start_residues += outcome->control.residues;
  run->start_tokens += outcome->control.tokens;
  plm_deadline_step(&run->context.deadline, step_seconds);
}

/* ---- the line of the log ---- */

static plm_status write_line(plm_run *run, double now) {
  const plm_train_state *s = &run->state;
  const plm_log_window window = s->window;
  const double seconds = window.seconds;
  plm_train_state_close_window(&run->state);
  plm_progress *p = &run->progress;
  p->loss = s->last_loss;
  p->perplexity = exp(s->last_loss);
  p->residues_per_s = seconds > 0 ? (double)window.residues / seconds : NAN;
  p->data_wait = seconds > 0 ? fmin(1, window.waited / seconds) : 0;
  plm_record line = {0};
  plm_record_set_count(&line, PLM_MEASURE_STEP, s->step);
  plm_record_set(&line, PLM_MEASURE_EPOCH, (double)s->step / (double)run->settings->steps_per_epoch);
  plm_record_set(&line, PLM_MEASURE_LOSS, s->last_loss);
  plm_record_set(&line, PLM_MEASURE_GRAD_NORM, window.grad_norm);
  plm_record_set(&line, PLM_MEASURE_LEARNING_RATE, window.learning_rate);
  plm_record_set_count(&line, PLM_MEASURE_TOKENS, s->tokens);
  plm_record_set_count(&line, PLM_MEASURE_RESIDUES, s->residues);
  plm_record_set(&line, PLM_MEASURE_SECONDS, s->seconds);
  plm_record_set(&line, PLM_MEASURE_RESIDUES_PER_S, p->residues_per_s);
  plm_record_set(&line, PLM_MEASURE_DATA_WAIT, p->data_wait);
  p->gflops_per_s =
      now > run->interval_at ? (run->machine.exec->flops - run->interval_flops) / (now - run->interval_at) / 1e9 : 0;
  run->interval_at = now;
  run->interval_before = 0;
  run->interval_flops = run->machine.exec->flops;
  return run->metrics != NULL ? plm_metrics_write(run->metrics, &line) : PLM_OK;
}

/* ---- for the progress bar ---- */

static void report_progress(plm_run *run, const plm_step_outcome *outcome, bool logged) {
  const plm_train_state *s = &run->state;
  plm_progress *p = &run->progress;
  const int64_t done = s->step - run->first_step;
  p->step = s->step;
  p->max_steps = run->settings->max_steps;
  p->epoch = (double)s->step / (double)run->settings->steps_per_epoch;
  p->epochs = (double)p->max_steps / (double)run->settings->steps_per_epoch;
  p->learning_rate = outcome->learning_rate;
  p->grad_norm = outcome->grad_norm;
  p->real_share = s->tokens > 0 ? (double)s->residues / (double)s->tokens : 0;
  p->seconds = s->seconds;
  p->eta = done > 0 ? (s->seconds - run->seconds_before) / (double)done * (double)(p->max_steps - s->step) : NAN;
  p->time_limit_left = plm_deadline_left(&run->context.deadline);
  p->memory_bytes = plm_peak_memory();
  p->logged = logged;
  if (run->context.observer != NULL && run->context.observer->step != NULL)
    run->context.observer->step(run->context.observer->user, p);
}

plm_status plm_run_count_step(plm_run *run, const plm_step_outcome *outcome, double step_seconds) {
  add_step(run, outcome, step_seconds);
  const double now = plm_clock_monotonic();
  bring_clocks_up_to_date(run, now);
  const bool last = run->state.step >= run->settings->max_steps;
  const bool logged = run->state.step % run->settings->o->logging_steps == 0 || last;
  if (logged) PLM_TRY(write_line(run, now));
  report_progress(run, outcome, logged);
  return PLM_OK;
}
