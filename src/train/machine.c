/* machine.c - what is computed with, and whether a run fits: threads, kernels, number format, memory, disk (design 5,
 * "Determinism").
 *
 * Choices that change the order of sums are made once, from options, model and total memory, never from free memory or
 * timing; they are saved with the state, and a later start of the run makes the same ones, or says that bits may
 * differ.
 */
#include "train/machine.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/system.h"
#include "base/text.h"
#include "checkpoint/checkpoint.h"
#include "protlm/log.h"

/* ---- device and exec ---- */

plm_status plm_machine_open(const plm_machine_options *options, plm_machine *ret_machine) {
  const plm_exec_options exec = {
      .device = options->device,
      .threads = options->threads,
      .level_mask = options->level,
  };
  return plm_exec_open(&exec, &ret_machine->exec);
}

void plm_machine_close(plm_machine *machine) {
  plm_exec_destroy(machine->exec);
  machine->exec = NULL;
}

/* ---- threads, kernels, number format ---- */

void plm_run_arithmetic(const plm_run_plan *plan, const plm_train_settings *settings, const plm_exec *exec,
                        plm_arithmetic *ret_arithmetic) {
  plm_arithmetic a = {.threads = settings->o->threads, .micro_batch_tokens = plan->micro_batch_tokens};
  plm_system system;
  plm_system_read(&system);
  snprintf(a.products, sizeof a.products, "%s", exec->products);
  snprintf(a.level, sizeof a.level, "%s", exec->kernels);
  snprintf(a.dtype, sizeof a.dtype, "%s", settings->o->dtype);
  snprintf(a.threading, sizeof a.threading, "%s", plm_pool_kind());
  snprintf(a.cpu, sizeof a.cpu, "%s", system.cpu);
  snprintf(a.program, sizeof a.program, "%s", PLM_VERSION);
  *ret_arithmetic = a;
}

static void put_arithmetic(const plm_arithmetic *a, char words[320]) {
  char threads[PLM_COUNTED_TEXT];
  snprintf(words, 320, "%s of %s, kernels %s, products by %s, protlm %s on %s",
           plm_counted(a->threads, "thread", "threads", threads), a->threading, a->level, a->products, a->program,
           a->cpu);
}

static void say_when_bits_may_differ(const plm_arithmetic *saved, const plm_arithmetic *now) {
  char was[320], is[320];
  put_arithmetic(saved, was);
  put_arithmetic(now, is);
  if (strcmp(was, is) != 0) plm_warn("bits may differ from a run that was not interrupted: %s then; %s now", was, is);
}

static plm_dtype choose_dtype(const plm_train_settings *settings, const plm_arithmetic *saved, const plm_exec *exec) {
  const char *word = settings->o->dtype;
  if (word == NULL && saved != NULL) word = saved->dtype;
  if (word == NULL) word = exec->computes_bf16 ? "bf16" : "fp32";
  const plm_dtype dtype = strcmp(word, "bf16") == 0 ? PLM_BF16 : PLM_F32;
  if (dtype == PLM_BF16 && !exec->computes_bf16)
    plm_warn("--dtype bf16: these processor kernels (%s) don't compute bf16; fp32 would be faster", exec->kernels);
  return dtype;
}

plm_status plm_run_open_machine(plm_train_settings *settings, const plm_arithmetic *saved, const char *device,
                                plm_machine *ret_machine, plm_run_plan *plan) {
  const plm_thread_request request = {
      .asked = plm_train_explicit(settings, "threads") ? settings->o->threads : 0,
      .saved = saved != NULL ? saved->threads : 0,
  };
  plm_arithmetic now;
  PLM_TRY(plm_thread_count_decide(&request, &plan->threads));
  const plm_machine_options options = {
      .device = device,
      .threads = plan->threads.threads,
      .level = saved != NULL ? saved->level : NULL,
  };
  PLM_TRY(plm_machine_open(&options, ret_machine));
  plan->dtype = choose_dtype(settings, saved, ret_machine->exec);
  plm_train_resolve_machine(settings, options.threads, plan->dtype);
  plm_run_arithmetic(plan, settings, ret_machine->exec, &now);
  if (saved != NULL) say_when_bits_may_differ(saved, &now);
  return PLM_OK;
}

/* ---- memory ---- */

void plm_run_model_options(const plm_run_plan *plan, const plm_train_settings *settings,
                           plm_model_options *ret_options) {
  const plm_train_options *o = settings->o;
  *ret_options = (plm_model_options){
      .dtype = plan->dtype,
      .training = true,
      .decay_all = o->decay_all,
      .max_tokens = plan->micro_batch_tokens > o->max_length ? plan->micro_batch_tokens : o->max_length,
      .max_length = o->max_length,
      .optimiser = plm_optimiser_planned(settings->optimiser.kind),
  };
}

static plm_status plan_micro_batch(const plm_train_settings *settings, plm_exec *exec, int64_t tokens,
                                   plm_run_plan *plan) {
  plm_model_options options;
  plan->micro_batch_tokens = tokens;
  plm_run_model_options(plan, settings, &options);
  return plm_model_plan(&settings->config, &options, exec, &plan->memory);
}

int64_t plm_run_checkpoint_bytes(const plm_run_plan *plan, const plm_optimiser_kind *kind) {
  return plm_checkpoint_bytes(plan->memory.parameter_count * (int64_t)sizeof(float) +
                              plm_optimiser_saved_bytes(kind, plan->memory.trainable_count));
}

/* The most tokens a micro-batch can usefully have: a global batch holds at most its budget and the sequence that
 * crossed it. */
static int64_t automatic_limit(const plm_train_settings *settings, const plm_exec *exec) {
  const plm_train_options *o = settings->o;
  int64_t batch = settings->batch_sequences > 0 || o->per_device_train_batch_size > 0 ? INT64_MAX / 2 : o->batch_tokens;
  const int64_t usual = exec->usual_micro_batch;
  int64_t limit = batch + o->max_length < usual ? batch + o->max_length : usual;
  return limit > o->max_length ? limit : o->max_length;
}

static plm_status refuse_memory(const plm_run_plan *plan, size_t total) {
  char need[PLM_NUMBER_TEXT], have[PLM_NUMBER_TEXT], part[4][PLM_NUMBER_TEXT];
  const plm_memory_plan *m = &plan->memory;
  return plm_hint(
      plm_fail(
          PLM_E_RESOURCE,
          "this run needs %s of memory and the machine has %s (parameters %s, gradients %s, optimizer %s, activations of %lld tokens and workspace %s)",
          plm_bytes_text(m->total, need), plm_bytes_text((int64_t)total, have), plm_bytes_text(m->parameters, part[0]),
          plm_bytes_text(m->gradients, part[1]), plm_bytes_text(m->optimizer, part[2]),
          (long long)plan->micro_batch_tokens, plm_bytes_text(m->activations + m->workspace, part[3])),
      "take a smaller model, or lower --micro-batch-tokens and --max-length, or use a machine with more memory");
}

plm_status plm_run_plan_memory(plm_train_settings *settings, const plm_arithmetic *saved, plm_exec *exec,
                               plm_run_plan *plan) {
  const int64_t longest = settings->o->max_length, kept = saved != NULL ? saved->micro_batch_tokens : 0;
  const bool fixed = plm_train_explicit(settings, "micro-batch-tokens");
  size_t total, available;
  PLM_TRY(exec->device->memory_info(exec->device, &total, &available));
  int64_t tokens = fixed ? settings->o->micro_batch_tokens : kept > 0 ? kept : automatic_limit(settings, exec);
  PLM_TRY(plan_micro_batch(settings, exec, tokens, plan));
  while (!fixed && kept <= 0 && (double)plan->memory.total > exec->plan_share * (double)total && tokens > longest) {
    tokens = tokens / 2 > longest ? tokens / 2 : longest;
    PLM_TRY(plan_micro_batch(settings, exec, tokens, plan));
  }
  if (plan->memory.total > (int64_t)total) return refuse_memory(plan, total);
  if (kept > 0 && tokens != kept)
    plm_warn("bits may differ from a run that was not interrupted: micro-batches of %lld tokens then, %lld now",
             (long long)kept, (long long)tokens);
  plm_train_resolve_micro_batch(settings, tokens);
  return PLM_OK;
}

/* ---- the plan, for a person, before the first step ---- */

static void report_memory(const plm_run_plan *plan) {
  char text[5][PLM_NUMBER_TEXT];
  const plm_memory_plan *m = &plan->memory;
  plm_info(
      "memory: %s = parameters %s, gradients %s, optimizer %s, activations and workspace %s (micro-batches of %lld tokens)",
      plm_bytes_text(m->total, text[0]), plm_bytes_text(m->parameters, text[1]), plm_bytes_text(m->gradients, text[2]),
      plm_bytes_text(m->optimizer, text[3]), plm_bytes_text(m->activations + m->workspace, text[4]),
      (long long)plan->micro_batch_tokens);
}

/* "bf16 by avx512bf16, on 1 thread (OMP_NUM_THREADS=1; 64 usable: --threads 64)" */
static const char *computing_words(const plm_train_settings *s, const plm_run_plan *plan, const plm_exec *exec,
                                   char words[2 * PLM_THREAD_WORDS]) {
  char threads[PLM_COUNTED_TEXT];
  const char *why = plan->threads.why;
  snprintf(words, 2 * PLM_THREAD_WORDS, "%s by %s, on %s%s%s%s", s->o->dtype, exec->kernels,
           plm_counted(s->o->threads, "thread", "threads", threads), *why != '\0' ? " (" : "", why,
           *why != '\0' ? ")" : "");
  return words;
}

static void report_steps(const plm_run_plan *plan, const plm_train_settings *s, const plm_exec *exec,
                         int64_t epoch_tokens) {
  char computing[2 * PLM_THREAD_WORDS];
  char steps[PLM_NUMBER_TEXT], epoch[PLM_NUMBER_TEXT], batch[PLM_NUMBER_TEXT];
  const int64_t tokens = epoch_tokens / s->steps_per_epoch;
  plm_info("steps: %s, %s an epoch (%.2f epochs), of %s tokens on average", plm_count_text(s->max_steps, steps),
           plm_count_text(s->steps_per_epoch, epoch), (double)s->max_steps / (double)s->steps_per_epoch,
           plm_count_text(tokens, batch));
  plm_info("learning rate: %s to %.3g, %lld warm-up %s; %s", plm_schedule_name(&s->schedule), s->o->learning_rate,
           (long long)s->schedule.W, plm_plural(s->schedule.W, "step", "steps"),
           computing_words(s, plan, exec, computing));
  double highest = plm_schedule_highest(&s->schedule);
  if (s->o->demo_compat && highest < s->o->learning_rate)
    plm_warn(
        "--demo-compat: warm-up of %lld steps is longer than the run; the highest learning rate it will reach is %.3g, not %.3g",
        (long long)s->schedule.W, highest, s->o->learning_rate);
}

static void report_disk(const plm_run_plan *plan, const plm_train_settings *s, const char *directory) {
  const int64_t each = plm_run_checkpoint_bytes(plan, s->optimiser.kind), limit = s->o->save_total_limit;
  int64_t kept = s->max_steps / s->o->save_steps + 1, free_bytes = 0;
  if (limit > 0 && kept > limit + 1) kept = limit + 1;
  const double needed = ((double)kept + 1.0 / 3) * (double)each; /* and final/ */
  char text[3][PLM_NUMBER_TEXT];
  if (plm_disk_free(directory, &free_bytes) != PLM_OK) {
    plm_error_clear();
    return;
  }
  plm_info("disk: %s a checkpoint, %s for %lld of them and final/; %s free", plm_bytes_text(each, text[0]),
           plm_bytes_text(needed < 0x1p62 ? (int64_t)needed : INT64_MAX, text[1]), (long long)kept,
           plm_bytes_text(free_bytes, text[2]));
  if (needed > (double)free_bytes)
    plm_warn("the disk may fill before the run ends: --save-total-limit N keeps only the newest N checkpoints");
}

void plm_run_report_plan(const plm_run_plan *plan, const plm_train_settings *settings, const plm_exec *exec,
                         int64_t epoch_tokens, const char *directory) {
  report_memory(plan);
  report_steps(plan, settings, exec, epoch_tokens);
  if (directory != NULL) report_disk(plan, settings, directory);
}
