/* train_driver.c - `train_driver [options of protlm train]`: the library's plm_train with nothing around it, to be run and killed by
 * tests. Log lines and "step N" go to stderr, one a line; the exit code is the status. TRAIN_DRIVER_STEP_MS slows each step down. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "protlm/log.h"
#include "protlm/train.h"

static void on_line(void *user, plm_log_level level, const char *line) {
  (void)user;
  (void)level;
  fprintf(stderr, "%s\n", line);
}

static void on_step(void *user, const plm_progress *progress) {
  long pause = *(const long *)user;
  fprintf(stderr, "step %lld\n", (long long)progress->step);
  struct timespec duration = {.tv_sec = pause / 1000, .tv_nsec = pause % 1000 * 1000000};
  if (pause > 0) nanosleep(&duration, NULL);
}

int main(int argc, char **argv) {
  static plm_train_result result;
  const char *pause_text = getenv("TRAIN_DRIVER_STEP_MS");
  long pause = pause_text != NULL ? strtol(pause_text, NULL, 10) : 0;
  const plm_train_observer observer = {.user = &pause, .step = on_step};
  plm_option_values *values = NULL;
  plm_log_set_sink(on_line, NULL);
  plm_status status = plm_options_load(plm_train_option_table(), argc - 1, argv + 1, &values);
  if (status == PLM_OK) status = plm_train(values, &observer, &result);
  plm_option_values_destroy(values);
  if (status != PLM_OK && status != PLM_STOPPED)
    fprintf(stderr, "error: %s\nhint: %s\n%s", plm_error_message(), plm_error_hint(), plm_error_trace());
  else
    fprintf(stderr, "done: %s\n", result.reason);
  return plm_status_exit_code(status);
}
