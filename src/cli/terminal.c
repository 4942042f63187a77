/* terminal.c - colour, width, the log sink, the one progress line, error messages, numbers for people. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/cli.h"
#include "dist/launch.h"
#include "protlm/log.h"

/* The terminal as the log sink sees it: the sink gets no other context. `shown` is the progress line now on screen. */
static struct {
  cli_terminal terminal;
  char shown[1024];
  char who[128]; /* "rank 1 n2": a later one of several; "" otherwise */
} screen;

static int terminal_width(int fd) {
  struct winsize size;
  if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20) return size.ws_col;
  const char *columns = getenv("COLUMNS");
  int width = columns == NULL ? 0 : atoi(columns);
  return width >= 20 ? width : 80;
}

/* What several processes of one launcher write it reads, through a terminal of its own in Open MPI's case; where that
 * goes nobody knows. */
static bool is_terminal(int fd) {
  plm_launch launch;
  plm_launch_detect(&launch);
  return launch.size == 1 && isatty(fd);
}

void cli_terminal_open(const cli_common *common, cli_terminal *ret_terminal) {
  const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
  bool plain =
      common->no_color || (no_color != NULL && *no_color != '\0') || (term != NULL && strcmp(term, "dumb") == 0);
  bool live = is_terminal(STDERR_FILENO) && !(term != NULL && strcmp(term, "dumb") == 0);
  *ret_terminal = (cli_terminal){
      .live = live && !common->quiet && cli_speaks(),
      .colour = is_terminal(STDERR_FILENO) && !plain,
      .stdout_colour = is_terminal(STDOUT_FILENO) && !plain,
      .width = terminal_width(is_terminal(STDOUT_FILENO) ? STDOUT_FILENO : STDERR_FILENO),
  };
  screen.terminal = *ret_terminal;
}

const char *cli_style(const cli_terminal *terminal, const char *ansi) { return terminal->colour ? ansi : ""; }

void cli_status_line(const char *line) {
  if (!screen.terminal.live) return;
  if (line == NULL && screen.shown[0] == '\0') return;
  fputs("\r\033[K", stderr);
  screen.shown[0] = '\0';
  if (line != NULL) {
    snprintf(screen.shown, sizeof screen.shown, "%s", line);
    fputs(screen.shown, stderr);
  }
  fflush(stderr);
}

/* Names of files and records are other people's words: what steers a terminal is escaped, whatever message it came in.
 * Ends of lines are ours. */
static void print_safely(const char *words) {
  char shown[512];
  for (const char *at = words; *at != '\0';) {
    size_t bytes = strcspn(at, "\n\t");
    if (bytes > 120) bytes = 120; /* a byte takes four at most */
    while (bytes > 100 && (at[bytes] & 0xC0) == 0x80) bytes--;
    if (bytes > 0) fputs(plm_printable(at, bytes, shown, sizeof shown), stderr);
    at += bytes;
    if (*at == '\n' || *at == '\t') fputc(*at++, stderr);
  }
}

static void sink(void *user, plm_log_level level, const char *line) {
  (void)user;
  const cli_terminal *t = &screen.terminal;
  if (level == PLM_LOG_WARN && !cli_warning_is_due(line)) return;
  if (screen.shown[0] != '\0') fputs("\r\033[K", stderr);
  const char *label = level == PLM_LOG_WARN ? "warning: " : level == PLM_LOG_ERROR ? "error: " : "";
  const char *style = level == PLM_LOG_WARN    ? "\033[33m"
                      : level == PLM_LOG_ERROR ? "\033[31m"
                      : level >= PLM_LOG_DEBUG ? "\033[2m"
                                               : "";
  if (screen.who[0] != '\0') fprintf(stderr, "[%s] ", screen.who);
  fprintf(stderr, "%s%s", *style ? cli_style(t, style) : "", label);
  print_safely(line);
  fprintf(stderr, "%s\n", *style ? cli_style(t, "\033[0m") : "");
  if (screen.shown[0] != '\0') fputs(screen.shown, stderr);
  fflush(stderr);
}

void cli_log_open(const cli_terminal *terminal, const cli_common *common) {
  screen.terminal = *terminal;
  plm_log_set_sink(sink, NULL);
  plm_log_set_level(common->quiet          ? PLM_LOG_WARN
                    : common->verbose >= 2 ? PLM_LOG_TRACE
                    : common->verbose == 1 ? PLM_LOG_DEBUG
                                           : PLM_LOG_INFO);
}

void cli_log_as_rank(const cli_common *common, const char *who) {
  snprintf(screen.who, sizeof screen.who, "%s", who);
  plm_log_set_level(common->verbose >= 2 ? PLM_LOG_TRACE : PLM_LOG_WARN);
}

void cli_print_error(const cli_terminal *terminal, plm_status status) {
  cli_status_line(NULL);
  const char *message = plm_error_message(), *hint = plm_error_hint();
  fprintf(stderr, "%sprotlm: %s:%s ", cli_style(terminal, "\033[1;31m"), plm_status_name(status),
          cli_style(terminal, "\033[0m"));
  print_safely(*message ? message : "no message");
  if (*hint) fprintf(stderr, "\n%s  try:%s ", cli_style(terminal, "\033[1m"), cli_style(terminal, "\033[0m"));
  print_safely(hint);
  fputc('\n', stderr);
  if (status == PLM_E_BUG)
    fprintf(stderr, "This is a defect of protlm, not of your data. Please report it with these lines:\n%s",
            plm_error_trace());
  else if (plm_log_get_level() >= PLM_LOG_DEBUG)
    fprintf(stderr, "%s", plm_error_trace());
}

/* Async-signal-safe. */
static void say(const char *words) {
  if (write(STDERR_FILENO, words, strlen(words)) < 0) return; /* there is nobody to tell that nobody can be told */
}

void cli_tell_lost_file(const char *path) {
  say("\nprotlm: ");
  say(plm_status_name(PLM_E_INPUT));
  say(": ");
  if (screen.who[0] != '\0') say(screen.who);
  if (screen.who[0] != '\0') say(": ");
  say("cannot read ");
  say(path);
  say(": it was cut short while it was in use, or its disk fails\n  try: put the file back, and run the same command again\n");
  cli_ranks_abort("a file was cut short while it was in use, or its disk fails");
  _exit(PLM_E_INPUT);
}
