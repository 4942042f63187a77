/* stop.h - why a run should end before its last step: signals and deadlines.
 *
 * A signal handler only sets flags. The loop reads them once a step, folds them into the step's control all-reduce, and
 * all ranks act alike at the end of that step: save, and leave with PLM_STOPPED.
 *
 *   SIGTERM, SIGINT, SIGUSR1   finish the step, save, stop
 *   again SIGTERM or SIGINT    leave at once, by that signal; what is published on disk is complete anyway
 *   SIGUSR2                    save and go on
 *   SIGPIPE                    ignored
 *
 * "Again" means a quarter of a second later: `timeout`, for one, signals the process and then its group, which is one
 * request. Under a launcher (several ranks, or a step of Slurm's, which repeats SIGTERM by itself) it is half a minute for
 * that signal.
 */
#ifndef PLM_TRAIN_STOP_H
#define PLM_TRAIN_STOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protlm/status.h"

/* Bits of plm_control.stop_flags. */
enum {
  PLM_STOP_TERM = 1u << 0,
  PLM_STOP_INT = 1u << 1,
  PLM_STOP_USR1 = 1u << 2,
  PLM_STOP_SAVE = 1u << 3, /* SIGUSR2: not a reason to stop */
  PLM_STOP_TIME_LIMIT = 1u << 4,
  PLM_STOP_JOB_END = 1u << 5,
  PLM_STOP_HUP = 1u << 6, /* the terminal is gone; not under nohup */
};
#define PLM_STOP_EARLY \
  (PLM_STOP_TERM | PLM_STOP_INT | PLM_STOP_USR1 | PLM_STOP_TIME_LIMIT | PLM_STOP_JOB_END | PLM_STOP_HUP)

/* Install the handlers, keeping the old ones; and put those back, when as many have asked for it. One run at a time, or
 * the ranks of one that are threads of this process: a signal is then all theirs. */
PLM_CHECKED plm_status plm_stop_install(void);
void plm_stop_restore(void);
void plm_stop_expect_repeats(void); /* of SIGTERM: a launcher passes it on */

uint32_t plm_stop_signals(void);             /* flags raised so far */
void plm_stop_clear(uint32_t flags);         /* SIGUSR2 has been served */
const char *plm_stop_reason(uint32_t flags); /* "SIGTERM", "--time-limit", for a person; "" for none */

/* ---- deadlines ------------------------------------------------------------------------------------------------------
 * Stop when      now + longest recent step + 2 x longest save + margin >= end.
 * The longest save is a guess from the bytes until one has been measured. */
enum { PLM_DEADLINE_STEPS = 64 };

typedef struct plm_deadline {
  double limit_end;                 /* monotonic clock, --time-limit; INFINITY = none */
  double job_end;                   /* wall clock, of Slurm's job; INFINITY = none */
  double steps[PLM_DEADLINE_STEPS]; /* seconds of the last ones, a ring */
  int64_t step_count;
  double longest_save;
} plm_deadline;

/* `started` (monotonic) is when the process began to count. `time_limit` seconds, 0 = none. Reads
 * SLURM_JOB_END_TIME, and warns of one that is no time, or had passed by then: that is ignored. In a job of a Slurm that
 * sets none, and without `time_limit`, squeue is asked. */
void plm_deadline_init(plm_deadline *deadline, double started, double time_limit, int64_t checkpoint_bytes);
void plm_deadline_init_never(plm_deadline *deadline); /* of a rank that another decides for */
void plm_deadline_step(plm_deadline *deadline, double seconds);
void plm_deadline_save(plm_deadline *deadline, double seconds);

/* PLM_STOP_TIME_LIMIT, PLM_STOP_JOB_END or 0. Never before a step has been measured: every start makes progress. */
uint32_t plm_deadline_flags(const plm_deadline *deadline);
double plm_deadline_left(const plm_deadline *deadline); /* seconds to the nearer end; NAN without one */

#endif
