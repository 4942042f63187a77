/* step.c - one global step (design 4): forward and backward of every micro-batch, agreement, guard, update.
 *
 *   gradient = 0; sums = 0
 *   for each micro-batch   forward, loss, backward: gradients and sums ADD UP; nothing is divided yet
 *   finish_gradients       all ranks' gradients are one
 *   -- the host waits for the device here, once --
 *   control                all ranks agree on sums, stop and error flags
 *   guard                  non-finite or spike: all ranks leave the update out
 *   update                 1/M and the clip as one factor; bf16 copies; packed weights
 */
#include <math.h>
#include <string.h>

#include "protlm/log.h"
#include "base/text.h"
#include "train/run.h"

/* ---- forward and backward ---- */

static plm_status bucket_needed(void *user, int bucket) {
  plm_run *run = user;
  return run->context.comm->wait(run->context.comm, run->machine.exec, bucket);
}

static plm_status bucket_ready(void *user, int bucket) {
  plm_run *run = user;
  plm_comm *comm = run->context.comm;
  const plm_bucket *range = &plm_model_get_params(run->model)->buckets[bucket];
  if (range->count == 0) return PLM_OK;
  return comm->reduce(comm, run->machine.exec, bucket, plm_model_gradient(run->model) + range->first, range->count,
                      false);
}

static plm_status accumulate(plm_run *run, const plm_step_batch *batch) {
  const plm_bucket_hooks hooks = {.user = run, .needed = bucket_needed, .ready = bucket_ready};
  PLM_TRY(plm_model_zero_gradient(run->model, run->machine.exec));
  PLM_TRY(plm_model_reset_sums(run->model, run->machine.exec));
  for (int64_t i = 0; i < batch->micro_count; i++)
    PLM_TRY(plm_model_forward_backward(run->model, run->machine.exec, &batch->micro[i]->batch,
                                       i == batch->micro_count - 1 ? &hooks : NULL));
  return run->context.comm->wait(run->context.comm, run->machine.exec, PLM_EVERY_BUCKET);
}

/* ---- agreement ---- */

/* This rank's request for a save by the clock; with the others' it becomes all ranks'. */
static uint32_t save_by_clock(const plm_run *run) {
  double minutes = run->settings->o->save_minutes;
  return minutes > 0 && plm_run_clock_since_save(&run->clock) >= 60 * minutes ? PLM_STOP_SAVE : 0;
}

static void fill_control(const plm_run *run, const plm_step_batch *batch, double waited, plm_status mine,
                         plm_control *control) {
  *control = (plm_control){
      .data_wait = waited,
      .stop_flags = plm_stop_signals() | plm_deadline_flags(&run->context.deadline) | save_by_clock(run),
      .error_flag = mine != PLM_OK,
  };
  for (int64_t i = 0; i < batch->micro_count; i++) {
    control->residues += batch->micro[i]->residues;
    control->tokens += batch->micro[i]->batch.encoder.N;
  }
}

/* After this every rank has the same numbers, or every rank fails. */
static plm_status agree(plm_run *run, const plm_step_batch *batch, double waited, plm_status mine, double *ret_norm,
                        plm_control *control) {
  plm_step_sums all = {0};
  plm_error_record failure = {.code = PLM_OK};
  if (mine == PLM_OK) mine = plm_optimiser_norm(run->optimiser, run->machine.exec);
  if (mine == PLM_OK) mine = plm_model_read_sums(run->model, run->machine.exec, &all); /* the host waits here, once */
  fill_control(run, batch, waited, mine, control);
  if (mine != PLM_OK) plm_error_take(mine, &failure);
  /* The sums leave out what is not finite; what is reported does not hide it. */
  *ret_norm = all.norm.nonfinite > 0 ? NAN : sqrt(all.norm.square);
  control->nonfinite = all.norm.nonfinite;
  for (int i = 0; i < PLM_MAX_OBJECTIVES; i++) {
    control->objective[i] = all.objective[i];
    control->nonfinite += all.objective[i].nonfinite;
    if (all.objective[i].nonfinite > 0) control->objective[i].nll = NAN;
  }
  PLM_TRY(plm_control_agree(run->context.comm, control));
  return control->error_flag == 0 ? PLM_OK : plm_agree(run->context.comm, "step", plm_error_give(&failure));
}

/* ---- objectives ---- */

/* Rows that are predicted, of all objectives. */
static int64_t count_rows(const plm_control *control) {
  int64_t rows = 0;
  for (int i = 0; i < PLM_MAX_OBJECTIVES; i++) rows += control->objective[i].count;
  return rows;
}

/* Each objective's sum over its own denominator; one without rows contributes nothing. */
static double total_loss(const plm_control *control) {
  double loss = 0;
  for (int i = 0; i < PLM_MAX_OBJECTIVES; i++) {
    const plm_loss_sums *sums = &control->objective[i];
    if (sums->count > 0) loss += sums->nll / (double)sums->count;
  }
  return loss;
}

/* ---- update ---- */

static plm_status update(plm_run *run, double sum_norm, int64_t M, double learning_rate) {
  double scale = plm_optimiser_scale(&run->settings->optimiser, sum_norm, M);
  PLM_TRY(plm_optimiser_update(run->optimiser, run->machine.exec, run->state.updates + 1, learning_rate, scale));
  return plm_model_refresh(run->model, run->machine.exec, PLM_REFRESH_UPDATED);
}

static void tell_verdict(const plm_run *run, const plm_step_outcome *outcome) {
  const long long step = run->state.step + 1;
  if (outcome->verdict != PLM_GUARD_APPLY && !(outcome->z > PLM_GUARD_SPIKE))
    plm_warn(
        "step %lld: loss (%g) or gradient is not finite in %lld %s, its update is left out (%lld in a row, the run stops at %lld)",
        step, outcome->loss, (long long)outcome->control.nonfinite,
        plm_plural(outcome->control.nonfinite, "place", "places"), (long long)run->state.guard.nonfinite_in_a_row,
        (long long)run->state.guard.limit);
  else if (outcome->z > PLM_GUARD_SPIKE)
    plm_warn("step %lld: loss %.4f stands %.1f standard deviations above the last %d%s", step, outcome->loss,
             outcome->z, PLM_GUARD_WINDOW, outcome->verdict == PLM_GUARD_SKIP ? "; its update is left out" : "");
}

/* A step in which nothing was masked (a few short sequences, a low --mask-probability) has no loss: nothing to judge or
 * to remember. */
static plm_guard_verdict judge(plm_run *run, const plm_control *control, double loss, double grad_norm, double *ret_z) {
  *ret_z = NAN;
  if (count_rows(control) == 0 && control->nonfinite == 0) return PLM_GUARD_APPLY;
  return plm_guard_judge(&run->state.guard, loss, grad_norm, control->nonfinite, ret_z);
}

plm_status plm_run_step(plm_run *run, const plm_step_batch *batch, double waited, plm_step_outcome *ret_outcome) {
  const double learning_rate = plm_schedule_rate(&run->settings->schedule, run->state.updates);
  plm_control control;
  double sum_norm = NAN, z;
  PLM_TRY(agree(run, batch, waited, accumulate(run, batch), &sum_norm, &control));
  const int64_t M =
      count_rows(&control); /* one objective: the denominator of its plain sums, divided by in the update */
  const double loss = total_loss(&control);
  const double grad_norm = control.nonfinite > 0 ? NAN : M > 0 ? sum_norm / (double)M : 0;
  const plm_guard_verdict verdict = judge(run, &control, loss, grad_norm, &z);
  const plm_step_outcome outcome = {
      .control = control,
      .loss = loss,
      .grad_norm = grad_norm,
      .learning_rate = learning_rate,
      .z = z,
      .verdict = verdict,
  };
  tell_verdict(run, &outcome);
  if (verdict == PLM_GUARD_APPLY && M > 0) PLM_TRY(update(run, sum_norm, M, learning_rate));
  *ret_outcome = outcome;
  return PLM_OK;
}
