/* report.c - `protlm report`: the page of a run, made again. */
#include <stddef.h>

#include "app/commands.h"
#include "app/print.h"
#include "base/file.h"
#include "io/report.h"

typedef struct report_options {
  plm_string_list runs;
  const char *output;
} report_options;

static const plm_option option_list[] = {
    {.name = "output", .aliases = "o", .type = PLM_OPT_PATH, .offset = offsetof(report_options, output), .group = "Output", .argument = "FILE.html",
     .help = "where the page goes (default: RUN/report.html)"},
};

const plm_option_table *plm_report_option_table(void) {
  static const plm_option_table table = {
      .command = "report",
      .summary = "make a run's report page again (self-contained HTML)",
      .usage = "protlm report [--output FILE.html] RUN",
      .description = "Reads log.jsonl and the run's settings. Works while the run is still going. The page needs no network.",
      .examples = "protlm report run\n",
      .options = option_list,
      .count = sizeof option_list / sizeof *option_list,
      .positional = "RUN",
      .positional_offset = offsetof(report_options, runs),
      .struct_size = sizeof(report_options),
  };
  return &table;
}

plm_status plm_report_run(const plm_option_values *values, const plm_output *output) {
  const report_options *options = values->options;
  if (options->runs.count != 1) return plm_hint(plm_fail(PLM_E_USAGE, "give one run directory"), "protlm report RUN");
  const char *run = options->runs.items[0];
  if (!plm_file_is_directory(run)) return plm_fail(PLM_E_USAGE, "%s: no such directory", run);
  PLM_TRY(plm_report_write(run, options->output));
  if (options->output != NULL)
    plm_print(output, "%s\n", options->output);
  else
    plm_print(output, "%s/report.html\n", run);
  return PLM_OK;
}
