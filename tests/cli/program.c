/* program.c - plain system calls: nothing of protlm's own library stands between the test and the program. */
#define _GNU_SOURCE
#include "cli/program.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/child.h"
#include "support/scratch.h"
#include "support/unit.h"

enum { NOBODY = 65534, MOST_WORDS = 64, LINE_BYTES = 1 << 14 };

typedef struct capture {
  char *text;
  size_t length, room;
  int fd;
} capture;

static capture captured[2]; /* standard output, standard error */
static char last[LINE_BYTES];

const char *program_last(void) { return last; }

/* ---- the child ---- */

/* The program is opened before rights are given up: its folder may be closed to others. */
static void become_program(const program_options *options, char **argv, int out, int err) {
  int program = open(PROTLM, O_RDONLY);
  child_must(program >= 0, PROTLM);
  int in = open(options->input != NULL ? options->input : "/dev/null", O_RDONLY);
  if (options->output != NULL) out = open(options->output, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  child_must(in >= 0 && out >= 0, "opening standard input and output");
  child_must(dup2(in, 0) == 0 && dup2(out, 1) == 1 && dup2(err, 2) == 2, "dup2");
  child_must(options->directory == NULL || chdir(options->directory) == 0, "chdir");
  child_set_environment(options->environment);
  if (options->as_nobody && geteuid() == 0) child_must(setgid(NOBODY) == 0 && setuid(NOBODY) == 0, "setuid");
  fexecve(program, argv, environ);
  child_must(false, PROTLM);
}

/* ---- the parent ---- */

static void note_command(char *const *argv) {
  size_t used = 0;
  last[0] = '\0';
  for (; *argv != NULL && used < sizeof last; argv++)
    used += (size_t)snprintf(last + used, sizeof last - used, "%s%s", used > 0 ? " " : "", *argv);
}

static bool read_some(capture *c) {
  if (c->length + 4096 > c->room) {
    c->room = 2 * c->room + 8192;
    c->text = realloc(c->text, c->room);
    if (c->text == NULL) abort();
  }
  ssize_t got = read(c->fd, c->text + c->length, c->room - c->length - 1);
  if (got > 0) c->length += (size_t)got;
  c->text[c->length] = '\0';
  return got > 0;
}

static void read_both(void) {
  for (bool open[2] = {true, true}; open[0] || open[1];) {
    struct pollfd wait[2];
    for (int i = 0; i < 2; i++) wait[i] = (struct pollfd){.fd = open[i] ? captured[i].fd : -1, .events = POLLIN};
    if (poll(wait, 2, -1) < 0) continue;
    for (int i = 0; i < 2; i++)
      if (wait[i].revents != 0) open[i] = read_some(&captured[i]);
  }
}

static pid_t start(const program_options *options, char **argv) {
  int ends[2][2];
  for (int i = 0; i < 2; i++) {
    if (pipe2(ends[i], O_CLOEXEC) != 0) abort();
    captured[i].length = 0;
    captured[i].fd = ends[i][0];
  }
  fflush(NULL);
  int out = ends[0][1], closed[2];
  if (options->closed_output) {
    if (pipe2(closed, O_CLOEXEC) != 0) abort();
    close(closed[0]);
    out = closed[1];
  }
  pid_t child = fork();
  if (child == 0) become_program(options, argv, out, ends[1][1]);
  if (options->closed_output) close(closed[1]);
  for (int i = 0; i < 2; i++) close(ends[i][1]);
  return child;
}

program_result program_run(const program_options *options, const char *const *arguments) {
  static const program_options plain;
  char *argv[MOST_WORDS + 2] = {(char *)(uintptr_t) "protlm"};
  int status = 0, n = 1;
  for (; arguments[n - 1] != NULL && n <= MOST_WORDS; n++) argv[n] = (char *)(uintptr_t)arguments[n - 1];
  note_command(argv);
  pid_t child = start(options != NULL ? options : &plain, argv);
  assert_true(child > 0);
  read_both();
  for (int i = 0; i < 2; i++) close(captured[i].fd);
  assert_true(waitpid(child, &status, 0) == child);
  return (program_result){
      .code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
      .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
      .out = captured[0].text,
      .err = captured[1].text,
      .out_bytes = captured[0].length,
  };
}

/* Append `word` to *at with every "{}" replaced. */
static void expand(const char *word, const char *path, char **at, const char *end) {
  while (*word != '\0' && *at + 1 < end) {
    if (strncmp(word, "{}", 2) == 0) {
      *at += snprintf(*at, (size_t)(end - *at), "%s", path);
      word += 2;
    } else {
      *(*at)++ = *word++;
    }
  }
  *(*at)++ = '\0';
}

program_result program_line(const program_options *options, const char *line, const char *path) {
  char words[LINE_BYTES], expanded[LINE_BYTES], *at = expanded;
  const char *arguments[MOST_WORDS + 1];
  size_t n = 0;
  snprintf(words, sizeof words, "%s", line);
  for (char *word = words, *next; word != NULL && n < MOST_WORDS; word = next) {
    next = strchr(word, ' ');
    if (next != NULL) *next++ = '\0';
    if (*word == '\0') continue;
    arguments[n++] = at;
    expand(word, path != NULL ? path : "", &at, expanded + sizeof expanded);
  }
  arguments[n] = NULL;
  return program_run(options, arguments);
}

void program_expect(const program_result *result, int code) {
  if (result->code == code) return;
  fail_msg("%s\nexpected exit code %d, got %d%s%s\nstdout:\n%.2000s\nstderr:\n%.4000s", last, code, result->code,
           result->signal != 0 ? ", killed by " : "", result->signal != 0 ? strsignal(result->signal) : "", result->out,
           result->err);
}

void program_expect_words(const program_result *result, const char *text, const char *words) {
  if (strstr(text, words) != NULL) return;
  fail_msg("%s\n'%s' is not said\nstdout:\n%.2000s\nstderr:\n%.4000s", last, words, result->out, result->err);
}
