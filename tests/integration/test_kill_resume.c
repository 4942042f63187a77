/* Killed at any moment and run again, a run ends with the same bytes as one that nothing disturbed.
 *
 * PROTLM_KILLS kills (default 20) for each of fp32 and bf16, one and two threads, by SIGKILL or SIGTERM, drawn so that
 * they fall into start-up, steps, evaluations and saves. A run that ends before all kills are spent is compared, and
 * another begun.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "integration/files.h"
#include "integration/kills.h"
#include "integration/logs.h"
#include "integration/run.h"
#include "integration/tiny.h"
#include "support/scratch.h"
#include "support/unit.h"

enum { STEPS = 40, SAVE_STEPS = 5, EVAL_STEPS = 7 };

#define COMMAND \
  TINY_TRAIN    \
  " -v --eval {}/proteins.fasta --max-steps 40 --save-steps 5 --eval-steps 7 --dtype %s --threads %d --output-dir {}/%s"

typedef struct setting {
  const char *name, *dtype;
  int threads;
} setting;
static setting settings[] = {{"fp32_one_thread", "fp32", 1},
                             {"fp32_two_threads", "fp32", 2},
                             {"bf16_one_thread", "bf16", 1},
                             {"bf16_two_threads", "bf16", 2}};

/* ---- the moment ---- */

static double startup_seconds, step_seconds;

/* False when the process ended of itself before. */
static bool wait_for_a_moment(const run_process *process) {
  double kind = kills_draw(), u = kills_draw();
  int n = 1 + (int)(kills_draw() * 6);
  bool alive = true;
  if (kind < 0.2) {
    run_sleep(u * startup_seconds);
    return !run_is_over(process);
  }
  if (kind < 0.6)
    alive = run_until_steps(process, n);
  else if (kind < 0.7)
    alive = run_until_said(process, "evaluating", 1);
  else
    alive = run_until_said(process, "saving checkpoint", n < 5 ? 1 : 2);
  if (alive) run_sleep(u * 2 * step_seconds);
  return alive && !run_is_over(process);
}

/* ---- what a killed start leaves ---- */

enum { IN_STARTUP, IN_STEPS, IN_EVALUATION, IN_SAVE, PLACES };
static const char *const place_names[PLACES] = {"before the first step", "in steps", "in evaluations", "in saves"};

typedef struct tally {
  int kills, sigterms, places[PLACES];
  int64_t executed; /* steps, over all starts of this run */
} tally;

/* Where the process is, by what it said last. */
static int place_of(const char *err) {
  size_t end = strlen(err), begin;
  while (end > 0 && err[end - 1] == '\n') end--;
  for (begin = end; begin > 0 && err[begin - 1] != '\n';) begin--;
  if (strncmp(err + begin, "saving", 6) == 0) return IN_SAVE;
  if (strncmp(err + begin, "evaluating", 10) == 0) return IN_EVALUATION;
  return run_steps_of(err).count == 0 ? IN_STARTUP : IN_STEPS;
}

/* SIGTERM: before the first step nothing is kept; after it the step just finished is; past the last one the run ends by
 * itself. */
static void expect_graceful(const run_result *r, const run_steps *steps, int64_t newest_before, int64_t newest) {
  const int64_t reached = steps->count > 0 ? steps->last : newest_before;
  if (r->signal == SIGTERM && (steps->count == 0 || reached == STEPS)) return; /* not yet, or no longer, listening */
  if (r->code == 0 && reached == STEPS) return;
  run_expect(r, 75);
  if (newest != reached)
    fail_msg("SIGTERM after step %lld left checkpoint-%lld\n%s\n%s", (long long)reached, (long long)newest, r->command,
             r->err);
}

/* Start once, disturb it if `disturb`; true when the run is over. */
static bool start_once(const setting *s, const char *run, bool disturb, tally *t) {
  run_process process;
  int64_t before = file_newest_checkpoint(file_path("%s", run));
  run_start(NULL, &process, COMMAND, s->dtype, s->threads, run);
  const int number = kills_draw() < 0.5 ? SIGKILL : SIGTERM;
  const bool killed = disturb && wait_for_a_moment(&process);
  if (killed) {
    t->places[place_of(file_read(process.err))]++;
    run_signal(&process, number);
  }
  run_result r = run_wait(&process);
  run_steps steps = run_steps_of(r.err);
  int64_t newest = file_newest_checkpoint(file_path("%s", run));
  t->executed += steps.count;
  t->kills += killed;
  t->sigterms += killed && number == SIGTERM;
  kills_expect_continues(&r, &steps, before);
  if (!killed) run_expect(&r, 0);
  if (killed && number == SIGKILL && r.code > 0) run_expect(&r, 0);
  if (killed && number == SIGTERM) expect_graceful(&r, &steps, before, newest);
  if (newest < before)
    fail_msg("checkpoint-%lld is gone, the newest is %lld\n%s", (long long)before, (long long)newest, r.err);
  kills_expect_good_checkpoints(run);
  return r.code == 0;
}

static void expect_undisturbed(const char *run, const char *undisturbed, const tally *t) {
  file_expect_same_tensors(file_path("%s/checkpoint-%d", run, STEPS),
                           file_path("%s/checkpoint-%d", undisturbed, STEPS));
  file_expect_same(file_path("%s/final/model.safetensors", run), file_path("%s/final/model.safetensors", undisturbed));
  kills_expect_whole_logs(run, STEPS);
  log_expect_same(run, undisturbed);
  if (t->executed > STEPS + (int64_t)t->kills * SAVE_STEPS)
    fail_msg("%lld steps for a run of %d that was killed %d times and saves every %d", (long long)t->executed, STEPS,
             t->kills, SAVE_STEPS);
}

/* ---- the test ---- */

static void run_undisturbed(const setting *s, const char *run) {
  run_process process;
  run_start(NULL, &process, COMMAND, s->dtype, s->threads, run);
  run_until_steps(&process, 1);
  startup_seconds = run_clock() - process.started;
  run_result r = run_wait(&process);
  run_expect(&r, 0);
  step_seconds = (r.seconds - startup_seconds) / STEPS;
  log_expect_each_step_once(run, 1, STEPS);
}

static void killed_and_resumed_equals_undisturbed(void **state) {
  const setting *s = *state;
  char undisturbed[64], run[64];
  const int wanted = kills_wanted();
  tally sum = {0};
  snprintf(undisturbed, sizeof undisturbed, "%s", s->name);
  run_undisturbed(s, undisturbed);
  for (int round = 0; sum.kills < wanted; round++) {
    tally t = {0};
    snprintf(run, sizeof run, "%s-%d", s->name, round);
    while (!start_once(s, run, sum.kills + t.kills < wanted, &t)) continue;
    expect_undisturbed(run, undisturbed, &t);
    sum.kills += t.kills, sum.sigterms += t.sigterms;
    for (int i = 0; i < PLACES; i++) sum.places[i] += t.places[i];
    file_remove_tree(run);
  }
  printf("%s: %d kills, %d of them SIGTERM; ", s->name, sum.kills, sum.sigterms);
  for (int i = 0; i < PLACES; i++) printf("%d %s%s", sum.places[i], place_names[i], i + 1 < PLACES ? ", " : "\n");
}

int main(void) {
  kills_begin();
  struct CMUnitTest tests[4];
  for (int i = 0; i < 4; i++)
    tests[i] = (struct CMUnitTest){
        .name = settings[i].name,
        .test_func = killed_and_resumed_equals_undisturbed,
        .initial_state = &settings[i],
    };
  return cmocka_run_group_tests(tests, run_setup, scratch_teardown);
}
