/* program.h - run protlm as a user's shell would, and look at what came back. */
#ifndef TESTS_CLI_PROGRAM_H
#define TESTS_CLI_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

/* How to run it; zero-initialised: as this user, nothing on standard input, both outputs captured. */
typedef struct program_options {
  const char *const *environment; /* "NAME=value" to add, "NAME" to remove; ends with NULL */
  const char *directory;          /* to run in */
  const char *input;              /* file that is standard input */
  const char *output;             /* file that is standard output, instead of the capture */
  bool as_nobody;                 /* without root's rights, whoever runs the test */
  bool closed_output;             /* standard output is a pipe whose reader has left */
} program_options;

typedef struct program_result {
  int code;        /* exit code; -1 when a signal ended it */
  int signal;      /* 0 when it exited */
  const char *out; /* captured, NUL-terminated; valid until the next run */
  const char *err;
  size_t out_bytes;
} program_result;

/* argv[0] is left to us. PROTLM_* of the caller are not passed on, but for PROTLM_CPU; caches and home are in the
 * scratch directory. */
program_result program_run(const program_options *options, const char *const *arguments);

/* The same for a line of words separated by single spaces, each "{}" in it replaced by `path` (which
 * may hold spaces). */
program_result program_line(const program_options *options, const char *line, const char *path);

/* Fails the test, showing command, code and both outputs, unless the program exited with `code`. */
void program_expect(const program_result *result, int code);
/* ... and unless `text` (out or err) contains `words`. */
void program_expect_words(const program_result *result, const char *text, const char *words);

/* The command line of the last run, for messages. */
const char *program_last(void);

#endif
