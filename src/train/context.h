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
  const char *stage;                  /* what this rank is doing, for the others and for `stopped` */
  plm_deadline deadline;              /* rank 0's; the others have none */
  uint32_t stop;                      /* flags all ranks agreed on */
  char reason[160];                   /* why the run ended, or this start of it; "" before */
} plm_run_context;

/* The communicator: the observer's, or that of a process alone. `context` is all zero before; close it whatever this returns. */
PLM_CHECKED plm_status plm_run_context_open(plm_run_context *context, const plm_train_observer *observer);
void plm_run_context_close(plm_run_context *context);

/* ---- stages: every one that can fail on a rank ends in an agreement, so that no rank fails alone ---- */

#define PLM_LONG_STAGE 3600.0 /* seconds, of what waits for a slow file system; else --timeout (0) */

/* What follows is called this, to the other ranks and to whoever looks for one that hangs. */
void plm_run_begin_stage(plm_run_context *context, const char *name, double seconds);

/* Collective: plm_agree. Of a request to stop all ranks then know the reason. */
PLM_CHECKED plm_status plm_run_end_stage(plm_run_context *context, plm_status mine);

/* "reading train.fasta": to the observer and the log. */
void plm_run_phase(const plm_run_context *context, const char *format, ...) PLM_PRINTF(2, 3);

void plm_run_set_reason(plm_run_context *context, const char *format, ...) PLM_PRINTF(2, 3);

/* A request to stop has come: the caller returns PLM_STOPPED. For the stages before the first step. */
bool plm_run_interrupted(void);

/* In those stages, when nothing has been written: a request to stop is granted at once (PLM_STOPPED). */
PLM_CHECKED plm_status plm_run_check_interrupted(void);

/* Rank 0's clock decides for all; the others have no deadline. Arguments: plm_deadline_init. */
void plm_run_begin_deadline(plm_run_context *context, double started, double time_limit, int64_t checkpoint_bytes);

void plm_run_set_stop(plm_run_context *context, uint32_t flags);

/* The signals and the clock of any rank, as all have agreed to stop. Collective. */
PLM_CHECKED plm_status plm_run_add_requests(plm_run_context *context);

/* All ranks learn of signals that came after the step's own agreement: at once, where asking costs nothing or something
 * long has passed. Collective. */
PLM_CHECKED plm_status plm_run_agree_on_stop(plm_run_context *context, bool after_long);

/* PLM_STOPPED, for the reason that the flags say. */
plm_status plm_run_stop_here(plm_run_context *context);

#endif
