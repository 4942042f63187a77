/* internal.h - what the chapters about a run's logs, and its report, share: names of files, and lines read back. */
#ifndef PLM_RUNLOG_INTERNAL_H
#define PLM_RUNLOG_INTERNAL_H

#include "runlog/metrics.h"

#define PLM_LOG_NAME "log.jsonl"
#define PLM_LOG_REPLACED_NAME "log.replaced.jsonl"
#define PLM_CSV_NAME "metrics.csv"

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
