/* child_watch.h - a process of ours that is waited for, and is ended when the wait is to be interrupted.
 *
 * Who waits for what the process says through a pipe waits in read(2), through every signal. A thread looks meanwhile.
 */
#ifndef PLM_DATA_CHILD_WATCH_H
#define PLM_DATA_CHILD_WATCH_H

#include <stdbool.h>
#include <sys/types.h>

#include "protlm/status.h"

typedef struct plm_child_watch plm_child_watch;

/* `interrupted` is asked ten times a second, by the thread: when it says yes the child is killed. NULL: nobody looks,
 * and *ret_watch is NULL. */
PLM_CHECKED plm_status plm_child_watch_begin(pid_t child, bool (*interrupted)(void), plm_child_watch **ret_watch);

/* Before the child is waited for, as its number may be another process's after that. True: it was killed. Accepts
 * NULL. */
bool plm_child_watch_end(plm_child_watch *watch);

#endif
