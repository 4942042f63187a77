/* scaling_here.c - `bench scaling` on the machine that it runs on. Contents: the stream, steps, links, words.
 *
 * All ranks measure at the same time, so that what they take from each other (memory, a processor that two share) is in
 * the figures. Steps are those that train would take first, and each waits for the others before it begins. Each is
 * taken twice: in parts, which the reckoning is made of, and whole, as train takes it.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/print.h"
#include "app/scaling.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/system.h"
#include "data/loader.h"
#include "dist/pieces.h"
#include "train/optimiser.h"
#include "train/shared_data.h"

/* Of a step: alone, and as train does it, buckets reduced beside the backward pass. */
enum { COMPUTE, UPDATE, WHOLE, RATIO, PARTS };

typedef struct here {
  const plm_scaling_options *options;
  const plm_output *output;
  plm_comm *comm;
  plm_session session;
  plm_loader *loader;
  plm_optimiser *optimiser;
  double *seconds[PARTS];      /* [steps] of each part, of the slowest rank */
  double imbalance;            /* measured: the slowest rank's compute above the mean, mean over steps */
  double agreement;            /* one exchange */
  int64_t micro_batches;       /* of the last step */
  double residues;             /* a step */
  float *gradient;             /* of the largest bucket */
  plm_scaling_machine machine; /* with its links */
} here;

/* ---- the stream ---- */

static plm_status open_model(here *h, const plm_model_config *config) {
  const plm_scaling_options *o = h->options;
  const plm_model_options model = {
      .dtype = strcmp(o->dtype, "bf16") == 0 ? PLM_BF16 : PLM_F32,
      .training = true,
      .max_tokens = o->micro_batch_tokens > o->max_length ? o->micro_batch_tokens : o->max_length,
      .max_length = o->max_length,
      .ranks = h->comm->size,
      .optimiser = plm_optimiser_planned(NULL),
  };
  const plm_optimiser_options adamw = {
      .beta1 = 0.9, .beta2 = 0.98, .epsilon = 1e-8, .weight_decay = 0.01, .comm = h->comm};
  plm_exec *x = h->session.machine.exec;
  PLM_TRY(plm_model_create(config, &model, x, &h->session.model));
  PLM_TRY(plm_model_initialise(h->session.model, 42));
  PLM_TRY(plm_model_refresh(h->session.model, x, PLM_REFRESH_ALL));
  return plm_optimiser_create(h->session.model, x, &adamw, &h->optimiser);
}

static plm_status open_loader(here *h, const plm_model_config *config) {
  const plm_scaling_options *o = h->options;
  plm_loader_options loader = {
      .sampler = {.seed = 42,
                  .batch_tokens = o->batch_tokens,
                  .max_length = o->max_length,
                  .alphabet = config->alphabet},
      .packer =
          {
              .alphabet = config->alphabet,
              .policy = plm_data_policy(&o->read),
              .masked = true,
              .seed = 42,
              .max_length = o->max_length,
              .micro_batch_tokens = o->micro_batch_tokens,
              .quadratic_cost = plm_scaling_quadratic_cost(config),
          },
      .rank = h->comm->rank,
      .ranks = h->comm->size,
  };
  plm_view view;
  plm_mask_options_defaults(&loader.packer.mask);
  plm_view_all(h->session.dataset, &view);
  return plm_loader_create(&view, &loader, &h->loader);
}

static plm_status open_all(here *h, const plm_model_config *config) {
  const plm_data_reader reader = {.threads = 1, .program = h->output->program};
  PLM_TRY(plm_session_open_like_machine(h->options->threads, h->comm, &h->session));
  PLM_TRY(plm_shared_data_open(h->comm, &h->options->read, &h->options->data, &reader, &h->session.dataset));
  plm_status status = open_model(h, config);
  if (status == PLM_OK) status = open_loader(h, config);
  return plm_agree(h->comm, "model", status);
}

/* ---- steps ---- */

static plm_status meet(here *h) { return plm_agree(h->comm, "bench", PLM_OK); }

static plm_status compute(here *h, const plm_step_batch *batch, const plm_bucket_hooks *hooks) {
  plm_exec *x = h->session.machine.exec;
  PLM_TRY(plm_model_zero_gradient(h->session.model, x));
  PLM_TRY(plm_model_reset_sums(h->session.model, x));
  for (int64_t i = 0; i < batch->micro_count; i++)
    PLM_TRY(plm_model_forward_backward(h->session.model, x, &batch->micro[i]->batch,
                                       i == batch->micro_count - 1 ? hooks : NULL));
  if (hooks != NULL) PLM_TRY(h->comm->wait(h->comm, x, PLM_EVERY_BUCKET));
  PLM_TRY(plm_optimiser_norm(h->optimiser, x));
  return x->device->synchronize(x->device);
}

static plm_status update(here *h, int64_t step) {
  plm_exec *x = h->session.machine.exec;
  PLM_TRY(plm_optimiser_update(h->optimiser, x, step + 1, 1e-6, 1e-6));
  PLM_TRY(plm_model_refresh(h->session.model, x, PLM_REFRESH_UPDATED));
  return x->device->synchronize(x->device);
}

static plm_status reduce_bucket(void *user, int bucket) {
  here *h = user;
  const plm_bucket *range = &plm_model_get_params(h->session.model)->buckets[bucket];
  if (range->count == 0) return PLM_OK;
  return h->comm->reduce(h->comm, h->session.machine.exec, bucket, plm_model_gradient(h->session.model) + range->first,
                         range->count, false);
}

static plm_status time_alone(here *h, const plm_step_batch *batch, int64_t step, double seconds[PARTS]) {
  PLM_TRY(meet(h));
  const double started = plm_clock_monotonic();
  PLM_TRY(compute(h, batch, NULL));
  const double computed = plm_clock_monotonic();
  PLM_TRY(update(h, step));
  seconds[COMPUTE] = computed - started;
  seconds[UPDATE] = plm_clock_monotonic() - computed;
  return PLM_OK;
}

static plm_status time_whole(here *h, const plm_step_batch *batch, int64_t step, double seconds[PARTS]) {
  const plm_bucket_hooks hooks = {.user = h, .ready = reduce_bucket};
  PLM_TRY(meet(h));
  const double started = plm_clock_monotonic();
  PLM_TRY(compute(h, batch, &hooks));
  PLM_TRY(meet(h));
  PLM_TRY(update(h, step));
  seconds[WHOLE] = plm_clock_monotonic() - started;
  return PLM_OK;
}

/* Everybody's seconds of this step: the slowest counts. */
static plm_status share_step(here *h, int64_t step, const double mine[PARTS]) {
  double(*all)[PARTS], sum = 0;
  PLM_TRY(plm_agree(h->comm, "bench", PLM_NEW(&all, h->comm->size)));
  plm_status status = h->comm->exchange(h->comm, "bench", mine, sizeof *all, all);
  for (int rank = 0; rank < h->comm->size && status == PLM_OK; rank++) {
    for (int part = 0; part < RATIO; part++) h->seconds[part][step] = fmax(h->seconds[part][step], all[rank][part]);
    sum += all[rank][COMPUTE];
  }
  plm_free(all);
  h->imbalance += (h->seconds[COMPUTE][step] * h->comm->size / sum - 1) / (double)h->options->steps;
  return status;
}

/* Both in turn, on the same batch, so that a machine that is busy with other things slows both. */
static plm_status measure_steps(here *h) {
  for (int64_t step = 0; step <= h->options->steps; step++) {
    const plm_step_batch *batch;
    double mine[PARTS] = {0};
    PLM_TRY(plm_agree(h->comm, "data", plm_loader_get(h->loader, step, &batch, NULL)));
    h->micro_batches = batch->micro_count;
    PLM_TRY(time_alone(h, batch, 2 * step, mine));
    PLM_TRY(time_whole(h, batch, 2 * step + 1, mine));
    if (step > 0) PLM_TRY(share_step(h, step - 1, mine));
  }
  return PLM_OK;
}

static plm_status prepare_steps(here *h) {
  plm_status status = PLM_OK;
  for (int part = 0; part < PARTS && status == PLM_OK; part++) status = PLM_NEW(&h->seconds[part], h->options->steps);
  return plm_agree(h->comm, "bench", status);
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Sorts them. */
static double median(double *values, int64_t count) {
  qsort(values, (size_t)count, sizeof *values, ascending);
  return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

/* ---- links ---- */

/* Median seconds of reducing n elements. */
static plm_status time_reduce(here *h, int64_t n, double *ret_seconds) {
  enum { TIMES = 5 };
  double times[TIMES];
  plm_exec *x = h->session.machine.exec;
  for (int i = 0; i < TIMES; i++) {
    PLM_TRY(meet(h));
    const double started = plm_clock_monotonic();
    PLM_TRY(h->comm->reduce(h->comm, x, 0, h->gradient, n, false));
    PLM_TRY(h->comm->wait(h->comm, x, 0));
    times[i] = plm_clock_monotonic() - started;
  }
  *ret_seconds = median(times, TIMES);
  return PLM_OK;
}

static plm_status time_agreement(here *h) {
  enum { TIMES = 50 };
  const double started = plm_clock_monotonic();
  for (int i = 0; i < TIMES; i++) PLM_TRY(meet(h));
  h->agreement = (plm_clock_monotonic() - started) / TIMES;
  return PLM_OK;
}

/* A small and a large bucket tell latency and rate; they are taken to be the same inside and between nodes. */
static plm_status measure_links(here *h, const plm_scaling_job *job) {
  const int ranks = h->comm->size;
  int64_t largest = 0;
  double small, large;
  if (ranks == 1) return PLM_OK;
  for (int b = 0; b < job->buckets; b++) largest = job->elements[b] > largest ? job->elements[b] : largest;
  const int64_t n = plm_piece_length(largest, ranks) * ranks, few = (int64_t)PLM_PIECE_ALIGN * ranks;
  PLM_TRY(plm_agree(h->comm, "bench", PLM_NEW(&h->gradient, n)));
  PLM_TRY(time_reduce(h, few, &small));
  PLM_TRY(time_reduce(h, n, &large));
  PLM_TRY(time_agreement(h));
  const plm_scaling_link link = {
      .latency = small / 2 / (ranks - 1),
      .rate = 2.0 * (double)n * job->wire_bytes * (ranks - 1) / ranks / fmax(large - small, 1e-9),
  };
  h->machine.inside = h->machine.between = link;
  return PLM_OK;
}

/* ---- words ---- */

static void reckon(const here *h, plm_scaling_job *job, double computed, double updated, plm_scaling_step *ret_step) {
  job->compute = computed;
  job->update = updated;
  job->micro_batches = h->micro_batches > 0 ? h->micro_batches : 1;
  plm_scaling_predict(&h->machine, job, h->comm->size, ret_step);
  ret_step->agreement = h->agreement; /* measured too */
  ret_step->total = ret_step->compute + ret_step->exposed + ret_step->agreement + ret_step->update;
}

/* Of pairs, as what slows the machine for a while slows both of a pair. */
static void fill_ratios(here *h, plm_scaling_job *job) {
  for (int64_t i = 0; i < h->options->steps; i++) {
    plm_scaling_step step;
    reckon(h, job, h->seconds[COMPUTE][i], h->seconds[UPDATE][i], &step);
    h->seconds[RATIO][i] = h->seconds[WHOLE][i] / step.total;
  }
}

static void print_prediction(here *h, plm_scaling_job *job) {
  plm_scaling_step step;
  const int ranks = h->comm->size;
  const int64_t steps = h->options->steps;
  fill_ratios(h, job);
  reckon(h, job, median(h->seconds[COMPUTE], steps), median(h->seconds[UPDATE], steps), &step);
  plm_print(
      h->output,
      "%d %s of %d threads, %s, %s: medians of %lld steps of %lld tokens. Communication %s.\n\n"
      "| ranks | compute ms | imbalance | latency us | GB/s | reduce ms | waited ms | agreement ms | update ms | step ms | done ms "
      "| done / reckoned |\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
      ranks, ranks == 1 ? "rank" : "ranks", h->session.threads.threads, h->options->model,
      h->session.machine.exec->kernels, (long long)steps, (long long)h->options->batch_tokens,
      h->machine.is_beside ? "has processors of its own" : "takes the processors of compute");
  plm_print(h->output, "| %d | %.1f | %.2f %% | %.1f | %.2f | %.1f | %.1f | %.3f | %.1f | %.1f | %.1f | %.3f |\n",
            ranks, 1e3 * step.compute, 100 * h->imbalance, 1e6 * h->machine.inside.latency,
            ranks > 1 ? h->machine.inside.rate / 1e9 : 0, 1e3 * step.communication, 1e3 * step.exposed,
            1e3 * step.agreement, 1e3 * step.update, 1e3 * step.total, 1e3 * median(h->seconds[WHOLE], steps),
            median(h->seconds[RATIO], steps));
}

static plm_status measure(here *h, const plm_model_config *config) {
  plm_scaling_job job;
  PLM_TRY(plm_agree(h->comm, "model", plm_scaling_job_of(config, &job)));
  job.wire_bytes = strcmp(h->options->gradient_dtype, "bf16") == 0 ? 2 : 4;
  PLM_TRY(open_all(h, config));
  plm_cpu_limits limits;
  plm_cpu_limits_read(&limits);
  h->comm->gradient_dtype = job.wire_bytes == 2 ? PLM_BF16 : PLM_F32;
  h->machine = (plm_scaling_machine){
      .per_node = h->comm->local_size,
      .inside = {0, 1},
      .between = {0, 1},
      .is_beside = limits.online > h->comm->local_size * h->session.threads.threads,
  };
  PLM_TRY(prepare_steps(h));
  PLM_TRY(measure_steps(h));
  PLM_TRY(measure_links(h, &job));
  if (h->comm->rank == 0) print_prediction(h, &job);
  return PLM_OK;
}

static plm_status check(const plm_scaling_options *options, plm_model_config *ret_config) {
  if (options->data.count == 0)
    return plm_hint(plm_fail(PLM_E_USAGE, "--data is missing: this machine is measured on real sequences"),
                    "--data my.fasta, or --machine h100 for a machine with stated figures");
  return plm_model_config_preset(options->model, ret_config);
}

plm_status plm_scaling_here(const plm_scaling_options *options, const plm_output *output) {
  here h = {.options = options, .output = output, .comm = output->comm};
  plm_model_config config;
  plm_comm *alone = NULL;
  if (h.comm == NULL) {
    PLM_TRY(plm_comm_self_create(&alone));
    h.comm = alone;
  }
  plm_status status = plm_agree(h.comm, "options", check(options, &config));
  if (status == PLM_OK) status = measure(&h, &config);
  plm_free(h.gradient);
  for (int part = 0; part < PARTS; part++) plm_free(h.seconds[part]);
  plm_loader_destroy(h.loader);
  plm_optimiser_destroy(h.optimiser);
  plm_session_close(&h.session);
  plm_comm_destroy(alone);
  return status;
}
