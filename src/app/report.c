/* report.c - `protlm report`: the page of a run, made again. */
#include <stddef.h>
#include <stdint.h>

#include "app/commands.h"
#include "app/output_file.h"
#include "app/print.h"
#include "base/alloc.h"
#include "base/file.h"
#include "checkpoint/manifest.h"
#include "report/report.h"

typedef struct report_options {
  plm_string_list runs;
  const char *output;
} report_options;

static const plm_option option_list[] = {
    {
        .name = "output",
        .aliases = "o",
        .type = PLM_OPT_PATH,
        .offset = offsetof(report_options, output),
        .group = "Output",
        .argument = "FILE.html",
        .help = "where the page goes (default: RUN/report.html)",
    },
};

const plm_option_table *plm_report_option_table(void) {
  static const plm_option_table table = {
      .command = "report",
      .summary = "make a run's report page again (self-contained HTML)",
      .usage = "protlm report [--output FILE.html] RUN",
      .description =
          "Reads log.jsonl and the run's settings. Works while the run is still going. The page needs no network.",
      .examples = "protlm report run\n",
      .options = option_list,
      .count = sizeof option_list / sizeof *option_list,
      .positional = "RUN",
      .positional_offset = offsetof(report_options, runs),
      .struct_size = sizeof(report_options),
  };
  return &table;
}

/* A page in a checkpoint would damage it, and one of an empty directory would look like a run's. */
static plm_status check_is_run(const char *directory) {
  if (!plm_file_is_directory(directory)) return plm_fail(PLM_E_USAGE, "%s: no such directory", directory);
  if (plm_directory_holds(directory, PLM_MANIFEST_NAME))
    return plm_hint(plm_fail(PLM_E_USAGE, "%s is a checkpoint; give the run's directory", directory),
                    "protlm report RUN, where RUN holds it");
  if (plm_directory_holds(directory, "log.jsonl")) return PLM_OK;
  return plm_hint(plm_fail(PLM_E_USAGE, "%s is no run's directory: it has no log.jsonl", directory),
                  "protlm report RUN, where RUN is what --output-dir was");
}

/* The page goes wherever the user says, but not over what it is made of. */
static plm_status check_output(const char *run, const char *path) {
  static const char *const names[] = {"log.jsonl", "config.yaml", "env.json"};
  enum { COUNT = sizeof names / sizeof *names };
  char *inputs[COUNT] = {NULL};
  plm_status status = PLM_OK;
  for (int i = 0; i < COUNT && status == PLM_OK; i++) status = plm_path_join(run, names[i], &inputs[i]);
  const char *files[COUNT] = {inputs[0], inputs[1], inputs[2]};
  if (status == PLM_OK)
    status = plm_output_file_check(path, &(plm_output_inputs){.files = {{.items = files, .count = COUNT}}});
  for (int i = 0; i < COUNT; i++) plm_free(inputs[i]);
  return status;
}

static plm_status write_page(void *user, const char *path) { return plm_report_write(user, path); }

plm_status plm_report_run(const plm_option_values *values, const plm_output *output) {
  const report_options *options = values->options;
  if (options->runs.count != 1) return plm_hint(plm_fail(PLM_E_USAGE, "give one run directory"), "protlm report RUN");
  const char *run = options->runs.items[0];
  char *path = NULL;
  plm_status status;
  PLM_TRY(check_is_run(run));
  PLM_TRY_GOTO(options->output != NULL ? plm_strdup(options->output, &path) : plm_path_join(run, "report.html", &path),
               done);
  PLM_TRY_GOTO(check_output(run, path), done);
  PLM_TRY_GOTO(plm_output_file_replace(path, write_page, (void *)(uintptr_t)run), done);
  plm_print(output, "%s\n", path);
done:
  plm_free(path);
  return status;
}
