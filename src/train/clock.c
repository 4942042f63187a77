/* clock.c - see clock.h. */
#include "train/clock.h"

#include <math.h>

#include "base/clock.h"
#include "base/system.h"
#include "base/text.h"
#include "protlm/log.h"

void plm_run_clock_init(plm_run_clock *clock) {
  *clock = (plm_run_clock){
      .started = plm_clock_monotonic(),
      .first_step_at = NAN,
      .progress =
          {
              .loss = NAN,
              .perplexity = NAN,
              .grad_norm = NAN,
              .data_wait = NAN,
              .eval_loss = NAN,
              .eval_perplexity_masked = NAN,
              .eta = NAN,
              .time_limit_left = NAN,
          },
  };
}

void plm_run_clock_set_first_step(plm_run_clock *clock, int64_t step) { clock->first_step = step; }

void plm_run_clock_begin(plm_run_clock *clock, const plm_train_state *state, double flops) {
  clock->first_step_at = clock->interval_at = plm_clock_monotonic();
  clock->seconds_before = state->seconds;
  clock->interval_before = state->window.seconds;
  clock->interval_flops = flops;
}

void plm_run_clock_update(plm_run_clock *clock, plm_train_state *state) {
  if (isnan(clock->first_step_at)) return;
  clock->now = plm_clock_monotonic();
  plm_train_state_set_clocks(state, clock->seconds_before + clock->now - clock->first_step_at,
                             clock->interval_before + clock->now - clock->interval_at);
}

/* ---- several ranks ---- */

void plm_run_clock_begin_traffic(plm_run_clock *clock, const plm_comm *comm) {
  if (clock->all.steps == 0) clock->traffic = comm->traffic;
}

void plm_run_clock_take_traffic(plm_run_clock *clock, const plm_comm *comm, plm_control *control) {
  const plm_comm_traffic now = comm->traffic, then = clock->traffic;
  control->sent = now.sent - then.sent;
  control->busy = now.busy - then.busy;
  control->exposed = now.exposed - then.exposed;
  clock->traffic = now;
}

static void count_ranks(plm_rank_times *times, const plm_control *control, int ranks) {
  times->slowest += control->slowest_compute;
  times->mean += control->compute / ranks;
  times->exposed += control->exposed / ranks;
  times->sent += (double)control->sent;
  times->steps++;
  if (times->votes == 0) times->slowest_rank = control->slowest_rank;
  times->votes += times->slowest_rank == control->slowest_rank ? 1 : -1;
}

/* Slowest over mean, less 1: the share of its time that the mean rank waits for the slowest. */
static double imbalance_of(const plm_rank_times *times) {
  return times->mean > 0 ? fmax(0, times->slowest / times->mean - 1) : 0;
}

static double exposed_share(const plm_rank_times *times, double seconds) {
  return seconds > 0 ? fmin(1, times->exposed / seconds) : 0;
}

static void record_ranks(const plm_rank_times *times, int ranks, double seconds, plm_record *line) {
  plm_record_set_count(line, PLM_MEASURE_RANKS, ranks);
  plm_record_set(line, PLM_MEASURE_COMM_EXPOSED, exposed_share(times, seconds));
  plm_record_set(line, PLM_MEASURE_IMBALANCE, imbalance_of(times));
  plm_record_set_count(line, PLM_MEASURE_SLOWEST_RANK, times->slowest_rank);
}

void plm_run_clock_tell_ranks(const plm_run_clock *clock, const plm_comm *comm) {
  const plm_rank_times *times = &clock->all;
  char who[PLM_RANK_WORDS], bytes[PLM_NUMBER_TEXT];
  if (comm->size == 1 || comm->rank != 0 || times->steps == 0) return;
  plm_info(
      "%d ranks: the slowest, most often %s, computed %.1f %% longer than the mean; %.1f %% of the time spent waiting for other ranks' gradients and weights; %s sent in a step by all ranks together",
      comm->size, plm_rank_words(comm, times->slowest_rank, who), 100 * imbalance_of(times),
      100 * exposed_share(times, clock->now - clock->first_step_at),
      plm_bytes_text((int64_t)(times->sent / (double)times->steps), bytes));
}

/* ---- steps ---- */

void plm_run_clock_count_step(plm_run_clock *clock, const plm_control *control, int ranks) {
  count_ranks(&clock->interval, control, ranks);
  count_ranks(&clock->all, control, ranks);
  clock->waited += control->data_wait;
  clock->residues += control->residues;
  clock->tokens += control->tokens;
}

void plm_run_clock_mark_save(plm_run_clock *clock) { clock->last_save_at = plm_clock_monotonic(); }
double plm_run_clock_since_save(const plm_run_clock *clock) { return plm_clock_monotonic() - clock->last_save_at; }

/* ---- the line of the log ---- */

void plm_run_clock_close_interval(plm_run_clock *clock, plm_train_state *state, double flops, int ranks,
                                  plm_record *ret_line) {
  const plm_log_window window = state->window;
  const double now = clock->now, seconds = window.seconds;
  plm_progress *p = &clock->progress;
  plm_train_state_close_window(state);
  p->loss = state->last_loss;
  p->perplexity = exp(state->last_loss);
  p->residues_per_s = seconds > 0 ? (double)window.residues / seconds : NAN;
  p->data_wait = seconds > 0 ? fmin(1, window.waited / seconds) : 0;
  p->gflops_per_s = now > clock->interval_at ? (flops - clock->interval_flops) / (now - clock->interval_at) / 1e9 : 0;
  *ret_line = (plm_record){0};
  plm_record_set_count(ret_line, PLM_MEASURE_STEP, state->step);
  plm_record_set(ret_line, PLM_MEASURE_EPOCH, (double)state->step / (double)state->steps_per_epoch);
  plm_record_set(ret_line, PLM_MEASURE_LOSS, state->last_loss);
  plm_record_set(ret_line, PLM_MEASURE_GRAD_NORM, window.grad_norm);
  plm_record_set(ret_line, PLM_MEASURE_LEARNING_RATE, window.learning_rate);
  plm_record_set_count(ret_line, PLM_MEASURE_TOKENS, state->tokens);
  plm_record_set_count(ret_line, PLM_MEASURE_RESIDUES, state->residues);
  plm_record_set(ret_line, PLM_MEASURE_SECONDS, state->seconds);
  plm_record_set(ret_line, PLM_MEASURE_RESIDUES_PER_S, p->residues_per_s);
  plm_record_set(ret_line, PLM_MEASURE_DATA_WAIT, p->data_wait);
  if (ranks > 1) record_ranks(&clock->interval, ranks, now - clock->interval_at, ret_line);
  clock->interval = (plm_rank_times){0};
  clock->interval_at = now;
  clock->interval_before = 0;
  clock->interval_flops = flops;
}

/* ---- for the progress bar ---- */

void plm_run_clock_count_evaluation(plm_run_clock *clock, const plm_record *metrics) {
  clock->progress.eval_loss = plm_record_number(metrics, PLM_MEASURE_EVAL_LOSS);
  clock->progress.eval_perplexity_masked = plm_record_number(metrics, PLM_MEASURE_EVAL_PERPLEXITY_MASKED);
}

void plm_run_clock_report(plm_run_clock *clock, const plm_run_context *context, const plm_train_settings *settings,
                          const plm_train_state *state, const plm_step_outcome *outcome, bool logged) {
  const plm_progress last = clock->progress;
  const int64_t done = state->step - clock->first_step, left = settings->max_steps - state->step;
  const double epoch_steps = (double)settings->steps_per_epoch;
  clock->progress = (plm_progress){
      .step = state->step,
      .max_steps = settings->max_steps,
      .epoch = (double)state->step / epoch_steps,
      .epochs = (double)settings->max_steps / epoch_steps,
      .loss = last.loss,
      .perplexity = last.perplexity,
      .learning_rate = outcome->learning_rate,
      .grad_norm = outcome->grad_norm,
      .residues_per_s = last.residues_per_s,
      .gflops_per_s = last.gflops_per_s,
      .data_wait = last.data_wait,
      .real_share = state->tokens > 0 ? (double)state->residues / (double)state->tokens : 0,
      .eval_loss = last.eval_loss,
      .eval_perplexity_masked = last.eval_perplexity_masked,
      .seconds = state->seconds,
      .eta = done > 0 ? (state->seconds - clock->seconds_before) / (double)done * (double)left : NAN,
      .time_limit_left = plm_deadline_left(&context->deadline),
      .memory_bytes = plm_peak_memory(),
      .logged = logged,
  };
  if (context->observer != NULL && context->observer->step != NULL)
    context->observer->step(context->observer->user, &clock->progress);
}
