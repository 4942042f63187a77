/* measures.c - the table of measures, the contract that docs/formats.md prints (tests/unit/test_metrics.c compares
 * them), and how values are made from the sums of an evaluation. */
#include "runlog/measures.h"

#include <math.h>
#include <string.h>

/* ---- sums ---- */

double plm_total_sum(const plm_totals *totals, plm_sum of, plm_sum per) {
  (void)per;
  return totals->sum[of];
}

double plm_total_mean(const plm_totals *totals, plm_sum of, plm_sum per) {
  return totals->sum[per] > 0 ? totals->sum[of] / totals->sum[per] : NAN;
}

double plm_total_perplexity(const plm_totals *totals, plm_sum of, plm_sum per) {
  return exp(plm_total_mean(totals, of, per));
}

double plm_total_error(const plm_totals *totals, plm_sum of, plm_sum per) {
  const double clusters = totals->clusters[per], mean = plm_total_mean(totals, of, per);
  if (clusters < 2) return NAN;
  double square =
      totals->product[of][of] - 2 * mean * totals->product[of][per] + mean * mean * totals->product[per][per];
  if (isnan(square)) return NAN;
  return sqrt(fmax(square, 0) * clusters / (clusters - 1)) / totals->sum[per];
}

/* ---- the table ---- */

#define TRAIN .lines = PLM_TRAIN_LINE
#define EVAL .lines = PLM_EVAL_LINE
#define BOTH .lines = PLM_TRAIN_LINE | PLM_EVAL_LINE
#define LOWER .better = PLM_BETTER_LOWER
#define HIGHER .better = PLM_BETTER_HIGHER
#define MASKED .is_masked = true
#define IS_COUNT .is_count = true
#define PLACED .is_placed = true
#define OF_RANKS .of_ranks = true
#define MADE(how, numerator, denominator) \
  .make = plm_total_##how, .of = PLM_SUM_##numerator, .per = PLM_SUM_##denominator

static plm_measure table[PLM_MAX_MEASURES] = {
    [PLM_MEASURE_EPOCH] = {.name = "epoch", BOTH},
    [PLM_MEASURE_STEP] = {.name = "step", BOTH, IS_COUNT},
    [PLM_MEASURE_LOSS] = {.name = "loss", .tag = "train/loss", .unit = "nats", TRAIN, LOWER},
    [PLM_MEASURE_GRAD_NORM] = {.name = "grad_norm", .tag = "train/grad_norm", TRAIN},
    [PLM_MEASURE_LEARNING_RATE] = {.name = "learning_rate", .tag = "train/learning_rate", TRAIN},
    [PLM_MEASURE_TOKENS] = {.name = "tokens", TRAIN, IS_COUNT},
    [PLM_MEASURE_RESIDUES] = {.name = "residues", TRAIN, IS_COUNT},
    [PLM_MEASURE_SECONDS] = {.name = "seconds", .unit = "s", TRAIN},
    [PLM_MEASURE_RESIDUES_PER_S] = {.name = "residues_per_s", .tag = "train/residues_per_s", TRAIN, HIGHER},
    [PLM_MEASURE_DATA_WAIT] = {.name = "data_wait", .tag = "train/data_wait", .unit = "%", TRAIN, LOWER},
    [PLM_MEASURE_RANKS] = {.name = "ranks", TRAIN, IS_COUNT, OF_RANKS},
    [PLM_MEASURE_COMM_EXPOSED] =
        {.name = "comm_exposed", .tag = "train/comm_exposed", .unit = "%", TRAIN, LOWER, OF_RANKS},
    [PLM_MEASURE_IMBALANCE] = {.name = "imbalance", .tag = "train/imbalance", .unit = "%", TRAIN, LOWER, OF_RANKS},
    [PLM_MEASURE_SLOWEST_RANK] = {.name = "slowest_rank", TRAIN, IS_COUNT, OF_RANKS},
    [PLM_MEASURE_EVAL_LOSS] =
        {
            .name = "eval_loss",
            .tag = "eval/loss",
            .words = "loss",
            .unit = "nats",
            PLACED,
            EVAL,
            LOWER,
            .decimals = 4,
            .page_decimals = 4,
            .error = PLM_MEASURE_EVAL_LOSS_SE,
            .state = "last_eval_loss",
            MADE(mean, NLL, COUNT),
        },
    [PLM_MEASURE_EVAL_LOSS_SE] = {.name = "eval_loss_se", .unit = "nats", EVAL, MADE(error, NLL, COUNT)},
    [PLM_MEASURE_EVAL_PERPLEXITY] =
        {
            .name = "eval_perplexity",
            .tag = "eval/perplexity",
            .words = "perplexity",
            PLACED,
            EVAL,
            LOWER,
            .decimals = 3,
            .page_decimals = 2,
            .state = "last_eval_perplexity",
            MADE(perplexity, NLL, COUNT),
        },
    [PLM_MEASURE_EVAL_ACCURACY] =
        {
            .name = "eval_accuracy",
            .tag = "eval/accuracy",
            .words = "accuracy",
            .unit = "%",
            PLACED,
            EVAL,
            HIGHER,
            .decimals = 2,
            .page_decimals = 1,
            MADE(mean, CORRECT, COUNT),
        },
    [PLM_MEASURE_EVAL_COUNT] =
        {
            .name = "eval_count",
            .words = "residues predicted",
            .heading = "residues asked",
            PLACED,
            EVAL,
            IS_COUNT,
            MADE(sum, COUNT, COUNT),
        },
    [PLM_MEASURE_EVAL_LOSS_MASKED] =
        {
            .name = "eval_loss_masked",
            .tag = "eval/loss_masked",
            .words = "loss",
            .unit = "nats",
            PLACED,
            EVAL,
            LOWER,
            MASKED,
            .decimals = 4,
            .page_decimals = 4,
            .error = PLM_MEASURE_EVAL_LOSS_MASKED_SE,
            MADE(mean, NLL_MASKED, COUNT_MASKED),
        },
    [PLM_MEASURE_EVAL_LOSS_MASKED_SE] =
        {.name = "eval_loss_masked_se", .unit = "nats", EVAL, MASKED, MADE(error, NLL_MASKED, COUNT_MASKED)},
    [PLM_MEASURE_EVAL_PERPLEXITY_MASKED] =
        {
            .name = "eval_perplexity_masked",
            .tag = "eval/perplexity_masked",
            .words = "perplexity",
            PLACED,
            EVAL,
            LOWER,
            MASKED,
            .decimals = 3,
            .page_decimals = 2,
            .state = "last_eval_perplexity_masked",
            MADE(perplexity, NLL_MASKED, COUNT_MASKED),
        },
    [PLM_MEASURE_EVAL_ACCURACY_MASKED] =
        {
            .name = "eval_accuracy_masked",
            .tag = "eval/accuracy_masked",
            .words = "accuracy",
            .unit = "%",
            PLACED,
            EVAL,
            HIGHER,
            MASKED,
            .decimals = 2,
            .page_decimals = 1,
            MADE(mean, CORRECT_MASKED, COUNT_MASKED),
        },
    [PLM_MEASURE_EVAL_COUNT_MASKED] =
        {
            .name = "eval_count_masked",
            .words = "residues predicted",
            .heading = "residues asked",
            PLACED,
            EVAL,
            IS_COUNT,
            MASKED,
            MADE(sum, COUNT_MASKED, COUNT_MASKED),
        },
    [PLM_MEASURE_BASELINE_FREQUENCY] =
        {
            .name = "baseline_frequency",
            .words = "by residue frequencies",
            .heading = "frequencies",
            PLACED,
            EVAL,
            .decimals = 3,
            .page_decimals = 2,
            MADE(perplexity, FREQUENCY, COUNT),
        },
    [PLM_MEASURE_BASELINE_COPY] =
        {
            .name = "baseline_copy",
            .words = "... and copying what is seen",
            .heading = "freq. + copying",
            PLACED,
            EVAL,
            .decimals = 3,
            .page_decimals = 2,
            MADE(perplexity, COPY, COUNT),
        },
    [PLM_MEASURE_BASELINE_FREQUENCY_MASKED] =
        {
            .name = "baseline_frequency_masked",
            .words = "by residue frequencies",
            .heading = "frequencies",
            PLACED,
            EVAL,
            MASKED,
            .decimals = 3,
            .page_decimals = 2,
            .state = "last_baseline_masked",
            MADE(perplexity, FREQUENCY_MASKED, COUNT_MASKED),
        },
    [PLM_MEASURE_BASELINE_COPY_MASKED] = /* <mask> shows nothing to copy: the same */
    {
        .name = "baseline_copy_masked",
        .words = "... and copying what is seen",
        .heading = "freq. + copying",
        PLACED,
        EVAL,
        MASKED,
        .decimals = 3,
        .page_decimals = 2,
        MADE(perplexity, FREQUENCY_MASKED, COUNT_MASKED),
    },
    [PLM_MEASURE_GAIN_MASKED] =
        {
            .name = "gain_masked",
            .tag = "eval/gain_masked",
            .unit = "nats",
            EVAL,
            HIGHER,
            MASKED,
            .decimals = 4,
            .page_decimals = 3,
            .error = PLM_MEASURE_GAIN_MASKED_SE,
            .state = "last_gain_masked",
            MADE(mean, GAIN_MASKED, COUNT_MASKED),
        },
    [PLM_MEASURE_GAIN_MASKED_SE] =
        {
            .name = "gain_masked_se",
            .unit = "nats",
            EVAL,
            MASKED,
            .state = "last_gain_masked_se",
            MADE(error, GAIN_MASKED, COUNT_MASKED),
        },
    [PLM_MEASURE_EVAL_SECONDS] = {.name = "eval_seconds", .unit = "s", EVAL},
};

static int count = PLM_MEASURES;

int plm_measure_count(void) { return count; }

const plm_measure *plm_measure_at(int index) { return &table[index]; }
bool plm_measure_is_extra(int index) { return table[index].words != NULL && !table[index].is_placed; }

/* A name is a field of a line with a fixed end (base/json.h), so all of them together must fit it. */
static bool is_name(const char *name) {
  return name != NULL && name[0] != '\0' && strlen(name) < PLM_MEASURE_NAME &&
         strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name);
}

plm_status plm_measure_register(const plm_measure *measure) {
  if (!is_name(measure->name))
    return plm_fail(PLM_E_BUG, "a measure's name is 1 to %d of a-z, 0-9 and _", PLM_MEASURE_NAME - 1);
  if (measure->make == NULL || measure->words == NULL || measure->lines != PLM_EVAL_LINE || measure->state != NULL ||
      measure->is_placed || measure->error < 0 || measure->error >= count ||
      (measure->tag != NULL && strlen(measure->tag) > PLM_MEASURE_TAG))
    return plm_fail(PLM_E_BUG, "the measure \"%s\" is not one of evaluation lines with words and a value",
                    measure->name);
  for (int i = 0; i < count; i++)
    if (strcmp(table[i].name, measure->name) == 0)
      return plm_fail(PLM_E_BUG, "there is a measure \"%s\" already", measure->name);
  if (count == PLM_MAX_MEASURES) return plm_fail(PLM_E_BUG, "there is room for %d measures", PLM_MAX_MEASURES);
  table[count++] = *measure;
  return PLM_OK;
}
