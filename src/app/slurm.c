/* slurm.c - `protlm slurm`: a batch script for a run, printed or submitted. Read slurm.h first. */
#include "app/slurm.h"

#include <stddef.h>
#include <string.h>

#include "app/commands.h"
#include "app/print.h"
#include "base/alloc.h"
#include "base/program.h"

#define OPTION(option_name, option_type, field, heading)                                                              \
  .name = option_name, .type = PLM_OPT_##option_type, .offset = offsetof(plm_slurm_options, field), .group = heading, \
  .command_line_only = true

static const char where[] = "Where";
static const char start[] = "How ranks are started";
static const char container[] = "Container";
static const char job[] = "Job";
static const char again[] = "Time limit and starting again";

#define MOST 1e6

static const plm_option option_list[] = {
    {OPTION("preset", CHOICE, preset, where), .choices = "setonix|lumi|nvidia|cpu", .argument = "SITE",
     .help = "lines of a site, or of a kind of node (default: what sinfo says of this cluster)"},
    {OPTION("nodes", INT, nodes, where), .aliases = "N", .default_value = "1", .min = 1, .max = MOST, .argument = "N",
     .help = "nodes of the job"},
    {OPTION("gpus-per-node", INT, gpus_per_node, where), .min = 1, .max = 1024, .argument = "N",
     .help = "GPUs used of each node (default: all)"},
    {OPTION("cpu", FLAG, cpu, where), .help = "train on CPUs, whatever else the nodes have"},
    {OPTION("ranks-per-node", INT, ranks_per_node, where), .aliases = "ntasks-per-node", .min = 1, .max = MOST,
     .argument = "N", .help = "processes a node (default: one a GPU; on CPUs one a socket)"},
    {OPTION("cpus-per-task", INT, cpus_per_task, where), .aliases = "c", .min = 1, .max = MOST, .argument = "N",
     .help = "CPUs of each rank (default: its share of the node)"},
    {OPTION("exclusive", FLAG, exclusive, where),
     .help = "whole nodes (default: where all GPUs are used, and on CPUs without --cpus-per-task)"},
    {OPTION("time", STRING, time, where), .aliases = "t", .argument = "TIME",
     .help =
         "time limit of each start: 24h, 90m, 1-00:00:00 (default: a day, or the longest that the partition allows)"},
    {OPTION("account", STRING, account, where), .aliases = "A", .argument = "NAME", .help = "who pays"},
    {OPTION("partition", STRING, partition, where), .aliases = "p", .argument = "NAME",
     .help = "partition (default: the preset's, or the cluster's)"},
    {OPTION("discover", FLAG, discover, where), .default_value = "true",
     .help = "ask sinfo and scontrol about this cluster"},

    {OPTION("launcher", CHOICE, launcher, start), .default_value = "srun", .choices = "srun|mpirun", .argument = "NAME",
     .help = "what starts the ranks"},
    {OPTION("mpi", CHOICE, mpi, start), .choices = "pmix|pmi2|cray_shasta|default", .argument = "NAME",
     .help =
         "srun's --mpi: pmix for Open MPI, pmi2 for MPICH; default: leave it out (default: as the cluster has it, else pmix)"},
    {OPTION("launcher-option", PATHS, launcher_option, start), .is_words = true, .argument = "WORD...",
     .help = "more options of srun or mpirun: --launcher-option=--cpu-bind=cores"},
    {OPTION("module", PATHS, module, start), .is_words = true, .argument = "NAME...",
     .help = "modules to load first, in this order, instead of a preset's"},
    {OPTION("program", STRING, program, start), .argument = "PATH", .may_be_path = true,
     .help = "protlm on the nodes (default: this one; in a container: protlm)"},

    {OPTION("container", STRING, container, container), .argument = "IMAGE", .may_be_path = true,
     .help = "run inside this image: a .sif file, an unpacked directory, or the name of one of ch-image's"},
    {OPTION("container-engine", CHOICE, container_engine, container), .default_value = "auto",
     .choices = "auto|apptainer|charliecloud", .argument = "NAME",
     .help = "auto: charliecloud for directories and names of ch-image, apptainer (or singularity) for all else"},
    {OPTION("bind", PATHS, bind, container), .argument = "DIR...",
     .help = "directories to show in the container, besides the one in which sbatch is run"},

    {OPTION("job-name", STRING, job_name, job), .aliases = "J", .argument = "NAME",
     .help = "name in the queue (default: of the output directory)"},
    {OPTION("output", STRING, output, job), .aliases = "o", .argument = "FILE",
     .help = "output of the job, in sbatch's form (default: %x-%j.out; %x-%A_%a.out in arrays)"},
    {OPTION("array", STRING, array, job), .aliases = "a", .argument = "SPEC",
     .help = "an array of jobs, such as 0-9%2: in the words behind -- each %a is the task's number"},
    {OPTION("sbatch-option", PATHS, sbatch_option, job), .is_words = true, .argument = "WORD...",
     .help = "more options of sbatch: --sbatch-option=--qos=high"},

    {OPTION("signal-ahead", DURATION, signal_ahead, again), .default_value = "300s", .min = 10, .max = 65535,
     .argument = "TIME", .help = "how long before the time limit the run saves and stops"},
    {OPTION("max-restarts", INT, max_restarts, again), .default_value = "50", .max = 10000, .argument = "N",
     .help = "how often the job may start itself again; it never does without progress"},
    {OPTION("submit", FLAG, submit, again), .help = "give the script to sbatch, and print the job's number alone"},
};

const plm_option_table *plm_slurm_option_table(void) {
  static const plm_option_table table = {
      .command = "slurm",
      .summary = "a batch script for many nodes: printed, or submitted",
      .usage = "protlm slurm [options] -- train|eval OPTIONS | drill",
      .description =
          "Prints a script for sbatch that runs protlm train (or eval) on as many ranks as are asked for, and looks after "
          "it: ahead of the time limit the run saves and stops, and the job starts itself again; so it does after a lost "
          "node or rank. It never starts again without progress, nor more often than --max-restarts. Each decision is a "
          "line in the job's output.\n\n"
          "The words behind the two dashes are checked with train's own options now, not hours later in the queue. "
          "docs/SLURM.md leads from a laptop to many nodes.",
      .examples =
          "# what would be submitted\n"
          "protlm slurm --nodes 2 --cpu --time 12h -- train --model esm2_t6_8M \\\n"
          "    --train my.fasta --eval-fraction 0.05 --output-dir run\n"
          "# kept in a file, looked at, submitted\n"
          "protlm slurm --preset setonix --account myproject --nodes 4 -- train \\\n"
          "    --model esm2_t6_8M --train my.fasta --output-dir run >run.job\n"
          "# does this cluster survive what clusters do? Seven short jobs, and a verdict\n"
          "protlm slurm --cpu --nodes 2 --time 30m -- drill >drill.sh && bash drill.sh\n",
      .options = option_list,
      .count = sizeof option_list / sizeof *option_list,
      .positional = "-- train|eval ...",
      .positional_offset = offsetof(plm_slurm_options, line),
      .positional_is_line = true,
      .struct_size = sizeof(plm_slurm_options),
  };
  return &table;
}

/* "4711", or "4711;cluster" */
static plm_status submit(const char *script, const plm_output *output) {
  const char *const argv[] = {"sbatch", "--parsable", NULL};
  const plm_program_call call = {.argv = argv, .input = script, .timeout_s = 120};
  char *answer;
  int code;
  if (plm_run_program(&call, &answer, &code) != PLM_OK)
    return plm_hint(plm_error_prefix(PLM_E_FAILURE, "--submit: "),
                    "leave --submit out: the script is printed, and can be submitted elsewhere");
  if (code == 0) plm_print(output, "%.*s\n", (int)strcspn(answer, ";\n"), answer);
  plm_free(answer);
  if (code == 0) return PLM_OK;
  return plm_hint(plm_fail(PLM_E_FAILURE, "sbatch has not taken the job: exit code %d; its reason stands above", code),
                  "the same line without --submit shows what it was given");
}

static plm_status run_drill(const plm_output *output) {
  plm_text text = {0};
  char *script;
  PLM_TRY(plm_slurm_drill_write(output->program, &text));
  PLM_TRY(plm_text_take(&text, &script));
  output->write(output->user, script);
  plm_free(script);
  return PLM_OK;
}

plm_status plm_slurm_run(const plm_option_values *values, const plm_output *output) {
  const plm_slurm_options *options = values->options;
  plm_slurm_cluster cluster = {0};
  plm_slurm_line line;
  static plm_slurm_plan plan; /* paths: large for a stack */
  plm_text text = {0};
  char *script = NULL;
  plm_status status;
  if (plm_slurm_is_drill(options)) return run_drill(output);
  plan = (plm_slurm_plan){0};
  PLM_TRY_GOTO(plm_slurm_line_read(options, &line), done);
  const plm_slurm_preset *preset = plm_slurm_preset_find(options->preset);
  const char *partition = options->partition == NULL && preset != NULL ? preset->partition : options->partition;
  if (options->discover) plm_slurm_cluster_ask(partition, &cluster);
  PLM_TRY_GOTO(plm_slurm_plan_make(values, &line, &cluster, output->program, &plan), done);
  plm_slurm_script_write(&plan, &text);
  PLM_TRY_GOTO(plm_text_take(&text, &script), done);
  if (options->submit)
    status = submit(script, output);
  else
    output->write(output->user, script);
done:
  plm_free(script);
  plm_slurm_plan_destroy(&plan);
  plm_slurm_line_destroy(&line);
  return status;
}
