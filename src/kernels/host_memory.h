/* host_memory.h - how much memory this process may use: the machine's, or less where a cgroup (container, Slurm job)
 * limits it. */
#ifndef PLM_KERNELS_HOST_MEMORY_H
#define PLM_KERNELS_HOST_MEMORY_H

#include <stddef.h>

#include "protlm/status.h"

/* Bytes in total and still to be had. Files are read below `root`: "" for the running system, a made-up tree in tests.
 * */
PLM_CHECKED plm_status plm_host_memory(const char *root, size_t *ret_total, size_t *ret_free);

#endif
