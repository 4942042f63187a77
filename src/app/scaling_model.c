/* scaling_model.c - see scaling_model.h. Contents: one bucket, a step, batches, failures. */
#include "app/scaling_model.h"

#include <math.h>

/* ---- one bucket ---- */

static int smaller(int a, int b) { return a < b ? a : b; }
static int count_nodes(const plm_scaling_machine *m, int ranks) { return (ranks + m->per_node - 1) / m->per_node; }

/* A rank's messages leave it one after another; those of all ranks of a node share its link. */
static double flat_phase(const plm_scaling_machine *m, double bytes, int ranks) {
  const int local = smaller(ranks, m->per_node), others = ranks - local;
  const double inside = bytes * (local - 1) / ranks / m->inside.rate + (local - 1) * m->inside.latency,
               between =
                   others == 0 ? 0 : local * bytes * others / ranks / m->between.rate + others * m->between.latency;
  return fmax(inside, between);
}

/* One way round; a node is entered and left once. */
static double ring_phase(const plm_scaling_machine *m, double bytes, int ranks) {
  const int nodes = count_nodes(m, ranks), outer = nodes > 1 ? nodes - 1 : 0, inner = ranks - 1 - outer;
  const double rate = nodes > 1 ? fmin(m->inside.rate, m->between.rate) : m->inside.rate;
  return bytes * (ranks - 1) / ranks / rate + inner * m->inside.latency + outer * m->between.latency;
}

double plm_scaling_reduce(const plm_scaling_machine *machine, double bytes, int ranks) {
  if (ranks == 1 || bytes <= 0) return 0;
  return 2 * (machine->is_ring ? ring_phase(machine, bytes, ranks) : flat_phase(machine, bytes, ranks));
}

/* ---- a step ---- */

static double agree(const plm_scaling_machine *m, int ranks) {
  const double latency = count_nodes(m, ranks) > 1 ? m->between.latency : m->inside.latency;
  return ranks > 1 ? 2 * ceil(log2(ranks)) * latency : 0;
}

/* Two thirds of a pass are backward; a bucket's share of it is that of its parameters. */
static double find_end(const plm_scaling_machine *m, const plm_scaling_job *job, int ranks, double *ret_busy) {
  const double backward = job->compute / (double)job->micro_batches * 2 / 3;
  double all = 0, ready = job->compute - backward, end = 0;
  *ret_busy = 0;
  for (int b = 0; b < job->buckets; b++) all += (double)job->elements[b];
  for (int b = job->buckets - 1; b >= 0 && all > 0; b--) {
    const double busy = plm_scaling_reduce(m, (double)job->elements[b] * job->wire_bytes, ranks);
    ready += backward * (double)job->elements[b] / all;
    end = fmax(end, ready) + busy;
    *ret_busy += busy;
  }
  return fmax(end, job->compute);
}

void plm_scaling_predict(const plm_scaling_machine *machine, const plm_scaling_job *job, int ranks,
                         plm_scaling_step *ret_step) {
  double busy;
  const double end = find_end(machine, job, ranks, &busy);
  *ret_step = (plm_scaling_step){
      .compute = job->compute,
      .communication = busy,
      .exposed = machine->is_beside ? end - job->compute : busy,
      .agreement = agree(machine, ranks),
      .update = job->is_sharded ? job->update / ranks : job->update,
  };
  ret_step->total = ret_step->compute + ret_step->exposed + ret_step->agreement + ret_step->update;
}

/* ---- a batch of fixed size ---- */

void plm_scaling_divide(const plm_scaling_work *work, double batch_tokens, int ranks, plm_scaling_job *job) {
  const double most = batch_tokens / ranks * (ranks > 1 ? 1 + work->imbalance : 1);
  job->micro_batches = (int64_t)fmax(1, ceil(most / (double)work->micro_batch_tokens));
  job->compute = most * work->per_token + (double)job->micro_batches * work->per_micro_batch;
}

double plm_scaling_efficiency(const plm_scaling_machine *machine, const plm_scaling_job *job,
                              const plm_scaling_work *work, double batch_tokens, int ranks) {
  plm_scaling_job alone = *job, shared = *job;
  plm_scaling_step one, many;
  plm_scaling_divide(work, batch_tokens, 1, &alone);
  plm_scaling_divide(work, batch_tokens, ranks, &shared);
  plm_scaling_predict(machine, &alone, 1, &one);
  plm_scaling_predict(machine, &shared, ranks, &many);
  return one.total / (ranks * many.total);
}

/* It rises with the batch, but for the small steps where a micro-batch more begins. */
double plm_scaling_smallest_batch(const plm_scaling_machine *machine, const plm_scaling_job *job,
                                  const plm_scaling_work *work, int ranks, double efficiency) {
  enum { DOUBLINGS = 40, HALVINGS = 30 };
  double low = 0, high = ranks;
  for (int i = 0; plm_scaling_efficiency(machine, job, work, high, ranks) < efficiency; i++, high *= 2) {
    if (i == DOUBLINGS) return (double)INFINITY;
    low = high;
  }
  for (int i = 0; i < HALVINGS; i++) {
    const double middle = (low + high) / 2;
    if (middle > 0 && plm_scaling_efficiency(machine, job, work, middle, ranks) >= efficiency)
      high = middle;
    else
      low = middle;
  }
  return high;
}

/* ---- failures ---- */

double plm_scaling_failure_time(int count) {
  const double interruptions = 419, days = 54, devices = 16384, day = 86400;
  return days * day * devices / interruptions / count;
}

double plm_scaling_save_interval(double cost, double failure_time) {
  const double ratio = cost / (2 * failure_time);
  if (cost >= 2 * failure_time) return failure_time;
  return sqrt(2 * cost * failure_time) * (1 + sqrt(ratio) / 3 + ratio / 9) - cost;
}

double plm_scaling_lost(double cost, double interval, double failure_time, double restart) {
  return cost / (interval + cost) + (interval / 2 + cost + restart) / failure_time;
}
