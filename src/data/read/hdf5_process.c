/* hdf5_process.c - the process, its limits, and what its end says of the file. */
#define _GNU_SOURCE
#include "data/read/hdf5_process.h"

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
#include "data/read/child_watch.h"

/* Generous: only what never ends should meet them. */
enum { SECONDS = 20, BYTES_PER_SECOND = 8 << 20, MEMORY_PER_BYTE = 4 };
static const int64_t memory_bytes = (int64_t)2 << 30; /* less than a string's length with its high bit set */

static const struct crash {
  int signal;
  const char *name;
} crashes[] = {{SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"}, {SIGABRT, "SIGABRT"}, {SIGFPE, "SIGFPE"}, {SIGILL, "SIGILL"}};
enum { CRASHES = sizeof crashes / sizeof *crashes };

/* What follows the program's name: the word, the file, whose child it is to be, what is asked, and the names of the
 * datasets, empty where none is given. The pipe is its descriptor 3. */
static const char command[] = "__read-hdf5", all_rows[] = "rows", only_sources[] = "sources";
enum { COMMAND_WORDS = 7, PIPE_FD = 3 };

/* ---- in the process that reads ---- */

/* Address space in use; 0 = unknown. */
static int64_t address_space(void) {
  long long pages = 0;
  FILE *file = fopen("/proc/self/statm", "re");
  if (file == NULL) return 0;
  if (fscanf(file, "%lld", &pages) != 1) pages = 0;
  fclose(file);
  return pages * sysconf(_SC_PAGESIZE);
}

/* A limit that is ours; `given`: the one that was there before. */
typedef struct own_limit {
  unsigned which; /* unsigned, as the enumeration that glibc has for it */
  rlim_t given;
  bool is_set;
} own_limit;
static own_limit processor = {.which = RLIMIT_CPU}, memory = {.which = RLIMIT_AS};
static int64_t file_bytes, used_before; /* 0: unknown */

/* Ours, unless a lower one was there; may be called again, and raise it. */
static void set_limit(own_limit *own, int64_t most) {
  struct rlimit limit;
  if (getrlimit(own->which, &limit) != 0) return;
  if (!own->is_set) own->given = limit.rlim_cur;
  if (own->given <= (rlim_t)most) return;
  limit.rlim_cur = (rlim_t)most;
  own->is_set = setrlimit(own->which, &limit) == 0;
}

/* For the file, and `more` that it only points to. */
static void allow(int64_t more) {
  const int64_t bytes = file_bytes + more;
  set_limit(&processor, SECONDS + bytes / BYTES_PER_SECOND);
  if (used_before > 0) set_limit(&memory, used_before + memory_bytes + MEMORY_PER_BYTE * bytes);
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

/* Rows are small, and each is some pieces: a call of the system for each buffer of theirs costs more than they do. */
enum { PIPE_BUFFER = 1 << 18 };

static _Noreturn void read_here(const plm_hdf5_task *task, pid_t parent, plm_hdf5_reading *reading) {
  prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody waits for the rows of a run that is gone */
  plm_hdf5_taker taker = {.pipe = fdopen(PIPE_FD, "w"), .path = task->path, .allow = allow};
  const uint64_t greeting = plm_hdf5_greeting();
  if (getppid() != parent || taker.pipe == NULL || plm_file_size(task->path, &file_bytes) != PLM_OK)
    _exit(EXIT_FAILURE);
  static char buffer[PIPE_BUFFER];
  setvbuf(taker.pipe, buffer, _IOFBF, sizeof buffer);
  set_signals();
  fwrite(&greeting, sizeof greeting, 1, taker.pipe);
  own_limit core = {.which = RLIMIT_CORE};
  set_limit(&core, 0);
  used_before = address_space();
  allow(0);
  plm_status status = PLM_OK;
  if (fflush(taker.pipe) != 0) _exit(EXIT_FAILURE); /* a crash would take the greeting with it */
  plm_hdf5_end end = reading(task, &taker, &status);
  if (end == PLM_HDF5_NO_MEMORY && !memory.is_set) end = PLM_HDF5_REFUSED; /* it may be the machine that is small */
  if (end == PLM_HDF5_REFUSED) plm_hdf5_send_failure(taker.pipe, status);
  _exit(fflush(taker.pipe) == 0 && !ferror(taker.pipe) ? (int)end : EXIT_FAILURE);
}

static const char *name_or_null(const char *word) { return word[0] != '\0' ? word : NULL; }

void plm_hdf5_serve(int argc, char *const *argv, plm_hdf5_reading *reading) {
  if (argc != COMMAND_WORDS || strcmp(argv[1], command) != 0) return;
  const plm_hdf5_task task = {
      .path = argv[2],
      .only_sources = strcmp(argv[4], only_sources) == 0,
      .dataset = name_or_null(argv[5]),
      .ids = name_or_null(argv[6]),
  };
  read_here(&task, (pid_t)strtol(argv[3], NULL, 10), reading);
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

static plm_status judge(const char *path, int how, const plm_error_record *failure) {
  if (WIFSIGNALED(how)) return judge_signal(path, WTERMSIG(how));
  if (WEXITSTATUS(how) == PLM_HDF5_READ) return PLM_OK;
  if (WEXITSTATUS(how) == PLM_HDF5_NO_MEMORY) return damaged(path, "asked for far more memory than the file holds", "");
  if (WEXITSTATUS(how) != PLM_HDF5_REFUSED || failure->code == PLM_OK)
    return damaged(path, "crashed", ""); /* sanitizers end with an exit code */
  return plm_error_give(failure);
}

static plm_status no_process(const char *path, const char *why) {
  return plm_fail(PLM_E_UNSUPPORTED, "%s: no process to read it: %s", path, why);
}

/* It comes in one piece, before anything is read through `ours`. */
static bool is_greeted(FILE *ours, int seconds) {
  struct pollfd end = {.fd = fileno(ours), .events = POLLIN};
  uint64_t greeting = 0;
  int ready;
  while ((ready = poll(&end, 1, seconds * 1000)) < 0 && errno == EINTR) continue;
  return ready > 0 && read(end.fd, &greeting, sizeof greeting) == sizeof greeting && greeting == plm_hdf5_greeting();
}

/* The process gets the pipe's end and nothing else of ours: no file, no lock. The C library reports a damaged heap on
 * standard error, past us: that goes nowhere. Returns an errno. */
static int spawn(const char *program, const plm_hdf5_task *task, int pipe_end, pid_t *ret_child) {
  char parent[32];
  snprintf(parent, sizeof parent, "%lld", (long long)getpid());
  const char *words[COMMAND_WORDS + 1] = {program,
                                          command,
                                          task->path,
                                          parent,
                                          task->only_sources ? only_sources : all_rows,
                                          task->dataset != NULL ? task->dataset : "",
                                          task->ids != NULL ? task->ids : "",
                                          NULL};
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  sigset_t blocked;
  int failure = posix_spawn_file_actions_init(&files);
  if (failure != 0) return failure;
  failure = posix_spawnattr_init(&attributes);
  if (failure == 0) failure = posix_spawn_file_actions_adddup2(&files, pipe_end, PIPE_FD);
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO && failure == 0; fd++)
    failure = posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
  if (failure == 0) failure = posix_spawn_file_actions_addclosefrom_np(&files, PIPE_FD + 1);
  signals_to_block(&blocked); /* from the first moment on */
  posix_spawnattr_setsigmask(&attributes, &blocked);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  if (failure == 0)
    failure = posix_spawn(ret_child, program, &files, &attributes, (char *const *)(uintptr_t)words, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  return failure;
}

/* *ret_pipe: our end of it. */
static plm_status begin(const char *program, const plm_hdf5_task *task, pid_t *ret_child, FILE **ret_pipe) {
  int64_t bytes;
  int ends[2];
  PLM_TRY(plm_file_size(task->path, &bytes));
  if (pipe2(ends, O_CLOEXEC) != 0) return no_process(task->path, strerror(errno));
  *ret_pipe = fdopen(ends[0], "r");
  const int failure = *ret_pipe == NULL ? errno : spawn(program, task, ends[1], ret_child);
  close(ends[1]);
  if (failure == 0) return PLM_OK;
  if (*ret_pipe != NULL)
    fclose(*ret_pipe);
  else
    close(ends[0]);
  return no_process(task->path, strerror(failure));
}

plm_status plm_hdf5_process(const char *program, int seconds, const plm_hdf5_task *task, plm_hdf5_taker *taker) {
  plm_error_record failure = {.code = PLM_OK};
  FILE *ours = NULL;
  plm_child_watch *watch = NULL;
  pid_t child = -1, ended;
  int how;
  PLM_TRY(begin(program, task, &child, &ours));
  plm_status status = plm_child_watch_begin(child, taker->sink != NULL ? taker->sink->interrupted : NULL, &watch);
  if (status == PLM_OK)
    status = is_greeted(ours, seconds) ? plm_hdf5_forward(ours, taker, &failure)
                                       : no_process(task->path, "the program does not answer");
  if (plm_child_watch_end(watch)) status = PLM_STOPPED;
  fclose(ours);
  if (status != PLM_OK) kill(child, SIGKILL); /* nobody reads what it may still say */
  while ((ended = waitpid(child, &how, 0)) < 0 && errno == EINTR) continue;
  if (status != PLM_OK) return status; /* of the taker, or there was no answer */
  if (ended < 0)
    return plm_fail(PLM_E_FAILURE, "%s: the end of the process that reads it is unknown: %s", task->path,
                    strerror(errno));
  return judge(task->path, how, &failure);
}

#endif
