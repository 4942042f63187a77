/* context.c - see context.h. */
#include "train/context.h"

#include <stdarg.h>
#include <stdio.h>

plm_status plm_run_context_open(plm_run_context *context, const plm_train_observer *observer) {
  context->observer = observer;
  if (observer == NULL || observer->comm == NULL) PLM_TRY(plm_comm_open(&context->own_comm));
  context->comm = context->own_comm != NULL ? context->own_comm : observer->comm;
  if (context->comm->size > 1) plm_stop_expect_repeats();
  return PLM_OK;
}

void plm_run_context_close(plm_run_context *context) { plm_comm_destroy(context->own_comm); }

/* ---- stages ---- */

void plm_run_begin_stage(plm_run_context *context, const char *name, double seconds) {
  context->stage = name;
  context->comm->section(context->comm, name, seconds > context->comm->timeout ? seconds : 0);
}

static plm_status tell_request(plm_run_context *context) {
  uint32_t any = plm_stop_signals() & PLM_STOP_EARLY;
  PLM_TRY(plm_agree_any(context->comm, "stop", &any));
  plm_run_set_reason(context, "%s before the first step", plm_stop_reason(any));
  return PLM_STOPPED;
}

plm_status plm_run_end_stage(plm_run_context *context, plm_status mine) {
  const plm_status status = plm_agree(context->comm, context->stage, mine);
  return status == PLM_STOPPED ? tell_request(context) : status;
}

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

plm_status plm_run_check_interrupted(void) { return plm_run_interrupted() ? PLM_STOPPED : PLM_OK; }

void plm_run_begin_deadline(plm_run_context *context, double started, double time_limit, int64_t checkpoint_bytes) {
  if (context->comm->rank == 0)
    plm_deadline_init(&context->deadline, started, time_limit, checkpoint_bytes);
  else
    plm_deadline_init_never(&context->deadline);
}

void plm_run_set_stop(plm_run_context *context, uint32_t flags) { context->stop = flags; }

plm_status plm_run_add_requests(plm_run_context *context) {
  uint32_t any = plm_stop_signals() | plm_deadline_flags(&context->deadline);
  PLM_TRY(plm_agree_any(context->comm, "stop", &any));
  context->stop |= any;
  return PLM_OK;
}

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
