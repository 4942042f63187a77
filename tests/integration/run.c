/* run.c - see run.h. Output goes to files, so that it can be read while the program runs and no pipe can fill up. */
#define _GNU_SOURCE
#include "integration/run.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "integration/files.h"
#include "support/child.h"
#include "support/scratch.h"
#include "support/unit.h"

enum { MOST_WORDS = 128, LAUNCHER_WORDS = 8 };
static const double patience = 300; /* seconds; sanitizers and busy machines are slow */

double run_clock(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void run_sleep(double seconds) {
  struct timespec pause = {.tv_sec = (time_t)seconds, .tv_nsec = (long)(1e9 * (seconds - (double)(time_t)seconds))};
  while (nanosleep(&pause, &pause) != 0) continue;
}

int run_setup(void **state) {
  if (scratch_setup(state) != 0) return -1;
  file_copy(PROTEINS, scratch_path("proteins.fasta"));
  return 0;
}

/* ---- the child ---- */

static void signals_held(const run_options *options, sigset_t *ret_held) {
  static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1, SIGHUP};
  sigemptyset(ret_held);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    if (options->holds_signals) sigaddset(ret_held, numbers[i]);
}

/* What the test was started under - nohup, a shell's background - is not passed on: signals do what
 * they do by default. */
static void set_signals(const run_options *options) {
  static const int numbers[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ};
  sigset_t held;
  signals_held(options, &held);
  sigprocmask(SIG_SETMASK, &held, NULL);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) signal(numbers[i], SIG_DFL);
  if (options->nohup) signal(SIGHUP, SIG_IGN);
  if (options->file_bytes > 0) signal(SIGXFSZ, SIG_IGN); /* so that writing fails with EFBIG, as a quota would */
}

static void become_program(const run_options *options, const run_process *process, char **argv) {
  int in = open(options->input != NULL ? options->input : "/dev/null", O_RDONLY);
  int out = open(process->out, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644),
      err = open(process->err, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
  child_must(in >= 0 && out >= 0 && err >= 0, "opening standard input and output");
  child_must(dup2(in, 0) == 0 && dup2(out, 1) == 1 && dup2(err, 2) == 2, "dup2");
  if (options->file_bytes > 0) {
    const struct rlimit limit = {(rlim_t)options->file_bytes, (rlim_t)options->file_bytes};
    child_must(setrlimit(RLIMIT_FSIZE, &limit) == 0, "setrlimit");
  }
  child_set_environment(options->environment);
  set_signals(options);
  /* a test that fails leaves no run behind that goes on for ever */
  child_must(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "prctl");
  execv(options->launcher != NULL ? argv[0] : PROTLM, argv);
  child_must(false, "starting the program or its launcher");
}

/* ---- the parent ---- */

/* Put the words of `line` into `words` as a list that ends with NULL, "{}" replaced; returns the list's length. */
static int split_words(const char *line, char *words, size_t bytes, char **argv) {
  int n = 0;
  char *at = words, *end = words + bytes;
  argv[n++] = (char *)(uintptr_t) "protlm";
  while (*line != '\0' && n <= MOST_WORDS) {
    size_t length = strcspn(line, " ");
    if (length > 0) {
      argv[n++] = at;
      for (size_t i = 0; i < length && at + 512 < end; i++) {
        if (strncmp(line + i, "{}", 2) == 0) {
          at += snprintf(at, (size_t)(end - at), "%s", scratch_path(""));
          i++;
        } else {
          *at++ = line[i];
        }
      }
      *at++ = '\0';
    }
    line += length + (line[length] == ' ');
  }
  argv[n] = NULL;
  return n;
}

/* The launcher's words in front of the program's, which is then called by its path. */
static int put_launcher(const char *const *launcher, char **argv) {
  int n = 0;
  while (launcher != NULL && launcher[n] != NULL) {
    assert_true(n < LAUNCHER_WORDS);
    argv[n] = (char *)(uintptr_t)launcher[n];
    n++;
  }
  return n;
}

static void start(const run_options *options, run_process *process, const char *line) {
  static const run_options plain;
  static int number;
  char words[8192], *argv[LAUNCHER_WORDS + MOST_WORDS + 2];
  size_t used = 0;
  if (options == NULL) options = &plain;
  const int launcher = put_launcher(options->launcher, argv);
  int n = launcher + split_words(line, words, sizeof words, argv + launcher);
  if (launcher > 0) argv[launcher] = (char *)(uintptr_t)PROTLM;
  process->command[0] = '\0';
  for (int i = 0; i < n && used + 1 < sizeof process->command; i++)
    used +=
        (size_t)snprintf(process->command + used, sizeof process->command - used, "%s%s", i > 0 ? " " : "", argv[i]);
  snprintf(process->out, sizeof process->out, "%s.%d", scratch_path("out"), number);
  snprintf(process->err, sizeof process->err, "%s.%d", scratch_path("err"), number++);
  process->started = run_clock();
  fflush(NULL);
  sigset_t held, before; /* from before the child's first moment on */
  signals_held(options, &held);
  sigprocmask(SIG_BLOCK, &held, &before);
  process->pid = fork();
  if (process->pid == 0) become_program(options, process, argv);
  sigprocmask(SIG_SETMASK, &before, NULL);
  assert_true(process->pid > 0);
}

void run_start(const run_options *options, run_process *process, const char *format, ...) {
  char line[8192];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  start(options, process, line);
}

bool run_is_over(const run_process *process) {
  siginfo_t info = {0};
  return waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == process->pid;
}

static void give_up(const run_process *process, const char *why) {
  kill(process->pid, SIGKILL);
  waitpid(process->pid, NULL, 0);
  fail_msg("%s\n%s within %.0f seconds; standard error:\n%.4000s", process->command, why, patience,
           file_read(process->err));
}

/* One of those that may be waited for without an end; sleeps a little between two looks. */
static bool keep_waiting(const run_process *process, const char *why) {
  if (run_is_over(process)) return false;
  if (run_clock() - process->started > patience) give_up(process, why);
  run_sleep(0.0005);
  return true;
}

run_result run_wait(const run_process *process) {
  int status = 0;
  while (keep_waiting(process, "it did not end")) continue;
  assert_true(waitpid(process->pid, &status, 0) == process->pid);
  run_result result = {
      .code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
      .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
      .seconds = run_clock() - process->started,
      .out = file_read(process->out),
      .err = file_read(process->err),
  };
  snprintf(result.command, sizeof result.command, "%s", process->command);
  unlink(process->out);
  unlink(process->err);
  return result;
}

run_result run_protlm(const run_options *options, const char *format, ...) {
  run_process process;
  char line[8192];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  start(options, &process, line);
  return run_wait(&process);
}

/* ---- watching ---- */

run_steps run_steps_of(const char *err) {
  run_steps steps = {0};
  for (const char *line = err; line != NULL && *line != '\0'; line = strchr(line, '\n'), line += line != NULL) {
    long long step;
    int used = 0;
    if (sscanf(line, "step %lld/%n", &step, &used) != 1 || used == 0) continue;
    if (steps.count++ == 0) steps.first = step;
    steps.last = step;
  }
  return steps;
}

run_steps run_steps_now(const run_process *process) { return run_steps_of(file_read(process->err)); }

static int count_words(const char *text, const char *words) {
  int count = 0;
  for (; (text = strstr(text, words)) != NULL; text += strlen(words)) count++;
  return count;
}

bool run_until_said(const run_process *process, const char *words, int times) {
  while (count_words(file_read(process->err), words) < times)
    if (!keep_waiting(process, words)) return false;
  return true;
}

bool run_until_steps(const run_process *process, int64_t count) {
  while (run_steps_now(process).count < count)
    if (!keep_waiting(process, "it did not make enough steps")) return false;
  return true;
}

bool run_until_exists(const run_process *process, const char *path) {
  while (access(path, F_OK) != 0)
    if (!keep_waiting(process, path)) return access(path, F_OK) == 0;
  return true;
}

void run_signal(const run_process *process, int number) { kill(process->pid, number); }

/* ---- judging ---- */

static void fail_with(const run_result *r, const char *what) {
  fail_msg("%s\n%s; exit code %d%s%s\nstdout:\n%.3000s\nstderr:\n%.6000s", r->command, what, r->code,
           r->signal != 0 ? ", killed by " : "", r->signal != 0 ? strsignal(r->signal) : "", r->out, r->err);
}

void run_expect(const run_result *result, int code) {
  char what[64];
  if (result->code == code) return;
  snprintf(what, sizeof what, "expected exit code %d", code);
  fail_with(result, what);
}

void run_expect_words(const run_result *result, const char *text, const char *words) {
  char what[512];
  if (strstr(text, words) != NULL) return;
  snprintf(what, sizeof what, "'%s' is not said", words);
  fail_with(result, what);
}
