/* device.h - where tensors live. Only src/kernels and src/dist know more of a device than this table. */
#ifndef PLM_KERNELS_DEVICE_H
#define PLM_KERNELS_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include "protlm/status.h"

typedef enum plm_copy_kind { PLM_COPY_TO_DEVICE, PLM_COPY_TO_HOST, PLM_COPY_ON_DEVICE } plm_copy_kind;

typedef struct plm_device plm_device;

/* A device is a table of functions and its private state. Pointers from `alloc` are device pointers: never read or
 * written outside src/kernels, only copied. Memory is 256-byte aligned and not initialised. `copy` is ordered after
 * earlier work on the same exec and has finished when it returns (host side). */
struct plm_device {
  const char *name; /* "cpu" */
  plm_status (*alloc)(plm_device *device, size_t bytes, void **ret_pointer);
  void (*free)(plm_device *device, void *pointer);
  plm_status (*copy)(plm_device *device, void *to, const void *from, size_t bytes, plm_copy_kind kind);
  plm_status (*synchronize)(plm_device *device); /* wait for everything; returns asynchronous failures */
  plm_status (*memory_info)(plm_device *device, size_t *ret_total, size_t *ret_free);
  void (*destroy)(plm_device *device);
  size_t bytes_in_use, bytes_peak; /* kept by alloc/free */
};

/* The host's memory. `total` respects the cgroup limit. */
PLM_CHECKED plm_status plm_device_cpu_create(plm_device **ret_device);

void plm_device_destroy(plm_device *device); /* accepts NULL */

#endif
