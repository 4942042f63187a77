/* stop.c - signal handlers that set flags, and the clock's side of stopping. Contents: signals, deadlines. */
#include "train/stop.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "dist/launch.h"
#include "protlm/log.h"
#include "train/squeue.h"

/* ---- signals ---- */

static const struct {
  int signal;
  uint32_t flag;
  bool forceful; /* a second one ends the process */
  const char *name;
} watched[] = {
    {SIGTERM, PLM_STOP_TERM, true, "SIGTERM"},  {SIGINT, PLM_STOP_INT, true, "SIGINT"},
    {SIGUSR1, PLM_STOP_USR1, false, "SIGUSR1"}, {SIGHUP, PLM_STOP_HUP, false, "SIGHUP"},
    {SIGUSR2, PLM_STOP_SAVE, false, "SIGUSR2"},
};
enum { WATCHED = sizeof watched / sizeof *watched };

/* Written by the handler: lock-free atomics only. */
static atomic_uint raised;
static atomic_llong first_forceful_ms; /* 0 = none yet */
static struct sigaction previous[WATCHED], previous_pipe;
static int installed; /* how often */
static pthread_mutex_t installing = PTHREAD_MUTEX_INITIALIZER;

/* How long after the first a request counts as the second. Slurm sends SIGTERM two and three times over, and its own
 * SIGKILL ends a task that goes on for too long: in its steps nobody means to hurry us. */
static const long long repeat_after_ms = 250, repeat_in_step_ms = 30000;
static atomic_bool in_step;

/* Async-signal-safe. */
static long long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000 + 1;
}

/* The default action, once this handler returns and the signal is no longer blocked. */
static void leave_by(int number) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = SIG_DFL;
  sigaction(number, &action, NULL);
  raise(number);
}

static void on_signal(int number) {
  int saved_errno = errno;
  for (int i = 0; i < WATCHED; i++) {
    if (watched[i].signal != number) continue;
    atomic_fetch_or(&raised, watched[i].flag);
    if (!watched[i].forceful) continue;
    long long first = atomic_load(&first_forceful_ms), now = now_ms();
    if (first == 0)
      atomic_store(&first_forceful_ms, now);
    else if (now - first >= (number == SIGTERM && atomic_load(&in_step) ? repeat_in_step_ms : repeat_after_ms))
      leave_by(number);
  }
  errno = saved_errno;
}

/* What comes from the terminal may be meant for others: nohup asks to ignore that it is lost, and a script ignores
 * Ctrl-C for what it starts with &. Both are obeyed. */
static bool is_left_ignored(int i) {
  return (watched[i].signal == SIGHUP || watched[i].signal == SIGINT) && previous[i].sa_handler == SIG_IGN;
}

/* The command line of one of several ranks holds these signals back until here. */
static void hear_what_is_pending(void) {
  sigset_t set;
  sigemptyset(&set);
  for (int i = 0; i < WATCHED; i++) sigaddset(&set, watched[i].signal);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static plm_status install(void) {
  atomic_store(&raised, 0);
  atomic_store(&first_forceful_ms, 0);
  plm_launch launch;
  plm_launch_detect(&launch);
  atomic_store(&in_step, launch.size > 1 || strcmp(launch.by, "srun") == 0);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (int i = 0; i < WATCHED; i++) {
    if (sigaction(watched[i].signal, NULL, &previous[i]) != 0 ||
        (!is_left_ignored(i) && sigaction(watched[i].signal, &action, NULL) != 0))
      return plm_fail(PLM_E_FAILURE, "cannot handle %s: %s", watched[i].name, strerror(errno));
  }
  action.sa_handler = SIG_IGN;
  if (sigaction(SIGPIPE, &action, &previous_pipe) != 0)
    return plm_fail(PLM_E_FAILURE, "cannot ignore SIGPIPE: %s", strerror(errno));
  hear_what_is_pending();
  return PLM_OK;
}

plm_status plm_stop_install(void) {
  pthread_mutex_lock(&installing);
  const plm_status status = installed == 0 ? install() : PLM_OK;
  if (status == PLM_OK) installed++;
  pthread_mutex_unlock(&installing);
  return status;
}

static void restore(void) {
  for (int i = 0; i < WATCHED; i++) sigaction(watched[i].signal, &previous[i], NULL);
  sigaction(SIGPIPE, &previous_pipe, NULL);
}

void plm_stop_restore(void) {
  pthread_mutex_lock(&installing);
  if (installed > 0 && --installed == 0) restore();
  pthread_mutex_unlock(&installing);
}

void plm_stop_expect_repeats(void) { atomic_store(&in_step, true); }

uint32_t plm_stop_signals(void) { return atomic_load(&raised); }
void plm_stop_clear(uint32_t flags) { atomic_fetch_and(&raised, ~flags); }

const char *plm_stop_reason(uint32_t flags) {
  for (int i = 0; i < WATCHED; i++)
    if ((flags & watched[i].flag) != 0 && watched[i].flag != PLM_STOP_SAVE) return watched[i].name;
  if ((flags & PLM_STOP_TIME_LIMIT) != 0) return "--time-limit";
  if ((flags & PLM_STOP_JOB_END) != 0) return "the job's time limit";
  return "";
}

/* ---- deadlines ---- */

/* Slurm may signal up to a minute early, and kills without asking. */
static const double job_margin = 60;
/* What a save is assumed to reach until one has been timed. */
static const double assumed_bytes_per_second = 100e6;

static const char job_end_variable[] = "SLURM_JOB_END_TIME";
static const double end_of_year_9999 = 253402300799;

/* An end that had passed when the process began is another job's: obeyed, it would end each start after one step, for
 * ever. */
static double ignore_passed(const char *text, double end) {
  const time_t seconds = (time_t)end;
  struct tm utc;
  char when[40] = "";
  if (gmtime_r(&seconds, &utc) != NULL) strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S UTC", &utc);
  plm_warn("%s=%s: this end of the job, %s, had passed when this start began: ignored; it is another job's, unset it",
           job_end_variable, text, when);
  return INFINITY;
}

/* Seconds since 1970; INFINITY = none. */
static double slurm_job_end(double began) {
  const char *text = getenv(job_end_variable);
  if (text == NULL || *text == '\0') return INFINITY;
  const bool is_number = text[strspn(text, "0123456789")] == '\0';
  const double value = is_number ? strtod(text, NULL) : 0;
  if (value > began && value <= end_of_year_9999) return value;
  if (value > 0 && value <= began) return ignore_passed(text, value);
  plm_warn("%s=%.40s is no time in seconds since 1970: ignored; --time-limit says when to stop", job_end_variable,
           text);
  return INFINITY;
}

/* Wall clock; INFINITY where nobody knows. */
static double end_by_squeue(void) {
  const double patience = 5;
  const char *job = getenv("SLURM_JOB_ID"), *said = getenv(job_end_variable);
  double left;
  if (job == NULL || *job == '\0' || (said != NULL && *said != '\0')) return INFINITY;
  if (!plm_squeue_time_left(job, patience, &left)) return INFINITY;
  return plm_clock_wall() + left;
}

void plm_deadline_init(plm_deadline *deadline, double started, double time_limit, int64_t checkpoint_bytes) {
  memset(deadline, 0, sizeof *deadline);
  deadline->limit_end = time_limit > 0 ? started + time_limit : INFINITY;
  deadline->job_end = slurm_job_end(plm_clock_wall() - (plm_clock_monotonic() - started));
  if (time_limit <= 0 && isinf(deadline->job_end)) deadline->job_end = end_by_squeue();
  deadline->longest_save = (double)checkpoint_bytes / assumed_bytes_per_second;
}

void plm_deadline_init_never(plm_deadline *deadline) {
  *deadline = (plm_deadline){.limit_end = INFINITY, .job_end = INFINITY};
}

void plm_deadline_step(plm_deadline *deadline, double seconds) {
  deadline->steps[deadline->step_count++ % PLM_DEADLINE_STEPS] = seconds;
}

void plm_deadline_save(plm_deadline *deadline, double seconds) {
  if (seconds > deadline->longest_save) deadline->longest_save = seconds;
}

uint32_t plm_deadline_flags(const plm_deadline *deadline) {
  if (deadline->step_count == 0) return 0;
  double longest_step = 0;
  for (int64_t i = 0; i < PLM_DEADLINE_STEPS && i < deadline->step_count; i++)
    longest_step = fmax(longest_step, deadline->steps[i]);
  double needed = longest_step + 2 * deadline->longest_save;
  if (plm_clock_monotonic() + needed >= deadline->limit_end) return PLM_STOP_TIME_LIMIT;
  if (plm_clock_wall() + needed + job_margin >= deadline->job_end) return PLM_STOP_JOB_END;
  return 0;
}

double plm_deadline_left(const plm_deadline *deadline) {
  double left = fmin(deadline->limit_end - plm_clock_monotonic(), deadline->job_end - plm_clock_wall());
  return isinf(left) ? NAN : left;
}
