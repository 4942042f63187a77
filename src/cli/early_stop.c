/* early_stop.c - a request to stop a training that comes before the run itself listens (train/stop.h), and after.
 *
 * From the first line of main until then, options and their file are read, perhaps from a pipe that says nothing.
 * Nothing has been written by then: the process leaves at once, with the code that says "run me again". The program may
 * start itself over (waiting.c); what comes meanwhile stays pending, blocked, and is heard by the first line of the new
 * one. For that reason these signals are unblocked here, also where whoever started us had blocked them.
 *
 * A rank that left the others like this would leave them waiting, in MPI's own start too: where a launcher started
 * several, the signals stay pending until the run listens, which unblocks them.
 */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "dist/launch.h"

static const struct {
  int number;
  const char *name;
} asking[] = {{SIGTERM, "SIGTERM"}, {SIGINT, "SIGINT"}, {SIGUSR1, "SIGUSR1"}, {SIGHUP, "SIGHUP"}};
enum { ASKING = sizeof asking / sizeof *asking };

static bool listens;
static volatile sig_atomic_t is_over;

static void say(const char *words) {
  if (write(STDERR_FILENO, words, strlen(words)) < 0) return; /* nobody can be told */
}

/* A run that is over has said so, or is about to: it is not called unfinished. The next request is not waited for. */
static void on_request(int number) {
  if (is_over) {
    signal(number, SIG_DFL);
    return;
  }
  say("\nStopped early: ");
  for (int i = 0; i < ASKING; i++)
    if (asking[i].number == number) say(asking[i].name);
  say("\n  to go on             the same command again\n");
  _exit(PLM_STOPPED);
}

/* Training, and not only asked for its help. */
static bool is_training(int argc, char **argv) {
  int words;
  cli_common common;
  if (argc < 2) return false;
  const plm_command *command = cli_find_command(argc - 1, argv + 1, &words);
  cli_scan_common(argc - 1, argv + 1, &common);
  return command != NULL && command->run == NULL && !common.help;
}

static void change_mask(int how) {
  sigset_t set;
  sigemptyset(&set);
  for (int i = 0; i < ASKING; i++) sigaddset(&set, asking[i].number);
  sigprocmask(how, &set, NULL);
}

/* nohup and a shell's & have these two ignored, and are obeyed, as by the run. */
static bool is_left_ignored(int number) {
  struct sigaction action;
  return (number == SIGHUP || number == SIGINT) && sigaction(number, NULL, &action) == 0 &&
         action.sa_handler == SIG_IGN;
}

static bool is_launched_with_others(void) {
  plm_launch launch;
  plm_launch_detect(&launch);
  return launch.size > 1;
}

void cli_hear_stop(int argc, char **argv) {
  struct sigaction action = {.sa_handler = on_request, .sa_flags = SA_RESTART};
  listens = is_training(argc, argv);
  if (!listens) return;
  signal(SIGUSR2, SIG_IGN); /* asks for a save: so far there is nothing to save */
  sigemptyset(&action.sa_mask);
  for (int i = 0; i < ASKING; i++) sigaddset(&action.sa_mask, asking[i].number);
  for (int i = 0; i < ASKING; i++)
    if (!is_left_ignored(asking[i].number)) sigaction(asking[i].number, &action, NULL);
  change_mask(is_launched_with_others() ? SIG_BLOCK : SIG_UNBLOCK);
}

void cli_hold_stop(bool held) {
  if (listens) change_mask(held ? SIG_BLOCK : SIG_UNBLOCK);
}

void cli_stop_is_late(void) { is_over = 1; }
