/* clock.c */
#define _GNU_SOURCE
#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

static _Atomic double fake = -1.0;

void plm_clock_set_fake(double seconds) { atomic_store(&fake, seconds); }

static double read_clock(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double read_fakeable(clockid_t id) {
  double now = atomic_load(&fake);
  return now >= 0 ? now : read_clock(id);
}

double plm_clock_monotonic(void) { return read_fakeable(CLOCK_MONOTONIC); }
double plm_clock_wall(void) { return read_fakeable(CLOCK_REALTIME); }
double plm_clock_cpu(void) { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }
