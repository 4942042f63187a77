/* internal.h - what the chapters about a run's logs share: a line as a row of cells, and lines read back from
 * log.jsonl. */
#ifndef PLM_RUNLOG_INTERNAL_H
#define PLM_RUNLOG_INTERNAL_H

#include "base/text.h"
#include "runlog/metrics.h"

#define PLM_LOG_NAME "log.jsonl"
#define PLM_LOG_REPLACED_NAME "log.replaced.jsonl"
#define PLM_CSV_NAME "metrics.csv"

/* A column of metrics.csv is a field of a line of log.jsonl. `tag` is TensorBoard's name for it, NULL where it has
 * none. Offsets are into plm_train_metrics and plm_eval_metrics, -1 in lines that don't have the field. */
typedef struct plm_metrics_column {
  const char *name, *tag;
  bool is_count; /* int64_t, not double */
  int train_offset, eval_offset;
} plm_metrics_column;

enum { PLM_METRICS_COLUMNS = 27 };
extern const plm_metrics_column plm_metrics_columns[PLM_METRICS_COLUMNS]; /* in the order of metrics.csv */

typedef struct plm_metrics_cell {
  enum { PLM_CELL_EMPTY, PLM_CELL_COUNT, PLM_CELL_NUMBER } kind;
  int64_t count;
  double number;
} plm_metrics_cell;

typedef plm_metrics_cell plm_metrics_row[PLM_METRICS_COLUMNS];

void plm_metrics_row_train(const plm_train_metrics *values, plm_metrics_row ret_row);
void plm_metrics_row_eval(const plm_eval_metrics *values, plm_metrics_row ret_row);
void plm_metrics_row_json(const json_t *line, plm_metrics_row ret_row); /* null is NaN; other names are passed over */

/* A row as a line of log.jsonl (step first, then the columns in order) and of metrics.csv; both end in a newline. */
PLM_CHECKED plm_status plm_metrics_row_to_json(const plm_metrics_row row, plm_json_line *ret_line);
void plm_metrics_row_to_csv(const plm_metrics_row row, plm_text *csv);
void plm_metrics_csv_header(plm_text *csv);

/* ---- log.jsonl read back ---- */
typedef struct plm_log_reader {
  char *data;
  size_t bytes, next;
  int64_t number;     /* of the line last read, from 1 */
  int64_t unreadable; /* lines passed over so far: torn by a kill, or not an object with a step */
} plm_log_reader;

/* An absent file has no lines. */
PLM_CHECKED plm_status plm_log_reader_open(const char *path, plm_log_reader *ret_reader);
void plm_log_reader_close(plm_log_reader *reader);

/* The next good line: its text (`*ret_bytes` with the newline, in the reader's memory), its step and the line itself
 * (new reference, optional). *ret_text = NULL at the end. */
PLM_CHECKED plm_status plm_log_reader_next(plm_log_reader *reader, const char **ret_text, size_t *ret_bytes,
                                           int64_t *ret_step, json_t **opt_line);

/* Bring the logs of a run back to where they were at `step` (rewrite.c). *ret_removed = lines moved to
 * log.replaced.jsonl. */
PLM_CHECKED plm_status plm_metrics_rewrite(const char *run_directory, int64_t step, int64_t *ret_removed);

#endif
