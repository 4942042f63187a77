/* axis.c - from values to places: round ends, few ticks, short labels; and which of a long series are drawn. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/internal.h"
#include "base/alloc.h"

/* The step of 1, 2 or 5 times a power of ten that cuts `range` into about `wanted` pieces. */
static double nice_step(double range, int wanted) {
  double raw = range / wanted, power = pow(10, floor(log10(raw))), fraction = raw / power;
  return (fraction < 1.5 ? 1 : fraction < 3.5 ? 2 : fraction < 7.5 ? 5 : 10) * power;
}

/* All ticks of an axis get as many decimals as their step needs; large ones go in thousands or millions. */
static void label_ticks(plm_axis *axis, double step) {
  double largest = fmax(fabs(axis->low), fabs(axis->high));
  double unit = largest >= 1e6 ? 1e6 : largest >= 2e4 ? 1e3 : 1;
  const char *suffix = unit > 1e3 ? "M" : unit > 1 ? "k" : "";
  int decimals = (int)ceil(-log10(step / unit) - 1e-9);
  for (int i = 0; i < axis->tick_count; i++) {
    char number[PLM_LABEL];
    bool is_plain_zero = axis->ticks[i] == 0 && unit > 1;
    plm_label_decimals(axis->ticks[i] / unit, decimals > 0 && !is_plain_zero ? decimals : 0, number);
    snprintf(axis->labels[i], PLM_LABEL, "%.40s%s", number, is_plain_zero ? "" : suffix);
  }
}

static void put_ticks(plm_axis *axis, double step) {
  double first = ceil(axis->low / step - 1e-9);
  axis->tick_count = 0;
  for (double k = first; k * step <= axis->high + 1e-9 * step && axis->tick_count < PLM_MAX_TICKS; k++)
    axis->ticks[axis->tick_count++] = k * step;
  label_ticks(axis, step);
}

/* A range that is a point, or nothing, is given some width. */
static void widen(double *min, double *max) {
  if (!isfinite(*min) || !isfinite(*max)) *min = 0, *max = 1;
  if (*max - *min > 1e-9 * fmax(fabs(*min), fabs(*max))) return;
  double around = fabs(*min) > 0 ? 0.1 * fabs(*min) : 1;
  *min -= *min == 0 ? 0 : around;
  *max += around;
}

void plm_axis_linear(double min, double max, int wanted, plm_axis *ret_axis) {
  widen(&min, &max);
  double step = nice_step(max - min, wanted);
  *ret_axis = (plm_axis){.low = floor(min / step + 1e-9) * step, .high = ceil(max / step - 1e-9) * step};
  put_ticks(ret_axis, step);
}

void plm_axis_exact(double min, double max, int wanted, plm_axis *ret_axis) {
  widen(&min, &max);
  *ret_axis = (plm_axis){.low = min, .high = max};
  put_ticks(ret_axis, fmax(1, nice_step(max - min, wanted)));
}

/* Up to two decades: ticks at 1, 2 and 5; beyond: powers of ten, or every other one. */
void plm_axis_log(double min, double max, plm_axis *ret_axis) {
  static const double few[] = {1, 2, 5};
  double first = floor(log10(min) + 1e-9), last = ceil(log10(max) - 1e-9);
  if (last <= first) last = first + 1;
  *ret_axis = (plm_axis){.is_log = true, .low = pow(10, first), .high = pow(10, last)};
  int decades = (int)(last - first);
  for (int i = 0; i < 3; i++) { /* tighter ends, where 2 or 5 will do */
    if (few[i] * pow(10, first) <= min * (1 + 1e-9)) ret_axis->low = few[i] * pow(10, first);
    if (few[2 - i] * pow(10, last - 1) >= max * (1 - 1e-9)) ret_axis->high = few[2 - i] * pow(10, last - 1);
  }
  int stride = 1 + (decades - 1) / 6;
  for (int decade = 0; decade <= decades; decade += stride)
    for (int i = 0; i < (decades <= 2 ? 3 : 1); i++) {
      double tick = few[i] * pow(10, first + decade);
      if (tick < ret_axis->low * (1 - 1e-9) || tick > ret_axis->high * (1 + 1e-9) ||
          ret_axis->tick_count == PLM_MAX_TICKS)
        continue;
      char *label = ret_axis->labels[ret_axis->tick_count];
      ret_axis->ticks[ret_axis->tick_count++] = tick;
      if (tick >= 0.99e-3 && tick < 1e6)
        plm_label_decimals(tick, tick < 0.99 ? (int)ceil(-log10(tick) - 1e-9) : 0, label);
      else
        snprintf(label, PLM_LABEL, "%se%d", i == 0 ? "1" : i == 1 ? "2" : "5", (int)first + decade);
    }
}

double plm_axis_pixel(const plm_axis *axis, double value) {
  double share = axis->is_log ? log(value / axis->low) / log(axis->high / axis->low)
                              : (value - axis->low) / (axis->high - axis->low);
  if (!(share > -0.2)) share = -0.2; /* beyond the plot, where it is clipped; also log of what is not positive */
  if (share > 1.2) share = 1.2;
  return axis->pixel_low + share * (axis->pixel_high - axis->pixel_low);
}

/* ---- the points that are drawn ---- */

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
