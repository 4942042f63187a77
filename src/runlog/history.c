/* history.c - lines of log.jsonl read back: for the rewriting at resume, trainer_state.json and the report.
 *
 * A kill may tear the last line, a power cut may garble some. Such lines are passed over and counted, never fatal: the
 * log is a record of the run, not part of its state. */
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "runlog/internal.h"

enum { MAX_DEPTH = 4 };
static const int64_t MAX_LOG_BYTES = (int64_t)4 << 30; /* some 15 million lines */

plm_status plm_log_reader_open(const char *path, plm_log_reader *ret_reader) {
  *ret_reader = (plm_log_reader){0};
  bool exists = false;
  PLM_TRY(plm_file_find(path, &exists));
  if (!exists) return PLM_OK;
  return plm_file_read(path, MAX_LOG_BYTES, &ret_reader->data, &ret_reader->bytes);
}

void plm_log_reader_close(plm_log_reader *reader) {
  plm_free(reader->data);
  *reader = (plm_log_reader){0};
}

/* A line's object and step. *ret_line stays NULL when it is not one of ours; only running out of memory is a failure (a
 * line that was only not read for lack of memory must not be dropped). */
static plm_status parse_line(const char *text, size_t bytes, json_t **ret_line, int64_t *ret_step) {
  json_t *line = NULL;
  plm_status status = plm_json_parse(text, bytes, MAX_DEPTH, PLM_LOG_NAME, &line);
  if (status == PLM_OK) status = plm_json_get_int(line, PLM_LOG_NAME, "step", true, 0, INT64_MAX, ret_step);
  if (status == PLM_OK) {
    *ret_line = line;
    return PLM_OK;
  }
  json_decref(line);
  if (status == PLM_E_RESOURCE) return status;
  plm_error_clear();
  return PLM_OK;
}

plm_status plm_log_reader_next(plm_log_reader *reader, const char **ret_text, size_t *ret_bytes, int64_t *ret_step,
                               json_t **opt_line) {
  *ret_text = NULL;
  while (reader->next < reader->bytes) {
    const char *text = reader->data + reader->next;
    const char *newline = memchr(text, '\n', reader->bytes - reader->next);
    size_t bytes = newline != NULL ? (size_t)(newline - text) + 1 : reader->bytes - reader->next;
    reader->next += bytes;
    reader->number++;
    json_t *line = NULL;
    if (newline != NULL) PLM_TRY(parse_line(text, bytes, &line, ret_step));
    if (line == NULL) {
      reader->unreadable++;
      continue;
    }
    *ret_text = text;
    *ret_bytes = bytes;
    if (opt_line != NULL)
      *opt_line = line;
    else
      json_decref(line);
    return PLM_OK;
  }
  return PLM_OK;
}

/* ---- the history, for trainer_state.json ---- */

static plm_status append_lines(plm_log_reader *reader, int64_t up_to_step, json_t *array) {
  for (;;) {
    const char *text;
    size_t bytes;
    int64_t step;
    json_t *line = NULL;
    PLM_TRY(plm_log_reader_next(reader, &text, &bytes, &step, &line));
    if (text == NULL) return PLM_OK;
    if (step > up_to_step)
      json_decref(line);
    else if (json_array_append_new(array, line) != 0)
      return plm_fail(PLM_E_RESOURCE, "out of memory: the history of the run");
  }
}

plm_status plm_metrics_history(const char *run_directory, int64_t up_to_step, json_t **ret_array) {
  plm_log_reader reader = {0};
  char *path = NULL;
  json_t *array = json_array();
  plm_status status;
  if (array == NULL) {
    status = plm_fail(PLM_E_RESOURCE, "out of memory: the history of the run");
    goto done;
  }
  PLM_TRY_GOTO(plm_path_join(run_directory, PLM_LOG_NAME, &path), done);
  PLM_TRY_GOTO(plm_log_reader_open(path, &reader), done);
  PLM_TRY_GOTO(append_lines(&reader, up_to_step, array), done);
  *ret_array = array;
  array = NULL;
done:
  json_decref(array);
  plm_log_reader_close(&reader);
  plm_free(path);
  return status;
}
