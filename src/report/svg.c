/* svg.c - a chart as SVG: axes, lines, bands, dashed levels, and each line's name at its right end instead of a
 * legend.
 *
 * Every chart is drawn twice, wide and narrow, and the style sheet shows the one that fits: one drawing scaled down
 * would have letters too small to read. Data attributes carry the axes, from which the page's script reads values back
 * off the lines; without script nothing is missing but that.
 *
 * Contents: 1 coordinates, 2 limits, 3 axes, 4 series, 5 names at the right, 6 the figure. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "report/internal.h"

typedef struct layout {
  const char *css_class;
  double width, height, left, right, top, bottom; /* margins */
  int x_ticks, y_ticks;
  size_t buckets;
  bool two_lines; /* names at the right: value below the name */
} layout;

static const layout layouts[] = {
    {"wide", 600, 270, 50, 132, 12, 40, 6, 5, 200, false},
    {"narrow", 360, 230, 42, 84, 12, 40, 4, 5, 110, true},
};

/* A chart in the making. Values are multiplied by `scale` before they meet the axis. */
typedef struct drawing {
  const plm_chart *chart;
  const layout *layout;
  plm_text *html;
  plm_axis x, y;
  double scale;
} drawing;

/* ---- 1 coordinates ---- */

/* One decimal, and a point in every locale. */
static void put_number(plm_text *html, double value) {
  long tenths = lround(value * 10);
  plm_text_printf(html, "%s%ld.%ld", tenths < 0 ? "-" : "", labs(tenths) / 10, labs(tenths) % 10);
}

static void put_point(drawing *d, char command, double x, double y) {
  char letter[2] = {command, '\0'};
  plm_text_append(d->html, letter);
  put_number(d->html, plm_axis_pixel(&d->x, x));
  plm_text_append(d->html, " ");
  put_number(d->html, plm_axis_pixel(&d->y, y * d->scale));
}

static void put_attribute(plm_text *html, const char *name, double value) {
  plm_text_printf(html, " %s=\"", name);
  put_number(html, value);
  plm_text_append(html, "\"");
}

/* ---- 2 limits ---- */

typedef struct limits {
  double low, high, smallest_positive;
  bool any;
} limits;

static void include(limits *l, double value) {
  if (!isfinite(value)) return;
  if (!l->any) *l = (limits){.low = value, .high = value, .smallest_positive = (double)INFINITY, .any = true};
  l->low = fmin(l->low, value);
  l->high = fmax(l->high, value);
  if (value > 0) l->smallest_positive = fmin(l->smallest_positive, value);
}

static int compare_doubles(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* A few spikes must not press the rest of a line flat: the upper end is held to the 98th percentile plus the spread
 * below it. */
static plm_status include_line(limits *l, const plm_series *series) {
  double *sorted;
  size_t count = 0;
  PLM_TRY(PLM_NEW(&sorted, series->count));
  for (size_t i = 0; i < series->count; i++)
    if (isfinite(series->y[i])) sorted[count++] = series->y[i];
  if (count > 0) {
    qsort(sorted, count, sizeof *sorted, compare_doubles);
    double low = sorted[0], most = sorted[(count - 1) * 98 / 100];
    include(l, low);
    include(l, fmin(sorted[count - 1], most + fmax(most - low, 0.1 * fabs(most))));
  }
  plm_free(sorted);
  return PLM_OK;
}

/* What stood far above every level of comparison before the training would press the part that matters flat. */
static void cap_by_levels(const plm_chart *chart, limits *l) {
  double level = 0, last = (double)INFINITY;
  for (int i = 0; i < chart->series_count; i++) {
    const plm_series *s = &chart->series[i];
    if (s->kind == PLM_SERIES_LEVEL)
      level = fmax(level, s->y[0]);
    else if (s->count > 1)
      last = s->y[s->count - 1];
  }
  if (last < level) l->high = fmin(l->high, 1.12 * level);
}

static plm_status find_limits(const plm_chart *chart, limits *ret_limits) {
  *ret_limits = (limits){0};
  for (int i = 0; i < chart->series_count; i++) {
    const plm_series *s = &chart->series[i];
    if (s->kind == PLM_SERIES_LEVEL)
      include(ret_limits, s->y[0]);
    else if (s->kind == PLM_SERIES_LINE)
      PLM_TRY(include_line(ret_limits, s));
    else
      for (size_t k = 0; k < s->count; k++) include(ret_limits, s->y[k]);
  }
  if (chart->cap_by_levels) cap_by_levels(chart, ret_limits);
  return PLM_OK;
}

/* Small values are shown as multiples of a power of ten, named in the title. */
static int find_exponent(const plm_chart *chart, const limits *l) {
  double size = fmax(fabs(l->low), fabs(l->high));
  return chart->is_percent || size == 0 || size >= 0.05 ? 0 : (int)floor(log10(size) + 1e-9);
}

static double scale_of(const plm_chart *chart, const limits *l) {
  return chart->is_percent ? 100 : pow(10, -find_exponent(chart, l));
}

static bool is_log(const plm_chart *chart, const limits *l) {
  return chart->log_if_wide && isfinite(l->smallest_positive) && l->high > 30 * l->smallest_positive;
}

static void make_axes(drawing *d, const limits *l) {
  double low = l->low * d->scale, high = l->high * d->scale;
  if (is_log(d->chart, l))
    plm_axis_log(l->smallest_positive * d->scale, high, &d->y);
  else
    plm_axis_linear(d->chart->from_zero ? fmin(low, 0) : low, high, d->layout->y_ticks, &d->y);
  plm_axis_exact(0, fmax(d->chart->last_step, 1), d->layout->x_ticks, &d->x);
  d->x.pixel_low = d->layout->left;
  d->x.pixel_high = d->layout->width - d->layout->right;
  d->y.pixel_low = d->layout->height - d->layout->bottom;
  d->y.pixel_high = d->layout->top;
}

/* ---- 3 axes ---- */

static void put_line(drawing *d, const char *css_class, double x1, double y1, double x2, double y2) {
  plm_text_printf(d->html, "<line class=\"%s\"", css_class);
  put_attribute(d->html, "x1", x1);
  put_attribute(d->html, "y1", y1);
  put_attribute(d->html, "x2", x2);
  put_attribute(d->html, "y2", y2);
  plm_text_append(d->html, "/>");
}

static void put_words(drawing *d, const char *css_class, double x, double y, const char *words) {
  plm_text_printf(d->html, "<text class=\"%s\"", css_class);
  put_attribute(d->html, "x", x);
  put_attribute(d->html, "y", y);
  plm_text_append(d->html, ">");
  plm_html_escape(d->html, words);
  plm_text_append(d->html, "</text>");
}

static void draw_axes(drawing *d) {
  const plm_axis *x = &d->x, *y = &d->y;
  for (int i = 0; i < y->tick_count; i++) {
    double at = plm_axis_pixel(y, y->ticks[i]);
    put_line(d, "grid", x->pixel_low, at, x->pixel_high, at);
    put_words(d, "tick y", x->pixel_low - 8, at + 4, y->labels[i]);
  }
  put_line(d, "axis", x->pixel_low, y->pixel_low, x->pixel_high, y->pixel_low);
  for (int i = 0; i < x->tick_count; i++) {
    double at = plm_axis_pixel(x, x->ticks[i]);
    put_line(d, "axis", at, y->pixel_low, at, y->pixel_low + 4);
    put_words(d, "tick x", at, y->pixel_low + 18, x->labels[i]);
  }
  put_words(d, "tick x title", (x->pixel_low + x->pixel_high) / 2, y->pixel_low + 35, "step");
}

/* ---- 4 series ---- */

/* A path through the kept points. A point between two gaps would be invisible as a line, so it gets a line of no
 * length. */
static void draw_path(drawing *d, const plm_series *s, const int64_t *kept, size_t count, const char *css_class,
                      const char *name) {
  bool is_drawing = false;
  plm_text_printf(d->html, "<path class=\"%s %s\"", css_class, s->style);
  if (name != NULL) {
    plm_text_append(d->html, " data-name=\"");
    plm_html_escape(d->html, name);
    plm_text_append(d->html, "\"");
  }
  plm_text_append(d->html, " d=\"");
  for (size_t i = 0; i < count; i++) {
    bool is_gap = kept[i] < 0;
    if (!is_gap) put_point(d, is_drawing ? 'L' : 'M', s->x[kept[i]], s->y[kept[i]]);
    if (!is_gap && !is_drawing && (i + 1 == count || kept[i + 1] < 0)) plm_text_append(d->html, "h0");
    is_drawing = !is_gap;
  }
  plm_text_append(d->html, "\"/>");
}

static void draw_band(drawing *d, const plm_series *s) {
  if (s->low == NULL || s->count < 2) return;
  plm_text_printf(d->html, "<path class=\"band %s\" d=\"", s->style);
  bool any = false;
  for (size_t i = 0; i < s->count; i++)
    if (isfinite(s->high[i]) && isfinite(s->low[i])) {
      put_point(d, any ? 'L' : 'M', s->x[i], s->high[i]);
      any = true;
    }
  for (size_t i = s->count; i-- > 0;)
    if (isfinite(s->high[i]) && isfinite(s->low[i])) put_point(d, 'L', s->x[i], s->low[i]);
  plm_text_append(d->html, any ? "Z\"/>" : "\"/>");
}

/* Dots say their values to a pointer that rests on them, script or not. */
static void draw_dots(drawing *d, const plm_series *s) {
  char step[PLM_LABEL], value[PLM_LABEL];
  if (s->count > 60) return;
  for (size_t i = 0; i < s->count; i++) {
    if (!isfinite(s->y[i])) continue;
    plm_text_printf(d->html, "<circle class=\"dot %s\" r=\"2.6\"", s->style);
    put_attribute(d->html, "cx", plm_axis_pixel(&d->x, s->x[i]));
    put_attribute(d->html, "cy", plm_axis_pixel(&d->y, s->y[i] * d->scale));
    plm_text_printf(d->html, "><title>step %s: ", plm_label_count(s->x[i], step));
    plm_html_escape(d->html, s->name);
    plm_text_printf(d->html, " %s</title></circle>", plm_label_decimals(s->y[i] * d->scale, 4, value));
  }
}

enum { SMOOTH_FROM = 120, SMOOTH_PIECES = 25 };

/* Many points: all of them faintly, and over them their running mean. */
static plm_status draw_smoothed(drawing *d, const plm_series *s) {
  double *mean = NULL;
  int64_t *kept = NULL;
  size_t count = 0;
  plm_status status;
  PLM_TRY_GOTO(PLM_NEW(&mean, s->count), done);
  PLM_TRY_GOTO(plm_chart_thin(s, d->layout->buckets, &kept, &count), done);
  draw_path(d, s, kept, count, "raw", NULL);
  plm_free(kept);
  kept = NULL;
  plm_chart_running_mean(s, s->count / SMOOTH_PIECES, d->y.high / d->scale, mean);
  plm_series smooth = *s;
  smooth.y = mean;
  PLM_TRY_GOTO(plm_chart_thin(&smooth, d->layout->buckets / 2, &kept, &count), done);
  draw_path(d, &smooth, kept, count, "line", s->name);
done:
  plm_free(kept);
  plm_free(mean);
  return status;
}

static plm_status draw_series(drawing *d, const plm_series *s) {
  if (s->kind == PLM_SERIES_LEVEL) {
    double at = plm_axis_pixel(&d->y, s->y[0] * d->scale);
    put_line(d, s->style, d->x.pixel_low, at, d->x.pixel_high, at);
    return PLM_OK;
  }
  if (s->kind == PLM_SERIES_LINE && s->count >= SMOOTH_FROM) return draw_smoothed(d, s);
  int64_t *kept;
  size_t count;
  PLM_TRY(plm_chart_thin(s, d->layout->buckets, &kept, &count));
  draw_band(d, s);
  draw_path(d, s, kept, count, "line", s->name);
  if (s->kind == PLM_SERIES_POINTS || s->count == 1) draw_dots(d, s);
  plm_free(kept);
  return PLM_OK;
}

/* ---- 5 names at the right ---- */

typedef struct name_tag {
  const plm_series *series;
  double value, wanted, at; /* pixels */
} name_tag;

static int compare_tags(const void *a, const void *b) {
  double x = ((const name_tag *)a)->wanted, y = ((const name_tag *)b)->wanted;
  return (x > y) - (x < y);
}

/* Each as near to its line's end as the others allow: pushed down where they would overlap, then the whole pile up into
 * the plot. */
static void place_tags(const drawing *d, name_tag *tags, int count) {
  double height = d->layout->two_lines ? 28 : 15,
         lowest = d->layout->two_lines ? d->y.pixel_low - 6 : d->y.pixel_low + 4;
  qsort(tags, (size_t)count, sizeof *tags, compare_tags);
  for (int i = 0; i < count; i++) tags[i].at = i == 0 ? tags[i].wanted : fmax(tags[i].wanted, tags[i - 1].at + height);
  for (int i = count - 1; i >= 0; i--) {
    double limit = i == count - 1 ? lowest - (height - 15) : tags[i + 1].at - height;
    tags[i].at = fmin(tags[i].at, limit);
  }
}

static void draw_tag(drawing *d, const name_tag *tag) {
  char value[PLM_LABEL];
  double x = d->x.pixel_high + 9;
  plm_label_decimals(tag->value, fabs(tag->value) < 1 ? 3 : fabs(tag->value) < 100 ? 2 : 0, value);
  plm_text_printf(d->html, "<text class=\"name %s\"", tag->series->style);
  put_attribute(d->html, "x", x);
  put_attribute(d->html, "y", tag->at + 4);
  plm_text_append(d->html, ">");
  plm_html_escape(d->html, tag->series->name);
  if (d->layout->two_lines) {
    plm_text_append(d->html, "<tspan class=\"value\"");
    put_attribute(d->html, "x", x);
    plm_text_printf(d->html, " dy=\"13\">%s</tspan></text>", value);
  } else {
    plm_text_printf(d->html, " <tspan class=\"value\">%s</tspan></text>", value);
  }
}

static void draw_tags(drawing *d) {
  name_tag tags[PLM_MAX_SERIES];
  int count = 0;
  for (int i = 0; i < d->chart->series_count; i++) {
    const plm_series *s = &d->chart->series[i];
    size_t last = s->count;
    while (last > 0 && !isfinite(s->y[last - 1])) last--;
    if (last == 0) continue;
    double value = s->y[last - 1] * d->scale, at = plm_axis_pixel(&d->y, value);
    at = fmin(fmax(at, d->y.pixel_high), d->y.pixel_low);
    tags[count++] = (name_tag){.series = s, .value = value, .wanted = at};
  }
  place_tags(d, tags, count);
  for (int i = 0; i < count; i++) draw_tag(d, &tags[i]);
}

/* ---- 6 the figure ---- */

static void put_axis_data(plm_text *html, const char *name, const plm_axis *axis) {
  char low[PLM_NUMBER_TEXT], high[PLM_NUMBER_TEXT];
  plm_text_printf(html, " %s=\"%s %s ", name, plm_number_digits(axis->low, 8, low),
                  plm_number_digits(axis->high, 8, high));
  put_number(html, axis->pixel_low);
  plm_text_append(html, " ");
  put_number(html, axis->pixel_high);
  plm_text_append(html, axis->is_log ? " log\"" : "\"");
}

static plm_status append_svg(plm_text *html, const plm_chart *chart, const layout *place, const limits *l) {
  drawing d = {.chart = chart, .layout = place, .html = html, .scale = scale_of(chart, l)};
  make_axes(&d, l);
  plm_text_printf(html, "<svg class=\"%s\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"", place->css_class,
                  place->width, place->height);
  plm_html_escape(html, chart->title);
  plm_text_append(html, " against step\"");
  put_axis_data(html, "data-x", &d.x);
  put_axis_data(html, "data-y", &d.y);
  plm_text_printf(html, "><clipPath id=\"%s-%s\"><rect", chart->id, place->css_class);
  put_attribute(html, "x", d.x.pixel_low - 3);
  put_attribute(html, "y", d.y.pixel_high - 4);
  put_attribute(html, "width", d.x.pixel_high - d.x.pixel_low + 6);
  put_attribute(html, "height", d.y.pixel_low - d.y.pixel_high + 4);
  plm_text_append(html, "/></clipPath>");
  draw_axes(&d);
  plm_text_printf(html, "<g clip-path=\"url(#%s-%s)\">", chart->id, place->css_class);
  for (int i = 0; i < chart->series_count; i++) PLM_TRY(draw_series(&d, &chart->series[i]));
  plm_text_append(html, "</g>");
  draw_tags(&d);
  plm_text_append(html, "</svg>\n");
  return PLM_OK;
}

/* Values outside the axis are drawn as leaving it, and counted in words. */
static size_t count_beyond(const plm_chart *chart, const limits *l) {
  size_t beyond = 0;
  for (int i = 0; i < chart->series_count; i++)
    for (size_t k = 0; k < chart->series[i].count; k++)
      if (chart->series[i].y[k] > l->high) beyond++;
  return beyond;
}

plm_status plm_chart_append(plm_text *html, const plm_chart *chart) {
  limits l;
  PLM_TRY(find_limits(chart, &l));
  if (!l.any) return PLM_OK;
  int exponent = find_exponent(chart, &l);
  plm_text_printf(html, "<figure id=\"%s\"><figcaption><b>", chart->id);
  plm_html_escape(html, chart->title);
  plm_text_append(html, "</b> <span class=\"unit\">");
  if (exponent != 0)
    plm_text_printf(html,
                    "\xC3\x97\xE2\x80\x89"
                    "10<sup>\xE2\x88\x92%d</sup> ",
                    -exponent);
  plm_html_escape(html, chart->unit);
  plm_text_printf(html, "%s</span><output></output></figcaption>\n", is_log(chart, &l) ? ", logarithmic" : "");
  for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) PLM_TRY(append_svg(html, chart, &layouts[i], &l));
  size_t beyond = count_beyond(chart, &l);
  plm_text_append(html, "<p class=\"note\">");
  plm_html_escape(html, chart->note);
  if (beyond > 0) plm_text_printf(html, " %zu value%s above the axis.", beyond, beyond == 1 ? "" : "s");
  plm_text_append(html, "</p></figure>\n");
  return html->status;
}
