/* resolve.h - options to settings: every default that depends on something else is decided here, once, and every
 * contradiction found.
 *
 * In stages, because what is needed becomes known in stages: options alone; the model; the ranks; the machine; the
 * data. After each the resolved values stand in `values`, a private copy in which defaults are filled in. That copy is
 * config.yaml, the state's options, and what the next start of the run is compared with. Whoever reads settings has
 * them const: resolve.c alone writes them.
 */
#ifndef PLM_TRAIN_RESOLVE_H
#define PLM_TRAIN_RESOLVE_H

#include "data/packer.h"
#include "dist/agree.h"
#include "hub/model_dir.h"
#include "model/model.h"
#include "train/optimiser.h"
#include "train/options.h"
#include "train/schedule.h"

typedef struct plm_train_settings {
  plm_option_values *values;  /* owned */
  const plm_train_options *o; /* values->options */
  plm_mask_options mask;
  plm_optimiser_options optimiser;
  bool save_at_start, save_at_epoch;
  /* with the model */
  bool from_scratch;        /* a preset: random weights */
  char *model_directory;    /* where trained weights are; NULL from scratch. Owned */
  plm_model_origin *origin; /* what the model's directory said beside its weights; NULL from scratch. Owned */
  plm_model_config config;
  /* with the ranks */
  int64_t batch_sequences; /* of a global batch; 0 = batches of tokens */
  /* with the data */
  int64_t steps_per_epoch, max_steps;
  plm_schedule schedule;
} plm_train_settings;

/* Stage 1. `given` must outlive the settings (strings are shared). PLM_E_USAGE in the user's option names. */
PLM_CHECKED plm_status plm_train_settings_create(const plm_option_values *given, plm_train_settings **ret_settings);
void plm_train_settings_destroy(const plm_train_settings *settings); /* accepts NULL */

/* Stage 2: the model's shape, learning rate and schedule name. `checkpoint` (a directory) has the shape when a run is
 * resumed. Collective: rank 0 reads, and alone has model_directory and origin. comm: NULL = alone. */
PLM_CHECKED plm_status plm_train_resolve_model(plm_train_settings *settings, const char *checkpoint, plm_comm *comm);

/* Stage 3: sequences of a global batch, decided by the first start of a run and kept, whatever the world is later.
 * saved >= 0: those of the run resumed. */
void plm_train_resolve_batches(plm_train_settings *settings, int64_t saved, int ranks);

/* Stage 4: what the machine was found to do (machine.c). */
void plm_train_resolve_machine(plm_train_settings *settings, int64_t threads, plm_dtype dtype);
void plm_train_resolve_micro_batch(plm_train_settings *settings, int64_t tokens);

/* Stage 5: horizon and schedule. saved_warmup >= 0: that of the run resumed, kept unless --warmup-steps is given. */
PLM_CHECKED plm_status plm_train_resolve_horizon(plm_train_settings *settings, int64_t steps_per_epoch,
                                                 int64_t saved_warmup);

/* A value typed by the user: not a default, not of --demo-compat. */
bool plm_train_explicit(const plm_train_settings *settings, const char *name);

/* Is `name` in the comma-separated --allow-change? */
bool plm_train_allows(const plm_train_settings *settings, const char *name);

#endif
