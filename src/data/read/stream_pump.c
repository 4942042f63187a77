/* stream_pump.c - see stream_pump.h */
#define _GNU_SOURCE
#include "data/read/stream_pump.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "data/read/sequence_file.h"

enum { PIECE_BYTES = 1 << 16, PATIENCE_MS = 100 };

struct plm_stream_pump {
  char *path;
  int from, to; /* -1: not open */
  bool (*interrupted)(void);
  pthread_t thread;
  atomic_bool closing;
  bool stopped; /* what the thread found, for when it has ended */
  int failure;  /* errno, 0 = none */
  char piece[PIECE_BYTES];
};

/* ---- the thread ---- */

/* False: reading is to stop. */
static bool wait_for_bytes(plm_stream_pump *p) {
  struct pollfd wait = {.fd = p->from, .events = POLLIN};
  while (!atomic_load(&p->closing)) {
    p->stopped = p->interrupted != NULL && p->interrupted();
    if (p->stopped) return false;
    if (poll(&wait, 1, PATIENCE_MS) > 0) return true;
  }
  return false;
}

/* False: nobody reads any more. */
static bool pass_on(plm_stream_pump *p, ssize_t bytes) {
  for (ssize_t done = 0; done < bytes;) {
    ssize_t written = write(p->to, p->piece + done, (size_t)(bytes - done));
    if (written < 0 && errno != EINTR) return false;
    if (written > 0) done += written;
  }
  return true;
}

static void *run(void *user) {
  plm_stream_pump *p = user;
  while (wait_for_bytes(p)) {
    ssize_t got = read(p->from, p->piece, sizeof p->piece);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) p->failure = errno;
    if (got <= 0 || !pass_on(p, got)) break;
  }
  close(p->to); /* the reader's end of file */
  p->to = -1;
  return NULL;
}

/* ---- opening and closing ---- */

static plm_status start(plm_stream_pump *p) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's business, SIGPIPE nobody's */
  int error = pthread_create(&p->thread, NULL, run, p);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return error == 0 ? PLM_OK
                    : plm_fail(PLM_E_RESOURCE, "the thread that reads %s could not be started: %s",
                               plm_sequence_file_words(p->path), strerror(error));
}

/* A FIFO is opened without waiting for its writer: that is waited for where it can be interrupted. */
static plm_status open_ends(plm_stream_pump *p, int *ret_fd) {
  int ends[2];
  p->from = strcmp(p->path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                                      : open(p->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (p->from < 0)
    return plm_fail(PLM_E_INPUT, "%s: cannot be opened: %s", plm_sequence_file_words(p->path), strerror(errno));
  if (pipe2(ends, O_CLOEXEC) != 0)
    return plm_fail(PLM_E_RESOURCE, "%s: no pipe to read it through: %s", plm_sequence_file_words(p->path),
                    strerror(errno));
  *ret_fd = ends[0];
  p->to = ends[1];
  return PLM_OK;
}

static void destroy(plm_stream_pump *p) {
  if (p->from >= 0) close(p->from);
  if (p->to >= 0) close(p->to);
  plm_free(p->path);
  plm_free(p);
}

plm_status plm_stream_pump_open(const char *path, bool (*interrupted)(void), plm_stream_pump **ret_pump, int *ret_fd) {
  plm_status status = PLM_OK;
  plm_stream_pump *p;
  int fd = -1;
  PLM_TRY(PLM_NEW(&p, 1));
  p->from = p->to = -1;
  p->interrupted = interrupted;
  PLM_TRY_GOTO(plm_strdup(path, &p->path), fail);
  PLM_TRY_GOTO(open_ends(p, &fd), fail);
  PLM_TRY_GOTO(start(p), fail);
  *ret_pump = p;
  *ret_fd = fd;
  return PLM_OK;
fail:
  if (fd >= 0) close(fd);
  destroy(p);
  return status;
}

plm_status plm_stream_pump_close(plm_stream_pump *p) {
  plm_status status = PLM_OK;
  if (p == NULL) return PLM_OK;
  atomic_store(&p->closing, true);
  pthread_join(p->thread, NULL);
  if (p->stopped)
    status = PLM_STOPPED;
  else if (p->failure != 0)
    status = plm_fail(PLM_E_INPUT, "%s: reading failed: %s", plm_sequence_file_words(p->path), strerror(p->failure));
  destroy(p);
  return status;
}
