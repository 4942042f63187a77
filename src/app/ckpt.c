/* ckpt.c - `protlm ckpt ls` and `protlm ckpt verify`: what a run has on disk, and whether it can be believed. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "app/commands.h"
#include "app/print.h"
#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "io/checkpoint.h"

typedef struct ckpt_options {
  plm_string_list paths;
  bool deep;
} ckpt_options;

static const plm_option ls_options[] = {
    {.name = "deep", .type = PLM_OPT_FLAG, .offset = offsetof(ckpt_options, deep), .default_value = "false", .group = "Checks",
     .help = "read every byte and compare checksums, not only sizes"},
};

const plm_option_table *plm_ckpt_ls_option_table(void) {
  static const plm_option_table table = {
      .command = "ckpt ls",
      .summary = "list a run's checkpoints and say which are good",
      .usage = "protlm ckpt ls [--deep] RUN...",
      .description = "Lists checkpoint-<step> of each run directory with its size, its time, and whether it is complete. A damaged one is named with what "
                     "is wrong; the exit code is then 4.",
      .examples = "protlm ckpt ls run\nprotlm ckpt ls --deep run\n",
      .options = ls_options,
      .count = sizeof ls_options / sizeof *ls_options,
      .positional = "RUN...",
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
      .description = "Reads every file of each checkpoint (or of all checkpoints of each run directory) and compares size and xxh3 checksum with "
                     "MANIFEST.json. The exit code is 4 when one is damaged.",
      .examples = "protlm ckpt verify run\nprotlm ckpt verify run/checkpoint-500\n",
      .positional = "RUN|CHECKPOINT...",
      .positional_offset = offsetof(ckpt_options, paths),
      .struct_size = sizeof(ckpt_options),
  };
  return &table;
}

static void print_checkpoint(const plm_output *output, const plm_checkpoint_info *c) {
  char size[PLM_NUMBER_TEXT], when[32] = "-";
  time_t seconds = (time_t)c->written;
  struct tm local;
  if (localtime_r(&seconds, &local) != NULL) strftime(when, sizeof when, "%Y-%m-%d %H:%M", &local);
  bool good = c->state == PLM_CHECKPOINT_GOOD;
  plm_print(output, "%9lld  %10s  %s  %s%s%s  %s\n", (long long)c->step, plm_bytes_text(c->bytes, size), when,
            plm_style(output, good ? PLM_GREEN : PLM_RED), good ? "good   " : "damaged", plm_style(output, PLM_RESET), c->path);
  if (!good) plm_print(output, "           %s\n", c->problem);
}

/* All checkpoints of a run; *damaged grows by those that are. */
static plm_status list_run(const char *run, bool deep, const plm_output *output, int64_t *damaged) {
  plm_checkpoint_info *list;
  size_t count;
  PLM_TRY(plm_checkpoint_list(run, deep, &list, &count));
  if (count == 0) plm_print(output, "%s: no checkpoint\n", run);
  if (count > 0) plm_print(output, "%s%9s  %10s  %-16s  %-7s  %s%s\n", plm_style(output, PLM_BOLD), "step", "size", "written", "state", "path", plm_style(output, PLM_RESET));
  for (size_t i = 0; i < count; i++) {
    print_checkpoint(output, &list[i]);
    if (list[i].state != PLM_CHECKPOINT_GOOD) ++*damaged;
  }
  plm_checkpoint_list_free(list, count);
  return PLM_OK;
}

static plm_status need_paths(const plm_string_list *paths) {
  if (paths->count == 0) return plm_hint(plm_fail(PLM_E_USAGE, "no run directory was given"), "protlm ckpt ls RUN, where RUN is what --output-dir was");
  for (size_t i = 0; i < paths->count; i++)
    if (!plm_file_is_directory(paths->items[i])) return plm_fail(PLM_E_USAGE, "%s: no such directory", paths->items[i]);
  return PLM_OK;
}

static plm_status verdict(int64_t damaged) {
  if (damaged == 0) return PLM_OK;
  return plm_hint(plm_fail(PLM_E_CHECKPOINT, "%lld damaged checkpoint%s", (long long)damaged, damaged == 1 ? "" : "s"),
                  "training resumes from the newest good one by itself; a damaged directory can be removed");
}

plm_status plm_ckpt_ls_run(const plm_option_values *values, const plm_output *output) {
  const ckpt_options *options = values->options;
  int64_t damaged = 0;
  PLM_TRY(need_paths(&options->paths));
  for (size_t i = 0; i < options->paths.count; i++) PLM_TRY(list_run(options->paths.items[i], options->deep, output, &damaged));
  return verdict(damaged);
}

static plm_status verify_one(const char *path, const plm_output *output, int64_t *damaged) {
  plm_status status = plm_checkpoint_verify(path);
  if (status == PLM_OK) {
    plm_print(output, "%s: good\n", path);
  } else if (status == PLM_E_CHECKPOINT) {
    plm_print(output, "%s: %sdamaged%s: %s\n", path, plm_style(output, PLM_RED), plm_style(output, PLM_RESET), plm_error_message());
    ++*damaged;
    status = PLM_OK;
  }
  return status;
}

plm_status plm_ckpt_verify_run(const plm_option_values *values, const plm_output *output) {
  const ckpt_options *options = values->options;
  int64_t damaged = 0;
  PLM_TRY(need_paths(&options->paths));
  for (size_t i = 0; i < options->paths.count; i++) {
    char *manifest;
    PLM_TRY(plm_path_join(options->paths.items[i], "MANIFEST.json", &manifest));
    bool single = plm_file_exists(manifest) || strncmp(plm_path_name(options->paths.items[i]), "checkpoint-", strlen("checkpoint-")) == 0;
    plm_free(manifest);
    PLM_TRY(single ? verify_one(options->paths.items[i], output, &damaged) : list_run(options->paths.items[i], true, output, &damaged));
  }
  return verdict(damaged);
}
