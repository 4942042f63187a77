/* tensor_stats.c */
#include "app/tensor_stats.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct stats {
  double min, max, mean, deviation;
  int64_t finite, nan, infinite;
} stats;

static int64_t element_count(const plm_tensor_info *t) {
  return t->dims == 0 ? 1 : t->dims == 1 ? t->shape[0] : t->shape[0] * t->shape[1];
}
static bool is_f32(const plm_tensor_info *t) { return t->dtype[0] == 'F'; }
static double element(const plm_tensor_info *t, int64_t i) {
  return is_f32(t) ? (double)((const float *)t->data)[i] : (double)((const int32_t *)t->data)[i];
}

/* Two passes: the mean first, so that the deviation of large values does not cancel. */
static stats measure(const plm_tensor_info *t) {
  stats s = {.min = INFINITY, .max = -INFINITY};
  int64_t n = element_count(t);
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < n; i++) {
    double v = element(t, i);
    if (isnan(v)) {
      s.nan++;
    } else if (isinf(v)) {
      s.infinite++;
    } else {
      s.finite++;
      sum += v;
      if (v < s.min) s.min = v;
      if (v > s.max) s.max = v;
    }
  }
  if (s.finite == 0) return s;
  s.mean = sum / (double)s.finite;
  for (int64_t i = 0; i < n; i++) {
    double v = element(t, i);
    if (isfinite(v)) squares += (v - s.mean) * (v - s.mean);
  }
  s.deviation = sqrt(squares / (double)s.finite);
  return s;
}

void plm_print_tensor_header(const plm_output *output, int width) {
  plm_print(output, "%s%-*s %-13s %9s %9s %9s %9s %4s%s\n", plm_style(output, PLM_BOLD), width, "tensor", "shape",
            "min", "max", "mean", "std", "NaN", plm_style(output, PLM_RESET));
}

void plm_print_tensor_row(const plm_output *output, int width, const plm_tensor_info *t) {
  char shape[48];
  if (t->dims == 0)
    snprintf(shape, sizeof shape, "[]");
  else if (t->dims == 1)
    snprintf(shape, sizeof shape, "[%lld]", (long long)t->shape[0]);
  else
    snprintf(shape, sizeof shape, "[%lld,%lld]", (long long)t->shape[0], (long long)t->shape[1]);
  stats s = measure(t);
  const char *alarm = s.nan + s.infinite > 0 ? plm_style(output, PLM_RED) : "";
  double none = (double)NAN;
  plm_print(output, "%-*s %-13s %9.3g %9.3g %9.3g %9.3g %s%4lld%s", width, t->name, shape, s.finite ? s.min : none,
            s.finite ? s.max : none, s.finite ? s.mean : none, s.finite ? s.deviation : none, alarm, (long long)s.nan,
            *alarm ? plm_style(output, PLM_RESET) : "");
  if (s.infinite > 0) plm_print(output, "  %lld infinite", (long long)s.infinite);
  plm_print(output, "\n");
}

/* ---- slices ---- */

typedef struct range {
  int64_t begin, end;
} range;

/* "3", "0:4", ":4", "2:" or ":" out of 0..n. */
static plm_status parse_range(const char *slice, const char **cursor, int64_t n, range *ret_range) {
  char *after;
  const char *p = *cursor;
  range r = {0, n};
  bool has_begin = *p >= '0' && *p <= '9';
  if (has_begin) {
    r.begin = strtoll(p, &after, 10); /* LLONG_MAX when it is larger, and refused below */
    p = after;
  }
  if (*p == ':') {
    p++;
    if (*p >= '0' && *p <= '9') {
      r.end = strtoll(p, &after, 10);
      p = after;
    }
  } else if (has_begin) {
    r.end = r.begin < n ? r.begin + 1 : r.begin;
  } else {
    return plm_hint(plm_fail(PLM_E_USAGE, "--slice %s: '%s' is no range", slice, p),
                    "NAME[3], NAME[0:4] or NAME[0:4,0:8]");
  }
  if (r.begin >= r.end || r.end > n)
    return plm_fail(PLM_E_USAGE, "--slice %s: rows or columns %lld:%lld are outside 0:%lld", slice, (long long)r.begin,
                    (long long)r.end, (long long)n);
  *cursor = p;
  *ret_range = r;
  return PLM_OK;
}

static plm_status parse_ranges(const char *slice, const char *bracket, const plm_tensor_info *t, range ranges[2]) {
  const char *p = bracket + 1;
  for (int d = 0; d < 2; d++) ranges[d] = (range){0, d < t->dims ? t->shape[d] : 1};
  for (int d = 0; d < t->dims; d++) {
    PLM_TRY(parse_range(slice, &p, t->shape[d], &ranges[d]));
    if (*p == ']') break;
    if (*p != ',' || d + 1 == t->dims) break;
    p++;
  }
  if (*p != ']' || p[1] != '\0')
    return plm_hint(plm_fail(PLM_E_USAGE, "--slice %s: expected ']' at '%s'", slice, p), "%s has %d dimension%s",
                    t->name, t->dims, t->dims == 1 ? "" : "s");
  return PLM_OK;
}

static plm_status find_tensor(const char *slice, size_t length, const plm_tensor_info *tensors, size_t count,
                              const plm_tensor_info **ret_tensor) {
  const char *names[512];
  size_t n = 0;
  for (size_t i = 0; i < count; i++) {
    if (strlen(tensors[i].name) == length && strncmp(tensors[i].name, slice, length) == 0) {
      *ret_tensor = &tensors[i];
      return PLM_OK;
    }
    if (n < sizeof names / sizeof *names) names[n++] = tensors[i].name;
  }
  char word[256];
  snprintf(word, sizeof word, "%.*s", (int)length, slice);
  const char *nearest = plm_nearest_name(word, names, n);
  plm_status status = plm_fail(PLM_E_USAGE, "--slice %s: there is no tensor '%s'", slice, word);
  return nearest == NULL ? status : plm_hint(status, "did you mean '%s'?", nearest);
}

plm_status plm_print_slice(const plm_output *output, const char *slice, const plm_tensor_info *tensors, size_t count) {
  const char *bracket = strchr(slice, '[');
  size_t length = bracket == NULL ? strlen(slice) : (size_t)(bracket - slice);
  const plm_tensor_info *t = NULL;
  PLM_TRY(find_tensor(slice, length, tensors, count, &t));
  range r[2] = {{0, t->dims > 0 ? t->shape[0] : 1}, {0, t->dims > 1 ? t->shape[1] : 1}};
  if (bracket != NULL) PLM_TRY(parse_ranges(slice, bracket, t, r));
  plm_print(output, "%s%s%s\n", plm_style(output, PLM_BOLD), slice, plm_style(output, PLM_RESET));
  int64_t columns = t->dims > 1 ? t->shape[1] : 1;
  for (int64_t i = r[0].begin; i < r[0].end; i++) {
    for (int64_t j = r[1].begin; j < r[1].end; j++) {
      double v = element(t, i * columns + j);
      if (is_f32(t))
        plm_print(output, " %12.7g", v);
      else
        plm_print(output, " %6lld", (long long)v);
    }
    plm_print(output, "\n");
  }
  return PLM_OK;
}
