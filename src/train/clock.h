/* clock.h - what is measured of a run: times, rates and the counts of this start. All clocks run from end of step to
 * end of step: reading, update, logging, evaluation and saving are inside.
 */
#ifndef PLM_TRAIN_CLOCK_H
#define PLM_TRAIN_CLOCK_H

#include "train/context.h"
#include "train/state.h"

/* Times are of the monotonic clock. "Interval": since the last line of the log, or the first step. */
typedef struct plm_run_clock {
  double started, first_step_at, last_save_at; /* of this start; first_step_at: NAN before it */
  double seconds_before;                       /* state.seconds when this start began */
  double now;                                  /* the last step's end, or save's begin */
  double interval_at, interval_flops;          /* begin of the interval, and the exec's counter then */
  double interval_before;                      /* seconds of it spent by an earlier start */
  double waited;                               /* for data, by this start */
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
void plm_run_clock_count_step(plm_run_clock *clock, const plm_control *control);

/* End the interval: its rates, and the line of the log. */
void plm_run_clock_close_interval(plm_run_clock *clock, plm_train_state *state, double flops, plm_record *ret_line);
void plm_run_clock_count_evaluation(plm_run_clock *clock, const plm_record *metrics);

void plm_run_clock_mark_save(plm_run_clock *clock);
double plm_run_clock_since_save(const plm_run_clock *clock); /* seconds since one ended, or the run began */

/* To the observer. logged: a line was written at this step. */
void plm_run_clock_report(plm_run_clock *clock, const plm_run_context *context, const plm_train_settings *settings,
                          const plm_train_state *state, const plm_step_outcome *outcome, bool logged);

#endif
