/* thread_count.c - see thread_count.h. Contents: what limits, the usual number, the number that a command gets. */
#include "base/thread_count.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "protlm/log.h"

enum { MOST_A_PROCESSOR = 4 };

static int smaller(int a, int b) { return a < b ? a : b; }

/* ---- what limits ---- */

static int usable(const plm_cpu_limits *limits) {
  return smaller(smaller(limits->affinity, limits->cgroup), limits->openmp);
}

/* What makes the usable processors fewer than the machine's; "" where they are all. */
static void name_limit(const plm_cpu_limits *limits, char ret_words[PLM_THREAD_WORDS]) {
  const int least = usable(limits);
  ret_words[0] = '\0';
  if (least >= limits->online) return;
  const char *name = limits->affinity == least ? "processor affinity"
                     : limits->cgroup == least ? "control group"
                                               : "OpenMP's thread limit";
  snprintf(ret_words, PLM_THREAD_WORDS, "%s: %d of %d processors", name, least, limits->online);
}

/* What a variable says that a process should have; INT_MAX = nothing. OMP_NUM_THREADS may hold a number for each level
 * of nesting, "4,2", of which we have one. */
static int read_variable(const char *name) {
  const char *text = getenv(name);
  if (text == NULL || text[strspn(text, " ")] == '\0') return INT_MAX;
  char *end;
  const long number = strtol(text, &end, 10);
  end += strspn(end, " ");
  if (number >= 1 && (*end == '\0' || *end == ',')) return number < INT_MAX ? (int)number : INT_MAX;
  plm_warn("%s=%.40s is no number of threads: ignored", name, text);
  return INT_MAX;
}

/* ---- the usual number ---- */

static int part_of(int whole, int ranks) { return whole / (ranks > 1 ? ranks : 1); }

/* What this process may use without what other ranks of its run are to have. */
static int take_share(const plm_thread_request *request, const plm_cpu_limits *limits, plm_thread_count *count) {
  const int cpus = part_of(limits->affinity, request->local_ranks);
  const int quota = limits->cgroup == INT_MAX ? INT_MAX : part_of(limits->cgroup, request->quota_ranks);
  const int share = smaller(smaller(cpus, quota), limits->openmp);
  const int ranks = quota < cpus ? request->quota_ranks : request->local_ranks;
  name_limit(limits, count->why);
  if (share < count->usable)
    snprintf(count->why, sizeof count->why, "%d usable, shared by %d ranks", count->usable, ranks);
  return share > 1 ? share : 1;
}

static void choose_usual(int share, plm_thread_count *count) {
  static const char *const names[] = {"OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK"};
  count->threads = share;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const int wished = read_variable(names[i]);
    if (wished >= count->threads) continue;
    count->threads = wished;
    snprintf(count->why, sizeof count->why, "%s=%d; %d usable: --threads %d", names[i], wished, share, share);
  }
}

/* ---- the number that a command gets ---- */

static plm_status take_asked(int64_t asked, const plm_cpu_limits *limits, plm_thread_count *count) {
  char limit[PLM_THREAD_WORDS], words[PLM_THREAD_WORDS + 64];
  const int n = count->usable;
  name_limit(limits, limit);
  snprintf(words, sizeof words, "%d %s%s%s%s", n, plm_plural(n, "processor", "processors"), *limit != '\0' ? " (" : "",
           limit, *limit != '\0' ? ")" : "");
  if (asked > (int64_t)MOST_A_PROCESSOR * n)
    return plm_hint(
        plm_fail(PLM_E_USAGE, "--threads %lld: this process may use %s, and %d threads on each are the most",
                 (long long)asked, words, MOST_A_PROCESSOR),
        "--threads %d, or leave it out", n);
  if (asked > n)
    plm_warn("--threads %lld: this process may use %s; more threads than that slow each other down", (long long)asked,
             words);
  count->threads = (int)asked;
  count->why[0] = '\0';
  return PLM_OK;
}

/* An environment that wishes for another number doesn't change the sums of a run; a machine that has less must. */
static void keep_saved(int64_t saved, int share, plm_thread_count *count) {
  char was[PLM_COUNTED_TEXT], is[PLM_COUNTED_TEXT];
  if (saved == count->threads) return;
  if (saved <= share) {
    count->threads = (int)saved;
    snprintf(count->why, sizeof count->why, "as this run began: --threads N changes it");
    return;
  }
  plm_warn("this run began with %s, and goes on with %s%s%s%s", plm_counted(saved, "thread", "threads", was),
           plm_counted(count->threads, "thread", "threads", is), count->why[0] != '\0' ? " (" : "", count->why,
           count->why[0] != '\0' ? ")" : "");
}

plm_status plm_thread_count_judge(const plm_thread_request *request, const plm_cpu_limits *limits,
                                  plm_thread_count *ret_count) {
  *ret_count = (plm_thread_count){.usable = usable(limits)};
  if (request->asked > 0) return take_asked(request->asked, limits, ret_count);
  const int share = take_share(request, limits, ret_count);
  choose_usual(share, ret_count);
  if (request->saved > 0) keep_saved(request->saved, share, ret_count);
  return PLM_OK;
}

plm_status plm_thread_count_decide(const plm_thread_request *request, plm_thread_count *ret_count) {
  plm_cpu_limits limits;
  plm_cpu_limits_read(&limits);
  return plm_thread_count_judge(request, &limits, ret_count);
}
