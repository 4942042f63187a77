/* guarded.h - a device whose memory only operators may touch, and the operators that may.
 *
 * Code above src/kernels that dereferences a device pointer dies at once.
 */
#ifndef TESTS_SUPPORT_GUARDED_H
#define TESTS_SUPPORT_GUARDED_H

#include "kernels/ops.h"

/* Like the CPU device, but its memory is inaccessible (PROT_NONE) except while an operator of plm_ops_guarded runs or
 * `copy` is at work. */
PLM_CHECKED plm_status plm_device_guarded_create(plm_device **ret_device);

/* `inner`, each call unlocking the guarded device's memory around itself. One at a time. */
const plm_ops *plm_ops_guarded(const plm_ops *inner);

/* The key, for ops_guarded.c. Openings nest. */
PLM_CHECKED plm_status plm_device_guarded_open(plm_device *device);
PLM_CHECKED plm_status plm_device_guarded_close(plm_device *device);

#endif
