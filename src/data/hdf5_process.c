/* hdf5_process.c - the process, its limits, the rows, and what its end says of the file. */
#define _GNU_SOURCE
#include "data/hdf5_process.h"

#if PLM_HAVE_HDF5

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "data/child_watch.h"

/* Generous: only what never ends should meet them. */
enum { SECONDS = 20, BYTES_PER_SECOND = 8 << 20, MEMORY_PER_BYTE = 4 };
static const int64_t memory_bytes = (int64_t)2 << 30; /* less than a string's length with its high bit set */

static const struct crash {
  int signal;
  const char *name;
} crashes[] = {{SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"}, {SIGABRT, "SIGABRT"}, {SIGFPE, "SIGFPE"}, {SIGILL, "SIGILL"}};
enum { CRASHES = sizeof crashes / sizeof *crashes };

/* What follows the program's name: the word, the file, and whose child it is to be. The pipe is its descriptor 3. */
static const char command[] = "__read-hdf5";
enum { COMMAND_WORDS = 4, ROWS_FD = 3 };

/* The pipe holds GREETING, rows, each a length and its text, and after a failure REFUSAL and a refusal. */
static const uint64_t REFUSAL = UINT64_MAX;
typedef struct refusal {
  plm_status status; /* PLM_OK: there is none */
  plm_error_record error;
} refusal;
static const uint64_t GREETING = UINT64_C(0x706c6d6835000000) + sizeof(refusal); /* of a program that speaks as we do */

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
static bool lower_limit(unsigned which, int64_t most) { /* unsigned, as the enumeration that glibc has for it */
  struct rlimit limit;
  if (getrlimit(which, &limit) != 0 || limit.rlim_cur <= (rlim_t)most) return false;
  limit.rlim_cur = (rlim_t)most;
  return setrlimit(which, &limit) == 0;
}

/* What ends it ends it; the rest is for the process that asked, and must not interrupt a write. */
static void signals_to_block(sigset_t *ret_blocked) {
  sigfillset(ret_blocked);
  sigdelset(ret_blocked, SIGXCPU);
  sigdelset(ret_blocked, SIGPIPE); /* the end, when the sink refuses a row */
  for (size_t i = 0; i < CRASHES; i++) sigdelset(ret_blocked, crashes[i].signal);
}

static void set_signals(void) {
  sigset_t blocked;
  signals_to_block(&blocked);
  for (size_t i = 0; i < CRASHES; i++) signal(crashes[i].signal, SIG_DFL); /* a sanitizer has its own */
  signal(SIGXCPU, SIG_DFL);
  signal(SIGPIPE, SIG_DFL);
  sigprocmask(SIG_SETMASK, &blocked, NULL);
}

static _Noreturn void read_here(const char *path, pid_t parent, plm_hdf5_reading *reading) {
  prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody waits for the rows of a run that is gone */
  FILE *rows = fdopen(ROWS_FD, "w");
  int64_t file_bytes = 0;
  if (getppid() != parent || rows == NULL || plm_file_size(path, &file_bytes) != PLM_OK) _exit(EXIT_FAILURE);
  set_signals();
  fwrite(&GREETING, sizeof GREETING, 1, rows);
  const int64_t used = address_space();
  lower_limit(RLIMIT_CORE, 0);
  lower_limit(RLIMIT_CPU, SECONDS + file_bytes / BYTES_PER_SECOND);
  const bool is_limited = used > 0 && lower_limit(RLIMIT_AS, used + memory_bytes + MEMORY_PER_BYTE * file_bytes);
  plm_status status = PLM_OK;
  if (fflush(rows) != 0) _exit(EXIT_FAILURE); /* a crash would take the greeting with it */
  plm_hdf5_end end = reading(path, rows, &status);
  if (end == PLM_HDF5_NO_MEMORY && !is_limited) end = PLM_HDF5_REFUSED; /* it may be the machine that is small */
  if (end == PLM_HDF5_REFUSED) send_refusal(rows, status);
  _exit(fflush(rows) == 0 && !ferror(rows) ? (int)end : EXIT_FAILURE);
}

void plm_hdf5_serve(int argc, char *const *argv, plm_hdf5_reading *reading) {
  if (argc != COMMAND_WORDS || strcmp(argv[1], command) != 0) return;
  read_here(argv[2], (pid_t)strtol(argv[3], NULL, 10), reading);
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
  /* somebody's: the file may be good */
  return plm_fail(PLM_E_FAILURE, "%s: the process that reads it was ended by signal %d", path, number);
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

static plm_status no_process(const char *path, const char *why) {
  return plm_fail(PLM_E_UNSUPPORTED, "%s: no process to read it: %s", path, why);
}

/* It comes in one piece, before anything is read through `rows`. */
static bool is_greeted(FILE *rows, int seconds) {
  struct pollfd end = {.fd = fileno(rows), .events = POLLIN};
  uint64_t greeting = 0;
  int ready;
  while ((ready = poll(&end, 1, seconds * 1000)) < 0 && errno == EINTR) continue;
  return ready > 0 && read(end.fd, &greeting, sizeof greeting) == sizeof greeting && greeting == GREETING;
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

/* The process gets the pipe's end and nothing else of ours: no file, no lock. The C library reports a damaged heap on
 * standard error, past us: that goes nowhere. Returns an errno. */
static int spawn(const char *program, const char *path, int pipe_end, pid_t *ret_child) {
  char parent[32];
  snprintf(parent, sizeof parent, "%lld", (long long)getpid());
  char *const words[COMMAND_WORDS + 1] = {(char *)(uintptr_t)program, (char *)(uintptr_t)command,
                                          (char *)(uintptr_t)path, parent, NULL};
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  sigset_t blocked;
  int failure = posix_spawn_file_actions_init(&files);
  if (failure != 0) return failure;
  failure = posix_spawnattr_init(&attributes);
  if (failure == 0) failure = posix_spawn_file_actions_adddup2(&files, pipe_end, ROWS_FD);
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO && failure == 0; fd++)
    failure = posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
  if (failure == 0) failure = posix_spawn_file_actions_addclosefrom_np(&files, ROWS_FD + 1);
  signals_to_block(&blocked); /* from the first moment on */
  posix_spawnattr_setsigmask(&attributes, &blocked);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  if (failure == 0) failure = posix_spawn(ret_child, program, &files, &attributes, words, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  return failure;
}

/* *ret_rows: our end of the pipe. */
static plm_status begin(const char *program, const char *path, pid_t *ret_child, FILE **ret_rows) {
  int64_t bytes;
  int ends[2];
  PLM_TRY(plm_file_size(path, &bytes));
  if (pipe2(ends, O_CLOEXEC) != 0) return no_process(path, strerror(errno));
  *ret_rows = fdopen(ends[0], "r");
  const int failure = *ret_rows == NULL ? errno : spawn(program, path, ends[1], ret_child);
  close(ends[1]);
  if (failure == 0) return PLM_OK;
  if (*ret_rows != NULL)
    fclose(*ret_rows);
  else
    close(ends[0]);
  return no_process(path, strerror(failure));
}

plm_status plm_hdf5_process(const char *program, int seconds, const char *path, plm_sequence_sink *sink) {
  refusal last = {.status = PLM_OK};
  FILE *rows = NULL;
  plm_child_watch *watch = NULL;
  pid_t child = -1, ended;
  int how;
  PLM_TRY(begin(program, path, &child, &rows));
  plm_status status = plm_child_watch_begin(child, sink != NULL ? sink->interrupted : NULL, &watch);
  if (status == PLM_OK)
    status = is_greeted(rows, seconds) ? take_rows(path, rows, sink, &last)
                                       : no_process(path, "the program does not answer");
  if (plm_child_watch_end(watch)) status = PLM_STOPPED;
  fclose(rows);
  if (status != PLM_OK) kill(child, SIGKILL); /* nobody reads what it may still say */
  while ((ended = waitpid(child, &how, 0)) < 0 && errno == EINTR) continue;
  if (status != PLM_OK) return status; /* of the sink, or there was no answer */
  if (ended < 0)
    return plm_fail(PLM_E_FAILURE, "%s: the end of the process that reads it is unknown: %s", path, strerror(errno));
  return judge(path, how, &last);
}

#endif
