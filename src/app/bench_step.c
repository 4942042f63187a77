/* bench_step.c - `protlm bench step`: forward and backward of a preset on made-up proteins, in residues per second and
 * as a share of what this machine's products reach. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "app/bench.h"
#include "app/commands.h"
#include "app/print.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/rng.h"
#include "train/optimiser.h"

typedef struct step_options {
  const char *model, *dtype;
  int64_t threads, tokens, length, steps;
} step_options;

static const plm_option option_list[] = {
    {
        .name = "model",
        .aliases = "m",
        .type = PLM_OPT_STRING,
        .offset = offsetof(step_options, model),
        .default_value = "esm2_t6_8M",
        .group = "What",
        .argument = "PRESET",
        .help = "shape to run",
    },
    {
        .name = "micro-batch-tokens",
        .aliases = "tokens",
        .type = PLM_OPT_COUNT,
        .offset = offsetof(step_options, tokens),
        .default_value = "4096",
        .min = PLM_SMALLEST_WINDOW,
        .max = 1e8,
        .group = "What",
        .argument = "N",
        .help = "tokens of the micro-batch",
    },
    {
        .name = "length",
        .type = PLM_OPT_COUNT,
        .offset = offsetof(step_options, length),
        .default_value = "256",
        .min = PLM_SMALLEST_WINDOW,
        .max = 1e6,
        .group = "What",
        .argument = "N",
        .help = "tokens of each sequence",
    },
    {
        .name = "steps",
        .type = PLM_OPT_COUNT,
        .offset = offsetof(step_options, steps),
        .default_value = "5",
        .min = 1,
        .max = 1e6,
        .group = "What",
        .argument = "N",
        .help = "repetitions; the median counts",
    },
    PLM_OPTION_DTYPE(step_options, dtype),
    PLM_OPTION_THREADS(step_options, threads),
};

const plm_option_table *plm_bench_step_option_table(void) {
  static const plm_option_table table = {
      .command = "bench step",
      .summary = "measure a whole forward and backward pass",
      .usage = "protlm bench step [--model esm2_t6_8M] [--dtype bf16] [--threads N]",
      .description =
          "Random weights, random residues, 15 % of them masked; forward, loss and backward, without the update. The last column is the share of "
          "`protlm bench gemm`'s rate that the necessary FLOPs reach.",
      .examples = "protlm bench step --model esm2_t6_8M --dtype bf16\n",
      .options = option_list,
      .count = sizeof option_list / sizeof *option_list,
      .struct_size = sizeof(step_options),
  };
  return &table;
}

/* A batch of equal sequences of random residues with every 7th row masked and asked for. */
typedef struct made_batch {
  plm_batch batch;
  int32_t *ints; /* tokens, positions, cu_seqlens, crop_offset, rows, targets, one after the other */
  int64_t *ids;
} made_batch;

static plm_status make_batch(const plm_alphabet *alphabet, int64_t tokens, int64_t length, made_batch *b) {
  enum { EVERY = 7 };
  const plm_frame *frame = &alphabet->frame;
  int64_t S = tokens < length ? 1 : tokens / length;
  if (tokens < length) length = tokens;
  int64_t N = S * length, M = 0;
  PLM_TRY(PLM_NEW(&b->ints, 4 * N + 2 * S + 1));
  PLM_TRY(PLM_NEW(&b->ids, S));
  int32_t *token = b->ints, *position = token + N, *rows = position + N, *targets = rows + N, *cu = targets + N,
          *crop = cu + S + 1;
  for (int64_t n = 0; n < N; n++) {
    int64_t t = n % length;
    position[n] = (int32_t)t;
    uint32_t word = plm_rng(1, PLM_RNG_INIT, (uint64_t)n, 1, 0).word[0];
    token[n] = t == 0 && frame->opens >= 0 ? frame->opens
               : t == length - 1 && frame->closes >= 0
                   ? frame->closes
                   : alphabet->standard[plm_rng_below(word, (uint32_t)alphabet->standard_count)];
    if (n % EVERY != 3 || plm_alphabet_is_framing(alphabet, token[n])) continue;
    rows[M] = (int32_t)n;
    targets[M++] = token[n];
    token[n] = alphabet->mask;
  }
  for (int64_t s = 0; s <= S; s++) cu[s] = (int32_t)(s * length);
  b->batch = (plm_batch){
      .encoder =
          {
              .N = N,
              .S = S,
              .max_length = length,
              .tokens = token,
              .positions = position,
              .cu_seqlens = cu,
              .sequence_id = b->ids,
              .crop_offset = crop,
          },
      .objective_count = 1,
      .objectives = {{.kind = PLM_LOSS_CROSS_ENTROPY, .M = M, .rows = rows, .targets = targets, .weight = 1}},
  };
  return PLM_OK;
}

static void free_batch(made_batch *b) {
  plm_free(b->ints);
  plm_free(b->ids);
}

/* Median seconds of forward + backward; *ret_flops of one pass as the exec counted them. */
static plm_status time_steps(plm_session *session, const plm_batch *batch, int64_t steps, double *ret_seconds,
                             double *ret_flops) {
  plm_exec *x = session->machine.exec;
  double *times;
  PLM_TRY(PLM_NEW(&times, steps));
  plm_status status = plm_model_forward_backward(session->model, x, batch, NULL);
  x->flops = 0;
  for (int64_t i = 0; i < steps && status == PLM_OK; i++) {
    double start = plm_clock_monotonic();
    status = plm_model_forward_backward(session->model, x, batch, NULL);
    if (status == PLM_OK) status = x->device->synchronize(x->device);
    double t = plm_clock_monotonic() - start;
    int64_t at = i;
    for (; at > 0 && times[at - 1] > t; at--) times[at] = times[at - 1];
    times[at] = t;
  }
  *ret_seconds = times[steps / 2];
  *ret_flops = x->flops / (double)steps;
  plm_free(times);
  return status;
}

static plm_status open_model(const step_options *options, plm_session *session) {
  plm_model_config config;
  PLM_TRY(plm_session_open_machine(options->threads, NULL, session));
  PLM_TRY(plm_model_config_preset(options->model, &config));
  session->alphabet = config.alphabet;
  const plm_model_options model = {
      .dtype = strcmp(options->dtype, "bf16") == 0 ? PLM_BF16 : PLM_F32,
      .training = true,
      .max_tokens = options->tokens,
      .max_length = options->length,
      .optimiser = plm_optimiser_planned(NULL),
  };
  PLM_TRY(plm_model_create(&config, &model, session->machine.exec, &session->model));
  PLM_TRY(plm_model_initialise(session->model, 1));
  return plm_model_refresh(session->model, session->machine.exec, PLM_REFRESH_ALL);
}

static plm_status measure(const step_options *options, plm_session *session, const made_batch *made,
                          const plm_output *output) {
  const plm_model_config *config = plm_model_get_config(session->model);
  double seconds, flops, product;
  PLM_TRY(time_steps(session, &made->batch, options->steps, &seconds, &flops));
  PLM_TRY(plm_bench_linear(session->machine.exec, plm_model_get_dtype(session->model), made->batch.encoder.N,
                           config->intermediate_size, config->hidden_size, 0.5, &product));
  const plm_tokens *batch = &made->batch.encoder;
  double residues = (double)(batch->N - plm_alphabet_specials(session->alphabet) * batch->S);
  plm_print(output, "%s%-15s %-5s %8s %10s %12s %10s %10s %7s%s\n", plm_style(output, PLM_BOLD), "model", "dtype",
            "tokens", "ms", "residues/s", "GFLOP/s", "products", "share", plm_style(output, PLM_RESET));
  plm_print(output, "%-15s %-5s %8lld %10.1f %12.0f %10.1f %10.1f %6.1f%%\n", options->model, options->dtype,
            (long long)made->batch.encoder.N, seconds * 1e3, residues / seconds, flops / seconds * 1e-9, product * 1e-9,
            100 * flops / seconds / product);
  return PLM_OK;
}

plm_status plm_bench_step_run(const plm_option_values *values, const plm_output *output) {
  const step_options *options = values->options;
  plm_session session = {0};
  made_batch made = {0};
  plm_status status;
  PLM_TRY_GOTO(open_model(options, &session), done);
  PLM_TRY_GOTO(make_batch(session.alphabet, options->tokens, options->length, &made), done);
  PLM_TRY_GOTO(measure(options, &session, &made, output), done);
done:
  free_batch(&made);
  plm_session_close(&session);
  return status;
}
