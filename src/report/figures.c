/* figures.c - which curves the page shows, and what is said about each. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "report/internal.h"

/* Memory of all series of one chart; freed together. */
typedef struct chart_maker {
  const plm_report_run *run;
  plm_arena *memory;
  plm_chart chart;
} chart_maker;

static plm_status new_numbers(chart_maker *maker, size_t count, double **ret_numbers) {
  void *memory = NULL;
  PLM_TRY(plm_arena_alloc(maker->memory, count * sizeof(double), &memory));
  *ret_numbers = memory;
  return PLM_OK;
}

/* A column against step, from the training or the evaluation lines. No such line: no series. */
static plm_status add_series(chart_maker *maker, plm_series_kind kind, const char *name, const char *style,
                             const char *column, bool of_eval) {
  const plm_report_run *run = maker->run;
  plm_series s = {.kind = kind, .name = name, .style = style};
  PLM_TRY(new_numbers(maker, run->line_count, &s.x));
  PLM_TRY(new_numbers(maker, run->line_count, &s.y));
  int at = plm_report_column(column), step = plm_report_column("step");
  for (size_t i = 0; i < run->line_count; i++) {
    if (run->lines[i].is_eval != of_eval) continue;
    s.x[s.count] = run->lines[i].value[step];
    s.y[s.count++] = run->lines[i].value[at];
  }
  if (s.count > 0) maker->chart.series[maker->chart.series_count++] = s;
  return PLM_OK;
}

/* A level for comparison; not finite: none. */
static plm_status add_level(chart_maker *maker, const char *name, const char *style, double value) {
  plm_series s = {.kind = PLM_SERIES_LEVEL, .name = name, .style = style, .count = 1};
  if (!isfinite(value)) return PLM_OK;
  PLM_TRY(new_numbers(maker, 1, &s.y));
  s.y[0] = value;
  maker->chart.series[maker->chart.series_count++] = s;
  return PLM_OK;
}

/* The 95 % band of a perplexity: that of its loss, through exp. */
static plm_status add_band(chart_maker *maker, const char *loss_column, const char *se_column) {
  plm_series *s = &maker->chart.series[maker->chart.series_count - 1];
  size_t k = 0;
  PLM_TRY(new_numbers(maker, s->count, &s->low));
  PLM_TRY(new_numbers(maker, s->count, &s->high));
  for (size_t i = 0; i < maker->run->line_count; i++) {
    const plm_report_line *line = &maker->run->lines[i];
    if (!line->is_eval) continue;
    double loss = plm_report_value(line, loss_column), se = plm_report_value(line, se_column);
    s->low[k] = exp(loss - 1.96 * se);
    s->high[k++] = exp(loss + 1.96 * se);
  }
  return PLM_OK;
}

static double last_eval_value(const plm_report_run *run, const char *column) {
  const plm_report_line *line = plm_report_last(run, true);
  return line != NULL ? plm_report_value(line, column) : (double)NAN;
}

/* Frequencies plus copying is worth a line of its own only where it does better than frequencies. */
static double distinct_copy(double frequency, double copy) { return copy < 0.99 * frequency ? copy : (double)NAN; }

static plm_status make_loss(chart_maker *maker) {
  double frequency = last_eval_value(maker->run, "baseline_frequency"),
         copy = last_eval_value(maker->run, "baseline_copy");
  PLM_TRY(add_series(maker, PLM_SERIES_LINE, "training", "s-train", "loss", false));
  PLM_TRY(add_series(maker, PLM_SERIES_POINTS, "evaluation", "s-eval", "eval_loss", true));
  PLM_TRY(add_level(maker, "frequencies", "s-base", log(frequency)));
  return add_level(maker, "+ copying", "s-other", log(distinct_copy(frequency, copy)));
}

static plm_status make_perplexity(chart_maker *maker) {
  double frequency = last_eval_value(maker->run, "baseline_frequency_masked"),
         copy = last_eval_value(maker->run, "baseline_copy_masked");
  PLM_TRY(add_series(maker, PLM_SERIES_POINTS, "model", "s-eval", "eval_perplexity_masked", true));
  if (maker->chart.series_count > 0) PLM_TRY(add_band(maker, "eval_loss_masked", "eval_loss_masked_se"));
  PLM_TRY(add_level(maker, "frequencies", "s-base", frequency));
  return add_level(maker, "+ copying", "s-other", distinct_copy(frequency, copy));
}

static plm_status make_learning_rate(chart_maker *maker) {
  return add_series(maker, PLM_SERIES_EXACT, "rate", "s-train", "learning_rate", false);
}
static plm_status make_grad_norm(chart_maker *maker) {
  return add_series(maker, PLM_SERIES_LINE, "norm", "s-train", "grad_norm", false);
}
static plm_status make_rate(chart_maker *maker) {
  return add_series(maker, PLM_SERIES_LINE, "residues/s", "s-train", "residues_per_s", false);
}
static plm_status make_wait(chart_maker *maker) {
  return add_series(maker, PLM_SERIES_LINE, "waiting", "s-train", "data_wait", false);
}

static const struct {
  plm_chart chart;
  plm_status (*make)(chart_maker *maker);
} figures[] = {
    {{
         .id = "loss",
         .title = "Loss",
         .unit = "nats per selected residue",
         .note =
             "Mean negative log-likelihood of the residues the model is asked for. Training: over each logging interval. Evaluation: the same masks "
             "every time. Dashed: what amino-acid frequencies alone reach.",
     },
     make_loss},
    {{
         .id = "perplexity",
         .title = "Perplexity on <mask> rows",
         .unit = "evaluation set",
         .cap_by_levels = true,
         .note =
             "exp of the loss where the residue is hidden, so that nothing can be copied: the number of amino acids the model hesitates between. Band: "
             "95 % interval, clustered by sequence.",
     },
     make_perplexity},
    {{
         .id = "rate",
         .title = "Learning rate",
         .unit = "",
         .from_zero = true,
         .note = "Warm-up and schedule as applied.",
     },
     make_learning_rate},
    {{
         .id = "gradient",
         .title = "Gradient norm",
         .unit = "before clipping",
         .log_if_wide = true,
         .from_zero = true,
         .note = "Two-norm of the gradient of the mean loss.",
     },
     make_grad_norm},
    {{
         .id = "speed",
         .title = "Speed",
         .unit = "real residues per second",
         .from_zero = true,
         .note = "Whole steps, from disk to updated weights; special tokens don't count and there is no padding.",
     },
     make_rate},
    {{
         .id = "wait",
         .title = "Waiting for data",
         .unit = "% of the time",
         .from_zero = true,
         .is_percent = true,
         .note = "Share of each logging interval in which a step had to wait for its batch.",
     },
     make_wait},
};

static double last_step(const plm_report_run *run) {
  double last = 0;
  for (size_t i = 0; i < run->line_count; i++) last = fmax(last, plm_report_value(&run->lines[i], "step"));
  return last;
}

plm_status plm_report_figures(const plm_report_run *run, plm_text *html) {
  plm_status status = PLM_OK;
  plm_text_append(html, "<section class=\"figures\">\n");
  for (size_t i = 0; i < sizeof figures / sizeof *figures && status == PLM_OK; i++) {
    chart_maker maker = {.run = run, .chart = figures[i].chart};
    maker.chart.last_step = last_step(run);
    status = plm_arena_create(&maker.memory);
    if (status == PLM_OK) status = figures[i].make(&maker);
    if (status == PLM_OK) status = plm_chart_append(html, &maker.chart);
    plm_arena_destroy(maker.memory);
  }
  plm_text_append(html, "</section>\n");
  return status;
}
