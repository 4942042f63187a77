/* eval.c - `protlm eval`: how well a model predicts hidden residues of a file, as a table or sequence by sequence. */
#include <stddef.h>
#include <string.h>

#include "app/commands.h"
#include "app/output_file.h"
#include "app/print.h"
#include "app/score_view.h"
#include "app/session.h"
#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "dist/comm.h"
#include "protlm/log.h"
#include "train/evaluate.h"
#include "train/shared_data.h"

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

typedef struct evaluation {
  const eval_options *options;
  const plm_session *session;
  const plm_output *output;
  plm_packer_options packer;
  double *frequency;
  bool is_open; /* rank 0 got as far as opening --output */
} evaluation;

static bool is_first(const plm_output *output) { return output->comm == NULL || output->comm->rank == 0; }

/* The end of what can fail on one of several ranks. */
static plm_status agree(const evaluation *e, const char *stage, plm_status mine) {
  return e->output->comm != NULL ? plm_agree(e->output->comm, stage, mine) : mine;
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

/* Residue frequencies of --train; without it there are none of its own. */
static plm_status count_frequencies(evaluation *e) {
  const eval_options *options = e->options;
  const plm_data_reader reader = {.threads = e->session->threads.threads, .program = e->output->program};
  int64_t histogram[256];
  plm_dataset *dataset;
  plm_view view;
  if (options->train.count == 0) return PLM_OK;
  PLM_TRY(plm_shared_data_open(e->output->comm, &options->session.read, &options->train, &reader, &dataset));
  plm_data_log(&options->session.read, dataset, e->packer.alphabet);
  plm_view_all(dataset, &view);
  plm_view_histogram(&view, histogram);
  plm_dataset_close(dataset);
  PLM_TRY(agree(e, "data", PLM_NEW(&e->frequency, e->packer.alphabet->size)));
  plm_residue_frequencies(&e->packer, histogram, e->frequency);
  return PLM_OK;
}

/* ---- ranks ---- */

/* What decides on the numbers is the same everywhere. */
static plm_status check_alike(const evaluation *e) {
  plm_comm *comm = e->output->comm;
  const plm_mask_options *mask = &e->packer.mask;
  const char *hash = plm_dataset_get_info(e->session->dataset)->content_hash;
  const size_t frequencies = e->frequency != NULL ? (size_t)e->packer.alphabet->size * sizeof *e->frequency : 0;
  char options[512];
  if (comm == NULL || comm->size == 1) return PLM_OK;
  snprintf(options, sizeof options, "%s %lld %.17g %d %d %lld %llu %lld %lld %d %d", e->options->session.dtype,
           (long long)e->options->session.seed, mask->probability, (int)mask->random, mask->nonstandard,
           (long long)e->options->draws, (unsigned long long)e->packer.seed, (long long)e->packer.max_length,
           (long long)e->packer.micro_batch_tokens, e->options->per_sequence, e->options->output != NULL);
  PLM_TRY(plm_agree_same(comm, "sequences (--data)", hash, strlen(hash)));
  PLM_TRY(plm_agree_same(comm, "residue frequencies (--train)", e->frequency, frequencies));
  return plm_agree_same(comm, "options", options, strlen(options));
}

/* ---- one line a sequence ---- */

/* Lines go to the writer when there is one, else to the output; those of later ranks nowhere. */
typedef struct score_lines {
  const plm_output *output;
  plm_writer *writer;
  const plm_dataset *dataset;
} score_lines;

static plm_status put_line(const score_lines *lines, const char *text) {
  if (!is_first(lines->output)) return PLM_OK;
  if (lines->writer != NULL) return plm_writer_write(lines->writer, text, strlen(text));
  plm_print(lines->output, "%s", text);
  return PLM_OK;
}

static plm_status put_score(void *user, const plm_sequence_score *score) {
  const score_lines *lines = user;
  char line[PLM_SCORE_LINE];
  return put_line(lines, plm_score_line(lines->dataset, score, line));
}

/* ---- the command ---- */

static plm_status write_summary(const evaluation *e, const plm_record *record, const score_lines *lines) {
  plm_text text = {0};
  char *words;
  if (e->options->json)
    PLM_TRY(plm_score_json(record, &text));
  else
    plm_score_table(record, plm_dataset_get_info(e->session->dataset), lines->writer == NULL ? e->output : NULL, &text);
  PLM_TRY(plm_text_take(&text, &words));
  plm_status status = put_line(lines, words);
  plm_free(words);
  return status;
}

/* Of a file that was changed meanwhile the results are worth nothing, whatever they are. */
static plm_status check_unchanged(const evaluation *e, plm_status evaluated) {
  plm_error_record outcome;
  plm_error_take(evaluated, &outcome);
  PLM_TRY(plm_dataset_check_unchanged(e->session->dataset));
  return plm_error_give(&outcome);
}

static plm_status evaluate(const evaluation *e, plm_writer *writer) {
  score_lines lines = {.output = e->output, .writer = writer, .dataset = e->session->dataset};
  const plm_evaluate_options how = {
      .packer = e->packer,
      .draws = e->options->draws,
      .frequency = e->frequency,
      .comm = e->output->comm,
  };
  bool each = e->options->per_sequence;
  plm_record record;
  plm_view view;
  plm_view_all(e->session->dataset, &view);
  plm_status status = each ? put_line(&lines, PLM_SCORE_HEADER) : PLM_OK;
  PLM_TRY(agree(e, "output", status));
  status =
      plm_evaluate(&view, e->session->model, e->session->machine.exec, &how, each ? put_score : NULL, &lines, &record);
  PLM_TRY(agree(e, "evaluation", check_unchanged(e, status)));
  return each ? PLM_OK : write_summary(e, &record, &lines);
}

/* ---- where it goes ---- */

/* Rank 0's file is opened before anybody works for it. */
static plm_status evaluate_into(void *user, const char *path) {
  evaluation *e = user;
  plm_writer *writer = NULL;
  e->is_open = true;
  plm_status status = agree(e, "output", plm_writer_open(path, &writer));
  if (status == PLM_OK) status = evaluate(e, writer);
  if (status == PLM_OK) return plm_writer_close(&writer, NULL);
  plm_writer_abandon(writer);
  return status;
}

static plm_status evaluate_into_file(evaluation *e) {
  if (!is_first(e->output)) {
    PLM_TRY(agree(e, "output", PLM_OK));
    return evaluate(e, NULL);
  }
  plm_status status = plm_output_file_replace(e->options->output, evaluate_into, e);
  return e->is_open ? status : agree(e, "output", status);
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

static plm_status check_options(const plm_option_values *values, evaluation *e) {
  const eval_options *options = values->options;
  e->packer = (plm_packer_options){
      .policy = plm_data_policy(&options->session.read),
      .seed = (uint64_t)options->eval_seed,
  };
  /* whether a file may be replaced is rank 0's to find out, who replaces it */
  if (is_first(e->output)) PLM_TRY(check(options));
  return choose_masks(values, &e->packer.mask);
}

plm_status plm_eval_run(const plm_option_values *values, const plm_output *output) {
  eval_options *options = values->options;
  plm_session session = {0};
  evaluation e = {.options = options, .session = &session, .output = output};
  plm_status status;
  if (output->comm != NULL) output->comm->timeout = options->timeout;
  PLM_TRY(agree(&e, "options", check_options(values, &e)));
  PLM_TRY_GOTO(plm_session_open(&options->session, output, &session), done);
  e.packer.alphabet = session.alphabet;
  e.packer.max_length = session.max_length;
  e.packer.micro_batch_tokens = session.micro_batch_tokens;
  log_showing(&e);
  PLM_TRY_GOTO(count_frequencies(&e), done);
  PLM_TRY_GOTO(check_alike(&e), done);
  status = options->output != NULL ? evaluate_into_file(&e) : evaluate(&e, NULL);
  PLM_TRY_GOTO(agree(&e, "output", status), done);
  if (options->output != NULL) plm_info("wrote %s", options->output);
done:
  plm_free(e.frequency);
  plm_session_close(&session);
  return status;
}
