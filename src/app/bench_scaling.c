/* bench_scaling.c - `protlm bench scaling`: how far a model scales, by the arithmetic of scaling_model.h. Contents:
 * options, machines with stated figures, the job, imbalance, the table.
 *
 * Without --machine this one is measured (scaling_here.c), by as many ranks as a launcher started.
 */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "app/print.h"
#include "app/scaling.h"
#include "base/alloc.h"

static const plm_option option_list[] = {
    {
        .name = "model",
        .aliases = "m",
        .type = PLM_OPT_STRING,
        .offset = offsetof(plm_scaling_options, model),
        .default_value = "esm2_t33_650M",
        .group = "What",
        .argument = "PRESET",
        .help = "shape to reckon with",
    },
    {
        .name = "machine",
        .type = PLM_OPT_CHOICE,
        .offset = offsetof(plm_scaling_options, machine),
        .default_value = "here",
        .choices = "here|setonix|a100|h100",
        .group = "What",
        .argument = "NAME",
        .help = "here: measured, by the ranks that were started; the others: figures that docs/SCALING.md states",
    },
    {
        .name = "ranks",
        .type = PLM_OPT_COUNT,
        .offset = offsetof(plm_scaling_options, ranks),
        .default_value = "1024",
        .min = 1,
        .max = 1 << 16,
        .group = "What",
        .argument = "N",
        .help = "largest number of ranks in the tables",
    },
    {
        .name = "batch-tokens",
        .type = PLM_OPT_COUNT,
        .offset = offsetof(plm_scaling_options, batch_tokens),
        .default_value = "2M",
        .min = PLM_SMALLEST_WINDOW,
        .max = 1e12,
        .group = "What",
        .argument = "N",
        .help = "tokens of the global batch",
    },
    {
        .name = "micro-batch-tokens",
        .type = PLM_OPT_COUNT,
        .offset = offsetof(plm_scaling_options, micro_batch_tokens),
        .default_value = "16384",
        .min = PLM_SMALLEST_WINDOW,
        .max = 1e8,
        .group = "What",
        .argument = "N",
        .help = "most tokens of a micro-batch",
    },
    {
        .name = "max-length",
        .type = PLM_OPT_COUNT,
        .offset = offsetof(plm_scaling_options, max_length),
        .default_value = "1024",
        .min = PLM_SMALLEST_WINDOW,
        .max = 1e7,
        .group = "What",
        .argument = "N",
        .help = "longest sequence in tokens",
    },
    {
        .name = "zero",
        .type = PLM_OPT_INT,
        .offset = offsetof(plm_scaling_options, zero),
        .default_value = "0",
        .max = 1,
        .group = "What",
        .argument = "0|1",
        .help = "1: each rank updates its part of the parameters alone",
    },
    {
        .name = "grad-reduce-dtype",
        .type = PLM_OPT_CHOICE,
        .offset = offsetof(plm_scaling_options, gradient_dtype),
        .default_value = "fp32",
        .choices = "fp32|bf16",
        .group = "What",
        .argument = "TYPE",
        .help = "of gradients on the wire",
    },
    {
        .name = "data",
        .aliases = "train fasta",
        .type = PLM_OPT_PATHS,
        .offset = offsetof(plm_scaling_options, data),
        .group = "Data",
        .argument = "FILE...",
        .help = "sequences whose lengths are divided over ranks; `here` trains on them",
    },
    {
        .name = "tokens-per-rank",
        .type = PLM_OPT_COUNT,
        .offset = offsetof(plm_scaling_options, tokens_per_rank),
        .default_value = "8192",
        .min = PLM_SMALLEST_WINDOW,
        .max = 1e8,
        .group = "Data",
        .argument = "N",
        .help = "batch for which the division is looked at",
    },
    {
        .name = "batches",
        .type = PLM_OPT_COUNT,
        .offset = offsetof(plm_scaling_options, batches),
        .default_value = "200",
        .min = 1,
        .max = 1e6,
        .group = "Data",
        .argument = "N",
        .help = "how many are divided; the worst counts",
    },
    PLM_DATA_OPTION_ROWS(plm_scaling_options, read, "Data"),
    {
        .name = "steps",
        .type = PLM_OPT_COUNT,
        .offset = offsetof(plm_scaling_options, steps),
        .default_value = "5",
        .min = 1,
        .max = 1e6,
        .group = "Machine",
        .argument = "N",
        .help = "steps that `here` measures, after one to warm up",
    },
    PLM_OPTION_DTYPE(plm_scaling_options, dtype),
    PLM_OPTION_THREADS(plm_scaling_options, threads),
    PLM_OPTION_TIMEOUT(plm_scaling_options, timeout),
};

const plm_option_table *plm_bench_scaling_option_table(void) {
  static const plm_option_table table = {
      .command = "bench scaling",
      .summary = "reckon how far a model scales over ranks",
      .usage = "protlm bench scaling [--machine NAME] [--model PRESET] [--data FILE]",
      .description =
          "Time of a step from compute, links, buckets reduced beside the backward pass, imbalance on real lengths, saves and failures; efficiency "
          "is what the ranks do of what one would do in their time. docs/SCALING.md explains the figures.\n\n"
          "Without --machine the ranks that were started (mpirun, srun) measure compute and links, all at once, and say what a step of train with "
          "these options should take.",
      .examples =
          "protlm bench scaling --machine h100 --model esm2_t36_3B\n"
          "mpirun -n 2 protlm bench scaling --model esm2_t6_8M --data my.fasta --batch-tokens 16K --micro-batch-tokens 4096\n",
      .options = option_list,
      .count = sizeof option_list / sizeof *option_list,
      .struct_size = sizeof(plm_scaling_options),
  };
  return &table;
}

/* ---- machines with stated figures: docs/SCALING.md says where each is from ---- */

typedef struct stated {
  const char *name, *words;
  plm_scaling_machine machine;
  double peak, sustained; /* FLOP/s of a GPU in bf16, dense; share of it that a step is taken to reach */
  double memory_rate;     /* bytes/s of its memory: the update */
  double write_rate;      /* bytes/s of rank 0 to the file system: a save */
} stated;

static const stated stated_machines[] = {
    {
        .name = "setonix",
        .words = "4 MI250X (8 GPUs) a node, Infinity Fabric, 4 x 200 Gbit/s Slingshot",
        .machine = {8, {4e-6, 37e9}, {10e-6, 80e9}, .is_ring = true, .is_beside = true},
        .peak = 191.5e12,
        .sustained = 0.30,
        .memory_rate = 1.6e12,
        .write_rate = 1.5e9,
    },
    {
        .name = "a100",
        .words = "8 A100 80 GB a node, NVLink 3, 8 x 200 Gbit/s HDR InfiniBand",
        .machine = {8, {4e-6, 230e9}, {10e-6, 160e9}, .is_ring = true, .is_beside = true},
        .peak = 312e12,
        .sustained = 0.45,
        .memory_rate = 2.0e12,
        .write_rate = 1.5e9,
    },
    {
        .name = "h100",
        .words = "8 H100 SXM a node, NVLink 4, 8 x 400 Gbit/s NDR InfiniBand",
        .machine = {8, {4e-6, 370e9}, {10e-6, 320e9}, .is_ring = true, .is_beside = true},
        .peak = 989e12,
        .sustained = 0.40,
        .memory_rate = 3.35e12,
        .write_rate = 1.5e9,
    },
};

enum { KERNELS_A_LAYER = 60, UPDATE_BYTES = 30, SAVED_BYTES = 12, RESTART = 300 /* seconds */ };
#define LAUNCH 4e-6 /* seconds */

static const stated *find_stated(const char *name) {
  for (size_t i = 0; i < sizeof stated_machines / sizeof *stated_machines; i++)
    if (strcmp(stated_machines[i].name, name) == 0) return &stated_machines[i];
  return NULL;
}

/* ---- the job ---- */

static double count_parameters(const plm_scaling_job *job) {
  double sum = 0;
  for (int b = 0; b < job->buckets; b++) sum += (double)job->elements[b];
  return sum;
}

/* Forward and backward of a token: products with their 12 C^2 weights a layer, and attention. */
static double flops_of_token(const plm_model_config *c, double attended) {
  const double C = (double)c->hidden_size, L = (double)c->num_hidden_layers;
  return L * (72 * C * C + 12 * C * attended);
}

/* ---- lengths ---- */

static plm_status print_imbalance(const plm_scaling_options *options, const plm_view *view,
                                  const plm_scaling_lengths *lengths, const plm_output *output, double *ret_worst) {
  plm_print(output,
            "Division of %s: the most loaded rank above the mean, worst of %lld batches of %lld tokens a rank.\n\n"
            "| ranks | cost | cost, mean | tokens |\n|---:|---:|---:|---:|\n",
            plm_dataset_get_info(view->dataset)->source, (long long)lengths->batches,
            (long long)lengths->tokens_per_rank);
  for (int ranks = 2; ranks <= 64 && ranks <= options->ranks; ranks *= 2) {
    plm_scaling_imbalance found;
    PLM_TRY(plm_scaling_imbalance_find(view, lengths, ranks, &found));
    plm_print(output, "| %d | %.3f %% | %.3f %% | %.3f %% |\n", ranks, 100 * found.cost, 100 * found.mean_cost,
              100 * found.tokens);
    *ret_worst = fmax(*ret_worst, found.cost);
  }
  plm_print(output, "\n");
  return PLM_OK;
}

static plm_status look_at_lengths(const plm_scaling_options *options, const plm_model_config *config,
                                  const plm_output *output, double *ret_worst, double *ret_attended) {
  const plm_scaling_lengths lengths = {
      .max_length = options->max_length,
      .quadratic_cost = plm_scaling_quadratic_cost(config),
      .alphabet = config->alphabet,
      .tokens_per_rank = options->tokens_per_rank,
      .batches = options->batches,
  };
  const plm_data_reader reader = {.threads = 1, .program = output->program};
  plm_dataset *dataset;
  plm_view view;
  if (options->data.count == 0) return PLM_OK;
  PLM_TRY(plm_data_open(&options->read, &options->data, &reader, &dataset));
  plm_view_all(dataset, &view);
  *ret_worst = 0;
  *ret_attended = plm_scaling_attended_length(&view, &lengths);
  plm_status status = print_imbalance(options, &view, &lengths, output, ret_worst);
  plm_dataset_close(dataset);
  return status;
}

/* ---- the table ---- */

static void put_tokens(double tokens, char text[24]) {
  if (!isfinite(tokens))
    snprintf(text, 24, "none");
  else if (tokens < 1e6)
    snprintf(text, 24, "%.0f K", tokens / 1e3);
  else
    snprintf(text, 24, "%.3g M", tokens / 1e6);
}

static void print_row(const stated *s, const plm_scaling_options *o, const plm_scaling_work *work,
                      const plm_scaling_job *job, int ranks, const plm_output *output) {
  plm_scaling_job shared = *job;
  plm_scaling_step step;
  char most[24], half[24];
  const double tokens = (double)o->batch_tokens, cost = SAVED_BYTES * count_parameters(job) / s->write_rate,
               failure = plm_scaling_failure_time(ranks), interval = plm_scaling_save_interval(cost, failure);
  plm_scaling_divide(work, tokens, ranks, &shared);
  plm_scaling_predict(&s->machine, &shared, ranks, &step);
  put_tokens(plm_scaling_smallest_batch(&s->machine, job, work, ranks, 0.8), most);
  put_tokens(plm_scaling_smallest_batch(&s->machine, job, work, ranks, 0.5), half);
  plm_print(output, "| %d | %.0f | %.1f | %.1f | %.1f | %.1f | %.1f | %.0f %% | %s | %s | %.0f min | %.2f %% |\n",
            ranks, tokens / ranks, 1e3 * step.compute, 1e3 * step.communication, 1e3 * step.exposed, 1e3 * step.update,
            1e3 * step.total, 100 * plm_scaling_efficiency(&s->machine, job, work, tokens, ranks), most, half,
            interval / 60, 100 * plm_scaling_lost(cost, interval, failure, RESTART));
}

static void print_table(const stated *s, const plm_scaling_options *o, const plm_model_config *config, double imbalance,
                        double attended, plm_scaling_job *job, const plm_output *output) {
  const plm_scaling_work work = {
      .per_token = flops_of_token(config, attended) / (s->peak * s->sustained),
      .per_micro_batch = (double)config->num_hidden_layers * KERNELS_A_LAYER * LAUNCH,
      .imbalance = imbalance,
      .micro_batch_tokens = o->micro_batch_tokens,
  };
  job->update = UPDATE_BYTES * count_parameters(job) / s->memory_rate;
  plm_print(
      output,
      "%s%s on %s%s: %s.\n%.0f TFLOP/s of %.0f; gradients in %s%s; batches of %.3g M tokens, micro-batches of up to %lld; imbalance "
      "%.2f %%; attention over %.0f tokens. Times in ms.\n\n",
      plm_style(output, PLM_BOLD), o->model, s->name, plm_style(output, PLM_RESET), s->words,
      s->peak * s->sustained / 1e12, s->peak / 1e12, o->gradient_dtype, o->zero > 0 ? ", --zero 1" : "",
      (double)o->batch_tokens / 1e6, (long long)o->micro_batch_tokens, 100 * imbalance, attended);
  plm_print(
      output,
      "| GPUs | tokens each | compute | reduce | waited | update | step | efficiency | 80 %% from | 50 %% from | save every | lost |\n"
      "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n");
  for (int ranks = 1; ranks <= o->ranks; ranks *= 2) print_row(s, o, &work, job, ranks, output);
}

static plm_status print_stated(const plm_scaling_options *options, const plm_output *output) {
  const stated *s = find_stated(options->machine);
  double imbalance = 0.005, attended = 400;
  plm_model_config config;
  plm_scaling_job job;
  PLM_ASSERT(s != NULL);
  PLM_TRY(plm_model_config_preset(options->model, &config));
  PLM_TRY(plm_scaling_job_of(&config, &job));
  job.wire_bytes = strcmp(options->gradient_dtype, "bf16") == 0 ? 2 : 4;
  job.is_sharded = options->zero > 0;
  PLM_TRY(look_at_lengths(options, &config, output, &imbalance, &attended));
  print_table(s, options, &config, imbalance, attended, &job, output);
  return PLM_OK;
}

plm_status plm_bench_scaling_run(const plm_option_values *values, const plm_output *output) {
  const plm_scaling_options *options = values->options;
  if (output->comm != NULL) output->comm->timeout = options->timeout;
  if (strcmp(options->machine, "here") == 0) return plm_scaling_here(options, output);
  if (output->comm != NULL && output->comm->rank != 0) return PLM_OK;
  return print_stated(options, output);
}
