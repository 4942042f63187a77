/* outputs.c - see outputs.h. Contents: entering and leaving, trainer_state.json, a checkpoint, final/ and the report.
 * Descriptions: describe.c. */
#include "train/outputs.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "hub/model_dir.h"
#include "report/report.h"
#include "formats/safetensors.h"
#include "protlm/log.h"

/* ---- entering and leaving ---- */

plm_status plm_outputs_enter(plm_outputs *outputs, const plm_train_settings *settings) {
  PLM_TRY(plm_run_directory_open(settings, &outputs->directory));
  if (outputs->directory.checkpoint != NULL)
    snprintf(outputs->checkpoint, sizeof outputs->checkpoint, "%s", outputs->directory.checkpoint);
  return PLM_OK;
}

void plm_outputs_leave(plm_outputs *outputs, bool fruitless) {
  plm_run_directory_close(&outputs->directory, fruitless);
}

/* A run that branches off from another's checkpoint has no lines yet. */
static plm_status lies_in_run(const plm_run_directory *directory, bool *ret_lies) {
  char *parent;
  PLM_TRY(plm_path_parent(directory->checkpoint, &parent));
  *ret_lies = plm_file_is_same(parent, directory->path);
  plm_free(parent);
  return PLM_OK;
}

static plm_status tell_missing_lines(const plm_run_directory *directory, int64_t step) {
  json_t *history;
  bool is_ours;
  PLM_TRY(lies_in_run(directory, &is_ours));
  if (!is_ours) return PLM_OK;
  PLM_TRY(plm_metrics_history(directory->path, step, &history));
  size_t there = json_array_size(history), known = plm_trainer_state_lines(directory->checkpoint);
  json_decref(history);
  if (there < known)
    plm_warn("%s/log.jsonl has %zu of the %zu %s in it at step %lld; %s still in %s/trainer_state.json",
             directory->path, there, known, plm_plural((int64_t)known, "line that was", "lines that were"),
             (long long)step, plm_plural((int64_t)(known - there), "the other is", "the others are"),
             directory->checkpoint);
  return PLM_OK;
}

plm_status plm_outputs_open(plm_outputs *outputs, const plm_output_parts *parts, bool resumed) {
  const int64_t step = parts->state->step;
  outputs->parts = *parts;
  if (parts->context->comm->rank != 0) return PLM_OK;
  PLM_TRY(plm_outputs_describe(outputs));
  PLM_TRY(plm_metrics_open(outputs->directory.path, resumed ? step : -1, &outputs->metrics));
  return resumed ? tell_missing_lines(&outputs->directory, step) : PLM_OK;
}

plm_status plm_outputs_close(plm_outputs *outputs) { return plm_metrics_close(&outputs->metrics); }

void plm_outputs_set_overwrite(plm_outputs *outputs, bool overwrite) { outputs->overwrite = overwrite; }

/* ---- trainer_state.json ---- */

static plm_status trainer_state(const plm_outputs *outputs, json_t **ret_document) {
  const plm_train_state *s = outputs->parts.state;
  const plm_train_options *o = outputs->parts.settings->o;
  const double steps_per_epoch = (double)outputs->parts.settings->steps_per_epoch;
  json_t *history = NULL;
  char name[48], *best;
  snprintf(name, sizeof name, "checkpoint-%lld", (long long)s->best_step);
  PLM_TRY(plm_path_join(outputs->directory.path, name, &best)); /* as transformers: --output-dir as it was given */
  plm_status status = plm_metrics_history(outputs->directory.path, s->step, &history);
  const plm_trainer_state values = {
      .step = s->step,
      .max_steps = outputs->parts.settings->max_steps,
      .epoch = (double)s->step / steps_per_epoch,
      .num_train_epochs = (double)outputs->parts.settings->max_steps / steps_per_epoch,
      .logging_steps = o->logging_steps,
      .eval_steps = o->eval_steps,
      .save_steps = o->save_steps,
      .best_metric = s->best_eval_loss,
      .best_model_checkpoint = s->best_step >= 0 ? best : NULL,
      .tokens = s->tokens,
      .batch_sequences = s->global_batch_sequences,
  };
  if (status == PLM_OK) status = plm_trainer_state_build(&values, history, ret_document);
  json_decref(history);
  plm_free(best);
  return status;
}

/* ---- a checkpoint ---- */

/* Whatever the guard let through, nothing that is not finite is ever published. */
static plm_status check_finite(plm_outputs *outputs) {
  int64_t nonfinite = 0;
  PLM_TRY(plm_optimiser_count_nonfinite(outputs->parts.optimiser, outputs->parts.exec, &nonfinite));
  if (nonfinite == 0) return PLM_OK;
  return plm_hint(
      plm_fail(PLM_E_NUMERIC, "step %lld: %lld %s", (long long)outputs->parts.state->step, (long long)nonfinite,
               plm_plural(nonfinite, "weight or optimizer value is not finite; it is not saved",
                          "weights or optimizer values are not finite; they are not saved")),
      "run the same command again to go on from the last good checkpoint; lower --learning-rate if it happens again");
}

static plm_status publish(plm_outputs *outputs) {
  const plm_output_parts *p = &outputs->parts;
  plm_training_parts parts = {0};
  json_t *trainer = NULL, *state = NULL;
  char *path = NULL;
  plm_status status;
  PLM_TRY_GOTO(trainer_state(outputs, &trainer), done);
  PLM_TRY_GOTO(plm_train_state_write(p->state, &state), done);
  PLM_TRY_GOTO(plm_training_parts_create(p->model, p->optimiser, p->settings->origin, &parts), done);
  const plm_checkpoint_content content = {
      .parts =
          {
              parts.items[0],
              parts.items[1],
              parts.items[2],
              {.name = PLM_CHECKPOINT_TRAINER_STATE, .document = trainer},
              {.name = PLM_CHECKPOINT_STATE, .document = state},
          },
      .count = 5,
      .overwrite = outputs->overwrite,
  };
  PLM_TRY_GOTO(plm_checkpoint_save(outputs->directory.path, p->state->step, &content, &path), done);
  snprintf(outputs->checkpoint, sizeof outputs->checkpoint, "%s", path);
done:
  plm_training_parts_free(&parts);
  plm_free(path);
  json_decref(trainer);
  json_decref(state);
  return status;
}

/* A network file system may fail a write now and take it a moment later; a full disk stays full. A checkpoint is
 * written again each time; the logs are not, so their sync is not tried again: see plm_fs_sync. */
static plm_status publish_patiently(plm_outputs *outputs) {
  static const time_t pauses[] = {1, 4};
  PLM_TRY(plm_metrics_sync(outputs->metrics));
  plm_status status = publish(outputs);
  for (size_t i = 0; i < sizeof pauses / sizeof *pauses && status == PLM_E_RESOURCE; i++) {
    plm_warn("saving checkpoint-%lld failed, trying again in %lld s: %s", (long long)outputs->parts.state->step,
             (long long)pauses[i], plm_error_message());
    struct timespec pause = {.tv_sec = pauses[i]};
    while (nanosleep(&pause, &pause) != 0 && errno == EINTR && (plm_stop_signals() & PLM_STOP_EARLY) == 0) continue;
    status = publish(outputs);
  }
  return status;
}

static plm_status after_save(plm_outputs *outputs) {
  const plm_train_state *s = outputs->parts.state;
  if (s->best_step == s->step && plm_checkpoint_link(outputs->directory.path, "best", s->step) != PLM_OK) {
    plm_warn("%s", plm_error_message()); /* for people, as `latest` is: the state knows the best */
    plm_error_clear();
  }
  return plm_checkpoint_prune(outputs->directory.path, (int)outputs->parts.settings->o->save_total_limit, &s->best_step,
                              s->best_step >= 0 ? 1 : 0);
}

/* Only rank 0 writes; all ranks learn how it went. */
plm_status plm_outputs_save(plm_outputs *outputs) {
  plm_status status = PLM_OK;
  PLM_TRY(check_finite(outputs));
  if (outputs->parts.context->comm->rank == 0) {
    plm_run_phase(outputs->parts.context, "saving checkpoint-%lld", (long long)outputs->parts.state->step);
    status = publish_patiently(outputs);
    if (status == PLM_OK) status = after_save(outputs);
  }
  status = plm_agree(outputs->parts.context->comm, "save", status);
  if (status != PLM_OK) {
    const char *remedy = plm_error_hint();
    if (status == PLM_E_RESOURCE && outputs->checkpoint[0] != '\0')
      plm_hint(status, "%s%sthe last good checkpoint is %s: the same command goes on from there", remedy,
               *remedy != '\0' ? "; " : "", outputs->checkpoint);
    return status;
  }
  return PLM_OK;
}

/* ---- final/ ---- */

/* *ret_good: it can be loaded. A damaged one is like one that isn't there: the run's own end is good, and no new start
 * would mend it. */
static plm_status verify_best(plm_outputs *outputs, const char *path, bool *ret_good) {
  plm_status status = plm_checkpoint_verify(path);
  *ret_good = status == PLM_OK;
  if (status != PLM_E_CHECKPOINT) return status;
  plm_warn("checkpoint-%lld, the best, is damaged: final/ is the model of step %lld, the last: %s",
           (long long)outputs->parts.state->best_step, (long long)outputs->parts.state->step, plm_error_message());
  plm_error_clear();
  plm_train_state_set_best(outputs->parts.state, -1, NAN);
  return PLM_OK;
}

/* Become the best model of the run, if that is asked for and it isn't this one. */
static plm_status load_best(plm_outputs *outputs) {
  const plm_train_state *s = outputs->parts.state;
  bool good;
  if (!outputs->parts.settings->o->load_best_model_at_end || s->best_step < 0 || s->best_step == s->step) return PLM_OK;
  char name[48], *path;
  snprintf(name, sizeof name, "checkpoint-%lld", (long long)s->best_step);
  PLM_TRY(plm_path_join(outputs->directory.path, name, &path));
  plm_status status = verify_best(outputs, path, &good);
  if (status == PLM_OK && good) status = plm_training_load(path, outputs->parts.model, outputs->parts.optimiser, NULL);
  plm_free(path);
  PLM_TRY(status);
  if (!good) return PLM_OK;
  plm_info("final/ is the model of step %lld, whose evaluation loss was lowest", (long long)s->best_step);
  return plm_model_refresh(outputs->parts.model, outputs->parts.exec, PLM_REFRESH_ALL);
}

/* trainer_state.json in final/ says of which step it is the end: one of an earlier, shorter run is
 * not mistaken for it. */
static plm_status write_final_state(const plm_outputs *outputs, const char *directory) {
  json_t *state;
  PLM_TRY(trainer_state(outputs, &state));
  plm_status status = plm_json_replace(directory, PLM_CHECKPOINT_TRAINER_STATE, state);
  json_decref(state);
  return status;
}

/* Move a complete directory to its name; what stood there goes to the trash first. */
static plm_status replace_directory(const char *parent, const char *from, const char *to, const char *trash) {
  if (plm_name_is_taken(to)) PLM_TRY(plm_file_rename(to, trash));
  PLM_TRY(plm_file_rename(from, to));
  PLM_TRY(plm_directory_sync(parent));
  return plm_tree_remove(trash);
}

static plm_status write_final(plm_outputs *outputs) {
  const plm_save_options options = {
      .weights = true,
      .half = strcmp(outputs->parts.settings->o->save_dtype, "bf16") == 0,
      .origin = outputs->parts.settings->origin,
  };
  char *paths[3] = {NULL, NULL, NULL};
  plm_status status;
  PLM_TRY_GOTO(plm_path_join(outputs->directory.path, "final", &paths[0]), done);
  PLM_TRY_GOTO(plm_checkpoint_staging_path(outputs->directory.path, "tmp", outputs->parts.state->step, &paths[1]),
               done);
  PLM_TRY_GOTO(plm_checkpoint_staging_path(outputs->directory.path, ".trash", outputs->parts.state->step, &paths[2]),
               done);
  PLM_TRY_GOTO(load_best(outputs), done);
  PLM_TRY_GOTO(plm_directory_create(paths[1]), done);
  PLM_TRY_GOTO(plm_model_dir_save(paths[1], outputs->parts.model, &options), done);
  PLM_TRY_GOTO(write_final_state(outputs, paths[1]), done);
  PLM_TRY_GOTO(replace_directory(outputs->directory.path, paths[1], paths[0], paths[2]), done);
done:
  for (int i = 0; i < 3; i++) plm_free(paths[i]);
  return status;
}

/* Whole by its header and size: a copy that failed, or a disk that was full, is made again from the checkpoint. */
static bool has_final_weights(const plm_outputs *outputs) {
  char *path = NULL;
  plm_safetensors *file = NULL;
  plm_status status = plm_sprintf(&path, "%s/final/model.safetensors", outputs->directory.path);
  if (status == PLM_OK) status = plm_safetensors_open(path, &file);
  if (status != PLM_OK) plm_error_clear();
  plm_safetensors_close(file);
  plm_free(path);
  return status == PLM_OK;
}

bool plm_outputs_has_final(const plm_outputs *outputs, int64_t of_step) {
  char *path = NULL;
  json_t *state = NULL;
  int64_t step = -1;
  plm_status status = plm_sprintf(&path, "%s/final/trainer_state.json", outputs->directory.path);
  if (status == PLM_OK) status = plm_file_exists(path) ? plm_json_load(path, &state) : PLM_E_INPUT;
  if (status == PLM_OK) status = plm_json_get_int(state, path, "global_step", true, 0, INT64_MAX, &step);
  if (status != PLM_OK) plm_error_clear();
  json_decref(state);
  plm_free(path);
  return status == PLM_OK && step == of_step && has_final_weights(outputs);
}

/* The report is a convenience: without it the run is still a success. */
static void write_report(plm_outputs *outputs) {
  plm_run_phase(outputs->parts.context, "writing report.html");
  if (plm_report_write(outputs->directory.path, NULL) == PLM_OK) return;
  plm_warn("report.html could not be written: %s", plm_error_message());
  plm_error_clear();
}

plm_status plm_outputs_write_final(plm_outputs *outputs) {
  plm_status status = PLM_OK;
  if (outputs->parts.context->comm->rank == 0) {
    plm_run_phase(outputs->parts.context, "writing final/");
    status = write_final(outputs);
    if (status == PLM_OK) write_report(outputs);
  }
  return plm_agree(outputs->parts.context->comm, "final", status);
}
