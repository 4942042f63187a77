/* hdf5_process.c - the process, its limits, the rows, and what its end says of the file. */
#include "data/hdf5_process.h"

#if PLM_HAVE_HDF5

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

/* Generous: only what never ends should meet them. */
enum { SECONDS = 20, BYTES_PER_SECOND = 8 << 20, MEMORY_PER_BYTE = 4 };
static const int64_t memory_bytes = (int64_t)2 << 30; /* less than a string's length with its high bit set */

static const struct crash {
  int signal;
  const char *name;
} crashes[] = {{SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"}, {SIGABRT, "SIGABRT"}, {SIGFPE, "SIGFPE"}, {SIGILL, "SIGILL"}};
enum { CRASHES = sizeof crashes / sizeof *crashes };

/* The pipe holds rows, each a length and its text, and after a failure REFUSAL and a refusal. */
static const uint64_t REFUSAL = UINT64_MAX;
typedef struct refusal {
  plm_status status; /* PLM_OK: there is none */
  plm_error_record error;
} refusal;

/* ---- in the process that reads ---- */

void plm_hdf5_send_row(FILE *rows, const char *text, size_t bytes) {
  const uint64_t length = bytes;
  fwrite(&length, sizeof length, 1, rows);
  fwrite(text, 1, bytes, rows);
}

static void send_refusal(FILE *rows, plm_status status) {
  refusal last = {.status = status};
  plm_error_take(status, &last.error);
  fwrite(&REFUSAL, sizeof REFUSAL, 1, rows);
  fwrite(&last, sizeof last, 1, rows);
}

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

/* What ends it ends it; the rest is for our process, and must not interrupt a write. */
static void set_signals(void) {
  sigset_t blocked;
  sigfillset(&blocked);
  sigdelset(&blocked, SIGXCPU);
  sigdelset(&blocked, SIGPIPE); /* the end, when the sink refuses a row */
  for (size_t i = 0; i < CRASHES; i++) sigdelset(&blocked, crashes[i].signal);
  for (size_t i = 0; i < CRASHES; i++) signal(crashes[i].signal, SIG_DFL);
  signal(SIGXCPU, SIG_DFL);
  signal(SIGPIPE, SIG_DFL);
  sigprocmask(SIG_SETMASK, &blocked, NULL);
}

static _Noreturn void read_here(const char *path, int64_t file_bytes, pid_t parent, int64_t used,
                                plm_hdf5_reading *reading, int pipe_end) {
  prctl(PR_SET_PDEATHSIG, SIGKILL); /* it holds the run's locks too, so it must not outlive the run */
  FILE *rows = fdopen(pipe_end, "w");
  if (getppid() != parent || rows == NULL) _exit(EXIT_FAILURE);
  set_signals();
  be_quiet();
  lower_limit(RLIMIT_CORE, 0);
  lower_limit(RLIMIT_CPU, SECONDS + file_bytes / BYTES_PER_SECOND);
  const bool is_limited = used > 0 && lower_limit(RLIMIT_AS, used + memory_bytes + MEMORY_PER_BYTE * file_bytes);
  plm_status status = PLM_OK;
  plm_hdf5_end end = reading(path, rows, &status);
  if (end == PLM_HDF5_NO_MEMORY && !is_limited) end = PLM_HDF5_REFUSED; /* it may be the machine that is small */
  if (end == PLM_HDF5_REFUSED) send_refusal(rows, status);
  _exit(fflush(rows) == 0 && !ferror(rows) ? (int)end : EXIT_FAILURE);
}

/* ---- in ours ---- */

static plm_status damaged(const char *path, const char *did, const char *detail) {
  plm_fail(PLM_E_INPUT, "%s: the HDF5 file is damaged: libhdf5 %s%s while reading it", path, did, detail);
  return plm_hint(PLM_E_INPUT, "check it with h5dump, or make it again");
}

static plm_status judge_signal(const char *path, int number) {
  char detail[32];
  if (number == SIGXCPU || number == SIGKILL)
    return damaged(path, "did not come to an end", ""); /* SIGKILL: the machine's memory was full */
  for (size_t i = 0; i < CRASHES; i++) {
    snprintf(detail, sizeof detail, " (%s)", crashes[i].name);
    if (crashes[i].signal == number) return damaged(path, "crashed", detail);
  }
  return plm_fail(PLM_E_FAILURE, "%s: the process that reads it was ended by signal %d", path,
                  number); /* somebody's: the file may be good */
}

static plm_status judge(const char *path, int how, const refusal *last) {
  if (WIFSIGNALED(how)) return judge_signal(path, WTERMSIG(how));
  if (WEXITSTATUS(how) == PLM_HDF5_READ) return PLM_OK;
  if (WEXITSTATUS(how) == PLM_HDF5_NO_MEMORY) return damaged(path, "asked for far more memory than the file holds", "");
  if (WEXITSTATUS(how) != PLM_HDF5_REFUSED || last->status == PLM_OK)
    return damaged(path, "crashed", ""); /* sanitizers end with an exit code */
  return plm_error_give(&last->error);
}

plm_status plm_hdf5_row_failed(plm_status status, const char *path, unsigned long long row) {
  return plm_error_prefix(status, "%s: row %llu of 'sequences' (from 0): ", path, row);
}

/* Fewer bytes: the pipe's end. A signal is not one. */
static size_t take(FILE *rows, void *data, size_t bytes) {
  size_t taken = 0;
  while (taken < bytes && !feof(rows)) {
    taken += fread((char *)data + taken, 1, bytes - taken, rows);
    if (ferror(rows) && errno != EINTR) break;
    if (ferror(rows)) clearerr(rows);
  }
  return taken;
}

static plm_status take_row(FILE *rows, uint64_t length, plm_sequence_sink *sink) {
  char piece[1 << 14];
  while (length > 0) {
    size_t bytes = take(rows, piece, length < sizeof piece ? length : sizeof piece);
    if (bytes == 0) return PLM_OK; /* cut off: the end of the process says why */
    PLM_TRY(plm_sequence_sink_text(sink, piece, bytes));
    length -= bytes;
  }
  return plm_sequence_sink_end(sink);
}

static plm_status take_rows(const char *path, FILE *rows, plm_sequence_sink *sink, refusal *last) {
  uint64_t length;
  for (unsigned long long row = 0; take(rows, &length, sizeof length) == sizeof length; row++) {
    if (length == REFUSAL && take(rows, last, sizeof *last) == sizeof *last) return PLM_OK;
    plm_status status = take_row(rows, length, sink);
    if (status != PLM_OK) return plm_hdf5_row_failed(status, path, row);
  }
  return ferror(rows) ? plm_fail(PLM_E_FAILURE, "%s: reading from the process that reads it: %s", path, strerror(errno))
                      : PLM_OK;
}

static plm_status no_process(const char *path) {
  return plm_fail(PLM_E_UNSUPPORTED, "%s: no process to read it: %s", path, strerror(errno));
}

/* Both ends of the pipe in ours; the process that reads has the other one. */
static plm_status begin(const char *path, plm_hdf5_reading *reading, pid_t *ret_child, FILE **ret_rows) {
  int64_t bytes;
  int ends[2];
  PLM_TRY(plm_file_size(path, &bytes));
  if (pipe(ends) != 0) return no_process(path);
  const int64_t used = address_space(); /* asked here: the new process should do little before its limits */
  const pid_t parent = getpid();
  *ret_rows = fdopen(ends[0], "r");
  *ret_child = *ret_rows != NULL ? fork() : -1;
  if (*ret_child == 0) {
    close(ends[0]);
    read_here(path, bytes, parent, used, reading, ends[1]);
  }
  close(ends[1]);
  if (*ret_child > 0) return PLM_OK;
  no_process(path);
  if (*ret_rows != NULL)
    fclose(*ret_rows);
  else
    close(ends[0]);
  return PLM_E_UNSUPPORTED;
}

plm_status plm_hdf5_process(const char *path, plm_hdf5_reading *reading, plm_sequence_sink *sink) {
  refusal last = {.status = PLM_OK};
  FILE *rows = NULL;
  pid_t child = -1, ended;
  int how;
  PLM_TRY(begin(path, reading, &child, &rows));
  plm_status status = take_rows(path, rows, sink, &last);
  fclose(rows);
  while ((ended = waitpid(child, &how, 0)) < 0 && errno == EINTR) continue;
  if (status != PLM_OK) return status; /* of the sink */
  if (ended < 0)
    return plm_fail(PLM_E_FAILURE, "%s: the end of the process that reads it is unknown: %s", path, strerror(errno));
  return judge(path, how, &last);
}

#endif
