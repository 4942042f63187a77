/* verdict.c - what came out, in a sentence a person can repeat, and in numbers. */
#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "report/internal.h"

enum { CLEAR_STANDARD_ERRORS = 5 };

/* ---- words ---- */

/* File names without their directories: "train.fasta and 2 more". */
static void put_files(plm_text *html, const plm_setting *files) {
  plm_text_append(html, "<b>");
  plm_html_escape(html, plm_path_name(files->first));
  plm_text_append(html, "</b>");
  if (files->count > 1) plm_text_printf(html, " and %zu more", files->count - 1);
}

/* "esm2_t6_8M was trained on train.fasta for 3 epochs: 1,500 steps, 4.5 M residues." */
static void put_what_was_done(const plm_report_run *run, const plm_report_line *train, plm_text *html) {
  const char *model = plm_report_setting(run, "model");
  const plm_setting *data = plm_report_find_setting(run, "train");
  char label[PLM_LABEL];
  plm_text_append(html, "<b>");
  plm_html_escape(html, model != NULL ? model : "The model");
  plm_text_append(html, "</b> was trained");
  if (data != NULL) {
    plm_text_append(html, " on ");
    put_files(html, data);
  }
  double epoch = plm_report_value(train, PLM_MEASURE_EPOCH);
  plm_text_append(html, " for ");
  if (isfinite(epoch))
    plm_text_printf(
        html, "%s epoch%s: ",
        epoch == floor(epoch) ? plm_label_count(epoch, label) : plm_label_value(epoch, epoch < 1 ? 2 : 3, label),
        epoch == 1 ? "" : "s");
  double step = plm_report_value(train, PLM_MEASURE_STEP);
  plm_text_printf(html, "%s step%s", plm_label_count(step, label), step == 1 ? "" : "s");
  double residues = plm_report_value(train, PLM_MEASURE_RESIDUES);
  if (isfinite(residues)) plm_text_printf(html, ", %s residues", plm_label_short(residues, label));
  plm_text_append(html, ". ");
}

/* Is the model better than frequencies, beyond doubt? Decided on hidden residues, where copying does not help. */
static void put_judgement(const plm_report_run *run, const plm_report_line *eval, plm_text *html) {
  const plm_setting *data = plm_report_find_setting(run, "eval"), *split_from = plm_report_find_setting(run, "train");
  char a[PLM_LABEL], b[PLM_LABEL], c[PLM_LABEL];
  double gain = plm_report_value(eval, PLM_MEASURE_GAIN_MASKED),
         se = plm_report_value(eval, PLM_MEASURE_GAIN_MASKED_SE);
  plm_text_append(html, "On the hidden residues of ");
  if (data != NULL)
    put_files(html, data);
  else if (split_from != NULL)
    plm_text_append(html, "sequences held out of "), put_files(html, split_from);
  else
    plm_text_append(html, "the evaluation set");
  plm_text_printf(html, " its perplexity is <b>%s</b>; amino-acid frequencies alone reach %s. ",
                  plm_label_decimals(plm_report_value(eval, PLM_MEASURE_EVAL_PERPLEXITY_MASKED), 2, a),
                  plm_label_decimals(plm_report_value(eval, PLM_MEASURE_BASELINE_FREQUENCY_MASKED), 2, b));
  if (!isfinite(gain) || !isfinite(se) || se <= 0) {
    plm_text_append(html, "How sure that difference is was not measured.");
    return;
  }
  if (gain > CLEAR_STANDARD_ERRORS * se)
    plm_text_printf(html, "The gain of %s nats is %s standard errors: the model has learnt more than frequencies.",
                    plm_label_decimals(gain, 3, a), plm_label_value(gain / se, 2, c));
  else
    plm_text_printf(
        html,
        "The difference of %s nats is %s standard errors; fewer than %d do not show that the model has learnt more than frequencies.",
        plm_label_decimals(gain, 3, a), plm_label_decimals(gain / se, 1, c), CLEAR_STANDARD_ERRORS);
}

/* Two things a reader should not have to find in the curves. */
static void put_warnings(const plm_report_run *run, const plm_report_line *train, const plm_report_line *eval,
                         plm_text *html) {
  const plm_report_line *before = plm_report_eval_at(run, 0), *best = plm_report_best_eval(run);
  char label[PLM_LABEL];
  if (train != NULL && !isfinite(plm_report_value(train, PLM_MEASURE_LOSS)))
    plm_text_append(html, " <span class=\"bad\">The last training loss is not a finite number.</span>");
  if (eval == NULL) return;
  double final = plm_report_value(eval, PLM_MEASURE_EVAL_LOSS);
  if (before != NULL && before != eval && final > plm_report_value(before, PLM_MEASURE_EVAL_LOSS))
    plm_text_append(html, " <span class=\"bad\">The evaluation loss is higher than before the training.</span>");
  if (best != NULL && final > plm_report_value(best, PLM_MEASURE_EVAL_LOSS) +
                                  2 * fmax(plm_report_value(eval, PLM_MEASURE_EVAL_LOSS_SE), 0))
    plm_text_printf(html, " It was lowest at step %s.",
                    plm_label_count(plm_report_value(best, PLM_MEASURE_STEP), label));
}

/* ---- numbers ---- */

static void put_tile(plm_text *html, const char *value, const char *name) {
  plm_text_printf(html, "<div><dd>%s</dd><dt>%s</dt></div>", value, name);
}

static void put_tiles(const plm_report_line *train, const plm_report_line *eval, plm_text *html) {
  char a[PLM_LABEL], b[PLM_LABEL], pair[2 * PLM_LABEL + 32];
  plm_text_append(html, "<dl class=\"tiles\">");
  if (eval != NULL) {
    put_tile(html, plm_label_decimals(plm_report_value(eval, PLM_MEASURE_EVAL_PERPLEXITY_MASKED), 2, a),
             "perplexity, &lt;mask&gt; rows");
    put_tile(html, plm_label_decimals(plm_report_value(eval, PLM_MEASURE_BASELINE_FREQUENCY_MASKED), 2, a),
             "frequencies alone");
    snprintf(pair, sizeof pair, "%s <small>\xC2\xB1 %s</small>",
             plm_label_decimals(plm_report_value(eval, PLM_MEASURE_GAIN_MASKED), 3, a),
             plm_label_decimals(plm_report_value(eval, PLM_MEASURE_GAIN_MASKED_SE), 3, b));
    put_tile(html, pair, "gain, nats (\xC2\xB1 s.e.)");
  }
  if (train != NULL) {
    put_tile(html, plm_label_short(plm_report_value(train, PLM_MEASURE_RESIDUES), a), "residues seen");
    put_tile(html,
             plm_label_count(
                 plm_report_value(train, PLM_MEASURE_RESIDUES) / plm_report_value(train, PLM_MEASURE_SECONDS), a),
             "residues per second");
    put_tile(html, plm_label_duration(plm_report_value(train, PLM_MEASURE_SECONDS), a), "training time");
  }
  plm_text_append(html, "</dl>\n");
}

void plm_report_verdict(const plm_report_run *run, plm_text *html) {
  const plm_report_line *train = plm_report_last(run, false), *eval = plm_report_last(run, true);
  plm_text_append(html, "<p class=\"verdict\">");
  if (train != NULL)
    put_what_was_done(run, train, html);
  else
    plm_text_append(html, "No training step has been logged. ");
  if (eval != NULL)
    put_judgement(run, eval, html);
  else
    plm_text_append(html, "There was no evaluation, so nothing can be said about what was learnt.");
  put_warnings(run, train, eval, html);
  plm_text_append(html, "</p>\n");
  if (train != NULL || eval != NULL) put_tiles(train, eval, html);
}

/* ---- the table of the last evaluation ---- */

static void put_result_heading(int measure, plm_text *html) {
  const plm_measure *m = plm_measure_at(measure);
  plm_text_append(html, "<th>");
  plm_html_escape(html, m->heading != NULL ? m->heading : m->words);
  if (m->unit != NULL && !plm_measure_is_percent(m)) {
    plm_text_append(html, ", ");
    plm_html_escape(html, m->unit);
  }
  plm_text_append(html, "</th>");
}

static void put_result(const plm_report_line *eval, int measure, plm_text *html) {
  const plm_measure *m = plm_measure_at(measure != PLM_MEASURE_NONE ? measure : 0);
  const double value = measure != PLM_MEASURE_NONE ? plm_report_value(eval, measure) : (double)NAN;
  const bool is_percent = plm_measure_is_percent(m);
  char label[PLM_LABEL];
  plm_text_printf(html, "<td>%s", plm_label_decimals(is_percent ? 100 * value : value, m->page_decimals, label));
  if (m->error > 0)
    plm_text_printf(html, " <small>\xC2\xB1 %s</small>",
                    plm_label_decimals(plm_report_value(eval, m->error), m->page_decimals, label));
  plm_text_append(html, is_percent ? " %</td>" : "</td>");
}

/* Of each column, what stands in the row of all rows that are asked for and in that of <mask> rows. */
static const int result_columns[][2] = {
    {PLM_MEASURE_EVAL_LOSS, PLM_MEASURE_EVAL_LOSS_MASKED},
    {PLM_MEASURE_EVAL_PERPLEXITY, PLM_MEASURE_EVAL_PERPLEXITY_MASKED},
    {PLM_MEASURE_BASELINE_FREQUENCY, PLM_MEASURE_BASELINE_FREQUENCY_MASKED},
    {PLM_MEASURE_BASELINE_COPY, PLM_MEASURE_BASELINE_COPY_MASKED},
    {PLM_MEASURE_EVAL_ACCURACY, PLM_MEASURE_EVAL_ACCURACY_MASKED},
    {PLM_MEASURE_EVAL_COUNT, PLM_MEASURE_EVAL_COUNT_MASKED},
};
enum { RESULT_COLUMNS = sizeof result_columns / sizeof *result_columns };

static void put_result_row(const plm_report_line *eval, bool masked, plm_text *html) {
  plm_text_printf(html, "<tr><th>%s</th>", masked ? "&lt;mask&gt; rows" : "all selected rows");
  for (int i = 0; i < RESULT_COLUMNS; i++) put_result(eval, result_columns[i][masked], html);
  for (int i = 0; i < plm_measure_count(); i++)
    if (plm_measure_is_extra(i)) put_result(eval, plm_measure_at(i)->is_masked == masked ? i : PLM_MEASURE_NONE, html);
  plm_text_append(html, "</tr>\n");
}

void plm_report_result_table(const plm_report_run *run, plm_text *html) {
  const plm_report_line *eval = plm_report_last(run, true);
  char label[PLM_LABEL];
  if (eval == NULL) return;
  plm_text_printf(html, "<section><h2>Evaluation at step %s</h2><div class=\"scroll\"><table class=\"numbers\">\n",
                  plm_label_count(plm_report_value(eval, PLM_MEASURE_STEP), label));
  plm_text_append(html, "<thead><tr><th></th>");
  for (int i = 0; i < RESULT_COLUMNS; i++) put_result_heading(result_columns[i][0], html);
  for (int i = 0; i < plm_measure_count(); i++)
    if (plm_measure_is_extra(i)) put_result_heading(i, html);
  plm_text_append(html, "</tr></thead><tbody>\n");
  put_result_row(eval, false, html);
  put_result_row(eval, true, html);
  plm_text_append(
      html,
      "</tbody></table></div>\n<p class=\"note\">Frequencies and freq. + copying: the perplexities of predictors that know no proteins, on "
      "the same rows; the second also copies the letter it sees where a row is not hidden. \xC2\xB1: standard error, clustered by "
      "sequence.</p></section>\n");
}
