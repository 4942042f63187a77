/* run.h - start protlm as a shell would, watch what it says, send it signals, and see how it ended.
 *
 * Plain system calls: nothing of protlm's own library stands between a test and the program. Every wait has an end,
 * after which the test fails and shows the command and what it said.
 */
#ifndef TESTS_INTEGRATION_RUN_H
#define TESTS_INTEGRATION_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* How to start it; zero-initialised: nothing on standard input, the caller's environment without
 * what changes protlm. */
typedef struct run_options {
  const char *input;              /* file that is standard input */
  const char *const *environment; /* "NAME=value" to add; ends with NULL */
  int64_t file_bytes;             /* no file may grow beyond this (RLIMIT_FSIZE); 0 = no limit */
  bool nohup;                     /* SIGHUP is ignored, as nohup leaves it */
  bool holds_signals;             /* those that ask to stop are blocked until the program unblocks them */
  const char *const *launcher;    /* words in front of the program's path, the first a path too; ends with NULL */
} run_options;

typedef struct run_process {
  pid_t pid;
  double started;
  char command[4096];
  char out[256], err[256]; /* files */
} run_process;

typedef struct run_result {
  int code;   /* exit code; -1 when a signal ended it */
  int signal; /* 0 when it exited */
  double seconds;
  const char *out, *err; /* valid until two more processes have ended */
  char command[4096];
} run_result;

/* A group's set-up: a scratch directory with proteins.fasta in it, so that nothing is written beside the committed
 * file. */
int run_setup(void **state);

/* The words of `format`, separated by single spaces. {} stands for the scratch directory. */
void run_start(const run_options *options, run_process *process, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool run_is_over(const run_process *process); /* leaves it to be waited for */
run_result run_wait(const run_process *process);
run_result run_protlm(const run_options *options, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Lines of standard error that begin with "step <k>/", so far: how many, and the first and last k (0 when none). */
typedef struct run_steps {
  int64_t count, first, last;
} run_steps;
run_steps run_steps_of(const char *err);
run_steps run_steps_now(const run_process *process);

/* Wait until standard error has said `words` so many times, or `count` steps are done; false when the process ended
 * before that. */
bool run_until_said(const run_process *process, const char *words, int times);
bool run_until_steps(const run_process *process, int64_t count);
bool run_until_exists(const run_process *process, const char *path);

void run_signal(const run_process *process, int number);
void run_sleep(double seconds);
double run_clock(void);

/* Fail the test, showing command and output, unless the exit code is this / the text (out or err)
 * contains these words. */
void run_expect(const run_result *result, int code);
void run_expect_words(const run_result *result, const char *text, const char *words);

#endif
