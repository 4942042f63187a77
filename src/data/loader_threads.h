/* loader_threads.h - a ring of slots, filled by threads in any order and taken in the order of steps. */
#ifndef PLM_DATA_LOADER_THREADS_H
#define PLM_DATA_LOADER_THREADS_H

#include "data/loader_slot.h"

typedef struct plm_loader_threads plm_loader_threads;

/* All pointers are borrowed until destroy; from now on the sampler is the threads'. `ahead` >= 1 steps are prepared
 * besides the one taken last. Signals are blocked in the threads. */
PLM_CHECKED plm_status plm_loader_threads_create(const plm_view *view, const plm_loader_options *options,
                                                 plm_sampler *sampler, plm_loader_threads **ret_threads);
void plm_loader_threads_destroy(plm_loader_threads *threads); /* lets work in hand finish; accepts NULL */

/* The slot of `step`; it is the caller's until the next call. The first call says where to start, the others continue.
 * A failure of the thread that prepared it is returned here, with its words. */
PLM_CHECKED plm_status plm_loader_threads_take(plm_loader_threads *threads, int64_t step,
                                               const plm_loader_slot **ret_slot);

#endif
