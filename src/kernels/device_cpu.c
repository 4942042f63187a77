/* device_cpu.c - the host's memory as a device.
 *
 * A block from plm_alloc is 64-byte aligned; we promise 256, so a block holds some slack and, right before the address
 * handed out, a header that remembers where it began:
 *
 *   base           | slack | header | memory (256-byte aligned) ... bytes
 */
#include <string.h>

#include "base/alloc.h"
#include "kernels/device.h"
#include "kernels/host_memory.h"

enum { ALIGNMENT = 256 };

typedef struct block_header {
  void *base;
  size_t bytes;
} block_header;

static block_header *header_of(void *pointer) { return (block_header *)pointer - 1; }

static plm_status cpu_alloc(plm_device *device, size_t bytes, void **ret_pointer) {
  enum { ROOM = ALIGNMENT + sizeof(block_header) };
  char *base;
  if (bytes > SIZE_MAX - ROOM)
    return plm_fail(PLM_E_RESOURCE, "out of memory: %zu bytes is more than can be addressed", bytes);
  PLM_TRY(PLM_NEW(&base, bytes + ROOM));
  uintptr_t first = (uintptr_t)base + sizeof(block_header);
  uintptr_t aligned = (first + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  char *pointer = base + (aligned - (uintptr_t)base);
  *header_of(pointer) = (block_header){.base = base, .bytes = bytes};
  device->bytes_in_use += bytes;
  if (device->bytes_in_use > device->bytes_peak) device->bytes_peak = device->bytes_in_use;
  *ret_pointer = pointer;
  return PLM_OK;
}

static void cpu_free(plm_device *device, void *pointer) {
  if (pointer == NULL) return;
  block_header *header = header_of(pointer);
  device->bytes_in_use -= header->bytes;
  plm_free(header->base);
}

static plm_status cpu_copy(plm_device *device, void *to, const void *from, size_t bytes, plm_copy_kind kind) {
  (void)device, (void)kind;
  if (bytes > 0) memmove(to, from, bytes);
  return PLM_OK;
}

static plm_status cpu_synchronize(plm_device *device) {
  (void)device;
  return PLM_OK;
}

static plm_status cpu_memory_info(plm_device *device, size_t *ret_total, size_t *ret_free) {
  (void)device;
  return plm_host_memory("", ret_total, ret_free);
}

static void cpu_destroy(plm_device *device) { plm_free(device); }

plm_status plm_device_cpu_create(plm_device **ret_device) {
  plm_device *device;
  PLM_TRY(PLM_NEW(&device, 1));
  *device = (plm_device){
      .name = "cpu",
      .alloc = cpu_alloc,
      .free = cpu_free,
      .copy = cpu_copy,
      .synchronize = cpu_synchronize,
      .memory_info = cpu_memory_info,
      .destroy = cpu_destroy,
  };
  *ret_device = device;
  return PLM_OK;
}
