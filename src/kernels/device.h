/* device.h - where tensors live. Only src/kernels and src/dist know more of a device than this table. */
#ifndef PLM_KERNELS_DEVICE_H
#define PLM_KERNELS_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protlm/status.h"

typedef enum plm_copy_kind { PLM_COPY_TO_DEVICE, PLM_COPY_TO_HOST, PLM_COPY_ON_DEVICE } plm_copy_kind;

typedef struct plm_device plm_device;
typedef struct plm_event plm_event; /* a point in a device's queue; private to the device */

/* A device is a table of functions, none of them NULL, and its private state. Pointers from `alloc` are device
 * pointers: never read or written outside src/kernels, only copied. Memory is 256-byte aligned and not initialised.
 *
 * One compute stream belongs to the device, whatever execs run on it: operators, copies and events take effect in the
 * order of the calls. A stack of activations, whose slots are used again at once, is safe for that reason alone. What
 * the host sees of it is another matter: only `copy`, `synchronize` and `event_wait` wait for the stream. `free` and
 * `free_host` take memory back when nothing queued uses it any more: they wait themselves where they must. */
struct plm_device {
  const char *name; /* "cpu" */
  bool is_host;     /* device pointers are host memory that anybody may read */
  plm_status (*alloc)(plm_device *device, size_t bytes, void **ret_pointer);
  void (*free)(plm_device *device, void *pointer); /* accepts NULL */

  /* Host memory for enqueue_copy: page-locked where there is such a thing. 256-byte aligned, not initialised. */
  plm_status (*alloc_host)(plm_device *device, size_t bytes, void **ret_pointer);
  void (*free_host)(plm_device *device, void *pointer); /* accepts NULL */

  /* Queue a copy behind all earlier work and return. Its host side lies in memory from alloc_host. Until an event
   * recorded after this call has happened, what is sent is not written and what is fetched is not read: a refilled
   * buffer would send the new bytes, one read too early holds the old ones. */
  plm_status (*enqueue_copy)(plm_device *device, void *to, const void *from, size_t bytes, plm_copy_kind kind);
  /* The same from or to any host memory, and it has finished when this returns. */
  plm_status (*copy)(plm_device *device, void *to, const void *from, size_t bytes, plm_copy_kind kind);

  plm_status (*event_create)(plm_device *device, plm_event **ret_event);
  void (*event_destroy)(plm_device *device, plm_event *event);      /* accepts NULL */
  plm_status (*event_record)(plm_device *device, plm_event *event); /* happens after all that was queued before */
  plm_status (*event_wait)(plm_device *device, plm_event *event);   /* the host waits; not at all if never recorded */
  /* From `begin` to `end`, both recorded and waited for. */
  plm_status (*event_seconds)(plm_device *device, plm_event *begin, plm_event *end, double *ret_seconds);
  plm_status (*synchronize)(plm_device *device); /* wait for everything; returns asynchronous failures */

  plm_status (*memory_info)(plm_device *device, size_t *ret_total, size_t *ret_free);
  void (*destroy)(plm_device *device);
  size_t bytes_in_use, bytes_peak; /* kept by alloc/free */
  size_t host_bytes_in_use;        /* kept by alloc_host/free_host */
  int64_t waits;  /* times the host waited: synchronize, copy to the host, event_wait for what had yet to happen */
  int64_t queued; /* copies so far, and launches where operators are queued */
};

/* The host's memory. `total` respects the cgroup limit. */
PLM_CHECKED plm_status plm_device_cpu_create(plm_device **ret_device);
extern const plm_device plm_device_cpu; /* its table: where a device begins that differs from it in a few entries */

void plm_device_destroy(plm_device *device); /* accepts NULL */

/* How much memory this process may use, in total and still to be had: the machine's, or less where a cgroup (container,
 * Slurm job) limits it. Files are read below `root`: "" for the running system, a made-up tree in tests. */
PLM_CHECKED plm_status plm_host_memory(const char *root, size_t *ret_total, size_t *ret_free);

#endif
