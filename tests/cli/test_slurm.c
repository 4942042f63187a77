/* `protlm slurm`: what is refused before anything waits in a queue, what a script says, and the way to sbatch. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/program.h"
#include "kernels/backend.h"
#include "support/scratch.h"
#include "support/unit.h"

#define TRAIN "-- train --model esm2_t6_8M --train my.fasta"
#define RUN TRAIN " --output-dir run"
#define HERE "slurm --quiet --no-discover "

/* In the scratch directory, where my.fasta is. */
static program_result run_with(const char *const *environment, const char *line) {
  scratch_write_text("my.fasta", ">a\nMKTAYIAKQR\n");
  return program_line(&(program_options){.environment = environment, .directory = scratch_path("")}, line, NULL);
}

static program_result run(const char *line) { return run_with(NULL, line); }

static void mistakes_are_told_before_the_queue(void **state) {
  static const struct {
    const char *line, *words, *advice;
  } rows[] = {
      {HERE "--nodes 2", "what is the job to run?", "-- train --model M"},
      {HERE "train --model m", "unexpected argument 'train'", "protlm slurm [options] -- train|eval OPTIONS"},
      {HERE "-- protlm train", "a job runs train or eval", "leave the word protlm out"},
      {HERE "-- info", "'info' behind the two dashes", "-- train"},
      {HERE TRAIN, "--output-dir is missing", "-- train ... --output-dir DIR"},
      {HERE "--array 0-3 " TRAIN, "--output-dir is missing", "DIR/%a"},
      {HERE "--array 0-3 " RUN, "all its tasks would write to one directory, run", "--output-dir run/%a"},
      {HERE "--array some " TRAIN " --output-dir %a", "--array some", "--array 0-9"},
      {HERE RUN " --learning-rat 1", "train: unknown option --learning-rat", "--learning-rate"},
      {HERE RUN " --batch-tokens x", "train: --batch-tokens x", ""},
      {HERE "-- train --train my.fasta --output-dir run", "--model is missing", ""},
      {HERE "-- train --model esm2_t6_8M --output-dir run", "--train is missing", ""},
      {HERE "-- train --model esm2_t6_8M --train - --output-dir run", "a job has no standard input", "give a file"},
      {HERE RUN " --print-config", "no work for a job", "protlm train --help"},
      {HERE "-- eval --modle x", "eval: unknown option --modle", "--model"},
      {HERE "--cpu --gpus-per-node 4 " RUN, "contradict each other", ""},
      {HERE "--cpu --preset lumi --account a " RUN, "contradict each other", ""},
      {HERE "--preset nvidia " RUN, "how many GPUs has a node?", "--gpus-per-node"},
      {HERE "--preset setonix " RUN, "needs an account", "--account"},
      {HERE "--preset setonix --account a --gpus-per-node 9 " RUN, "a node of setonix has 8", ""},
      {HERE "--preset setonix --account a --time 30h " RUN, "partition gpu has at most 24h00m", "--time 24h"},
      {HERE "--preset setonix --account a --partition gpu-dev --time 5h " RUN, "at most 4h00m", ""},
      {HERE "--time 90 " RUN, "minutes, as Slurm reads it, or seconds", "--time 90m"},
      {HERE "--time soon " RUN, "--time soon: must be a time", ""},
      {HERE "--time 4m " RUN, "told to stop, 5m00s ahead of its end", "--signal-ahead"},
      {HERE "--mpi openmpi " RUN, "--mpi openmpi", ""},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    program_result r = run(rows[i].line);
    program_expect(&r, 2);
    assert_string_equal(r.out, "");
    program_expect_words(&r, r.err, rows[i].words);
    program_expect_words(&r, r.err, rows[i].advice);
  }
}

static void a_script_holds_what_was_told(void **state) {
  static const char *const lines[] = {
      "#SBATCH --job-name=run\n",
      "#SBATCH --account=me\n",
      "#SBATCH --partition=work\n",
      "#SBATCH --nodes=3\n",
      "#SBATCH --requeue\n",
      "#SBATCH --time=0-01:30:00\n",
      "#SBATCH --open-mode=append\n",
      "#SBATCH --qos=high\n",
      "#SBATCH --signal=B:USR1@120\n",
      "#SBATCH --ntasks-per-node=2\n",
      "module load b || exit 1",
      "#SBATCH --cpus-per-task=4\n",
      "max_restarts=7 ",
      "--mpi=pmi2",
      "export SLURM_KILL_BAD_EXIT=1\n",
      "output_dir=run\n",
      "--kill-on-bad-exit=1 -N \"$nodes\" -n \"$ranks\" --ntasks-per-node=\"$ranks_per_node\" -c \"$cpus_per_task\""};
  (void)state;
  program_result r =
      run(HERE
          "--cpu --account me --partition work --nodes 3 --time 90m --sbatch-option=--qos=high "
          "--signal-ahead 2m --ranks-per-node 2 --cpus-per-task 4 --module a b --max-restarts 7 --mpi pmi2 " RUN);
  program_expect(&r, 0);
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) program_expect_words(&r, r.out, lines[i]);
  assert_string_equal(r.err, "");
  assert_null(strstr(r.out, "--exclusive")); /* cores were told: others may have the rest */
}

static void words_behind_the_dashes_are_completed_as_their_own(void **state) {
  (void)state;
  program_result r = run("__complete slurm --cpu -- train --learn");
  program_expect(&r, 0);
  program_expect_words(&r, r.out, "--learning-rate\t");
  assert_null(strstr(r.out, "--preset"));
  r = run("__complete slurm --cpu -- t");
  program_expect(&r, 0);
  program_expect_words(&r, r.out, "train\t");
  r = run("__complete slurm --cpu --pre");
  program_expect(&r, 0);
  program_expect_words(&r, r.out, "--preset\t");
  assert_null(strstr(r.out, ":files"));
}

static void an_output_in_a_directory_that_is_not_there_is_a_warning(void **state) {
  (void)state;
  program_result r = run(HERE "--cpu --output logs/%x-%j.out " RUN);
  program_expect(&r, 0);
  program_expect_words(&r, r.err, "Slurm makes no directories");
  program_expect_words(&r, r.err, "mkdir -p logs");
  r = run(HERE "--cpu --output ./%x-%j.out " RUN);
  assert_string_equal(r.err, "");
}

static void a_file_that_is_not_here_is_a_warning(void **state) {
  (void)state;
  program_result r = run(HERE "--cpu -- train --model esm2_t6_8M --train other.fasta --output-dir run");
  program_expect(&r, 0);
  program_expect_words(&r, r.err, "--train other.fasta: there is no such file here");
}

static void the_directory_may_come_from_elsewhere(void **state) {
  static const char *const environment[] = {"PROTLM_OUTPUT_DIR=runs/x", "PROTLM_SEED=3", NULL};
  (void)state;
  program_result r = run_with(environment, HERE "--cpu " TRAIN);
  program_expect(&r, 0);
  program_expect_words(&r, r.out, "output_dir=runs/x\n");
  program_expect_words(&r, r.out, "--output-dir \"$output_dir\")");
  program_expect_words(&r, r.out, "from your environment, which sbatch hands on unless it is told not to: --seed\n");
}

static void a_time_limit_of_the_users_own_stays(void **state) {
  (void)state;
  program_result r = run(HERE "--cpu " RUN " --time-limit 1h");
  program_expect(&r, 0);
  program_expect_words(&r, r.out, "pass_time_limit=no");
}

static void a_part_of_a_setonix_node_is_packs(void **state) {
  (void)state;
  program_result r = run(HERE "--preset setonix --account p-gpu --gpus-per-node 2 " RUN);
  program_expect(&r, 0);
  program_expect_words(&r, r.out, "#SBATCH --account=p-gpu\n");
  program_expect_words(&r, r.out, "#SBATCH --gres=gpu:2\n");
  program_expect_words(&r, r.out, "cpus_per_task=8\n");
  assert_null(strstr(r.out, "--cpu-bind"));
  assert_null(strstr(r.out, "#SBATCH --exclusive"));
}

/* A program of this name that stands first in PATH. */
static const char *play(const char *name, const char *body) {
  static char path[4096];
  char file[256];
  snprintf(file, sizeof file, "bin/%s", name);
  mkdir(scratch_path("bin"), 0755);
  scratch_write_text(file, body);
  chmod(scratch_path(file), 0755);
  snprintf(path, sizeof path, "PATH=%s:%s", scratch_path("bin"), getenv("PATH"));
  return path;
}

static void submit_prints_the_number_of_the_job(void **state) {
  const char *const environment[] = {
      play("sbatch", "#!/bin/sh\n[ \"$*\" = --parsable ] || exit 9\ncat >submitted.sh\necho '4711;cluster'\n"), NULL};
  (void)state;
  program_result r = run_with(environment, HERE "--cpu --submit " RUN);
  program_expect(&r, 0);
  assert_string_equal(r.out, "4711\n");
  const char *script = scratch_read("submitted.sh");
  assert_memory_equal(script, "#!/bin/bash\n", 12);
  assert_non_null(strstr(script, "\nfinish\n")); /* all of it */
}

static void what_sbatch_refuses_is_a_failure(void **state) {
  const char *const environment[] = {play("sbatch", "#!/bin/sh\necho 'sbatch: error: no such account' >&2\nexit 1\n"),
                                     NULL};
  (void)state;
  program_result r = run_with(environment, HERE "--cpu --submit " RUN);
  program_expect(&r, 1);
  assert_string_equal(r.out, "");
  program_expect_words(&r, r.err, "sbatch: error: no such account");
  program_expect_words(&r, r.err, "sbatch has not taken the job: exit code 1");
}

static void without_sbatch_nothing_can_be_submitted(void **state) {
  static const char *const environment[] = {"PATH=/nowhere", NULL};
  (void)state;
  program_result r = run_with(environment, HERE "--cpu --submit " RUN);
  program_expect(&r, 1);
  program_expect_words(&r, r.err, "sbatch cannot be run");
}

static void the_cluster_is_asked(void **state) {
  play("scontrol", "#!/bin/sh\necho 'MpiDefault              = pmi2'\n");
  const char *const environment[] = {
      play("sinfo", "#!/bin/sh\necho 'debug|30:00|8|1|(null)'\necho 'main*|12:00:00|64|2|gpu:h100:4(S:0-1)'\n"), NULL};
  (void)state;
  program_result r = run_with(environment, "slurm --quiet --program protlm " RUN);
  program_expect(&r, 0);
  program_expect_words(&r, r.out, "#SBATCH --gpus-per-node=4\n");
  program_expect_words(&r, r.out, "#SBATCH --time=0-12:00:00\n");
  program_expect_words(&r, r.out, "#SBATCH --exclusive\n");
  program_expect_words(&r, r.out, "cpus_per_task=16\n");
  program_expect_words(&r, r.out, "it goes to the default one, main");
  assert_null(strstr(r.out, "--mpi=")); /* the cluster's own way */
  r = run_with(environment, "slurm --quiet --time 13h " RUN);
  program_expect(&r, 2);
  program_expect_words(&r, r.err, "a job in partition main has at most 12h00m");
}

/* GPUs are not asked for by a program that would not use them, and where they are told, that is said. */
static void gpus_are_for_programs_that_use_them(void **state) {
  const char *const environment[] = {play("sinfo", "#!/bin/sh\necho 'main*|12:00:00|64|2|gpu:h100:4(S:0-1)'\n"), NULL};
  (void)state;
  if (plm_backend_at(1) != NULL) skip();
  program_result r = run_with(environment, "slurm --quiet " RUN);
  program_expect(&r, 0);
  program_expect_words(&r, r.out, "no GPUs, of which a node here has 4");
  assert_null(strstr(r.out, "#SBATCH --gpus"));
  r = run_with(environment, "slurm --quiet --gpus-per-node 4 " RUN);
  program_expect(&r, 0);
  program_expect_words(&r, r.err, "the job would hold GPUs and not use them");
}

static void a_deaf_cluster_holds_nobody_up(void **state) {
  const char *const environment[] = {play("sinfo", "#!/bin/sh\nexec sleep 60\n"), NULL};
  (void)state;
  program_result r = run_with(environment, "slurm --quiet --cpu " RUN);
  program_expect(&r, 0);
  remove(scratch_path("bin/sinfo"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(mistakes_are_told_before_the_queue),
      cmocka_unit_test(a_script_holds_what_was_told),
      cmocka_unit_test(words_behind_the_dashes_are_completed_as_their_own),
      cmocka_unit_test(an_output_in_a_directory_that_is_not_there_is_a_warning),
      cmocka_unit_test(a_file_that_is_not_here_is_a_warning),
      cmocka_unit_test(the_directory_may_come_from_elsewhere),
      cmocka_unit_test(a_time_limit_of_the_users_own_stays),
      cmocka_unit_test(a_part_of_a_setonix_node_is_packs),
      cmocka_unit_test(submit_prints_the_number_of_the_job),
      cmocka_unit_test(what_sbatch_refuses_is_a_failure),
      cmocka_unit_test(without_sbatch_nothing_can_be_submitted),
      cmocka_unit_test(the_cluster_is_asked),
      cmocka_unit_test(gpus_are_for_programs_that_use_them),
      cmocka_unit_test(a_deaf_cluster_holds_nobody_up),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
