/* options.c - the option table of `protlm train`: help, man page, completions, config files and the resume diff are made from it.
 *
 * Resume classes (design 10.3): FREE may change between two starts of a run; ALLOW needs --allow-change NAME; NEVER makes another run.
 */
#include "train/options.h"

#include <string.h>

#define AT(field) offsetof(plm_train_options, field)
#define FREE PLM_RESUME_FREE
#define ALLOW PLM_RESUME_ALLOW
#define NEVER PLM_RESUME_NEVER

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
static const char general[] = "General";

#define INT_LIMIT 2147483647.0
#define COUNT_LIMIT 1e15

/* name, aliases, type, offset, default, min, max, exclusive_min, choices, group, argument, help, resume */
static const plm_option options[] = {
    {"model", "m model-name model-name-or-path", PLM_OPT_STRING, AT(model), NULL, 0, 0, false, NULL, model, "MODEL",
     "what to train: a directory, a hub id such as facebook/esm2_t6_8M_UR50D (found in the Hugging Face cache), or a preset esm2_t6_8M ... esm2_t48_15B, which starts from random weights", ALLOW},
    {"num-hidden-layers", NULL, PLM_OPT_INT, AT(num_hidden_layers), NULL, 1, 10000, false, NULL, model, "N",
     "layers of a preset (default: the preset's)", NEVER},
    {"hidden-size", NULL, PLM_OPT_INT, AT(hidden_size), NULL, 1, 1e6, false, NULL, model, "N",
     "width of a preset (default: the preset's)", NEVER},
    {"num-attention-heads", NULL, PLM_OPT_INT, AT(num_attention_heads), NULL, 1, 1e6, false, NULL, model, "N",
     "attention heads of a preset (default: the preset's)", NEVER},
    {"intermediate-size", NULL, PLM_OPT_INT, AT(intermediate_size), NULL, 1, 1e7, false, NULL, model, "N",
     "feed-forward width of a preset (default: 4 x hidden size)", NEVER},
    {"dtype", "precision", PLM_OPT_CHOICE, AT(dtype), NULL, 0, 0, false, "fp32|bf16", model, "TYPE",
     "numbers of activations and products (default: bf16 where the processor computes it, else fp32); master weights, optimizer state and all sums are fp32", ALLOW},
    {"bf16", NULL, PLM_OPT_FLAG, AT(bf16), NULL, 0, 0, false, NULL, NULL, NULL, "the same as --dtype bf16", FREE},

    {"train", "t train-file train-hdf5-file", PLM_OPT_PATHS, AT(train), NULL, 0, 0, false, NULL, data, "FILE...",
     "training sequences: FASTA (plain, gzip, bgzf, - for standard input), HDF5 or .plmd; several files are read one after the other", ALLOW},
    {"eval", "validation-file eval-file eval-hdf5-file", PLM_OPT_PATHS, AT(eval), NULL, 0, 0, false, NULL, data, "FILE...",
     "evaluation sequences", ALLOW},
    {"eval-fraction", NULL, PLM_OPT_NUMBER, AT(eval_fraction), NULL, 0, 0.9, true, NULL, data, "F",
     "set this share of the training sequences aside for evaluation; identical sequences always fall on one side", NEVER},
    {"max-length", "max-seq-length", PLM_OPT_INT, AT(max_length), "1024", 3, 1e7, false, NULL, data, "N",
     "longest sequence in tokens, <cls> and <eos> included; longer ones are cropped at random in training, always alike in evaluation", NEVER},
    {"lowercase", NULL, PLM_OPT_CHOICE, AT(lowercase), "upper", 0, 0, false, "upper|x", data, "HOW",
     "read lower-case (soft-masked) residues as upper case, or as X", NEVER},
    {"on-invalid", NULL, PLM_OPT_CHOICE, AT(on_invalid), "error", 0, 0, false, "error|x|skip", data, "HOW",
     "what to do with a character that is no residue: stop, read it as X, or leave the sequence out", NEVER},
    {"cache-dir", NULL, PLM_OPT_PATH, AT(cache_dir), NULL, 0, 0, false, NULL, data, "DIR",
     "where the packed form of the data is kept (default: beside the data if that can be written, else the cache directory)", FREE},

    {"batch-tokens", NULL, PLM_OPT_COUNT, AT(batch_tokens), "16K", 1, COUNT_LIMIT, false, NULL, batches, "N",
     "tokens of a global batch, <cls> and <eos> included", NEVER},
    {"per-device-train-batch-size", "b batch-size", PLM_OPT_INT, AT(per_device_train_batch_size), NULL, 1, INT_LIMIT, false, NULL, batches, "N",
     "count batches in sequences instead: this many per rank, times --gradient-accumulation-steps", NEVER},
    {"gradient-accumulation-steps", NULL, PLM_OPT_INT, AT(gradient_accumulation_steps), "1", 1, INT_LIMIT, false, NULL, batches, "N",
     "with --per-device-train-batch-size: batches added up before each update", NEVER},
    {"micro-batch-tokens", NULL, PLM_OPT_COUNT, AT(micro_batch_tokens), NULL, 1, INT_LIMIT, false, NULL, batches, "N",
     "tokens computed at a time, which sets the memory needed (default: from the memory plan)", FREE},
    {"num-train-epochs", "e epochs", PLM_OPT_NUMBER, AT(num_train_epochs), "3", 0, 1e9, true, NULL, batches, "N",
     "passes over the training sequences, unless --max-steps is given", FREE},
    {"max-steps", "s steps", PLM_OPT_COUNT, AT(max_steps), NULL, 1, COUNT_LIMIT, false, NULL, batches, "N",
     "steps of the run; the horizon of the schedule (default: as many as --num-train-epochs takes)", ALLOW},
    {"seed", NULL, PLM_OPT_INT, AT(seed), "42", 0, 9007199254740992.0, false, NULL, batches, "N",
     "seed of initialisation, order, crops and masks", NEVER},

    {"mask-probability", "mlm-probability", PLM_OPT_NUMBER, AT(mask_probability), "0.15", 0, 0.999999, true, NULL, masking, "P",
     "share of residues to predict; of these 80 % become <mask>, 10 % a random residue, 10 % stay", NEVER},
    {"random-tokens", NULL, PLM_OPT_CHOICE, AT(random_tokens), "aa-other", 0, 0, false, "aa-other|aa|vocab", masking, "HOW",
     "random replacements: another standard amino acid, any of the 20, or any token as Hugging Face's collator does", NEVER},
    {"mask-nonstandard", NULL, PLM_OPT_FLAG, AT(mask_nonstandard), NULL, 0, 0, false, NULL, masking, NULL,
     "also predict X, B, U, Z, O, '.' and '-'", NEVER},

    {"learning-rate", "lr", PLM_OPT_NUMBER, AT(learning_rate), NULL, 0, 1e3, true, NULL, optimisation, "LR",
     "highest learning rate (default: 4e-4 from random weights, 5e-5 from trained ones)", ALLOW},
    {"weight-decay", NULL, PLM_OPT_NUMBER, AT(weight_decay), "0.01", 0, 1e3, false, NULL, optimisation, "D",
     "decoupled weight decay of linear weights", ALLOW},
    {"decay-all", NULL, PLM_OPT_FLAG, AT(decay_all), NULL, 0, 0, false, NULL, optimisation, NULL,
     "decay every trained parameter: embedding, norms and biases too", ALLOW},
    {"adam-beta1", NULL, PLM_OPT_NUMBER, AT(adam_beta1), "0.9", 0, 0.9999999, false, NULL, optimisation, "B",
     "decay of AdamW's first moment", ALLOW},
    {"adam-beta2", NULL, PLM_OPT_NUMBER, AT(adam_beta2), "0.98", 0, 0.9999999, false, NULL, optimisation, "B",
     "decay of AdamW's second moment", ALLOW},
    {"adam-epsilon", NULL, PLM_OPT_NUMBER, AT(adam_epsilon), "1e-8", 0, 1, true, NULL, optimisation, "E",
     "AdamW's epsilon", ALLOW},
    {"max-grad-norm", NULL, PLM_OPT_NUMBER, AT(max_grad_norm), "1.0", 0, 1e12, false, NULL, optimisation, "N",
     "clip the gradient to this norm; 0 = never", ALLOW},
    {"skip-spikes", NULL, PLM_OPT_FLAG, AT(skip_spikes), NULL, 0, 0, false, NULL, optimisation, NULL,
     "leave out the update of a step whose loss stands far above those before it (otherwise it is only reported)", ALLOW},
    {"max-nonfinite", NULL, PLM_OPT_INT, AT(max_nonfinite), "5", 1, INT_LIMIT, false, NULL, optimisation, "N",
     "stop after this many steps in a row whose loss or gradient is not finite (their updates are left out)", FREE},

    {"lr-scheduler-type", NULL, PLM_OPT_CHOICE, AT(lr_scheduler_type), NULL, 0, 0, false,
     "esm2|linear|cosine|cosine_with_min_lr|cosine_max|constant|constant_with_warmup|inverse_sqrt|warmup_stable_decay", schedule, "NAME",
     "course of the learning rate (default: esm2 from random weights, linear from trained ones)", ALLOW},
    {"warmup-steps", "warmup-ratio", PLM_OPT_NUMBER, AT(warmup_steps), NULL, 0, COUNT_LIMIT, false, NULL, schedule, "N",
     "updates until the highest learning rate; below 1: as a share of all (default: 8 %, at most 2000)", ALLOW},
    {"min-lr-ratio", NULL, PLM_OPT_NUMBER, AT(min_lr_ratio), NULL, 0, 1, false, NULL, schedule, "R",
     "lowest learning rate at the end, as a share of the highest (default: 0.1; 0 for cosine, inverse_sqrt, warmup_stable_decay and for linear from random weights)", ALLOW},
    {"demo-compat", NULL, PLM_OPT_FLAG, AT(demo_compat), NULL, 0, 0, false, NULL, schedule, NULL,
     "defaults of the workshop's train_esm.py: lr 3e-4 with cosine_max and 1000 warm-up steps from zero, betas 0.9 0.95, decay 0.1 of everything, no clipping, length 512", ALLOW},

    {"eval-steps", NULL, PLM_OPT_COUNT, AT(eval_steps), "500", 1, COUNT_LIMIT, false, NULL, evaluation, "N",
     "evaluate every N steps, and at the end", FREE},
    {"eval-on-start", NULL, PLM_OPT_FLAG, AT(eval_on_start), "true", 0, 0, false, NULL, evaluation, NULL,
     "evaluate before the first step too", FREE},
    {"eval-draws", NULL, PLM_OPT_INT, AT(eval_draws), "1", 1, 10000, false, NULL, evaluation, "N",
     "sets of masks each evaluation sequence is scored with", FREE},
    {"eval-seed", NULL, PLM_OPT_INT, AT(eval_seed), "0", 0, 9007199254740992.0, false, NULL, evaluation, "N",
     "seed of the evaluation masks, which are the same in every run", FREE},
    {"early-stopping-patience", NULL, PLM_OPT_INT, AT(early_stopping_patience), NULL, 1, INT_LIMIT, false, NULL, evaluation, "N",
     "stop after N evaluations without a lower loss (counted after warm-up and 500 steps)", FREE},
    {"early-stopping-threshold", NULL, PLM_OPT_NUMBER, AT(early_stopping_threshold), "0", 0, 1e3, false, NULL, evaluation, "L",
     "how much lower the evaluation loss must be to count", FREE},
    {"load-best-model-at-end", NULL, PLM_OPT_FLAG, AT(load_best_model_at_end), NULL, 0, 0, false, NULL, evaluation, NULL,
     "final/ becomes the model with the lowest evaluation loss; each such model is saved when it appears", FREE},

    {"output-dir", "o out-dir", PLM_OPT_PATH, AT(output_dir), NULL, 0, 0, false, NULL, checkpoints, "DIR",
     "directory of the run: logs, checkpoints, final model. The same command continues the run found there", FREE},
    {"resume-from-checkpoint", NULL, PLM_OPT_STRING, AT(resume_from_checkpoint), "auto", 0, 0, false, NULL, checkpoints, "auto|never|DIR",
     "auto: continue from the newest good checkpoint of --output-dir; never: refuse if there is one; or the checkpoint to start from", FREE},
    {"allow-change", NULL, PLM_OPT_STRING, AT(allow_change), NULL, 0, 0, false, NULL, checkpoints, "NAMES",
     "options, separated by commas, that may differ from those the run was started with", FREE},
    {"save-steps", NULL, PLM_OPT_COUNT, AT(save_steps), "500", 1, COUNT_LIMIT, false, NULL, checkpoints, "N",
     "save a checkpoint every N steps, and at the end", FREE},
    {"save-minutes", NULL, PLM_OPT_NUMBER, AT(save_minutes), "30", 0, 1e9, false, NULL, checkpoints, "N",
     "save also when the last checkpoint is this old; 0 = don't", FREE},
    {"save-total-limit", NULL, PLM_OPT_INT, AT(save_total_limit), NULL, 1, INT_LIMIT, false, NULL, checkpoints, "N",
     "keep the newest N checkpoints and the best (default: all)", FREE},
    {"save-at", NULL, PLM_OPT_STRING, AT(save_at), NULL, 0, 0, false, NULL, checkpoints, "start,epoch",
     "save also before the first step, and after each epoch", FREE},
    {"save-dtype", NULL, PLM_OPT_CHOICE, AT(save_dtype), "fp32", 0, 0, false, "fp32|bf16", checkpoints, "TYPE",
     "numbers of the model in final/; checkpoints are always fp32", FREE},
    {"time-limit", NULL, PLM_OPT_DURATION, AT(time_limit), NULL, 0, 1e9, true, NULL, checkpoints, "TIME",
     "save and stop before this much time has passed (90m, 24h); inside Slurm the job's own limit is watched as well", FREE},

    {"logging-steps", NULL, PLM_OPT_COUNT, AT(logging_steps), "10", 1, COUNT_LIMIT, false, NULL, logging, "N",
     "write loss, rates and learning rate every N steps", FREE},

    {"threads", NULL, PLM_OPT_INT, AT(threads), NULL, 1, 4096, false, NULL, machine, "N",
     "threads that compute (default: the cores this process may use)", FREE},
    {"loader-workers", "dataloader-num-workers", PLM_OPT_INT, AT(loader_workers), "1", 0, 64, false, NULL, machine, "N",
     "threads that prepare batches; 0 = none", FREE},

    {"config", NULL, PLM_OPT_PATH, AT(config), NULL, 0, 0, false, NULL, general, "FILE",
     "read options from this YAML file; those on the command line win", FREE},
    {"print-config", NULL, PLM_OPT_FLAG, AT(print_config), NULL, 0, 0, false, NULL, general, NULL,
     "show every value and where it came from, then stop", FREE},
    {"dry-run", NULL, PLM_OPT_FLAG, AT(dry_run), NULL, 0, 0, false, NULL, general, NULL,
     "check everything, plan memory, disk and steps, then stop", FREE},
    {"quiet", "q", PLM_OPT_FLAG, AT(quiet), NULL, 0, 0, false, NULL, NULL, NULL, "only warnings and errors", FREE},
    {"verbose", "v", PLM_OPT_FLAG, AT(verbose), NULL, 0, 0, false, NULL, NULL, NULL, "more detail", FREE},
    {"no-color", NULL, PLM_OPT_FLAG, AT(no_color), NULL, 0, 0, false, NULL, NULL, NULL, "no colours", FREE},
};

static const plm_foreign_option foreign[] = {
    {"fp16", "use --dtype bf16, which needs no loss scaling"},
    {"fp16-full-eval", "evaluation uses --dtype; leave this out"},
    {"tf32", "products are fp32 or bf16; use --dtype"},
    {"report-to", "TensorBoard events, log.jsonl, metrics.csv and report.html are always written to --output-dir; leave this out"},
    {"logging-dir", "TensorBoard events are written to --output-dir; leave this out"},
    {"logging-strategy", "use --logging-steps N"},
    {"run-name", "a run is named by its --output-dir"},
    {"ddp", "ranks come from srun or mpirun; leave this out"},
    {"local-rank", "ranks come from srun or mpirun; leave this out"},
    {"do-train", "this command always trains; leave this out"},
    {"do-eval", "evaluation runs when --eval or --eval-fraction is given; leave this out"},
    {"do-predict", "use the command `protlm eval`"},
    {"eval-strategy", "use --eval-steps N with --eval FILE or --eval-fraction F"},
    {"evaluation-strategy", "use --eval-steps N with --eval FILE or --eval-fraction F"},
    {"save-strategy", "use --save-steps N, --save-minutes N or --save-at epoch"},
    {"optim", "the optimizer is AdamW; leave this out"},
    {"group-by-length", "batches are packed without padding; leave this out"},
    {"overwrite-output-dir", "choose a new --output-dir, or remove the old one yourself"},
    {"per-device-eval-batch-size", "evaluation is packed to --micro-batch-tokens, and results don't depend on it; leave this out"},
    {"gradient-checkpointing", "lower --micro-batch-tokens to save memory"},
    {"torch-compile", "there is nothing to compile; leave this out"},
    {"line-by-line", "each sequence is one example already; leave this out"},
    {"pad-to-max-length", "nothing is ever padded; leave this out"},
    {"push-to-hub", "use `hf upload` on the final/ directory of --output-dir"},
    {"greater-is-better", "the best model has the lowest evaluation loss; leave this out"},
    {"metric-for-best-model", "the best model has the lowest evaluation loss; leave this out"},
    {"tokenizer-name", "the tokenizer belongs to --model; leave this out"},
    {"data-seed", "--seed sets order, crops and masks"},
};

static const plm_option_table table = {
    .command = "train",
    .summary = "train a protein language model, or go on training a published one",
    .usage = "protlm train --model MODEL --train FILE --output-dir DIR [options]",
    .description =
        "Trains by masked language modelling: residues of each protein are hidden and the model learns to predict them.\n\n"
        "Whatever stops the program, the same command continues the run from its newest good checkpoint, and the result is the same, bit "
        "for bit, as if nothing had happened. SIGTERM, SIGINT and SIGUSR1 finish the current step, save and exit with code 75; a second "
        "SIGTERM or SIGINT leaves at once. SIGUSR2 saves and goes on.\n\n"
        "The output directory receives log.jsonl, metrics.csv, TensorBoard events, report.html, config.yaml, env.json, "
        "checkpoint-STEP/ directories that open in transformers, and at the end final/ with the model alone.",
    .examples = "# go on training a published model on your own proteins\n"
                "protlm train --model facebook/esm2_t6_8M_UR50D --train proteins.fasta --eval-fraction 0.02 --output-dir run\n"
                "# a small model from random weights\n"
                "protlm train --model esm2_t6_8M --num-hidden-layers 4 --hidden-size 256 --num-attention-heads 8 --train proteins.fasta.gz "
                "--output-dir run --learning-rate 1.5e-3 --batch-tokens 2K\n",
    .options = options,
    .count = sizeof options / sizeof *options,
    .foreign = foreign,
    .foreign_count = sizeof foreign / sizeof *foreign,
    .struct_size = sizeof(plm_train_options),
};

const plm_option_table *plm_train_option_table(void) { return &table; }

bool plm_train_option_is_data(const char *name) { return strcmp(name, "train") == 0 || strcmp(name, "eval") == 0; }
