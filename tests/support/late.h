/* late.h - a device that does what was queued as late as the contract of kernels/device.h lets it, and makes what must
 * not be looked at unreadable or NaN.
 *
 * What is queued to the device or on it happens when the next operator or download begins, at `copy`, `synchronize`, or
 * at a wait for an event that was recorded after it; what is queued to the host arrives at `synchronize` or at such a
 * wait, and is NaN until then. Operators happen at once. Device memory can be touched by operators only. New memory and
 * memory handed back hold NaN, and nothing handed back is used again.
 */
#ifndef TESTS_SUPPORT_LATE_H
#define TESTS_SUPPORT_LATE_H

#include "kernels/backend.h"

PLM_CHECKED plm_status plm_device_late_create(plm_device **ret_device);

/* What it was asked for so far; plm_device counts the waits. */
typedef struct late_counts {
  int64_t uploads, downloads;         /* by enqueue_copy */
  int64_t allocations;                /* alloc and alloc_host */
  int64_t blocking_copies, operators; /* `copy` of any kind; not dry */
} late_counts;
late_counts plm_device_late_counts(const plm_device *device);

/* The reference's operators, each running what is queued and unlocking the late device's memory. */
const plm_ops *plm_ops_late(void);

/* Backend "late": that device, that table. plm_exec_late_open registers it when it is not yet, and opens an exec. */
extern const plm_backend plm_backend_late;
PLM_CHECKED plm_status plm_exec_late_open(int threads, plm_exec **ret_exec);

#endif
