/* log.c - formats a line and hands it to the one sink. */
#include "protlm/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>

static pthread_mutex_t sink_lock = PTHREAD_MUTEX_INITIALIZER;
static plm_log_sink *sink_function;
static void *sink_user;
static atomic_int threshold = PLM_LOG_INFO;

void plm_log_set_sink(plm_log_sink *sink, void *user) {
  pthread_mutex_lock(&sink_lock);
  sink_function = sink;
  sink_user = user;
  pthread_mutex_unlock(&sink_lock);
}

void plm_log_set_level(plm_log_level level) { atomic_store(&threshold, (int)level); }
plm_log_level plm_log_get_level(void) { return (plm_log_level)atomic_load(&threshold); }

void plm_log(plm_log_level level, const char *format, ...) {
  if ((int)level > atomic_load(&threshold)) return;
  char line[4096];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  pthread_mutex_lock(&sink_lock);
  if (sink_function != NULL) sink_function(sink_user, level, line);
  pthread_mutex_unlock(&sink_lock);
}
