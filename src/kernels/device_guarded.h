/* device_guarded.h - the key to the guarded device's memory, for ops_guarded.c. */
#ifndef PLM_KERNELS_DEVICE_GUARDED_H
#define PLM_KERNELS_DEVICE_GUARDED_H

#include "kernels/device.h"

/* Make all memory of the device accessible, to every thread, until it was closed as often as opened. Other devices are
 * left alone. */
PLM_CHECKED plm_status plm_device_guarded_open(plm_device *device);
PLM_CHECKED plm_status plm_device_guarded_close(plm_device *device);

#endif
