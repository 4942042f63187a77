/* device_cpu.c - the host's memory as a device.
 *
 * A block from plm_alloc is 64-byte aligned; we promise 256, so a block holds some slack and, right before the address
 * handed out, a header that remembers where it began:
 *
 *   base           | slack | header | memory (256-byte aligned) ... bytes
 */
#include <string.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "kernels/device.h"
#include "base/cgroup.h"

enum { ALIGNMENT = 256 };

typedef struct block_header {
  void *base;
  size_t bytes;
} block_header;

static block_header *header_of(void *pointer) { return (block_header *)pointer - 1; }

static plm_status take_block(size_t bytes, size_t *in_use, void **ret_pointer) {
  enum { ROOM = ALIGNMENT + sizeof(block_header) };
  char *base;
  if (bytes > SIZE_MAX - ROOM)
    return plm_fail(PLM_E_RESOURCE, "out of memory: %zu bytes is more than can be addressed", bytes);
  PLM_TRY(PLM_NEW(&base, bytes + ROOM));
  uintptr_t first = (uintptr_t)base + sizeof(block_header);
  uintptr_t aligned = plm_round_up(first, ALIGNMENT);
  char *pointer = base + (aligned - (uintptr_t)base);
  *header_of(pointer) = (block_header){.base = base, .bytes = bytes};
  *in_use += bytes;
  *ret_pointer = pointer;
  return PLM_OK;
}

static void give_block_back(void *pointer, size_t *in_use) {
  if (pointer == NULL) return;
  block_header *header = header_of(pointer);
  *in_use -= header->bytes;
  plm_free(header->base);
}

static plm_status cpu_alloc(plm_device *device, size_t bytes, void **ret_pointer) {
  PLM_TRY(take_block(bytes, &device->bytes_in_use, ret_pointer));
  if (device->bytes_in_use > device->bytes_peak) device->bytes_peak = device->bytes_in_use;
  return PLM_OK;
}

static void cpu_free(plm_device *device, void *pointer) { give_block_back(pointer, &device->bytes_in_use); }

static plm_status cpu_alloc_host(plm_device *device, size_t bytes, void **ret_pointer) {
  return take_block(bytes, &device->host_bytes_in_use, ret_pointer);
}

static void cpu_free_host(plm_device *device, void *pointer) { give_block_back(pointer, &device->host_bytes_in_use); }

/* ---- the queue is always empty: everything is done when it is asked for ---- */

static plm_status cpu_enqueue_copy(plm_device *device, void *to, const void *from, size_t bytes, plm_copy_kind kind) {
  (void)kind;
  device->queued++;
  if (bytes > 0) memmove(to, from, bytes);
  return PLM_OK;
}

static plm_status cpu_copy(plm_device *device, void *to, const void *from, size_t bytes, plm_copy_kind kind) {
  if (kind == PLM_COPY_TO_HOST) device->waits++;
  return device->enqueue_copy(device, to, from, bytes, kind);
}

struct plm_event {
  double at; /* clock; 0 = never */
};

static plm_status cpu_event_create(plm_device *device, plm_event **ret_event) {
  (void)device;
  return PLM_NEW(ret_event, 1);
}

static void cpu_event_destroy(plm_device *device, plm_event *event) {
  (void)device;
  plm_free(event);
}

static plm_status cpu_event_record(plm_device *device, plm_event *event) {
  (void)device;
  event->at = plm_clock_monotonic();
  return PLM_OK;
}

static plm_status cpu_event_wait(plm_device *device, plm_event *event) {
  (void)device, (void)event;
  return PLM_OK;
}

static plm_status cpu_event_seconds(plm_device *device, plm_event *begin, plm_event *end, double *ret_seconds) {
  (void)device;
  PLM_ASSERT(begin->at > 0 && end->at > 0);
  *ret_seconds = end->at - begin->at;
  return PLM_OK;
}

static plm_status cpu_synchronize(plm_device *device) {
  device->waits++;
  return PLM_OK;
}

static plm_status cpu_memory_info(plm_device *device, size_t *ret_total, size_t *ret_free) {
  (void)device;
  return plm_host_memory("", ret_total, ret_free);
}

static void cpu_destroy(plm_device *device) { plm_free(device); }

const plm_device plm_device_cpu = {
    .name = "cpu",
    .is_host = true,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .alloc_host = cpu_alloc_host,
    .free_host = cpu_free_host,
    .enqueue_copy = cpu_enqueue_copy,
    .copy = cpu_copy,
    .event_create = cpu_event_create,
    .event_destroy = cpu_event_destroy,
    .event_record = cpu_event_record,
    .event_wait = cpu_event_wait,
    .event_seconds = cpu_event_seconds,
    .synchronize = cpu_synchronize,
    .memory_info = cpu_memory_info,
    .destroy = cpu_destroy,
};

plm_status plm_device_cpu_create(plm_device **ret_device) {
  PLM_TRY(PLM_NEW(ret_device, 1));
  **ret_device = plm_device_cpu;
  return PLM_OK;
}

/* ---- how much memory there is ---- */

/* The kB on the line of `path` that begins with `key`, as bytes. */
static bool read_kilobytes(const char *path, const char *key, int64_t *ret_bytes) {
  char line[256];
  long long kilobytes;
  bool is_found = false;
  FILE *file = fopen(path, "re");
  if (file == NULL) return false;
  while (!is_found && fgets(line, sizeof line, file) != NULL)
    is_found = strncmp(line, key, strlen(key)) == 0 && sscanf(line + strlen(key), "%lld", &kilobytes) == 1;
  fclose(file);
  if (is_found) *ret_bytes = kilobytes * 1024;
  return is_found;
}

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

plm_status plm_host_memory(const char *root, size_t *ret_total, size_t *ret_free) {
  char path[4096];
  int64_t total, available;
  snprintf(path, sizeof path, "%s/proc/meminfo", root);
  if (!read_kilobytes(path, "MemTotal:", &total) || !read_kilobytes(path, "MemAvailable:", &available))
    return plm_fail(PLM_E_FAILURE, "cannot read how much memory there is from %s", path);
  const plm_cgroup_limits limits = plm_cgroup_read(root);
  total = smaller(total, limits.memory);
  *ret_total = (size_t)total;
  *ret_free = (size_t)smaller(total, smaller(available, limits.memory_left));
  return PLM_OK;
}
