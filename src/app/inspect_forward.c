/* inspect_forward.c - `protlm inspect forward`: every record of a file, whole and as it stands, through the model; every
 * tensor of the pass as a table, as slices, or as a safetensors file to hold against another implementation; and what
 * the model expects behind each <mask> that was written into a sequence. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "app/mask_view.h"
#include "app/output_file.h"
#include "app/session.h"
#include "app/tensor_stats.h"
#include "base/alloc.h"
#include "base/text.h"
#include "data/packer.h"
#include "protlm/log.h"

typedef struct forward_options {
  plm_session_options session;
  const char *layers, *output;
  plm_string_list slices;
} forward_options;

static const plm_option option_list[] = {
    PLM_OPTION_MODEL(forward_options, session.model),
    PLM_OPTION_RANDOM_WEIGHTS(forward_options, session.random_weights),
    PLM_OPTION_SEED(forward_options, session.seed),
    {
        .name = "fasta",
        .aliases = "data train f",
        .type = PLM_OPT_PATHS,
        .offset = offsetof(forward_options, session.data),
        .group = "Data",
        .argument = "FILE",
        .help = "sequences: FASTA (plain, gzip, bgzf), HDF5, or - for standard input",
    },
    PLM_DATA_OPTION_ROWS(forward_options, session.read, "Data"),
    {
        .name = "max-length",
        .aliases = "max-seq-length",
        .type = PLM_OPT_COUNT,
        .offset = offsetof(forward_options, session.max_length),
        .min = PLM_SMALLEST_WINDOW,
        .max = 1e9,
        .group = "Data",
        .argument = "N",
        .help = "cut longer sequences to N tokens (default: never cut)",
    },
    {
        .name = "layers",
        .type = PLM_OPT_STRING,
        .offset = offsetof(forward_options, layers),
        .default_value = "all",
        .group = "Output",
        .argument = "LIST",
        .help =
            "hidden states to keep: all, none, or numbers such as 0,3,-1 (0 = embedding, -1 = after the final norm)",
    },
    {
        .name = "output",
        .aliases = "o",
        .type = PLM_OPT_PATH,
        .offset = offsetof(forward_options, output),
        .group = "Output",
        .argument = "X.safetensors",
        .help = "write tokens, cu_seqlens, logits and hidden_states.* to this file",
    },
    {
        .name = "slice",
        .type = PLM_OPT_PATHS,
        .offset = offsetof(forward_options, slices),
        .group = "Output",
        .argument = "NAME[a:b,c:d]",
        .is_words = true,
        .help = "print these values; may be given several times",
    },
    PLM_OPTION_DTYPE(forward_options, session.dtype),
    PLM_OPTION_THREADS(forward_options, session.threads),
};

const plm_option_table *plm_inspect_forward_option_table(void) {
  static const plm_option_table table = {
      .command = "inspect forward",
      .summary = "show or save every tensor of a forward pass",
      .usage = "protlm inspect forward --model M --fasta F [--layers all] [--output X.safetensors]",
      .description =
          "Runs every record of the file whole, in file order and as it stands, and shows each tensor's shape, range, mean, standard deviation "
          "and number of NaN. For each <mask> in a sequence (MK<mask>TAY) follow its residue number and the five likeliest tokens, with their "
          "probabilities among all tokens.\n\nhidden_states.0 is the embedding, hidden_states.L the last layer after the final LayerNorm, as transformers "
          "gives them. A sequence's numbers do not depend, bit for bit, on what else is in the file.",
      .examples =
          "# hold a model against another implementation\nprotlm inspect forward --model run/final --fasta few.fasta --output forward.safetensors\n"
          "# logits of the first residues\nprotlm inspect forward --model run/final --fasta few.fasta --slice 'logits[0:3,4:24]'\n"
          "# what does the model expect in the third place?\n"
          "printf '>a\\nMK<mask>TAYIAKQR\\n' | protlm inspect forward --model run/final --fasta - --layers none\n",
      .options = option_list,
      .count = sizeof option_list / sizeof *option_list,
      .struct_size = sizeof(forward_options),
  };
  return &table;
}

/* All records' results, in file order. */
typedef struct results {
  int64_t N, S, C, V, L;
  int32_t *tokens, *cu_seqlens; /* [N], [S+1] */
  int32_t *crop_offset;         /* [S] */
  float *logits;                /* [N,V] */
  float **hidden;               /* [L+1] of [N,C], NULL where not asked for */
  int64_t done;                 /* rows filled */
} results;

static void free_results(results *r) {
  plm_free(r->tokens);
  plm_free(r->cu_seqlens);
  plm_free(r->crop_offset);
  plm_free(r->logits);
  for (int64_t i = 0; r->hidden != NULL && i <= r->L; i++) plm_free(r->hidden[i]);
  plm_free(r->hidden);
}

/* Which hidden states `layers` names: wanted[0..L]. */
static plm_status parse_layers(const char *layers, int64_t L, bool *wanted) {
  if (strcmp(layers, "none") == 0) return PLM_OK;
  if (strcmp(layers, "all") == 0) {
    for (int64_t i = 0; i <= L; i++) wanted[i] = true;
    return PLM_OK;
  }
  for (const char *p = layers; *p != '\0';) {
    int used = 0;
    long long layer;
    if (sscanf(p, "%lld%n", &layer, &used) != 1 || (p[used] != ',' && p[used] != '\0'))
      return plm_hint(plm_fail(PLM_E_USAGE, "--layers %s: '%s' is no layer", layers, p),
                      "all, none, or numbers separated by commas");
    long long index = layer < 0 ? layer + L + 1 : layer;
    if (index < 0 || index > L)
      return plm_fail(PLM_E_USAGE, "--layers %s: layer %lld is outside %lld..%lld", layers, layer, -(long long)L - 1,
                      (long long)L);
    wanted[index] = true;
    p += used + (p[used] == ',');
  }
  return PLM_OK;
}

static plm_status allocate_results(const plm_session *session, const char *layers, results *r) {
  const plm_model_config *config = plm_model_get_config(session->model);
  r->S = plm_dataset_count(session->dataset);
  r->C = config->hidden_size;
  r->V = config->vocab_size;
  r->L = config->num_hidden_layers;
  bool *wanted = NULL;
  plm_status status;
  PLM_TRY_GOTO(PLM_NEW(&wanted, r->L + 1), done);
  PLM_TRY_GOTO(parse_layers(layers, r->L, wanted), done);
  PLM_TRY_GOTO(PLM_NEW(&r->cu_seqlens, r->S + 1), done);
  PLM_TRY_GOTO(PLM_NEW(&r->crop_offset, r->S), done);
  for (int64_t s = 0; s < r->S; s++)
    r->N += plm_token_length(session->dataset, session->alphabet, s, session->max_length);
  if (r->N > INT32_MAX) {
    status = plm_hint(plm_fail(PLM_E_USAGE, "%lld tokens are too many for one pass of inspect", (long long)r->N),
                      "inspect a smaller file");
    goto done;
  }
  PLM_TRY_GOTO(PLM_NEW(&r->tokens, r->N), done);
  PLM_TRY_GOTO(PLM_NEW(&r->logits, r->N * r->V), done);
  PLM_TRY_GOTO(PLM_NEW(&r->hidden, r->L + 1), done);
  for (int64_t i = 0; i <= r->L; i++)
    if (wanted[i]) PLM_TRY_GOTO(PLM_NEW(&r->hidden[i], r->N * r->C), done);
done:
  plm_free(wanted);
  return status;
}

/* Records first..first+count-1 as one packed batch, into their place in the results. */
static plm_status run_batch(plm_session *session, const plm_packer_options *packer, int64_t first, int64_t count,
                            plm_packed *packed, float **hidden, results *r) {
  int64_t *ids = NULL;
  plm_status status;
  PLM_TRY(PLM_NEW(&ids, count));
  for (int64_t i = 0; i < count; i++) ids[i] = first + i;
  PLM_TRY_GOTO(plm_pack(session->dataset, packer, 0, ids, count, packed), done);
  const plm_tokens *tokens = &packed->batch.encoder;
  memcpy(r->tokens + r->done, tokens->tokens, (size_t)tokens->N * sizeof *r->tokens);
  for (int64_t i = 0; i < count; i++) r->cu_seqlens[first + i + 1] = (int32_t)(r->done + tokens->cu_seqlens[i + 1]);
  memcpy(r->crop_offset + first, tokens->crop_offset, (size_t)count * sizeof *r->crop_offset);
  for (int64_t i = 0; i <= r->L; i++) hidden[i] = r->hidden[i] == NULL ? NULL : r->hidden[i] + r->done * r->C;
  const plm_request request = {.hidden = hidden, .logits = r->logits + r->done * r->V};
  PLM_TRY_GOTO(plm_model_infer(session->model, session->machine.exec, &packed->batch, &request), done);
  r->done += tokens->N;
done:
  plm_free(ids);
  return status;
}

static plm_status run_all(plm_session *session, const plm_packer_options *packer, results *r) {
  plm_packed *packed = NULL;
  float **hidden = NULL;
  plm_status status;
  PLM_TRY_GOTO(plm_packed_create(&packed), done);
  PLM_TRY_GOTO(PLM_NEW(&hidden, r->L + 1), done);
  for (int64_t first = 0; first < r->S;) {
    int64_t count = 0, tokens = 0;
    while (first + count < r->S) {
      int64_t length = plm_token_length(session->dataset, packer->alphabet, first + count, session->max_length);
      if (count > 0 && tokens + length > session->micro_batch_tokens) break;
      tokens += length;
      count++;
    }
    PLM_TRY_GOTO(run_batch(session, packer, first, count, packed, hidden, r), done);
    first += count;
  }
done:
  plm_free(hidden);
  plm_packed_destroy(packed);
  return status;
}

/* ---- showing and writing ---- */

static plm_status list_tensors(const results *r, plm_tensor_list *list) {
  const int64_t ends = r->S + 1, hidden[] = {r->N, r->C}, logits[] = {r->N, r->V};
  PLM_TRY(plm_tensor_list_add(list, "tokens", "I32", 1, &r->N, r->tokens, 0));
  PLM_TRY(plm_tensor_list_add(list, "cu_seqlens", "I32", 1, &ends, r->cu_seqlens, 0));
  for (int64_t i = 0; i <= r->L; i++) {
    char name[40];
    snprintf(name, sizeof name, "hidden_states.%lld", (long long)i);
    if (r->hidden[i] != NULL) PLM_TRY(plm_tensor_list_add(list, name, "F32", 2, hidden, r->hidden[i], 0));
  }
  return plm_tensor_list_add(list, "logits", "F32", 2, logits, r->logits, 0);
}

/* A window may leave out what was asked. */
static void warn_of_masks_outside(const plm_session *session, const plm_masked_sequence *sequence, int64_t s) {
  int64_t length, first = 0, outside = 0;
  const char *residues = plm_dataset_residues(session->dataset, s, &length);
  char count[PLM_COUNTED_TEXT];
  for (int64_t i = 0; i < length; i++) {
    const int64_t at = i + 1 - sequence->first_place;
    if (residues[i] != PLM_MASK_LETTER) continue;
    if (at >= 0 && at < sequence->n && sequence->tokens[at] == session->alphabet->mask) continue;
    if (outside++ == 0) first = i + 1;
  }
  if (outside > 0)
    plm_warn("%s: %s outside the window of --max-length %lld (first: residue %lld): the model is not asked there",
             sequence->name, plm_counted(outside, "<mask> is", "<mask> are", count), (long long)session->max_length,
             (long long)first);
}

static void print_masked(const plm_session *session, const results *r, const plm_output *output) {
  for (int64_t s = 0; s < r->S; s++) {
    const int32_t begin = r->cu_seqlens[s];
    char name[256];
    plm_dataset_name(session->dataset, s, name, sizeof name);
    const plm_masked_sequence sequence = {
        .name = name,
        .tokens = r->tokens + begin,
        .logits = r->logits + begin * r->V,
        .n = r->cu_seqlens[s + 1] - begin,
        .V = r->V,
        .first_place = r->crop_offset[s] + (session->alphabet->frame.opens < 0),
    };
    warn_of_masks_outside(session, &sequence, s);
    plm_print_masked(output, session->alphabet, &sequence);
  }
}

enum { NAME_WIDTH = 16 }; /* "hidden_states.47" */

static plm_status show(const forward_options *options, const results *r, const plm_output *output) {
  plm_tensor_list list = {0};
  plm_status status;
  PLM_TRY_GOTO(list_tensors(r, &list), done);
  if (options->output != NULL) {
    PLM_TRY_GOTO(plm_output_file_tensors(options->output, &list), done);
    char sequences[PLM_COUNTED_TEXT], tokens[PLM_COUNTED_TEXT];
    plm_info("wrote %s: %s, %s", options->output, plm_counted(r->S, "sequence", "sequences", sequences),
             plm_counted(r->N, "token", "tokens", tokens));
  }
  plm_print_tensor_header(output, NAME_WIDTH);
  for (size_t i = 0; i < list.count; i++) plm_print_tensor_row(output, NAME_WIDTH, &list.items[i]);
  for (size_t i = 0; i < options->slices.count; i++)
    PLM_TRY_GOTO(plm_print_slice(output, options->slices.items[i], list.items, list.count), done);
done:
  plm_tensor_list_free(&list);
  return status;
}

static void log_crops(const plm_session *session) {
  plm_view view;
  plm_view_all(session->dataset, &view);
  const plm_data_showing showing = {
      .side = "",
      .max_length = session->max_length,
      .is_fixed = true,
  };
  plm_data_log_showing(&view, session->alphabet, &showing);
}

enum { LONG_SEQUENCE = 20000 };

plm_status plm_inspect_forward_run(const plm_option_values *values, const plm_output *output) {
  forward_options *options = values->options;
  plm_session session = {0};
  results r = {0};
  plm_status status;
  if (options->session.data.count == 0)
    return plm_hint(plm_fail(PLM_E_USAGE, "--fasta is missing: no sequences to run"), "--fasta few.fasta");
  const plm_output_inputs inputs = {.files = {options->session.data}, .model = options->session.model};
  if (options->output != NULL) PLM_TRY(plm_output_file_check(options->output, &inputs));
  options->session.all_rows = true;
  options->session.read.masks = true;
  PLM_TRY_GOTO(plm_session_open(&options->session, output, &session), done);
  if (session.max_length > LONG_SEQUENCE)
    plm_warn(
        "a sequence of %lld tokens is run whole: the time for attention grows with the square of that; --max-length N cuts it",
        (long long)session.max_length);
  log_crops(&session);
  PLM_TRY_GOTO(allocate_results(&session, options->layers, &r), done);
  const plm_packer_options packer = {
      .alphabet = session.alphabet,
      .policy = plm_data_policy(&options->session.read),
      .max_length = session.max_length,
      .evaluation = true,
  };
  PLM_TRY_GOTO(run_all(&session, &packer, &r), done);
  PLM_TRY_GOTO(show(options, &r, output), done);
  print_masked(&session, &r, output);
done:
  free_results(&r);
  plm_session_close(&session);
  return status;
}
