/* ckpt.c - `protlm ckpt ls` and `protlm ckpt verify`: what a run has on disk, and whether it can be believed. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/commands.h"
#include "app/output_file.h"
#include "app/print.h"
#include "base/file.h"
#include "base/text.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/manifest.h"

typedef struct ckpt_options {
  plm_string_list paths;
  bool deep;
} ckpt_options;

static const plm_option ls_options[] = {
    {
        .name = "deep",
        .type = PLM_OPT_FLAG,
        .offset = offsetof(ckpt_options, deep),
        .default_value = "false",
        .group = "Checks",
        .help = "read every byte and compare checksums, not only sizes",
    },
};

const plm_option_table *plm_ckpt_ls_option_table(void) {
  static const plm_option_table table = {
      .command = "ckpt ls",
      .summary = "list a run's checkpoints and say which are good",
      .usage = "protlm ckpt ls [--deep] RUN|CHECKPOINT...",
      .description =
          "Lists checkpoint-<step> of each run directory, or the checkpoint named itself, with its size, its time, and whether it is "
          "complete. A damaged one is named with what is wrong; the exit code is then 4. One that another program has written, such "
          "as transformers' Trainer, is listed as foreign and not judged. The exit code is 2 for a directory that is no run.",
      .examples = "protlm ckpt ls run\nprotlm ckpt ls --deep run\n",
      .options = ls_options,
      .count = sizeof ls_options / sizeof *ls_options,
      .positional = "RUN|CHECKPOINT...",
      .positional_offset = offsetof(ckpt_options, paths),
      .struct_size = sizeof(ckpt_options),
  };
  return &table;
}

const plm_option_table *plm_ckpt_verify_option_table(void) {
  static const plm_option_table table = {
      .command = "ckpt verify",
      .summary = "check every byte of checkpoints against their manifests",
      .usage = "protlm ckpt verify RUN|CHECKPOINT...",
      .description =
          "Reads every file of each checkpoint (or of all checkpoints of each run directory) and compares size and xxh3 checksum with "
          "MANIFEST.json. The exit code is 4 when one is damaged, 2 when a directory has none.",
      .examples = "protlm ckpt verify run\nprotlm ckpt verify run/checkpoint-500\n",
      .positional = "RUN|CHECKPOINT...",
      .positional_offset = offsetof(ckpt_options, paths),
      .struct_size = sizeof(ckpt_options),
  };
  return &table;
}

/* Another program's: nothing is known of it but its weights. */
static void print_foreign(const plm_output *output, const plm_checkpoint_info *c) {
  char *config = NULL, word[PLM_SHELL_WORD];
  plm_print(output, "%9lld  %10s  %-16s  foreign  %s\n           %s: nothing is checked here\n", (long long)c->step,
            "-", "-", c->path, c->problem);
  if (plm_path_join(c->path, "config.json", &config) == PLM_OK && plm_file_exists(config))
    plm_print(output, "           to go on from its weights: protlm train --model %s ...\n",
              plm_shell_word(c->path, word));
  plm_free(config);
}

static void print_checkpoint(const plm_output *output, const plm_checkpoint_info *c) {
  char size[PLM_NUMBER_TEXT], when[32] = "-";
  if (c->state == PLM_CHECKPOINT_FOREIGN) {
    print_foreign(output, c);
    return;
  }
  time_t seconds = (time_t)c->written;
  struct tm local;
  if (c->written > 0 && localtime_r(&seconds, &local) != NULL) strftime(when, sizeof when, "%Y-%m-%d %H:%M", &local);
  bool good = c->state == PLM_CHECKPOINT_GOOD;
  plm_print(output, "%9lld  %10s  %-16s  %s%s%s  %s\n", (long long)c->step, plm_bytes_text(c->bytes, size), when,
            plm_style(output, good ? PLM_GREEN : PLM_RED), good ? "good   " : "damaged", plm_style(output, PLM_RESET),
            c->path);
  if (!good) plm_print(output, "           %s\n", c->problem);
}

static void print_heading(const plm_output *output) {
  plm_print(output, "%s%9s  %10s  %-16s  %-7s  %s%s\n", plm_style(output, PLM_BOLD), "step", "size", "written", "state",
            "path", plm_style(output, PLM_RESET));
}

/* ---- what is no run ---- */

static plm_status refuse_file(const char *path) {
  char *directory, word[PLM_SHELL_WORD];
  PLM_TRY(plm_path_parent(path, &directory));
  plm_status status = plm_fail(PLM_E_USAGE, "%s is a file; a run, or a checkpoint, is a directory", path);
  if (plm_directory_holds(directory, PLM_MANIFEST_NAME))
    plm_hint(status, "`protlm ckpt ls %s`", plm_shell_word(directory, word));
  else
    plm_hint(status, "give what --output-dir was, or a checkpoint-<step> in it");
  plm_free(directory);
  return status;
}

/* A run that has saved nothing so far is one by its other files. */
static plm_status check_run(const char *path) {
  static const char *const files[] = {"run.lock", "log.jsonl", "config.yaml", "final"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    if (plm_directory_holds(path, files[i])) return PLM_OK;
  plm_status status =
      plm_fail(PLM_E_USAGE, "%s is no run's directory: it has no checkpoint-<step>, and none of a run's files", path);
  if (plm_directory_holds(path, "config.json"))
    return plm_hint(status, "it is a model's; a run is what --output-dir was");
  return plm_hint(status, "give what --output-dir was, or a checkpoint-<step> in it");
}

/* How many were looked at, how many of them are damaged, and how many of those may be anybody's; and how many were not,
 * as another program's. */
typedef struct tally {
  int64_t count, damaged, unknown, foreign;
} tally;

static void count_checkpoint(const plm_checkpoint_info *c, tally *t) {
  t->count += c->state != PLM_CHECKPOINT_FOREIGN;
  t->foreign += c->state == PLM_CHECKPOINT_FOREIGN;
  if (c->state != PLM_CHECKPOINT_DAMAGED) return;
  t->damaged++;
  t->unknown += !c->is_ours;
}

static plm_status list_run(const char *run, bool deep, const plm_output *output, tally *ret_tally) {
  plm_checkpoint_info *list;
  size_t count;
  PLM_TRY(plm_checkpoint_list(run, deep, &list, &count));
  if (count > 0) print_heading(output);
  for (size_t i = 0; i < count; i++) {
    print_checkpoint(output, &list[i]);
    count_checkpoint(&list[i], ret_tally);
  }
  plm_checkpoint_list_free(list, count);
  return PLM_OK;
}

/* ---- one checkpoint, named itself ---- */

/* "checkpoint-<step>", with or without slashes behind it. */
static bool is_named_checkpoint(const char *path) {
  static const char prefix[] = "checkpoint-";
  size_t end = strlen(path);
  while (end > 0 && path[end - 1] == '/') end--;
  size_t digits = end;
  while (digits > 0 && path[digits - 1] >= '0' && path[digits - 1] <= '9') digits--;
  size_t length = strlen(prefix);
  if (digits == end || digits < length || strncmp(path + digits - length, prefix, length) != 0) return false;
  return digits == length || path[digits - length - 1] == '/';
}

/* A damaged one may have lost its manifest, but not its name. */
static bool is_checkpoint(const char *path) {
  return is_named_checkpoint(path) || plm_directory_holds(path, PLM_MANIFEST_NAME);
}

static plm_status list_foreign(const char *path, char *problem, const plm_output *output) {
  char shown[4096];
  const char *digits = strrchr(path, '-');
  snprintf(shown, sizeof shown, "%s", path);
  print_heading(output);
  print_foreign(output, &(plm_checkpoint_info){
                            .step = digits != NULL ? strtoll(digits + 1, NULL, 10) : -1,
                            .path = shown,
                            .problem = problem,
                        });
  return PLM_OK;
}

static plm_status list_checkpoint(const char *path, bool deep, const plm_output *output, tally *ret_tally) {
  char foreign[PLM_FOREIGN_TEXT];
  if (plm_checkpoint_is_foreign(path, foreign)) return list_foreign(path, foreign, output);
  plm_manifest manifest = {.step = -1};
  plm_status status = plm_manifest_read(path, &manifest);
  if (status == PLM_OK) status = plm_manifest_check(&manifest, path, deep);
  if (status != PLM_OK && status != PLM_E_CHECKPOINT) return status;
  bool good = status == PLM_OK;
  char problem[1024] = "", shown[4096];
  if (!good) snprintf(problem, sizeof problem, "%s", plm_error_message());
  if (!good) plm_error_clear();
  snprintf(shown, sizeof shown, "%s", path);
  print_heading(output);
  const plm_checkpoint_info info = {
      .step = manifest.step,
      .path = shown,
      .state = good ? PLM_CHECKPOINT_GOOD : PLM_CHECKPOINT_DAMAGED,
      .problem = problem,
      .is_ours = plm_checkpoint_is_ours(path),
      .bytes = plm_manifest_bytes(&manifest),
      .written = manifest.written,
  };
  print_checkpoint(output, &info);
  count_checkpoint(&info, ret_tally);
  return PLM_OK;
}

static plm_status need_paths(const plm_string_list *paths) {
  if (paths->count == 0)
    return plm_hint(plm_fail(PLM_E_USAGE, "no run directory was given"),
                    "protlm ckpt ls RUN, where RUN is what --output-dir was");
  for (size_t i = 0; i < paths->count; i++)
    if (!plm_file_is_directory(paths->items[i]))
      return plm_file_exists(paths->items[i]) ? refuse_file(paths->items[i])
                                              : plm_fail(PLM_E_USAGE, "%s: no such directory", paths->items[i]);
  return PLM_OK;
}

/* Nobody is told to remove what protlm may not have written. */
static plm_status verdict(const tally *t) {
  if (t->damaged == 0) return PLM_OK;
  plm_status status =
      plm_fail(PLM_E_CHECKPOINT, "%lld damaged checkpoint%s", (long long)t->damaged, t->damaged == 1 ? "" : "s");
  if (t->damaged == t->count)
    return t->unknown > 0 ? status
                          : plm_hint(status, "there is no good one to resume from; start in another --output-dir");
  return plm_hint(status, "training resumes from the newest good one by itself%s",
                  t->unknown > 0 ? "" : "; a damaged directory can be removed");
}

static plm_status list_some(const char *run, bool deep, const plm_output *output, tally *ret_tally) {
  const int64_t before = ret_tally->count + ret_tally->foreign;
  PLM_TRY(list_run(run, deep, output, ret_tally));
  if (ret_tally->count + ret_tally->foreign > before) return PLM_OK;
  PLM_TRY(check_run(run));
  plm_print(output, "%s: no checkpoint\n", run);
  return PLM_OK;
}

plm_status plm_ckpt_ls_run(const plm_option_values *values, const plm_output *output) {
  const ckpt_options *options = values->options;
  tally all = {0};
  PLM_TRY(need_paths(&options->paths));
  for (size_t i = 0; i < options->paths.count; i++) {
    const char *path = options->paths.items[i];
    PLM_TRY(is_checkpoint(path) ? list_checkpoint(path, options->deep, output, &all)
                                : list_some(path, options->deep, output, &all));
  }
  return verdict(&all);
}

static plm_status verify_one(const char *path, const plm_output *output, tally *ret_tally) {
  char foreign[PLM_FOREIGN_TEXT];
  if (plm_checkpoint_is_foreign(path, foreign)) return list_foreign(path, foreign, output);
  plm_status status = plm_checkpoint_verify(path);
  if (status == PLM_OK) {
    plm_print(output, "%s: good\n", path);
  } else if (status == PLM_E_CHECKPOINT) {
    plm_print(output, "%s: %sdamaged%s: %s\n", path, plm_style(output, PLM_RED), plm_style(output, PLM_RESET),
              plm_error_message());
    ret_tally->damaged++;
    ret_tally->unknown += !plm_checkpoint_is_ours(path);
    status = PLM_OK;
  }
  ret_tally->count++;
  return status;
}

static plm_status verify_path(const char *path, const plm_output *output, tally *ret_tally) {
  return is_checkpoint(path) ? verify_one(path, output, ret_tally) : list_run(path, true, output, ret_tally);
}

/* Success is what a user removes a backup on: a directory without a checkpoint is none. */
plm_status plm_ckpt_verify_run(const plm_option_values *values, const plm_output *output) {
  const ckpt_options *options = values->options;
  const char *without = NULL;
  tally all = {0};
  PLM_TRY(need_paths(&options->paths));
  for (size_t i = 0; i < options->paths.count; i++) {
    int64_t before = all.count;
    PLM_TRY(verify_path(options->paths.items[i], output, &all));
    if (all.count == before) without = options->paths.items[i];
  }
  if (all.damaged > 0 || without == NULL) return verdict(&all);
  return plm_hint(plm_fail(PLM_E_USAGE, "%s: no checkpoint of protlm, nothing to verify", without),
                  "give what --output-dir was, or a checkpoint in it");
}
