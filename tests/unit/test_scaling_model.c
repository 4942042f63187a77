/* Predicted times against cases that can be reckoned by hand. */
#include "support/unit.h"

#include <math.h>

#include "app/scaling_model.h"

static void near(double a, double b) {
  if (!(fabs(a - b) <= 1e-9 * (1 + fabs(b)))) fail_msg("%.12g is not %.12g", a, b);
}

/* 4 ranks a node; 10 GB/s inside, 1 GB/s out of a node; no latency. */
static const plm_scaling_machine flat = {
    .per_node = 4, .inside = {.rate = 10e9}, .between = {.rate = 1e9}, .is_beside = true};

static plm_scaling_machine ring(void) {
  plm_scaling_machine m = flat;
  m.is_ring = true;
  return m;
}

static void one_rank_sends_nothing(void **state) {
  (void)state;
  const plm_scaling_machine r = ring();
  near(plm_scaling_reduce(&flat, 1e9, 1), 0);
  near(plm_scaling_reduce(&r, 1e9, 1), 0);
}

static void inside_a_node_flat_and_ring_send_the_same_bytes(void **state) {
  (void)state;
  const plm_scaling_machine r = ring();
  near(plm_scaling_reduce(&flat, 1e9, 4), 2 * 1e9 * 3 / 4 / 10e9);
  near(plm_scaling_reduce(&r, 1e9, 4), 2 * 1e9 * 3 / 4 / 10e9);
}

/* 8 ranks on 2 nodes: each of 4 ranks sends 4 others an eighth, there and back; a ring passes 7/8 through the link. */
static void between_nodes_flat_sends_local_size_times_as_much(void **state) {
  (void)state;
  const plm_scaling_machine r = ring();
  near(plm_scaling_reduce(&flat, 1e9, 8), 2 * 4 * 1e9 * 4 / 8 / 1e9);
  near(plm_scaling_reduce(&r, 1e9, 8), 2 * 1e9 * 7 / 8 / 1e9);
  /* in the limit of many nodes exactly local_size times */
  near(plm_scaling_reduce(&flat, 1e9, 1 << 20) / plm_scaling_reduce(&r, 1e9, 1 << 20), 4 * (1 - 3.0 / ((1 << 20) - 1)));
}

static void each_hop_has_its_latency(void **state) {
  (void)state;
  plm_scaling_machine r = ring(), f = flat;
  r.inside.latency = f.inside.latency = 1e-6;
  r.between.latency = f.between.latency = 1e-5;
  near(plm_scaling_reduce(&r, 8, 12), 2 * (9 * 1e-6 + 2 * 1e-5 + 8.0 * 11 / 12 / 1e9));
  near(plm_scaling_reduce(&f, 8, 12), 2 * (8 * 1e-5 + 4 * 8.0 * 8 / 12 / 1e9));
}

/* Two equal buckets, 2 seconds of backward in the only micro-batch: ready after 2 and 3 seconds. */
static plm_scaling_job two_buckets(int64_t elements) {
  return (plm_scaling_job){
      .elements = {elements, elements}, .buckets = 2, .wire_bytes = 4, .compute = 3, .micro_batches = 1, .update = 0.4};
}

static void what_fits_behind_the_backward_pass_is_hidden(void **state) {
  (void)state;
  plm_scaling_step step;
  const plm_scaling_job job = two_buckets(500 * 1000 * 1000); /* 2 GB: 2 * 2e9 / 2 / 10e9 = 0.2 s each */
  plm_scaling_predict(&flat, &job, 2, &step);
  near(step.communication, 0.4);
  near(step.exposed, 0.2); /* the last bucket's */
  near(step.total, 3 + 0.2 + 0.4);
}

static void what_does_not_fit_is_waited_for(void **state) {
  (void)state;
  plm_scaling_step step;
  plm_scaling_job job = two_buckets(5000 * 1000 * 1000LL); /* 2 s each: from 2 to 4, and to 6 */
  plm_scaling_predict(&flat, &job, 2, &step);
  near(step.exposed, 3);
  job.micro_batches = 3; /* the same work: the last backward pass is a third as long */
  plm_scaling_predict(&flat, &job, 2, &step);
  near(step.exposed, 3 - 2.0 / 3 + 1.0 / 3 + 4 - 3); /* begins at 2 2/3 */
}

static void without_processors_of_its_own_communication_takes_those_of_compute(void **state) {
  (void)state;
  plm_scaling_machine m = flat;
  plm_scaling_step step;
  const plm_scaling_job job = two_buckets(500 * 1000 * 1000);
  m.is_beside = false;
  plm_scaling_predict(&m, &job, 2, &step);
  near(step.exposed, 0.4);
}

static void bf16_halves_and_sharding_divides(void **state) {
  (void)state;
  plm_scaling_step full, half;
  plm_scaling_job job = two_buckets(500 * 1000 * 1000);
  plm_scaling_predict(&flat, &job, 4, &full);
  job.wire_bytes = 2;
  job.is_sharded = true;
  plm_scaling_predict(&flat, &job, 4, &half);
  near(half.communication, full.communication / 2);
  near(half.update, full.update / 4);
}

static const plm_scaling_work work = {.per_token = 1e-5, .imbalance = 0.01, .micro_batch_tokens = 10000};

static void a_batch_is_divided_and_its_largest_part_counts(void **state) {
  (void)state;
  plm_scaling_job job = two_buckets(1000);
  plm_scaling_divide(&work, 80000, 4, &job);
  near(job.compute, 20000 * 1.01 * 1e-5);
  assert_int_equal(job.micro_batches, 3);
  plm_scaling_divide(&work, 80000, 1, &job);
  near(job.compute, 80000 * 1e-5);
  assert_int_equal(job.micro_batches, 8);
}

static void efficiency_ends_where_the_batch_is_too_small(void **state) {
  (void)state;
  const plm_scaling_machine r = ring();
  const plm_scaling_job job = two_buckets(10 * 1000 * 1000);
  near(plm_scaling_efficiency(&r, &job, &work, 1e6, 1), 1);
  double previous = 1;
  for (int ranks = 2; ranks <= 1024; ranks *= 2) {
    const double now = plm_scaling_efficiency(&r, &job, &work, 1e6, ranks);
    assert_true(now < previous && now > 0);
    previous = now;
  }
  for (int ranks = 8; ranks <= 512; ranks *= 8) {
    const double enough = plm_scaling_smallest_batch(&r, &job, &work, ranks, 0.8),
                 half = plm_scaling_smallest_batch(&r, &job, &work, ranks, 0.5);
    assert_true(half < enough);
    assert_true(fabs(plm_scaling_efficiency(&r, &job, &work, enough, ranks) - 0.8) < 1e-3);
    assert_true(plm_scaling_efficiency(&r, &job, &work, 0.9 * enough, ranks) < 0.8);
  }
  assert_true(isinf(plm_scaling_smallest_batch(&r, &job, &work, 8, 0.999))); /* the imbalance alone is more */
}

static void llama_3_fails_every_three_hours(void **state) {
  (void)state;
  assert_true(fabs(plm_scaling_failure_time(16384) / 3600 - 3.09) < 0.01);
  near(plm_scaling_failure_time(1024), 16 * plm_scaling_failure_time(16384));
}

static void saves_come_as_daly_says(void **state) {
  (void)state;
  const double cost = 60, failure = 24 * 3600, interval = plm_scaling_save_interval(cost, failure);
  assert_true(fabs(interval - (sqrt(2 * cost * failure) - cost)) < 0.01 * interval); /* Young's, nearly */
  near(plm_scaling_save_interval(100, 40), 40);
  const double least = plm_scaling_lost(cost, interval, failure, 300);
  assert_true(least < plm_scaling_lost(cost, 2 * interval, failure, 300));
  assert_true(least < plm_scaling_lost(cost, interval / 2, failure, 300));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_rank_sends_nothing),
      cmocka_unit_test(inside_a_node_flat_and_ring_send_the_same_bytes),
      cmocka_unit_test(between_nodes_flat_sends_local_size_times_as_much),
      cmocka_unit_test(each_hop_has_its_latency),
      cmocka_unit_test(what_fits_behind_the_backward_pass_is_hidden),
      cmocka_unit_test(what_does_not_fit_is_waited_for),
      cmocka_unit_test(without_processors_of_its_own_communication_takes_those_of_compute),
      cmocka_unit_test(bf16_halves_and_sharding_divides),
      cmocka_unit_test(a_batch_is_divided_and_its_largest_part_counts),
      cmocka_unit_test(efficiency_ends_where_the_batch_is_too_small),
      cmocka_unit_test(llama_3_fails_every_three_hours),
      cmocka_unit_test(saves_come_as_daly_says),
  };
  return cmocka_run_group_tests_name("scaling_model", tests, NULL, NULL);
}
