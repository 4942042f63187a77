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
#include "train/shared_parts.h"

/* ---- entering and leaving ---- */

plm_status plm_outputs_enter(plm_outputs *outputs, const plm_train_settings *settings, plm_comm *comm) {
  PLM_TRY(plm_run_directory_open(settings, comm, &outputs->directory));
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

static plm_status open_first(plm_outputs *outputs, bool resumed) {
  const int64_t step = outputs->parts.state->step;
  PLM_TRY(plm_outputs_describe(outputs));
  PLM_TRY(plm_metrics_open(outputs->directory.path, resumed ? step : -1, &outputs->metrics));
  return resumed ? tell_missing_lines(&outputs->directory, step) : PLM_OK;
}

plm_status plm_outputs_open(plm_outputs *outputs, const plm_output_parts *parts, bool resumed) {
  plm_comm *comm = parts->context->comm;
  outputs->parts = *parts;
  return plm_agree(comm, "description", comm->rank == 0 ? open_first(outputs, resumed) : PLM_OK);
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

static plm_status publish(plm_outputs *outputs, const plm_training_parts *parts, const plm_shared_lists *lists) {
  const plm_output_parts *p = &outputs->parts;
  json_t *trainer = NULL, *state = NULL;
  char *path = NULL;
  plm_status status;
  PLM_TRY_GOTO(trainer_state(outputs, &trainer), done);
  PLM_TRY_GOTO(plm_train_state_write(p->state, &state), done);
  const plm_checkpoint_content content = {
      .parts =
          {
              parts->items[0],
              {.name = parts->items[1].name, .tensors = &lists->shared[0]},
              {.name = parts->items[2].name, .tensors = &lists->shared[1]},
              {.name = PLM_CHECKPOINT_TRAINER_STATE, .document = trainer},
              {.name = PLM_CHECKPOINT_STATE, .document = state},
          },
      .count = 5,
      .overwrite = outputs->overwrite,
  };
  PLM_TRY_GOTO(plm_checkpoint_save(outputs->directory.path, p->state->step, &content, &path), done);
  snprintf(outputs->checkpoint, sizeof outputs->checkpoint, "%s", path);
done:
  plm_free(path);
  json_decref(trainer);
  json_decref(state);
  return status;
}

typedef struct saving {
  plm_outputs *outputs;
  plm_training_parts parts;
  plm_shared_lists lists; /* the tensors of the parts */
} saving;

/* A network file system may fail a write now and take it a moment later; a full disk stays full. A checkpoint is
 * written again each time; the logs are not, so their sync is not tried again: see plm_fs_sync. */
static plm_status publish_patiently(const saving *s) {
  static const time_t pauses[] = {1, 4};
  plm_outputs *outputs = s->outputs;
  PLM_TRY(plm_metrics_sync(outputs->metrics));
  plm_status status = publish(outputs, &s->parts, &s->lists);
  for (size_t i = 0; i < sizeof pauses / sizeof *pauses && status == PLM_E_RESOURCE; i++) {
    plm_warn("saving checkpoint-%lld failed, trying again in %lld s: %s", (long long)outputs->parts.state->step,
             (long long)pauses[i], plm_error_message());
    struct timespec pause = {.tv_sec = pauses[i]};
    while (nanosleep(&pause, &pause) != 0 && errno == EINTR && (plm_stop_signals() & PLM_STOP_EARLY) == 0) continue;
    status = publish(outputs, &s->parts, &s->lists);
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

/* On rank 0; the others give their part of the tensors. */
static plm_status save_first(void *user) {
  const saving *s = user;
  plm_run_phase(s->outputs->parts.context, "saving checkpoint-%lld", (long long)s->outputs->parts.state->step);
  PLM_TRY(publish_patiently(s));
  return after_save(s->outputs);
}

static plm_status save_together(plm_outputs *outputs, plm_comm *comm) {
  const plm_output_parts *p = &outputs->parts;
  saving s = {.outputs = outputs};
  PLM_TRY(plm_agree(comm, "save", check_finite(outputs)));
  plm_status status = plm_training_parts_create(p->model, p->optimiser, p->settings->origin, &s.parts);
  status = plm_agree(comm, "save", status);
  if (status == PLM_OK) {
    const plm_tensor_list *const lists[] = {&s.parts.weights, &s.parts.states};
    plm_shared_lists_init(&s.lists, comm, lists, 2);
    status = plm_shared_write(&s.lists, "save", save_first, &s);
  }
  plm_training_parts_free(&s.parts);
  return status;
}

plm_status plm_outputs_save(plm_outputs *outputs) {
  plm_status status = save_together(outputs, outputs->parts.context->comm);
  if (status == PLM_OK) return PLM_OK;
  const char *remedy = plm_error_hint();
  if (status == PLM_E_RESOURCE && outputs->checkpoint[0] != '\0')
    plm_hint(status, "%s%sthe last good checkpoint is %s: the same command goes on from there", remedy,
             *remedy != '\0' ? "; " : "", outputs->checkpoint);
  return status;
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
  return PLM_OK;
}

static plm_status load_weights(plm_outputs *outputs, plm_comm *comm, const char *path) {
  plm_load_report report;
  PLM_TRY(plm_shared_load_weights(comm, path, true, outputs->parts.model, &report));
  if (comm->rank == 0)
    plm_info("final/ is the model of step %lld, whose evaluation loss was lowest",
             (long long)outputs->parts.state->best_step);
  return plm_agree(comm, "final", plm_model_refresh(outputs->parts.model, outputs->parts.exec, PLM_REFRESH_ALL));
}

/* Become the best model of the run, if that is asked for and it isn't this one. Its weights alone: of a model in pieces
 * every rank takes its own. */
static plm_status load_best(plm_outputs *outputs, plm_comm *comm) {
  const plm_train_state *s = outputs->parts.state;
  bool good = false;
  char *path = NULL;
  if (!outputs->parts.settings->o->load_best_model_at_end || s->best_step < 0 || s->best_step == s->step) return PLM_OK;
  plm_status status =
      plm_sprintf(&path, "%s/checkpoint-%lld", outputs->directory.path, (long long)outputs->parts.state->best_step);
  if (status == PLM_OK && comm->rank == 0) status = verify_best(outputs, path, &good);
  status = plm_agree(comm, "final", status);
  if (status == PLM_OK) status = plm_agree_on_first(comm, "final", &good, sizeof good);
  if (status == PLM_OK && good) status = load_weights(outputs, comm, path);
  if (status == PLM_OK && !good) plm_train_state_set_best(outputs->parts.state, -1, NAN);
  plm_free(path);
  return status;
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

typedef struct ending {
  plm_outputs *outputs;
  plm_tensor_list weights;
  plm_shared_lists lists; /* the weights */
} ending;

static bool is_half(const plm_outputs *outputs) { return strcmp(outputs->parts.settings->o->save_dtype, "bf16") == 0; }

static plm_status fill_directory(const ending *e, const char *directory) {
  const plm_output_parts *p = &e->outputs->parts;
  const plm_save_options options = {.half = is_half(e->outputs), .origin = p->settings->origin};
  char *path;
  PLM_TRY(plm_directory_create(directory));
  PLM_TRY(plm_model_dir_save(directory, p->model, &options));
  PLM_TRY(plm_path_join(directory, PLM_CHECKPOINT_WEIGHTS, &path));
  plm_status status = plm_safetensors_write(path, &e->lists.shared[0], NULL, NULL);
  plm_free(path);
  PLM_TRY(status);
  PLM_TRY(plm_directory_sync(directory));
  return write_final_state(e->outputs, directory);
}

/* Half a directory takes room that a full disk lacks; what is left is reclaimed at the next start. */
static plm_status remove_half(const char *directory, plm_status cause) {
  plm_error_record record;
  plm_error_take(cause, &record);
  if (plm_tree_remove(directory) != PLM_OK) plm_error_clear();
  return plm_error_give(&record);
}

/* On rank 0; the others give their part of the weights. */
static plm_status write_final(void *user) {
  const ending *e = user;
  const plm_outputs *outputs = e->outputs;
  const int64_t step = outputs->parts.state->step;
  char *paths[3] = {NULL, NULL, NULL};
  plm_status status;
  PLM_TRY_GOTO(plm_path_join(outputs->directory.path, "final", &paths[0]), done);
  PLM_TRY_GOTO(plm_checkpoint_staging_path(outputs->directory.path, "tmp", step, &paths[1]), done);
  PLM_TRY_GOTO(plm_checkpoint_staging_path(outputs->directory.path, ".trash", step, &paths[2]), done);
  PLM_TRY_GOTO(fill_directory(e, paths[1]), done);
  PLM_TRY_GOTO(replace_directory(outputs->directory.path, paths[1], paths[0], paths[2]), done);
done:
  if (status != PLM_OK && paths[1] != NULL) status = remove_half(paths[1], status);
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

static bool has_final(const plm_outputs *outputs, int64_t of_step) {
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

plm_status plm_outputs_has_final(const plm_outputs *outputs, plm_comm *comm, int64_t step, bool *ret_has) {
  *ret_has = comm->rank == 0 && has_final(outputs, step);
  return plm_agree_on_first(comm, "final", ret_has, sizeof *ret_has);
}

/* The report is a convenience: without it the run is still a success. */
static void write_report(plm_outputs *outputs) {
  plm_run_phase(outputs->parts.context, "writing report.html");
  if (plm_report_write(outputs->directory.path, NULL) == PLM_OK) return;
  plm_warn("report.html could not be written: %s", plm_error_message());
  plm_error_clear();
}

plm_status plm_outputs_write_final(plm_outputs *outputs) {
  plm_comm *comm = outputs->parts.context->comm;
  ending e = {.outputs = outputs};
  plm_run_phase(outputs->parts.context, "writing final/");
  PLM_TRY(load_best(outputs, comm));
  plm_status status = plm_agree(comm, "final", plm_model_tensors(outputs->parts.model, is_half(outputs), &e.weights));
  const plm_tensor_list *const lists[] = {&e.weights};
  plm_shared_lists_init(&e.lists, comm, lists, 1);
  if (status == PLM_OK) status = plm_shared_write(&e.lists, "final", write_final, &e);
  plm_tensor_list_free(&e.weights);
  if (status == PLM_OK && comm->rank == 0) write_report(outputs);
  return status;
}
