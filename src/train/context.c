/* context.c - see context.h. */
#include "train/context.h"

#include <stdarg.h>
#include <stdio.h>

plm_status plm_run_context_open(plm_run_context *context, const plm_train_observer *observer) {
  context->observer = observer;
  if (observer != NULL && observer->comm != NULL) {
    context->comm = observer->comm;
    return PLM_OK;
  }
  PLM_TRY(plm_comm_open(&context->own_comm));
  context->comm = context->own_comm;
  return PLM_OK;
}

void plm_run_context_close(plm_run_context *context) { plm_comm_destroy(context->own_comm); }

/* ---- words ---- */

void plm_run_phase(const plm_run_context *context, const char *format, ...) {
  char what[256];
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  if (context->observer != NULL && context->observer->phase != NULL)
    context->observer->phase(context->observer->user, what);
}

void plm_run_set_reason(plm_run_context *context, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(context->reason, sizeof context->reason, format, args);
  va_end(args);
}

/* ---- interruption ---- */

bool plm_run_interrupted(void) { return (plm_stop_signals() & PLM_STOP_EARLY) != 0; }

plm_status plm_run_check_interrupted(plm_run_context *context) {
  if (!plm_run_interrupted()) return PLM_OK;
  plm_run_set_reason(context, "%s before the first step", plm_stop_reason(plm_stop_signals()));
  return PLM_STOPPED;
}

void plm_run_set_stop(plm_run_context *context, uint32_t flags) { context->stop = flags; }

plm_status plm_run_agree_on_stop(plm_run_context *context, bool after_long) {
  const uint32_t mine = plm_stop_signals() & PLM_STOP_EARLY;
  uint32_t any = mine;
  if (context->comm->size > 1 && !after_long) return PLM_OK;
  PLM_TRY(plm_agree_any(context->comm, "stop", &any));
  context->stop |= any;
  return PLM_OK;
}

plm_status plm_run_stop_here(plm_run_context *context) {
  plm_run_set_reason(context, "%s", plm_stop_reason(context->stop));
  plm_error_clear();
  return PLM_STOPPED;
}
