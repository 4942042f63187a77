/* score_view.c - see score_view.h. Contents: one line a sequence, the table, JSON. */
#include "app/score_view.h"

#include <math.h>
#include <stdio.h>

#include "app/print.h"

/* ---- one line a sequence ---- */

const char *plm_score_line(const plm_dataset *dataset, const plm_sequence_score *score, char line[PLM_SCORE_LINE]) {
  char name[4096], loss[PLM_NUMBER_TEXT], perplexity[PLM_NUMBER_TEXT], accuracy[PLM_NUMBER_TEXT];
  const long long length = plm_dataset_length(dataset, score->id);
  const double n = score->sum[PLM_SUM_COUNT], nll = score->sum[PLM_SUM_NLL] / n;
  plm_dataset_name(dataset, score->id, name, sizeof name);
  if (n == 0)
    snprintf(line, PLM_SCORE_LINE, "%s\t%lld\tNA\tNA\tNA\t0\t%lld\n", name, length, (long long)score->residues);
  else
    snprintf(line, PLM_SCORE_LINE, "%s\t%lld\t%s\t%s\t%s\t%.0f\t%lld\n", name, length, plm_number_digits(nll, 6, loss),
             plm_number_digits(exp(nll), 6, perplexity),
             plm_number_digits(score->sum[PLM_SUM_CORRECT] / n, 4, accuracy), n, (long long)score->residues);
  return line;
}

/* ---- the table ---- */

enum { CELL = 64 };

static const char *cell_text(const plm_record *record, int measure, char ret_text[CELL]) {
  const double value = measure != PLM_MEASURE_NONE ? plm_record_number(record, measure) : (double)NAN;
  if (!isfinite(value)) return "-";
  const plm_measure *m = plm_measure_at(measure);
  const double scale = plm_measure_is_percent(m) ? 100 : 1,
               error = m->error > 0 ? plm_record_number(record, m->error) : (double)NAN;
  if (m->is_count) return plm_count_text((int64_t)value, ret_text);
  snprintf(ret_text, CELL, isfinite(error) ? "%.*f +- %.*f" : "%.*f", m->decimals, scale * value, m->decimals,
           scale * error);
  return ret_text;
}

/* A measure over all rows that are predicted and over those that show <mask>; one of them may be none. */
static void print_row(plm_text *out, const plm_record *record, int all, int masked) {
  const plm_measure *m = plm_measure_at(all != PLM_MEASURE_NONE ? all : masked);
  char label[CELL], a[CELL], b[CELL];
  snprintf(label, sizeof label, m->unit != NULL ? "%s (%s)" : "%s", m->words, m->unit);
  plm_text_printf(out, "  %-28s  %20s  %20s\n", label, cell_text(record, all, a), cell_text(record, masked, b));
}

void plm_score_table(const plm_record *r, const plm_dataset_info *info, const plm_output *opt_colour, plm_text *out) {
  const char *bold = opt_colour != NULL ? plm_style(opt_colour, PLM_BOLD) : "",
             *plain = opt_colour != NULL ? plm_style(opt_colour, PLM_RESET) : "";
  char count[PLM_COUNTED_TEXT];
  plm_text_printf(out, "%s%s: %s%s\n", bold, info->source, plm_counted(info->count, "sequence", "sequences", count),
                  plain);
  plm_text_printf(out, "  %-28s  %20s  %20s\n", "", "all predicted", "shown as <mask>");
  print_row(out, r, PLM_MEASURE_EVAL_COUNT, PLM_MEASURE_EVAL_COUNT_MASKED);
  print_row(out, r, PLM_MEASURE_EVAL_LOSS, PLM_MEASURE_EVAL_LOSS_MASKED);
  print_row(out, r, PLM_MEASURE_EVAL_PERPLEXITY, PLM_MEASURE_EVAL_PERPLEXITY_MASKED);
  print_row(out, r, PLM_MEASURE_EVAL_ACCURACY, PLM_MEASURE_EVAL_ACCURACY_MASKED);
  for (int i = 0; i < plm_measure_count(); i++)
    if (plm_measure_is_extra(i))
      print_row(out, r, plm_measure_at(i)->is_masked ? PLM_MEASURE_NONE : i,
                plm_measure_at(i)->is_masked ? i : PLM_MEASURE_NONE);
  plm_text_printf(out, "%swithout any context, perplexity would be%s\n", bold, plain);
  print_row(out, r, PLM_MEASURE_BASELINE_FREQUENCY, PLM_MEASURE_BASELINE_FREQUENCY_MASKED);
  print_row(out, r, PLM_MEASURE_BASELINE_COPY, PLM_MEASURE_BASELINE_COPY_MASKED);
  const double gain = plm_record_number(r, PLM_MEASURE_GAIN_MASKED),
               error = plm_record_number(r, PLM_MEASURE_GAIN_MASKED_SE);
  if (!(error > 0)) return;
  plm_text_printf(out,
                  "%sThe model is %s than frequencies by %.4f +- %.4f nats on <mask> rows: %.1f standard errors%s\n",
                  bold, gain >= 0 ? "better" : "worse", fabs(gain), error, fabs(gain) / error, plain);
}

/* Counts first, then the other values of an evaluation. */
plm_status plm_score_json(const plm_record *record, plm_text *out) {
  plm_json_line line;
  plm_json_line_begin(&line);
  for (int pass = 0; pass < 2; pass++)
    for (int i = 0; i < plm_measure_count(); i++)
      if (plm_measure_at(i)->is_count == (pass == 0)) plm_record_put_json(record, i, &line);
  PLM_TRY(plm_json_line_end(&line));
  plm_text_append(out, line.text);
  return PLM_OK;
}
