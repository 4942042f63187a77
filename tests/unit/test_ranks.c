/* The communicator of several ranks, as threads of this process: exchange, broadcast, the sum rule, gathers, drains. */
#include "support/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "dist/agree.h"
#include "dist/pieces.h"
#include "kernels/bf16.h"
#include "support/transport_threads.h"

enum { MOST = 8 };

/* A float of (rank, place) that no other has, of both signs and many sizes. */
static float made_up(int rank, int64_t i) {
  const uint32_t x = (uint32_t)(i * 2654435761u + (uint32_t)rank * 40503u) * 2246822519u;
  return ldexpf((float)(x >> 8) - 8388608.0f, (int)(x % 24) - 24);
}

/* The sum rule, as it is written down. */
static float sum_of(int size, int64_t i, bool is_bf16) {
  float sum = is_bf16 ? plm_bf16_to_float(plm_bf16_from_float(made_up(0, i))) : made_up(0, i);
  for (int rank = 1; rank < size; rank++)
    sum += is_bf16 ? plm_bf16_to_float(plm_bf16_from_float(made_up(rank, i))) : made_up(rank, i);
  return is_bf16 ? plm_bf16_to_float(plm_bf16_from_float(sum)) : sum;
}

/* ---- exchange ---- */

static plm_status exchange_sizes(plm_comm *comm, threads_world *world, void *context) {
  static const size_t sizes[] = {0, 1, 8, PLM_AGREE_BYTES, PLM_AGREE_BYTES + 1, PLM_EXCHANGE_MAX};
  char *mine, *all;
  (void)world;
  (void)context;
  PLM_TRY(PLM_NEW(&mine, PLM_EXCHANGE_MAX));
  PLM_TRY(PLM_NEW(&all, MOST * PLM_EXCHANGE_MAX));
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
    const size_t bytes = sizes[k];
    memset(mine, 'a' + comm->rank, bytes);
    PLM_TRY(comm->exchange(comm, "sizes", mine, bytes, all));
    for (int rank = 0; rank < comm->size; rank++)
      for (size_t i = 0; i < bytes; i++) threads_check(all[(size_t)rank * bytes + i] == 'a' + rank);
  }
  plm_free(mine);
  plm_free(all);
  return PLM_OK;
}

static void everyone_has_what_everyone_brought(void **state) {
  plm_error_record results[MOST];
  (void)state;
  for (int size = 1; size <= 5; size++) {
    threads_run(&(threads_options){.size = size, .most_delay = size % 3 * 3, .seed = 7}, exchange_sizes, NULL, results);
    threads_expect_ok(results, size);
  }
}

static plm_status know_places(plm_comm *comm, threads_world *world, void *context) {
  (void)world;
  (void)context;
  threads_check(comm->nodes == 2 && comm->node == comm->rank / 2 && comm->local_rank == comm->rank % 2);
  for (int rank = 0; rank < comm->size; rank++) {
    threads_check(comm->places[rank].node == rank / 2 && comm->places[rank].local_rank == rank % 2);
    threads_check(comm->places[rank].host[0] != '\0' && comm->places[rank].process > 0);
  }
  return PLM_OK;
}

static void everyone_knows_where_the_others_are(void **state) {
  plm_error_record results[MOST];
  (void)state;
  threads_run(&(threads_options){.size = 3, .ranks_per_node = 2}, know_places, NULL, results);
  threads_expect_ok(results, 3);
}

/* Rank 2 comes to another stage, then all meet. */
static plm_status part(plm_comm *comm, threads_world *world, void *context) {
  char all[MOST], mine = 1;
  (void)world;
  (void)context;
  const char *stage = comm->rank == 2 ? "save" : "step";
  const plm_status status = comm->exchange(comm, stage, &mine, 1, all);
  threads_check(status == PLM_E_FAILURE && comm->parted);
  threads_check(strstr(plm_error_message(), "\"save\"") != NULL && strstr(plm_error_message(), "\"step\"") != NULL);
  comm->parted = false;
  PLM_TRY(comm->exchange(comm, "again", &mine, 1, all));
  threads_check(comm->exchange(comm, "again", all, comm->rank == 1 ? 2 : 1, all) == PLM_E_FAILURE && comm->parted);
  comm->parted = false;
  return comm->exchange(comm, "again", &mine, 1, all);
}

static void ranks_that_part_learn_of_it_and_meet_again(void **state) {
  plm_error_record results[MOST];
  (void)state;
  threads_run(&(threads_options){.size = 3}, part, NULL, results);
  threads_expect_ok(results, 3);
}

/* ---- broadcast ---- */

static plm_status broadcast_sizes(plm_comm *comm, threads_world *world, void *context) {
  static const int64_t sizes[] = {0, 1, 1000, (1 << 20) - 1, 1 << 20, 5 * (1 << 20) + 77};
  char *data;
  (void)world;
  (void)context;
  PLM_TRY(PLM_NEW(&data, 6 << 20));
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
    for (int root = 0; root < comm->size; root++) {
      for (int64_t i = 0; i < sizes[k]; i++) data[i] = comm->rank == root ? (char)(i * 7 + root) : 0;
      PLM_TRY(comm->broadcast(comm, "broadcast", data, sizes[k], root));
      for (int64_t i = 0; i < sizes[k]; i++) threads_check(data[i] == (char)(i * 7 + root));
    }
  plm_free(data);
  return PLM_OK;
}

static void what_any_rank_has_reaches_all(void **state) {
  static const int sizes[] = {1, 2, 3, 4, 7};
  plm_error_record results[MOST];
  (void)state;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    threads_run(&(threads_options){.size = sizes[i], .most_delay = i % 2 == 0 ? 0 : 4}, broadcast_sizes, NULL, results);
    threads_expect_ok(results, sizes[i]);
  }
}

/* ---- the sum rule ---- */

enum { BUCKETS = 4 };

typedef struct sums {
  int64_t sizes[BUCKETS];
  bool is_bf16, keep_shard;
  int failing; /* this rank starts `started` buckets, then drains; -1: none */
  int started;
} sums;

static void set_sizes(sums *s, int size, int64_t unit) {
  static const int64_t pieces[BUCKETS] = {1, 7, 300000 / 64, 3};
  for (int b = 0; b < BUCKETS; b++) s->sizes[b] = pieces[b] * PLM_PIECE_ALIGN * size * unit;
}

/* How many elements of this bucket are not what they should be; rank `left_out` brought zeros to it, or -1. */
static int64_t count_wrong(const plm_comm *comm, const sums *s, const float *data, int b, int left_out) {
  const int64_t piece = s->sizes[b] / comm->size;
  int64_t wrong = 0;
  for (int64_t i = 0; i < s->sizes[b]; i++) {
    if (s->keep_shard && i / piece != comm->rank) continue;
    float sum = sum_of(comm->size, i + b, s->is_bf16);
    if (left_out >= 0) {
      sum = left_out == 0 ? 0 : made_up(0, i + b);
      for (int rank = 1; rank < comm->size; rank++) sum += rank == left_out ? 0 : made_up(rank, i + b);
    }
    wrong += memcmp(&data[i], &sum, sizeof sum) != 0;
  }
  return wrong;
}

static plm_status add_buckets(plm_comm *comm, threads_world *world, void *context) {
  const sums *s = context;
  const bool fails = comm->rank == s->failing;
  float *data[BUCKETS];
  (void)world;
  comm->gradient_dtype = s->is_bf16 ? PLM_BF16 : PLM_F32;
  for (int b = BUCKETS - 1; b >= 0; b--) {
    PLM_TRY(PLM_NEW(&data[b], s->sizes[b]));
    for (int64_t i = 0; i < s->sizes[b]; i++) data[b][i] = made_up(comm->rank, i + b);
    if (fails && BUCKETS - 1 - b >= s->started) continue;
    PLM_TRY(comm->reduce(comm, NULL, b, data[b], s->sizes[b], s->keep_shard));
  }
  if (fails)
    PLM_TRY(comm->drain(comm, s->sizes, BUCKETS, s->keep_shard));
  else
    PLM_TRY(comm->wait(comm, NULL, 2));
  PLM_TRY(comm->wait(comm, NULL, PLM_EVERY_BUCKET));
  for (int b = 0; b < BUCKETS; b++) {
    const bool is_left_out = s->failing >= 0 && BUCKETS - 1 - b >= s->started;
    if (fails && is_left_out) continue;
    threads_check(count_wrong(comm, s, data[b], b, is_left_out ? s->failing : -1) == 0);
  }
  for (int b = 0; b < BUCKETS; b++) plm_free(data[b]);
  return PLM_OK;
}

static void gradients_are_added_in_rank_order_on_every_rank(void **state) {
  plm_error_record results[MOST];
  (void)state;
  for (int size = 1; size <= 5; size++)
    for (int form = 0; form < 4; form++) {
      sums s = {.is_bf16 = form % 2 == 1 && size > 1, .keep_shard = form / 2 == 1, .failing = -1};
      set_sizes(&s, size, 1);
      threads_run(&(threads_options){.size = size, .most_delay = form == 1 ? 5 : 0, .seed = (uint64_t)size},
                  add_buckets, &s, results);
      threads_expect_ok(results, size);
    }
}

static void a_rank_that_failed_leaves_nobody_waiting(void **state) {
  plm_error_record results[MOST];
  (void)state;
  for (int failing = 0; failing < 3; failing++)
    for (int started = 0; started <= BUCKETS; started++) {
      sums s = {.failing = failing, .started = started, .keep_shard = started % 2 == 1};
      set_sizes(&s, 3, 1);
      threads_run(&(threads_options){.size = 3, .most_delay = 2}, add_buckets, &s, results);
      threads_expect_ok(results, 3);
    }
}

/* A bucket of every step, with an agreement in between, while the last step's gather is still under way. */
static plm_status take_steps(plm_comm *comm, threads_world *world, void *context) {
  enum { LENGTH = 64 * 3 * 10, STEPS = 20 };
  const int64_t piece = LENGTH / comm->size;
  float *gradient, *weights;
  plm_span spans[MOST];
  (void)world;
  (void)context;
  PLM_TRY(PLM_NEW(&gradient, LENGTH));
  PLM_TRY(PLM_NEW(&weights, LENGTH));
  for (int rank = 0; rank < comm->size; rank++)
    spans[rank] = (plm_span){weights + rank * piece, piece * (int64_t)sizeof *weights, rank};
  for (int step = 0; step < STEPS; step++) {
    plm_control control = {.residues = 1, .square = comm->rank + 1};
    for (int64_t i = 0; i < LENGTH; i++) gradient[i] = made_up(comm->rank, i + step);
    PLM_TRY(comm->wait(comm, NULL, PLM_EVERY_BUCKET));
    PLM_TRY(comm->reduce(comm, NULL, 1, gradient, LENGTH, true));
    PLM_TRY(comm->wait(comm, NULL, PLM_EVERY_BUCKET));
    PLM_TRY(plm_control_agree(comm, &control));
    threads_check(control.residues == comm->size);
    for (int64_t i = 0; i < piece; i++) weights[comm->rank * piece + i] = gradient[comm->rank * piece + i];
    PLM_TRY(comm->gather(comm, NULL, 1, spans, comm->size, PLM_EVERY_RANK));
    memset(spans, 0, sizeof spans); /* they were taken */
    for (int rank = 0; rank < comm->size; rank++)
      spans[rank] = (plm_span){weights + rank * piece, piece * (int64_t)sizeof *weights, rank};
    PLM_TRY(comm->wait(comm, NULL, 1));
    for (int64_t i = 0; i < LENGTH; i++) {
      const float sum = sum_of(comm->size, i + step, false);
      threads_check(memcmp(&weights[i], &sum, sizeof sum) == 0);
    }
  }
  plm_free(gradient);
  plm_free(weights);
  return PLM_OK;
}

static void steps_follow_each_other(void **state) {
  plm_error_record results[MOST];
  (void)state;
  threads_run(&(threads_options){.size = 3, .most_delay = 3}, take_steps, NULL, results);
  threads_expect_ok(results, 3);
}

static plm_status count_traffic(plm_comm *comm, threads_world *world, void *context) {
  enum { LENGTH = 64 * 2 * 50 };
  float data[LENGTH] = {0};
  (void)world;
  (void)context;
  const int64_t before = comm->traffic.sent;
  PLM_TRY(comm->reduce(comm, NULL, 0, data, LENGTH, false));
  PLM_TRY(comm->wait(comm, NULL, 0));
  threads_check(comm->traffic.sent - before == LENGTH * (int64_t)sizeof *data); /* half a bucket there, half back */
  threads_check(comm->traffic.busy > 0 && comm->traffic.exposed > 0);
  threads_check(comm->traffic.exposed <= comm->traffic.busy + 1);
  return PLM_OK;
}

static void traffic_is_counted(void **state) {
  plm_error_record results[MOST];
  (void)state;
  threads_run(&(threads_options){.size = 2}, count_traffic, NULL, results);
  threads_expect_ok(results, 2);
}

/* ---- gathers ---- */

static plm_status gather_spans(plm_comm *comm, threads_world *world, void *context) {
  enum { SPANS = 9 };
  static const int64_t bytes[SPANS] = {5, 0, 1 << 20, (1 << 20) + 1, 3 << 20, 1, 64, 100, 1000};
  const int root = *(const int *)context;
  plm_span spans[SPANS];
  (void)world;
  for (int i = 0; i < SPANS; i++) {
    char *data;
    PLM_TRY(PLM_NEW(&data, bytes[i] + 1));
    spans[i] = (plm_span){data, bytes[i], (i * 2) % comm->size};
    for (int64_t k = 0; k < bytes[i]; k++) data[k] = comm->rank == spans[i].owner ? (char)(k + i) : 0;
  }
  PLM_TRY(comm->gather(comm, NULL, 0, spans, 4, root));
  PLM_TRY(comm->gather(comm, NULL, 1, spans + 4, 3, root));
  PLM_TRY(comm->gather(comm, NULL, 0, spans + 7, 2, root)); /* a bucket once more */
  PLM_TRY(comm->wait(comm, NULL, PLM_EVERY_BUCKET));
  for (int i = 0; i < SPANS; i++) {
    const char *data = spans[i].data;
    const bool has = root == PLM_EVERY_RANK || root == comm->rank || spans[i].owner == comm->rank;
    for (int64_t k = 0; k < bytes[i]; k++) threads_check(data[k] == (has ? (char)(k + i) : 0));
    threads_check(data[bytes[i]] == 0);
    plm_free(spans[i].data);
  }
  return PLM_OK;
}

static void spans_come_from_their_owners(void **state) {
  plm_error_record results[MOST];
  (void)state;
  for (int size = 1; size <= 4; size++)
    for (int root = PLM_EVERY_RANK; root < size; root++) {
      threads_run(&(threads_options){.size = size, .most_delay = size % 2 * 3}, gather_spans, &root, results);
      threads_expect_ok(results, size);
    }
}

/* ---- stages ---- */

static plm_status fail_in_turn(plm_comm *comm, threads_world *world, void *context) {
  (void)world;
  (void)context;
  for (int failing = 0; failing < comm->size; failing++) {
    const plm_status mine = comm->rank == failing ? plm_fail(PLM_E_INPUT, "bad letter") : PLM_OK;
    threads_check(plm_agree(comm, "data", mine) == PLM_E_INPUT);
    threads_check(strstr(plm_error_message(), "bad letter") != NULL);
  }
  return plm_comm_end(comm, comm->rank == 1 ? plm_fail(PLM_E_NUMERIC, "not finite") : PLM_OK);
}

static void one_failure_is_everyones(void **state) {
  plm_error_record results[MOST];
  (void)state;
  threads_run(&(threads_options){.size = 3}, fail_in_turn, NULL, results);
  for (int rank = 0; rank < 3; rank++) {
    assert_int_equal(results[rank].code, PLM_E_NUMERIC);
    assert_non_null(strstr(results[rank].message, "not finite"));
    assert_non_null(strstr(results[rank].message, "rank 1 ("));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(everyone_has_what_everyone_brought),
      cmocka_unit_test(everyone_knows_where_the_others_are),
      cmocka_unit_test(ranks_that_part_learn_of_it_and_meet_again),
      cmocka_unit_test(what_any_rank_has_reaches_all),
      cmocka_unit_test(gradients_are_added_in_rank_order_on_every_rank),
      cmocka_unit_test(a_rank_that_failed_leaves_nobody_waiting),
      cmocka_unit_test(steps_follow_each_other),
      cmocka_unit_test(traffic_is_counted),
      cmocka_unit_test(spans_come_from_their_owners),
      cmocka_unit_test(one_failure_is_everyones),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
