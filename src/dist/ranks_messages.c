/* ranks_messages.c - the few things that every chapter of the communication thread needs: see ranks_internal.h. Contents:
 * messages, what is done. */
#include <stdio.h>

#include "base/clock.h"
#include "dist/ranks_internal.h"

/* ---- messages ---- */

/* Tests break the transport at a stage of their choice. */
static bool is_broken_on_purpose(ranks *r) {
  if (!r->is_fault_due) return false;
  snprintf(r->transport->words, sizeof r->transport->words, "made to fail by PROTLM_TEST_TRANSPORT");
  return true;
}

void plm_ranks_send(ranks *r, int to, int tag, const void *data, int64_t bytes, ranks_note *note) {
  r->sent += bytes;
  r->has_moved = true;
  if (r->is_broken) return;
  r->is_broken =
      is_broken_on_purpose(r) || !r->transport->send(r->transport, PLM_CHANNEL_DATA, to, tag, data, bytes, note);
}

void plm_ranks_receive(ranks *r, int from, int tag, void *data, int64_t bytes, ranks_note *note) {
  r->has_moved = true;
  if (r->is_broken) return;
  r->is_broken = !r->transport->receive(r->transport, PLM_CHANNEL_DATA, from, tag, data, bytes, note);
}

void plm_ranks_collect(ranks *r) {
  enum { AT_A_TIME = 64 };
  void *tokens[AT_A_TIME];
  const int count = r->transport->test(r->transport, tokens, AT_A_TIME);
  r->is_broken = r->is_broken || count < 0;
  for (int i = 0; i < count; i++) {
    ranks_note *note = tokens[i];
    note->done(r, note);
    r->has_moved = true;
  }
}

/* ---- what is done ---- */

void plm_ranks_op_finish(ranks *r, ranks_op *op) {
  pthread_mutex_lock(&r->lock);
  op->is_active = false;
  op->is_done = true;
  r->traffic.sent = r->sent;
  if (--r->under_way == 0) r->traffic.busy += plm_clock_monotonic() - r->busy_from;
  pthread_cond_broadcast(&r->finished);
  pthread_mutex_unlock(&r->lock);
  r->has_moved = true;
}
