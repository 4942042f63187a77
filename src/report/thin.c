/* thin.c - long series made short: fewer points that draw the same line, and the running mean that shows where
 * it goes. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "report/internal.h"

/* First, lowest, highest and last point of begin..end-1, in order and once each; a bucket of gaps is a gap. */
static size_t keep_bucket(const plm_series *s, size_t begin, size_t end, int64_t *kept) {
  int64_t pick[4] = {-1, -1, -1, -1}; /* first, lowest, highest, last */
  for (size_t i = begin; i < end; i++) {
    if (!isfinite(s->y[i])) continue;
    int64_t at = (int64_t)i;
    if (pick[0] < 0) pick[0] = at;
    if (pick[1] < 0 || s->y[i] < s->y[pick[1]]) pick[1] = at;
    if (pick[2] < 0 || s->y[i] > s->y[pick[2]]) pick[2] = at;
    pick[3] = at;
  }
  size_t count = 0;
  if (pick[0] < 0) {
    kept[count++] = -1;
    return count;
  }
  int64_t early = pick[1] < pick[2] ? pick[1] : pick[2], late = pick[1] < pick[2] ? pick[2] : pick[1];
  const int64_t in_order[4] = {pick[0], early, late, pick[3]};
  for (int i = 0; i < 4; i++)
    if (count == 0 || in_order[i] != kept[count - 1]) kept[count++] = in_order[i];
  return count;
}

plm_status plm_chart_thin(const plm_series *series, size_t buckets, int64_t **ret_kept, size_t *ret_count) {
  size_t used = series->count <= 4 * buckets ? series->count : buckets, count = 0;
  int64_t *kept;
  PLM_TRY(PLM_NEW(&kept, 4 * used));
  for (size_t b = 0; b < used; b++) {
    size_t begin = series->count * b / used, end = series->count * (b + 1) / used;
    count += keep_bucket(series, begin, end, kept + count);
  }
  *ret_kept = kept;
  *ret_count = count;
  return PLM_OK;
}

void plm_chart_running_mean(const plm_series *series, size_t window, double limit, double *ret_mean) {
  size_t half = window / 2, inside = 0;
  double sum = 0;
  for (size_t i = 0, added = 0, dropped = 0; i < series->count; i++) {
    for (; added < series->count && added <= i + half; added++)
      if (isfinite(series->y[added])) sum += fmin(series->y[added], limit), inside++;
    for (; dropped + half < i; dropped++)
      if (isfinite(series->y[dropped])) sum -= fmin(series->y[dropped], limit), inside--;
    ret_mean[i] = inside > 0 ? sum / (double)inside : (double)NAN;
  }
}
