/* kills.c - see kills.h */
#include "integration/kills.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "integration/files.h"
#include "integration/logs.h"
#include "support/unit.h"

static uint64_t seed, draws;

void kills_begin(void) {
  const char *given = getenv("PROTLM_SEED");
  seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
  printf("to draw the same again: PROTLM_SEED=%llu PROTLM_KILLS=%d\n", (unsigned long long)seed, kills_wanted());
  fflush(stdout);
}

int kills_wanted(void) {
  const char *text = getenv("PROTLM_KILLS");
  return text != NULL ? atoi(text) : 20;
}

/* SplitMix64 */
double kills_draw(void) {
  uint64_t z = seed + 0x9e3779b97f4a7c15u * ++draws;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

int kills_draw_below(int n) { return (int)(kills_draw() * n); }

void kills_expect_good_checkpoints(const char *run) {
  if (file_count_checkpoints(run) == 0) return;
  run_result ls = run_protlm(NULL, "ckpt ls --deep {}/%s", run);
  run_expect(&ls, 0);
  if (strstr(ls.out, "good") == NULL) fail_msg("%s: a checkpoint isn't listed as good:\n%s", run, ls.out);
}

void kills_expect_continues(const run_result *result, const run_steps *steps, int64_t newest_before) {
  if (steps->count == 0 || steps->first == newest_before + 1) return;
  fail_msg("the first step after checkpoint-%lld was step %lld\n%s\n%s", (long long)newest_before,
           (long long)steps->first, result->command, result->err);
}

void kills_expect_whole_logs(const char *run, int64_t last) {
  const char *there = file_list(run, NULL);
  if (strstr(there, "tmp-") != NULL || strstr(there, ".trash-") != NULL) fail_msg("%s holds leftovers: %s", run, there);
  log_expect_each_step_once(run, 1, last);
  log_expect_csv_matches(run);
}
