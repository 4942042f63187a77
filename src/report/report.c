/* report.c - read a run, write its page. What is read: data.c. The page: page.c. */
#include "report/report.h"

#include "base/file.h"
#include "report/internal.h"

plm_status plm_report_write(const char *run_directory, const char *path) {
  plm_report_run run = {0};
  plm_text html = {0};
  char *default_path = NULL;
  plm_status status;
  PLM_TRY_GOTO(plm_report_run_read(run_directory, &run), done);
  PLM_TRY_GOTO(plm_report_page(&run, &html), done);
  if (path == NULL) PLM_TRY_GOTO(plm_path_join(run_directory, "report.html", &default_path), done);
  PLM_TRY_GOTO(plm_file_replace(path != NULL ? path : default_path, html.data, html.length), done);
done:
  plm_free(default_path);
  plm_text_free(&html);
  plm_report_run_free(&run);
  return status;
}
