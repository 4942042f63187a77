/* machine.c - what the run computes with, and whether it fits: threads, kernels, number format, memory, disk (design 5,
 * "Determinism").
 *
 * Choices that change the order of sums are made once, from options, model and total memory, never from free memory or
 * timing; they are saved with the state, and a later start of the run makes the same ones, or says that bits may
 * differ.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/system.h"
#include "base/text.h"
#include "checkpoint/checkpoint.h"
#include "protlm/log.h"
#include "train/run.h"

plm_status plm_machine_open(const plm_machine_options *options, plm_machine *ret_machine) {
  return plm_exec_open(&(plm_exec_options){.threads = options->threads, .level_mask = options->level},
                       &ret_machine->exec);
}

void plm_machine_close(plm_machine *machine) {
  plm_exec_destroy(machine->exec);
  machine->exec = NULL;
}

/* ---- threads, kernels, number format ---- */

static int64_t choose_threads(const plm_run *run) {
  const int64_t saved = run->state.arithmetic.threads;
  plm_system system;
  plm_system_read(&system);
  const int64_t asked = run->settings->o->threads;
  if (plm_train_explicit(run->settings, "threads")) {
    if (asked > system.cpus)
      plm_warn("--threads %lld: this process may use %d processors; more threads than that slow each other down",
               (long long)asked, system.cpus);
    return asked;
  }
  return run->resumed && saved <= system.cpus ? saved : system.cpus;
}

void plm_run_arithmetic(const plm_run *run, plm_arithmetic *ret_arithmetic) {
  plm_arithmetic a = {.threads = run->settings->o->threads, .micro_batch_tokens = run->micro_batch_tokens};
  plm_system system;
  plm_system_read(&system);
  snprintf(a.products, sizeof a.products, "%s", run->x->products);
  snprintf(a.level, sizeof a.level, "%s", run->x->kernels);
  snprintf(a.dtype, sizeof a.dtype, "%s", run->settings->o->dtype);
  snprintf(a.threading, sizeof a.threading, "%s", plm_pool_kind());
  snprintf(a.cpu, sizeof a.cpu, "%s", system.cpu);
  snprintf(a.program, sizeof a.program, "%s", PLM_VERSION);
  *ret_arithmetic = a;
}

static void put_arithmetic(const plm_arithmetic *a, char words[320]) {
  snprintf(words, 320, "%lld threads of %s, kernels %s, products by %s, protlm %s on %s", (long long)a->threads,
           a->threading, a->level, a->products, a->program, a->cpu);
}

static void say_when_bits_may_differ(const plm_run *run) {
  plm_arithmetic arithmetic;
  char was[320], is[320];
  plm_run_arithmetic(run, &arithmetic);
  put_arithmetic(&run->state.arithmetic, was);
  put_arithmetic(&arithmetic, is);
  if (strcmp(was, is) != 0) plm_warn("bits may differ from a run that was not interrupted: %s then; %s now", was, is);
}

static void choose_dtype(plm_run *run) {
  const char *word = run->settings->o->dtype;
  if (word == NULL && run->resumed) word = run->state.arithmetic.dtype;
  if (word == NULL) word = run->x->computes_bf16 ? "bf16" : "fp32";
  run->dtype = strcmp(word, "bf16") == 0 ? PLM_BF16 : PLM_F32;
  if (run->dtype == PLM_BF16 && !run->x->computes_bf16)
    plm_warn("--dtype bf16: these processor kernels (%s) don't compute bf16; fp32 would be faster", run->x->kernels);
}

plm_status plm_run_open_machine(plm_run *run, plm_train_settings *settings) {
  const int64_t threads = choose_threads(run);
  const plm_machine_options options = {.threads = (int)threads,
                                       .level = run->resumed ? run->state.arithmetic.level : NULL};
  PLM_TRY(plm_machine_open(&options, &run->machine));
  run->x = run->machine.exec;
  choose_dtype(run);
  plm_train_resolve_machine(settings, threads, run->dtype);
  if (run->resumed) say_when_bits_may_differ(run);
  return PLM_OK;
}

void plm_run_close_machine(plm_run *run) { plm_machine_close(&run->machine); }

/* ---- memory ---- */

void plm_run_model_options(const plm_run *run, plm_model_options *ret_options) {
  const plm_train_options *o = run->settings->o;
  *ret_options = (plm_model_options){
      .dtype = run->dtype,
      .training = true,
      .decay_all = o->decay_all,
      .max_tokens = run->micro_batch_tokens > o->max_length ? run->micro_batch_tokens : o->max_length,
      .max_length = o->max_length,
  };
}

static plm_status plan(plm_run *run) {
  plm_model_options options;
  plm_run_model_options(run, &options);
  return plm_model_plan(&run->settings->config, &options, run->x, &run->memory);
}

int64_t plm_run_checkpoint_bytes(const plm_run *run) {
  return plm_checkpoint_bytes(run->memory.parameter_count, run->memory.trainable_count);
}

/* The most tokens a micro-batch can usefully have: a global batch holds at most its budget and the sequence that
 * crossed it. */
static int64_t automatic_limit(const plm_run *run) {
  const plm_train_options *o = run->settings->o;
  int64_t batch =
      run->settings->batch_sequences > 0 || o->per_device_train_batch_size > 0 ? INT64_MAX / 2 : o->batch_tokens;
  const int64_t usual = run->x->usual_micro_batch;
  int64_t limit = batch + o->max_length < usual ? batch + o->max_length : usual;
  return limit > o->max_length ? limit : o->max_length;
}

static plm_status refuse_memory(const plm_run *run, size_t total) {
  char need[PLM_NUMBER_TEXT], have[PLM_NUMBER_TEXT], part[4][PLM_NUMBER_TEXT];
  const plm_memory_plan *m = &run->memory;
  return plm_hint(
      plm_fail(
          PLM_E_RESOURCE,
          "this run needs %s of memory and the machine has %s (parameters %s, gradients %s, optimizer %s, activations of %lld tokens and workspace %s)",
          plm_bytes_text(m->total, need), plm_bytes_text((int64_t)total, have), plm_bytes_text(m->parameters, part[0]),
          plm_bytes_text(m->gradients, part[1]), plm_bytes_text(m->optimizer, part[2]),
          (long long)run->micro_batch_tokens, plm_bytes_text(m->activations + m->workspace, part[3])),
      "take a smaller model, or lower --micro-batch-tokens and --max-length, or use a machine with more memory");
}

plm_status plm_run_plan_memory(plm_run *run, plm_train_settings *settings) {
  const plm_train_options *o = run->settings->o;
  size_t total, available;
  PLM_TRY(run->x->device->memory_info(run->x->device, &total, &available));
  const bool fixed = plm_train_explicit(run->settings, "micro-batch-tokens"),
             saved = run->resumed && run->state.arithmetic.micro_batch_tokens > 0;
  run->micro_batch_tokens = fixed   ? o->micro_batch_tokens
                            : saved ? run->state.arithmetic.micro_batch_tokens
                                    : automatic_limit(run);
  PLM_TRY(plan(run));
  while (!fixed && !saved && (double)run->memory.total > run->x->plan_share * (double)total &&
         run->micro_batch_tokens > o->max_length) {
    run->micro_batch_tokens = run->micro_batch_tokens / 2 > o->max_length ? run->micro_batch_tokens / 2 : o->max_length;
    PLM_TRY(plan(run));
  }
  if (run->memory.total > (int64_t)total) return refuse_memory(run, total);
  if (run->resumed && saved && run->micro_batch_tokens != run->state.arithmetic.micro_batch_tokens)
    plm_warn("bits may differ from a run that was not interrupted: micro-batches of %lld tokens then, %lld now",
             (long long)run->state.arithmetic.micro_batch_tokens, (long long)run->micro_batch_tokens);
  plm_train_resolve_micro_batch(settings, run->micro_batch_tokens);
  return PLM_OK;
}

/* ---- the plan, for a person, before the first step ---- */

static void report_memory(const plm_run *run) {
  char text[5][PLM_NUMBER_TEXT];
  const plm_memory_plan *m = &run->memory;
  plm_info(
      "memory: %s = parameters %s, gradients %s, optimizer %s, activations and workspace %s (micro-batches of %lld tokens)",
      plm_bytes_text(m->total, text[0]), plm_bytes_text(m->parameters, text[1]), plm_bytes_text(m->gradients, text[2]),
      plm_bytes_text(m->optimizer, text[3]), plm_bytes_text(m->activations + m->workspace, text[4]),
      (long long)run->micro_batch_tokens);
}

static void report_steps(const plm_run *run) {
  const plm_train_settings *s = run->settings;
  char steps[PLM_NUMBER_TEXT], epoch[PLM_NUMBER_TEXT], batch[PLM_NUMBER_TEXT];
  const int64_t tokens = plm_loader_tokens_per_epoch(run->stream.loader) / s->steps_per_epoch;
  plm_info("steps: %s, %s an epoch (%.2f epochs), of %s tokens on average", plm_count_text(s->max_steps, steps),
           plm_count_text(s->steps_per_epoch, epoch), (double)s->max_steps / (double)s->steps_per_epoch,
           plm_count_text(tokens, batch));
  plm_info("learning rate: %s to %.3g, %lld warm-up steps; %s on %lld threads (%s)", plm_schedule_name(&s->schedule),
           s->o->learning_rate, (long long)s->schedule.W, s->o->dtype, (long long)s->o->threads, run->x->kernels);
  double highest = plm_schedule_highest(&s->schedule);
  if (s->o->demo_compat && highest < s->o->learning_rate)
    plm_warn(
        "--demo-compat: warm-up of %lld steps is longer than the run; the highest learning rate it will reach is %.3g, not %.3g",
        (long long)s->schedule.W, highest, s->o->learning_rate);
}

static plm_status report_disk(const plm_run *run) {
  if (run->directory.path == NULL) return PLM_OK;
  const int64_t each = plm_run_checkpoint_bytes(run), limit = run->settings->o->save_total_limit,
                steps = run->settings->o->save_steps;
  int64_t kept = run->settings->max_steps / steps + 1;
  if (limit > 0 && kept > limit + 1) kept = limit + 1;
  const double needed = ((double)kept + 1.0 / 3) * (double)each; /* and final/ */
  int64_t free_bytes = 0;
  char text[3][PLM_NUMBER_TEXT];
  if (plm_disk_free(run->directory.path, &free_bytes) != PLM_OK) {
    plm_error_clear();
    return PLM_OK;
  }
  plm_info("disk: %s a checkpoint, %s for %lld of them and final/; %s free", plm_bytes_text(each, text[0]),
           plm_bytes_text(needed < 0x1p62 ? (int64_t)needed : INT64_MAX, text[1]), (long long)kept,
           plm_bytes_text(free_bytes, text[2]));
  if (needed > (double)free_bytes)
    plm_warn("the disk may fill before the run ends: --save-total-limit N keeps only the newest N checkpoints");
  return PLM_OK;
}

plm_status plm_run_report_plan(plm_run *run) {
  report_memory(run);
  report_steps(run);
  return report_disk(run);
}
