/* foreign_options.c - the table of foreign_options.h. Names are those of transformers' TrainingArguments and run_mlm.py,
 * torchrun, accelerate launch, Lightning's Trainer and the workshop's train_esm.py; all but Lightning's are listed in
 * tests/cli/foreign_options.txt, and a test asks for each. Below them stand values of our own options that mean
 * something there. An advice is one line. */
#include "train/foreign_options.h"

static const char ranks[] =
    "training over several ranks is not there yet: protlm trains as one process; leave this out";
static const char sharding[] =
    "nothing is sharded: protlm trains as one process, without ranks, and --micro-batch-tokens sets its memory; leave this out";
static const char evaluation[] = "use --eval-steps N with --eval FILE or --eval-fraction F";
static const char half[] = "use --dtype bf16, which needs no loss scaling";
static const char evaluation_type[] = "evaluation uses --dtype; leave this out";
static const char hub[] = "nothing is uploaded: use `hf upload` on the final/ directory of --output-dir";
static const char events[] =
    "TensorBoard events, log.jsonl, metrics.csv and report.html are always written to --output-dir; leave this out";
static const char memory[] = "lower --micro-batch-tokens to save memory; leave this out";
static const char compiled[] = "there is nothing to compile; leave this out";
static const char batches[] = "batches are packed without padding, in an order set by --seed; leave this out";
static const char loading[] = "use --loader-workers N, the threads that prepare batches; leave this out";
static const char console[] = "use --quiet, --verbose or -vv";
static const char determinism[] = "a run gives the same bits whenever it is repeated; leave this out";
static const char adam[] =
    "the optimizer is AdamW (--adam-beta1, --adam-beta2, --adam-epsilon, --weight-decay); leave this out";
static const char processor[] = "what this machine has is used, as `protlm info` shows it; leave this out";
static const char restarts[] = "the same command again goes on from the newest checkpoint; leave this out";
static const char best[] = "the best model has the lowest evaluation loss; leave this out";
static const char model[] = "it belongs to --model, a directory or a hub id; leave this out";
static const char files[] = "give files: --train FILE, and --eval FILE or --eval-fraction F";
static const char subset[] = "give a file that holds the sequences wanted";
static const char rows[] = "masked residues are what is predicted, from the sequences alone; leave this out";
static const char measures[] =
    "loss, perplexity and accuracy are always computed, as sums over all sequences; leave this out";
static const char dropout[] = "training is without dropout, as ESM-2 was trained; leave this out";
static const char adapters[] = "all weights are trained: there are no adapters and no frozen layers; leave this out";
static const char accelerate[] =
    "this belongs to a file that accelerate reads; protlm trains as one process and needs none";
static const char steps[] = "a share of the run is no interval here: give a number of steps";
static const char all_kept[] = "leave it out: all checkpoints are kept";
static const char by_epochs[] = "leave it out: the run then takes --num-train-epochs (default 3)";

const plm_foreign_option plm_train_foreign_options[] = {
    /* TrainingArguments: numbers */
    {"fp16", half},
    {"fp16-opt-level", half},
    {"fp16-backend", half},
    {"half-precision-backend", half},
    {"apex", half},
    {"amp", half},
    {"fp16-full-eval", evaluation_type},
    {"bf16-full-eval", evaluation_type},
    {"tf32", "products are fp32 or bf16; use --dtype"},
    {"mixed-precision", "use --dtype bf16 or --dtype fp32"},
    {"torch-dtype", "use --dtype bf16 or --dtype fp32"},

    /* ... reports and the hub */
    {"report-to", events},
    {"logging-dir", "TensorBoard events are written to --output-dir; leave this out"},
    {"logging-strategy", "use --logging-steps N"},
    {"logging-first-step", "use --logging-steps 1 to see the first step; leave this out"},
    {"logging-nan-inf-filter", "losses that are not finite are shown and counted (--max-nonfinite N); leave this out"},
    {"log-level*", console},
    {"log-on-each-node", "the first rank writes the logs; leave this out"},
    {"disable-tqdm", "use --quiet; where standard error is no terminal there is no progress bar"},
    {"include-num-input-tokens-seen", "log.jsonl always counts tokens; leave this out"},
    {"include-tokens-per-second", "log.jsonl always has rates; leave this out"},
    {"run-name", "a run is named by its --output-dir"},
    {"project", "a run is named by its --output-dir"},
    {"trackio*", events},
    {"wandb*", events},
    {"with-tracking", events},
    {"push-to-hub*", hub},
    {"hub-*", hub},

    /* ... evaluation */
    {"do-train", "this command always trains (`protlm eval` only evaluates); leave this out"},
    {"do-eval", "evaluation runs when --eval or --eval-fraction is given; leave this out"},
    {"do-predict", "use the command `protlm eval`"},
    {"eval-strategy", evaluation},
    {"evaluation-strategy", evaluation},
    {"evaluate-during-training", evaluation},
    {"eval-delay", "evaluation begins with --eval-on-start, then every --eval-steps; leave this out"},
    {"per-device-eval-batch-size",
     "evaluation is packed to --micro-batch-tokens, and results don't depend on it; leave this out"},
    {"per-gpu-eval-batch-size", "evaluation is packed to --micro-batch-tokens; leave this out"},
    {"per-gpu-train-batch-size", "use --per-device-train-batch-size N, or --batch-tokens N"},
    {"eval-accumulation-steps", measures},
    {"eval-do-concat-batches", measures},
    {"eval-use-gather-object", measures},
    {"batch-eval-metrics", measures},
    {"include-for-metrics", measures},
    {"include-inputs-for-metrics", measures},
    {"prediction-loss-only", measures},
    {"metric-for-best-model", best},
    {"greater-is-better", best},

    /* ... checkpoints */
    {"save-strategy", "use --save-steps N, --save-minutes N or --save-at epoch"},
    {"save-only-model", "checkpoints hold the optimizer too, so that a run can go on; final/ is the model alone"},
    {"save-on-each-node", "the first rank writes the checkpoints; leave this out"},
    {"save-safetensors", "models are always saved as safetensors; leave this out"},
    {"enable-jit-checkpoint", "SIGTERM and SIGUSR1 save and stop; leave this out"},
    {"overwrite-output-dir", "choose a new --output-dir, or remove the old one yourself"},
    {"ignore-data-skip", determinism},
    {"restore-callback-states-from-checkpoint", "a resumed run is the same as one undisturbed; leave this out"},

    /* ... optimiser and step */
    {"optim*", adam},
    {"adafactor", adam},
    {"lr-scheduler-kwargs", "use --min-lr-ratio R; each schedule is one --lr-scheduler-type"},
    {"label-smoothing-factor", "the loss is plain cross entropy; leave this out"},
    {"neftune-noise-alpha", "embeddings get no noise; leave this out"},
    {"average-tokens-across-devices",
     "the loss is always the mean over all masked residues of a batch; leave this out"},
    {"auto-find-batch-size",
     "the memory plan chooses --micro-batch-tokens, and results don't depend on it; leave this out"},
    {"gradient-clipping", "use --max-grad-norm N"},
    {"gradient-checkpointing*", memory},
    {"activation-checkpointing*", memory},
    {"torch-empty-cache-steps", memory},
    {"use-cache", memory},
    {"low-cpu-mem-usage", memory},
    {"torch-compile*", compiled},
    {"torchdynamo*", compiled},
    {"dynamo-*", compiled},
    {"jit-mode-eval", compiled},
    {"use-liger-kernel", compiled},
    {"liger-kernel-config", compiled},
    {"use-ipex", compiled},

    /* ... data */
    {"group-by-length", "batches are packed without padding; leave this out"},
    {"train-sampling-strategy", batches},
    {"length-column-name", batches},
    {"dataloader-*", loading},
    {"split-batches", batches},
    {"dispatch-batches", batches},
    {"remove-unused-columns", rows},
    {"label-names", rows},
    {"past-index", rows},
    {"data-seed", "--seed sets order, crops and masks"},
    {"full-determinism", determinism},

    /* ... machine and ranks */
    {"use-cpu", processor},
    {"no-cuda", processor},
    {"cpu", processor},
    {"use-mps-device", processor},
    {"xpu-backend", processor},
    {"device", processor},
    {"gpu-ids", processor},
    {"gpus", processor},
    {"devices", processor},
    {"tpu*", processor},
    {"no-tpu-cluster", processor},
    {"accelerator", processor},
    {"accelerator-config", sharding},
    {"parallelism-config*", sharding},
    {"fsdp*", sharding},
    {"deepspeed*", sharding},
    {"zero*", sharding},
    {"offload-*", sharding},
    {"sharded-ddp", sharding},
    {"megatron-lm-*", sharding},
    {"use-deepspeed", sharding},
    {"use-fsdp", sharding},
    {"use-megatron-lm", sharding},
    {"use-parallelism-config", sharding},
    {"ddp*", ranks},
    {"local-rank", ranks},
    {"ray-scope", ranks},
    {"debug", console},
    {"skip-memory-metrics", "peak memory is always shown; leave this out"},

    /* torchrun and accelerate launch */
    {"nproc*", ranks},
    {"nnodes", ranks},
    {"node-rank", ranks},
    {"num-nodes", ranks},
    {"num-processes", ranks},
    {"num-machines", ranks},
    {"machine-rank", ranks},
    {"main-process-*", ranks},
    {"master-*", ranks},
    {"rdzv-*", ranks},
    {"standalone", ranks},
    {"local-addr", ranks},
    {"role", ranks},
    {"multi-gpu", ranks},
    {"same-network", ranks},
    {"mpirun-hostfile", ranks},
    {"local-ranks-filter", ranks},
    {"virtual-local-rank", ranks},
    {"world-size", ranks},
    {"rank", ranks},
    {"dist-*", ranks},
    {"strategy", ranks},
    {"max-restarts", restarts},
    {"monitor-interval", restarts},
    {"shutdown-timeout", "a signal finishes the step, saves and ends with code 75; leave this out"},
    {"signals-to-handle", "SIGTERM, SIGINT, SIGHUP and SIGUSR1 save and stop; leave this out"},
    {"start-method", ranks},
    {"event-log-handler", events},
    {"log-dir", "logs are written to --output-dir; leave this out"},
    {"log-line-prefix-template", "logs are written to --output-dir; leave this out"},
    {"logs-specs", "logs are written to --output-dir; leave this out"},
    {"redirects", "redirect standard output and error in the shell: > out.txt 2> err.txt"},
    {"tee", "redirect standard output and error in the shell: > out.txt 2> err.txt"},
    {"duplicate-std*", "redirect standard output and error in the shell: > out.txt 2> err.txt"},
    {"numa-binding", "use --threads N; `taskset` or `numactl` before the command binds it to cores"},
    {"enable-cpu-affinity", "use --threads N; `taskset` or `numactl` before the command binds it to cores"},
    {"num-cpu-threads-per-process", "use --threads N"},
    {"omp-num-threads", "use --threads N"},
    {"module", "protlm is the program; leave this out"},
    {"no-python", "protlm is the program; leave this out"},
    {"run-path", "protlm is the program; leave this out"},
    {"main-training-function", "protlm is the program; leave this out"},
    {"print-completion", "share/completions holds the files for bash, zsh and fish"},
    {"config-file", "use --config FILE, a YAML file of options"},
    {"fp8-*", half},
    {"downcast-bf16", "use --dtype bf16"},
    {"vm", ranks},
    {"env", "set variables in the shell, before the command"},
    {"aws-*", "nothing is fetched from there; leave this out"},

    /* run_mlm.py and train_esm.py */
    {"model-type", "use --model esm2_t6_8M ... esm2_t48_15B, which start from random weights"},
    {"config-overrides", "use --num-hidden-layers, --hidden-size, --num-attention-heads and --intermediate-size"},
    {"config-name", "use --model esm2_t6_8M ... esm2_t48_15B for the shape of a new model"},
    {"tokenizer-name", "the tokenizer belongs to --model; leave this out"},
    {"use-fast-tokenizer", "the tokenizer belongs to --model; leave this out"},
    {"do-lower-case", "use --lowercase upper or --lowercase x"},
    {"model-revision", "write it behind the hub id: --model facebook/esm2_t6_8M_UR50D@main"},
    {"trust-remote-code", model},
    {"use-auth-token", "fetch the model first: `hf download` reads HF_TOKEN"},
    {"token", "fetch the model first: `hf download` reads HF_TOKEN"},
    {"dataset-name", files},
    {"dataset-config-name", files},
    {"dataset-path", files},
    {"train-data-file", files},
    {"eval-data-file", files},
    {"test-file", "use the command `protlm eval`"},
    {"validation-split-percentage", "use --eval-fraction 0.05 for 5 %"},
    {"overwrite-cache", "a packed copy is made again whenever its file changes; leave this out"},
    {"preprocessing-num-workers", "files are read once, as fast as they come; leave this out"},
    {"max-train-samples", subset},
    {"max-eval-samples", subset},
    {"line-by-line", "each sequence is one example already; leave this out"},
    {"pad-to-max-length", "nothing is ever padded; leave this out"},
    {"block-size", "use --max-length N"},
    {"mlm", "masked language modelling is what this command does; leave this out"},
    {"streaming", "the packed form is read from disk as it is needed; leave this out"},
    {"warmup-proportion", "use --warmup-ratio R"},

    /* names of models' configurations, of peft and of people's own scripts */
    {"attn-implementation", "attention has one implementation here; leave this out"},
    {"hidden-dropout-prob", dropout},
    {"attention-probs-dropout-prob", dropout},
    {"attention-dropout", dropout},
    {"dropout", dropout},
    {"use-lora", adapters},
    {"lora*", adapters},
    {"use-peft", adapters},
    {"peft*", adapters},
    {"freeze*", adapters},
    {"grad-clip", "use --max-grad-norm N"},
    {"clip-grad", "use --max-grad-norm N"},
    {"patience", "use --early-stopping-patience N"},
    {"vocab-size", "the vocabulary belongs to the model; leave this out"},
    {"cuda", processor},
    {"n-gpu", processor},
    {"num-gpus", processor},

    /* a file of `accelerate config` */
    {"compute-environment", accelerate},
    {"distributed-type", accelerate},

    /* Lightning */
    {"max-epochs", "use --num-train-epochs N"},
    {"max-time", "use --time-limit TIME"},
    {"accumulate-grad-batches", "use --gradient-accumulation-steps N"},
    {"gradient-clip-val", "use --max-grad-norm N"},
    {"val-check-interval", "use --eval-steps N"},
    {"check-val-every-n-epoch", "use --eval-steps N"},
    {"log-every-n-steps", "use --logging-steps N"},
    {"every-n-train-steps", "use --save-steps N"},
    {"limit-train-batches", subset},
    {"limit-val-batches", subset},
    {"fast-dev-run", "use --dry-run, or --max-steps N"},
    {"num-workers", "use --loader-workers N"},
    {"ckpt-path", "use --resume-from-checkpoint DIR, or leave it out: the same command goes on by itself"},
    {NULL, NULL},
};

static const char no_limit[] = "leave it out: without it no evaluation stops the run";
static const char never_evaluated[] = "nothing is evaluated without --eval or --eval-fraction: leave this out";
static const char always_saved[] =
    "a checkpoint is always saved at the end; a number beyond the run's steps saves only then and every --save-minutes";

/* Rows of foreign names hold "false" alone, which stands for whatever says no. */
const plm_foreign_value plm_train_foreign_values[] = {
    {"save-strategy", "false", always_saved},
    {"eval-strategy", "false", never_evaluated},
    {"evaluation-strategy", "false", never_evaluated},
    {"logging-strategy", "false", "leave this out: a line every --logging-steps N (default 10) is always written"},
    {"mixed-precision", "false", "use --dtype fp32"},
    {"torch-dtype", "false", "leave this out: without --dtype the machine's best is taken"},
    {"grad-clip", "false", "use --max-grad-norm 0"},
    {"clip-grad", "false", "use --max-grad-norm 0"},
    {"gradient-clipping", "false", "use --max-grad-norm 0"},
    {"gradient-clip-val", "false", "use --max-grad-norm 0"},
    {"max-steps", "-1 0 -1.0", by_epochs},
    {"num-train-epochs", "-1 0", "leave it out, and give --max-steps N"},
    {"save-total-limit", "-1 0", all_kept},
    {"early-stopping-patience", "-1 0", no_limit},
    {"max-grad-norm", "-1 -1.0", "0 means that nothing is clipped"},
    {"time-limit", "-1 0 UNLIMITED unlimited INFINITE infinite",
     "leave it out: without it only Slurm's own limit is watched"},
    {"resume-from-checkpoint", "True true", "use --resume-from-checkpoint auto, which is the default"},
    {"resume-from-checkpoint", "False false None none null",
     "use --resume-from-checkpoint never, in a new --output-dir"},
    {"dtype", "bfloat16 fp16 float16 half 16 bf16-mixed 16-mixed bf16-true torch.bfloat16 fp8", "use bf16"},
    {"dtype", "float32 float 32 no 32-true torch.float32", "use fp32"},
    {"dtype", "auto None none null", "leave it out: without it the machine's best is taken"},
    {"save-dtype", "bfloat16 fp16 float16 half", "use bf16"},
    {"save-dtype", "float32 float", "use fp32"},
    {"lr-scheduler-type", "cosine_with_restarts cosine_annealing", "use cosine, which falls once"},
    {"lr-scheduler-type", "polynomial", "use linear, which is a polynomial of power 1"},
    {"lr-scheduler-type", "cosine_warmup_with_min_lr", "use cosine_with_min_lr with --min-lr-ratio R"},
    {"lr-scheduler-type", "reduce_lr_on_plateau greedy",
     "use linear, or constant_with_warmup with --early-stopping-patience N"},
    {"lr-scheduler-type", "wsd", "use warmup_stable_decay"},
    {"eval-steps", "0.* .*", steps},
    {"save-steps", "0.* .*", steps},
    {"logging-steps", "0.* .*", steps},
    {"save-steps", "-1 0", always_saved},
    {"eval-steps", "-1 0", "leave it out (default 500); nothing is evaluated without --eval or --eval-fraction"},
    {"logging-steps", "-1 0", "leave it out (default 10)"},
    {NULL, NULL, NULL},
};
