/* hdf5_trial.c - the process, its limits, and what its end says of the file. */
#include "data/hdf5_trial.h"

#if PLM_HAVE_HDF5

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "protlm/log.h"

/* Generous: only what never ends should meet them. */
enum { SECONDS = 20, BYTES_PER_SECOND = 8 << 20, MEMORY_PER_BYTE = 4 };
static const int64_t memory_bytes = (int64_t)4 << 30;

static const struct crash {
  int signal;
  const char *name;
} crashes[] = {{SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"}, {SIGABRT, "SIGABRT"}, {SIGFPE, "SIGFPE"}, {SIGILL, "SIGILL"}};
enum { CRASHES = sizeof crashes / sizeof *crashes };

/* ---- in the process that tries ---- */

/* Address space in use; 0 = unknown. */
static int64_t address_space(void) {
  long long pages = 0;
  FILE *file = fopen("/proc/self/statm", "re");
  if (file == NULL) return 0;
  if (fscanf(file, "%lld", &pages) != 1) pages = 0;
  fclose(file);
  return pages * sysconf(_SC_PAGESIZE);
}

/* True if the limit is ours, and not a lower one that was there. */
static bool lower_limit(int which, int64_t most) {
  struct rlimit limit;
  if (getrlimit(which, &limit) != 0 || limit.rlim_cur <= (rlim_t)most) return false;
  limit.rlim_cur = (rlim_t)most;
  return setrlimit(which, &limit) == 0;
}

/* The C library reports a damaged heap on standard error, past us. */
static void be_quiet(void) {
  int fd = open("/dev/null", O_RDWR);
  if (fd >= 0) dup2(fd, STDOUT_FILENO);
  if (fd >= 0) dup2(fd, STDERR_FILENO);
}

static _Noreturn void try(const char *path, int64_t file_bytes, pid_t parent, int64_t used, plm_hdf5_reading *reading) {
  prctl(PR_SET_PDEATHSIG, SIGKILL); /* it holds the run's locks too, so it must not outlive the run */
  if (getppid() != parent) _exit(PLM_HDF5_READ);
  for (size_t i = 0; i < CRASHES; i++) signal(crashes[i].signal, SIG_DFL);
  signal(SIGXCPU, SIG_DFL);
  be_quiet();
  lower_limit(RLIMIT_CORE, 0);
  lower_limit(RLIMIT_CPU, SECONDS + file_bytes / BYTES_PER_SECOND);
  const bool is_limited = used > 0 && lower_limit(RLIMIT_AS, used + memory_bytes + MEMORY_PER_BYTE * file_bytes);
  plm_hdf5_end end = reading(path);
  if (end == PLM_HDF5_NO_MEMORY && !is_limited) end = PLM_HDF5_REFUSED; /* it may be the machine that is small */
  _exit((int)end);
}

/* ---- in ours ---- */

static plm_status damaged(const char *path, const char *did, const char *detail) {
  plm_fail(PLM_E_INPUT, "%s: the HDF5 file is damaged: libhdf5 %s%s while reading it", path, did, detail);
  return plm_hint(PLM_E_INPUT, "check it with h5dump, or make it again");
}

static plm_status judge_signal(const char *path, int number) {
  char detail[32];
  if (number == SIGXCPU || number == SIGKILL) return damaged(path, "did not come to an end", ""); /* SIGKILL: the machine's memory was full */
  for (size_t i = 0; i < CRASHES; i++) {
    snprintf(detail, sizeof detail, " (%s)", crashes[i].name);
    if (crashes[i].signal == number) return damaged(path, "crashed", detail);
  }
  plm_debug("%s: the trial reading was ended by signal %d", path, number); /* somebody's, which says nothing of the file */
  return PLM_OK;
}

static plm_status judge(const char *path, int how) {
  if (WIFSIGNALED(how)) return judge_signal(path, WTERMSIG(how));
  switch (WEXITSTATUS(how)) {
    case PLM_HDF5_READ:
    case PLM_HDF5_REFUSED: return PLM_OK;
    case PLM_HDF5_NO_MEMORY: return damaged(path, "asked for far more memory than the file holds", "");
  }
  return damaged(path, "crashed", ""); /* sanitizers end a process by an exit code */
}

plm_status plm_hdf5_trial(const char *path, plm_hdf5_reading *reading) {
  int64_t bytes;
  int how;
  PLM_TRY(plm_file_size(path, &bytes));
  const int64_t used = address_space(); /* asked here: another thread may hold the lock of a stream when the process begins */
  const pid_t parent = getpid(), child = fork();
  if (child == 0) try(path, bytes, parent, used, reading);
  pid_t ended = child;
  while (child > 0 && (ended = waitpid(child, &how, 0)) < 0 && errno == EINTR) continue;
  if (ended > 0) return judge(path, how);
  plm_debug("%s: read without a trial: %s", path, strerror(errno));
  return PLM_OK;
}

#endif
