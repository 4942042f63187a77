/* resolve.c - see resolve.h. Contents: the copy, contradictions, adapted defaults, model, batches and machine, horizon.
 */
#include "train/resolve.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "hub/model_dir.h"
#include "protlm/log.h"
#include "train/shared_parts.h"

/* Here alone they are written. */
static plm_train_options *options_of(plm_train_settings *settings) { return settings->values->options; }

bool plm_train_explicit(const plm_train_settings *settings, const char *name) {
  return plm_option_origin(settings->values, name) > PLM_FROM_PRESET;
}

/* Typed for this start, or set in the environment: a config file may simply list every value, as a run's own
 * config.yaml does. */
static bool typed(const plm_train_settings *settings, const char *name) {
  return plm_option_origin(settings->values, name) >= PLM_FROM_ENVIRONMENT;
}

/* ---- the copy ---- */

/* Nobody asked for a default that a config file merely repeats, as a printed configuration does: it contradicts
 * nothing. */
static plm_status forget_repeated_default(plm_option_values *values, const plm_option_values *defaults, size_t i) {
  const plm_option *option = &values->table->options[i];
  char *value = NULL, *usual = NULL;
  plm_status status;
  if (values->source[i] != PLM_FROM_CONFIG || option->default_value == NULL) return PLM_OK;
  PLM_TRY_GOTO(plm_option_text(values, option, &value), done);
  PLM_TRY_GOTO(plm_option_text(defaults, option, &usual), done);
  if (strcmp(value, usual) == 0) values->source[i] = PLM_FROM_DEFAULT;
done:
  plm_free(usual);
  plm_free(value);
  return status;
}

static plm_status copy_values(const plm_option_values *given, plm_option_values **ret_values) {
  plm_option_values *copy, *defaults = NULL;
  plm_status status;
  PLM_TRY(plm_option_values_create(given->table, &copy));
  PLM_TRY_GOTO(plm_option_values_create(given->table, &defaults), done);
  memcpy(copy->options, given->options, given->table->struct_size);
  memcpy(copy->source, given->source, given->table->count * sizeof *given->source);
  for (size_t i = 0; i < given->table->count; i++) PLM_TRY_GOTO(forget_repeated_default(copy, defaults, i), done);
  *ret_values = copy;
done:
  plm_option_values_destroy(defaults);
  if (status != PLM_OK) plm_option_values_destroy(copy);
  return status;
}

/* What the workshop's train_esm.py does (model_spec 7.2), for options that were not given. */
static plm_status apply_demo(plm_option_values *values) {
  static const struct {
    const char *name, *text;
  } demo[] = {
      {"learning-rate", "3e-4"},    {"lr-scheduler-type", "cosine_max"},
      {"warmup-steps", "1000"},     {"min-lr-ratio", "0.1"},
      {"adam-beta2", "0.95"},       {"weight-decay", "0.1"},
      {"decay-all", "true"},        {"max-grad-norm", "0"},
      {"max-length", "512"},        {"random-tokens", "aa"},
      {"mask-nonstandard", "true"},
  };
  for (size_t i = 0; i < sizeof demo / sizeof *demo; i++)
    PLM_TRY(plm_option_set(values, demo[i].name, demo[i].text, PLM_FROM_PRESET, "--demo-compat"));
  return PLM_OK;
}

/* ---- words separated by commas ---- */

/* The next word of a comma-separated list; moves *list past it. False at the end. */
static bool next_word(const char **list, char *word, size_t room) {
  const char *from = *list;
  while (*from == ',' || *from == ' ') from++;
  size_t length = strcspn(from, ", ");
  if (length == 0) return false;
  if (length >= room) length = room - 1;
  memcpy(word, from, length);
  word[length] = '\0';
  *list = from + strcspn(from, ", ");
  return true;
}

bool plm_train_allows(const plm_train_settings *settings, const char *name) {
  const char *list = settings->o->allow_change;
  char word[64];
  while (list != NULL && next_word(&list, word, sizeof word)) {
    const plm_option *option = plm_option_find(settings->values->table, word);
    if (option != NULL && strcmp(option->name, name) == 0) return true;
  }
  return false;
}

static plm_status check_allow_change(const plm_train_settings *s) {
  const char *list = s->o->allow_change;
  char word[64];
  while (list != NULL && next_word(&list, word, sizeof word)) {
    const plm_option *option = plm_option_find(s->values->table, word);
    if (option == NULL) return plm_fail(PLM_E_USAGE, "--allow-change: there is no option --%s", word);
    if (option->resume == PLM_RESUME_NEVER)
      return plm_hint(plm_fail(PLM_E_USAGE, "--%s can't change within a run", option->name),
                      "start a new run in another --output-dir");
  }
  return PLM_OK;
}

static plm_status read_save_at(plm_train_settings *s) {
  const char *list = s->o->save_at;
  char word[64];
  while (list != NULL && next_word(&list, word, sizeof word)) {
    if (strcmp(word, "start") == 0)
      s->save_at_start = true;
    else if (strcmp(word, "epoch") == 0)
      s->save_at_epoch = true;
    else
      return plm_fail(PLM_E_USAGE, "--save-at: '%s' is not start or epoch", word);
  }
  return PLM_OK;
}

/* ---- contradictions between options that were both typed ---- */

static plm_status check_required(const plm_train_settings *s) {
  if (s->o->model == NULL)
    return plm_hint(
        plm_fail(PLM_E_USAGE, "no --model was given"),
        "--model facebook/esm2_t6_8M_UR50D trains a published model further, --model esm2_t6_8M starts from random weights");
  if (s->o->train.count == 0) return plm_hint(plm_fail(PLM_E_USAGE, "no training data was given"), "use --train FILE");
  if (s->o->output_dir == NULL && !s->o->dry_run)
    return plm_hint(plm_fail(PLM_E_USAGE, "no --output-dir was given"),
                    "use --output-dir DIR, a directory for this run");
  return PLM_OK;
}

static plm_status check_batches(plm_train_settings *s) {
  plm_train_options *o = options_of(s);
  const bool tokens = typed(s, "batch-tokens"), sequences = typed(s, "per-device-train-batch-size");
  if (tokens && sequences)
    return plm_hint(
        plm_fail(PLM_E_USAGE, "--batch-tokens and --per-device-train-batch-size both set the size of a batch"),
        "give one of them");
  if (tokens) o->per_device_train_batch_size = 0;
  if (o->per_device_train_batch_size == 0 &&
      (typed(s, "gradient-accumulation-steps") || o->gradient_accumulation_steps > 1))
    return plm_hint(
        plm_fail(
            PLM_E_USAGE,
            "--gradient-accumulation-steps counts batches of --per-device-train-batch-size, but batches are set by --batch-tokens"),
        "leave it out: --batch-tokens is the whole global batch, computed in pieces of --micro-batch-tokens");
  if (o->per_device_train_batch_size == 0 && plm_train_explicit(s, "batch-tokens") &&
      plm_train_explicit(s, "max-length") && o->batch_tokens < o->max_length)
    return plm_hint(
        plm_fail(PLM_E_USAGE,
                 "--batch-tokens %lld is less than --max-length %lld: the longest sequence would not fit into a batch",
                 (long long)o->batch_tokens, (long long)o->max_length),
        "raise --batch-tokens or lower --max-length");
  if (o->per_device_train_batch_size > 0 &&
      o->gradient_accumulation_steps > INT64_MAX / 4 / o->per_device_train_batch_size)
    return plm_fail(PLM_E_USAGE, "--per-device-train-batch-size times --gradient-accumulation-steps is too large");
  return PLM_OK;
}

static plm_status check_evaluation(const plm_train_settings *s) {
  const plm_train_options *o = s->o;
  if (o->eval.count > 0 && o->eval_fraction > 0)
    return plm_hint(plm_fail(PLM_E_USAGE, "--eval and --eval-fraction both set the evaluation sequences"),
                    "give one of them");
  if (o->eval.count > 0 || o->eval_fraction > 0) return PLM_OK;
  const char *needs = o->early_stopping_patience > 0 ? "--early-stopping-patience"
                      : o->load_best_model_at_end    ? "--load-best-model-at-end"
                                                     : NULL;
  if (needs != NULL)
    return plm_hint(plm_fail(PLM_E_USAGE, "%s needs evaluation sequences", needs),
                    "add --eval FILE or --eval-fraction F");
  if (typed(s, "eval-steps")) plm_warn("--eval-steps has no effect without --eval FILE or --eval-fraction F");
  return PLM_OK;
}

/* --no-bf16, `bf16: false`: said, and not only left at its default. */
static bool refuses_bf16(const plm_train_settings *s) { return plm_train_explicit(s, "bf16") && !s->o->bf16; }

static plm_status check_optimisation(const plm_train_settings *s) {
  const plm_train_options *o = s->o;
  if (o->bf16 && o->dtype != NULL && strcmp(o->dtype, "bf16") != 0)
    return plm_hint(plm_fail(PLM_E_USAGE, "--bf16 and --dtype %s contradict each other", o->dtype), "give one of them");
  if (refuses_bf16(s) && o->dtype != NULL && strcmp(o->dtype, "bf16") == 0 &&
      plm_option_origin(s->values, "dtype") == plm_option_origin(s->values, "bf16"))
    return plm_hint(plm_fail(PLM_E_USAGE, "--no-bf16 and --dtype bf16 contradict each other"), "give one of them");
  if (o->early_stopping_threshold > 0 && o->early_stopping_patience == 0)
    return plm_hint(plm_fail(PLM_E_USAGE, "--early-stopping-threshold needs --early-stopping-patience"),
                    "add --early-stopping-patience N");
  if (o->lr_scheduler_type != NULL && !plm_schedule_has_warmup(o->lr_scheduler_type) && o->warmup_steps > 0)
    plm_warn("--lr-scheduler-type constant has no warm-up: --warmup-steps is ignored (constant_with_warmup has one)");
  return PLM_OK;
}

/* ---- defaults that another option makes impossible are adapted, and said ---- */

static void adapt_lengths(plm_train_settings *s) {
  plm_train_options *o = options_of(s);
  if (o->per_device_train_batch_size > 0 || o->batch_tokens >= o->max_length) return;
  if (plm_train_explicit(s, "batch-tokens")) {
    plm_info("--max-length is lowered from %lld to %lld tokens, the size of a batch", (long long)o->max_length,
             (long long)o->batch_tokens);
    o->max_length = o->batch_tokens;
  } else {
    plm_info("--batch-tokens is raised from %lld to %lld, so that the longest sequence fits into a batch",
             (long long)o->batch_tokens, (long long)o->max_length);
    o->batch_tokens = o->max_length;
  }
}

static void fill_masking(plm_train_settings *s) {
  const plm_train_options *o = s->o;
  plm_mask_options_defaults(&s->mask);
  s->mask.probability = o->mask_probability;
  s->mask.nonstandard = o->mask_nonstandard;
  s->mask.random = plm_random_tokens_from_word(o->random_tokens);
}

static void fill_optimiser(plm_train_settings *s) {
  const plm_train_options *o = s->o;
  s->optimiser = (plm_optimiser_options){
      .beta1 = o->adam_beta1,
      .beta2 = o->adam_beta2,
      .epsilon = o->adam_epsilon,
      .weight_decay = o->weight_decay,
      .max_grad_norm = o->max_grad_norm,
  };
}

static plm_status resolve_options(plm_train_settings *s) {
  if (s->o->demo_compat) PLM_TRY(apply_demo(s->values));
  PLM_TRY(check_required(s));
  if (plm_model_is_preset(s->o->model))
    plm_info("--model %s is a preset: random weights, trained from scratch", s->o->model);
  PLM_TRY(check_batches(s));
  PLM_TRY(check_evaluation(s));
  PLM_TRY(check_optimisation(s));
  PLM_TRY(check_allow_change(s));
  PLM_TRY(read_save_at(s));
  if (s->o->bf16) options_of(s)->dtype = "bf16";
  if (refuses_bf16(s) && plm_option_origin(s->values, "dtype") <= plm_option_origin(s->values, "bf16"))
    options_of(s)->dtype = "fp32";
  if (s->o->batch_tokens < PLM_SMALLEST_WINDOW)
    return plm_hint(plm_fail(PLM_E_USAGE, "--batch-tokens %lld holds no residue between <cls> and <eos>",
                             (long long)s->o->batch_tokens),
                    "use %d or more; 2K to 64K are usual", PLM_SMALLEST_WINDOW);
  adapt_lengths(s);
  fill_masking(s);
  fill_optimiser(s);
  return PLM_OK;
}

plm_status plm_train_settings_create(const plm_option_values *given, plm_train_settings **ret_settings) {
  plm_train_settings *s;
  PLM_TRY(PLM_NEW(&s, 1));
  plm_status status = copy_values(given, &s->values);
  if (status == PLM_OK) {
    s->o = s->values->options;
    status = resolve_options(s);
  }
  if (status != PLM_OK) {
    plm_train_settings_destroy(s);
    return status;
  }
  *ret_settings = s;
  return PLM_OK;
}

void plm_train_settings_destroy(const plm_train_settings *settings) {
  if (settings == NULL) return;
  plm_option_values_destroy(settings->values);
  plm_free(settings->model_directory);
  plm_model_origin_free(settings->origin);
  plm_free((void *)(uintptr_t)settings);
}

/* ---- model ---- */

static const struct {
  const char *option;
  size_t requested, configured; /* 0 = not requested */
} sizes[] = {
    {"num-hidden-layers", offsetof(plm_train_options, num_hidden_layers),
     offsetof(plm_model_config, num_hidden_layers)},
    {"hidden-size", offsetof(plm_train_options, hidden_size), offsetof(plm_model_config, hidden_size)},
    {"num-attention-heads", offsetof(plm_train_options, num_attention_heads),
     offsetof(plm_model_config, num_attention_heads)},
    {"intermediate-size", offsetof(plm_train_options, intermediate_size),
     offsetof(plm_model_config, intermediate_size)},
};
enum { SIZES = sizeof sizes / sizeof *sizes };

static int64_t *requested(plm_train_settings *s, int i) {
  return (int64_t *)((char *)options_of(s) + sizes[i].requested);
}
static int64_t *configured(plm_train_settings *s, int i) {
  return (int64_t *)((char *)&s->config + sizes[i].configured);
}

static plm_status configure_preset(plm_train_settings *s) {
  PLM_TRY(plm_model_config_preset(s->o->model, &s->config));
  if (s->o->hidden_size > 0) s->config.intermediate_size = s->config.family->intermediate_size(s->o->hidden_size);
  for (int i = 0; i < SIZES; i++)
    if (*requested(s, i) > 0) *configured(s, i) = *requested(s, i);
  if (s->config.hidden_size % s->config.num_attention_heads == 0)
    s->config.head_width = s->config.hidden_size / s->config.num_attention_heads;
  return plm_model_config_check(&s->config);
}

/* A word that is no directory, no hub id and no preset: the nearest preset is the likeliest meaning. */
static bool looks_like_preset(const char *name) {
  return strchr(name, '/') == NULL && strstr(name, "_UR50") == NULL && !plm_file_exists(name);
}

static plm_status configure_trained(plm_train_settings *s, const char *checkpoint) {
  if (checkpoint == NULL) {
    if (looks_like_preset(s->o->model)) PLM_TRY(plm_model_config_preset(s->o->model, &s->config));
    PLM_TRY(plm_model_dir_resolve(s->o->model, &s->model_directory));
  }
  const char *source = checkpoint != NULL ? checkpoint : s->model_directory;
  PLM_TRY(plm_model_dir_read_config(source, &s->config));
  PLM_TRY(plm_model_origin_read(source, &s->origin));
  if (s->config.dropout > 0)
    plm_warn("%s: its config.json asks for dropout %g in training; protlm trains %s without, as it was published",
             s->o->model, s->config.dropout, s->config.family->words);
  for (int i = 0; i < SIZES; i++)
    if (*requested(s, i) > 0 && *requested(s, i) != *configured(s, i))
      return plm_hint(plm_fail(PLM_E_USAGE, "--%s %lld: %s has trained weights of size %lld", sizes[i].option,
                               (long long)*requested(s, i), s->o->model, (long long)*configured(s, i)),
                      "sizes can be chosen for presets (esm2_t6_8M ... esm2_t48_15B), which start from random weights");
  return PLM_OK;
}

static plm_status configure(plm_train_settings *s, const char *checkpoint) {
  return s->from_scratch ? configure_preset(s) : configure_trained(s, checkpoint);
}

plm_status plm_train_resolve_model(plm_train_settings *s, const char *checkpoint, plm_comm *comm) {
  s->from_scratch = plm_model_is_preset(s->o->model);
  if (comm == NULL) {
    PLM_TRY(configure(s, checkpoint));
  } else {
    PLM_TRY(plm_agree(comm, "model", comm->rank == 0 ? configure(s, checkpoint) : PLM_OK));
    PLM_TRY(plm_shared_config(comm, &s->config));
  }
  for (int i = 0; i < SIZES; i++) *requested(s, i) = *configured(s, i);
  if (!plm_option_given(s->values, "learning-rate")) options_of(s)->learning_rate = s->from_scratch ? 4e-4 : 5e-5;
  return PLM_OK;
}

/* ---- batches and machine ---- */

void plm_train_resolve_batches(plm_train_settings *s, int64_t saved, int ranks) {
  s->batch_sequences =
      saved >= 0 ? saved : s->o->per_device_train_batch_size * s->o->gradient_accumulation_steps * ranks;
}

void plm_train_resolve_machine(plm_train_settings *s, int64_t threads, plm_dtype dtype) {
  options_of(s)->threads = threads;
  options_of(s)->dtype = dtype == PLM_BF16 ? "bf16" : "fp32";
}

void plm_train_resolve_micro_batch(plm_train_settings *s, int64_t tokens) {
  options_of(s)->micro_batch_tokens = tokens;
}

/* ---- horizon ---- */

/* Steps win over epochs, but not the steps that a run's own config.yaml lists over epochs that were typed. */
static bool counts_epochs(const plm_train_settings *s) {
  return !plm_train_explicit(s, "max-steps") || (typed(s, "num-train-epochs") && !typed(s, "max-steps"));
}

/* The run began with this share of its steps, however it was rounded then. */
static bool is_share_of(double share, int64_t steps, int64_t saved_warmup) {
  return saved_warmup >= 0 && share < 1 && fabs(share * (double)steps - (double)saved_warmup) < 1;
}

/* The warm-up asked for, or that the run began with; NAN: neither. One that nobody typed gives way to a shorter run. */
static double requested_warmup(const plm_train_settings *s, int64_t saved_warmup) {
  const int64_t steps = s->o->max_steps;
  const bool given = plm_option_given(s->values, "warmup-steps");
  const bool is_kept = !given || is_share_of(s->o->warmup_steps, steps, saved_warmup);
  const double warmup = !is_kept ? s->o->warmup_steps : saved_warmup >= 0 ? (double)saved_warmup : NAN;
  const bool may_give_way = !s->o->demo_compat && !typed(s, "warmup-steps") &&
                            (!given || typed(s, "max-steps") || typed(s, "num-train-epochs"));
  if (!may_give_way || !(warmup >= (double)steps)) return warmup;
  plm_info("warm-up of %.0f %s cut to %lld: the run has %lld", warmup, warmup == 1 ? "step" : "steps",
           (long long)steps - 1, (long long)steps);
  return (double)(steps - 1);
}

plm_status plm_train_resolve_horizon(plm_train_settings *s, int64_t steps_per_epoch, int64_t saved_warmup) {
  plm_train_options *o = options_of(s);
  if (counts_epochs(s)) {
    double steps = ceil(o->num_train_epochs * (double)steps_per_epoch - 1e-9);
    if (!(steps < 1e15))
      return plm_fail(PLM_E_USAGE, "--num-train-epochs %g of %lld %s each are too many", o->num_train_epochs,
                      (long long)steps_per_epoch, plm_plural(steps_per_epoch, "step", "steps"));
    o->max_steps = steps < 1 ? 1 : (int64_t)steps;
  }
  s->steps_per_epoch = steps_per_epoch;
  s->max_steps = o->max_steps;
  plm_schedule_request request = {
      .name = o->lr_scheduler_type,
      .peak = o->learning_rate,
      .warmup = requested_warmup(s, saved_warmup),
      .min_lr_ratio = plm_option_given(s->values, "min-lr-ratio") ? o->min_lr_ratio : NAN,
      .from_scratch = s->from_scratch,
      .warmup_from_zero = o->demo_compat,
      .T = o->max_steps,
  };
  PLM_TRY(plm_schedule_resolve(&request, &s->schedule));
  o->lr_scheduler_type = plm_schedule_name(&s->schedule);
  o->warmup_steps = (double)s->schedule.W;
  o->min_lr_ratio = s->schedule.r;
  o->resume_from_checkpoint = "auto"; /* what the run's config.yaml is to say: it is this run from now on */
  return PLM_OK;
}
