/* cmd_train.c - `protlm train`: the progress bar, one line an interval when there is no terminal, and the closing
 * block. */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/cli.h"
#include "protlm/log.h"

typedef struct view {
  const cli_terminal *terminal;
  bool quiet;
  double shown_at; /* when the bar was last drawn */
  char phase[160];
} view;

enum { DRAWS_PER_SECOND = 12 };

/* "[#####>         ]" of `width` characters. */
static void draw_bar(char *text, size_t bytes, int width, double share) {
  int filled = (int)(share * (width - 2));
  size_t n = 0;
  if (bytes < (size_t)width + 1) return;
  text[n++] = '[';
  for (int i = 0; i < width - 2; i++) text[n++] = i < filled ? '=' : i == filled ? '>' : ' ';
  text[n++] = ']';
  text[n] = '\0';
}

/* The parts of the line in order of worth; as many as fit the terminal are shown. */
static void compose(const plm_progress *p, int width, char *line, size_t bytes) {
  char a[32], b[32], parts[12][64];
  int n = 0;
  double share = p->max_steps > 0 ? (double)p->step / (double)p->max_steps : 0;
  snprintf(parts[n++], 64, "step %lld/%lld %2.0f%%", (long long)p->step, (long long)p->max_steps, 100 * share);
  if (isfinite(p->loss)) snprintf(parts[n++], 64, "loss %.3f", p->loss);
  if (isfinite(p->seconds)) snprintf(parts[n++], 64, "eta %s", plm_duration_text(p->eta, a));
  if (p->residues_per_s > 0) snprintf(parts[n++], 64, "%s res/s", plm_count_short_text(p->residues_per_s, a));
  if (isfinite(p->perplexity)) snprintf(parts[n++], 64, "ppl %.2f", p->perplexity);
  snprintf(parts[n++], 64, "lr %.2e", p->learning_rate);
  if (isfinite(p->grad_norm)) snprintf(parts[n++], 64, "|g| %.2f", p->grad_norm);
  if (isfinite(p->data_wait)) snprintf(parts[n++], 64, "wait %.1f%%", 100 * p->data_wait);
  if (p->gflops_per_s > 0) snprintf(parts[n++], 64, "%.0f GFLOP/s", p->gflops_per_s);
  if (p->memory_bytes > 0) snprintf(parts[n++], 64, "%s", plm_bytes_short_text(p->memory_bytes, a));
  if (isfinite(p->eval_loss)) snprintf(parts[n++], 64, "eval %.3f", p->eval_loss);
  if (isfinite(p->time_limit_left)) snprintf(parts[n++], 64, "limit %s", plm_duration_text(p->time_limit_left, b));
  char bar[32] = "";
  size_t room = width > 2 ? (size_t)width - 1 : 1, used = 0;
  if (width >= 100) {
    draw_bar(bar, sizeof bar, 22, share);
    used = (size_t)snprintf(line, bytes, "%s ", bar);
  }
  for (int i = 0; i < n; i++) {
    size_t need = strlen(parts[i]) + (i > 0 ? 2 : 0);
    if (used + need > room || used + need + 1 > bytes) break;
    used += (size_t)snprintf(line + used, bytes - used, "%s%s", i > 0 ? "  " : "", parts[i]);
  }
}

/* One line an interval for files and schedulers' logs: fixed words, easy to grep. */
static void print_line(const plm_progress *p) {
  char eta[32], rate[32];
  fprintf(stderr, "step %lld/%lld epoch %.2f loss %.4f ppl %.2f lr %.3e gnorm %.3f res/s %s wait %.1f%% eta %s\n",
          (long long)p->step, (long long)p->max_steps, p->epoch, p->loss, p->perplexity, p->learning_rate, p->grad_norm,
          plm_count_short_text(p->residues_per_s, rate), 100 * p->data_wait, plm_duration_text(p->eta, eta));
}

static void on_step(void *user, const plm_progress *progress) {
  view *v = user;
  if (!cli_speaks()) return;
  if (v->terminal->live) {
    char line[512] = "";
    const double time = plm_clock_monotonic();
    if (time - v->shown_at < 1.0 / DRAWS_PER_SECOND && progress->step < progress->max_steps) return;
    v->shown_at = time;
    compose(progress, v->terminal->width, line, sizeof line);
    cli_status_line(line);
  } else if (progress->logged && !v->quiet) {
    print_line(progress);
  }
}

static void on_phase(void *user, const char *what) {
  view *v = user;
  snprintf(v->phase, sizeof v->phase, "%s ...", what);
  if (v->terminal->live) cli_status_line(v->phase);
  plm_debug("%s", what);
}

static plm_status on_ready(void *user) {
  (void)user;
  return cli_ranks_settle_warnings();
}

static const char *headline(const plm_train_result *r) {
  switch (r->outcome) {
    case PLM_TRAIN_FINISHED:
      return "Finished";
    case PLM_TRAIN_STOPPED:
      return "Stopped early, nothing lost";
    case PLM_TRAIN_DRY_RUN:
      return "Dry run: nothing was trained, no run directory was made";
    case PLM_TRAIN_ALREADY_FINISHED:
      return "Already finished";
  }
  return "";
}

static void print_quality(const plm_train_result *r) {
  if (isfinite(r->final_loss))
    printf("  training loss        %.4f (perplexity %.2f)\n", r->final_loss, exp(r->final_loss));
  if (!isfinite(r->final_eval_loss)) return;
  printf("  evaluation loss      %.4f (perplexity %.2f)\n", r->final_eval_loss, r->final_eval_perplexity);
  if (!isfinite(r->final_eval_perplexity_masked)) return;
  printf("  on <mask> rows       perplexity %.2f; amino-acid frequencies alone give %.2f\n",
         r->final_eval_perplexity_masked, r->baseline_frequency_masked);
  if (r->gain_masked_se > 0)
    printf("                       %s by %.4f nats, %.1f standard errors\n", r->gain_masked >= 0 ? "better" : "worse",
           fabs(r->gain_masked), fabs(r->gain_masked) / r->gain_masked_se);
  if (r->best_step >= 0 && isfinite(r->best_eval_loss))
    printf("  best evaluation      %.4f at step %lld\n", r->best_eval_loss, (long long)r->best_step);
}

static void print_work(const plm_train_result *r) {
  char residues[32], rate[32], time[32], memory[32];
  struct rusage usage;
  printf("  steps                %lld of %lld", (long long)r->step, (long long)r->max_steps);
  if (r->first_step > 0) printf(" (this start from %lld)", (long long)r->first_step);
  printf("\n");
  if (r->skipped_updates > 0)
    printf("  skipped updates      %lld (loss or gradients not finite)\n", (long long)r->skipped_updates);
  if (r->residues > 0)
    printf("  residues trained on  %s at %s/s, in %s; %.1f%% of it waiting for data\n",
           plm_count_short_text((double)r->residues, residues), plm_count_short_text(r->residues_per_s, rate),
           plm_duration_text(r->seconds, time), 100 * r->data_wait);
  if (getrusage(RUSAGE_SELF, &usage) == 0)
    printf("  peak memory          %s\n", plm_bytes_short_text((int64_t)usage.ru_maxrss * 1024, memory));
}

static void print_next(const char *words, const char *command, const char *path, const char *rest) {
  char word[PLM_SHELL_WORD];
  printf("  %-20s %s %s%s\n", words, command, plm_shell_word(path, word), rest);
}

/* What to type after a run that is over. */
static void print_results(const plm_train_result *r) {
  char model[sizeof r->output_directory + 16];
  snprintf(model, sizeof model, "%s/final", r->output_directory);
  printf("  model                %s (opens with AutoModelForMaskedLM.from_pretrained)\n", model);
  printf("  report               %s/report.html\n", r->output_directory);
  printf("\nNext:\n");
  print_next("score other proteins", "protlm eval --model", model, " --data other.fasta --per-sequence");
  print_next("see what it computes", "protlm inspect forward --model", model, " --fasta other.fasta");
  print_next("list checkpoints", "protlm ckpt ls", r->output_directory, "");
}

static void print_closing(const plm_train_result *r) {
  printf("\n%s: %s\n", headline(r), r->reason);
  if (r->outcome == PLM_TRAIN_DRY_RUN) {
    printf("  to start             the same command without --dry-run\n");
    return;
  }
  if (r->step > 0) print_work(r);
  print_quality(r);
  printf("\n");
  if (r->checkpoint[0] != '\0') printf("  checkpoint           %s\n", r->checkpoint);
  if (r->outcome == PLM_TRAIN_STOPPED)
    printf("  to go on             the same command again%s\n",
           r->checkpoint[0] != '\0' ? ": it continues from this checkpoint" : "");
  else
    print_results(r);
}

/* A run is what it wrote: where its summary goes to a full disk, or to a reader who has left, that is said and no
 * failure. */
static void flush_closing(const plm_train_result *r) {
  const int failed = fflush(stdout) != 0 ? errno : ferror(stdout) ? EIO : 0;
  if (failed == 0) return;
  plm_warn("the summary could not be written to standard output (%s); the run itself lacks nothing, and is in %s",
           strerror(failed), r->output_directory);
  __fpurge(stdout);
  clearerr(stdout);
}

plm_status cli_train(const plm_option_values *values, const cli_terminal *terminal, const cli_common *common) {
  view v = {.terminal = terminal, .quiet = common->quiet};
  const plm_train_observer observer = {
      .user = &v,
      .step = on_step,
      .phase = on_phase,
      .ready = on_ready,
      .comm = cli_ranks(),
      .program = cli_own_program(),
  };
  static plm_train_result result; /* two paths: large for a stack */
  plm_status status = plm_train(values, &observer, &result);
  cli_stop_is_late();
  cli_status_line(NULL);
  if (!cli_speaks()) return status;
  if (status == PLM_OK || (status == PLM_STOPPED && result.outcome == PLM_TRAIN_STOPPED && result.reason[0] != '\0'))
    print_closing(&result);
  if (result.outcome != PLM_TRAIN_DRY_RUN) flush_closing(&result);
  return status;
}
