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

/* A measure against step, from the training or the evaluation lines. No such line: no series. */
static plm_status add_series(chart_maker *maker, plm_series_kind kind, const char *name, int measure) {
  const plm_report_run *run = maker->run;
  const bool of_eval = plm_measure_at(measure)->lines == PLM_EVAL_LINE;
  plm_series s = {.kind = kind, .name = name, .style = of_eval ? "s-eval" : "s-train"};
  PLM_TRY(new_numbers(maker, run->line_count, &s.x));
  PLM_TRY(new_numbers(maker, run->line_count, &s.y));
  for (size_t i = 0; i < run->line_count; i++) {
    if (run->lines[i].is_eval != of_eval) continue;
    s.x[s.count] = plm_report_value(&run->lines[i], PLM_MEASURE_STEP);
    s.y[s.count++] = plm_report_value(&run->lines[i], measure);
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
static plm_status add_band(chart_maker *maker, int loss_measure) {
  plm_series *s = &maker->chart.series[maker->chart.series_count - 1];
  size_t k = 0;
  PLM_TRY(new_numbers(maker, s->count, &s->low));
  PLM_TRY(new_numbers(maker, s->count, &s->high));
  for (size_t i = 0; i < maker->run->line_count; i++) {
    const plm_report_line *line = &maker->run->lines[i];
    if (!line->is_eval) continue;
    double loss = plm_report_value(line, loss_measure),
           se = plm_report_value(line, plm_measure_at(loss_measure)->error);
    s->low[k] = exp(loss - 1.96 * se);
    s->high[k++] = exp(loss + 1.96 * se);
  }
  return PLM_OK;
}

static double last_eval_value(const plm_report_run *run, int measure) {
  const plm_report_line *line = plm_report_last(run, true);
  return line != NULL ? plm_report_value(line, measure) : (double)NAN;
}

/* Frequencies plus copying is worth a line of its own only where it does better than frequencies. */
static double distinct_copy(double frequency, double copy) { return copy < 0.99 * frequency ? copy : (double)NAN; }

static plm_status make_loss(chart_maker *maker) {
  double frequency = last_eval_value(maker->run, PLM_MEASURE_BASELINE_FREQUENCY),
         copy = last_eval_value(maker->run, PLM_MEASURE_BASELINE_COPY);
  PLM_TRY(add_series(maker, PLM_SERIES_LINE, "training", PLM_MEASURE_LOSS));
  PLM_TRY(add_series(maker, PLM_SERIES_POINTS, "evaluation", PLM_MEASURE_EVAL_LOSS));
  PLM_TRY(add_level(maker, "frequencies", "s-base", log(frequency)));
  return add_level(maker, "+ copying", "s-other", log(distinct_copy(frequency, copy)));
}

static plm_status make_perplexity(chart_maker *maker) {
  double frequency = last_eval_value(maker->run, PLM_MEASURE_BASELINE_FREQUENCY_MASKED),
         copy = last_eval_value(maker->run, PLM_MEASURE_BASELINE_COPY_MASKED);
  PLM_TRY(add_series(maker, PLM_SERIES_POINTS, "model", PLM_MEASURE_EVAL_PERPLEXITY_MASKED));
  if (maker->chart.series_count > 0) PLM_TRY(add_band(maker, PLM_MEASURE_EVAL_LOSS_MASKED));
  PLM_TRY(add_level(maker, "frequencies", "s-base", frequency));
  return add_level(maker, "+ copying", "s-other", distinct_copy(frequency, copy));
}

/* Several series, by `make`; or one measure and the name at the end of its line. */
typedef struct figure {
  plm_chart chart;
  plm_status (*make)(chart_maker *maker);
  int measure;
  plm_series_kind kind;
  const char *name;
} figure;

static const figure figures[] = {
    {
        .chart =
            {
                .id = "loss",
                .title = "Loss",
                .unit = "nats per selected residue",
                .note =
                    "Mean negative log-likelihood of the residues the model is asked for. Training: over each logging interval. Evaluation: the same masks "
                    "every time. Dashed: what amino-acid frequencies alone reach.",
            },
        .make = make_loss,
    },
    {
        .chart =
            {
                .id = "perplexity",
                .title = "Perplexity on <mask> rows",
                .unit = "evaluation set",
                .cap_by_levels = true,
                .note =
                    "exp of the loss where the residue is hidden, so that nothing can be copied: the number of amino acids the model hesitates between. Band: "
                    "95 % interval, clustered by sequence.",
            },
        .make = make_perplexity,
    },
    {
        .chart =
            {
                .id = "rate",
                .title = "Learning rate",
                .unit = "",
                .from_zero = true,
                .note = "Warm-up and schedule as applied.",
            },
        .measure = PLM_MEASURE_LEARNING_RATE,
        .kind = PLM_SERIES_EXACT,
        .name = "rate",
    },
    {
        .chart =
            {
                .id = "gradient",
                .title = "Gradient norm",
                .unit = "before clipping",
                .log_if_wide = true,
                .from_zero = true,
                .note = "Two-norm of the gradient of the mean loss.",
            },
        .measure = PLM_MEASURE_GRAD_NORM,
        .kind = PLM_SERIES_LINE,
        .name = "norm",
    },
    {
        .chart =
            {
                .id = "speed",
                .title = "Speed",
                .unit = "real residues per second",
                .from_zero = true,
                .note =
                    "Whole steps, from disk to updated weights; special tokens don't count and there is no padding.",
            },
        .measure = PLM_MEASURE_RESIDUES_PER_S,
        .kind = PLM_SERIES_LINE,
        .name = "residues/s",
    },
    {
        .chart =
            {
                .id = "wait",
                .title = "Waiting for data",
                .unit = "% of the time",
                .from_zero = true,
                .is_percent = true,
                .note = "Share of each logging interval in which a step had to wait for its batch.",
            },
        .measure = PLM_MEASURE_DATA_WAIT,
        .kind = PLM_SERIES_LINE,
        .name = "waiting",
    },
};

static double last_step(const plm_report_run *run) {
  double last = 0;
  for (size_t i = 0; i < run->line_count; i++) last = fmax(last, plm_report_value(&run->lines[i], PLM_MEASURE_STEP));
  return last;
}

static plm_status draw(const plm_report_run *run, const figure *f, plm_text *html) {
  chart_maker maker = {.run = run, .chart = f->chart};
  maker.chart.last_step = last_step(run);
  plm_status status = plm_arena_create(&maker.memory);
  if (status == PLM_OK) status = f->make != NULL ? f->make(&maker) : add_series(&maker, f->kind, f->name, f->measure);
  if (status == PLM_OK) status = plm_chart_append(html, &maker.chart);
  plm_arena_destroy(maker.memory);
  return status;
}

/* Drawn by what its row says. */
static plm_status draw_measure(const plm_report_run *run, int measure, plm_text *html) {
  static const char *const notes[] = {"", "Lower is better.", "Higher is better."};
  const plm_measure *m = plm_measure_at(measure);
  const figure f = {
      .chart =
          {
              .id = m->name,
              .title = m->words,
              .unit = m->unit != NULL ? m->unit : "",
              .is_percent = plm_measure_is_percent(m),
              .note = notes[m->better],
          },
      .measure = measure,
      .kind = PLM_SERIES_POINTS,
      .name = m->is_masked ? "<mask> rows" : "evaluation",
  };
  return m->is_drawn ? draw(run, &f, html) : PLM_OK;
}

plm_status plm_report_figures(const plm_report_run *run, plm_text *html) {
  plm_text_append(html, "<section class=\"figures\">\n");
  for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) PLM_TRY(draw(run, &figures[i], html));
  for (int i = 0; i < plm_measure_count(); i++) PLM_TRY(draw_measure(run, i, html));
  plm_text_append(html, "</section>\n");
  return PLM_OK;
}
