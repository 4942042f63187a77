/* resume_diff.c - what has changed since the run was started, by resume class (design 10.3). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "protlm/log.h"
#include "train/resume.h"

/* Options that say how this start is made, not what the run is; and data files, which are compared by content. */
static bool is_compared(const plm_option *option) {
  static const char *const left_out[] = {"output-dir", "resume-from-checkpoint", "allow-change", "dry-run", "cache-dir",
                                         "time-limit"};
  if (option->group == NULL || option->command_line_only || plm_train_option_is_data(option->name)) return false;
  for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
    if (strcmp(option->name, left_out[i]) == 0) return false;
  return true;
}

plm_status plm_resume_options(const plm_train_settings *settings, json_t **ret_options) {
  const plm_option_table *table = settings->values->table;
  json_t *object = json_object();
  if (object == NULL) return plm_fail(PLM_E_RESOURCE, "out of memory");
  for (size_t i = 0; i < table->count; i++) {
    char *text = NULL;
    plm_status status = plm_option_text(settings->values, &table->options[i], &text);
    if (status == PLM_OK && json_object_set_new(object, table->options[i].name, json_string(text)) != 0)
      status = plm_fail(PLM_E_RESOURCE, "out of memory while writing --%s", table->options[i].name);
    plm_free(text);
    if (status != PLM_OK) {
      json_decref(object);
      return status;
    }
  }
  *ret_options = object;
  return PLM_OK;
}

/* ---- the learning rate before and after ---- */

static double saved_number(const json_t *options, const char *name, double fallback) {
  const char *text = json_string_value(json_object_get(options, name)), *end;
  double value;
  return text != NULL && plm_number_parse(text, &end, &value) && *end == '\0' ? value : fallback;
}

static void tell_learning_rate(const plm_train_settings *s, const plm_train_state *state) {
  plm_schedule before;
  const char *name = json_string_value(json_object_get(state->options, "lr-scheduler-type"));
  double T = saved_number(state->options, "max-steps", NAN);
  const plm_schedule_request request = {
      .name = name,
      .peak = saved_number(state->options, "learning-rate", NAN),
      .warmup = saved_number(state->options, "warmup-steps", NAN),
      .min_lr_ratio = saved_number(state->options, "min-lr-ratio", NAN),
      .warmup_from_zero = s->o->demo_compat,
      .T = isfinite(T) && T >= 1 ? (int64_t)T : 0,
  };
  if (name == NULL || request.T < 1 || plm_schedule_resolve(&request, &before) != PLM_OK) {
    plm_error_clear();
    return;
  }
  double was = plm_schedule_rate(&before, state->updates), is = plm_schedule_rate(&s->schedule, state->updates);
  if (was != is) plm_info("learning rate of the next update: %.6g, it would have been %.6g", is, was);
}

/* ---- differences ---- */

typedef struct differences {
  int ranks;
  plm_text refused; /* lines for a person */
  plm_text flags;   /* "learning-rate,max-steps" */
  bool never, schedule;
} differences;

/* What decides on the steps when nobody asked for a number of them. */
static const char *words_for(const plm_train_settings *s, const char *name) {
  return strcmp(name, "max-steps") == 0 && !plm_train_explicit(s, "max-steps") ? "max-steps (by --num-train-epochs)"
                                                                               : name;
}

/* `name` as --allow-change takes it, `words` as it is called. */
static void note_refused(differences *d, const char *name, const char *words, const char *was, const char *is,
                         bool never) {
  plm_text_printf(&d->refused, "\n  --%s was %s, now %s%s", words, was, is,
                  never ? " (can't change within a run)" : "");
  if (never)
    d->never = true;
  else
    plm_text_printf(&d->flags, "%s%s", d->flags.length > 0 ? "," : "", name);
}

static void note_difference(differences *d, const plm_train_settings *s, const plm_option *option, const char *was,
                            const char *is) {
  static const char *const schedule[] = {"max-steps", "learning-rate", "lr-scheduler-type", "warmup-steps",
                                         "min-lr-ratio"};
  was = *was == '\0' ? "not set" : was;
  is = *is == '\0' ? "not set" : is;
  for (size_t i = 0; i < sizeof schedule / sizeof *schedule; i++)
    if (strcmp(option->name, schedule[i]) == 0) d->schedule = true;
  if (option->resume == PLM_RESUME_FREE)
    plm_info("changed: --%s was %s, now %s", option->name, was, is);
  else if (option->resume == PLM_RESUME_ALLOW && plm_train_allows(s, option->name))
    plm_info("changed as allowed: --%s was %s, now %s", option->name, was, is);
  else
    note_refused(d, option->name, words_for(s, option->name), was, is, option->resume == PLM_RESUME_NEVER);
}

/* A batch is counted in tokens or in sequences: of the two options, what the other start did not use says nothing. */
static bool is_other_count(const plm_train_settings *s, const char *name) {
  return strcmp(name, "batch-tokens") == 0 && s->o->per_device_train_batch_size > 0 &&
         !plm_option_given(s->values, name);
}

/* ---- batches counted in sequences for each rank ---- */

static bool is_batch_size(const char *name) {
  return strcmp(name, "per-device-train-batch-size") == 0 || strcmp(name, "gradient-accumulation-steps") == 0;
}

/* Asked for now, of these ranks. */
static int64_t global_batch(const differences *d, const plm_train_settings *s) {
  return s->o->per_device_train_batch_size * s->o->gradient_accumulation_steps * d->ranks;
}

static void tell_kept_batch(const differences *d, const plm_train_settings *s, const plm_train_state *state) {
  const long long kept = state->global_batch_sequences;
  if (kept <= 0 || d->refused.length > 0 || global_batch(d, s) == kept) return;
  plm_info(
      "the global batch stays %lld sequences, as the run began with: %.4g for each of %d ranks, not "
      "--per-device-train-batch-size %lld",
      kept, (double)kept / (double)(d->ranks * s->o->gradient_accumulation_steps), d->ranks,
      (long long)s->o->per_device_train_batch_size);
}

/* What would keep it, where something does. */
static void note_batch_that_fits(differences *d, const plm_train_settings *s, const plm_train_state *state) {
  const int64_t kept = state->global_batch_sequences, part = d->ranks * s->o->gradient_accumulation_steps;
  if (kept <= 0 || s->o->per_device_train_batch_size == 0) return;
  plm_text_printf(&d->refused, "\n  the run's global batch is %lld sequences, of %lld asked for now", (long long)kept,
                  (long long)global_batch(d, s));
  if (kept % part == 0)
    plm_text_printf(&d->refused, ": --per-device-train-batch-size %lld keeps it", (long long)(kept / part));
}

/* What nobody gave changes with the schedule or its length, which needs no permission of its own. */
static bool follows_schedule(const plm_train_settings *s, const plm_train_state *state, const char *name) {
  const char *was = json_string_value(json_object_get(state->options, "lr-scheduler-type"));
  if (plm_option_given(s->values, name)) return false;
  if (strcmp(name, "warmup-steps") == 0) return true;
  return strcmp(name, "min-lr-ratio") == 0 && was != NULL && strcmp(was, s->o->lr_scheduler_type) != 0;
}

static plm_status compare_options(differences *d, const plm_train_settings *s, const plm_train_state *state) {
  const plm_option_table *table = s->values->table;
  bool has_other_batch = false;
  for (size_t i = 0; i < table->count; i++) {
    const plm_option *option = &table->options[i];
    const char *was = json_string_value(json_object_get(state->options, option->name));
    char *is = NULL;
    if (was == NULL || !is_compared(option) || follows_schedule(s, state, option->name) ||
        is_other_count(s, option->name) ||
        (is_batch_size(option->name) && state->global_batch_sequences > 0 &&
         global_batch(d, s) == state->global_batch_sequences))
      continue;
    PLM_TRY(plm_option_text(s->values, option, &is));
    const bool differs = strcmp(was, is) != 0;
    if (differs) note_difference(d, s, option, was, is);
    has_other_batch |= differs && is_batch_size(option->name);
    plm_free(is);
  }
  if (has_other_batch) note_batch_that_fits(d, s, state);
  tell_kept_batch(d, s, state);
  return PLM_OK;
}

typedef struct data_side {
  const char *hash;
  int64_t rules;
} data_side;

/* The same file, read by another protlm: then the user changed nothing. */
static const char *reading_words(int64_t was, int64_t is) {
  if (was == is) return "these (compared by content, not by name)";
  return is > was ? "these: this protlm reads files by newer rules than the one that began the run (comment lines, "
                    "separators, placeholders such as nan, byte order marks and white space of Unicode are no residues "
                    "any more), so the same file may have become other sequences"
                  : "these: they were read by older rules than those the run began with, so the same file may have "
                    "become other sequences";
}

static void compare_data(differences *d, const plm_train_settings *s, const char *name, const char *what,
                         const data_side *was, const data_side *is) {
  if (strcmp(was->hash, is->hash) == 0) return;
  if (plm_train_allows(s, name))
    plm_info("changed as allowed: the %s sequences are not those the run was started with", what);
  else
    note_refused(d, name, name, *was->hash == '\0' ? "not given" : "other sequences",
                 *is->hash == '\0' ? "not given" : reading_words(was->rules, is->rules), false);
}

static plm_status refuse(differences *d) {
  char *lines, *flags;
  PLM_TRY(plm_text_take(&d->refused, &lines));
  plm_status status = plm_text_take(&d->flags, &flags);
  if (status == PLM_OK) {
    plm_fail(PLM_E_USAGE, "this is not what the run was started with:%s", lines);
    status = d->never ? plm_hint(PLM_E_USAGE, "start a new run in another --output-dir, or give the old values")
                      : plm_hint(PLM_E_USAGE, "give the old values, or add --allow-change %s", flags);
    plm_free(flags);
  }
  plm_free(lines);
  return status;
}

plm_status plm_resume_compare(const plm_train_settings *settings, const plm_train_state *state,
                              const plm_data_identity *data, int ranks) {
  differences d = {.ranks = ranks};
  plm_status status = compare_options(&d, settings, state);
  if (status == PLM_OK) {
    compare_data(&d, settings, "train", "training", &(data_side){state->train_hash, state->train_rules},
                 &(data_side){data->train_hash, data->train_rules});
    compare_data(&d, settings, "eval", "evaluation", &(data_side){state->eval_hash, state->eval_rules},
                 &(data_side){data->eval_hash, data->eval_rules});
    if (d.schedule && d.refused.length == 0) tell_learning_rate(settings, state);
    if (d.refused.length > 0) status = refuse(&d);
  }
  plm_text_free(&d.refused);
  plm_text_free(&d.flags);
  return status;
}
