/* status.c - thread-local message, hint and trace behind plm_fail and PLM_TRY. */
#include "protlm/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local plm_error_record current;

/* `words` may be shorter than `bytes`, and what follows them is then unset; the copy ends all the same. */
static void keep(char *ret_words, size_t bytes, const char *words) {
  size_t length = strnlen(words, bytes - 1);
  memcpy(ret_words, words, length);
  ret_words[length] = '\0';
}

static void append_frame(const char *file, int line, const char *function) {
  size_t used = strlen(current.trace);
  const char *name = file; /* from the last "src/" on: the repository may lie in a directory of that name */
  for (const char *next = file; (next = strstr(next, "src/")) != NULL; next++) name = next;
  snprintf(current.trace + used, sizeof current.trace - used, "%s:%d %s\n", name, line, function);
}

plm_status plm_error_set(plm_status code, const char *file, int line, const char *function, const char *format, ...) {
  char message[sizeof current.message]; /* the arguments may point into the current message */
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  plm_error_clear();
  current.code = code;
  keep(current.message, sizeof current.message, message);
  append_frame(file, line, function);
  return code;
}

void plm_error_push(const char *file, int line, const char *function) { append_frame(file, line, function); }

plm_status plm_hint(plm_status code, const char *format, ...) {
  char hint[sizeof current.hint]; /* the arguments may point into the current hint */
  va_list args;
  va_start(args, format);
  const int length = vsnprintf(hint, sizeof hint, format, args);
  va_end(args);
  if (length >= (int)sizeof hint) /* half a shell line would be worse than none */
    snprintf(hint, sizeof hint,
             "what helps is too long to be shown with paths as long as these: go to where the files "
             "are, or make a link with a shorter name, and run this again");
  keep(current.hint, sizeof current.hint, hint);
  return code;
}

plm_status plm_error_prefix(plm_status code, const char *format, ...) {
  char message[2 * sizeof current.message];
  va_list args;
  va_start(args, format);
  int used = vsnprintf(message, sizeof current.message, format, args);
  va_end(args);
  if (used < 0) return code;
  size_t prefix = strlen(message);
  snprintf(message + prefix, sizeof message - prefix, "%s", current.message);
  keep(current.message, sizeof current.message, message);
  return code;
}

const char *plm_error_message(void) { return current.message; }
const char *plm_error_hint(void) { return current.hint; }
const char *plm_error_trace(void) { return current.trace; }
void plm_error_clear(void) { memset(&current, 0, sizeof current); }

void plm_error_take(plm_status code, plm_error_record *record) {
  *record = current;
  record->code = code;
  plm_error_clear();
}

plm_status plm_error_give(const plm_error_record *record) {
  current = *record;
  return record->code;
}

const char *plm_status_name(plm_status code) {
  switch (code) {
    case PLM_OK:
      return "ok";
    case PLM_E_FAILURE:
      return "failure";
    case PLM_E_USAGE:
      return "usage error";
    case PLM_E_INPUT:
      return "input error";
    case PLM_E_CHECKPOINT:
      return "checkpoint error";
    case PLM_E_NUMERIC:
      return "numerical failure";
    case PLM_E_RESOURCE:
      return "out of resources";
    case PLM_E_BUG:
      return "internal error";
    case PLM_STOPPED:
      return "stopped early";
    case PLM_E_UNSUPPORTED:
      return "unsupported";
  }
  return "unknown status";
}

int plm_status_exit_code(plm_status code) { return code == PLM_E_UNSUPPORTED ? 1 : (int)code; }
