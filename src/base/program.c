/* program.c - see program.h. */
#define _GNU_SOURCE
#include "base/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

/* A file without a name that holds `text`: the program reads it when it likes, and nobody waits for anybody. */
static int open_text(const char *text) {
  const int fd = memfd_create("protlm", MFD_CLOEXEC);
  const size_t bytes = strlen(text);
  if (fd < 0) return -1;
  for (size_t done = 0; done < bytes;) {
    const ssize_t n = write(fd, text + done, bytes - done);
    if (n < 0 && errno != EINTR) {
      close(fd);
      return -1;
    }
    if (n > 0) done += (size_t)n;
  }
  lseek(fd, 0, SEEK_SET);
  return fd;
}

/* With nothing of ours but what it reads and writes, and with signals as a program expects them. An errno. */
static int spawn(const plm_program_call *call, int input, int output, pid_t *ret_pid) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  sigset_t defaults, none;
  int failure = posix_spawn_file_actions_init(&files);
  if (failure != 0) return failure;
  failure = posix_spawnattr_init(&attributes);
  if (failure == 0) {
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGUSR2);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    if (input >= 0) failure = posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
    if (input < 0) failure = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (failure == 0) failure = posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
    if (failure == 0 && call->quiet)
      failure = posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (failure == 0) failure = posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    if (failure == 0)
      failure =
          posix_spawnp(ret_pid, call->argv[0], &files, &attributes, (char *const *)(uintptr_t)call->argv, environ);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_destroy(&files);
  return failure;
}

/* Until it closes its end; false when the time is over before. */
static bool read_all(int fd, double timeout_s, plm_text *out) {
  const double end = plm_clock_monotonic() + timeout_s;
  char bytes[4096];
  for (;;) {
    const double left = end - plm_clock_monotonic();
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (left <= 0 || poll(&wait, 1, (int)(1000 * left) + 1) == 0) return false;
    const ssize_t n = read(fd, bytes, sizeof bytes);
    if (n == 0) return true;
    if (n > 0) plm_text_append_bytes(out, bytes, (size_t)n);
    if (n < 0 && errno != EINTR) return true;
  }
}

static int wait_for(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

plm_status plm_run_program(const plm_program_call *call, char **ret_output, int *ret_code) {
  const char *name = call->argv[0];
  int ends[2], input = -1;
  pid_t pid = 0;
  plm_text out = {0};
  if (pipe2(ends, O_CLOEXEC) != 0) return plm_fail(PLM_E_FAILURE, "%s: no pipe: %s", name, strerror(errno));
  if (call->input != NULL) input = open_text(call->input);
  int failure = call->input != NULL && input < 0 ? errno : spawn(call, input, ends[1], &pid);
  close(ends[1]);
  if (input >= 0) close(input);
  bool is_in_time = true;
  if (failure == 0) {
    is_in_time = read_all(ends[0], call->timeout_s, &out);
    if (!is_in_time) kill(pid, SIGKILL);
    *ret_code = wait_for(pid);
  }
  close(ends[0]);
  if (failure == 0 && is_in_time) return plm_text_take(&out, ret_output);
  plm_text_free(&out);
  if (failure != 0) return plm_fail(PLM_E_FAILURE, "%s cannot be run: %s", name, strerror(failure));
  return plm_fail(PLM_E_FAILURE, "%s gave no answer in %g s", name, call->timeout_s);
}
