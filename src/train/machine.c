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

#include "base/alloc.h"
#include "base/file.h"
#include "base/system.h"
#include "base/text.h"
#include "checkpoint/checkpoint.h"
#include "dist/share.h"
#include "protlm/log.h"

/* ---- device and exec ---- */

plm_status plm_machine_open(const plm_machine_options *options, plm_machine *ret_machine) {
  const plm_exec_options exec = {
      .device = options->device,
      .threads = options->threads,
      .level_mask = options->level,
      .level_limit = options->limit,
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
  plm_arithmetic a = {
      .ranks = plan->ranks, .threads = settings->o->threads, .micro_batch_tokens = plan->micro_batch_tokens};
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

/* ---- what changes the bits ---- */

/* The part of a comparison that is about one thing, on both sides, where it differs. */
static void differ(plm_text *was, plm_text *is, const char *then, const char *now) {
  if (strcmp(then, now) == 0) return;
  plm_text_printf(was, "%s%s", was->length > 0 ? ", " : "", then);
  plm_text_printf(is, "%s%s", is->length > 0 ? ", " : "", now);
}

enum { ARITHMETIC_PARTS = 6, ARITHMETIC_WORDS = 192 };

static void put_arithmetic(const plm_arithmetic *a, char parts[ARITHMETIC_PARTS][ARITHMETIC_WORDS]) {
  char count[PLM_COUNTED_TEXT];
  snprintf(parts[0], ARITHMETIC_WORDS, "%s", plm_counted(a->ranks, "rank", "ranks", count));
  snprintf(parts[1], ARITHMETIC_WORDS, "%s of %s", plm_counted(a->threads, "thread", "threads", count), a->threading);
  snprintf(parts[2], ARITHMETIC_WORDS, "micro-batches of %lld tokens", (long long)a->micro_batch_tokens);
  snprintf(parts[3], ARITHMETIC_WORDS, "kernels %s", a->level);
  snprintf(parts[4], ARITHMETIC_WORDS, "products by %s", a->products);
  snprintf(parts[5], ARITHMETIC_WORDS, "protlm %s on %s", a->program, a->cpu);
}

void plm_arithmetic_say_changes(const plm_arithmetic *saved, const plm_arithmetic *now) {
  char then_parts[ARITHMETIC_PARTS][ARITHMETIC_WORDS], now_parts[ARITHMETIC_PARTS][ARITHMETIC_WORDS];
  plm_text was = {0}, is = {0};
  put_arithmetic(saved, then_parts);
  put_arithmetic(now, now_parts);
  for (int i = 0; i < ARITHMETIC_PARTS; i++) differ(&was, &is, then_parts[i], now_parts[i]);
  if (was.data != NULL && is.data != NULL)
    plm_warn("bits may differ from a run that was not interrupted: %s then; %s now", was.data, is.data);
  plm_text_free(&was);
  plm_text_free(&is);
}

/* ---- level and number format ---- */

static plm_dtype choose_dtype(const plm_train_settings *settings, const plm_arithmetic *saved, const plm_exec *exec,
                              bool speaks) {
  const char *word = settings->o->dtype;
  if (word == NULL && saved != NULL) word = saved->dtype;
  if (word == NULL) word = exec->computes_bf16 ? "bf16" : "fp32";
  const plm_dtype dtype = strcmp(word, "bf16") == 0 ? PLM_BF16 : PLM_F32;
  if (dtype == PLM_BF16 && !exec->computes_bf16 && speaks)
    plm_warn("--dtype bf16: these processor kernels (%s) don't compute bf16; fp32 would be faster", exec->kernels);
  return dtype;
}

/* What decides on the kernels of all ranks. */
typedef struct rank_level {
  int32_t level, computes_bf16;
  char kernels[16];
} rank_level;

/* The first rank with the lowest level. Devices of other kinds have other kernels, which nobody can compare. */
static plm_status find_lowest(plm_comm *comm, const plm_exec *exec, rank_level *ret_lowest, int *ret_rank) {
  rank_level mine = {.level = exec->level, .computes_bf16 = exec->computes_bf16}, *all = comm->scratch;
  _Static_assert(sizeof mine <= PLM_AGREE_BYTES, "the scratch memory of a communicator holds one for each rank");
  memcpy(mine.kernels, exec->kernels, sizeof mine.kernels);
  PLM_TRY(plm_agree_same(comm, "devices", exec->backend->name, strlen(exec->backend->name)));
  PLM_TRY(comm->exchange(comm, "machine", &mine, sizeof mine, all));
  *ret_rank = 0;
  for (int rank = 1; rank < comm->size; rank++)
    if (all[rank].level < all[*ret_rank].level) *ret_rank = rank;
  *ret_lowest = all[*ret_rank];
  return PLM_OK;
}

static plm_status level_out(plm_comm *comm, const plm_machine_options *options, plm_machine *machine,
                            char words[PLM_LEVEL_WORDS]) {
  char who[PLM_RANK_WORDS];
  rank_level lowest;
  int rank;
  snprintf(words, PLM_LEVEL_WORDS, "%s", machine->exec->kernels);
  if (comm->size == 1) return PLM_OK;
  PLM_TRY(find_lowest(comm, machine->exec, &lowest, &rank));
  if (lowest.level == machine->exec->level) return PLM_OK;
  snprintf(words, PLM_LEVEL_WORDS, "%s, as %s has no better", lowest.kernels, plm_rank_words(comm, rank, who));
  plm_machine_options lower = *options;
  lower.limit = lowest.kernels;
  plm_machine_close(machine);
  return plm_machine_open(&lower, machine);
}

plm_status plm_machine_level_out(plm_comm *comm, const plm_machine_options *options, plm_machine *machine,
                                 char words[PLM_LEVEL_WORDS]) {
  return plm_agree(comm, "machine", level_out(comm, options, machine, words));
}

static plm_status open_own(plm_train_settings *settings, const plm_arithmetic *saved, const char *device,
                           plm_comm *comm, plm_machine_options *ret_options, plm_machine *ret_machine,
                           plm_run_plan *plan) {
  const plm_thread_request request = {
      .asked = plm_train_explicit(settings, "threads") ? settings->o->threads : 0,
      .saved = saved != NULL ? saved->threads : 0,
  };
  PLM_TRY(plm_rank_threads_decide(comm, request, &plan->threads));
  *ret_options = (plm_machine_options){
      .device = device,
      .threads = plan->threads.threads,
      .level = saved != NULL ? saved->level : NULL,
  };
  return plm_machine_open(ret_options, ret_machine);
}

plm_status plm_run_open_machine(plm_train_settings *settings, const plm_arithmetic *saved, const char *device,
                                plm_comm *comm, plm_machine *ret_machine, plm_run_plan *plan) {
  const bool speaks = comm->rank == 0;
  plm_machine_options options = {0};
  plan->ranks = comm->size;
  PLM_TRY(plm_agree(comm, "machine", open_own(settings, saved, device, comm, &options, ret_machine, plan)));
  PLM_TRY(plm_machine_level_out(comm, &options, ret_machine, plan->level_words));
  plan->dtype = choose_dtype(settings, saved, ret_machine->exec, speaks);
  comm->gradient_dtype = strcmp(settings->o->grad_reduce_dtype, "bf16") == 0 ? PLM_BF16 : PLM_F32;
  plm_train_resolve_machine(settings, options.threads, plan->dtype);
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
      .ranks = plan->ranks,
      .sharded = o->zero > 0 && plan->ranks > 1,
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

static plm_status refuse_memory(const plm_run_plan *plan, size_t total, int sharing) {
  char need[PLM_NUMBER_TEXT], have[PLM_NUMBER_TEXT], part[4][PLM_NUMBER_TEXT], shared[64] = "";
  const plm_memory_plan *m = &plan->memory;
  if (sharing > 1) snprintf(shared, sizeof shared, " for each of the %d ranks on it", sharing);
  return plm_hint(
      plm_fail(
          PLM_E_RESOURCE,
          "this run needs %s of memory and the machine has %s%s (parameters %s, gradients %s, optimizer %s, activations of %lld tokens and workspace %s)",
          plm_bytes_text(m->total, need), plm_bytes_text((int64_t)total, have), shared,
          plm_bytes_text(m->parameters, part[0]), plm_bytes_text(m->gradients, part[1]),
          plm_bytes_text(m->optimizer, part[2]), (long long)plan->micro_batch_tokens,
          plm_bytes_text(m->activations + m->workspace, part[3])),
      "take a smaller model, or lower --micro-batch-tokens and --max-length, or use a machine with more memory%s",
      sharing > 1 ? ", or fewer ranks on each" : "");
}

/* Where a run's micro-batch comes from. */
typedef struct memory_choice {
  int64_t kept;   /* of the run that goes on; 0: none */
  bool fixed;     /* --micro-batch-tokens */
  int64_t tokens; /* what it comes to */
  size_t total;   /* bytes that this rank may plan for */
  int sharing;    /* ranks with which it shares the machine's */
} memory_choice;

static plm_status choose_tokens(const plm_train_settings *settings, plm_exec *exec, plm_run_plan *plan,
                                memory_choice *choice) {
  const int64_t longest = settings->o->max_length;
  int64_t tokens = choice->fixed      ? settings->o->micro_batch_tokens
                   : choice->kept > 0 ? choice->kept
                                      : automatic_limit(settings, exec);
  size_t available;
  PLM_TRY(exec->device->memory_info(exec->device, &choice->total, &available));
  if (exec->device->is_host) choice->total /= (size_t)choice->sharing;
  PLM_TRY(plan_micro_batch(settings, exec, tokens, plan));
  while (!choice->fixed && choice->kept <= 0 && (double)plan->memory.total > exec->plan_share * (double)choice->total &&
         tokens > longest) {
    tokens = tokens / 2 > longest ? tokens / 2 : longest;
    PLM_TRY(plan_micro_batch(settings, exec, tokens, plan));
  }
  choice->tokens = tokens;
  return PLM_OK;
}

/* The smallest of all ranks': they divide each batch alike. */
static plm_status take_smallest(const plm_train_settings *settings, plm_exec *exec, plm_comm *comm, plm_run_plan *plan,
                                memory_choice *choice) {
  const int64_t *all = comm->scratch, own = choice->tokens;
  if (comm->size == 1) return PLM_OK;
  PLM_TRY(comm->exchange(comm, "plan", &own, sizeof own, comm->scratch));
  for (int rank = 0; rank < comm->size; rank++)
    if (all[rank] < choice->tokens) choice->tokens = all[rank];
  return choice->tokens != own ? plan_micro_batch(settings, exec, choice->tokens, plan) : PLM_OK;
}

plm_status plm_run_plan_memory(plm_train_settings *settings, const plm_arithmetic *saved, plm_exec *exec,
                               plm_comm *comm, plm_run_plan *plan) {
  memory_choice choice = {
      .kept = saved != NULL ? saved->micro_batch_tokens : 0,
      .fixed = plm_train_explicit(settings, "micro-batch-tokens"),
      .sharing = comm->local_size,
  };
  PLM_TRY(plm_agree(comm, "plan", choose_tokens(settings, exec, plan, &choice)));
  plm_status status = take_smallest(settings, exec, comm, plan, &choice);
  if (status == PLM_OK && plan->memory.total > (int64_t)choice.total)
    status = refuse_memory(plan, choice.total, choice.sharing);
  PLM_TRY(plm_agree(comm, "plan", status));
  plm_train_resolve_micro_batch(settings, choice.tokens);
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
enum { COMPUTING_WORDS = 2 * PLM_THREAD_WORDS + PLM_LEVEL_WORDS };
static const char *computing_words(const plm_train_settings *s, const plm_run_plan *plan, char words[COMPUTING_WORDS]) {
  char threads[PLM_COUNTED_TEXT];
  const char *why = plan->threads.why;
  snprintf(words, COMPUTING_WORDS, "%s by %s, on %s%s%s%s", s->o->dtype, plan->level_words,
           plm_counted(s->o->threads, "thread", "threads", threads), *why != '\0' ? " (" : "", why,
           *why != '\0' ? ")" : "");
  return words;
}

static void report_steps(const plm_run_plan *plan, const plm_train_settings *s, int64_t epoch_tokens) {
  char computing[COMPUTING_WORDS];
  char steps[PLM_NUMBER_TEXT], epoch[PLM_NUMBER_TEXT], batch[PLM_NUMBER_TEXT];
  const int64_t tokens = epoch_tokens / s->steps_per_epoch;
  plm_info("steps: %s, %s an epoch (%.2f epochs), of %s tokens on average", plm_count_text(s->max_steps, steps),
           plm_count_text(s->steps_per_epoch, epoch), (double)s->max_steps / (double)s->steps_per_epoch,
           plm_count_text(tokens, batch));
  plm_info("learning rate: %s to %.3g, %lld warm-up %s; %s", plm_schedule_name(&s->schedule), s->o->learning_rate,
           (long long)s->schedule.W, plm_plural(s->schedule.W, "step", "steps"), computing_words(s, plan, computing));
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

void plm_run_report_plan(const plm_run_plan *plan, const plm_train_settings *settings, int64_t epoch_tokens,
                         const char *directory) {
  report_memory(plan);
  report_steps(plan, settings, epoch_tokens);
  if (directory != NULL) report_disk(plan, settings, directory);
}
