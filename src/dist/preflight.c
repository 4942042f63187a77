/* preflight.c - see preflight.h. Contents: computing, exchanging, adding up, who is slow. */
#include "dist/preflight.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/text.h"
#include "dist/pieces.h"
#include "protlm/log.h"

static const char stage[] = "preflight";

/* ---- computing ---- */

enum { ROUNDS = 1 << 21 };

/* Integers and doubles, one after the other: the same bits on every processor that works. */
static uint64_t compute(void) {
  uint64_t x = 88172645463325252u, bits;
  double sum = 0;
  for (int i = 0; i < ROUNDS; i++) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    sum = sum * 0.5 + (double)(x >> 40);
  }
  memcpy(&bits, &sum, sizeof bits);
  return x ^ bits;
}

static plm_status check_computing(plm_comm *comm, double *ret_seconds) {
  char who[PLM_RANK_WORDS];
  uint64_t *all = comm->scratch, count = 0;
  const double started = plm_clock_monotonic();
  const uint64_t mine = compute();
  *ret_seconds = plm_clock_monotonic() - started;
  PLM_TRY(comm->exchange(comm, stage, &mine, sizeof mine, all));
  /* the result of the most is right: with two ranks nobody knows whose it is */
  int odd = -1;
  for (int rank = 0; rank < comm->size; rank++) {
    count = 0;
    for (int other = 0; other < comm->size; other++) count += all[other] == all[rank];
    if (2 * count <= (uint64_t)comm->size && odd < 0) odd = rank;
  }
  if (odd < 0) return PLM_OK;
  return plm_hint(plm_fail(PLM_E_FAILURE, "preflight: %s computes other numbers than the other ranks",
                           plm_rank_words(comm, odd, who)),
                  "leave that host out (`--exclude` of sbatch), and have its processor and memory looked at");
}

/* ---- exchanging ---- */

static unsigned char pattern(int rank, size_t i) { return (unsigned char)((unsigned)rank * 131u + i * 7u + (i >> 8)); }

/* PLM_OK, or whose bytes did not arrive. */
static plm_status look_at_bytes(const plm_comm *comm, const unsigned char *all) {
  char who[PLM_RANK_WORDS];
  for (int rank = 0; rank < comm->size; rank++)
    for (size_t i = 0; i < PLM_EXCHANGE_MAX; i++)
      if (all[(size_t)rank * PLM_EXCHANGE_MAX + i] != pattern(rank, i))
        return plm_fail(PLM_E_FAILURE, "preflight: what %s sent did not arrive as it was, from byte %zu on",
                        plm_rank_words(comm, rank, who), i);
  return PLM_OK;
}

static plm_status check_exchanging(plm_comm *comm) {
  unsigned char *mine = NULL, *all = NULL;
  plm_status status = PLM_NEW(&mine, PLM_EXCHANGE_MAX);
  if (status == PLM_OK) status = PLM_NEW(&all, (size_t)comm->size * PLM_EXCHANGE_MAX);
  PLM_TRY_GOTO(plm_agree(comm, stage, status), done);
  for (size_t i = 0; i < PLM_EXCHANGE_MAX; i++) mine[i] = pattern(comm->rank, i);
  PLM_TRY_GOTO(comm->exchange(comm, stage, mine, PLM_EXCHANGE_MAX, all), done);
  status = plm_agree(comm, stage, look_at_bytes(comm, all));
done:
  plm_free(mine);
  plm_free(all);
  return status;
}

/* ---- adding up: two ranks contribute to each element; all sums are exact in bf16 too ---- */

enum { RUN = 128 /* elements in a row of the same two ranks */ };

static void contribute(const plm_comm *comm, float *values, int64_t n) {
  for (int64_t i = 0; i < n; i += RUN) {
    const bool one = comm->rank == i / RUN % comm->size, other = comm->rank == i / RUN / 7 % comm->size;
    for (int j = 0; j < RUN && i + j < n; j++) values[i + j] = (float)((one ? j : 0) + (other ? j % 64 : 0));
  }
}

static int sum_at(int64_t i) { return (int)(i % RUN) + (int)(i % 64); }

static plm_status look_at_sums(const plm_comm *comm, const float *sums, int64_t n) {
  char who[PLM_RANK_WORDS];
  for (int64_t i = 0; i < n; i++)
    if (sums[i] != (float)sum_at(i))
      return plm_hint(
          plm_fail(PLM_E_FAILURE, "preflight: a sum of small numbers that %s made came here as %g instead of %d",
                   plm_rank_words(comm, (int)(i / (n / comm->size)), who), (double)sums[i], sum_at(i)),
          "leave one of the two hosts out (`--exclude` of sbatch), and have memory and network looked at");
  return PLM_OK;
}

/* Memory of the device and of the host for it. */
typedef struct block {
  plm_exec *x;
  float *host;
  void *device;
  int64_t n;
} block;

static plm_status make_block(block *b, plm_comm *comm) {
  plm_device *device = b->x->device;
  PLM_TRY(PLM_NEW(&b->host, b->n));
  contribute(comm, b->host, b->n);
  PLM_TRY(device->alloc(device, (size_t)b->n * sizeof *b->host, &b->device));
  return device->copy(device, b->device, b->host, (size_t)b->n * sizeof *b->host, PLM_COPY_TO_DEVICE);
}

static void free_block(block *b) {
  if (b->device != NULL) b->x->device->free(b->x->device, b->device);
  plm_free(b->host);
}

static plm_status add_block(block *b, plm_comm *comm) {
  plm_device *device = b->x->device;
  PLM_TRY(comm->reduce(comm, b->x, 0, b->device, b->n, false));
  PLM_TRY(comm->wait(comm, b->x, 0));
  PLM_TRY(device->copy(device, b->host, b->device, (size_t)b->n * sizeof *b->host, PLM_COPY_TO_HOST));
  return look_at_sums(comm, b->host, b->n);
}

static plm_status check_adding(plm_comm *comm, plm_exec *x, int64_t bytes) {
  const int64_t count = bytes / (int64_t)sizeof(float);
  block b = {.x = x, .n = plm_piece_length(count, comm->size) * comm->size};
  plm_status status = plm_agree(comm, stage, make_block(&b, comm));
  if (status == PLM_OK) status = plm_agree(comm, stage, add_block(&b, comm));
  free_block(&b);
  return status;
}

static plm_status check_all_sizes(plm_comm *comm, plm_exec *x) {
  static const int64_t sizes[] = {64 << 10, 1 << 20, 64 << 20};
  const size_t enough = (size_t)1 << 30;
  size_t total = 0, available = 0;
  const plm_status known = x->device->memory_info(x->device, &total, &available);
  uint32_t is_short = known != PLM_OK || available < enough * (size_t)comm->local_size;
  if (known != PLM_OK) plm_error_clear();
  PLM_TRY(plm_agree_any(comm, stage, &is_short));
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes - (is_short != 0); i++) PLM_TRY(check_adding(comm, x, sizes[i]));
  return PLM_OK;
}

/* ---- who is slow ---- */

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* `times` is put in order. What is short anyway says nothing. */
static double median(double *times, int count) {
  qsort(times, (size_t)count, sizeof *times, ascending);
  return times[(count - 1) / 2];
}

static plm_status tell_slow(plm_comm *comm, double seconds) {
  enum { TIMES = 5 };
  const double least = 0.1;
  char who[PLM_RANK_WORDS], its[PLM_NUMBER_TEXT], usual[PLM_NUMBER_TEXT];
  double *all = comm->scratch, *sorted;
  plm_status status = plm_agree(comm, stage, PLM_NEW(&sorted, comm->size));
  if (status == PLM_OK) status = comm->exchange(comm, stage, &seconds, sizeof seconds, all);
  if (status == PLM_OK && comm->rank == 0) {
    memcpy(sorted, all, (size_t)comm->size * sizeof *all);
    const double middle = median(sorted, comm->size);
    for (int rank = 0; rank < comm->size; rank++)
      if (all[rank] > TIMES * middle && all[rank] > least)
        plm_warn("%s computed %s on what took others %s: is its host in use by others, or does it run hot?",
                 plm_rank_words(comm, rank, who), plm_duration_text(all[rank], its), plm_duration_text(middle, usual));
  }
  plm_free(sorted);
  return status;
}

/* ---- the whole ---- */

plm_status plm_preflight(plm_comm *comm, plm_exec *x) {
  double seconds;
  if (comm->size == 1) return PLM_OK;
  PLM_TRY(check_computing(comm, &seconds));
  PLM_TRY(tell_slow(comm, seconds));
  PLM_TRY(check_exchanging(comm));
  return check_all_sizes(comm, x);
}
