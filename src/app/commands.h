/* commands.h - the commands of this room, one file each; commands.c lists them. */
#ifndef PLM_APP_COMMANDS_H
#define PLM_APP_COMMANDS_H

#include "protlm/commands.h"

#define PLM_COMMAND(name)                                  \
  const plm_option_table *plm_##name##_option_table(void); \
  plm_status plm_##name##_run(const plm_option_values *values, const plm_output *output);

PLM_COMMAND(eval)
PLM_COMMAND(inspect_tokens)
PLM_COMMAND(inspect_batch)
PLM_COMMAND(inspect_forward)
PLM_COMMAND(inspect_params)
PLM_COMMAND(ckpt_ls)
PLM_COMMAND(ckpt_verify)
PLM_COMMAND(info)
PLM_COMMAND(report)
PLM_COMMAND(slurm)
PLM_COMMAND(bench_gemm)
PLM_COMMAND(bench_step)
PLM_COMMAND(bench_scaling)
#undef PLM_COMMAND

/* Options that mean the same in every command that has them; `S` is the command's options struct. */
#define PLM_OPTION_MODEL(S, field)                                                         \
  {                                                                                        \
    .name = "model", .aliases = "m model-name model-name-or-path", .type = PLM_OPT_STRING, \
    .offset = offsetof(S, field), .group = "Model", .argument = "M", .may_be_path = true,  \
    .help = "model: a directory, or a hub id found in the Hugging Face cache"              \
  }
#define PLM_OPTION_RANDOM_WEIGHTS(S, field)                                                                 \
  {                                                                                                         \
    .name = "random-weights", .type = PLM_OPT_FLAG, .offset = offsetof(S, field), .default_value = "false", \
    .group = "Model", .help = "allow a preset (esm2_t6_8M ...): right shape, untrained weights"             \
  }
#define PLM_OPTION_DTYPE(S, field)                                                                  \
  {                                                                                                 \
    .name = "dtype", .type = PLM_OPT_CHOICE, .offset = offsetof(S, field), .default_value = "fp32", \
    .choices = "fp32|bf16", .group = "Machine",                                                     \
    .help = "number format of activations and of the weights that products read"                    \
  }
#define PLM_OPTION_THREADS(S, field)                                                                                                               \
  {                                                                                                                                                \
    .name = "threads", .type = PLM_OPT_INT, .offset = offsetof(S, field), .min = 1, .max = 4096, .group = "Machine",                               \
    .argument = "N",                                                                                                                               \
    .help =                                                                                                                                        \
        "processor threads (default: all this process may use, divided by the ranks that share them; OMP_NUM_THREADS, SLURM_CPUS_PER_TASK: fewer)" \
  }
#define PLM_OPTION_TIMEOUT(S, field)                                                                             \
  {                                                                                                              \
    .name = "timeout", .type = PLM_OPT_DURATION, .offset = offsetof(S, field), .default_value = "10m", .min = 1, \
    .max = 1e9, .group = "Machine", .argument = "TIME",                                                          \
    .help = "how long ranks wait for one that is stopped or hangs, before it is named and all end"               \
  }
#define PLM_OPTION_SEED(S, field)                                                                    \
  {                                                                                                  \
    .name = "seed", .type = PLM_OPT_INT, .offset = offsetof(S, field), .default_value = "42",        \
    .max = 9007199254740992.0, .group = "Model", .argument = "N", .help = "seed of --random-weights" \
  }

#endif
