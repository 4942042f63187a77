/* commands.c - the list of commands, in the order of `protlm --help`. */
#include "app/commands.h"

#include <stddef.h>

#include "data/read/sequence_file.h"
#include "dist/launch.h"
#include "protlm/train.h"

static const char training[] = "Train and evaluate";
static const char inside[] = "Look inside";
static const char runs[] = "Runs and checkpoints";
static const char machine[] = "This machine";
static const char many[] = "Many nodes";

static const plm_command commands[] = {
    {"train", training, plm_train_option_table, NULL, PLM_RANKS_TOGETHER},
    {"eval", training, plm_eval_option_table, plm_eval_run, PLM_RANKS_TOGETHER},
    {"inspect tokens", inside, plm_inspect_tokens_option_table, plm_inspect_tokens_run, PLM_RANKS_ONE},
    {"inspect batch", inside, plm_inspect_batch_option_table, plm_inspect_batch_run, PLM_RANKS_ONE},
    {"inspect forward", inside, plm_inspect_forward_option_table, plm_inspect_forward_run, PLM_RANKS_ONE},
    {"inspect params", inside, plm_inspect_params_option_table, plm_inspect_params_run, PLM_RANKS_ONE},
    {"ckpt ls", runs, plm_ckpt_ls_option_table, plm_ckpt_ls_run, PLM_RANKS_APART},
    {"ckpt verify", runs, plm_ckpt_verify_option_table, plm_ckpt_verify_run, PLM_RANKS_APART},
    {"report", runs, plm_report_option_table, plm_report_run, PLM_RANKS_ONE},
    {"slurm", many, plm_slurm_option_table, plm_slurm_run, PLM_RANKS_ONE},
    {"info", machine, plm_info_option_table, plm_info_run, PLM_RANKS_IF_FOUND},
    {"bench gemm", machine, plm_bench_gemm_option_table, plm_bench_gemm_run, PLM_RANKS_APART},
    {"bench step", machine, plm_bench_step_option_table, plm_bench_step_run, PLM_RANKS_APART},
    {"bench scaling", machine, plm_bench_scaling_option_table, plm_bench_scaling_run, PLM_RANKS_TOGETHER},
};

const plm_command *plm_commands(int *ret_count) {
  *ret_count = (int)(sizeof commands / sizeof *commands);
  return commands;
}

plm_status plm_command_run(const plm_command *command, const plm_option_values *values, const plm_output *output) {
  const bool is_alone =
      command->ranks == PLM_RANKS_ONE || (command->ranks == PLM_RANKS_TOGETHER && output->comm == NULL);
  if (is_alone) PLM_TRY(plm_launch_expect_one(command->name));
  return command->run(values, output);
}

void plm_begin_program(int argc, char *const *argv) { plm_hdf5_reader_main(argc, argv); }
