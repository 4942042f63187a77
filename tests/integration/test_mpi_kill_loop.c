/* Ranks are killed, stopped and told to stop at any moment, and the run is started again, until it is done.
 *
 * PROTLM_KILLS (default 20) disturbances of a run whose starts differ in the number of ranks, make of MPI, --zero and
 * threads; then half as many of one that always has two ranks, which must end as an undisturbed one does. TERM, USR1,
 * KILL, or STOP and CONT, to one rank or to all, never to the launcher.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "integration/files.h"
#include "integration/kills.h"
#include "integration/logs.h"
#include "integration/run.h"
#include "integration/tiny.h"
#include "support/scratch.h"
#include "support/unit.h"

enum { STEPS = 40, SAVE_STEPS = 5, MOST_RANKS = 8, SKIP = 77 };
/* How long a start may be silent, and stay after its launcher; how long a rank is stopped at most: shorter than --timeout. */
static const double silence_seconds = PLM_SLOW_BUILD > 0 ? 240 : 60, leave_seconds = 20, most_stopped_seconds = 3;

#define COMMAND                                                                                                       \
  TINY_TRAIN                                                                                                          \
  " -v --eval {}/proteins.fasta --eval-steps 7 --max-steps 40 --save-steps 5 --dtype fp32 --timeout 10s --threads %d" \
  " --zero %d --output-dir {}/%s"

static const char *makes[2];
static int make_count;

/* ---- one start ---- */

typedef struct start_kind {
  const char *make;
  int ranks, zero, threads;
} start_kind;

static void start_ranks(const start_kind *kind, const char *run, run_process *process) {
  char ranks[8], threads[32];
  snprintf(ranks, sizeof ranks, "%d", kind->ranks);
  snprintf(threads, sizeof threads, "OMP_NUM_THREADS=%d", kind->threads);
  const char *const launcher[] = {LAUNCH, kind->make, ranks, NULL};
  const char *const environment[] = {threads, "NO_COLOR=1", NULL}; /* mpirun gives its ranks a terminal */
  const run_options options = {.launcher = launcher, .environment = environment};
  run_start(&options, process, COMMAND, kind->threads, kind->zero, run);
}

/* ---- its ranks ---- */

static bool is_rank_of_ours(const char *process) {
  char link[64], program[1024], wanted[1024], line[64], words[4096];
  snprintf(link, sizeof link, "/proc/%.20s/exe", process);
  const ssize_t length = readlink(link, program, sizeof program - 1);
  if (length < 0 || realpath(PROTLM, wanted) == NULL) return false;
  program[length] = '\0';
  if (strcmp(program, wanted) != 0) return false;
  snprintf(line, sizeof line, "/proc/%.20s/cmdline", process);
  FILE *file = fopen(line, "rb");
  if (file == NULL) return false;
  const size_t bytes = fread(words, 1, sizeof words, file);
  fclose(file);
  return memmem(words, bytes, scratch_path(""), strlen(scratch_path(""))) != NULL;
}

static int find_ranks(pid_t ret_pids[MOST_RANKS]) {
  int count = 0;
  DIR *directory = opendir("/proc");
  assert_non_null(directory);
  for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    const pid_t pid = (pid_t)atoi(entry->d_name);
    if (pid > 0 && count < MOST_RANKS && is_rank_of_ours(entry->d_name)) ret_pids[count++] = pid;
  }
  closedir(directory);
  return count;
}

static void kill_all_ranks(void) {
  pid_t pids[MOST_RANKS];
  for (int n = find_ranks(pids); n > 0; n--) kill(pids[n - 1], SIGKILL);
}

/* Their launcher has ended: so do they. */
static void expect_no_rank_left(const run_result *r) {
  pid_t pids[MOST_RANKS];
  for (const double end = run_clock() + leave_seconds; find_ranks(pids) > 0; run_sleep(0.05)) {
    if (run_clock() < end) continue;
    kill_all_ranks();
    fail_msg("%s\n%d ranks are left %.0f s after their launcher\n%s", r->command, find_ranks(pids), leave_seconds,
             r->err);
  }
}

/* It hangs when for so long it neither ends nor says anything. */
static run_result wait_or_hang(const run_process *process) {
  size_t said = 0;
  double heard = run_clock();
  while (!run_is_over(process)) {
    const size_t now = strlen(file_read(process->err));
    if (now != said) heard = run_clock();
    said = now;
    if (run_clock() - heard > silence_seconds) {
      char err[8192];
      snprintf(err, sizeof err, "%s", file_read(process->err));
      run_signal(process, SIGTERM); /* timeout passes it on */
      run_sleep(5);
      kill_all_ranks();
      fail_msg("%s\nhangs, silent for %.0f s:\n%s", process->command, silence_seconds, err);
    }
    run_sleep(0.02);
  }
  return run_wait(process);
}

/* ---- the disturbance ---- */

enum { IN_DATA, IN_STEPS, IN_EVALUATION, IN_SAVE, IN_FINAL, PLACES };
static const char *const place_names[PLACES] = {"before the first step", "in steps", "in evaluations", "in saves",
                                                "in final"};

typedef struct tally {
  int starts, kills, places[PLACES], signals[4];
  double slowest;
} tally;
static const int signals[4] = {SIGTERM, SIGUSR1, SIGKILL, SIGSTOP};

/* By what rank 0 said last. */
static int place_of(const char *err) {
  static const struct {
    const char *words;
    int place;
  } said[] = {{"saving checkpoint", IN_SAVE}, {"evaluating", IN_EVALUATION}, {"writing", IN_FINAL}};
  size_t end = strlen(err), begin;
  while (end > 0 && err[end - 1] == '\n') end--;
  for (begin = end; begin > 0 && err[begin - 1] != '\n';) begin--;
  for (size_t i = 0; i < sizeof said / sizeof *said; i++)
    if (strncmp(err + begin, said[i].words, strlen(said[i].words)) == 0) return said[i].place;
  return run_steps_of(err).count == 0 ? IN_DATA : IN_STEPS;
}

/* False when it ended of itself before. */
static bool wait_for_a_moment(const run_process *process) {
  const double kind = kills_draw(), u = kills_draw();
  const int n = 1 + kills_draw_below(6);
  bool alive;
  if (kind < 0.1)
    alive = run_until_said(process, "--model", 1);
  else if (kind < 0.25)
    alive = run_until_said(process, "reading", 1);
  else if (kind < 0.5)
    alive = run_until_steps(process, n);
  else if (kind < 0.65)
    alive = run_until_said(process, "evaluating", 1);
  else if (kind < 0.85)
    alive = run_until_said(process, "saving checkpoint", n < 5 ? 1 : 2);
  else
    alive = run_until_said(process, "writing final", 1);
  if (alive) run_sleep(u * u * 0.2);
  return alive && !run_is_over(process);
}

/* Returns the signal; 0: there was nobody any more. */
static int disturb(const run_process *process, tally *t) {
  pid_t pids[MOST_RANKS];
  if (!wait_for_a_moment(process)) return 0;
  const int which = kills_draw_below(4), place = place_of(file_read(process->err));
  const double stopped = kills_draw() * most_stopped_seconds;
  const int count = find_ranks(pids);
  const bool all = kills_draw() < 0.4;
  if (count == 0) return 0;
  const int first = all ? 0 : kills_draw_below(count), end = all ? count : first + 1;
  for (int i = first; i < end; i++) kill(pids[i], signals[which]);
  if (signals[which] == SIGSTOP) {
    run_sleep(stopped);
    for (int i = first; i < end; i++) kill(pids[i], SIGCONT);
  }
  t->kills++;
  t->places[place]++;
  t->signals[which]++;
  return signals[which];
}

/* ---- what it leaves ---- */

static bool has_stopped(const char *run) { return file_exists(file_path("%s/stopped", run)); }

static int64_t stopped_number(const char *run, const char *name) {
  json_t *note = json_loads(file_read(file_path("%s/stopped", run)), 0, NULL);
  if (note == NULL) fail_msg("%s/stopped is no JSON", run);
  const int64_t number = log_count(note, name);
  json_decref(note);
  return number;
}

/* The launcher's exit code says little: MPICH's is 0 after a signal that it passed on. */
static bool is_done(const run_result *r, const char *run) {
  return r->code == 0 && !has_stopped(run) && file_exists(file_path("%s/final/model.safetensors", run)) &&
         file_newest_checkpoint(file_path("%s", run)) == STEPS;
}

/* Asked to stop in the middle of its steps: saved there, and said so, or finished. */
static void expect_graceful(const run_result *r, const char *run) {
  const int64_t newest = file_newest_checkpoint(file_path("%s", run));
  if (is_done(r, run)) return;
  if (!has_stopped(run)) fail_msg("%s\nwas asked to stop, and left no file `stopped`\n%s", r->command, r->err);
  if (stopped_number(run, "code") != 75 || stopped_number(run, "steps_done") != newest)
    fail_msg("%s\nwas asked to stop, and stopped with %lld after %lld steps; the newest is checkpoint-%lld\n%s",
             r->command, (long long)stopped_number(run, "code"), (long long)stopped_number(run, "steps_done"),
             (long long)newest, r->err);
}

/* Start once, disturb it if `disturbs`; true when the run is over. */
static bool start_once(const start_kind *kind, const char *run, bool disturbs, tally *t) {
  run_process process;
  const int64_t before = file_newest_checkpoint(file_path("%s", run));
  start_ranks(kind, run, &process);
  const int number = disturbs ? disturb(&process, t) : 0;
  const bool in_steps = run_steps_now(&process).count > 0;
  run_result r = wait_or_hang(&process);
  const run_steps steps = run_steps_of(r.err);
  const int64_t newest = file_newest_checkpoint(file_path("%s", run));
  t->starts++;
  if (r.seconds > t->slowest) t->slowest = r.seconds;
  expect_no_rank_left(&r);
  kills_expect_continues(&r, &steps, before);
  if (number == 0 || number == SIGSTOP) run_expect(&r, 0);
  if (in_steps && (number == SIGTERM || number == SIGUSR1)) expect_graceful(&r, run);
  if (newest < before)
    fail_msg("checkpoint-%lld is gone, the newest is %lld\n%s", (long long)before, (long long)newest, r.err);
  kills_expect_good_checkpoints(run);
  return is_done(&r, run);
}

/* Logged ones: a step that is done again moved its line to log.replaced.jsonl. */
static int64_t count_executed(const char *run) {
  static const char *const names[] = {"log.jsonl", "log.replaced.jsonl"};
  int64_t count = 0;
  for (int i = 0; i < 2; i++)
    for (const char *at = file_read(file_path("%s/%s", run, names[i])); (at = strstr(at, "\"loss\":")) != NULL; at++)
      count++;
  return count;
}

static void expect_whole(const char *run, const tally *t) {
  const int64_t executed = count_executed(run);
  kills_expect_whole_logs(run, STEPS);
  if (executed > STEPS + (int64_t)t->kills * SAVE_STEPS)
    fail_msg("%lld steps for a run of %d that was disturbed %d times and saves every %d", (long long)executed, STEPS,
             t->kills, SAVE_STEPS);
}

/* ---- the tests ---- */

static void add(tally *sum, const tally *t) {
  sum->starts += t->starts;
  sum->kills += t->kills;
  if (t->slowest > sum->slowest) sum->slowest = t->slowest;
  for (int i = 0; i < PLACES; i++) sum->places[i] += t->places[i];
  for (int i = 0; i < 4; i++) sum->signals[i] += t->signals[i];
}

static void print(const char *name, const tally *t) {
  printf("%s: %d starts, the slowest %.1f s; %d disturbances (TERM %d, USR1 %d, KILL %d, STOP %d):", name, t->starts,
         t->slowest, t->kills, t->signals[0], t->signals[1], t->signals[2], t->signals[3]);
  for (int i = 0; i < PLACES; i++) printf(" %d %s%s", t->places[i], place_names[i], i + 1 < PLACES ? "," : "\n");
}

/* ret_kind: of the next start. */
typedef void choose_fn(start_kind *kind, int start);

static void choose_any(start_kind *kind, int start) {
  *kind = (start_kind){
      .make = makes[start % make_count],
      .ranks = 1 + kills_draw_below(3),
      .zero = kills_draw_below(2),
      .threads = 1 + kills_draw_below(2),
  };
}

/* What changes no bit. */
static void choose_two_ranks(start_kind *kind, int start) {
  *kind = (start_kind){.make = makes[start % make_count], .ranks = 2, .zero = kills_draw_below(2), .threads = 1};
}

static void disturb_runs(const char *name, int wanted, choose_fn *choose, const char *undisturbed) {
  tally sum = {0};
  start_kind kind;
  for (int round = 0; sum.kills < wanted; round++) {
    char run[64];
    tally t = {0};
    snprintf(run, sizeof run, "%s-%d", name, round);
    do choose(&kind, sum.starts + t.starts);
    while (!start_once(&kind, run, sum.kills + t.kills < wanted, &t));
    expect_whole(run, &t);
    if (undisturbed != NULL) {
      file_expect_same_tensors(file_path("%s/checkpoint-%d", run, STEPS),
                               file_path("%s/checkpoint-%d", undisturbed, STEPS));
      file_expect_same(file_path("%s/final/model.safetensors", run),
                       file_path("%s/final/model.safetensors", undisturbed));
      log_expect_same(run, undisturbed);
    }
    file_remove_tree(run);
    add(&sum, &t);
  }
  print(name, &sum);
}

static void any_ranks_any_signal(void **state) {
  (void)state;
  disturb_runs("elastic", kills_wanted(), choose_any, NULL);
}

static void two_ranks_end_as_undisturbed(void **state) {
  start_kind kind;
  tally t = {0};
  (void)state;
  choose_two_ranks(&kind, 0);
  assert_true(start_once(&kind, "undisturbed", false, &t));
  disturb_runs("two", (kills_wanted() + 1) / 2, choose_two_ranks, "undisturbed");
}

/* ---- what there is here ---- */

static void find_makes(void) {
  static const char *const all[] = {"openmpi", "mpich"};
  for (int i = 0; i < 2; i++) {
    const char *const launcher[] = {LAUNCH, all[i], "1", NULL};
    const run_options options = {.launcher = launcher};
    run_result r = run_protlm(&options, "--version");
    if (r.code == SKIP)
      printf("%s", r.out);
    else
      makes[make_count++] = all[i];
  }
}

static int set_up(void **state) {
  if (run_setup(state) != 0) return -1;
  find_makes();
  return 0;
}

static int tear_down(void **state) {
  kill_all_ranks();
  return scratch_teardown(state);
}

static void skip_without_mpi(void **state) {
  (void)state;
  if (make_count > 0) return;
  fflush(stdout);
  tear_down(state);
  _exit(SKIP);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(skip_without_mpi),
      cmocka_unit_test(any_ranks_any_signal),
      cmocka_unit_test(two_ranks_end_as_undisturbed),
  };
  kills_begin();
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
