/* machine.h - the device that a command computes on, and the exec on it, opened here by every command; and what a run
 * of training plans to do with them: number format, micro-batch, memory.
 */
#ifndef PLM_TRAIN_MACHINE_H
#define PLM_TRAIN_MACHINE_H

#include "base/thread_count.h"
#include "dist/agree.h"
#include "kernels/backend.h"
#include "train/resolve.h"
#include "train/state.h"

typedef struct plm_machine_options {
  const char *device; /* name of a backend; NULL: the best there is */
  int threads;
  const char *level; /* of the kernels, where the environment names none; NULL: the best there is */
  const char *limit; /* no higher level than this, whatever the environment names; NULL: none */
} plm_machine_options;

typedef struct plm_machine {
  plm_exec *exec; /* with its device */
} plm_machine;

PLM_CHECKED plm_status plm_machine_open(const plm_machine_options *options, plm_machine *ret_machine);
void plm_machine_close(plm_machine *machine); /* accepts one that was never opened */

/* All ranks compute with the lowest level found on any, so that what one has does not decide on the bits: a machine
 * above it is opened again. options: of its opening. words: "avx2, as rank 1 (n2) has no better"; of one rank the level
 * alone. Collective: ends in an agreement. */
enum { PLM_LEVEL_WORDS = PLM_RANK_WORDS + 48 };
PLM_CHECKED plm_status plm_machine_level_out(plm_comm *comm, const plm_machine_options *options, plm_machine *machine,
                                             char words[PLM_LEVEL_WORDS]);

/* ---- a run's choices: made from options, model and total memory, or `saved` with its state (NULL: a new run) ---- */
typedef struct plm_run_plan {
  plm_thread_count threads;
  char level_words[PLM_LEVEL_WORDS]; /* of plm_machine_level_out */
  int ranks;
  plm_dtype dtype;
  int64_t micro_batch_tokens;
  plm_memory_plan memory;
} plm_run_plan;

/* Threads, which are each rank's own; kernels, of the lowest level that a rank has; number format, also of gradients
 * between ranks. Collective: ends in an agreement. */
PLM_CHECKED plm_status plm_run_open_machine(plm_train_settings *settings, const plm_arithmetic *saved,
                                            const char *device, plm_comm *comm, plm_machine *ret_machine,
                                            plm_run_plan *plan);

/* Micro-batch, the smallest that a rank would take, and memory, of which the ranks of a node have equal shares;
 * PLM_E_RESOURCE when it cannot fit. Collective: ends in an agreement. */
PLM_CHECKED plm_status plm_run_plan_memory(plm_train_settings *settings, const plm_arithmetic *saved, plm_exec *exec,
                                           plm_comm *comm, plm_run_plan *plan);

/* Memory, steps and disk, for a person. epoch_tokens: of the loader; directory: may be NULL. */
void plm_run_report_plan(const plm_run_plan *plan, const plm_train_settings *settings, int64_t epoch_tokens,
                         const char *directory);

/* As it is in this start. */
void plm_run_arithmetic(const plm_run_plan *plan, const plm_train_settings *settings, const plm_exec *exec,
                        plm_arithmetic *ret_arithmetic);

/* Warns, in one line, where the bits of a run that goes on may differ from those of one that was not interrupted. */
void plm_arithmetic_say_changes(const plm_arithmetic *saved, const plm_arithmetic *now);

/* For micro_batch_tokens: of the plan and of the model. */
void plm_run_model_options(const plm_run_plan *plan, const plm_train_settings *settings,
                           plm_model_options *ret_options);
int64_t plm_run_checkpoint_bytes(const plm_run_plan *plan, const plm_optimiser_kind *kind); /* about */

#endif
