/* waiting.c - how idle threads wait, which has to be settled before the OpenMP runtime is loaded.
 *
 * GNU's runtime lets a thread that has nothing to do spin for milliseconds before it sleeps. That is right on a machine
 * of one's own and ruinous on a shared one: with five other processes on two cores, a training step took four times as
 * long (docs/performance.md). A spin of some tens of microseconds costs an idle machine nothing and loses little on a
 * busy one. The runtime reads its setting when it is loaded, before main, and the matrix library loads it too; so the
 * program sets the variable and starts itself over, once. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"

static const char spin_count[] = "10000"; /* iterations */

void cli_settle_waiting(char **argv) {
  char program[4096]; /* by its own path: under /proc/self/exe it would be listed as "exe" */
  if (getenv("OMP_WAIT_POLICY") != NULL || getenv("GOMP_SPINCOUNT") != NULL) return;
  ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  if (length <= 0 || setenv("GOMP_SPINCOUNT", spin_count, 1) != 0) return;
  program[length] = '\0';
  cli_hold_stop(true);
  execv(program, argv); /* returns only where that cannot be done; then things are as they were */
  cli_hold_stop(false);
}
