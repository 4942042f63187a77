/* resume.c - entering a run directory. Contents: whose it is, lock, choice of the checkpoint, entering, whether all ranks
 * see it, leaving. The comparison of options: resume_diff.c. */
#include "train/resume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/system.h"
#include "base/clock.h"
#include "checkpoint/checkpoint.h"
#include "protlm/log.h"
#include "train/seen.h"
#include "train/stopped.h"

static const char lock_name[] = "run.lock";

/* ---- whose directory ---- */

typedef enum directory_kind { DIRECTORY_ABSENT, DIRECTORY_EMPTY, DIRECTORY_RUN, DIRECTORY_FOREIGN } directory_kind;

/* Another trainer's directory may hold checkpoint-<step> too: ours has files of our own, or what is left of them. */
static bool is_our_checkpoint(const char *directory, const char *name) {
  char *path = NULL;
  const bool is_ours = strncmp(name, "checkpoint-", strlen("checkpoint-")) == 0 &&
                       plm_path_join(directory, name, &path) == PLM_OK && plm_checkpoint_is_ours(path);
  plm_free(path);
  return is_ours;
}

static plm_status classify(const char *path, directory_kind *ret_kind, char foreign[64]) {
  *ret_kind = DIRECTORY_ABSENT;
  if (!plm_file_exists(path)) return PLM_OK;
  if (!plm_file_is_directory(path))
    return plm_hint(plm_fail(PLM_E_RESOURCE, "--output-dir %s is a file, not a directory", path),
                    "choose another name");
  char **names;
  size_t count;
  PLM_TRY(plm_directory_list(path, &names, &count));
  *ret_kind = count == 0 ? DIRECTORY_EMPTY : DIRECTORY_FOREIGN;
  for (size_t i = 0; i < count; i++)
    if (strcmp(names[i], lock_name) == 0 || is_our_checkpoint(path, names[i])) *ret_kind = DIRECTORY_RUN;
  if (count > 0) snprintf(foreign, 64, "%s", names[0]);
  plm_names_free(names, count);
  return PLM_OK;
}

static plm_status refuse_foreign(const char *path, const char *found) {
  return plm_hint(
      plm_fail(PLM_E_USAGE, "--output-dir %s is not empty and not a run of protlm (it holds %s)", path, found),
      "choose a new directory; nothing was changed in this one");
}

/* ---- lock ---- */

static plm_status take_lock(plm_run_directory *d) {
  char note[256], host[128], *lock_path, *holder = NULL;
  const char *job = getenv("SLURM_JOB_ID");
  bool elsewhere = false;
  plm_host_name(host, sizeof host);
  snprintf(note, sizeof note, "host %s, process %ld%s%s", host, (long)getpid(), job != NULL ? ", job " : "",
           job != NULL ? job : "");
  PLM_TRY(plm_path_join(d->path, lock_name, &lock_path));
  plm_status status = plm_lock_take(lock_path, note, &d->lock, &elsewhere, &holder);
  plm_free(lock_path);
  if (status == PLM_OK && elsewhere)
    status = plm_hint(plm_fail(PLM_E_USAGE, "--output-dir %s is in use by another run (%s)", d->path,
                               holder != NULL && *holder != '\0' ? holder : "unknown"),
                      "wait until it ends, stop it, or choose another --output-dir");
  plm_free(holder);
  return status;
}

/* ---- choice of the checkpoint ---- */

/* A checkpoint named by the user: a checkpoint directory, or a run whose newest is meant. */
static plm_status find_named(const char *name, char **ret_path, int64_t *ret_step) {
  if (!plm_file_is_directory(name))
    return plm_hint(plm_fail(PLM_E_USAGE, "--resume-from-checkpoint %s: there is no such directory", name),
                    "use auto, never, or a checkpoint-<step> directory");
  char *state_path;
  PLM_TRY(plm_path_join(name, "protlm_state.json", &state_path));
  bool is_checkpoint = plm_file_exists(state_path);
  plm_free(state_path);
  if (!is_checkpoint) {
    PLM_TRY(plm_checkpoint_find_newest(name, ret_path, ret_step));
    if (*ret_path != NULL) return PLM_OK;
    const char *writer = plm_checkpoint_other_writer(name);
    return plm_hint(plm_fail(PLM_E_USAGE, "--resume-from-checkpoint %s: this is no checkpoint of protlm%s%s", name,
                             writer != NULL ? ", but one of " : "", writer != NULL ? writer : ""),
                    "to start from the weights of a model, use --model %s", name);
  }
  PLM_TRY(plm_checkpoint_verify(name));
  json_t *state;
  PLM_TRY(plm_checkpoint_read_state(name, &state));
  plm_status status = plm_json_get_int(state, "protlm_state.json", "step", true, 0, INT64_MAX, ret_step);
  json_decref(state);
  PLM_TRY(status);
  return plm_strdup(name, ret_path);
}

/* run_id of a checkpoint into `id`; "" when it cannot be read. */
static void read_run_id(const char *checkpoint, char id[33]) {
  json_t *state = NULL;
  const char *text = "";
  id[0] = '\0';
  if (plm_checkpoint_read_state(checkpoint, &state) != PLM_OK ||
      plm_json_get_string(state, checkpoint, "run_id", true, &text) != PLM_OK)
    plm_error_clear();
  snprintf(id, 33, "%s", text);
  json_decref(state);
}

/* A run that branched off from the named checkpoint of another directory goes on by itself when the same command is
 * given again. */
static bool has_branched_off(const char *run, const char *newest, const char *named) {
  char mine[33], its[33], *parent = NULL;
  if (plm_sprintf(&parent, "%s/..", named) != PLM_OK) return false;
  bool inside = plm_file_is_same(parent, run);
  plm_free(parent);
  read_run_id(newest, mine);
  read_run_id(named, its);
  return !inside && mine[0] != '\0' && strcmp(mine, its) == 0;
}

/* The checkpoint called `how`, unless this directory has gone on from it already; never one that would be mixed with
 * another run's. */
static plm_status choose_named(const char *how, plm_run_directory *d, char **newest, int64_t newest_step) {
  PLM_TRY(find_named(how, &d->checkpoint, &d->step));
  if (*newest == NULL || plm_file_is_same(*newest, d->checkpoint)) return PLM_OK;
  if (!has_branched_off(d->path, *newest, d->checkpoint) || newest_step < d->step)
    return plm_hint(
        plm_fail(PLM_E_USAGE,
                 "--resume-from-checkpoint %s: %s already holds a run at step %lld, which would be mixed with it", how,
                 d->path, (long long)newest_step),
        "choose a new --output-dir to branch off from that checkpoint");
  plm_free(d->checkpoint);
  d->checkpoint = *newest;
  d->step = newest_step;
  *newest = NULL;
  return PLM_OK;
}

/* final/ without a checkpoint is a finished run that was tidied up: training again would replace the one thing that was
 * kept. */
static plm_status refuse_finished(const char *run) {
  char *path;
  PLM_TRY(plm_path_join(run, "final", &path));
  bool is_there = plm_file_is_directory(path);
  plm_free(path);
  if (!is_there) return PLM_OK;
  plm_fail(PLM_E_USAGE, "--output-dir %s holds the final/ of a run, and no checkpoint to go on from", run);
  return plm_hint(PLM_E_USAGE, "choose a new --output-dir; --model %s/final goes on from its weights", run);
}

static plm_status choose_checkpoint(const char *how, plm_run_directory *d, bool is_run) {
  char *newest = NULL;
  int64_t newest_step = -1;
  plm_status status = PLM_OK;
  if (is_run) PLM_TRY(plm_checkpoint_find_newest(d->path, &newest, &newest_step));
  if (is_run && newest == NULL) PLM_TRY(refuse_finished(d->path));
  if (strcmp(how, "auto") == 0) {
    d->checkpoint = newest;
    d->step = newest_step;
    return PLM_OK;
  }
  if (strcmp(how, "never") != 0)
    status = choose_named(how, d, &newest, newest_step);
  else if (newest != NULL)
    status = plm_hint(plm_fail(PLM_E_USAGE, "--resume-from-checkpoint never: %s holds a run already, at step %lld",
                               d->path, (long long)newest_step),
                      "choose a new --output-dir");
  plm_free(newest);
  return status;
}

/* ---- entering and leaving ---- */

static plm_status enter(const plm_train_settings *s, plm_run_directory *d) {
  directory_kind kind;
  char found[64] = "";
  PLM_TRY(classify(d->path, &kind, found));
  if (kind == DIRECTORY_FOREIGN) return refuse_foreign(d->path, found);
  if (!s->o->dry_run) {
    if (kind == DIRECTORY_ABSENT) {
      PLM_TRY(plm_directory_make(d->path));
      d->created = true;
    }
    PLM_TRY(take_lock(d));
  }
  if (kind == DIRECTORY_RUN) PLM_TRY(plm_stopped_tell(d->path, !s->o->dry_run));
  if (!s->o->dry_run) PLM_TRY(plm_checkpoint_reclaim(d->path));
  return choose_checkpoint(s->o->resume_from_checkpoint, d, kind == DIRECTORY_RUN);
}

/* ---- among ranks ---- */

static plm_status remove_named(const char *directory, const char *name) {
  char *path;
  PLM_TRY(plm_path_join(directory, name, &path));
  plm_status status = plm_file_remove(path);
  plm_free(path);
  return status;
}

/* A failure to tidy up changes nothing for anyone, and takes no other's words. */
static void remove_quietly(const char *directory, const char *name) {
  plm_error_record first;
  plm_error_take(PLM_OK, &first);
  if (remove_named(directory, name) != PLM_OK) plm_debug("%s", plm_error_message());
  plm_error_give(&first);
}

static plm_status look_for(const plm_run_directory *d, const plm_comm *comm, const char *name) {
  if (plm_file_is_seen(d->path, name)) return PLM_OK;
  return plm_hint(plm_fail(PLM_E_RESOURCE, "--output-dir %s is on %s only, e.g. a node-local /tmp or /dev/shm", d->path,
                           comm->places[0].host),
                  "use a directory that all nodes share");
}

/* Rank 0 makes a file, of a name that is reclaimed should it stay; the others look for it. */
static plm_status check_seen(const plm_run_directory *d, plm_comm *comm) {
  char *name = NULL;
  plm_status status = PLM_OK;
  if (comm->rank == 0)
    status = plm_sprintf(&name, "tmp-seen-%lld-%ld", (long long)(plm_clock_wall() * 1e6), (long)getpid());
  if (comm->rank == 0 && status == PLM_OK) status = plm_file_replace_text(d->path, name, "");
  status = plm_agree(comm, "directory", status);
  if (status == PLM_OK) status = plm_agree_on_text(comm, "directory", &name);
  if (status == PLM_OK) status = plm_agree(comm, "directory", comm->rank == 0 ? PLM_OK : look_for(d, comm, name));
  if (comm->rank == 0 && name != NULL && d->lock != NULL) remove_quietly(d->path, name);
  plm_free(name);
  return status;
}

static plm_status enter_together(const plm_train_settings *settings, plm_comm *comm, plm_run_directory *d) {
  PLM_TRY(plm_agree(comm, "directory", comm->rank == 0 ? enter(settings, d) : PLM_OK));
  if (comm->size == 1) return PLM_OK;
  PLM_TRY(plm_agree_on_text(comm, "directory", &d->checkpoint));
  PLM_TRY(plm_agree_on_first(comm, "directory", &d->step, sizeof d->step));
  return settings->o->dry_run ? PLM_OK : check_seen(d, comm);
}

plm_status plm_run_directory_open(const plm_train_settings *settings, plm_comm *comm,
                                  plm_run_directory *ret_directory) {
  plm_run_directory d = {.step = -1};
  if (settings->o->output_dir == NULL) {
    *ret_directory = d;
    return PLM_OK;
  }
  plm_status status = plm_agree(comm, "directory", plm_strdup(settings->o->output_dir, &d.path));
  if (status == PLM_OK) status = enter_together(settings, comm, &d);
  if (status != PLM_OK) {
    plm_run_directory_close(&d, false);
    return status;
  }
  *ret_directory = d;
  return PLM_OK;
}

/* ---- leaving ---- */

/* What a start writes before its first step is done. */
static bool is_early(const char *name) {
  static const char *const names[] = {"config.yaml", "env.json", "log.jsonl", "metrics.csv"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(name, names[i]) == 0) return true;
  return strncmp(name, "events.out.tfevents.", strlen("events.out.tfevents.")) == 0;
}

/* What came of this start goes: files from which nothing followed, and the directory if it was made for nothing. */
static plm_status remove_early(const plm_run_directory *d, bool fruitless) {
  char **names;
  size_t count, left = 0;
  PLM_TRY(plm_directory_list(d->path, &names, &count));
  plm_status status = PLM_OK;
  for (size_t i = 0; i < count && status == PLM_OK; i++) {
    if (fruitless && is_early(names[i]))
      status = remove_named(d->path, names[i]);
    else
      left += strcmp(names[i], lock_name) != 0;
  }
  plm_names_free(names, count);
  PLM_TRY(status);
  if (!d->created || left > 0) return PLM_OK;
  PLM_TRY(remove_named(d->path, lock_name));
  return plm_directory_remove_empty(d->path); /* whoever has entered since the lock went keeps what is theirs */
}

/* A failure to tidy up changes nothing for anyone. */
static void remove_outputs(const plm_run_directory *d, bool fruitless) {
  plm_error_record first;
  plm_error_take(PLM_OK, &first);
  if (remove_early(d, fruitless) != PLM_OK) plm_debug("%s", plm_error_message());
  plm_error_give(&first);
}

void plm_run_directory_close(plm_run_directory *d, bool fruitless) {
  if (d->lock != NULL && (d->created || fruitless)) remove_outputs(d, fruitless);
  plm_lock_release(d->lock);
  plm_free(d->path);
  plm_free(d->checkpoint);
  memset(d, 0, sizeof *d);
}
