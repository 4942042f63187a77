/* rewrite.c - at resume, the logs go back to the checkpoint, so that each step is logged once whatever was
 * killed.
 *
 * log.jsonl is the record; metrics.csv is made from it. Three files are replaced whole, in an order that loses no line
 * at any kill:
 *
 *   1  log.replaced.jsonl   gains the lines past the checkpoint
 *   2  log.jsonl            without them, and without what a kill had torn
 *   3  metrics.csv          made again from the lines kept
 *
 * Killed after 1, the same lines are taken out again next time (perhaps with earlier ones, if that resume starts from
 * an older checkpoint), so lines that already end log.replaced.jsonl are not added twice. */
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "runlog/internal.h"
#include "protlm/log.h"

typedef struct split {
  plm_text kept, removed, csv;
  int64_t removed_lines;
} split;

static plm_status split_log(plm_log_reader *reader, int64_t step, split *parts) {
  plm_record_csv_header(&parts->csv);
  for (;;) {
    const char *text;
    size_t bytes;
    int64_t line_step;
    json_t *line = NULL;
    PLM_TRY(plm_log_reader_next(reader, &text, &bytes, &line_step, &line));
    if (text == NULL) return PLM_OK;
    if (line_step > step) {
      plm_text_append_bytes(&parts->removed, text, bytes);
      parts->removed_lines++;
    } else {
      plm_record record;
      plm_record_from_json(line, &record);
      plm_record_to_csv(&record, &parts->csv);
      plm_text_append_bytes(&parts->kept, text, bytes);
    }
    json_decref(line);
  }
}

/* Bytes of whole lines, counted from the end, that both texts end in. */
static size_t common_tail(const char *a, size_t a_bytes, const char *b, size_t b_bytes) {
  size_t same = 0, whole = 0;
  while (same < a_bytes && same < b_bytes && a[a_bytes - 1 - same] == b[b_bytes - 1 - same]) {
    same++;
    bool a_line = same == a_bytes || a[a_bytes - 1 - same] == '\n',
         b_line = same == b_bytes || b[b_bytes - 1 - same] == '\n';
    if (a_line && b_line) whole = same;
  }
  return whole;
}

/* *ret_data stays NULL when there is no such file. */
static plm_status read_if_any(const char *path, char **ret_data, size_t *ret_bytes) {
  bool exists = false;
  PLM_TRY(plm_file_find(path, &exists));
  return exists ? plm_file_read(path, INT64_MAX, ret_data, ret_bytes) : PLM_OK;
}

static plm_status add_replaced(const char *run_directory, const plm_text *removed) {
  char *path = NULL, *before = NULL;
  size_t before_bytes = 0;
  plm_text after = {0};
  plm_status status;
  PLM_TRY_GOTO(plm_path_join(run_directory, PLM_LOG_REPLACED_NAME, &path), done);
  PLM_TRY_GOTO(read_if_any(path, &before, &before_bytes), done);
  size_t known = before_bytes > 0 ? common_tail(before, before_bytes, removed->data, removed->length) : 0;
  if (known == removed->length) goto done;
  if (before_bytes > 0) plm_text_append_bytes(&after, before, before_bytes - known);
  plm_text_append_bytes(&after, removed->data, removed->length);
  PLM_TRY_GOTO(after.status, done);
  PLM_TRY_GOTO(plm_file_replace(path, after.data, after.length), done);
done:
  plm_text_free(&after);
  plm_free(before);
  plm_free(path);
  return status;
}

/* Replace <run>/name by `text` unless it has these bytes already. */
static plm_status put_file(const char *run_directory, const char *name, const plm_text *text) {
  char *path = NULL, *before = NULL;
  size_t before_bytes = 0;
  plm_status status;
  PLM_TRY_GOTO(text->status, done);
  PLM_TRY_GOTO(plm_path_join(run_directory, name, &path), done);
  PLM_TRY_GOTO(read_if_any(path, &before, &before_bytes), done);
  bool is_same = before_bytes == text->length && (before_bytes == 0 || memcmp(before, text->data, before_bytes) == 0);
  if (!is_same) PLM_TRY_GOTO(plm_file_replace(path, text->length > 0 ? text->data : "", text->length), done);
done:
  plm_free(before);
  plm_free(path);
  return status;
}

plm_status plm_metrics_rewrite(const char *run_directory, int64_t step, int64_t *ret_removed) {
  plm_log_reader reader = {0};
  split parts = {0};
  char *path = NULL;
  plm_status status;
  PLM_TRY_GOTO(plm_path_join(run_directory, PLM_LOG_NAME, &path), done);
  PLM_TRY_GOTO(plm_log_reader_open(path, &reader), done);
  PLM_TRY_GOTO(split_log(&reader, step, &parts), done);
  PLM_TRY_GOTO(parts.removed.status, done);
  if (parts.removed_lines > 0) PLM_TRY_GOTO(add_replaced(run_directory, &parts.removed), done);
  PLM_TRY_GOTO(put_file(run_directory, PLM_LOG_NAME, &parts.kept), done);
  PLM_TRY_GOTO(put_file(run_directory, PLM_CSV_NAME, &parts.csv), done);
  if (reader.unreadable > 0)
    plm_warn("%s: dropped %lld line%s that cannot be read: torn when the last run ended, or damaged", path,
             (long long)reader.unreadable, reader.unreadable == 1 ? "" : "s");
  *ret_removed = parts.removed_lines;
done:
  plm_text_free(&parts.kept);
  plm_text_free(&parts.removed);
  plm_text_free(&parts.csv);
  plm_log_reader_close(&reader);
  plm_free(path);
  return status;
}
