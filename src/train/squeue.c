/* squeue.c - see squeue.h. */
#include "train/squeue.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/program.h"

bool plm_squeue_parse_time(const char *text, double *ret_seconds) {
  int days = 0, fields[3] = {0}, count, end = 0;
  if (sscanf(text, "%d-%n", &days, &end) == 1 && end > 0)
    text += end;
  else
    days = 0;
  count = sscanf(text, "%d:%d:%d", &fields[0], &fields[1], &fields[2]);
  if (count < 2 || days < 0) return false;
  const int hours = count == 3 ? fields[0] : 0, minutes = fields[count - 2], seconds = fields[count - 1];
  if (hours < 0 || minutes < 0 || seconds < 0) return false;
  *ret_seconds = 86400.0 * days + 3600.0 * hours + 60.0 * minutes + seconds;
  return true;
}

bool plm_squeue_time_left(const char *job, double patience, double *ret_seconds) {
  const char *const words[] = {"squeue", "-h", "-j", job, "-o", "%L", NULL};
  const plm_program_call call = {.argv = words, .timeout_s = patience, .quiet = true};
  char *line;
  int code;
  if (plm_run_program(&call, &line, &code) != PLM_OK) {
    plm_error_clear();
    return false;
  }
  const bool is_time = plm_squeue_parse_time(line, ret_seconds);
  plm_free(line);
  return is_time;
}
