/* guard.h - what stands between a bad step and the weights.
 *
 * Non-finite loss or gradient: the update is left out, on all ranks alike; after `limit` such steps in a row the run
 * stops with PLM_E_NUMERIC. Handled first, so a NaN can never slip through the comparison of the spike test.
 *
 * Spike: the loss stands more than 6 standard deviations above the mean of the last 64 finite losses. Reported; the
 * update is left out only when asked. A spike enters the window all the same, so a lasting change of level stops being
 * one.
 */
#ifndef PLM_TRAIN_GUARD_H
#define PLM_TRAIN_GUARD_H

#include <stdbool.h>
#include <stdint.h>

enum { PLM_GUARD_WINDOW = 64 };

typedef struct plm_guard {
  int64_t limit; /* consecutive non-finite steps that end the run */
  bool skip_spikes;
  /* state, saved with each checkpoint */
  double window[PLM_GUARD_WINDOW]; /* finite losses, a ring */
  int64_t seen;                    /* losses ever put into it */
  int64_t nonfinite_in_a_row, skipped, spikes;
} plm_guard;

/* What the options say, which a resumed run may change; the window and the counts stay. */
void plm_guard_configure(plm_guard *guard, int64_t limit, bool skip_spikes);

typedef enum plm_guard_verdict { PLM_GUARD_APPLY, PLM_GUARD_SKIP, PLM_GUARD_STOP } plm_guard_verdict;

/* Judge a step by its mean loss, gradient norm and count of non-finite elements seen by operators. *ret_z (optional) =
 * the loss's distance from the window's mean in standard deviations, NAN while the window is not full; above
 * PLM_GUARD_SPIKE it was a spike. */
plm_guard_verdict plm_guard_judge(plm_guard *guard, double loss, double grad_norm, int64_t nonfinite, double *ret_z);

#define PLM_GUARD_SPIKE 6.0

#endif
