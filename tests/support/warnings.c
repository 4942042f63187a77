#include "support/warnings.h"

#include <stdio.h>
#include <string.h>

#include "protlm/log.h"

static char text[1 << 14];
static int count;

static void remember(void *user, plm_log_level level, const char *line) {
  (void)user;
  if (level != PLM_LOG_WARN) return;
  const size_t used = strlen(text);
  count++;
  snprintf(text + used, sizeof text - used, "%s\n", line);
}

void warnings_forget(void) {
  text[0] = '\0';
  count = 0;
}

void warnings_listen(void) {
  warnings_forget();
  plm_log_set_sink(remember, NULL);
}

void warnings_stop(void) { plm_log_set_sink(NULL, NULL); }
int warnings_count(void) { return count; }
const char *warnings_text(void) { return text; }
