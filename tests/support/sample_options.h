/* sample_options.h - a table with every type of option, as a command would have it. */
#ifndef TESTS_SUPPORT_SAMPLE_OPTIONS_H
#define TESTS_SUPPORT_SAMPLE_OPTIONS_H

#include <math.h>
#include <stddef.h>

#include "protlm/options.h"

typedef struct sample {
  plm_string_list train;
  const char *output_dir, *model, *scheduler, *note, *config;
  double learning_rate, mask_probability, save_interval;
  int64_t seed, max_steps, batch_tokens, memory;
  bool bf16, flash, print_config, secret;
  plm_string_list files;
} sample;

static const plm_option sample_options[] = {
    {"train", "train-file", PLM_OPT_PATHS, offsetof(sample, train), .group = "Data",
     .help = "Sequences to train on: FASTA (also gzip or bgzf), HDF5 or TSV"},
    {"batch-tokens", "b", PLM_OPT_COUNT, offsetof(sample, batch_tokens), "16K", .min = 1, .group = "Data",
     .help = "Tokens in a global batch, special tokens included"},
    {"mask-probability", "mlm-probability", PLM_OPT_NUMBER, offsetof(sample, mask_probability), "0.15", .max = 1,
     .exclusive_min = true, .exclusive_max = true, .group = "Data",
     .help = "Share of the residues that the model must guess"},
    {"model", "m model-name-or-path model-name", PLM_OPT_STRING, offsetof(sample, model), .group = "Model",
     .argument = "MODEL", .may_be_path = true,
     .help =
         "Directory, Hugging Face id such as facebook/esm2_t6_8M_UR50D, or the name of a preset to train from scratch"},
    {"flash-attention", NULL, PLM_OPT_FLAG, offsetof(sample, flash), "true", .group = "Model",
     .help = "Compute attention in tiles"},
    {"bf16", NULL, PLM_OPT_FLAG, offsetof(sample, bf16), .group = "Model", .help = "Compute in bfloat16"},
    {"learning-rate", "lr", PLM_OPT_NUMBER, offsetof(sample, learning_rate), "4e-4", .max = 1, .exclusive_min = true,
     .group = "Optimisation", .help = "Highest learning rate of the schedule"},
    {"lr-scheduler-type", NULL, PLM_OPT_CHOICE, offsetof(sample, scheduler), "esm2",
     .choices = "esm2|linear|cosine|constant|constant_with_warmup|inverse_sqrt", .group = "Optimisation",
     .help = "How the learning rate changes after the warm-up"},
    {"max-steps", NULL, PLM_OPT_COUNT, offsetof(sample, max_steps), .min = 1, .group = "Optimisation",
     .help = "Stop after this many steps"},
    {"seed", "s", PLM_OPT_INT, offsetof(sample, seed), "42", .min = 0, .max = INFINITY, .group = "Optimisation",
     .help = "Seed of everything random"},
    {"output-dir", "o out-dir", PLM_OPT_PATH, offsetof(sample, output_dir), .group = "Output", .argument = "DIR",
     .help = "Directory of the run"},
    {"save-interval", NULL, PLM_OPT_DURATION, offsetof(sample, save_interval), "30m", .min = 1, .group = "Output",
     .help = "Save at least this often"},
    {"memory", NULL, PLM_OPT_SIZE, offsetof(sample, memory), .min = 1048576, .group = "Output",
     .help = "Use no more than this"},
    {"note", NULL, PLM_OPT_STRING, offsetof(sample, note), .group = "Output",
     .help = "Anything worth remembering, with [brackets], 'quotes': and \\"},
    {"secret", NULL, PLM_OPT_FLAG, offsetof(sample, secret), .help = "Not shown anywhere"},
    {"config", "c", PLM_OPT_PATH, offsetof(sample, config), .group = "Other", .command_line_only = true,
     .help = "Read options from this YAML file"},
    {"print-config", NULL, PLM_OPT_FLAG, offsetof(sample, print_config), .group = "Other", .command_line_only = true,
     .help = "Print every option with its value and where that came from, and stop"},
};

static const plm_foreign_option sample_foreign[] = {
    {"--fp16", "use --bf16"},
    {"report-to", "TensorBoard files are always written to the output directory"},
    {"fsdp*", "nothing is sharded"},
    {NULL, NULL},
};

static const plm_foreign_value sample_foreign_values[] = {
    {"max-steps", "-1 0.* None", "leave it out"},
    {"note", "True", "write words"},
    {NULL, NULL, NULL},
};

static const plm_option_table sample_table = {
    .command = "train",
    .summary = "train a protein language model, from scratch or from published weights",
    .usage = "protlm train --model MODEL --train FILE... --output-dir DIR [options]",
    .description =
        "Trains a masked language model on protein sequences. Sequences are packed without padding, so that no work is done for "
        "nothing.\n\n.Run the same command again to go on where a run stopped; 'latest' says where.",
    .examples =
        "# Train a small model from scratch\nprotlm train --model esm2_t6_8M --train uniref.fasta.gz --output-dir run\n\n"
        "# Continue published weights\nprotlm train --model facebook/esm2_t6_8M_UR50D --train mine.fasta --output-dir run2 --lr 5e-5\n",
    .options = sample_options,
    .count = sizeof sample_options / sizeof *sample_options,
    .foreign = sample_foreign,
    .foreign_values = sample_foreign_values,
    .struct_size = sizeof(sample),
};

/* The same options for a command of two words with positional arguments, and one that takes a single one. */
static const plm_option_table sample_files_table = {
    .command = "ckpt ls",
    .summary = "list checkpoints",
    .usage = "protlm ckpt ls RUN... [options]",
    .options = sample_options,
    .count = sizeof sample_options / sizeof *sample_options,
    .positional = "RUN...",
    .positional_offset = offsetof(sample, files),
    .struct_size = sizeof(sample),
};
static const plm_option_table sample_file_table = {
    .command = "ckpt verify",
    .summary = "verify a checkpoint",
    .usage = "protlm ckpt verify RUN [options]",
    .options = sample_options,
    .count = 2,
    .positional = "RUN",
    .positional_offset = offsetof(sample, files),
    .struct_size = sizeof(sample),
};

#endif
