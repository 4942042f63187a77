/* outputs.c - what a run leaves in its directory: checkpoints and links, final/, the report. Descriptions: describe.c.
 * */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/file.h"
#include "report/report.h"
#include "formats/safetensors.h"
#include "runlog/trainer_state.h"
#include "protlm/log.h"
#include "train/run.h"

/* ---- trainer_state.json ---- */

static plm_status trainer_state(const plm_run *run, json_t **ret_document) {
  const plm_train_state *s = &run->state;
  const plm_train_options *o = run->settings->o;
  const double steps_per_epoch = (double)run->settings->steps_per_epoch;
  json_t *history = NULL;
  char best[48];
  PLM_TRY(plm_metrics_history(run->directory.path, s->step, &history));
  snprintf(best, sizeof best, "checkpoint-%lld", (long long)s->best_step);
  const plm_trainer_state values = {
      .step = s->step,
      .max_steps = run->settings->max_steps,
      .epoch = (double)s->step / steps_per_epoch,
      .num_train_epochs = (double)run->settings->max_steps / steps_per_epoch,
      .logging_steps = o->logging_steps,
      .eval_steps = o->eval_steps,
      .save_steps = o->save_steps,
      .best_metric = s->best_eval_loss,
      .best_model_checkpoint = s->best_step >= 0 ? best : NULL,
      .tokens = s->tokens,
      .batch_sequences = s->global_batch_sequences,
  };
  plm_status status = plm_trainer_state_build(&values, history, ret_document);
  json_decref(history);
  return status;
}

/* ---- a checkpoint ---- */

/* Whatever the guard let through, nothing that is not finite is ever published. */
static plm_status check_finite(plm_run *run) {
  int64_t nonfinite = 0;
  PLM_TRY(plm_optimiser_count_nonfinite(run->optimiser, run->machine.exec, &nonfinite));
  if (nonfinite == 0) return PLM_OK;
  return plm_hint(
      plm_fail(PLM_E_NUMERIC, "step %lld: %lld weights or optimizer values are not finite; they are not saved",
               (long long)run->state.step, (long long)nonfinite),
      "run the same command again to go on from the last good checkpoint; lower --learning-rate if it happens again");
}

static plm_status publish(plm_run *run) {
  plm_checkpoint_content content = {
      .model = run->model,
      .exec = run->machine.exec,
      .moments = plm_optimiser_moments(run->optimiser),
      .anew = run->saves_anew,
  };
  json_t *trainer = NULL, *state = NULL;
  char *path = NULL;
  plm_status status = trainer_state(run, &trainer);
  if (status == PLM_OK) status = plm_train_state_write(&run->state, &state);
  if (status == PLM_OK) {
    content.trainer_state = trainer;
    content.protlm_state = state;
    status = plm_checkpoint_save(run->directory.path, run->state.step, &content, &path);
  }
  if (status == PLM_OK) snprintf(run->last_checkpoint, sizeof run->last_checkpoint, "%s", path);
  plm_free(path);
  json_decref(trainer);
  json_decref(state);
  return status;
}

/* A network file system may fail a write now and take it a moment later; a full disk stays full. A checkpoint is
 * written anew each time; the logs are not, so their sync is not tried again: see plm_fs_sync. */
static plm_status publish_patiently(plm_run *run) {
  static const time_t pauses[] = {1, 4};
  PLM_TRY(plm_metrics_sync(run->metrics));
  plm_status status = publish(run);
  for (size_t i = 0; i < sizeof pauses / sizeof *pauses && status == PLM_E_RESOURCE; i++) {
    plm_warn("saving checkpoint-%lld failed, trying again in %lld s: %s", (long long)run->state.step,
             (long long)pauses[i], plm_error_message());
    struct timespec pause = {.tv_sec = pauses[i]};
    while (nanosleep(&pause, &pause) != 0 && errno == EINTR && (plm_stop_signals() & PLM_STOP_EARLY) == 0) continue;
    status = publish(run);
  }
  return status;
}

static plm_status after_save(plm_run *run) {
  const plm_train_state *s = &run->state;
  if (s->best_step == s->step && plm_checkpoint_link(run->directory.path, "best", s->step) != PLM_OK) {
    plm_warn("%s", plm_error_message()); /* for people, as `latest` is: the state knows the best */
    plm_error_clear();
  }
  return plm_checkpoint_prune(run->directory.path, (int)run->settings->o->save_total_limit, &s->best_step,
                              s->best_step >= 0 ? 1 : 0);
}

/* Only rank 0 writes; all ranks learn how it went. */
plm_status plm_run_save(plm_run *run) {
  plm_status status = PLM_OK, worst;
  PLM_TRY(check_finite(run));
  if (run->context.comm->rank == 0) {
    plm_run_phase(&run->context, "saving checkpoint-%lld", (long long)run->state.step);
    status = publish_patiently(run);
    if (status == PLM_OK) status = after_save(run);
  }
  PLM_TRY(run->context.comm->agree(run->context.comm, status, &worst));
  if (status != PLM_OK) {
    const char *remedy = plm_error_hint();
    if (status == PLM_E_RESOURCE && run->last_checkpoint[0] != '\0')
      plm_hint(status, "%s%sthe last good checkpoint is %s: the same command goes on from there", remedy,
               *remedy != '\0' ? "; " : "", run->last_checkpoint);
    return status;
  }
  if (worst != PLM_OK) return plm_fail(worst, "rank 0 could not save step %lld", (long long)run->state.step);
  return PLM_OK;
}

/* ---- final/ ---- */

/* *ret_good: it can be loaded. A damaged one is like one that isn't there: the run's own end is good, and no new start
 * would mend it. */
static plm_status verify_best(plm_run *run, const char *path, bool *ret_good) {
  plm_status status = plm_checkpoint_verify(path);
  *ret_good = status == PLM_OK;
  if (status != PLM_E_CHECKPOINT) return status;
  plm_warn("checkpoint-%lld, the best, is damaged: final/ is the model of step %lld, the last: %s",
           (long long)run->state.best_step, (long long)run->state.step, plm_error_message());
  plm_error_clear();
  plm_train_state_set_best(&run->state, -1, NAN);
  return PLM_OK;
}

/* Become the best model of the run, if that is asked for and it isn't this one. */
static plm_status load_best(plm_run *run) {
  const plm_train_state *s = &run->state;
  bool good;
  if (!run->settings->o->load_best_model_at_end || s->best_step < 0 || s->best_step == s->step) return PLM_OK;
  char name[48], *path;
  json_t *state = NULL;
  snprintf(name, sizeof name, "checkpoint-%lld", (long long)s->best_step);
  PLM_TRY(plm_path_join(run->directory.path, name, &path));
  plm_status status = verify_best(run, path, &good);
  if (status == PLM_OK && good)
    status = plm_checkpoint_load(path, run->model, run->machine.exec, plm_optimiser_moments(run->optimiser), &state);
  plm_free(path);
  json_decref(state);
  PLM_TRY(status);
  if (!good) return PLM_OK;
  plm_info("final/ is the model of step %lld, whose evaluation loss was lowest", (long long)s->best_step);
  return plm_model_refresh(run->model, run->machine.exec, PLM_REFRESH_ALL);
}

/* trainer_state.json in final/ says of which step it is the end: one of an earlier, shorter run is not mistaken for it.
 * */
static plm_status write_final_state(const plm_run *run, const char *directory) {
  json_t *state = NULL;
  char *path = NULL, *text = NULL;
  plm_status status;
  PLM_TRY_GOTO(trainer_state(run, &state), done);
  PLM_TRY_GOTO(plm_json_dump(state, &text), done);
  PLM_TRY_GOTO(plm_path_join(directory, "trainer_state.json", &path), done);
  PLM_TRY_GOTO(plm_file_replace(path, text, strlen(text)), done);
done:
  json_decref(state);
  plm_free(text);
  plm_free(path);
  return status;
}

/* Move a complete directory to its name; what stood there goes to the trash first. */
static plm_status replace_directory(const char *parent, const char *from, const char *to, const char *trash) {
  if (plm_name_is_taken(to)) PLM_TRY(plm_file_rename(to, trash));
  PLM_TRY(plm_file_rename(from, to));
  PLM_TRY(plm_directory_sync(parent));
  return plm_tree_remove(trash);
}

static plm_status write_final(plm_run *run) {
  const plm_save_options options = {.weights = true, .half = strcmp(run->settings->o->save_dtype, "bf16") == 0};
  char *paths[3] = {NULL, NULL, NULL};
  plm_status status;
  PLM_TRY_GOTO(plm_path_join(run->directory.path, "final", &paths[0]), done);
  PLM_TRY_GOTO(plm_checkpoint_staging_path(run->directory.path, "tmp", run->state.step, &paths[1]), done);
  PLM_TRY_GOTO(plm_checkpoint_staging_path(run->directory.path, ".trash", run->state.step, &paths[2]), done);
  PLM_TRY_GOTO(load_best(run), done);
  PLM_TRY_GOTO(plm_directory_create(paths[1]), done);
  PLM_TRY_GOTO(plm_model_dir_save(paths[1], run->model, &options), done);
  PLM_TRY_GOTO(write_final_state(run, paths[1]), done);
  PLM_TRY_GOTO(replace_directory(run->directory.path, paths[1], paths[0], paths[2]), done);
done:
  for (int i = 0; i < 3; i++) plm_free(paths[i]);
  return status;
}

/* Whole by its header and size: a copy that failed, or a disk that was full, is made again from the checkpoint. */
static bool has_final_weights(const plm_run *run) {
  char *path = NULL;
  plm_safetensors *file = NULL;
  plm_status status = plm_sprintf(&path, "%s/final/model.safetensors", run->directory.path);
  if (status == PLM_OK) status = plm_safetensors_open(path, &file);
  if (status != PLM_OK) plm_error_clear();
  plm_safetensors_close(file);
  plm_free(path);
  return status == PLM_OK;
}

bool plm_run_has_final(const plm_run *run) {
  char *path = NULL;
  json_t *state = NULL;
  int64_t step = -1;
  plm_status status = plm_sprintf(&path, "%s/final/trainer_state.json", run->directory.path);
  if (status == PLM_OK) status = plm_file_exists(path) ? plm_json_load(path, &state) : PLM_E_INPUT;
  if (status == PLM_OK) status = plm_json_get_int(state, path, "global_step", true, 0, INT64_MAX, &step);
  if (status != PLM_OK) plm_error_clear();
  json_decref(state);
  plm_free(path);
  return status == PLM_OK && step == run->state.step && has_final_weights(run);
}

/* The report is a convenience: without it the run is still a success. */
static void write_report(plm_run *run) {
  plm_run_phase(&run->context, "writing report.html");
  if (plm_report_write(run->directory.path, NULL) == PLM_OK) return;
  plm_warn("report.html could not be written: %s", plm_error_message());
  plm_error_clear();
}

plm_status plm_run_write_final(plm_run *run) {
  plm_status status = PLM_OK, worst;
  if (run->context.comm->rank == 0) {
    plm_run_phase(&run->context, "writing final/");
    status = write_final(run);
    if (status == PLM_OK) write_report(run);
  }
  PLM_TRY(run->context.comm->agree(run->context.comm, status, &worst));
  if (status == PLM_OK && worst != PLM_OK) return plm_fail(worst, "rank 0 could not write final/");
  return status;
}
