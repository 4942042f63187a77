/* What ranks compute with, as threads of this process: one level of kernels, one micro-batch, one verdict on memory. */
#include "support/unit.h"

#include <stdio.h>
#include <string.h>

#include "kernels/cpu/backend_cpu.h"
#include "protlm/options.h"
#include "support/ranks_cases.h"
#include "support/transport_threads.h"
#include "train/machine.h"

enum { RANKS = 3 };

typedef struct machines {
  const char *levels[RANKS]; /* that a rank has; NULL: the best there is */
  int64_t usual[RANKS];      /* tokens that keep its device busy; 0: as it says */
  int64_t memory[RANKS];     /* of its device; 0: as it is */
  char kernels[RANKS][16], words[RANKS][PLM_LEVEL_WORDS];
  int64_t tokens[RANKS];
} machines;

/* Memory of the ranks of this process, where a test says how much. */
static const machines *given;
static plm_device *devices[RANKS];

static plm_status memory_as_given(plm_device *device, size_t *ret_total, size_t *ret_free) {
  for (int rank = 0; rank < RANKS; rank++)
    if (devices[rank] == device) *ret_total = *ret_free = (size_t)given->memory[rank];
  return PLM_OK;
}

static plm_status plan(plm_comm *comm, machines *m, plm_train_settings *settings, plm_machine *machine) {
  const int rank = comm->rank;
  plm_run_plan made = {.ranks = 0};
  plm_arithmetic saved = {.threads = 1};
  if (m->levels[rank] != NULL) snprintf(saved.level, sizeof saved.level, "%s", m->levels[rank]);
  snprintf(saved.dtype, sizeof saved.dtype, "fp32");
  PLM_TRY(plm_train_resolve_model(settings, NULL, comm));
  PLM_TRY(plm_run_open_machine(settings, m->levels[rank] != NULL ? &saved : NULL, NULL, comm, machine, &made));
  snprintf(m->kernels[rank], sizeof m->kernels[rank], "%s", machine->exec->kernels);
  snprintf(m->words[rank], sizeof m->words[rank], "%s", made.level_words);
  if (m->usual[rank] > 0) machine->exec->usual_micro_batch = m->usual[rank];
  devices[rank] = machine->exec->device;
  if (m->memory[rank] > 0) machine->exec->device->memory_info = memory_as_given;
  PLM_TRY(plm_run_plan_memory(settings, NULL, machine->exec, comm, &made));
  m->tokens[rank] = made.micro_batch_tokens;
  cases_check(settings->o->micro_batch_tokens == made.micro_batch_tokens);
  return PLM_OK;
}

static plm_status one_rank(plm_comm *comm, void *context) {
  static const char *const words[] = {"--model",
                                      "esm2_t6_8M",
                                      "--num-hidden-layers",
                                      "1",
                                      "--hidden-size",
                                      "16",
                                      "--num-attention-heads",
                                      "2",
                                      "--max-length",
                                      "64",
                                      "--threads",
                                      "1",
                                      "--batch-tokens",
                                      "4096",
                                      "--dtype",
                                      "fp32",
                                      "--train",
                                      "proteins.fasta",
                                      "--output-dir",
                                      "run"};
  enum { COUNT = sizeof words / sizeof *words };
  char *copies[COUNT];
  plm_option_values *values;
  plm_train_settings *settings;
  plm_machine machine = {0};
  for (int i = 0; i < COUNT; i++) copies[i] = (char *)(uintptr_t)words[i];
  PLM_TRY(plm_options_load(plm_train_option_table(), COUNT, copies, &values));
  plm_status status = plm_train_settings_create(values, &settings);
  if (status == PLM_OK) {
    plm_error_record first;
    status = plan(comm, context, settings, &machine);
    plm_error_take(status, &first);
    plm_machine_close(&machine);
    plm_train_settings_destroy(settings);
    status = plm_error_give(&first);
  }
  plm_option_values_destroy(values);
  return status;
}

static void go(machines *m, plm_error_record results[RANKS]) {
  given = m;
  threads_run(&(threads_options){.size = RANKS}, one_rank, m, results);
}

static void all_take_the_lowest_level_found_on_any(void **state) {
  plm_error_record results[RANKS];
  machines m = {.levels = {NULL, "ref", "avx2"}};
  (void)state;
  if (plm_cpu_level_detect() < PLM_CPU_AVX2) skip();
  go(&m, results);
  threads_expect_ok(results, RANKS);
  for (int rank = 0; rank < RANKS; rank++) {
    assert_string_equal(m.kernels[rank], "ref");
    assert_int_equal(strncmp(m.words[rank], "ref, as rank 1 (", 16) == 0, rank != 1);
  }
  assert_string_equal(m.words[1], "ref");
}

static void all_take_the_smallest_micro_batch(void **state) {
  plm_error_record results[RANKS];
  machines m = {.usual = {3000, 2000, 1000}};
  (void)state;
  go(&m, results);
  threads_expect_ok(results, RANKS);
  for (int rank = 0; rank < RANKS; rank++) assert_int_equal(m.tokens[rank], 1000);
}

/* A third of 192 KiB is too little, on one rank alone: all end, and say whose it is. */
static void what_does_not_fit_one_rank_is_refused_by_all(void **state) {
  plm_error_record results[RANKS];
  machines m = {.memory = {0, 0, 3 << 16}};
  (void)state;
  go(&m, results);
  for (int rank = 0; rank < RANKS; rank++) {
    assert_int_equal(results[rank].code, PLM_E_RESOURCE);
    assert_non_null(strstr(results[rank].message, "rank 2 ("));
    assert_non_null(strstr(results[rank].message, "the machine has 64.0 KiB for each of the 3 ranks on it"));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_take_the_lowest_level_found_on_any),
      cmocka_unit_test(all_take_the_smallest_micro_batch),
      cmocka_unit_test(what_does_not_fit_one_rank_is_refused_by_all),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
