/* steps.c - `protlm train`, a step at a time: when it is its turn, with and without overlap, each step timed.
 *
 *   [mpirun -n N] build/bench_steps TIMES TURNS OVERLAP OPTION_OF_TRAIN...
 *
 * TIMES    each rank appends a line a step: rank, step, overlap (0, 1), seconds, seconds waited for buckets, seconds in which something was
 *          under way, user + system seconds of the process, of them those of the thread that trains
 * TURNS    a file with the number of steps that may be taken; `-`: all. So programs that are open at the same time take turns, step by step
 * OVERLAP  on: buckets travel as backward completes them; off: when it is over; both: steps in turn, the odd ones on
 *
 * The communicator is the program's, with three of its functions exchanged: train knows nothing of this.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "dist/comm.h"
#include "protlm/log.h"
#include "protlm/train.h"

enum { MOST_BUCKETS = 4096 };

typedef struct held { /* a call of reduce that waits until backward is over */
  plm_exec *x;
  int bucket;
  float *gradient;
  int64_t n;
  bool keep_shard;
} held;

static struct {
  const char *times, *turns, *overlap;
  plm_comm table; /* as it was */
  int step;       /* that is under way; 0: none yet */
  bool is_ready, is_timing;
  plm_comm_traffic traffic;
  double began, cpu, cpu_of_this;
  held held[MOST_BUCKETS];
  int held_count;
} bench;

/* ---- times ---- */

static double cpu_seconds(int who) {
  struct rusage u;
  getrusage(who, &u);
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static bool overlaps(void) {
  return strcmp(bench.overlap, "both") == 0 ? bench.step % 2 == 1 : strcmp(bench.overlap, "on") == 0;
}

static void begin_step(const plm_comm *comm) {
  bench.step++;
  bench.is_timing = true;
  bench.traffic = comm->traffic;
  bench.cpu = cpu_seconds(RUSAGE_SELF);
  bench.cpu_of_this = cpu_seconds(RUSAGE_THREAD);
  bench.began = plm_clock_monotonic();
}

static void end_step(const plm_comm *comm) {
  if (!bench.is_timing) return;
  const double seconds = plm_clock_monotonic() - bench.began;
  FILE *file = fopen(bench.times, "a");
  bench.is_timing = false;
  if (file == NULL) return;
  fprintf(file, "%d %d %d %.6f %.6f %.6f %.6f %.6f\n", comm->rank, bench.step, overlaps(), seconds,
          comm->traffic.exposed - bench.traffic.exposed, comm->traffic.busy - bench.traffic.busy,
          cpu_seconds(RUSAGE_SELF) - bench.cpu, cpu_seconds(RUSAGE_THREAD) - bench.cpu_of_this);
  fclose(file);
}

static int allowed_steps(void) {
  FILE *file = fopen(bench.turns, "r");
  int steps = 0;
  if (file == NULL) return 0;
  if (fscanf(file, "%d", &steps) != 1) steps = 0;
  fclose(file);
  return steps;
}

static void wait_for_turn(void) {
  const struct timespec moment = {.tv_nsec = 5 * 1000 * 1000};
  while (strcmp(bench.turns, "-") != 0 && allowed_steps() <= bench.step) nanosleep(&moment, NULL);
}

/* ---- functions of the communicator ---- */

/* A step is what lies between two stages "data", the first of a step, or whatever follows the last step. All ranks
 * begin together. (Before `ready`, "data" is the stage that opens files.) */
static void bench_section(plm_comm *comm, const char *name, double timeout_s) {
  char none = 0, all[PLM_EXCHANGE_MAX];
  if (strcmp(name, "step") != 0) end_step(comm);
  bench.table.section(comm, name, timeout_s);
  if (!bench.is_ready || strcmp(name, "data") != 0) return;
  wait_for_turn();
  if (comm->exchange(comm, "turn", &none, 1, all) != PLM_OK) plm_error_clear();
  begin_step(comm);
}

static plm_status be_ready(void *user) {
  (void)user;
  bench.is_ready = true;
  return PLM_OK;
}

static plm_status bench_reduce(plm_comm *comm, plm_exec *x, int bucket, float *gradient, int64_t n, bool keep_shard) {
  if (overlaps() || bench.held_count == MOST_BUCKETS)
    return bench.table.reduce(comm, x, bucket, gradient, n, keep_shard);
  bench.held[bench.held_count++] = (held){x, bucket, gradient, n, keep_shard};
  return PLM_OK;
}

static plm_status bench_wait(plm_comm *comm, plm_exec *x, int bucket) {
  const int count = bench.held_count;
  bench.held_count = 0;
  for (int i = 0; i < count; i++) {
    const held *h = &bench.held[i];
    PLM_TRY(bench.table.reduce(comm, h->x, h->bucket, h->gradient, h->n, h->keep_shard));
  }
  return bench.table.wait(comm, x, bucket);
}

/* ---- the program ---- */

static void say(void *user, plm_log_level level, const char *line) {
  const plm_comm *comm = user;
  if (level <= PLM_LOG_WARN && (comm == NULL || comm->rank == 0)) fprintf(stderr, "%s\n", line);
}

static plm_status run(plm_comm *comm, int argc, char **argv) {
  static plm_train_result result;
  plm_option_values *values;
  const plm_train_observer observer = {.comm = comm, .ready = be_ready};
  PLM_TRY(plm_options_load(plm_train_option_table(), argc, argv, &values));
  bench.table = *comm;
  comm->section = bench_section;
  comm->reduce = bench_reduce;
  comm->wait = bench_wait;
  plm_status status = plm_train(values, &observer, &result);
  end_step(comm);
  comm->section = bench.table.section;
  comm->reduce = bench.table.reduce;
  comm->wait = bench.table.wait;
  plm_option_values_destroy(values);
  if (status == PLM_OK && comm->rank == 0)
    printf("tokens a step %lld\n", (long long)(result.tokens / (result.step > 0 ? result.step : 1)));
  return status;
}

int main(int argc, char **argv) {
  plm_comm *comm = NULL;
  if (argc < 5) {
    fprintf(stderr, "usage: bench_steps TIMES TURNS|- on|off|both OPTION_OF_TRAIN...\n");
    return 2;
  }
  bench.times = argv[1];
  bench.turns = argv[2];
  bench.overlap = argv[3];
  plm_status status = plm_comm_open(&comm);
  if (status == PLM_OK) {
    plm_log_set_sink(say, comm);
    status = run(comm, argc - 4, argv + 4);
  }
  if (status != PLM_OK) fprintf(stderr, "%s\n%s\n", plm_error_message(), plm_error_hint());
  fflush(stdout);
  plm_comm_destroy(comm);
  return plm_status_exit_code(status);
}
