/* report.c - read a run (data.c), write its page, top to bottom: what came out, the curves, the table, how it was done,
 * how to go on. */
#include "report/report.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "report/internal.h"

static void put_head(const plm_report_run *run, plm_text *html) {
  plm_text_append(
      html,
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"generator\" content=\"protlm " PLM_VERSION
      "\">\n<title>");
  plm_html_escape(html, run->name);
  plm_text_append(html, " \xE2\x80\x93 protlm run</title>\n<style>");
  plm_text_append(html, plm_report_style);
  plm_text_append(html, "</style>\n</head>\n<body>\n<main>\n");
}

/* "finished", or how far it has come. */
static void put_progress(const plm_report_run *run, plm_text *html) {
  const plm_report_line *train = plm_report_last(run, false);
  char at[PLM_LABEL], of[PLM_LABEL];
  double step = train != NULL ? plm_report_value(train, PLM_MEASURE_STEP) : 0;
  if (run->max_steps <= 0)
    plm_text_printf(html, "<span class=\"chip\">step %s</span>", plm_label_count(step, at));
  else if (run->has_final || step >= (double)run->max_steps)
    plm_text_printf(html, "<span class=\"chip good\">finished: %s of %s %s</span>", plm_label_count(step, at),
                    plm_label_count((double)run->max_steps, of), plm_plural(run->max_steps, "step", "steps"));
  else
    plm_text_printf(html, "<span class=\"chip\">step %s of %s</span>", plm_label_count(step, at),
                    plm_label_count((double)run->max_steps, of));
}

static plm_status put_page(const plm_report_run *run, plm_text *html) {
  char when[PLM_LABEL];
  put_head(run, html);
  plm_text_append(html, "<header><p class=\"kind\">protlm training run</p><h1>");
  plm_html_escape(html, run->name);
  plm_text_append(html, "</h1>");
  put_progress(run, html);
  plm_text_append(html, "</header>\n");
  plm_report_verdict(run, html);
  PLM_TRY(plm_report_figures(run, html));
  plm_report_result_table(run, html);
  plm_report_checkpoints(run, html);
  plm_text_append(html, "<div class=\"columns\">\n");
  plm_report_settings(run, html);
  plm_report_machine(run, html);
  plm_text_append(html, "</div>\n");
  plm_report_next_steps(run, html);
  plm_text_printf(html, "<footer>Made by protlm " PLM_VERSION " on %s from %zu logged line%s of ",
                  plm_label_time(plm_clock_wall(), when), run->line_count, run->line_count == 1 ? "" : "s");
  plm_html_escape(html, run->directory);
  plm_text_append(html, ". The page is one file and loads nothing.</footer>\n</main>\n<script>");
  plm_text_append(html, plm_report_script);
  plm_text_append(html, "</script>\n</body>\n</html>\n");
  return html->status;
}

plm_status plm_report_write(const char *run_directory, const char *path) {
  plm_report_run run = {0};
  plm_text html = {0};
  char *default_path = NULL;
  plm_status status;
  PLM_TRY_GOTO(plm_report_run_read(run_directory, &run), done);
  PLM_TRY_GOTO(put_page(&run, &html), done);
  if (path == NULL) PLM_TRY_GOTO(plm_path_join(run_directory, "report.html", &default_path), done);
  PLM_TRY_GOTO(plm_file_replace(path != NULL ? path : default_path, html.data, html.length), done);
done:
  plm_free(default_path);
  plm_text_free(&html);
  plm_report_run_free(&run);
  return status;
}
