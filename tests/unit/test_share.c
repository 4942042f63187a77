/* What ranks of one machine share, and what is said of how a launcher bound them: made-up ranks on made-up machines. */
#include "support/unit.h"
#include "support/warnings.h"

#include <stdio.h>
#include <stdlib.h>

#include "dist/agree.h"
#include "dist/share.h"

enum { MOST = 8 };

/* ---- a communicator of ranks that are not there: what they would say is in `facts` ---- */

static plm_rank_place places[MOST];
static plm_rank_facts facts[MOST];
static char scratch[MOST * PLM_AGREE_BYTES];

static plm_status exchange_facts(plm_comm *comm, const char *stage, const void *mine, size_t bytes, void *ret_all) {
  const bool are_sets = strcmp(stage, "processors") == 0;
  assert_int_equal(bytes, are_sets ? sizeof facts[0].cpus : sizeof facts[0]);
  for (int rank = 0; rank < comm->size; rank++)
    memcpy((char *)ret_all + (size_t)rank * bytes, are_sets ? (void *)&facts[rank].cpus : (void *)&facts[rank], bytes);
  memcpy((char *)ret_all + (size_t)comm->rank * bytes, mine, bytes);
  return PLM_OK;
}

/* `layout`: a letter for each rank, the same for those of one machine. */
static plm_comm made_up(const char *layout) {
  plm_comm comm = {.size = (int)strlen(layout), .places = places, .scratch = scratch, .exchange = exchange_facts};
  for (int rank = 0; rank < comm.size; rank++) {
    places[rank] = (plm_rank_place){.node = layout[rank] - 'a'};
    snprintf(places[rank].host, sizeof places[rank].host, "n%c", layout[rank]);
    comm.local_size += layout[rank] == layout[0];
  }
  return comm;
}

static void rank_has(int rank, const char *cpus, int offered, int threads) {
  facts[rank] = (plm_rank_facts){.offered = offered, .threads = threads};
  assert_true(plm_cpu_set_parse(cpus, &facts[rank].cpus));
}

static int begin(void **state) {
  (void)state;
  unsetenv("SLURM_CPUS_PER_TASK");
  warnings_listen();
  return 0;
}

static int end(void **state) {
  (void)state;
  warnings_stop();
  return 0;
}

static void expect_only(const char *words) {
  if (strstr(warnings_text(), words) == NULL) fail_msg("'%s' is not in: %s", words, warnings_text());
  assert_int_equal(warnings_count(), 1);
}

/* ---- shares ---- */

static void only_ranks_on_the_same_processors_share_them(void **state) {
  plm_comm comm = made_up("aaaab");
  plm_rank_share share;
  (void)state;
  plm_cpu_set_own(&facts[0].cpus); /* this process is rank 0 */
  facts[1].cpus = facts[0].cpus;
  facts[2].cpus = (plm_cpu_set){0};
  facts[2].cpus.words[PLM_CPU_SET_WORDS - 1] = 1; /* bound elsewhere */
  facts[3].cpus = facts[2].cpus;
  plm_cpu_set_add(&facts[3].cpus, &facts[0].cpus); /* in part here */
  facts[4].cpus = facts[0].cpus;                   /* on another machine */
  assert_ok(plm_rank_share_find(&comm, &share));
  assert_int_equal(share.sharing_ranks, 3);
  assert_int_equal(share.local_ranks, 4);
}

static void a_process_alone_shares_nothing(void **state) {
  plm_comm *self;
  plm_rank_share share;
  (void)state;
  assert_ok(plm_rank_share_find(NULL, &share));
  assert_true(share.sharing_ranks == 1 && share.local_ranks == 1);
  assert_ok(plm_comm_self_create(&self));
  assert_ok(plm_rank_share_find(self, &share));
  assert_true(share.sharing_ranks == 1 && share.local_ranks == 1);
  plm_thread_count count;
  assert_ok(plm_rank_threads_decide(self, (plm_thread_request){.asked = 1}, &count));
  assert_int_equal(count.threads, 1);
  plm_comm_destroy(self);
}

static void ranks_divide_what_they_share(void **state) {
  plm_comm comm = made_up("aa");
  plm_thread_count alone, shared;
  (void)state;
  unsetenv("OMP_NUM_THREADS");
  plm_rank_facts_read(&facts[1]); /* the other one, beside this process */
  facts[1].threads = 1;
  assert_ok(plm_rank_threads_decide(NULL, (plm_thread_request){0}, &alone));
  assert_ok(plm_rank_threads_decide(&comm, (plm_thread_request){0}, &shared));
  assert_int_equal(shared.usable, alone.usable);
  assert_int_equal(shared.threads, alone.usable > 1 ? alone.usable / 2 : 1);
  assert_int_equal(warnings_count(), alone.usable < 2);
  warnings_forget();
  facts[1].threads = alone.usable;
  assert_ok(plm_rank_threads_decide(&comm, (plm_thread_request){0}, &shared));
  expect_only("2 ranks on na compute with");
  warnings_forget();
  assert_fails(plm_rank_threads_decide(&comm, (plm_thread_request){.asked = 100000}, &shared), PLM_E_USAGE,
               "--threads 100000"); /* having come to all that the other one waits for */
}

/* ---- binding ---- */

static void a_launcher_that_binds_to_one_core_is_named_with_its_flag(void **state) {
  const plm_comm comm = made_up("aabb");
  (void)state;
  for (int rank = 0; rank < 4; rank++) rank_has(rank, rank % 2 == 0 ? "0" : "1", 64, 1);
  plm_rank_facts_judge(&comm, facts, "mpirun");
  expect_only(
      "mpirun bound 4 of 4 ranks to fewer processors than there are: rank 0 (na) to 1 (0), where 2 could have 32 each; "
      "start with `mpirun --map-by slot:PE=32` or `mpirun --bind-to none`");
  warnings_forget();
  plm_rank_facts_judge(&comm, facts, "srun");
  expect_only("`srun --cpus-per-task=32` or `srun --cpu-bind=none`");
  warnings_forget();
  setenv("SLURM_CPUS_PER_TASK", "1", 1); /* somebody wished for it */
  plm_rank_facts_judge(&comm, facts, "srun");
  plm_rank_facts_judge(&comm, facts, "nothing");
  assert_int_equal(warnings_count(), 0);
}

static void one_rank_bound_to_one_core_is_noticed_too(void **state) {
  const plm_comm comm = made_up("a");
  (void)state;
  rank_has(0, "3", 8, 1);
  plm_rank_facts_judge(&comm, facts, "mpirun");
  expect_only("bound 1 of 1 rank to fewer processors than there are: rank 0 (na) to 1 (3), where 1 could have 8;");
}

static void ranks_that_have_what_there_is_are_left_in_peace(void **state) {
  const plm_comm comm = made_up("aab");
  (void)state;
  rank_has(0, "0-3", 8, 4);
  rank_has(1, "4-7", 8, 4);
  rank_has(2, "0-7", 8, 8);
  plm_rank_facts_judge(&comm, facts, "mpirun");
  rank_has(0, "0-7", 8, 4); /* not bound, and divided */
  rank_has(1, "0-7", 8, 4);
  plm_rank_facts_judge(&comm, facts, "mpirun");
  assert_int_equal(warnings_count(), 0);
}

static void more_threads_than_processors_are_said_of_the_machine(void **state) {
  const plm_comm comm = made_up("aabb");
  (void)state;
  for (int rank = 0; rank < 4; rank++) rank_has(rank, "0-7", 8, rank < 2 ? 4 : 6);
  plm_rank_facts_judge(&comm, facts, "mpirun");
  expect_only("2 ranks on nb compute with 12 threads on 8 processors and slow each other down: --threads 4");
  warnings_forget();
  for (int rank = 0; rank < 4; rank++) rank_has(rank, "0-7", 1, 1); /* a quota of one */
  plm_rank_facts_judge(&comm, facts, "mpirun");
  expect_only("2 ranks on na compute with 2 threads on 1 processor and slow each other down: start fewer");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(only_ranks_on_the_same_processors_share_them, begin),
      cmocka_unit_test_setup(a_process_alone_shares_nothing, begin),
      cmocka_unit_test_setup(ranks_divide_what_they_share, begin),
      cmocka_unit_test_setup(a_launcher_that_binds_to_one_core_is_named_with_its_flag, begin),
      cmocka_unit_test_setup(one_rank_bound_to_one_core_is_noticed_too, begin),
      cmocka_unit_test_setup(ranks_that_have_what_there_is_are_left_in_peace, begin),
      cmocka_unit_test_setup(more_threads_than_processors_are_said_of_the_machine, begin),
  };
  return cmocka_run_group_tests_name("share", tests, NULL, end);
}
