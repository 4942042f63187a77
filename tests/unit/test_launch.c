/* Who started us, and what several processes of one command are told. */
#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "dist/launch.h"
#include "protlm/log.h"

static const char *const known[] = {
    "OMPI_COMM_WORLD_SIZE",
    "OMPI_COMM_WORLD_RANK",
    "PMI_SIZE",
    "PMI_RANK",
    "PMI_FD",
    "PMI_JOBID",
    "PMI_CONTROL_PORT",
    "PALS_RANKID",
    "PROTLM_MPI",
    "SLURM_KILL_BAD_EXIT",
    "MPICH_GPU_SUPPORT_ENABLED",
    "PMIX_RANK",
    "PMIX_NAMESPACE",
    "WORLD_SIZE",
    "RANK",
    "SLURM_JOB_ID",
    "SLURM_NTASKS",
    "SLURM_PROCID",
    "SLURM_STEP_NUM_TASKS",
    "SLURM_STEP_ID",
    "SLURM_STEP_NUM_NODES",
    "MASTER_ADDR",
    "LOCAL_RANK",
    "TORCHELASTIC_RUN_ID",
};

/* "NAME=value NAME=value", and nothing else of a launcher's. */
static void set_environment(const char *words) {
  char copy[400], *rest = copy;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) unsetenv(known[i]);
  snprintf(copy, sizeof copy, "%s", words);
  for (char *word; (word = strtok_r(rest, " ", &rest)) != NULL;) {
    char *value = strchr(word, '=');
    *value++ = '\0';
    setenv(word, value, 1);
  }
}

static int clear(void **state) {
  (void)state;
  set_environment("");
  return 0;
}

static void one_process_is_one_process(void **state) {
  static const char *const environments[] = {
      "",
      "WORLD_SIZE=1",
      "WORLD_SIZE=1 RANK=0 LOCAL_RANK=0",
      "MASTER_ADDR=node1 RANK=3 LOCAL_RANK=1",
      "WORLD_SIZE=many RANK=0",
      "SLURM_JOB_ID=1 SLURM_NTASKS=4 SLURM_PROCID=0",          /* salloc, sbatch: no step */
      "SLURM_NTASKS=1 SLURM_STEP_NUM_TASKS=1 SLURM_STEP_ID=0", /* srun -n 1 */
      "SLURM_NTASKS=4 SLURM_STEP_NUM_TASKS=1 SLURM_STEP_ID=3",
      "SLURM_NTASKS=4 SLURM_STEP_NUM_TASKS=4 SLURM_STEP_ID=4294967290", /* the shell of salloc */
      "SLURM_NTASKS=4 SLURM_STEP_ID=4294967291",                        /* the batch script */
      "OMPI_COMM_WORLD_SIZE=1 OMPI_COMM_WORLD_RANK=0 PMIX_NAMESPACE=1 SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=1", /* mpirun -n
                                                                                                                 1 on a node */
      "PMI_SIZE=1 PMI_RANK=0",
      "PMIX_RANK=0",
  };
  (void)state;
  for (size_t i = 0; i < sizeof environments / sizeof *environments; i++) {
    plm_launch launch;
    set_environment(environments[i]);
    plm_launch_detect(&launch);
    if (launch.size != 1) fail_msg("'%s' is taken for %d processes", environments[i], launch.size);
    assert_ok(plm_launch_expect_one("eval"));
  }
}

static void several_are_refused_with_what_to_type(void **state) {
  static const struct {
    const char *environment, *by, *message, *hint;
  } cases[] = {
      {"SLURM_STEP_NUM_TASKS=4 SLURM_NTASKS=4 SLURM_PROCID=2 SLURM_STEP_ID=0", "srun",
       "srun started several tasks of this command (SLURM_STEP_NUM_TASKS=4, this is rank 2)", "`srun --ntasks=1 "},
      {"SLURM_NTASKS=3 SLURM_PROCID=0 SLURM_STEP_ID=0", "srun", "SLURM_NTASKS=3, this is rank 0", "`srun --ntasks=1 "},
      {"WORLD_SIZE=1 SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=1", "srun", "SLURM_STEP_NUM_TASKS=2", "`srun --ntasks=1 "},
      {"OMPI_COMM_WORLD_SIZE=8 OMPI_COMM_WORLD_RANK=7 PMIX_NAMESPACE=1 SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=1", "mpirun",
       "OMPI_COMM_WORLD_SIZE=8, this is rank 7", "`env -u OMPI_COMM_WORLD_SIZE -u SLURM_STEP_NUM_TASKS "},
      {"PMI_SIZE=2 PMI_RANK=1", "mpiexec", "PMI_SIZE=2, this is rank 1", "`env -u PMI_SIZE "},
      {"PMI_SIZE=2 PMI_RANK=1 PMI_JOBID=4.0 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=1", "srun",
       "SLURM_STEP_NUM_TASKS=2, this is rank 1", "`srun --ntasks=1 "}, /* srun --mpi=pmi2 */
      {"OMPI_COMM_WORLD_SIZE=2 SLURM_STEP_NUM_TASKS=3 SLURM_PROCID=1", "srun", "SLURM_STEP_NUM_TASKS=3", "`srun "},
      {"PMIX_RANK=1", "mpirun", "PMIX_RANK=1, this is rank 1", "`env -u PMIX_RANK "},
      {"WORLD_SIZE=4 RANK=1 LOCAL_RANK=1 TORCHELASTIC_RUN_ID=none", "torchrun",
       "WORLD_SIZE=4, this is rank 1), but protlm eval runs as one task, without torchrun",
       "start it once, without torchrun: `env -u WORLD_SIZE "},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    plm_launch launch;
    set_environment(cases[i].environment);
    plm_launch_detect(&launch);
    assert_string_equal(launch.by, cases[i].by);
    assert_false(launch.is_leftover);
    assert_fails(plm_launch_expect_one("eval"), PLM_E_USAGE, cases[i].message);
    assert_fails(plm_launch_expect_one("eval"), PLM_E_USAGE, cases[i].hint);
    assert_fails(plm_launch_expect_one("eval"), PLM_E_USAGE, "one task");
    assert_non_null(strstr(plm_error_hint(), "test_launch`")); /* this command, as it was typed */
  }
  plm_error_clear();
}

static void what_a_launcher_left_behind_is_told_from_a_launcher(void **state) {
  static const struct {
    const char *environment, *missing, *hint;
  } cases[] = {
      {"WORLD_SIZE=4", "RANK is not: it seems left over", "`env -u WORLD_SIZE "},
      {"WORLD_SIZE=4 MASTER_ADDR=localhost RANK=0", "TORCHELASTIC_RUN_ID is not: it seems left over",
       "`env -u WORLD_SIZE "},
      {"OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=0", "PMIX_NAMESPACE is not", "`env -u OMPI_COMM_WORLD_SIZE "},
      {"OMPI_COMM_WORLD_SIZE=2 WORLD_SIZE=2", "OMPI_COMM_WORLD_RANK is not",
       "`env -u OMPI_COMM_WORLD_SIZE -u WORLD_SIZE "},
      {"SLURM_STEP_NUM_TASKS=4", "SLURM_PROCID is not", "`env -u SLURM_STEP_NUM_TASKS "},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    plm_launch launch;
    set_environment(cases[i].environment);
    plm_launch_detect(&launch);
    assert_true(launch.is_leftover);
    assert_fails(plm_launch_expect_one("train"), PLM_E_USAGE, cases[i].missing);
    assert_fails(plm_launch_expect_one("train"), PLM_E_USAGE, cases[i].hint);
    assert_fails(plm_launch_expect_ranks(), PLM_E_USAGE, cases[i].missing);
    assert_fails(plm_launch_expect_ranks(), PLM_E_USAGE, cases[i].hint);
    assert_true(plm_launch_is_first());
  }
  plm_error_clear();
}

/* What srun and torchrun start without MPI would be so many runs of one rank, in one directory. */
static void processes_that_cannot_find_each_other_are_told_how(void **state) {
  static const struct {
    const char *environment, *message, *hint;
  } cases[] = {
      {"SLURM_STEP_NUM_TASKS=4 SLURM_STEP_NUM_NODES=2 SLURM_PROCID=0 SLURM_STEP_ID=0",
       "srun started 4 processes (SLURM_STEP_NUM_TASKS=4, this is rank 0) that cannot find each other: neither PMI nor "
       "PMIx",
       "`srun --mpi=pmix --nodes=2 --ntasks=4 "},
      {"WORLD_SIZE=8 RANK=3 LOCAL_RANK=3 TORCHELASTIC_RUN_ID=none",
       "torchrun started 8 processes (WORLD_SIZE=8, this is rank 3) that cannot find each other: protlm's ranks are "
       "joined by MPI",
       "`mpirun -n 8 "},
      {"WORLD_SIZE=8 RANK=3 LOCAL_RANK=3 TORCHELASTIC_RUN_ID=none SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=1 "
       "SLURM_STEP_ID=0 PMIX_NAMESPACE=slurm PMIX_RANK=1", /* srun torchrun: all that each starts have one rank of PMIx */
       "torchrun started 8 processes", "`mpirun -n 8 "},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    set_environment(cases[i].environment);
    assert_fails(plm_launch_expect_ranks(), PLM_E_USAGE, cases[i].message);
    assert_fails(plm_launch_expect_ranks(), PLM_E_USAGE, cases[i].hint);
    assert_non_null(strstr(plm_error_hint(), "test_launch`"));
  }
  plm_error_clear();
}

static void the_make_of_mpi_is_the_launchers(void **state) {
  static const struct {
    const char *environment, *by;
    plm_mpi_make mpi;
    int size, rank;
  } cases[] = {
      {"", "nothing", PLM_MPI_NONE, 1, 0},
      {"OMPI_COMM_WORLD_SIZE=3 OMPI_COMM_WORLD_RANK=2 PMIX_NAMESPACE=a PMIX_RANK=2", "mpirun", PLM_MPI_OPEN_MPI, 3, 2},
      {"PMI_FD=6 PMI_SIZE=3 PMI_RANK=1", "mpiexec", PLM_MPI_MPICH, 3, 1},
      {"PMI_FD=6 PMI_SIZE=3 PMI_RANK=1 PMIX_NAMESPACE=a PMIX_RANK=0 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 "
       "SLURM_PROCID=0", /* MPICH's mpiexec inside Slurm */
       "mpiexec", PLM_MPI_MPICH, 3, 1},
      {"SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=3 PMIX_NAMESPACE=slurm.pmix.1.0 PMIX_RANK=3", "srun",
       PLM_MPI_OPEN_MPI, 4, 3},
      {"SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=3 PMI_FD=9 PMI_RANK=3 PMI_SIZE=4 PMI_JOBID=1.0", "srun",
       PLM_MPI_MPICH, 4, 3},
      {"SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=1 PROTLM_MPI=/opt/mpi.so", "srun", PLM_MPI_NONE, 4, 1},
      {"SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=1 PMI_CONTROL_PORT=20001", "srun", PLM_MPI_MPICH, 4, 1},
      {"WORLD_SIZE=8 RANK=0 OMPI_COMM_WORLD_SIZE=3 OMPI_COMM_WORLD_RANK=0 PMIX_NAMESPACE=a", "mpirun", PLM_MPI_OPEN_MPI,
       3, 0},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    plm_launch launch;
    set_environment(cases[i].environment);
    plm_launch_detect(&launch);
    assert_string_equal(launch.by, cases[i].by);
    assert_int_equal(launch.mpi, cases[i].mpi);
    assert_int_equal(launch.size, cases[i].size);
    assert_int_equal(launch.rank, cases[i].rank);
    assert_int_equal(plm_launch_is_first(), launch.rank == 0);
    assert_ok(plm_launch_expect_ranks());
  }
}

static void a_library_of_another_make_is_noticed(void **state) {
  (void)state;
  set_environment("SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=0 SLURM_STEP_ID=0 PMIX_NAMESPACE=slurm");
  assert_ok(plm_launch_expect_size(4, "Open MPI 4.1.4"));
  assert_fails(plm_launch_expect_size(1, "MPICH 4.0.2"), PLM_E_USAGE,
               "srun started 4 processes (SLURM_STEP_NUM_TASKS=4, this is rank 0), but MPICH 4.0.2 takes each for the "
               "only one");
  assert_non_null(strstr(plm_error_hint(), "pmi2 for MPICH"));
  set_environment("OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=0 PMIX_NAMESPACE=a");
  assert_fails(plm_launch_expect_size(1, "MPICH 4.0.2"), PLM_E_USAGE, "mpirun started 2 processes");
  assert_non_null(strstr(plm_error_hint(), "PROTLM_MPI"));
  set_environment("");
  assert_ok(plm_launch_expect_size(1, "MPICH 4.0.2"));
  plm_error_clear();
}

static char told[1024];

static void take_line(void *user, plm_log_level level, const char *line) {
  (void)user;
  (void)level;
  snprintf(told + strlen(told), sizeof told - strlen(told), "%s\n", line);
}

static void settings_of_a_launcher_that_matter_are_told(void **state) {
  static const struct {
    const char *environment, *words; /* words: "" for nothing */
  } cases[] = {
      {"SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=0 PMIX_NAMESPACE=a", "`export SLURM_KILL_BAD_EXIT=1`"},
      {"SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=0 PMIX_NAMESPACE=a SLURM_KILL_BAD_EXIT=0", "srun: unless"},
      {"SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=0 PMIX_NAMESPACE=a SLURM_KILL_BAD_EXIT=1", ""},
      {"SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=1 SLURM_PROCID=0", ""},
      {"PMI_FD=5 PMI_SIZE=2 PMI_RANK=0 MPICH_GPU_SUPPORT_ENABLED=1", "MPICH_GPU_SUPPORT_ENABLED=1 is set to 0"},
      {"PMI_FD=5 PMI_SIZE=2 PMI_RANK=0 MPICH_GPU_SUPPORT_ENABLED=0", ""},
      {"SLURM_JOB_ID=7 SLURM_NTASKS=4",
       "has 4 tasks, and this is one process of one rank; for all of them: `srun --mpi=pmix"},
      {"SLURM_JOB_ID=7 SLURM_NTASKS=1", ""},
      {"SLURM_JOB_ID=7 SLURM_NTASKS=4 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=1 SLURM_PROCID=0", ""},
      {"SLURM_JOB_ID=7 SLURM_NTASKS=4 OMPI_COMM_WORLD_SIZE=1 OMPI_COMM_WORLD_RANK=0 PMIX_NAMESPACE=a", ""},
      {"", ""},
  };
  (void)state;
  plm_log_set_sink(take_line, NULL);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    set_environment(cases[i].environment);
    told[0] = '\0';
    plm_launch_tell();
    if (cases[i].words[0] == '\0')
      assert_string_equal(told, "");
    else if (strstr(told, cases[i].words) == NULL)
      fail_msg("'%s' is not told for %s: %s", cases[i].words, cases[i].environment, told);
  }
  plm_log_set_sink(NULL, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_process_is_one_process),
      cmocka_unit_test(several_are_refused_with_what_to_type),
      cmocka_unit_test(what_a_launcher_left_behind_is_told_from_a_launcher),
      cmocka_unit_test(processes_that_cannot_find_each_other_are_told_how),
      cmocka_unit_test(the_make_of_mpi_is_the_launchers),
      cmocka_unit_test(settings_of_a_launcher_that_matter_are_told),
      cmocka_unit_test(a_library_of_another_make_is_noticed),
  };
  return cmocka_run_group_tests_name("launch", tests, clear, clear);
}
