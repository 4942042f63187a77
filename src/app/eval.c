/* eval.c - `protlm eval`: how well a model predicts hidden residues of a file, as a table or sequence by sequence. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "app/commands.h"
#include "app/output_file.h"
#include "app/print.h"
#include "app/session.h"
#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "dist/comm.h"
#include "protlm/log.h"
#include "train/evaluate.h"

typedef struct eval_options {
  plm_session_options session;
  plm_string_list train;
  const char *protocol, *random_tokens, *output;
  double mask_probability, timeout;
  int64_t draws, eval_seed;
  bool mask_nonstandard, per_sequence, json;
} eval_options;

static const plm_option option_list[] = {
    PLM_OPTION_MODEL(eval_options, session.model),
    PLM_OPTION_RANDOM_WEIGHTS(eval_options, session.random_weights),
    PLM_OPTION_SEED(eval_options, session.seed),
    {
        .name = "data",
        .aliases = "eval fasta f eval-file validation-file",
        .type = PLM_OPT_PATHS,
        .offset = offsetof(eval_options, session.data),
        .group = "Data",
        .argument = "FILE...",
        .help = "sequences to score: FASTA (plain, gzip, bgzf, - for standard input), HDF5 or .plmd",
    },
    {
        .name = "train",
        .aliases = "t train-file",
        .type = PLM_OPT_PATHS,
        .offset = offsetof(eval_options, train),
        .group = "Data",
        .argument = "FILE...",
        .help = "sequences whose residue frequencies the baselines use (default: those of --data)",
    },
    {
        .name = "max-length",
        .aliases = "max-seq-length",
        .type = PLM_OPT_COUNT,
        .offset = offsetof(eval_options, session.max_length),
        .default_value = "1024",
        .min = PLM_SMALLEST_WINDOW,
        .max = 1e7,
        .group = "Data",
        .argument = "N",
        .help = "longest sequence in tokens; of longer ones a fixed window is scored",
    },
    PLM_DATA_OPTION_ROWS(eval_options, session.read, "Data"),
    {
        .name = "protocol",
        .type = PLM_OPT_CHOICE,
        .offset = offsetof(eval_options, protocol),
        .default_value = "protlm",
        .choices = "protlm|hf",
        .group = "Masking",
        .argument = "NAME",
        .help =
            "hf: what Hugging Face's collator would score: every residue letter may be hidden, replacements come from all tokens",
    },
    {
        .name = "mask-probability",
        .aliases = "mlm-probability",
        .type = PLM_OPT_NUMBER,
        .offset = offsetof(eval_options, mask_probability),
        .default_value = "0.15",
        .max = 1,
        .exclusive_min = true,
        .exclusive_max = true,
        .group = "Masking",
        .argument = "P",
        .help = "share of residues to predict; of these 80 % become <mask>, 10 % a random residue, 10 % stay",
    },
    {
        .name = "random-tokens",
        .type = PLM_OPT_CHOICE,
        .offset = offsetof(eval_options, random_tokens),
        .default_value = "aa-other",
        .choices = "aa-other|aa|vocab",
        .group = "Masking",
        .argument = "HOW",
        .help = "random replacements: another standard amino acid, any of the 20, or any token",
    },
    {
        .name = "mask-nonstandard",
        .type = PLM_OPT_FLAG,
        .offset = offsetof(eval_options, mask_nonstandard),
        .group = "Masking",
        .help = "also predict X, B, U, Z, O, '.' and '-'",
    },
    {
        .name = "eval-draws",
        .type = PLM_OPT_INT,
        .offset = offsetof(eval_options, draws),
        .default_value = "1",
        .min = 1,
        .max = 10000,
        .group = "Masking",
        .argument = "N",
        .help = "sets of masks each sequence is scored with",
    },
    {
        .name = "eval-seed",
        .type = PLM_OPT_INT,
        .offset = offsetof(eval_options, eval_seed),
        .default_value = "0",
        .max = 9007199254740992.0,
        .group = "Masking",
        .argument = "N",
        .help = "seed of the masks; the same seed asks every model the same questions",
    },
    {
        .name = "per-sequence",
        .type = PLM_OPT_FLAG,
        .offset = offsetof(eval_options, per_sequence),
        .group = "Output",
        .help =
            "a line a sequence, tab-separated: name, length, nll (mean over its rows), perplexity, accuracy, count (of "
            "rows), scored (residues in the window of --max-length)",
    },
    {
        .name = "json",
        .type = PLM_OPT_FLAG,
        .offset = offsetof(eval_options, json),
        .group = "Output",
        .help = "the table as a JSON object, with the names log.jsonl uses",
    },
    {
        .name = "output",
        .aliases = "o",
        .type = PLM_OPT_PATH,
        .offset = offsetof(eval_options, output),
        .group = "Output",
        .argument = "FILE",
        .help = "write to this file instead of standard output",
    },
    PLM_OPTION_DTYPE(eval_options, session.dtype),
    PLM_OPTION_THREADS(eval_options, session.threads),
    PLM_OPTION_TIMEOUT(eval_options, timeout),
};

const plm_option_table *plm_eval_option_table(void) {
  static const plm_option_table table = {
      .command = "eval",
      .summary = "score a model on sequences: loss, perplexity, accuracy",
      .usage = "protlm eval --model M --data FILE [options]",
      .description =
          "Hides residues as training does and asks the model for them. The masks depend on --eval-seed and on the residues alone, so every model "
          "is asked the same questions, whatever the order of the file.\n\n"
          "Beside the model stands what can be reached without any context: predicting the residue frequencies everywhere, and the same plus "
          "copying what is still visible. Standard errors count a sequence as one observation. Perplexities compare only on the same "
          "sequences with the same masks.",
      .examples =
          "protlm eval --model run/final --data other.fasta\n"
          "# which proteins does the model know?\n"
          "protlm eval -m run/final --data other.fasta --per-sequence -o scores.tsv\n",
      .options = option_list,
      .count = sizeof option_list / sizeof *option_list,
      .struct_size = sizeof(eval_options),
  };
  return &table;
}

/* ---- masks ---- */

static plm_status choose_masks(const plm_option_values *values, plm_mask_options *mask) {
  const eval_options *options = values->options;
  const char *random = options->random_tokens;
  bool is_hf = strcmp(options->protocol, "hf") == 0;
  plm_mask_options_defaults(mask);
  if (is_hf && plm_option_given(values, "random-tokens") && strcmp(random, "vocab") != 0)
    return plm_hint(plm_fail(PLM_E_USAGE, "--protocol hf and --random-tokens %s contradict each other", random),
                    "leave one of them out");
  mask->probability = options->mask_probability;
  mask->random = is_hf ? PLM_RANDOM_VOCAB : plm_random_tokens_from_word(random);
  mask->nonstandard = is_hf || options->mask_nonstandard;
  return PLM_OK;
}

/* Residue frequencies of --train; *ret_frequency stays NULL without it. */
static plm_status count_frequencies(const eval_options *options, const plm_packer_options *packer, int threads,
                                    const char *program, double **ret_frequency) {
  if (options->train.count == 0) return PLM_OK;
  const plm_data_reader reader = {.threads = threads, .program = program};
  int64_t histogram[256];
  plm_dataset *dataset;
  plm_view view;
  PLM_TRY(plm_data_open(&options->session.read, &options->train, &reader, &dataset));
  plm_data_log(&options->session.read, dataset, packer->alphabet);
  plm_view_all(dataset, &view);
  plm_view_histogram(&view, histogram);
  plm_dataset_close(dataset);
  PLM_TRY(PLM_NEW(ret_frequency, packer->alphabet->size));
  plm_residue_frequencies(packer, histogram, *ret_frequency);
  return PLM_OK;
}

/* ---- one line a sequence ---- */

/* Lines go to the writer when there is one, else to the output. */
typedef struct score_lines {
  const plm_output *output;
  plm_writer *writer;
  const plm_dataset *dataset;
} score_lines;

static plm_status put_line(const score_lines *lines, const char *text) {
  if (lines->writer != NULL) return plm_writer_write(lines->writer, text, strlen(text));
  plm_print(lines->output, "%s", text);
  return PLM_OK;
}

static plm_status put_score(void *user, const plm_sequence_score *score) {
  const score_lines *lines = user;
  char name[4096], line[4400], loss[PLM_NUMBER_TEXT], perplexity[PLM_NUMBER_TEXT], accuracy[PLM_NUMBER_TEXT];
  const long long length = plm_dataset_length(lines->dataset, score->id);
  const double n = score->sum[PLM_SUM_COUNT], nll = score->sum[PLM_SUM_NLL] / n;
  plm_dataset_name(lines->dataset, score->id, name, sizeof name);
  if (n == 0)
    snprintf(line, sizeof line, "%s\t%lld\tNA\tNA\tNA\t0\t%lld\n", name, length, (long long)score->residues);
  else
    snprintf(line, sizeof line, "%s\t%lld\t%s\t%s\t%s\t%.0f\t%lld\n", name, length, plm_number_digits(nll, 6, loss),
             plm_number_digits(exp(nll), 6, perplexity),
             plm_number_digits(score->sum[PLM_SUM_CORRECT] / n, 4, accuracy), n, (long long)score->residues);
  return put_line(lines, line);
}

/* ---- the table ---- */

enum { CELL = 64 };

static const char *cell_text(const plm_record *record, int measure, char ret_text[CELL]) {
  const double value = measure != PLM_MEASURE_NONE ? plm_record_number(record, measure) : (double)NAN;
  if (!isfinite(value)) return "-";
  const plm_measure *m = plm_measure_at(measure);
  const double scale = plm_measure_is_percent(m) ? 100 : 1,
               error = m->error > 0 ? plm_record_number(record, m->error) : (double)NAN;
  if (m->is_count) return plm_count_text((int64_t)value, ret_text);
  snprintf(ret_text, CELL, isfinite(error) ? "%.*f +- %.*f" : "%.*f", m->decimals, scale * value, m->decimals,
           scale * error);
  return ret_text;
}

/* A measure over all rows that are predicted and over those that show <mask>; one of them may be none. */
static void print_row(plm_text *out, const plm_record *record, int all, int masked) {
  const plm_measure *m = plm_measure_at(all != PLM_MEASURE_NONE ? all : masked);
  char label[CELL], a[CELL], b[CELL];
  snprintf(label, sizeof label, m->unit != NULL ? "%s (%s)" : "%s", m->words, m->unit);
  plm_text_printf(out, "  %-28s  %20s  %20s\n", label, cell_text(record, all, a), cell_text(record, masked, b));
}

static void write_table(const plm_record *r, const plm_dataset_info *info, const plm_output *output, bool colour,
                        plm_text *out) {
  const char *bold = colour ? plm_style(output, PLM_BOLD) : "", *plain = colour ? plm_style(output, PLM_RESET) : "";
  char count[PLM_COUNTED_TEXT];
  plm_text_printf(out, "%s%s: %s%s\n", bold, info->source, plm_counted(info->count, "sequence", "sequences", count),
                  plain);
  plm_text_printf(out, "  %-28s  %20s  %20s\n", "", "all predicted", "shown as <mask>");
  print_row(out, r, PLM_MEASURE_EVAL_COUNT, PLM_MEASURE_EVAL_COUNT_MASKED);
  print_row(out, r, PLM_MEASURE_EVAL_LOSS, PLM_MEASURE_EVAL_LOSS_MASKED);
  print_row(out, r, PLM_MEASURE_EVAL_PERPLEXITY, PLM_MEASURE_EVAL_PERPLEXITY_MASKED);
  print_row(out, r, PLM_MEASURE_EVAL_ACCURACY, PLM_MEASURE_EVAL_ACCURACY_MASKED);
  for (int i = 0; i < plm_measure_count(); i++)
    if (plm_measure_is_extra(i))
      print_row(out, r, plm_measure_at(i)->is_masked ? PLM_MEASURE_NONE : i,
                plm_measure_at(i)->is_masked ? i : PLM_MEASURE_NONE);
  plm_text_printf(out, "%swithout any context, perplexity would be%s\n", bold, plain);
  print_row(out, r, PLM_MEASURE_BASELINE_FREQUENCY, PLM_MEASURE_BASELINE_FREQUENCY_MASKED);
  print_row(out, r, PLM_MEASURE_BASELINE_COPY, PLM_MEASURE_BASELINE_COPY_MASKED);
  const double gain = plm_record_number(r, PLM_MEASURE_GAIN_MASKED),
               error = plm_record_number(r, PLM_MEASURE_GAIN_MASKED_SE);
  if (!(error > 0)) return;
  plm_text_printf(out,
                  "%sThe model is %s than frequencies by %.4f +- %.4f nats on <mask> rows: %.1f standard errors%s\n",
                  bold, gain >= 0 ? "better" : "worse", fabs(gain), error, fabs(gain) / error, plain);
}

/* Counts first, then the other values of an evaluation. */
static plm_status write_json(const plm_record *record, plm_text *out) {
  plm_json_line line;
  plm_json_line_begin(&line);
  for (int pass = 0; pass < 2; pass++)
    for (int i = 0; i < plm_measure_count(); i++)
      if (plm_measure_at(i)->is_count == (pass == 0)) plm_record_put_json(record, i, &line);
  PLM_TRY(plm_json_line_end(&line));
  plm_text_append(out, line.text);
  return PLM_OK;
}

/* ---- the command ---- */

typedef struct evaluation {
  const eval_options *options;
  const plm_session *session;
  const plm_output *output;
  plm_packer_options packer;
  double *frequency;
} evaluation;

static plm_status write_summary(const evaluation *e, const plm_record *record, const score_lines *lines) {
  plm_text text = {0};
  char *words;
  if (e->options->json)
    PLM_TRY(write_json(record, &text));
  else
    write_table(record, plm_dataset_get_info(e->session->dataset), e->output, lines->writer == NULL, &text);
  PLM_TRY(plm_text_take(&text, &words));
  plm_status status = put_line(lines, words);
  plm_free(words);
  return status;
}

static plm_status evaluate(const evaluation *e, plm_writer *writer) {
  score_lines lines = {.output = e->output, .writer = writer, .dataset = e->session->dataset};
  const plm_evaluate_options how = {.packer = e->packer, .draws = e->options->draws, .frequency = e->frequency};
  bool each = e->options->per_sequence;
  plm_record record;
  plm_view view;
  plm_view_all(e->session->dataset, &view);
  if (each) PLM_TRY(put_line(&lines, "name\tlength\tnll\tperplexity\taccuracy\tcount\tscored\n"));
  plm_status status =
      plm_evaluate(&view, e->session->model, e->session->machine.exec, &how, each ? put_score : NULL, &lines, &record);
  PLM_TRY(plm_dataset_check_unchanged(e->session->dataset));
  PLM_TRY(status);
  return each ? PLM_OK : write_summary(e, &record, &lines);
}

static plm_status evaluate_into(void *user, const char *path) {
  plm_writer *writer;
  PLM_TRY(plm_writer_open(path, &writer));
  plm_status status = evaluate(user, writer);
  if (status == PLM_OK) return plm_writer_close(&writer, NULL);
  plm_writer_abandon(writer);
  return status;
}

static plm_status check(const eval_options *options) {
  if (options->session.data.count == 0)
    return plm_hint(plm_fail(PLM_E_USAGE, "--data is missing: no sequences to score"), "--data my.fasta");
  if (options->per_sequence && options->json)
    return plm_hint(plm_fail(PLM_E_USAGE, "--per-sequence and --json contradict each other"),
                    "--per-sequence writes tab-separated lines, --json one summary");
  const plm_output_inputs inputs = {.files = {options->session.data, options->train}, .model = options->session.model};
  return options->output != NULL ? plm_output_file_check(options->output, &inputs) : PLM_OK;
}

static void log_showing(const evaluation *e) {
  plm_view view;
  plm_view_all(e->session->dataset, &view);
  const plm_data_showing showing = {
      .side = "",
      .max_length = e->packer.max_length,
      .mask_probability = e->packer.mask.probability,
      .is_fixed = true,
  };
  plm_data_log_showing(&view, e->packer.alphabet, &showing);
}

plm_status plm_eval_run(const plm_option_values *values, const plm_output *output) {
  eval_options *options = values->options;
  plm_session session = {0};
  evaluation e = {.options = options, .session = &session, .output = output};
  plm_status status;
  if (output->comm != NULL) output->comm->timeout = options->timeout;
  PLM_TRY(check(options));
  e.packer = (plm_packer_options){
      .policy = plm_data_policy(&options->session.read),
      .seed = (uint64_t)options->eval_seed,
  };
  PLM_TRY(choose_masks(values, &e.packer.mask));
  PLM_TRY_GOTO(plm_session_open(&options->session, output, &session), done);
  e.packer.alphabet = session.alphabet;
  e.packer.max_length = session.max_length;
  e.packer.micro_batch_tokens = session.micro_batch_tokens;
  log_showing(&e);
  PLM_TRY_GOTO(count_frequencies(options, &e.packer, session.threads.threads, output->program, &e.frequency), done);
  PLM_TRY_GOTO(
      options->output != NULL ? plm_output_file_replace(options->output, evaluate_into, &e) : evaluate(&e, NULL), done);
  if (options->output != NULL) plm_info("wrote %s", options->output);
done:
  plm_free(e.frequency);
  plm_session_close(&session);
  return status;
}
