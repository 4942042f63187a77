/* clock.h - what is measured of a run: times, rates and the counts of this start. All clocks run from end of step to
 * end of step: reading, update, logging, evaluation and saving are inside.
 */
#ifndef PLM_TRAIN_CLOCK_H
#define PLM_TRAIN_CLOCK_H

#include "train/context.h"
#include "train/state.h"

/* How several ranks shared the work: sums over steps. */
typedef struct plm_rank_times {
  double slowest, mean; /* seconds of forward and backward: the slowest rank's, and the ranks' mean */
  double exposed;       /* seconds that a rank waited for others' gradients and weights, on average */
  double sent;          /* bytes, by all ranks together */
  int64_t steps;
  /* The rank that was slowest in most steps: the candidate of Boyer and Moore's vote. */
  int slowest_rank;
  int64_t votes;
} plm_rank_times;

/* Times are of the monotonic clock. "Interval": since the last line of the log, or the first step. */
typedef struct plm_run_clock {
  double started, first_step_at, last_save_at; /* of this start; first_step_at: NAN before it */
  double seconds_before;                       /* state.seconds when this start began */
  double now;                                  /* the last step's end, or save's begin */
  double interval_at, interval_flops;          /* begin of the interval, and the exec's counter then */
  double interval_before;                      /* seconds of it spent by an earlier start */
  double waited;                               /* for data, by this start; of the rank that waited longest in a step */
  plm_comm_traffic traffic;                    /* of this rank, at the last step's agreement */
  plm_rank_times interval, all;                /* since the last line of the log; by this start */
  int64_t first_step;                          /* of the state this start began with */
  int64_t residues, tokens;                    /* by this start */
  plm_progress progress;
} plm_run_clock;

void plm_run_clock_init(plm_run_clock *clock);
void plm_run_clock_set_first_step(plm_run_clock *clock, int64_t step);

/* The first step begins. flops: the exec's counter. */
void plm_run_clock_begin(plm_run_clock *clock, const plm_train_state *state, double flops);

/* Bring the state's clocks up to date. */
void plm_run_clock_update(plm_run_clock *clock, plm_train_state *state);
/* A step begins: what travelled before the first of this start (a preflight, a checkpoint that was read) is not its. */
void plm_run_clock_begin_traffic(plm_run_clock *clock, const plm_comm *comm);
/* What has travelled since the last call, into this rank's control. */
void plm_run_clock_take_traffic(plm_run_clock *clock, const plm_comm *comm, plm_control *control);
void plm_run_clock_count_step(plm_run_clock *clock, const plm_control *control, int ranks);

/* End the interval: its rates, and the line of the log. */
void plm_run_clock_close_interval(plm_run_clock *clock, plm_train_state *state, double flops, int ranks,
                                  plm_record *ret_line);
/* At the end, where there are several ranks: how evenly they shared the work, and what they waited for. */
void plm_run_clock_tell_ranks(const plm_run_clock *clock, const plm_comm *comm);
void plm_run_clock_count_evaluation(plm_run_clock *clock, const plm_record *metrics);

void plm_run_clock_mark_save(plm_run_clock *clock);
double plm_run_clock_since_save(const plm_run_clock *clock); /* seconds since one ended, or the run began */

/* To the observer. logged: a line was written at this step. */
void plm_run_clock_report(plm_run_clock *clock, const plm_run_context *context, const plm_train_settings *settings,
                          const plm_train_state *state, const plm_step_outcome *outcome, bool logged);

#endif
