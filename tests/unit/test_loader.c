/* The stream of batches is the same for any number of threads, ranks and steps prepared ahead, and from any starting
 * point. */
#include "support/unit.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "data/loader.h"
#include "support/scratch.h"
#include "support/sequences.h"

enum { SEQUENCES = 200, LONGEST = 150, MAX_LENGTH = 100 };

static plm_loader_options options_of(int rank, int ranks, int workers, int ahead) {
  plm_loader_options options = {
      .sampler = {.seed = 9, .batch_tokens = 1000, .max_length = MAX_LENGTH, .alphabet = plm_alphabet_esm2()},
      .packer =
          {
              .alphabet = plm_alphabet_esm2(),
              .masked = true,
              .seed = 9,
              .max_length = MAX_LENGTH,
              .micro_batch_tokens = 300,
              .quadratic_cost = 1e-3,
          },
      .rank = rank,
      .ranks = ranks,
      .workers = workers,
      .ahead = ahead,
  };
  plm_mask_options_defaults(&options.packer.mask);
  return options;
}

static plm_dataset *dataset;
static plm_view view;

static int open_data(void **state) {
  if (scratch_setup(state) != 0) return -1;
  dataset = open_made_up(50, SEQUENCES, 1, LONGEST);
  plm_view_all(dataset, &view);
  return 0;
}

static int close_data(void **state) {
  plm_dataset_close(dataset);
  return scratch_teardown(state);
}

static plm_loader *new_loader(const plm_loader_options *options) {
  plm_loader *loader = NULL;
  assert_ok(plm_loader_create(&view, options, &loader));
  return loader;
}

/* Everything in the micro-batches of one step, in order. */
static uint64_t hash_of(const plm_step_batch *batch) {
  uint64_t hash = plm_hash64(&batch->epoch, sizeof batch->epoch);
  for (int64_t m = 0; m < batch->micro_count; m++) {
    const plm_tokens *t = &batch->micro[m]->batch.encoder;
    uint64_t parts[] = {hash,
                        plm_hash64(t->tokens, (size_t)t->N * 4),
                        plm_hash64(t->cu_seqlens, (size_t)(t->S + 1) * 4),
                        plm_hash64(t->sequence_id, (size_t)t->S * 8),
                        plm_hash64(batch->micro[m]->labels, (size_t)t->N * 4),
                        (uint64_t)batch->micro[m]->batch.objectives[0].M};
    hash = plm_hash64(parts, sizeof parts);
  }
  return hash;
}

static void run(const plm_loader_options *options, int64_t first, int64_t count, uint64_t *hashes) {
  plm_loader *loader = new_loader(options);
  for (int64_t step = first; step < first + count; step++) {
    const plm_step_batch *batch;
    double waited = -1;
    assert_ok(plm_loader_get(loader, step, &batch, &waited));
    assert_int_equal(batch->step, step);
    assert_int_equal(batch->epoch, step / plm_loader_steps_per_epoch(loader));
    assert_true(waited >= 0);
    hashes[step - first] = hash_of(batch);
  }
  plm_loader_destroy(loader);
}

enum { STEPS = 50 }; /* more than three epochs */

static void workers_and_steps_ahead_change_nothing(void **state) {
  (void)state;
  uint64_t expected[STEPS], got[STEPS];
  plm_loader_options options = options_of(0, 1, 0, 1);
  run(&options, 0, STEPS, expected);
  for (int workers = 0; workers <= 3; workers++)
    for (int ahead = 1; ahead <= 9; ahead += 4) {
      options = options_of(0, 1, workers, ahead);
      run(&options, 0, STEPS, got);
      assert_memory_equal(got, expected, sizeof got);
    }
}

static void starting_in_the_middle_continues_the_same_stream(void **state) {
  (void)state;
  uint64_t expected[STEPS], got[STEPS];
  plm_loader_options options = options_of(0, 1, 0, 1);
  run(&options, 0, STEPS, expected);
  for (int64_t first = 1; first < STEPS; first += 12)
    for (int workers = 0; workers <= 3; workers += 3) {
      options = options_of(0, 1, workers, 4);
      run(&options, first, STEPS - first, got);
      assert_memory_equal(got, expected + first, (size_t)(STEPS - first) * sizeof *got);
    }
}

/* What every sequence of a step looks like, in one number that does not depend on who has it. */
static uint64_t content_of(const plm_step_batch *batch, int64_t *sequences, int64_t *tokens, int64_t *targets) {
  uint64_t sum = 0;
  for (int64_t m = 0; m < batch->micro_count; m++) {
    const plm_tokens *t = &batch->micro[m]->batch.encoder;
    *targets += batch->micro[m]->batch.objectives[0].M;
    for (int64_t s = 0; s < t->S; s++) {
      size_t begin = (size_t)t->cu_seqlens[s], n = (size_t)t->cu_seqlens[s + 1] - begin;
      uint64_t parts[] = {(uint64_t)t->sequence_id[s], (uint64_t)t->crop_offset[s],
                          plm_hash64(t->tokens + begin, n * 4), plm_hash64(batch->micro[m]->labels + begin, n * 4)};
      sum += plm_hash64(parts, sizeof parts);
      ++*sequences;
      *tokens += (int64_t)n;
    }
  }
  return sum;
}

static void ranks_share_one_global_batch(void **state) {
  (void)state;
  uint64_t expected[STEPS];
  for (int ranks = 1; ranks <= 7; ranks += 2) {
    plm_loader *loaders[7];
    for (int r = 0; r < ranks; r++) {
      plm_loader_options options = options_of(r, ranks, r % 2, 3);
      loaders[r] = new_loader(&options);
    }
    for (int64_t step = 0; step < STEPS; step++) {
      uint64_t sum = 0;
      int64_t sequences = 0, tokens = 0, targets = 0, micro_count = 0;
      const plm_step_batch *batch = NULL;
      for (int r = 0; r < ranks; r++) {
        assert_ok(plm_loader_get(loaders[r], step, &batch, NULL));
        sum += content_of(batch, &sequences, &tokens, &targets);
        if (r > 0) assert_int_equal(batch->micro_count, micro_count);
        micro_count = batch->micro_count;
        for (int64_t m = 0; m < micro_count; m++) {
          const plm_tokens *t = &batch->micro[m]->batch.encoder;
          assert_true(t->N <= 300);
        }
      }
      assert_int_equal(sequences, batch->global_sequences);
      assert_int_equal(tokens, batch->global_tokens);
      assert_true(targets > 0);
      if (ranks == 1) expected[step] = sum;
      assert_int_equal(sum, expected[step]);
    }
    for (int r = 0; r < ranks; r++) plm_loader_destroy(loaders[r]);
  }
}

static void inspection_shows_what_training_gets(void **state) {
  (void)state;
  plm_loader_options options = options_of(0, 1, 2, 2);
  plm_loader *loader = new_loader(&options);
  plm_packed *packed = NULL;
  assert_ok(plm_packed_create(&packed));
  for (int64_t step = 10; step < 20; step++) {
    const plm_step_batch *batch;
    int64_t epoch, sequences[2] = {0}, tokens[2] = {0}, targets[2] = {0};
    assert_ok(plm_loader_get(loader, step, &batch, NULL));
    assert_ok(plm_loader_inspect(&view, &options, step, packed, &epoch));
    assert_int_equal(epoch, batch->epoch);
    plm_packed *const all[] = {packed};
    plm_step_batch whole = {.micro_count = 1, .micro = all};
    assert_int_equal(content_of(&whole, &sequences[0], &tokens[0], &targets[0]),
                     content_of(batch, &sequences[1], &tokens[1], &targets[1]));
    assert_int_equal(targets[0], targets[1]);
  }
  plm_packed_destroy(packed);
  plm_loader_destroy(loader);
}

/* Sequence `s` of the whole batch, as a rank holds it: the same window, masks and letters. */
static bool is_in(const plm_packed *whole, int64_t s, const plm_packed *part, int64_t at) {
  const plm_tokens *a = &whole->batch.encoder, *b = &part->batch.encoder;
  const int32_t x = a->cu_seqlens[s], y = b->cu_seqlens[at], n = a->cu_seqlens[s + 1] - x;
  const size_t bytes = (size_t)n * sizeof(int32_t);
  return a->sequence_id[s] == b->sequence_id[at] && a->crop_offset[s] == b->crop_offset[at] &&
         b->cu_seqlens[at + 1] - y == n && memcmp(a->tokens + x, b->tokens + y, bytes) == 0 &&
         memcmp(a->positions + x, b->positions + y, bytes) == 0 &&
         memcmp(whole->labels + x, part->labels + y, bytes) == 0 &&
         memcmp(whole->original + x, part->original + y, bytes) == 0;
}

/* How often a rank has it in this step. */
static int count_in(const plm_packed *whole, int64_t s, const plm_step_batch *batch) {
  int found = 0;
  for (int64_t m = 0; m < batch->micro_count; m++)
    for (int64_t at = 0; at < batch->micro[m]->batch.encoder.S; at++) found += is_in(whole, s, batch->micro[m], at);
  return found;
}

/* The trace of each rank beside `inspect batch`: every sequence is with one rank, as it is shown, and there is no other. */
static void ranks_have_together_what_inspection_shows(void **state) {
  (void)state;
  enum { TRACED = 100, MOST_RANKS = 4 };
  plm_packed *whole = NULL;
  assert_ok(plm_packed_create(&whole));
  for (int ranks = 1; ranks <= MOST_RANKS; ranks++) {
    plm_loader *loaders[MOST_RANKS];
    for (int r = 0; r < ranks; r++) {
      const plm_loader_options options = options_of(r, ranks, 1, 2);
      loaders[r] = new_loader(&options);
    }
    for (int64_t step = 0; step < TRACED; step++) {
      const plm_step_batch *batches[MOST_RANKS];
      const plm_loader_options options = options_of(0, 1, 0, 1);
      int64_t held = 0;
      assert_ok(plm_loader_inspect(&view, &options, step, whole, NULL));
      for (int r = 0; r < ranks; r++) {
        assert_ok(plm_loader_get(loaders[r], step, &batches[r], NULL));
        for (int64_t m = 0; m < batches[r]->micro_count; m++) held += batches[r]->micro[m]->batch.encoder.S;
      }
      assert_int_equal(held, whole->batch.encoder.S);
      for (int64_t s = 0; s < held; s++) {
        int found = 0;
        for (int r = 0; r < ranks; r++) found += count_in(whole, s, batches[r]);
        if (found != 1)
          fail_msg("step %lld: %d of %d ranks have sequence %lld", (long long)step, found, ranks,
                   (long long)whole->batch.encoder.sequence_id[s]);
      }
    }
    for (int r = 0; r < ranks; r++) plm_loader_destroy(loaders[r]);
  }
  plm_packed_destroy(whole);
}

static void it_can_be_destroyed_at_any_moment(void **state) {
  (void)state;
  for (int round = 0; round < 60; round++) {
    plm_loader_options options = options_of(0, 1, 1 + round % 3, 1 + round % 5);
    plm_loader *loader = new_loader(&options);
    for (int64_t step = 0; step < round % 4; step++) {
      const plm_step_batch *batch;
      assert_ok(plm_loader_get(loader, step, &batch, NULL));
    }
    plm_loader_destroy(loader);
  }
}

static void asking_out_of_order_is_a_bug(void **state) {
  (void)state;
  plm_loader_options options = options_of(0, 1, 1, 2);
  plm_loader *loader = new_loader(&options);
  const plm_step_batch *batch;
  assert_ok(plm_loader_get(loader, 5, &batch, NULL));
  assert_fails(plm_loader_get(loader, 7, &batch, NULL), PLM_E_BUG, "step");
  plm_loader_destroy(loader);
}

/* Allocations fail in the calling thread and in workers alike; what a worker could not do is said by the call that
 * needed it. */
static void failed_allocations_reach_the_caller(void **state) {
  (void)state;
  int failures = 0;
  int64_t live = plm_alloc_live();
  for (int workers = 0; workers <= 2; workers++)
    for (int n = 1; n < 120; n++) {
      plm_loader_options options = options_of(0, 1, workers, 2);
      plm_loader *loader = NULL;
      const plm_step_batch *batch;
      plm_alloc_fail_at(n);
      plm_status status = plm_loader_create(&view, &options, &loader);
      for (int64_t step = 0; status == PLM_OK && step < 5; step++) status = plm_loader_get(loader, step, &batch, NULL);
      plm_alloc_fail_at(0);
      if (status != PLM_OK) {
        assert_int_equal(status, PLM_E_RESOURCE);
        assert_non_null(strstr(plm_error_message(), "out of memory"));
        failures++;
      }
      plm_loader_destroy(loader);
      assert_int_equal(plm_alloc_live(), live);
    }
  assert_true(failures > 100);
}

static volatile sig_atomic_t caught_elsewhere;
static pthread_t main_thread;
static void on_signal(int number) {
  (void)number;
  if (!pthread_equal(pthread_self(), main_thread)) caught_elsewhere = 1;
}

static void signals_are_left_to_the_main_thread(void **state) {
  (void)state;
  plm_loader_options options = options_of(0, 1, 3, 4);
  sigset_t before, after, usr1;
  main_thread = pthread_self();
  signal(SIGUSR1, on_signal);
  pthread_sigmask(SIG_SETMASK, NULL, &before);
  plm_loader *loader = new_loader(&options);
  pthread_sigmask(SIG_SETMASK, NULL, &after);
  assert_int_equal(sigismember(&before, SIGUSR1), sigismember(&after, SIGUSR1));
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &usr1, NULL); /* if a worker would take it, it gets it now */
  for (int64_t step = 0; step < 20; step++) {
    const plm_step_batch *batch;
    kill(getpid(), SIGUSR1);
    assert_ok(plm_loader_get(loader, step, &batch, NULL));
  }
  plm_loader_destroy(loader);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  signal(SIGUSR1, SIG_DFL);
  assert_int_equal(caught_elsewhere, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(workers_and_steps_ahead_change_nothing),
      cmocka_unit_test(starting_in_the_middle_continues_the_same_stream),
      cmocka_unit_test(ranks_share_one_global_batch),
      cmocka_unit_test(inspection_shows_what_training_gets),
      cmocka_unit_test(ranks_have_together_what_inspection_shows),
      cmocka_unit_test(it_can_be_destroyed_at_any_moment),
      cmocka_unit_test(asking_out_of_order_is_a_bug),
      cmocka_unit_test(failed_allocations_reach_the_caller),
      cmocka_unit_test(signals_are_left_to_the_main_thread),
  };
  return cmocka_run_group_tests(tests, open_data, close_data);
}
