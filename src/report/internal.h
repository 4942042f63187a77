/* internal.h - what the chapters of the report share: the run as read, axes, charts, and text made safe for
 * HTML. */
#ifndef PLM_REPORT_INTERNAL_H
#define PLM_REPORT_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "base/alloc.h"
#include "base/text.h"
#include "checkpoint/checkpoint.h"
#include "runlog/internal.h"

/* ---- the run (data.c) ---- */

/* A line of log.jsonl: a value for each measure, NAN where it has none or null. */
typedef struct plm_report_line {
  bool is_eval;
  const double *value; /* by index of the measure; of the run's arena */
} plm_report_line;

typedef struct plm_setting {
  const char *name, *value; /* of the run's arena, as the next */
  const char *first; /* of a list, its first item, since spaces in `value` need not be between items; else `value` */
  size_t count;      /* items of a list; 1 */
} plm_setting;

typedef struct plm_report_run {
  plm_arena *memory;
  const char *directory; /* as given, without a final '/' */
  const char *name;      /* its last part */
  plm_report_line *lines;
  size_t line_count;
  plm_setting *settings; /* config.yaml, in its order */
  size_t setting_count;
  json_t *environment; /* env.json; NULL when there is none */
  plm_checkpoint_info *checkpoints;
  size_t checkpoint_count;
  int64_t max_steps; /* -1 = unknown */
  bool has_final;    /* final/ exists */
} plm_report_run;

PLM_CHECKED plm_status plm_report_run_read(const char *directory, plm_report_run *ret_run);
void plm_report_run_free(plm_report_run *run);

const plm_setting *plm_report_find_setting(const plm_report_run *run, const char *name); /* NULL when absent or empty */
const char *plm_report_setting(const plm_report_run *run, const char *name); /* its value, for people; NULL likewise */
const plm_report_line *plm_report_last(const plm_report_run *run, bool is_eval);    /* NULL when there is none */
const plm_report_line *plm_report_best_eval(const plm_report_run *run);             /* lowest eval_loss; NULL */
const plm_report_line *plm_report_eval_at(const plm_report_run *run, int64_t step); /* NULL */
static inline double plm_report_value(const plm_report_line *line, int measure) { return line->value[measure]; }

/* ---- text (text.c) ---- */

/* `words` as HTML text or attribute value; what is not valid UTF-8 or not printable becomes U+FFFD. */
void plm_html_escape(plm_text *html, const char *words);

enum { PLM_LABEL = 48 };
/* Numbers for people: 1,234,567; `digits` significant digits with grouped thousands, a dash for what is not finite.
 * Return `ret_text`. */
const char *plm_label_count(double value, char ret_text[PLM_LABEL]);
const char *plm_label_value(double value, int digits, char ret_text[PLM_LABEL]);
const char *plm_label_decimals(double value, int decimals, char ret_text[PLM_LABEL]);
const char *plm_label_short(double value, char ret_text[PLM_LABEL]);      /* 45.2 M */
const char *plm_label_duration(double seconds, char ret_text[PLM_LABEL]); /* 2 h 13 min */
const char *plm_label_time(double unix_time, char ret_text[PLM_LABEL]);   /* 2026-01-31 12:00 UTC */

/* ---- axes (axis.c) ---- */

enum { PLM_MAX_TICKS = 12 };
typedef struct plm_axis {
  bool is_log;
  double low, high; /* ends, in data units; for log axes both > 0 */
  double pixel_low, pixel_high;
  int tick_count;
  double ticks[PLM_MAX_TICKS];
  char labels[PLM_MAX_TICKS][PLM_LABEL];
} plm_axis;

/* Round ends and ticks around min..max. `wanted` is about how many ticks there is room for. */
void plm_axis_linear(double min, double max, int wanted, plm_axis *ret_axis);
void plm_axis_log(double min, double max, plm_axis *ret_axis);
/* Ticks as above, but the axis ends exactly at `min` and `max`: for steps. */
void plm_axis_exact(double min, double max, int wanted, plm_axis *ret_axis);
double plm_axis_pixel(const plm_axis *axis, double value); /* clipped to a little beyond the ends */

/* ---- charts (svg.c) ---- */

typedef enum plm_series_kind {
  PLM_SERIES_LINE,   /* noisy: smoothed when it has many points, held to its bulk */
  PLM_SERIES_EXACT,  /* every point counts */
  PLM_SERIES_POINTS, /* the same, with a dot at each */
  PLM_SERIES_LEVEL   /* a dashed level at y[0] */
} plm_series_kind;

typedef struct plm_series {
  plm_series_kind kind;
  const char *name;  /* stands at its right end */
  const char *style; /* CSS class: s-train, s-eval, s-base, s-other */
  size_t count;
  double *x, *y;      /* ascending x; y NAN = gap */
  double *low, *high; /* a band around it; NULL = none */
} plm_series;

enum { PLM_MAX_SERIES = 5 };
typedef struct plm_chart {
  const char *id, *title, *unit, *note;
  bool log_if_wide; /* log axis when values span more than a factor of 30 */
  bool from_zero;
  bool cap_by_levels; /* the axis ends a little above the highest level, once the line is below it */
  bool is_percent;    /* values 0..1 shown as 0..100 */
  double last_step;   /* right end of all charts */
  int series_count;
  plm_series series[PLM_MAX_SERIES];
} plm_chart;

/* A figure: title, the chart at two widths of which a style sheet shows one, its note. Without any finite value:
 * nothing. */
PLM_CHECKED plm_status plm_chart_append(plm_text *html, const plm_chart *chart);

/* ---- long series (axis.c) ---- */

/* At most about `buckets` * 4 points that draw the same line: of each bucket its first, lowest, highest and last.
 * Arrays of `count`; *ret_kept indices into them in order, -1 = gap. Free with plm_free. */
PLM_CHECKED plm_status plm_chart_thin(const plm_series *series, size_t buckets, int64_t **ret_kept, size_t *ret_count);

/* Mean of the finite values among `window` neighbours, each counted as `limit` at most, so that a spike which leaves
 * the axis does not drag its surroundings along; NAN where there is none. */
void plm_chart_running_mean(const plm_series *series, size_t window, double limit, double *ret_mean);

/* ---- the page (figures.c, verdict.c, tables.c, assets.c) ---- */
void plm_report_verdict(const plm_report_run *run, plm_text *html);
void plm_report_result_table(const plm_report_run *run, plm_text *html);
void plm_report_settings(const plm_report_run *run, plm_text *html);
void plm_report_machine(const plm_report_run *run, plm_text *html);
void plm_report_checkpoints(const plm_report_run *run, plm_text *html);
void plm_report_next_steps(const plm_report_run *run, plm_text *html);
PLM_CHECKED plm_status plm_report_figures(const plm_report_run *run, plm_text *html);
extern const char plm_report_style[], plm_report_script[];

#endif
