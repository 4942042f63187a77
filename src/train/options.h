/* options.h - what a person can ask of `protlm train`, as parsed (defaults that depend on other options still open; see
 * resolve.h).
 *
 * One field per row of the table in options.c, in the same order.
 */
#ifndef PLM_TRAIN_OPTIONS_H
#define PLM_TRAIN_OPTIONS_H

#include "protlm/train.h"
#include "train/data_options.h"

typedef struct plm_train_options {
  /* Model */
  const char *model;
  int64_t num_hidden_layers, hidden_size, num_attention_heads, intermediate_size; /* 0 = as the model says */
  const char *dtype; /* "fp32", "bf16"; NULL = what this machine does best */
  bool bf16;
  /* Data */
  plm_string_list train, eval;
  double eval_fraction;
  int64_t max_length;
  plm_data_options read;
  /* Batches */
  int64_t batch_tokens, per_device_train_batch_size, gradient_accumulation_steps, micro_batch_tokens;
  double num_train_epochs;
  int64_t max_steps, seed;
  /* Masking */
  double mask_probability;
  const char *random_tokens;
  bool mask_nonstandard;
  /* Optimisation */
  double learning_rate, weight_decay;
  bool decay_all;
  double adam_beta1, adam_beta2, adam_epsilon, max_grad_norm;
  bool skip_spikes;
  int64_t max_nonfinite;
  /* Schedule */
  const char *lr_scheduler_type;
  double warmup_steps, min_lr_ratio;
  bool demo_compat;
  /* Evaluation */
  int64_t eval_steps;
  bool eval_on_start;
  int64_t eval_draws, eval_seed, early_stopping_patience;
  double early_stopping_threshold;
  bool load_best_model_at_end;
  /* Checkpoints and resume */
  const char *output_dir, *resume_from_checkpoint, *allow_change;
  int64_t save_steps;
  double save_minutes;
  int64_t save_total_limit;
  const char *save_at, *save_dtype;
  double time_limit;
  /* Logging */
  int64_t logging_steps;
  /* Machine */
  int64_t threads, loader_workers;
  /* Several ranks */
  double timeout;
  int64_t zero;
  const char *grad_reduce_dtype;
  int64_t check_replicas;
  /* General: for whoever calls plm_train */
  const char *config;
  bool print_config, dry_run;
} plm_train_options;

/* Names in the table whose value is compared by the content of the files, not by what was typed. */
bool plm_train_option_is_data(const char *name);

#endif
