/* guard.c - see guard.h. Same idea as llm.c's OutlierDetector, without the hole that NaN > threshold is false. */
#include "train/guard.h"

#include <math.h>
#include <stddef.h>

void plm_guard_configure(plm_guard *guard, int64_t limit, bool skip_spikes) {
  guard->limit = limit;
  guard->skip_spikes = skip_spikes;
}

static double window_z(const plm_guard *guard, double loss) {
  if (guard->seen < PLM_GUARD_WINDOW) return NAN;
  double mean = 0, square = 0;
  for (int i = 0; i < PLM_GUARD_WINDOW; i++) mean += guard->window[i];
  mean /= PLM_GUARD_WINDOW;
  for (int i = 0; i < PLM_GUARD_WINDOW; i++) square += (guard->window[i] - mean) * (guard->window[i] - mean);
  double deviation = sqrt(square / (PLM_GUARD_WINDOW - 1));
  return deviation > 0 ? (loss - mean) / deviation : NAN;
}

plm_guard_verdict plm_guard_judge(plm_guard *guard, double loss, double grad_norm, int64_t nonfinite, double *ret_z) {
  if (ret_z != NULL) *ret_z = NAN;
  if (nonfinite > 0 || !isfinite(loss) || !isfinite(grad_norm)) {
    guard->skipped++;
    guard->nonfinite_in_a_row++;
    return guard->nonfinite_in_a_row >= guard->limit ? PLM_GUARD_STOP : PLM_GUARD_SKIP;
  }
  guard->nonfinite_in_a_row = 0;
  double z = window_z(guard, loss);
  if (ret_z != NULL) *ret_z = z;
  guard->window[guard->seen++ % PLM_GUARD_WINDOW] = loss;
  if (!(z > PLM_GUARD_SPIKE)) return PLM_GUARD_APPLY;
  guard->spikes++;
  if (!guard->skip_spikes) return PLM_GUARD_APPLY;
  guard->skipped++;
  return PLM_GUARD_SKIP;
}
