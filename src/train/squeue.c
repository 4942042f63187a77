/* squeue.c - see squeue.h. */
#define _GNU_SOURCE
#include "train/squeue.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

bool plm_squeue_parse_time(const char *text, double *ret_seconds) {
  int days = 0, fields[3] = {0}, count, end = 0;
  if (sscanf(text, "%d-%n", &days, &end) == 1 && end > 0)
    text += end;
  else
    days = 0;
  count = sscanf(text, "%d:%d:%d", &fields[0], &fields[1], &fields[2]);
  if (count < 2 || days < 0) return false;
  const int hours = count == 3 ? fields[0] : 0, minutes = fields[count - 2], seconds = fields[count - 1];
  if (hours < 0 || minutes < 0 || seconds < 0) return false;
  *ret_seconds = 86400.0 * days + 3600.0 * hours + 60.0 * minutes + seconds;
  return true;
}

/* With nothing of ours but the pipe, and with signals as a program expects them. An errno. */
static int spawn(const char *job, int pipe_end, pid_t *ret_child) {
  const char *const words[] = {"squeue", "-h", "-j", job, "-o", "%L", NULL};
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  sigset_t none;
  sigemptyset(&none);
  int failure = posix_spawn_file_actions_init(&files);
  if (failure != 0) return failure;
  failure = posix_spawnattr_init(&attributes);
  if (failure == 0) failure = posix_spawn_file_actions_adddup2(&files, pipe_end, STDOUT_FILENO);
  if (failure == 0) failure = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDWR, 0);
  if (failure == 0) failure = posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_RDWR, 0);
  if (failure == 0) failure = posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  if (failure == 0)
    failure = posix_spawnp(ret_child, words[0], &files, &attributes, (char *const *)(uintptr_t)words, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  return failure;
}

/* Its first line, cut to fit; "" when time is up. */
static void read_line(int fd, double patience, char *line, size_t bytes) {
  const double until = plm_clock_monotonic() + patience;
  size_t n = 0;
  for (;;) {
    const double left = until - plm_clock_monotonic();
    struct pollfd end = {.fd = fd, .events = POLLIN};
    if (left <= 0 || n + 1 >= bytes) break;
    const int ready = poll(&end, 1, (int)(1000 * left) + 1);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) break;
    const ssize_t got = read(fd, line + n, bytes - 1 - n);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    n += (size_t)got;
  }
  line[n] = '\0';
}

bool plm_squeue_time_left(const char *job, double patience, double *ret_seconds) {
  int ends[2];
  char line[64] = "";
  pid_t child;
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  const int failure = spawn(job, ends[1], &child);
  close(ends[1]);
  if (failure == 0) {
    read_line(ends[0], patience, line, sizeof line);
    kill(child, SIGKILL); /* it has said its line, or never will */
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
  }
  close(ends[0]);
  return failure == 0 && plm_squeue_parse_time(line, ret_seconds);
}
