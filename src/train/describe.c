/* describe.c - what is needed to understand a run later: config.yaml, env.json, and the batch that broke it. */
#include "train/outputs.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/system.h"

static plm_status replace_json(const plm_outputs *outputs, const char *name, json_t *document) {
  if (document == NULL) return plm_fail(PLM_E_RESOURCE, "out of memory while writing %s", name);
  return plm_json_replace(outputs->directory.path, name, document);
}

/* The list with `value` in it; NULL when out of memory, which json_pack passes on: no list rather than one that lacks
 * something. */
static json_t *append(json_t *list, json_t *value) {
  if (json_array_append_new(list, value) == 0) return list;
  json_decref(list);
  return NULL;
}

/* The words of the command line, from the kernel. New reference; an empty list where it cannot be had. */
static json_t *command_line(void) {
  json_t *words = json_array();
  char *data = NULL;
  size_t bytes = 0;
  if (plm_file_read("/proc/self/cmdline", 1 << 20, &data, &bytes) != PLM_OK) {
    plm_error_clear();
    return words;
  }
  for (size_t i = 0; i < bytes; i += strlen(data + i) + 1) words = append(words, plm_json_string(data + i));
  plm_free(data);
  return words;
}

static json_t *environment(void) {
  static const char *const names[] = {"PROTLM_CPU",         "OMP_NUM_THREADS",     "OMP_PROC_BIND",
                                      "SLURM_JOB_ID",       "SLURM_JOB_NAME",      "SLURM_NTASKS",
                                      "SLURM_JOB_NODELIST", "SLURM_RESTART_COUNT", "SLURM_CPUS_PER_TASK"};
  json_t *object = json_object();
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const char *value = getenv(names[i]);
    if (value == NULL || json_object_set_new(object, names[i], plm_json_string(value)) == 0) continue;
    json_decref(object);
    return NULL;
  }
  return object;
}

static plm_status write_environment(const plm_outputs *outputs) {
  const plm_output_parts *parts = &outputs->parts;
  const plm_train_options *o = parts->settings->o;
  const plm_comm *comm = parts->context->comm;
  plm_system system;
  char directory[4096] = "", when[64] = "";
  time_t now = (time_t)plm_clock_wall();
  struct tm utc;
  plm_system_read(&system);
  if (getcwd(directory, sizeof directory) == NULL) directory[0] = '\0';
  if (gmtime_r(&now, &utc) != NULL) strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
  json_t *document = json_pack(
      "{s:s, s:s, s:s, s:i, s:I, s:o, s:o, s:o, s:o, s:o, s:i, s:I, s:I, s:s, s:s, s:b, s:s, s:I, s:i, s:i, s:o}",
      "protlm", PLM_VERSION, "started", when, "run_id", parts->state->run_id, "process", (int)getpid(), "first_step",
      (json_int_t)parts->state->step + 1, "command", command_line(), "directory", plm_json_string(directory), "host",
      plm_json_string(system.hostname), "os", plm_json_string(system.os), "cpu", plm_json_string(system.cpu), "cpus",
      system.cpus, "memory_bytes", (json_int_t)system.memory, "threads", (json_int_t)o->threads, "kernels",
      parts->exec->kernels, "threading", plm_pool_kind(), "onednn", PLM_HAVE_ONEDNN, "dtype", o->dtype,
      "micro_batch_tokens", (json_int_t)o->micro_batch_tokens, "rank", comm->rank, "ranks", comm->size, "environment",
      environment());
  plm_status status = replace_json(outputs, "env.json", document);
  json_decref(document);
  return status;
}

plm_status plm_outputs_describe(const plm_outputs *outputs) {
  char *yaml;
  PLM_TRY(plm_options_config(outputs->parts.settings->values, true, &yaml));
  plm_status status = plm_file_replace_text(outputs->directory.path, "config.yaml", yaml);
  plm_free(yaml);
  PLM_TRY(status);
  return write_environment(outputs);
}

/* ---- the batch of a step that was not finite ---- */

static json_t *list_sequences(const plm_comm *comm, const plm_dataset *dataset, const plm_step_batch *batch) {
  json_t *list = json_array();
  for (int64_t i = 0; i < batch->micro_count; i++) {
    const plm_tokens *tokens = &batch->micro[i]->batch.encoder;
    for (int64_t s = 0; s < tokens->S; s++) {
      char name[256];
      plm_dataset_name(dataset, tokens->sequence_id[s], name, sizeof name);
      json_t *one =
          json_pack("{s:I, s:o, s:i, s:I}", "sequence_id", (json_int_t)tokens->sequence_id[s], "name",
                    plm_json_string(name), "crop_offset", (int)tokens->crop_offset[s], "micro_batch", (json_int_t)i);
      if (one != NULL && comm->size > 1 && json_object_set_new(one, "rank", json_integer(comm->rank)) != 0) {
        json_decref(one);
        one = NULL;
      }
      list = append(list, one);
    }
  }
  return list;
}

/* What `root` has, behind what is in `list` already; on every rank, though only the first one writes it. */
static plm_status take_list(plm_comm *comm, int root, const json_t *mine, json_t *list) {
  char *text = NULL;
  int64_t bytes = 0;
  json_t *its = NULL;
  plm_status status = comm->rank == root ? plm_json_dump(mine, &text) : PLM_OK;
  if (status == PLM_OK && comm->rank == root) bytes = (int64_t)strlen(text);
  PLM_TRY_GOTO(plm_agree(comm, "step", status), done);
  PLM_TRY_GOTO(comm->broadcast(comm, "step", &bytes, sizeof bytes, root), done);
  if (comm->rank != root) status = PLM_NEW(&text, bytes + 1);
  PLM_TRY_GOTO(plm_agree(comm, "step", status), done);
  PLM_TRY_GOTO(comm->broadcast(comm, "step", text, bytes, root), done);
  if (comm->rank == 0) status = plm_json_parse(text, (size_t)bytes, 8, "sequences of a batch", &its);
  if (status == PLM_OK && comm->rank == 0 && json_array_extend(list, its) != 0)
    status = plm_fail(PLM_E_RESOURCE, "out of memory while listing the sequences of a batch");
  status = plm_agree(comm, "step", status);
done:
  json_decref(its);
  plm_free(text);
  return status;
}

static plm_status gather_sequences(plm_comm *comm, const plm_dataset *dataset, const plm_step_batch *batch,
                                   json_t **ret_list) {
  json_t *mine = list_sequences(comm, dataset, batch), *all;
  if (comm->size == 1) {
    *ret_list = mine;
    return PLM_OK;
  }
  all = json_array();
  plm_status status = mine != NULL && all != NULL ? PLM_OK : plm_fail(PLM_E_RESOURCE, "out of memory");
  status = plm_agree(comm, "step", status);
  for (int root = 0; root < comm->size && status == PLM_OK; root++) status = take_list(comm, root, mine, all);
  json_decref(mine);
  if (status != PLM_OK) json_decref(all);
  *ret_list = status == PLM_OK ? all : NULL;
  return status;
}

plm_status plm_outputs_describe_batch(const plm_outputs *outputs, const plm_dataset *dataset,
                                      const plm_step_batch *batch, const plm_control *control, char **ret_path) {
  plm_comm *comm = outputs->parts.context->comm;
  json_t *sequences, *document = NULL;
  char *name;
  PLM_TRY(gather_sequences(comm, dataset, batch, &sequences));
  plm_status status = plm_sprintf(&name, "nonfinite-%lld.json", (long long)batch->step + 1);
  if (status == PLM_OK) {
    document = json_pack("{s:I, s:I, s:I, s:I, s:o}", "step", (json_int_t)batch->step + 1, "epoch",
                         (json_int_t)batch->epoch, "rows", (json_int_t)control->objective[0].count, "nonfinite",
                         (json_int_t)control->nonfinite, "sequences", sequences);
    if (comm->rank == 0) status = replace_json(outputs, name, document);
    if (status == PLM_OK) status = plm_path_join(outputs->directory.path, name, ret_path);
    json_decref(document);
    plm_free(name);
  }
  return plm_agree(comm, "step", status);
}
