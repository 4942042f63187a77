/* options.c - the option table of `protlm train`: help, man page, completions, config files and the resume diff are
 * made from it.
 *
 * Resume classes (design 10.3): FREE may change between two starts of a run; ALLOW needs --allow-change NAME; NEVER
 * makes another run.
 */
#include "train/options.h"

#include <string.h>

#include "data/alphabet.h"
#include "train/foreign_options.h"

#define OPTION(option_name, option_type, field, heading, class)                                                       \
  .name = option_name, .type = PLM_OPT_##option_type, .offset = offsetof(plm_train_options, field), .group = heading, \
  .resume = PLM_RESUME_##class
#define hidden NULL

static const char model[] = "Model";
static const char data[] = "Data";
static const char batches[] = "Batches and length of the run";
static const char masking[] = "Masking";
static const char optimisation[] = "Optimisation";
static const char schedule[] = "Learning rate schedule";
static const char evaluation[] = "Evaluation";
static const char checkpoints[] = "Checkpoints and resume";
static const char logging[] = "Logging";
static const char machine[] = "Machine";
static const char ranks[] = "Several ranks";
static const char general[] = "General";

#define INT_LIMIT 2147483647.0
#define COUNT_LIMIT 1e15

static const plm_option options[] = {
    {OPTION("model", STRING, model, model, ALLOW), .aliases = "m model-name model-name-or-path", .argument = "MODEL",
     .may_be_path = true,
     .help =
         "what to train: a directory, a hub id such as facebook/esm2_t6_8M_UR50D (found in the Hugging Face cache), or a preset esm2_t6_8M ... esm2_t48_15B, which starts from random weights"},
    {OPTION("num-hidden-layers", INT, num_hidden_layers, model, NEVER), .min = 1, .max = 10000, .argument = "N",
     .help = "layers of a preset (default: the preset's)"},
    {OPTION("hidden-size", INT, hidden_size, model, NEVER), .min = 1, .max = 1e6, .argument = "N",
     .help = "width of a preset (default: the preset's)"},
    {OPTION("num-attention-heads", INT, num_attention_heads, model, NEVER), .min = 1, .max = 1e6, .argument = "N",
     .help = "attention heads of a preset (default: the preset's)"},
    {OPTION("intermediate-size", INT, intermediate_size, model, NEVER), .min = 1, .max = 1e7, .argument = "N",
     .help = "feed-forward width of a preset (default: 4 x hidden size)"},
    {OPTION("dtype", CHOICE, dtype, model, ALLOW), .aliases = "precision", .choices = "fp32|bf16", .argument = "TYPE",
     .help =
         "numbers of activations and products (default: bf16 where the processor computes it, else fp32); master weights, optimizer state and all sums are fp32"},
    {OPTION("bf16", FLAG, bf16, hidden, FREE), .help = "the same as --dtype bf16"},

    {OPTION("train", PATHS, train, data, ALLOW), .aliases = "t train-file train-hdf5-file", .argument = "FILE...",
     .help =
         "training sequences: FASTA (plain, gzip, bgzf, - for standard input), HDF5 or .plmd; several files are read one after the other"},
    {OPTION("eval", PATHS, eval, data, ALLOW), .aliases = "validation-file eval-file eval-hdf5-file",
     .argument = "FILE...", .help = "evaluation sequences"},
    {OPTION("eval-fraction", NUMBER, eval_fraction, data, NEVER), .max = 1, .exclusive_min = true,
     .exclusive_max = true, .argument = "F",
     .help =
         "set this share of the training sequences aside for evaluation; identical sequences always fall on one side"},
    {OPTION("max-length", INT, max_length, data, NEVER), .aliases = "max-seq-length", .default_value = "1024",
     .min = PLM_SMALLEST_WINDOW, .max = 1e7, .argument = "N",
     .help =
         "longest sequence in tokens, <cls> and <eos> included; longer ones are cropped at random in training, always alike in evaluation"},
    PLM_DATA_OPTION_ROWS(plm_train_options, read, data),

    {OPTION("batch-tokens", COUNT, batch_tokens, batches, NEVER), .default_value = "16K", .min = 1, .max = COUNT_LIMIT,
     .argument = "N", .help = "tokens of a global batch, <cls> and <eos> included"},
    {OPTION("per-device-train-batch-size", INT, per_device_train_batch_size, batches, NEVER), .aliases = "b batch-size",
     .min = 1, .max = INT_LIMIT, .argument = "N",
     .help = "count batches in sequences instead: this many per rank, times --gradient-accumulation-steps"},
    {OPTION("gradient-accumulation-steps", INT, gradient_accumulation_steps, batches, NEVER), .default_value = "1",
     .min = 1, .max = INT_LIMIT, .argument = "N",
     .help = "with --per-device-train-batch-size: batches added up before each update"},
    {OPTION("micro-batch-tokens", COUNT, micro_batch_tokens, batches, FREE), .min = 1, .max = INT_LIMIT,
     .argument = "N",
     .help = "tokens computed at a time, which sets the memory needed (default: from the memory plan)"},
    {OPTION("num-train-epochs", NUMBER, num_train_epochs, batches, FREE), .aliases = "e epochs", .default_value = "3",
     .max = 1e9, .exclusive_min = true, .argument = "N",
     .help = "passes over the training sequences, unless --max-steps is given"},
    {OPTION("max-steps", COUNT, max_steps, batches, ALLOW), .aliases = "s steps", .min = 1, .max = COUNT_LIMIT,
     .argument = "N",
     .help = "steps of the run; the horizon of the schedule (default: as many as --num-train-epochs takes)"},
    {OPTION("seed", INT, seed, batches, NEVER), .default_value = "42", .max = 9007199254740992.0, .argument = "N",
     .help = "seed of initialisation, order, crops and masks"},

    {OPTION("mask-probability", NUMBER, mask_probability, masking, NEVER), .aliases = "mlm-probability",
     .default_value = "0.15", .max = 1, .exclusive_min = true, .exclusive_max = true, .argument = "P",
     .help = "share of residues to predict; of these 80 % become <mask>, 10 % a random residue, 10 % stay"},
    {OPTION("random-tokens", CHOICE, random_tokens, masking, NEVER), .default_value = "aa-other",
     .choices = "aa-other|aa|vocab", .argument = "HOW",
     .help =
         "random replacements: another standard amino acid, any of the 20, or any token as Hugging Face's collator does"},
    {OPTION("mask-nonstandard", FLAG, mask_nonstandard, masking, NEVER),
     .help = "also predict X, B, U, Z, O, '.' and '-'"},

    {OPTION("learning-rate", NUMBER, learning_rate, optimisation, ALLOW), .aliases = "lr", .max = 1e3,
     .exclusive_min = true, .argument = "LR",
     .help = "highest learning rate (default: 4e-4 from random weights, 5e-5 from trained ones)"},
    {OPTION("weight-decay", NUMBER, weight_decay, optimisation, ALLOW), .default_value = "0.01", .max = 1e3,
     .argument = "D", .help = "decoupled weight decay of linear weights"},
    {OPTION("decay-all", FLAG, decay_all, optimisation, ALLOW),
     .help = "decay every trained parameter: embedding, norms and biases too"},
    {OPTION("adam-beta1", NUMBER, adam_beta1, optimisation, ALLOW), .default_value = "0.9", .max = 1,
     .exclusive_max = true, .argument = "B", .help = "decay of AdamW's first moment"},
    {OPTION("adam-beta2", NUMBER, adam_beta2, optimisation, ALLOW), .default_value = "0.98", .max = 1,
     .exclusive_max = true, .argument = "B", .help = "decay of AdamW's second moment"},
    {OPTION("adam-epsilon", NUMBER, adam_epsilon, optimisation, ALLOW), .default_value = "1e-8", .max = 1,
     .exclusive_min = true, .argument = "E", .help = "AdamW's epsilon"},
    {OPTION("max-grad-norm", NUMBER, max_grad_norm, optimisation, ALLOW), .default_value = "1.0", .max = 1e12,
     .argument = "N", .help = "clip the gradient to this norm; 0 = never"},
    {OPTION("skip-spikes", FLAG, skip_spikes, optimisation, ALLOW),
     .help =
         "leave out the update of a step whose loss stands far above those before it (otherwise it is only reported)"},
    {OPTION("max-nonfinite", INT, max_nonfinite, optimisation, FREE), .default_value = "5", .min = 1, .max = INT_LIMIT,
     .argument = "N",
     .help = "stop after this many steps in a row whose loss or gradient is not finite (their updates are left out)"},

    {OPTION("lr-scheduler-type", CHOICE, lr_scheduler_type, schedule, ALLOW),
     .choices =
         "esm2|linear|cosine|cosine_with_min_lr|cosine_max|constant|constant_with_warmup|inverse_sqrt|warmup_stable_decay",
     .argument = "NAME",
     .help = "course of the learning rate (default: esm2 from random weights, linear from trained ones)"},
    {OPTION("warmup-steps", NUMBER, warmup_steps, schedule, ALLOW), .aliases = "warmup-ratio", .max = COUNT_LIMIT,
     .share_alias = "warmup-ratio", .argument = "N",
     .help =
         "updates until the highest learning rate; below 1: as a share of all, rounded up (default: 8 %, at most 2000)"},
    {OPTION("min-lr-ratio", NUMBER, min_lr_ratio, schedule, ALLOW), .max = 1, .argument = "R",
     .help =
         "lowest learning rate at the end, as a share of the highest (default: 0.1; 0 for cosine, inverse_sqrt, warmup_stable_decay and for linear from random weights)"},
    {OPTION("demo-compat", FLAG, demo_compat, schedule, ALLOW),
     .help =
         "defaults of the workshop's train_esm.py: lr 3e-4 with cosine_max and 1000 warm-up steps from zero, betas 0.9 0.95, decay 0.1 of everything, no clipping, length 512"},

    {OPTION("eval-steps", COUNT, eval_steps, evaluation, FREE), .default_value = "500", .min = 1, .max = COUNT_LIMIT,
     .argument = "N", .help = "evaluate every N steps, and at the end"},
    {OPTION("eval-on-start", FLAG, eval_on_start, evaluation, FREE), .default_value = "true",
     .help = "evaluate before the first step too"},
    {OPTION("eval-draws", INT, eval_draws, evaluation, FREE), .default_value = "1", .min = 1, .max = 10000,
     .argument = "N", .help = "sets of masks each evaluation sequence is scored with"},
    {OPTION("eval-seed", INT, eval_seed, evaluation, FREE), .default_value = "0", .max = 9007199254740992.0,
     .argument = "N", .help = "seed of the evaluation masks, which are the same in every run"},
    {OPTION("early-stopping-patience", INT, early_stopping_patience, evaluation, FREE), .min = 1, .max = INT_LIMIT,
     .argument = "N", .help = "stop after N evaluations without a lower loss (counted after warm-up and 500 steps)"},
    {OPTION("early-stopping-threshold", NUMBER, early_stopping_threshold, evaluation, FREE), .default_value = "0",
     .max = 1e3, .argument = "L", .help = "how much lower the evaluation loss must be to count"},
    {OPTION("load-best-model-at-end", FLAG, load_best_model_at_end, evaluation, FREE),
     .help = "final/ becomes the model with the lowest evaluation loss; each such model is saved when it appears"},

    {OPTION("output-dir", PATH, output_dir, checkpoints, FREE), .aliases = "o out-dir", .argument = "DIR",
     .help = "directory of the run: logs, checkpoints, final model. The same command continues the run found there"},
    {OPTION("resume-from-checkpoint", STRING, resume_from_checkpoint, checkpoints, FREE), .default_value = "auto",
     .argument = "auto|never|DIR", .may_be_path = true,
     .help =
         "auto: continue from the newest good checkpoint of --output-dir; never: refuse if there is one; or the checkpoint to start from"},
    {OPTION("allow-change", STRING, allow_change, checkpoints, FREE), .argument = "NAMES", .command_line_only = true,
     .help = "options, separated by commas, that may differ from those the run was started with"},
    {OPTION("save-steps", COUNT, save_steps, checkpoints, FREE), .default_value = "500", .min = 1, .max = COUNT_LIMIT,
     .argument = "N", .help = "save a checkpoint every N steps, and at the end"},
    {OPTION("save-minutes", NUMBER, save_minutes, checkpoints, FREE), .default_value = "30", .max = 1e9,
     .argument = "N", .help = "save also when the last checkpoint is this old; 0 = don't"},
    {OPTION("save-total-limit", INT, save_total_limit, checkpoints, FREE), .min = 1, .max = INT_LIMIT, .argument = "N",
     .help = "keep the newest N checkpoints and the best (default: all)"},
    {OPTION("save-at", STRING, save_at, checkpoints, FREE), .argument = "start,epoch",
     .help = "save also before the first step, and after each epoch"},
    {OPTION("save-dtype", CHOICE, save_dtype, checkpoints, FREE), .default_value = "fp32", .choices = "fp32|bf16",
     .argument = "TYPE", .help = "numbers of the model in final/; checkpoints are always fp32"},
    {OPTION("time-limit", DURATION, time_limit, checkpoints, FREE), .max = 1e9, .exclusive_min = true,
     .argument = "TIME",
     .help =
         "save and stop before this much time has passed (90m, 24h, or in the forms of Slurm: 1-00:00:00); inside Slurm the job's own limit is watched as well"},

    {OPTION("logging-steps", COUNT, logging_steps, logging, FREE), .default_value = "10", .min = 1, .max = COUNT_LIMIT,
     .argument = "N", .help = "write loss, rates and learning rate every N steps"},

    {OPTION("threads", INT, threads, machine, FREE), .min = 1, .max = 4096, .argument = "N",
     .help =
         "threads that compute (default: the cores this process may use, divided by the ranks that share them; OMP_NUM_THREADS, SLURM_CPUS_PER_TASK: fewer)"},
    {OPTION("loader-workers", INT, loader_workers, machine, FREE), .aliases = "dataloader-num-workers",
     .default_value = "1", .max = 64, .argument = "N", .help = "threads that prepare batches; 0 = none"},

    {OPTION("timeout", DURATION, timeout, ranks, FREE), .default_value = "10m", .min = 1, .max = 1e9,
     .argument = "TIME",
     .help =
         "how long ranks wait for one that is stopped or hangs, before it is named and all end; reading and writing checkpoints may take an hour"},
    {OPTION("zero", INT, zero, ranks, FREE), .default_value = "0", .max = 1, .argument = "0|1",
     .help =
         "1: each rank keeps its share alone of the optimizer's state, and of the fp32 masters of a bf16 run: less memory, the same bits"},
    {OPTION("grad-reduce-dtype", CHOICE, grad_reduce_dtype, ranks, ALLOW), .default_value = "fp32",
     .choices = "fp32|bf16", .argument = "TYPE",
     .help =
         "numbers in which gradients travel between ranks; bf16: half the bytes, each contribution and the sum rounded"},
    {OPTION("check-replicas", COUNT, check_replicas, ranks, FREE), .default_value = "1000", .max = COUNT_LIMIT,
     .argument = "N", .help = "compare the parameters of all ranks every N steps, and at the end; 0 = never"},

    {OPTION("config", PATH, config, general, FREE), .argument = "FILE", .command_line_only = true,
     .help = "read options from this YAML file; those on the command line win"},
    {OPTION("print-config", FLAG, print_config, general, FREE), .command_line_only = true,
     .help = "show every value and where it came from, then stop"},
    {OPTION("dry-run", FLAG, dry_run, general, FREE), .command_line_only = true,
     .help = "check everything, plan memory, disk and steps, then stop"},
};

static const plm_option_table table = {
    .command = "train",
    .summary = "train a model, or go on training a published one",
    .usage = "protlm train --model MODEL --train FILE --output-dir DIR [options]",
    .description =
        "Trains by masked language modelling: residues of each protein are hidden and the model learns to predict them.\n\n"
        "Whatever stops the program, the same command continues the run from its newest good checkpoint, and the result is the same, bit "
        "for bit, as if nothing had happened. SIGTERM, SIGINT, SIGHUP and SIGUSR1 finish the current step, save and exit with code 75; a second "
        "SIGTERM or SIGINT leaves at once. SIGUSR2 saves and goes on.\n\n"
        "The output directory receives log.jsonl, metrics.csv, TensorBoard events, report.html, config.yaml, env.json, "
        "checkpoint-STEP/ directories that open in transformers, and at the end final/ with the model alone.",
    .examples =
        "# go on training a published model on your own proteins\n"
        "protlm train --model facebook/esm2_t6_8M_UR50D --train proteins.fasta \\\n"
        "    --eval-fraction 0.02 --output-dir run\n"
        "# a small model from random weights\n"
        "protlm train --model esm2_t6_8M --num-hidden-layers 4 --hidden-size 256 \\\n"
        "    --num-attention-heads 8 --train proteins.fasta.gz --eval-fraction 0.05 \\\n"
        "    --learning-rate 1.5e-3 --batch-tokens 2K --output-dir run\n",
    .options = options,
    .count = sizeof options / sizeof *options,
    .foreign = plm_train_foreign_options,
    .foreign_values = plm_train_foreign_values,
    .struct_size = sizeof(plm_train_options),
};

const plm_option_table *plm_train_option_table(void) { return &table; }

bool plm_train_option_is_data(const char *name) { return strcmp(name, "train") == 0 || strcmp(name, "eval") == 0; }
