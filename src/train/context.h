/* context.h - what surrounds a run: who watches it, the other ranks, what asks it to stop, and the words for a person.
 */
#ifndef PLM_TRAIN_CONTEXT_H
#define PLM_TRAIN_CONTEXT_H

#include "dist/agree.h"
#include "protlm/train.h"
#include "train/stop.h"

typedef struct plm_run_context {
  const plm_train_observer *observer; /* may be NULL */
  plm_comm *comm;                     /* never NULL */
  plm_comm *own_comm;                 /* the same, where the observer brought none */
  plm_deadline deadline;
  uint32_t stop;    /* flags all ranks agreed on */
  char reason[160]; /* why the run ended, or this start of it; "" before */
} plm_run_context;

/* The communicator: the observer's, or that of a process alone. `context` is all zero before; close it whatever this returns. */
PLM_CHECKED plm_status plm_run_context_open(plm_run_context *context, const plm_train_observer *observer);
void plm_run_context_close(plm_run_context *context);

/* "reading train.fasta": to the observer and the log. */
void plm_run_phase(const plm_run_context *context, const char *format, ...) PLM_PRINTF(2, 3);

void plm_run_set_reason(plm_run_context *context, const char *format, ...) PLM_PRINTF(2, 3);

/* A request to stop has come: the caller returns PLM_STOPPED. For the stages before the first step. */
bool plm_run_interrupted(void);

/* Between those stages, when nothing has been written: a request to stop is granted at once (PLM_STOPPED). */
PLM_CHECKED plm_status plm_run_check_interrupted(plm_run_context *context);

void plm_run_set_stop(plm_run_context *context, uint32_t flags);

/* All ranks learn of signals that came after the step's own agreement: at once, where asking costs nothing or something
 * long has passed. Collective. */
PLM_CHECKED plm_status plm_run_agree_on_stop(plm_run_context *context, bool after_long);

/* PLM_STOPPED, for the reason that the flags say. */
plm_status plm_run_stop_here(plm_run_context *context);

#endif
