/* commands.c - the list of commands, in the order of `protlm --help`. */
#include "app/commands.h"

#include <stddef.h>

#include "protlm/train.h"

static const plm_command commands[] = {
    {"train", plm_train_option_table, NULL},
    {"eval", plm_eval_option_table, plm_eval_run},
    {"inspect tokens", plm_inspect_tokens_option_table, plm_inspect_tokens_run},
    {"inspect batch", plm_inspect_batch_option_table, plm_inspect_batch_run},
    {"inspect forward", plm_inspect_forward_option_table, plm_inspect_forward_run},
    {"inspect params", plm_inspect_params_option_table, plm_inspect_params_run},
    {"ckpt ls", plm_ckpt_ls_option_table, plm_ckpt_ls_run},
    {"ckpt verify", plm_ckpt_verify_option_table, plm_ckpt_verify_run},
    {"info", plm_info_option_table, plm_info_run},
    {"report", plm_report_option_table, plm_report_run},
    {"bench gemm", plm_bench_gemm_option_table, plm_bench_gemm_run},
    {"bench step", plm_bench_step_option_table, plm_bench_step_run},
};

const plm_command *plm_commands(int *ret_count) {
  *ret_count = (int)(sizeof commands / sizeof *commands);
  return commands;
}
