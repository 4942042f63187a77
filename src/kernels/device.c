/* device.c - what all devices share. */
#include "kernels/device.h"

void plm_device_destroy(plm_device *device) {
  if (device != NULL) device->destroy(device);
}
