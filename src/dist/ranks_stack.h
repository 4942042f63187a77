/* ranks_stack.h - what a thread that hangs is doing: its stack, taken by a signal and put into words by another thread.
 * One request at a time in a process. */
#ifndef PLM_DIST_RANKS_STACK_H
#define PLM_DIST_RANKS_STACK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "protlm/status.h"

/* The handler of a real-time signal, SIGRTMIN+9; counted, as each communicator of a process does it. */
PLM_CHECKED plm_status plm_ranks_stack_install(void);
void plm_ranks_stack_remove(void);

void plm_ranks_stack_request(pthread_t thread); /* forgets the last one */
bool plm_ranks_stack_is_ready(void);
/* "    place, function+0x1f" by lines, innermost first; "" where there is none. */
void plm_ranks_stack_words(char *ret_words, size_t room);

#endif
