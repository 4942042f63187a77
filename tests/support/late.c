/* late.c - see late.h. Contents: memory, the queue, copies, events, the device, operators, the backend.
 *
 * Device memory is a guarded device's. A copy in the queue has a number, an event the number of the
 * last copy before it.
 */
#include "support/late.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "kernels/ops.h"
#include "support/guarded.h"

enum { POISON = 0xff }; /* NaN in every float type; -1 as a token or a row */

typedef struct block {
  struct block *next;
  char *pointer;
  size_t bytes;
  bool is_host, is_freed;
} block;

typedef struct queued_copy {
  struct queued_copy *next;
  char *to;
  const char *from; /* of a copy to the host: `content` */
  size_t bytes;
  plm_copy_kind kind;
  int64_t number;
  char *content; /* what the device held when the copy's turn came */
} queued_copy;

typedef struct late_device {
  plm_device device;  /* first, so that a pointer to it is a pointer to the whole */
  plm_device *memory; /* guarded */
  block *blocks;
  queued_copy *queue; /* by number */
  late_counts counts;
} late_device;

static late_device *late(plm_device *device) { return (late_device *)(void *)device; }

late_counts plm_device_late_counts(const plm_device *device) {
  return ((const late_device *)(const void *)device)->counts;
}

/* ---- memory ---- */

static plm_status poison(late_device *l, const block *b) {
  PLM_TRY(plm_device_guarded_open(l->memory));
  memset(b->pointer, POISON, b->bytes);
  return plm_device_guarded_close(l->memory);
}

static plm_status take(late_device *l, size_t bytes, bool is_host, void **ret_pointer) {
  block *b;
  void *pointer;
  plm_status status;
  PLM_TRY(PLM_NEW(&b, 1));
  PLM_TRY_GOTO((is_host ? l->memory->alloc_host : l->memory->alloc)(l->memory, bytes, &pointer), fail);
  *b = (block){.next = l->blocks, .pointer = pointer, .bytes = bytes, .is_host = is_host};
  l->blocks = b;
  l->counts.allocations++;
  *(is_host ? &l->device.host_bytes_in_use : &l->device.bytes_in_use) += bytes;
  if (l->device.bytes_in_use > l->device.bytes_peak) l->device.bytes_peak = l->device.bytes_in_use;
  *ret_pointer = pointer;
  return poison(l, b);
fail:
  plm_free(b);
  return status;
}

static plm_status late_alloc(plm_device *device, size_t bytes, void **ret_pointer) {
  return take(late(device), bytes, false, ret_pointer);
}

static plm_status late_alloc_host(plm_device *device, size_t bytes, void **ret_pointer) {
  return take(late(device), bytes, true, ret_pointer);
}

/* The block stays until the device goes, so that whoever still reads it finds NaN. */
static void late_free(plm_device *device, void *pointer) {
  late_device *l = late(device);
  for (block *b = l->blocks; b != NULL; b = b->next) {
    if (b->pointer != pointer || b->is_freed) continue;
    b->is_freed = true;
    *(b->is_host ? &device->host_bytes_in_use : &device->bytes_in_use) -= b->bytes;
    if (poison(l, b) != PLM_OK) plm_error_clear();
    return;
  }
}

static bool is_host_memory(const late_device *l, const char *pointer, size_t bytes) {
  for (const block *b = l->blocks; b != NULL; b = b->next)
    if (b->is_host && !b->is_freed && pointer >= b->pointer && pointer + bytes <= b->pointer + b->bytes) return true;
  return false;
}

/* ---- the queue ---- */

/* Do, in order, those copies up to `number` that are not to the host, and with `to_host` those too. Tells in *opt_count
 * how many. */
static plm_status run_queue(late_device *l, int64_t number, bool to_host, int *opt_count) {
  queued_copy **link = &l->queue;
  while (*link != NULL && (*link)->number <= number) {
    queued_copy *c = *link;
    if (c->kind == PLM_COPY_TO_HOST && !to_host) {
      link = &c->next;
      continue;
    }
    PLM_TRY(plm_device_guarded_open(l->memory));
    if (c->bytes > 0) memmove(c->to, c->from, c->bytes);
    PLM_TRY(plm_device_guarded_close(l->memory));
    if (opt_count != NULL) ++*opt_count;
    *link = c->next;
    plm_free(c->content);
    plm_free(c);
  }
  return PLM_OK;
}

/* What operators and copies to the host find done. */
static plm_status run_uploads(late_device *l) { return run_queue(l, l->device.queued, false, NULL); }

/* ---- copies ---- */

/* The device's bytes as they are at this point of the queue; the host finds NaN until they arrive. */
static plm_status begin_download(late_device *l, queued_copy *c) {
  PLM_TRY(run_uploads(l));
  PLM_TRY(PLM_NEW(&c->content, c->bytes + 1));
  PLM_TRY(l->memory->copy(l->memory, c->content, c->from, c->bytes, PLM_COPY_TO_HOST));
  c->from = c->content;
  if (c->bytes > 0) memset(c->to, POISON, c->bytes);
  return PLM_OK;
}

static plm_status late_enqueue_copy(plm_device *device, void *to, const void *from, size_t bytes, plm_copy_kind kind) {
  late_device *l = late(device);
  const char *host = kind == PLM_COPY_TO_DEVICE ? from : to;
  queued_copy *c, **link = &l->queue;
  plm_status status;
  if (kind != PLM_COPY_ON_DEVICE && !is_host_memory(l, host, bytes))
    return plm_fail(PLM_E_BUG, "a copy was queued whose host side is not from alloc_host");
  PLM_TRY(PLM_NEW(&c, 1));
  *c = (queued_copy){.to = to, .from = from, .bytes = bytes, .kind = kind, .number = device->queued + 1};
  if (kind == PLM_COPY_TO_HOST) PLM_TRY_GOTO(begin_download(l, c), fail);
  device->queued++;
  l->counts.uploads += kind == PLM_COPY_TO_DEVICE;
  l->counts.downloads += kind == PLM_COPY_TO_HOST;
  while (*link != NULL) link = &(*link)->next;
  *link = c;
  return PLM_OK;
fail:
  plm_free(c->content);
  plm_free(c);
  return status;
}

static plm_status late_copy(plm_device *device, void *to, const void *from, size_t bytes, plm_copy_kind kind) {
  late_device *l = late(device);
  PLM_TRY(run_uploads(l));
  device->queued++;
  l->counts.blocking_copies++;
  if (kind == PLM_COPY_TO_HOST) device->waits++;
  return l->memory->copy(l->memory, to, from, bytes, kind);
}

static plm_status late_synchronize(plm_device *device) {
  device->waits++;
  return run_queue(late(device), device->queued, true, NULL);
}

/* ---- events ---- */

struct plm_event {
  int64_t after; /* the number of the last copy before it; 0 also when it was never recorded */
  double at;
};

static plm_status late_event_create(plm_device *device, plm_event **ret_event) {
  (void)device;
  return PLM_NEW(ret_event, 1);
}

static void late_event_destroy(plm_device *device, plm_event *event) {
  (void)device;
  plm_free(event);
}

static plm_status late_event_record(plm_device *device, plm_event *event) {
  *event = (plm_event){.after = device->queued, .at = plm_clock_monotonic()};
  return PLM_OK;
}

static plm_status late_event_wait(plm_device *device, plm_event *event) {
  int done = 0;
  plm_status status = run_queue(late(device), event->after, true, &done);
  device->waits += done > 0;
  return status;
}

static plm_status late_event_seconds(plm_device *device, plm_event *begin, plm_event *end, double *ret_seconds) {
  (void)device;
  *ret_seconds = end->at - begin->at;
  return PLM_OK;
}

/* ---- the device ---- */

static void late_destroy(plm_device *device) {
  late_device *l = late(device);
  for (block *b; (b = l->blocks) != NULL; plm_free(b)) {
    l->blocks = b->next;
    (b->is_host ? l->memory->free_host : l->memory->free)(l->memory, b->pointer);
  }
  for (queued_copy *c; (c = l->queue) != NULL; plm_free(c)) {
    l->queue = c->next;
    plm_free(c->content);
  }
  plm_device_destroy(l->memory);
  plm_free(l);
}

plm_status plm_device_late_create(plm_device **ret_device) {
  late_device *l;
  PLM_TRY(PLM_NEW(&l, 1));
  l->device = (plm_device){
      .name = "late",
      .alloc = late_alloc,
      .free = late_free,
      .alloc_host = late_alloc_host,
      .free_host = late_free,
      .enqueue_copy = late_enqueue_copy,
      .copy = late_copy,
      .event_create = late_event_create,
      .event_destroy = late_event_destroy,
      .event_record = late_event_record,
      .event_wait = late_event_wait,
      .event_seconds = late_event_seconds,
      .synchronize = late_synchronize,
      .memory_info = plm_device_cpu.memory_info,
      .destroy = late_destroy,
  };
  plm_status status = plm_device_guarded_create(&l->memory);
  if (status != PLM_OK) plm_free(l);
  if (status == PLM_OK) *ret_device = &l->device;
  return status;
}

/* ---- operators ---- */

#define LATE_ENTRY(op)                                                 \
  static plm_status late_##op(plm_exec *x, const plm_##op##_args *a) { \
    late_device *l = late(x->device);                                  \
    if (x->dry) return plm_ops_ref()->op(x, a);                        \
    PLM_TRY(run_uploads(l));                                           \
    l->counts.operators++;                                             \
    PLM_TRY(plm_device_guarded_open(l->memory));                       \
    plm_status status = plm_ops_ref()->op(x, a);                       \
    plm_status closed = plm_device_guarded_close(l->memory);           \
    return status != PLM_OK ? status : closed;                         \
  }
PLM_OPS(LATE_ENTRY)

#define TABLE_ENTRY(op) .op = late_##op,
static const plm_ops late_table = {PLM_OPS(TABLE_ENTRY)};

const plm_ops *plm_ops_late(void) { return &late_table; }

/* ---- the backend ---- */

static plm_status probe(void) { return PLM_OK; }

static void describe(char ret_words[PLM_BACKEND_WORDS]) { snprintf(ret_words, PLM_BACKEND_WORDS, "ref"); }

static plm_status open_exec(const plm_exec_options *options, plm_exec *exec) {
  (void)options;
  PLM_TRY(plm_device_late_create(&exec->device));
  exec->owns_device = true;
  exec->ops = plm_ops_late();
  strcpy(exec->kernels, "ref");
  strcpy(exec->products, "own");
  exec->usual_micro_batch = 4096;
  exec->plan_share = 0.7;
  return PLM_OK;
}

static void close_exec(plm_exec *exec) { (void)exec; }

static const char *origin(const plm_exec *exec, const char *op) {
  (void)exec, (void)op;
  return "ref";
}

const plm_backend plm_backend_late = {
    .name = "late",
    .probe = probe,
    .describe = describe,
    .open = open_exec,
    .close = close_exec,
    .origin = origin,
};

plm_status plm_exec_late_open(int threads, plm_exec **ret_exec) {
  if (plm_backend_find("late") == NULL) PLM_TRY(plm_backend_register(&plm_backend_late));
  return plm_exec_open(&(plm_exec_options){.device = "late", .threads = threads}, ret_exec);
}
