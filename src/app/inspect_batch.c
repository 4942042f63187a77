/* inspect_batch.c - `protlm inspect batch`: the global batch of any step of a run, without running it.
 *
 * The options that decide the stream are rows of train's own table, resolved by train's own code, so what is shown is
 * what train does.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "app/batch_view.h"
#include "app/commands.h"
#include "app/output_file.h"
#include "app/session.h"
#include "base/text.h"
#include "protlm/log.h"
#include "train/stream.h"

typedef struct batch_options {
  plm_train_options train; /* first: rows of train's table keep their offsets */
  int64_t step, records;
  const char *output;
} batch_options;

/* What the batches of a run depend on, for help. Train's other options are accepted as well, so that a run's
 * config.yaml and its command line can be used as they are. */
static const char *const shown_names[] = {
    "model",
    "train",
    "eval-fraction",
    "max-length",
    "lowercase",
    "on-invalid",
    "alphabet-check",
    "hdf5-dataset",
    "hdf5-ids",
    "cache-dir",
    "batch-tokens",
    "per-device-train-batch-size",
    "gradient-accumulation-steps",
    "seed",
    "mask-probability",
    "random-tokens",
    "mask-nonstandard",
    "demo-compat",
    "config",
    "print-config",
};
static const plm_option own_options[] = {
    {
        .name = "step",
        .aliases = "k",
        .type = PLM_OPT_COUNT,
        .offset = offsetof(batch_options, step),
        .default_value = "1",
        .min = 1,
        .group = "What to show",
        .argument = "K",
        .help = "the step, as log.jsonl counts it: the first is 1",
        .command_line_only = true,
    },
    {
        .name = "records",
        .aliases = "n",
        .type = PLM_OPT_COUNT,
        .offset = offsetof(batch_options, records),
        .default_value = "5",
        .max = 1e12,
        .group = "What to show",
        .argument = "N",
        .help = "how many sequences to print",
        .command_line_only = true,
    },
    {
        .name = "output",
        .aliases = "o",
        .type = PLM_OPT_PATH,
        .offset = offsetof(batch_options, output),
        .group = "What to show",
        .argument = "X.safetensors",
        .help = "write the whole batch to this file",
        .command_line_only = true,
    },
};
enum { OWN = sizeof own_options / sizeof *own_options, MOST_ROWS = 120 };

static bool is_shown(const char *name) {
  for (size_t i = 0; i < sizeof shown_names / sizeof *shown_names; i++)
    if (strcmp(name, shown_names[i]) == 0) return true;
  return false;
}

const plm_option_table *plm_inspect_batch_option_table(void) {
  static plm_option rows[MOST_ROWS];
  static plm_option_table table = {
      .command = "inspect batch",
      .summary = "show any step's batch, hidden residues marked",
      .usage = "protlm inspect batch --model M --train FILE --step K [options of train]",
      .description =
          "Shows the whole global batch of a step: which sequences, which windows of them, and which residues are hidden. It depends on the "
          "data, the seed and the step alone, not on what ran before, so any step of a run can be looked at in a moment. Give the options "
          "the run was given, or its config.yaml.\n\n"
          "--output writes tokens, original, labels (-100: not predicted), cu_seqlens, sequence_id and crop_offset.",
      .examples =
          "protlm inspect batch --model esm2_t6_8M --train my.fasta --step 2\n"
          "# of a run, with its own settings\n"
          "protlm inspect batch --config run/config.yaml --step 2 --output batch.safetensors\n",
      .options = rows,
      .struct_size = sizeof(batch_options),
  };
  if (table.count > 0) return &table;
  const plm_option_table *train = plm_train_option_table();
  memcpy(rows, own_options, sizeof own_options);
  for (table.count = OWN; table.count < OWN + train->count && table.count < MOST_ROWS; table.count++) {
    rows[table.count] = train->options[table.count - OWN];
    if (!is_shown(rows[table.count].name)) rows[table.count].group = NULL;
  }
  table.foreign = train->foreign;
  table.foreign_values = train->foreign_values;
  return &table;
}

/* ---- train's settings ---- */

/* The same values and origins under train's table. dry_run: no output directory is needed. Nor are sequences for an
 * evaluation, and what is done with its results. */
static plm_status as_train_values(const plm_option_values *values, plm_option_values **ret_train) {
  const plm_option_table *table = plm_train_option_table();
  plm_thread_count threads;
  plm_option_values *train;
  /* a run's own config.yaml names the threads of another machine */
  const bool is_typed = plm_option_origin(values, "threads") >= PLM_FROM_ENVIRONMENT;
  const int64_t asked = is_typed ? ((const batch_options *)values->options)->train.threads : 0;
  PLM_TRY(plm_thread_count_decide(&(plm_thread_request){.asked = asked}, &threads));
  PLM_ASSERT(OWN + table->count <= MOST_ROWS);
  PLM_TRY(plm_option_values_create(table, &train));
  memcpy(train->source, values->source + OWN, table->count * sizeof *train->source);
  plm_train_options *options = train->options;
  *options = ((const batch_options *)values->options)->train;
  options->dry_run = true;
  options->eval = (plm_string_list){0};
  options->load_best_model_at_end = false;
  options->early_stopping_patience = 0;
  options->early_stopping_threshold = 0;
  options->threads = threads.threads;
  *ret_train = train;
  return PLM_OK;
}

/* ---- the file ---- */

static plm_status write_batch(const char *path, const plm_packed *packed) {
  const plm_tokens *t = &packed->batch.encoder;
  const int64_t N = t->N, S = t->S, ends = S + 1;
  const struct {
    const char *name, *dtype;
    const int64_t *count;
    const void *data;
  } tensors[] = {
      {"tokens", "I32", &N, t->tokens},           {"original", "I32", &N, packed->original},
      {"labels", "I32", &N, packed->labels},      {"cu_seqlens", "I32", &ends, t->cu_seqlens},
      {"crop_offset", "I32", &S, t->crop_offset}, {"sequence_id", "I64", &S, t->sequence_id},
  };
  plm_tensor_list list = {0};
  plm_status status = PLM_OK;
  for (size_t i = 0; i < sizeof tensors / sizeof *tensors && status == PLM_OK; i++)
    status = plm_tensor_list_add(&list, tensors[i].name, tensors[i].dtype, 1, tensors[i].count, tensors[i].data, 0);
  if (status == PLM_OK) status = plm_output_file_tensors(path, &list);
  plm_tensor_list_free(&list);
  PLM_TRY(status);
  plm_info("wrote %s", path);
  return PLM_OK;
}

/* ---- the last step ---- */

static plm_status count_steps_per_epoch(const plm_train_settings *settings, const plm_stream *stream,
                                        int64_t *ret_steps) {
  plm_loader_options loader;
  plm_sampler *sampler;
  plm_stream_loader_options(settings, 0, NULL, &loader);
  PLM_TRY(plm_sampler_create(&stream->train, &loader.sampler, &sampler));
  *ret_steps = plm_sampler_steps_per_epoch(sampler);
  plm_sampler_destroy(sampler);
  return PLM_OK;
}

/* How many steps the run has is resolved as train resolves it. */
static plm_status check_step(plm_train_settings *settings, const plm_stream *stream, int64_t step) {
  int64_t steps_per_epoch;
  PLM_TRY(count_steps_per_epoch(settings, stream, &steps_per_epoch));
  PLM_TRY(plm_train_resolve_horizon(settings, steps_per_epoch, -1));
  if (step <= settings->max_steps) return PLM_OK;
  char steps[PLM_COUNTED_TEXT], epoch[PLM_NUMBER_TEXT];
  plm_fail(PLM_E_USAGE, "--step %lld: the run has %s, %s an epoch", (long long)step,
           plm_counted(settings->max_steps, "step", "steps", steps), plm_count_text(steps_per_epoch, epoch));
  return plm_hint(PLM_E_USAGE, "--step %lld is the last; with --max-steps N the run is longer",
                  (long long)settings->max_steps);
}

/* ---- the command ---- */

static plm_status show(const batch_options *options, const plm_train_settings *settings, const plm_stream *stream,
                       const plm_output *output) {
  plm_loader_options loader;
  plm_packed *packed;
  int64_t epoch;
  plm_stream_loader_options(settings, 0, NULL, &loader);
  PLM_TRY(plm_packed_create(&packed));
  plm_status status = plm_loader_inspect(&stream->train, &loader, options->step - 1, packed, &epoch);
  if (status == PLM_OK && options->output != NULL) status = write_batch(options->output, packed);
  if (status == PLM_OK)
    plm_print_batch(output, stream->train_data, loader.packer.alphabet, packed, options->step, epoch + 1,
                    options->records);
  plm_packed_destroy(packed);
  return status;
}

plm_status plm_inspect_batch_run(const plm_option_values *values, const plm_output *output) {
  const batch_options *options = values->options;
  plm_option_values *train = NULL;
  plm_train_settings *settings = NULL;
  plm_stream stream = {0};
  const plm_train_observer observer = {.program = output->program};
  const plm_run_context context = {.observer = &observer};
  plm_status status;
  const char *config = options->train.config;
  const plm_output_inputs inputs = {
      .files = {options->train.train, {.items = &config, .count = config != NULL}},
      .model = options->train.model,
  };
  if (options->output != NULL) PLM_TRY(plm_output_file_check(options->output, &inputs));
  PLM_TRY(as_train_values(values, &train));
  PLM_TRY_GOTO(plm_train_settings_create(train, &settings), done);
  PLM_TRY_GOTO(plm_train_resolve_model(settings, NULL, NULL), done);
  plm_train_resolve_batches(settings, -1, 1);
  PLM_TRY_GOTO(plm_stream_open(&stream, settings, &context), done);
  PLM_TRY_GOTO(plm_stream_report(&stream, settings, true), done);
  PLM_TRY_GOTO(check_step(settings, &stream, options->step), done);
  PLM_TRY_GOTO(show(options, settings, &stream, output), done);
done:
  plm_stream_close(&stream);
  plm_train_settings_destroy(settings);
  plm_option_values_destroy(train);
  return status;
}
