/* ranks_device.c - buckets whose memory is a device's and not the host's travel through page-locked host memory. Contents:
 * memory, away from the device, back to it.
 *
 * The thread of the run makes the device's calls: away when a bucket is posted, which waits until the device has got
 * there, and back when it is waited for. In between the device goes on with what is queued behind.
 */
#include <string.h>

#include "base/alloc.h"
#include "dist/ranks_internal.h"

/* ---- memory ---- */

void plm_ranks_release_host(ranks_op *op) {
  if (op->host != NULL) op->device->free_host(op->device, op->host);
  plm_free(op->spans);
  plm_free(op->device_spans);
  op->host = op->spans = op->device_spans = NULL;
}

/* What was queued so far has happened. */
static plm_status wait_for_device(plm_device *device) {
  plm_event *event;
  PLM_TRY(device->event_create(device, &event));
  plm_status status = device->event_record(device, event);
  if (status == PLM_OK) status = device->event_wait(device, event);
  device->event_destroy(device, event);
  return status;
}

/* ---- away from the device ---- */

static plm_status fetch_gradient(ranks_op *op) {
  const size_t bytes = (size_t)op->n * sizeof *op->data;
  PLM_TRY(op->device->alloc_host(op->device, bytes, &op->host));
  PLM_TRY(op->device->enqueue_copy(op->device, op->host, op->data, bytes, PLM_COPY_TO_HOST));
  op->device_data = op->data;
  op->data = op->host;
  return wait_for_device(op->device);
}

static plm_status fetch_spans(const ranks *r, ranks_op *op) {
  size_t bytes = 0;
  for (int i = 0; i < op->span_count; i++) bytes += plm_round_up((size_t)op->spans[i].bytes, 64);
  PLM_TRY(PLM_NEW(&op->device_spans, op->span_count));
  memcpy(op->device_spans, op->spans, (size_t)op->span_count * sizeof *op->spans);
  PLM_TRY(op->device->alloc_host(op->device, bytes, &op->host));
  char *next = op->host;
  for (int i = 0; i < op->span_count; i++) {
    const plm_span *from = &op->device_spans[i];
    if (from->owner == r->comm.rank)
      PLM_TRY(op->device->enqueue_copy(op->device, next, from->data, (size_t)from->bytes, PLM_COPY_TO_HOST));
    op->spans[i].data = next;
    next += plm_round_up((size_t)from->bytes, 64);
  }
  return wait_for_device(op->device);
}

plm_status plm_ranks_fetch(const ranks *r, plm_exec *x, ranks_op *op) {
  if (x == NULL || x->device->is_host) return PLM_OK;
  op->device = x->device;
  return op->kind == RANKS_REDUCE ? fetch_gradient(op) : fetch_spans(r, op);
}

/* ---- back to it ---- */

static plm_status store_gradient(const ranks *r, const ranks_op *op) {
  const int64_t length = op->n / r->comm.size, first = op->keep_shard ? r->comm.rank * length : 0;
  const size_t bytes = (size_t)(op->keep_shard ? length : op->n) * sizeof *op->data;
  return op->device->enqueue_copy(op->device, op->device_data + first, op->data + first, bytes, PLM_COPY_TO_DEVICE);
}

static plm_status store_spans(const ranks *r, const ranks_op *op) {
  const bool has_others = op->root == PLM_EVERY_RANK || op->root == r->comm.rank;
  for (int i = 0; i < op->span_count && has_others; i++) {
    const plm_span *from = &op->spans[i];
    if (from->owner != r->comm.rank)
      PLM_TRY(op->device->enqueue_copy(op->device, op->device_spans[i].data, from->data, (size_t)from->bytes,
                                       PLM_COPY_TO_DEVICE));
  }
  return PLM_OK;
}

plm_status plm_ranks_store(const ranks *r, const ranks_op *op) {
  if (op->device == NULL || op->host == NULL) return PLM_OK;
  PLM_TRY(op->kind == RANKS_REDUCE ? store_gradient(r, op) : store_spans(r, op));
  return wait_for_device(op->device);
}
