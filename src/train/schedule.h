/* schedule.h - the learning rate as a pure function of the number of updates applied so far.
 *
 *   W warm-up updates, T updates of the whole run (the horizon), r lowest share of the peak, s = updates already
 *   applied, from 0 p = min(1, (s - W) / (T - W))
 *
 *   warm-up (all but constant)   s < W:  (s + 1) / W           (demo-compat: s / W)
 *   esm2                         1 - (1-r) (s - W) / (0.9 T - W) until 0.9 T, then r
 *   linear                       r + (1-r) (1 - p)
 *   cosine, cosine_with_min_lr   r + (1-r) (1 + cos pi p) / 2
 *   cosine_max                   max(r, (1 + cos pi p) / 2)    (the workshop's)
 *   constant                     1, from the first update
 *   constant_with_warmup         1
 *   inverse_sqrt                 max(r, sqrt(W' / max(s, W'))), W' = max(W, 1)
 *   warmup_stable_decay          1 until T - D, then r + (1-r) (1 + cos pi (s - T + D) / D) / 2, D = max(1, round(0.1
 *                                T))
 *
 * Past T the last value holds: no schedule rises again.
 */
#ifndef PLM_TRAIN_SCHEDULE_H
#define PLM_TRAIN_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "protlm/status.h"

typedef struct plm_schedule_kind plm_schedule_kind; /* a row of the table in schedule.c */

typedef struct plm_schedule {
  const plm_schedule_kind *kind;
  double peak; /* learning rate at factor 1 */
  int64_t W, T;
  double r;
  bool warmup_from_zero;
} plm_schedule;

/* What is known before the schedule is: NAN or a NULL name means "not given". */
typedef struct plm_schedule_request {
  const char *name;
  double peak;
  double warmup; /* below 1: a share of T, rounded up; NAN: clamp(round(0.08 T), 1, 2000), less than T */
  double min_lr_ratio;
  bool from_scratch;     /* decides defaults (design 10.2) */
  bool warmup_from_zero; /* demo-compat: first update at lr 0, and a warm-up longer than the run is no error */
  int64_t T;
} plm_schedule_request;

/* PLM_E_USAGE, in the words of the options, when warm-up and horizon contradict each other. */
PLM_CHECKED plm_status plm_schedule_resolve(const plm_schedule_request *request, plm_schedule *ret_schedule);

const char *plm_schedule_name(const plm_schedule *schedule);
bool plm_schedule_has_warmup(const char *name); /* false for `constant` */

/* Learning rate of the update that follows `updates` applied ones. */
double plm_schedule_rate(const plm_schedule *schedule, int64_t updates);

/* Highest rate of the whole run: below the peak when warm-up is cut short. */
double plm_schedule_highest(const plm_schedule *schedule);

#endif
