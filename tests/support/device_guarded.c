/* device_guarded.c - host memory that can be touched only while the device is open.
 *
 * Each allocation is pages of its own, PROT_NONE unless the device is open, followed by one page that is never
 * accessible, so a kernel that runs past its tensor's last page dies too. The regions are kept in a list outside the
 * pages. */
#define _GNU_SOURCE
#include "support/guarded.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"

typedef struct region {
  struct region *next;
  void *pages;
  size_t bytes;      /* as asked for */
  size_t accessible; /* whole pages */
} region;

typedef struct guarded_device {
  plm_device device; /* first, so that a pointer to it is a pointer to the whole */
  region *regions;
  int open_depth;
} guarded_device;

static void guarded_destroy(plm_device *device);

static guarded_device *guarded(plm_device *device) {
  return device->destroy == guarded_destroy ? (guarded_device *)(void *)device : NULL;
}

static size_t page_bytes(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static plm_status protect(const region *r, int protection) {
  if (mprotect(r->pages, r->accessible, protection) == 0) return PLM_OK;
  return plm_fail(PLM_E_RESOURCE, "cannot change the protection of test memory: %s", strerror(errno));
}

static plm_status protect_all(guarded_device *g, int protection) {
  for (region *r = g->regions; r != NULL; r = r->next) PLM_TRY(protect(r, protection));
  return PLM_OK;
}

plm_status plm_device_guarded_open(plm_device *device) {
  guarded_device *g = guarded(device);
  if (g == NULL || g->open_depth++ > 0) return PLM_OK;
  return protect_all(g, PROT_READ | PROT_WRITE);
}

plm_status plm_device_guarded_close(plm_device *device) {
  guarded_device *g = guarded(device);
  if (g == NULL || --g->open_depth > 0) return PLM_OK;
  return protect_all(g, PROT_NONE);
}

static plm_status guarded_alloc(plm_device *device, size_t bytes, void **ret_pointer) {
  guarded_device *g = guarded(device);
  size_t page = page_bytes();
  if (bytes > SIZE_MAX - 2 * page)
    return plm_fail(PLM_E_RESOURCE, "out of memory: %zu bytes is more than can be addressed", bytes);
  region *r;
  PLM_TRY(PLM_NEW(&r, 1));
  r->bytes = bytes;
  r->accessible = bytes == 0 ? page : (bytes + page - 1) / page * page;
  r->pages = mmap(NULL, r->accessible + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (r->pages == MAP_FAILED) {
    plm_free(r);
    return plm_fail(PLM_E_RESOURCE, "out of memory: %zu bytes could not be mapped", bytes);
  }
  r->next = g->regions;
  g->regions = r;
  device->bytes_in_use += bytes;
  if (device->bytes_in_use > device->bytes_peak) device->bytes_peak = device->bytes_in_use;
  *ret_pointer = r->pages;
  return PLM_OK;
}

static void guarded_free(plm_device *device, void *pointer) {
  guarded_device *g = guarded(device);
  for (region **link = &g->regions; *link != NULL; link = &(*link)->next) {
    region *r = *link;
    if (r->pages != pointer) continue;
    *link = r->next;
    device->bytes_in_use -= r->bytes;
    munmap(r->pages, r->accessible + page_bytes());
    plm_free(r);
    return;
  }
}

static plm_status guarded_enqueue_copy(plm_device *device, void *to, const void *from, size_t bytes,
                                       plm_copy_kind kind) {
  PLM_TRY(plm_device_guarded_open(device));
  PLM_TRY(plm_device_cpu.enqueue_copy(device, to, from, bytes, kind));
  return plm_device_guarded_close(device);
}

static void guarded_destroy(plm_device *device) {
  guarded_device *g = guarded(device);
  while (g->regions != NULL) guarded_free(device, g->regions->pages);
  plm_free(g);
}

plm_status plm_device_guarded_create(plm_device **ret_device) {
  guarded_device *g;
  PLM_TRY(PLM_NEW(&g, 1));
  g->device = plm_device_cpu; /* whose `copy` goes by way of enqueue_copy */
  g->device.is_host = false;
  g->device.alloc = guarded_alloc;
  g->device.free = guarded_free;
  g->device.enqueue_copy = guarded_enqueue_copy;
  g->device.destroy = guarded_destroy;
  *ret_device = &g->device;
  return PLM_OK;
}
