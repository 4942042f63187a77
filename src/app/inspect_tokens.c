/* inspect_tokens.c - `protlm inspect tokens`: what the tokeniser makes of each record. */
#include <stddef.h>

#include "app/commands.h"
#include "app/file_summary.h"
#include "app/print.h"
#include "app/session.h"
#include "base/text.h"
#include "data/packer.h"
#include "protlm/log.h"

typedef struct tokens_options {
  plm_string_list data;
  plm_data_options read;
  int64_t records, max_length;
  bool ids, summary;
} tokens_options;

static const plm_option option_list[] = {
    {
        .name = "fasta",
        .aliases = "data train f",
        .type = PLM_OPT_PATHS,
        .offset = offsetof(tokens_options, data),
        .group = "Data",
        .argument = "FILE",
        .help = "sequences: FASTA (plain, gzip, bgzf), HDF5, or - for standard input",
    },
    {
        .name = "records",
        .aliases = "n",
        .type = PLM_OPT_COUNT,
        .offset = offsetof(tokens_options, records),
        .default_value = "5",
        .min = 1,
        .max = 1e12,
        .group = "Data",
        .argument = "N",
        .help = "how many records to show",
    },
    {
        .name = "max-length",
        .aliases = "max-seq-length",
        .type = PLM_OPT_COUNT,
        .offset = offsetof(tokens_options, max_length),
        .min = PLM_SMALLEST_WINDOW,
        .max = 1e9,
        .group = "Data",
        .argument = "N",
        .help = "cut longer sequences to N tokens (default: never cut)",
    },
    PLM_DATA_OPTION_ROWS(tokens_options, read, "Data"),
    {
        .name = "ids",
        .type = PLM_OPT_FLAG,
        .offset = offsetof(tokens_options, ids),
        .default_value = "true",
        .group = "Output",
        .help = "print token ids too",
    },
    {
        .name = "summary",
        .type = PLM_OPT_FLAG,
        .offset = offsetof(tokens_options, summary),
        .group = "Output",
        .help = "instead of records, the whole file on one screen: lengths, names, repeats, letters, what was changed",
    },
};

const plm_option_table *plm_inspect_tokens_option_table(void) {
  static const plm_option_table table = {
      .command = "inspect tokens",
      .summary = "show the tokens of sequences, and what was substituted",
      .usage = "protlm inspect tokens --fasta F [--records N | --summary]",
      .description =
          "One letter is one token; <cls> and <eos> are added at the ends. Lines after the records say which letters of the whole file were "
          "changed on the way (lower case, '*', J).",
      .examples =
          "protlm inspect tokens --fasta my.fasta --records 2\n"
          "# what is in the file?\n"
          "protlm inspect tokens --fasta my.fasta --summary\n",
      .options = option_list,
      .count = sizeof option_list / sizeof *option_list,
      .struct_size = sizeof(tokens_options),
  };
  return &table;
}

static void print_record(const plm_output *output, const plm_dataset *dataset, const plm_alphabet *alphabet,
                         const plm_packed *packed, bool ids) {
  const plm_tokens *tokens = &packed->batch.encoder;
  char name[256];
  plm_dataset_name(dataset, tokens->sequence_id[0], name, sizeof name);
  plm_print(output, "%s>%s%s  %lld %s\n", plm_style(output, PLM_BOLD), name, plm_style(output, PLM_RESET),
            (long long)tokens->N, plm_plural(tokens->N, "token", "tokens"));
  for (int64_t i = 0; i < tokens->N; i++)
    plm_print(output, "%s%s", i > 0 ? " " : "", alphabet->tokens[tokens->tokens[i]]);
  plm_print(output, "\n");
  for (int64_t i = 0; ids && i < tokens->N; i++) plm_print(output, "%s%d", i > 0 ? " " : "", (int)tokens->tokens[i]);
  if (ids) plm_print(output, "\n");
}

static void print_note(void *user, const char *text) { plm_print(user, "# %s\n", text); }

static plm_status print_records(const tokens_options *options, const plm_dataset *dataset,
                                const plm_packer_options *packer, const plm_output *output) {
  plm_packed *packed;
  PLM_TRY(plm_packed_create(&packed));
  plm_status status = PLM_OK;
  int64_t count = plm_dataset_count(dataset);
  for (int64_t id = 0; id < count && id < options->records && status == PLM_OK; id++) {
    status = plm_pack(dataset, packer, 0, &id, 1, packed);
    if (status == PLM_OK) print_record(output, dataset, packer->alphabet, packed, options->ids);
  }
  plm_packed_destroy(packed);
  if (status != PLM_OK) return status;
  plm_output notes = *output;
  plm_view view;
  const plm_dataset_info *info = plm_dataset_get_info(dataset);
  plm_print(output, "# %lld %s, %lld %s, longest %lld\n", (long long)info->count,
            plm_plural(info->count, "sequence", "sequences"), (long long)info->residues,
            plm_plural(info->residues, "residue", "residues"), (long long)info->longest);
  plm_dataset_report(dataset, packer->alphabet, &packer->policy, print_note, &notes);
  plm_view_all(dataset, &view);
  const plm_data_showing showing = {
      .side = "",
      .max_length = packer->max_length,
      .is_fixed = true,
  };
  plm_data_report_crops(&view, packer->alphabet, &showing, print_note, &notes);
  return PLM_OK;
}

enum { USUAL_MAX_LENGTH = 1024 }; /* train's default */

plm_status plm_inspect_tokens_run(const plm_option_values *values, const plm_output *output) {
  const tokens_options *options = values->options;
  if (options->data.count == 0)
    return plm_hint(plm_fail(PLM_E_USAGE, "--fasta is missing: no sequences to show"), "--fasta my.fasta");
  const plm_data_reader reader = {.threads = 1, .program = output->program};
  const plm_packer_options packer = {
      .alphabet = plm_alphabet_esm2(),
      .policy = plm_data_policy(&options->read),
      .max_length = options->max_length,
      .evaluation = true,
  };
  plm_dataset *dataset;
  PLM_TRY(plm_data_open(&options->read, &options->data, &reader, &dataset));
  plm_data_warn(&options->read, dataset);
  plm_data_warn_of_unused(&options->read, &options->data, NULL);
  plm_status status = options->summary
                          ? plm_print_file_summary(output, dataset, packer.alphabet, &packer.policy,
                                                   options->max_length > 0 ? options->max_length : USUAL_MAX_LENGTH)
                          : print_records(options, dataset, &packer, output);
  plm_dataset_close(dataset);
  return status;
}
