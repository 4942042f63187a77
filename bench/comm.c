/* comm.c - how long the sum rule takes: a bucket, and many, of several ranks, over the machine's MPI.
 *
 *   mpirun -n 2 build/bench_comm [MEGABYTES]        mpiexec -n 2 build/bench_comm [MEGABYTES]
 *
 * Prints, from rank 0, the least and the middle of 15 rounds: fp32 and bf16 on the wire; everyone's sums, or each owner's
 * piece alone. The bytes are those of the gradient in fp32.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "dist/comm.h"
#include "dist/pieces.h"

enum { ROUNDS = 15 };

static int compare(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

/* `count` buckets of `length` elements, one behind the other. */
static plm_status time_rounds(plm_comm *comm, float *data, int64_t length, int count, bool keep_shard,
                              double *ret_seconds) {
  char all[4096], mine = 0;
  for (int round = 0; round < ROUNDS; round++) {
    PLM_TRY(comm->exchange(comm, "round", &mine, 1, all));
    const double began = plm_clock_monotonic();
    for (int b = count - 1; b >= 0; b--) PLM_TRY(comm->reduce(comm, NULL, b, data + b * length, length, keep_shard));
    PLM_TRY(comm->wait(comm, NULL, PLM_EVERY_BUCKET));
    ret_seconds[round] = plm_clock_monotonic() - began;
  }
  qsort(ret_seconds, ROUNDS, sizeof *ret_seconds, compare);
  return PLM_OK;
}

static plm_status run(plm_comm *comm, double megabytes) {
  const int64_t unit = (int64_t)PLM_PIECE_ALIGN * comm->size * 20;
  const int64_t n = (int64_t)(megabytes * 1e6 / (double)sizeof(float)) / unit * unit;
  double seconds[ROUNDS];
  float *data;
  PLM_TRY(PLM_NEW(&data, n));
  for (int64_t i = 0; i < n; i++) data[i] = (float)(i % 97) * 1e-3f;
  for (int form = 0; form < 8; form++) {
    const bool is_bf16 = form % 2 == 1, keep_shard = form / 2 % 2 == 1;
    const int count = form / 4 == 1 ? 20 : 1;
    comm->gradient_dtype = is_bf16 ? PLM_BF16 : PLM_F32;
    PLM_TRY(time_rounds(comm, data, n / count, count, keep_shard, seconds));
    if (comm->rank == 0)
      printf("%-16s %d ranks  %2d x %6.1f MB  %s  %-7s  least %6.1f ms  middle %6.1f ms  %5.0f MB/s\n", comm->name,
             comm->size, count, megabytes / count, is_bf16 ? "bf16" : "fp32", keep_shard ? "pieces" : "sums",
             seconds[0] * 1e3, seconds[ROUNDS / 2] * 1e3, megabytes / seconds[0]);
  }
  plm_free(data);
  return PLM_OK;
}

int main(int argc, char **argv) {
  plm_comm *comm;
  plm_status status = plm_comm_open(&comm);
  if (status == PLM_OK) {
    status = run(comm, argc > 1 ? atof(argv[1]) : 100);
    if (status == PLM_OK) plm_comm_destroy(comm);
  }
  if (status != PLM_OK) fprintf(stderr, "%s\n%s\n", plm_error_message(), plm_error_hint());
  return plm_status_exit_code(status);
}
