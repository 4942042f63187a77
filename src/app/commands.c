/* commands.c - the list of commands, in the order of `protlm --help`. */
#include "app/commands.h"

#include <stddef.h>

#include "data/sequence_file.h"
#include "protlm/train.h"

static const char training[] = "Train and evaluate";
static const char inside[] = "Look inside";
static const char runs[] = "Runs and checkpoints";
static const char machine[] = "This machine";

static const plm_command commands[] = {
    {"train", training, plm_train_option_table, NULL},
    {"eval", training, plm_eval_option_table, plm_eval_run},
    {"inspect tokens", inside, plm_inspect_tokens_option_table, plm_inspect_tokens_run},
    {"inspect batch", inside, plm_inspect_batch_option_table, plm_inspect_batch_run},
    {"inspect forward", inside, plm_inspect_forward_option_table, plm_inspect_forward_run},
    {"inspect params", inside, plm_inspect_params_option_table, plm_inspect_params_run},
    {"ckpt ls", runs, plm_ckpt_ls_option_table, plm_ckpt_ls_run},
    {"ckpt verify", runs, plm_ckpt_verify_option_table, plm_ckpt_verify_run},
    {"report", runs, plm_report_option_table, plm_report_run},
    {"info", machine, plm_info_option_table, plm_info_run},
    {"bench gemm", machine, plm_bench_gemm_option_table, plm_bench_gemm_run},
    {"bench step", machine, plm_bench_step_option_table, plm_bench_step_run},
};

const plm_command *plm_commands(int *ret_count) {
  *ret_count = (int)(sizeof commands / sizeof *commands);
  return commands;
}

void plm_begin_program(int argc, char *const *argv) { plm_hdf5_reader_main(argc, argv); }
