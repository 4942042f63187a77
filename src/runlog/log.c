/* log.c - one record at a time into log.jsonl, metrics.csv and the events file. Read measures.h for what a record is,
 * rewrite.c for what happens to old lines at resume. */
#include "runlog/metrics.h"

#include "base/alloc.h"
#include "base/file.h"
#include "runlog/internal.h"
#include "runlog/tfevents.h"

struct plm_metrics {
  plm_appender *log, *csv;
  plm_tfevents *events;
};

static plm_status open_log(const char *run_directory, const char *name, plm_appender **ret_appender) {
  char *path;
  PLM_TRY(plm_path_join(run_directory, name, &path));
  plm_status status = plm_appender_open(path, ret_appender);
  plm_free(path);
  return status;
}

plm_status plm_metrics_open(const char *run_directory, int64_t from_step, plm_metrics **ret_metrics) {
  plm_metrics *metrics = NULL;
  plm_status status;
  int64_t removed = 0;
  PLM_TRY_GOTO(plm_metrics_rewrite(run_directory, from_step < 0 ? -1 : from_step, &removed), done);
  PLM_TRY_GOTO(PLM_NEW(&metrics, 1), done);
  PLM_TRY_GOTO(open_log(run_directory, PLM_LOG_NAME, &metrics->log), done);
  PLM_TRY_GOTO(open_log(run_directory, PLM_CSV_NAME, &metrics->csv), done);
  PLM_TRY_GOTO(plm_tfevents_open(run_directory, &metrics->events), done);
  if (from_step >= 0 || removed > 0)
    PLM_TRY_GOTO(plm_tfevents_session_start(metrics->events, from_step < 0 ? 0 : from_step + 1), done);
  *ret_metrics = metrics;
  metrics = NULL;
done:
  if (metrics != NULL) {
    plm_error_record first;
    plm_error_take(status, &first);
    if (plm_metrics_close(&metrics) != PLM_OK) plm_error_clear();
    status = plm_error_give(&first);
  }
  return status;
}

/* log.jsonl first: it is the record, from which the table is made again at resume. */
plm_status plm_metrics_write(plm_metrics *metrics, const plm_record *record) {
  plm_json_line line;
  PLM_TRY(plm_record_to_json(record, &line));
  PLM_TRY(plm_appender_write(metrics->log, line.text, line.length));
  plm_text csv = {0};
  plm_record_to_csv(record, &csv);
  plm_status status = csv.status;
  if (status == PLM_OK) status = plm_appender_write(metrics->csv, csv.data, csv.length);
  plm_text_free(&csv);
  for (int i = 0; i < plm_measure_count() && status == PLM_OK; i++)
    if (plm_measure_at(i)->tag != NULL && record->cell[i].kind == PLM_CELL_NUMBER)
      status = plm_tfevents_scalar(metrics->events, plm_measure_at(i)->tag, record->cell[PLM_MEASURE_STEP].count,
                                   record->cell[i].number);
  return status;
}

plm_status plm_metrics_sync(plm_metrics *metrics) {
  PLM_TRY(plm_appender_sync(metrics->log));
  return plm_appender_sync(metrics->csv);
}

plm_status plm_metrics_close(plm_metrics **closing) {
  plm_metrics *metrics = *closing;
  *closing = NULL;
  if (metrics == NULL) return PLM_OK;
  plm_error_record first = {.code = PLM_OK};
  plm_status results[3];
  results[0] = plm_appender_close(&metrics->log);
  if (results[0] != PLM_OK) plm_error_take(results[0], &first);
  results[1] = plm_appender_close(&metrics->csv);
  if (results[1] != PLM_OK && first.code == PLM_OK) plm_error_take(results[1], &first);
  results[2] = plm_tfevents_close(&metrics->events);
  if (results[2] != PLM_OK && first.code == PLM_OK) plm_error_take(results[2], &first);
  plm_free(metrics);
  return first.code == PLM_OK ? PLM_OK : plm_error_give(&first);
}
