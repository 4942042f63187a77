/* ranks_cases.c - see ranks_cases.h. Contents: values, exchange, broadcast, the sum rule, gathers, stages. */
#include "support/ranks_cases.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "dist/agree.h"
#include "dist/pieces.h"
#include "kernels/bf16.h"
#include "support/late.h"

enum { MOST = CASES_MOST_RANKS };

/* A float of (rank, place) that no other has, of both signs and many sizes. */
static float made_up(int rank, int64_t i) {
  const uint32_t x = (uint32_t)(i * 2654435761u + (uint32_t)rank * 40503u) * 2246822519u;
  return ldexpf((float)(x >> 8) - 8388608.0f, (int)(x % 24) - 24);
}

/* The sum rule, as it is written down. */
static float sum_of(int size, int64_t i, bool is_bf16) {
  float sum = is_bf16 ? plm_bf16_to_float(plm_bf16_from_float(made_up(0, i))) : made_up(0, i);
  for (int rank = 1; rank < size; rank++)
    sum += is_bf16 ? plm_bf16_to_float(plm_bf16_from_float(made_up(rank, i))) : made_up(rank, i);
  return is_bf16 ? plm_bf16_to_float(plm_bf16_from_float(sum)) : sum;
}

/* ---- exchange ---- */

plm_status cases_exchange_sizes(plm_comm *comm, void *context) {
  static const size_t sizes[] = {0, 1, 8, PLM_AGREE_BYTES, PLM_AGREE_BYTES + 1, PLM_EXCHANGE_MAX};
  char *mine, *all;
  (void)context;
  PLM_TRY(PLM_NEW(&mine, PLM_EXCHANGE_MAX));
  PLM_TRY(PLM_NEW(&all, MOST * PLM_EXCHANGE_MAX));
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
    const size_t bytes = sizes[k];
    memset(mine, 'a' + comm->rank, bytes);
    PLM_TRY(comm->exchange(comm, "sizes", mine, bytes, all));
    for (int rank = 0; rank < comm->size; rank++)
      for (size_t i = 0; i < bytes; i++) cases_check(all[(size_t)rank * bytes + i] == 'a' + rank);
  }
  plm_free(mine);
  plm_free(all);
  return PLM_OK;
}

plm_status cases_know_places(plm_comm *comm, void *context) {
  (void)context;
  cases_check(comm->nodes == 2 && comm->node == comm->rank / 2 && comm->local_rank == comm->rank % 2);
  for (int rank = 0; rank < comm->size; rank++) {
    cases_check(comm->places[rank].node == rank / 2 && comm->places[rank].local_rank == rank % 2);
    cases_check(comm->places[rank].host[0] != '\0' && comm->places[rank].process > 0);
  }
  return PLM_OK;
}

/* Rank 2 comes to another stage, then all meet. */
plm_status cases_part(plm_comm *comm, void *context) {
  char all[MOST], mine = 1;
  (void)context;
  const char *stage = comm->rank == 2 ? "save" : "step";
  const plm_status status = comm->exchange(comm, stage, &mine, 1, all);
  cases_check(status == PLM_E_FAILURE && comm->parted);
  cases_check(strstr(plm_error_message(), "\"save\"") != NULL && strstr(plm_error_message(), "\"step\"") != NULL);
  comm->parted = false;
  PLM_TRY(comm->exchange(comm, "again", &mine, 1, all));
  cases_check(comm->exchange(comm, "again", all, comm->rank == 1 ? 2 : 1, all) == PLM_E_FAILURE && comm->parted);
  comm->parted = false;
  return comm->exchange(comm, "again", &mine, 1, all);
}

/* ---- broadcast ---- */

plm_status cases_broadcast_sizes(plm_comm *comm, void *context) {
  static const int64_t sizes[] = {0, 1, 1000, (1 << 20) - 1, 1 << 20, 5 * (1 << 20) + 77};
  char *data;
  (void)context;
  PLM_TRY(PLM_NEW(&data, 6 << 20));
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
    for (int root = 0; root < comm->size; root++) {
      for (int64_t i = 0; i < sizes[k]; i++) data[i] = comm->rank == root ? (char)(i * 7 + root) : 0;
      PLM_TRY(comm->broadcast(comm, "broadcast", data, sizes[k], root));
      for (int64_t i = 0; i < sizes[k]; i++) cases_check(data[i] == (char)(i * 7 + root));
    }
  plm_free(data);
  return PLM_OK;
}

/* ---- the sum rule ---- */

static int64_t size_of(const plm_comm *comm, int b) {
  static const int64_t pieces[CASES_BUCKETS] = {1, 7, 300000 / 64, 3};
  return pieces[b] * PLM_PIECE_ALIGN * comm->size;
}

/* How many elements of this bucket are not what they should be; rank `left_out` brought zeros to it, or -1. */
static int64_t count_wrong(const plm_comm *comm, const cases_sums *s, const float *data, int b, int left_out) {
  const int64_t piece = size_of(comm, b) / comm->size;
  int64_t wrong = 0;
  for (int64_t i = 0; i < size_of(comm, b); i++) {
    if (s->keep_shard && i / piece != comm->rank) continue;
    float sum = sum_of(comm->size, i + b, s->is_bf16 && comm->size > 1);
    if (left_out >= 0) {
      sum = left_out == 0 ? 0 : made_up(0, i + b);
      for (int rank = 1; rank < comm->size; rank++) sum += rank == left_out ? 0 : made_up(rank, i + b);
    }
    wrong += memcmp(&data[i], &sum, sizeof sum) != 0;
  }
  return wrong;
}

plm_status cases_add_buckets(plm_comm *comm, void *context) {
  const cases_sums *s = context;
  const bool fails = comm->rank == s->failing;
  float *data[CASES_BUCKETS];
  int64_t sizes[CASES_BUCKETS];
  for (int b = 0; b < CASES_BUCKETS; b++) sizes[b] = size_of(comm, b);
  comm->gradient_dtype = s->is_bf16 ? PLM_BF16 : PLM_F32;
  for (int b = CASES_BUCKETS - 1; b >= 0; b--) {
    PLM_TRY(PLM_NEW(&data[b], size_of(comm, b)));
    for (int64_t i = 0; i < size_of(comm, b); i++) data[b][i] = made_up(comm->rank, i + b);
    if (fails && CASES_BUCKETS - 1 - b >= s->started) continue;
    PLM_TRY(comm->reduce(comm, NULL, b, data[b], size_of(comm, b), s->keep_shard));
  }
  if (fails)
    PLM_TRY(comm->drain(comm, sizes, CASES_BUCKETS, s->keep_shard));
  else
    PLM_TRY(comm->wait(comm, NULL, 2));
  PLM_TRY(comm->wait(comm, NULL, PLM_EVERY_BUCKET));
  for (int b = 0; b < CASES_BUCKETS; b++) {
    const bool is_left_out = s->failing >= 0 && CASES_BUCKETS - 1 - b >= s->started;
    if (fails && is_left_out) continue;
    cases_check(count_wrong(comm, s, data[b], b, is_left_out ? s->failing : -1) == 0);
  }
  for (int b = 0; b < CASES_BUCKETS; b++) plm_free(data[b]);
  return plm_agree(comm, "step", PLM_OK); /* which ends the step */
}

/* A bucket of every step, with an agreement in between, while the last step's gather is still under way. */
plm_status cases_take_steps(plm_comm *comm, void *context) {
  enum { LENGTH = 64 * 3 * 10, STEPS = 20 };
  const int64_t piece = LENGTH / comm->size;
  float *gradient, *weights;
  plm_span spans[MOST];
  (void)context;
  PLM_TRY(PLM_NEW(&gradient, LENGTH));
  PLM_TRY(PLM_NEW(&weights, LENGTH));
  for (int rank = 0; rank < comm->size; rank++)
    spans[rank] = (plm_span){weights + rank * piece, piece * (int64_t)sizeof *weights, rank};
  for (int step = 0; step < STEPS; step++) {
    plm_control control = {.residues = 1, .square = comm->rank + 1};
    for (int64_t i = 0; i < LENGTH; i++) gradient[i] = made_up(comm->rank, i + step);
    PLM_TRY(comm->wait(comm, NULL, PLM_EVERY_BUCKET));
    PLM_TRY(comm->reduce(comm, NULL, 1, gradient, LENGTH, true));
    PLM_TRY(comm->wait(comm, NULL, PLM_EVERY_BUCKET));
    PLM_TRY(plm_control_agree(comm, &control));
    cases_check(control.residues == comm->size);
    for (int64_t i = 0; i < piece; i++) weights[comm->rank * piece + i] = gradient[comm->rank * piece + i];
    PLM_TRY(comm->gather(comm, NULL, 1, spans, comm->size, PLM_EVERY_RANK));
    memset(spans, 0, sizeof spans); /* they were taken */
    for (int rank = 0; rank < comm->size; rank++)
      spans[rank] = (plm_span){weights + rank * piece, piece * (int64_t)sizeof *weights, rank};
    PLM_TRY(comm->wait(comm, NULL, 1));
    for (int64_t i = 0; i < LENGTH; i++) {
      const float sum = sum_of(comm->size, i + step, false);
      cases_check(memcmp(&weights[i], &sum, sizeof sum) == 0);
    }
  }
  plm_free(gradient);
  plm_free(weights);
  return PLM_OK;
}

plm_status cases_count_traffic(plm_comm *comm, void *context) {
  enum { LENGTH = 64 * 2 * 50 };
  float data[LENGTH] = {0};
  (void)context;
  const int64_t before = comm->traffic.sent;
  PLM_TRY(comm->reduce(comm, NULL, 0, data, LENGTH, false));
  PLM_TRY(comm->wait(comm, NULL, 0));
  cases_check(comm->traffic.sent - before == LENGTH * (int64_t)sizeof *data); /* half a bucket there, half back */
  cases_check(comm->traffic.busy > 0 && comm->traffic.exposed > 0);
  cases_check(comm->traffic.exposed <= comm->traffic.busy + 1);
  return PLM_OK;
}

/* ---- gathers ---- */

plm_status cases_gather_spans(plm_comm *comm, void *context) {
  enum { SPANS = 9 };
  static const int64_t bytes[SPANS] = {5, 0, 1 << 20, (1 << 20) + 1, 3 << 20, 1, 64, 100, 1000};
  const int root = *(const int *)context;
  plm_span spans[SPANS];
  for (int i = 0; i < SPANS; i++) {
    char *data;
    PLM_TRY(PLM_NEW(&data, bytes[i] + 1));
    spans[i] = (plm_span){data, bytes[i], (i * 2) % comm->size};
    for (int64_t k = 0; k < bytes[i]; k++) data[k] = comm->rank == spans[i].owner ? (char)(k + i) : 0;
  }
  PLM_TRY(comm->gather(comm, NULL, 0, spans, 4, root));
  PLM_TRY(comm->gather(comm, NULL, 1, spans + 4, 3, root));
  PLM_TRY(comm->gather(comm, NULL, 0, spans + 7, 2, root)); /* a bucket once more */
  PLM_TRY(comm->wait(comm, NULL, PLM_EVERY_BUCKET));
  for (int i = 0; i < SPANS; i++) {
    const char *data = spans[i].data;
    const bool has = root == PLM_EVERY_RANK || root == comm->rank || spans[i].owner == comm->rank;
    for (int64_t k = 0; k < bytes[i]; k++) cases_check(data[k] == (has ? (char)(k + i) : 0));
    cases_check(data[bytes[i]] == 0);
    plm_free(spans[i].data);
  }
  return PLM_OK;
}

/* ---- a device ---- */

/* Sums, and then owners' pieces, in memory that only a device may touch, and that does as late as it may. */
plm_status cases_late_device(plm_comm *comm, void *context) {
  enum { MOST_LENGTH = 64 * MOST * 20 };
  const int64_t length = (int64_t)PLM_PIECE_ALIGN * comm->size * 20, piece = length / comm->size;
  const size_t bytes = (size_t)length * sizeof(float);
  const bool keep_shard = *(const bool *)context;
  float host[MOST_LENGTH];
  plm_span spans[MOST];
  plm_exec x = {0};
  void *data;
  PLM_TRY(plm_device_late_create(&x.device));
  PLM_TRY(x.device->alloc(x.device, bytes, &data));
  for (int64_t i = 0; i < length; i++) host[i] = made_up(comm->rank, i);
  PLM_TRY(x.device->copy(x.device, data, host, bytes, PLM_COPY_TO_DEVICE));
  PLM_TRY(comm->reduce(comm, &x, 0, data, length, keep_shard));
  PLM_TRY(comm->wait(comm, &x, 0));
  for (int rank = 0; rank < comm->size; rank++)
    spans[rank] = (plm_span){(float *)data + rank * piece, piece * (int64_t)sizeof *host, rank};
  if (keep_shard) PLM_TRY(comm->gather(comm, &x, 0, spans, comm->size, PLM_EVERY_RANK));
  PLM_TRY(comm->wait(comm, &x, PLM_EVERY_BUCKET));
  PLM_TRY(x.device->copy(x.device, host, data, bytes, PLM_COPY_TO_HOST));
  for (int64_t i = 0; i < length; i++) {
    const float sum = sum_of(comm->size, i, false);
    cases_check(memcmp(&host[i], &sum, sizeof sum) == 0);
  }
  cases_check(comm->size == 1 || x.device->host_bytes_in_use == 0);
  x.device->free(x.device, data);
  plm_device_destroy(x.device);
  return plm_agree(comm, "step", PLM_OK);
}

/* ---- stages ---- */

plm_status cases_fail_in_turn(plm_comm *comm, void *context) {
  (void)context;
  for (int failing = 0; failing < comm->size; failing++) {
    const plm_status mine = comm->rank == failing ? plm_fail(PLM_E_INPUT, "bad letter") : PLM_OK;
    cases_check(plm_agree(comm, "data", mine) == PLM_E_INPUT);
    cases_check(strstr(plm_error_message(), "bad letter") != NULL);
  }
  return plm_comm_end(comm, comm->rank == 1 ? plm_fail(PLM_E_NUMERIC, "not finite") : PLM_OK);
}

/* Rank 1 fails where the others do not meet it. */
plm_status cases_fail_elsewhere(plm_comm *comm, void *context) {
  char all[MOST], mine = 1;
  (void)context;
  if (comm->rank != 1) return plm_comm_end(comm, comm->exchange(comm, "facts", &mine, 1, all));
  const plm_status status = plm_agree(comm, "machine", plm_fail(PLM_E_RESOURCE, "out of memory"));
  cases_check(status == PLM_E_RESOURCE && strcmp(plm_error_message(), "out of memory") == 0);
  return plm_comm_end(comm, status);
}
