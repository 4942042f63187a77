/* step.c - one global step (design 4): forward and backward of every micro-batch, agreement, guard, update.
 *
 *   gradient = 0; sums = 0
 *   for each micro-batch   forward, loss, backward: gradients and sums ADD UP; nothing is divided yet. What the last
 *                          update sent (--zero 1) arrives as forward comes to it; the last backward posts its buckets
 *   wait                   all ranks' gradients are one; with --zero 1 each rank has its pieces of it
 *   norm                   of the pieces that this rank owns
 *   -- the host waits for the device here, once --
 *   control                all ranks agree on sums, norm, stop and error flags; now and then on the parameters' hash
 *   guard                  non-finite or spike: all ranks leave the update out
 *   update                 1/M and the clip as one factor; bf16 copies; packed weights. With --zero 1 of the pieces that
 *                          this rank owns, which are then under way to the others
 */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "protlm/log.h"
#include "train/replicas.h"
#include "train/run.h"

/* ---- forward and backward ---- */

static plm_status bucket_ready(void *user, int bucket) {
  plm_run *run = user;
  plm_comm *comm = run->context.comm;
  const plm_params *params = plm_model_get_params(run->model);
  const plm_bucket *range = &params->buckets[bucket];
  if (range->count == 0 || comm->size == 1) return PLM_OK;
  return comm->reduce(comm, run->machine.exec, bucket, plm_model_gradient(run->model) + range->first, range->count,
                      params->sharded);
}

/* The last micro-batch posts each bucket as backward is done with it, from the last to the first. A rank that was given
 * none has one without tokens, and takes part like the others. */
static plm_status pass_batches(plm_run *run, const plm_step_batch *batch) {
  static const plm_batch nothing = {.encoder = {.N = 0}};
  const plm_bucket_hooks hooks = {.user = run, .ready = bucket_ready};
  const int64_t count = batch->micro_count > 0 ? batch->micro_count : 1;
  PLM_TRY(plm_model_zero_gradient(run->model, run->machine.exec));
  PLM_TRY(plm_model_reset_sums(run->model, run->machine.exec));
  for (int64_t i = 0; i < count; i++)
    PLM_TRY(plm_model_forward_backward(run->model, run->machine.exec,
                                       i < batch->micro_count ? &batch->micro[i]->batch : &nothing,
                                       i == count - 1 ? &hooks : NULL));
  return PLM_OK;
}

/* This rank's part of the step has failed: the others get zeros where they wait for it, and learn why at the agreement. */
static plm_status drain(plm_run *run, plm_status mine) {
  plm_comm *comm = run->context.comm;
  const plm_params *params = plm_model_get_params(run->model);
  plm_error_record first;
  if (comm->size == 1) return mine;
  plm_error_take(mine, &first);
  if (comm->drain(comm, params->bucket_sizes, params->bucket_count, params->sharded) != PLM_OK) plm_error_clear();
  return plm_error_give(&first);
}

/* ret_compute: seconds without those in which it waited for others. */
static plm_status accumulate(plm_run *run, const plm_step_batch *batch, double *ret_compute) {
  plm_comm *comm = run->context.comm;
  const double started = plm_clock_monotonic(), exposed = comm->traffic.exposed;
  plm_status status = pass_batches(run, batch);
  *ret_compute = plm_clock_monotonic() - started - (comm->traffic.exposed - exposed);
  if (status == PLM_OK) status = comm->wait(comm, run->machine.exec, PLM_EVERY_BUCKET);
  return status == PLM_OK ? PLM_OK : drain(run, status);
}

/* ---- agreement ---- */

/* This rank's request for a save by the clock; with the others' it becomes all ranks'. */
static uint32_t save_by_clock(const plm_run *run) {
  double minutes = run->settings->o->save_minutes;
  return minutes > 0 && plm_run_clock_since_save(&run->clock) >= 60 * minutes ? PLM_STOP_SAVE : 0;
}

static void fill_control(const plm_run *run, const plm_step_batch *batch, double waited, double compute,
                         plm_control *control) {
  *control = (plm_control){
      .data_wait = waited,
      .compute = compute,
      .stop_flags = plm_stop_signals() | plm_deadline_flags(&run->context.deadline) | save_by_clock(run),
  };
  for (int64_t i = 0; i < batch->micro_count; i++) {
    control->residues += batch->micro[i]->residues;
    control->tokens += batch->micro[i]->batch.encoder.N;
  }
}

/* The sums leave out what is not finite; what is reported does not hide it. */
static void fill_sums(const plm_step_sums *sums, plm_control *control) {
  control->square = sums->norm.square;
  control->nonfinite = sums->norm.nonfinite;
  for (int i = 0; i < PLM_MAX_OBJECTIVES; i++) {
    control->objective[i] = sums->objective[i];
    control->nonfinite += sums->objective[i].nonfinite;
    if (sums->objective[i].nonfinite > 0) control->objective[i].nll = NAN;
  }
}

/* Every rank has the same numbers after it, or every rank fails, in the words of one that failed by itself. */
static plm_status agree_on(plm_comm *comm, plm_control *control, plm_status mine) {
  plm_error_record own;
  mine = plm_agree_owed(comm, mine);
  plm_error_take(mine, &own);
  control->error_flag = mine != PLM_OK;
  plm_status status = plm_control_agree(comm, control);
  if (status != PLM_OK && own.code != PLM_OK) { /* the others are elsewhere, and will ask why */
    comm->parted = false;
    return plm_error_give(&own);
  }
  PLM_TRY(status);
  return control->error_flag == 0 ? PLM_OK : plm_agree(comm, "step", plm_error_give(&own));
}

static plm_status agree(plm_run *run, const plm_step_batch *batch, double waited, plm_control *control) {
  plm_step_sums sums = {0};
  double compute;
  plm_status mine = accumulate(run, batch, &compute);
  if (mine == PLM_OK) mine = plm_optimiser_norm(run->optimiser, run->machine.exec);
  if (mine == PLM_OK) mine = plm_model_read_sums(run->model, run->machine.exec, &sums); /* the host waits here, once */
  fill_control(run, batch, waited, compute, control);
  fill_sums(&sums, control);
  plm_run_clock_take_traffic(&run->clock, run->context.comm, control);
  if (mine == PLM_OK && plm_replicas_are_due(run->settings->o->check_replicas, run->state.step, run->context.comm))
    mine = plm_replica_hash(run->model, run->machine.exec, &control->replica_hash);
  return agree_on(run->context.comm, control, mine);
}

plm_status plm_run_step_without(plm_run *run, plm_status mine) {
  plm_control control = {0};
  return agree_on(run->context.comm, &control, drain(run, mine));
}

plm_status plm_run_compare_replicas(plm_run *run) {
  plm_control control = {0};
  if (!plm_replicas_are_due(run->settings->o->check_replicas, 0, run->context.comm)) return PLM_OK;
  return agree_on(run->context.comm, &control, plm_replica_hash(run->model, run->machine.exec, &control.replica_hash));
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
  double z;
  run->context.comm->section(run->context.comm, "step", 0);
  plm_run_clock_begin_traffic(&run->clock, run->context.comm);
  PLM_TRY(agree(run, batch, waited, &control));
  const int64_t M =
      count_rows(&control); /* one objective: the denominator of its plain sums, divided by in the update */
  const double loss = total_loss(&control);
  const double sum_norm = sqrt(control.square);
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
  plm_status status = verdict == PLM_GUARD_APPLY && M > 0 ? update(run, sum_norm, M, learning_rate) : PLM_OK;
  if (run->context.comm->size > 1) { /* the others may log, evaluate or save next, or begin the next one */
    plm_agree_later(run->context.comm, status);
    status = PLM_OK;
  }
  *ret_outcome = outcome;
  return status;
}
