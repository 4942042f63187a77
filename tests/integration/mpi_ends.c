/* How ranks end when one of them hangs, is stopped, dies, or ends all: started by a launcher (mpi_ends.sh).
 * usage: mpi_ends WAY SECONDS-A-SECTION-MAY-LAST */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dist/agree.h"
#include "protlm/log.h"

static void say(void *user, plm_log_level level, const char *line) {
  (void)user;
  (void)level;
  fprintf(stderr, "%s\n", line);
}

static void note_abort(void *user, const plm_error_record *why, int rank, const char *stage, bool is_writer) {
  (void)user;
  if (is_writer) fprintf(stderr, "stopped: rank %d, stage %s: %s\n", rank, stage, why->message);
}

static void sleep_for(double seconds) {
  const double whole = (double)(time_t)seconds;
  struct timespec left = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - whole) * 1e9)};
  while (nanosleep(&left, &left) != 0) continue;
}

__attribute__((noinline)) static void hang_here(void) {
  sleep_for(100);
  fprintf(stderr, "nobody noticed\n");
}

static plm_status do_step(plm_comm *comm, const char *way) {
  plm_control control = {0};
  if (comm->rank == 1) {
    if (strcmp(way, "hang") == 0) hang_here();
    if (strcmp(way, "stop") == 0) raise(SIGSTOP);
    if (strcmp(way, "die") == 0) raise(SIGKILL);
    if (strcmp(way, "abort") == 0) {
      plm_error_record why;
      plm_error_take(plm_fail(PLM_E_RESOURCE, "the disk is full"), &why);
      comm->abort(comm, &why);
    }
    if (strcmp(way, "fail") == 0) return plm_agree(comm, "step", plm_fail(PLM_E_INPUT, "a bad letter"));
  }
  if (strcmp(way, "fail") == 0) return plm_agree(comm, "step", PLM_OK);
  return plm_control_agree(comm, &control);
}

/* Ten steps; for `pause` they take 4 s, and rank 1 says its process id, so that it can be stopped in between. */
static plm_status run(plm_comm *comm, const char *way) {
  const bool is_slow = strcmp(way, "pause") == 0;
  if (is_slow && comm->rank == 1) fprintf(stderr, "pid %d\n", (int)getpid());
  for (int step = 0; step < 10; step++) {
    comm->section(comm, "step", 0);
    if (is_slow) sleep_for(0.4);
    PLM_TRY(do_step(comm, step == 5 ? way : ""));
  }
  return PLM_OK;
}

int main(int argc, char **argv) {
  plm_comm *comm;
  if (argc != 3) return 2;
  plm_log_set_sink(say, NULL);
  plm_status status = plm_comm_open(&comm);
  if (status == PLM_OK) {
    comm->timeout = atof(argv[2]);
    comm->before_abort = note_abort;
    status = plm_comm_end(comm, run(comm, argv[1]));
  }
  if (status != PLM_OK) fprintf(stderr, "%s\n%s\n", plm_error_message(), plm_error_hint());
  if (status == PLM_OK && comm->rank == 0) printf("all ended well\n");
  const bool is_open = status == PLM_OK || strcmp(argv[1], "fail") == 0;
  if (is_open) plm_comm_destroy(comm);
  return plm_status_exit_code(status);
}
