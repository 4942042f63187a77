/* stopped.h - the file `stopped` in a run's directory: why the last start ended before its goal, for the next start and
 * for batch scripts. Exit codes do not tell: launchers change them (mpiexec of MPICH returns 0 after it has passed a
 * signal on).
 *
 * One JSON object, one member a line, by temporary and rename; a shell reads a member with
 *   sed -n 's/^ *"code": *\([^,]*\),*$/\1/p' stopped
 * Rank 0 writes it. When rank 0 does not answer, the watchdog of the lowest rank that does: it must need neither memory
 * nor a lock, as the thread of the run may hang holding either.
 */
#ifndef PLM_TRAIN_STOPPED_H
#define PLM_TRAIN_STOPPED_H

#include <stdbool.h>
#include <stdint.h>

#include "dist/agree.h"

enum { PLM_STOPPED_WORDS = 1024, PLM_STOPPED_STAGE = 48 };

typedef struct plm_stopped {
  double time; /* unix time */
  int rank;    /* which failed first; 0 where all were asked to stop */
  char host[PLM_HOST_NAME], stage[PLM_STOPPED_STAGE];
  int code; /* exit code */
  char words[PLM_STOPPED_WORDS];
  int64_t steps_at_start, steps_done;
  bool requeue; /* worth starting again: asked to stop, or a rank or node was lost */
} plm_stopped;

/* What this start came to. `words` may begin with the rank that failed, as plm_agree puts it. */
void plm_stopped_fill(plm_stopped *note, const plm_comm *comm, plm_status status, const char *words, const char *stage,
                      int64_t steps_at_start, int64_t steps_done);

PLM_CHECKED plm_status plm_stopped_write(const char *directory, const plm_stopped *note);

/* "the last start stopped: SIGTERM, on rank 1 (n2), in step, 12m00s ago, after 40 steps" in the log; then, with
 * `removes`, the file goes. None, or one that is damaged, is no failure. */
PLM_CHECKED plm_status plm_stopped_tell(const char *directory, bool removes);

/* ---- for the watchdog: everything it needs is laid ready ---- */
typedef struct plm_stopped_watch {
  const plm_comm *comm;
  char path[4096], temporary[4096];
  int64_t steps_at_start;
  _Atomic int64_t steps_done;
} plm_stopped_watch;

/* From now on comm->before_abort writes the file of this directory. Disarm before `watch` goes. */
void plm_stopped_arm(plm_stopped_watch *watch, plm_comm *comm, const char *directory, int64_t step);
void plm_stopped_count(plm_stopped_watch *watch, int64_t step);
void plm_stopped_disarm(plm_comm *comm);

#endif
