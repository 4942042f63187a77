/* measures.h - every number that a run writes down: one table with a row for each, walked from the step and
 * the evaluation to log.jsonl, metrics.csv, TensorBoard, trainer_state.json, protlm_state.json, `protlm
 * eval` and the report.
 *
 * Contents: sums of an evaluation, the table, a record. A record is one line of the log: values by the index of their
 * row.
 */
#ifndef PLM_RUNLOG_MEASURES_H
#define PLM_RUNLOG_MEASURES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "protlm/status.h"

/* ---- sums of an evaluation ---- */

/* What is added up over the predicted rows of each sequence; _MASKED: over those that show <mask>. Losses in nats. */
typedef enum plm_sum {
  PLM_SUM_COUNT,
  PLM_SUM_CORRECT,
  PLM_SUM_NLL,
  PLM_SUM_FREQUENCY, /* loss of the residue frequencies */
  PLM_SUM_COPY,      /* loss of the copy baseline */
  PLM_SUM_COUNT_MASKED,
  PLM_SUM_CORRECT_MASKED,
  PLM_SUM_NLL_MASKED,
  PLM_SUM_FREQUENCY_MASKED,
  PLM_SUM_GAIN_MASKED, /* that - NLL_MASKED */
  PLM_SUMS
} plm_sum;

/* Over all sequences and ranks; train/evaluate_totals.h makes them. */
typedef struct plm_totals {
  double sum[PLM_SUMS];
  double clusters[PLM_SUMS];          /* sequences whose sum is above 0 */
  double product[PLM_SUMS][PLM_SUMS]; /* of two sums of a sequence: for clustered standard errors */
} plm_totals;

/* How a value is made. `of`, `per`: of the row of the table; a function need not look at them. NAN: there is none. */
typedef double plm_measure_fn(const plm_totals *totals, plm_sum of, plm_sum per);
plm_measure_fn plm_total_sum;        /* of */
plm_measure_fn plm_total_mean;       /* of / per */
plm_measure_fn plm_total_perplexity; /* exp(of / per) */
plm_measure_fn plm_total_error;      /* standard error of of / per, a sequence being one observation */

/* ---- the table ---- */

enum { PLM_TRAIN_LINE = 1, PLM_EVAL_LINE = 2, PLM_MAX_MEASURES = 64, PLM_MEASURE_NAME = 40, PLM_MEASURE_TAG = 100 };

typedef struct plm_measure {
  const char *name;    /* field of log.jsonl, column of metrics.csv, member of `eval --json` */
  const char *tag;     /* TensorBoard; NULL: not there */
  const char *words;   /* for people; NULL: in no table of `eval` */
  const char *heading; /* the same in the report, shorter; NULL: `words` */
  const char *unit;    /* "nats"; "%": values 0..1 shown as 0..100; NULL: none */
  enum { PLM_BETTER_NEITHER, PLM_BETTER_LOWER, PLM_BETTER_HIGHER } better;
  unsigned lines;              /* PLM_TRAIN_LINE, PLM_EVAL_LINE: those that have it */
  bool is_count;               /* int64_t, not double */
  bool is_masked;              /* over <mask> rows: stands in their column */
  bool is_placed;              /* `eval` and the report name it; others with words stand behind those */
  bool is_drawn;               /* not so: a figure of its own in the report */
  bool of_ranks;               /* of runs by several ranks alone; no column of metrics.csv */
  int decimals, page_decimals; /* in `eval`, in the report */
  int error;                   /* index of its standard error; 0: none */
  const char *state;           /* field of protlm_state.json for its last value; NULL: not there */
  plm_measure_fn *make;        /* an evaluation's value, from its totals; NULL: set by src/train */
  plm_sum of, per;             /* for `make` */
} plm_measure;

/* Built in, in the order of metrics.csv; epoch, step and loss lead, as in the CSV of the workshop's demo. */
enum {
  PLM_MEASURE_NONE = -1,
  PLM_MEASURE_EPOCH,
  PLM_MEASURE_STEP,
  PLM_MEASURE_LOSS,
  PLM_MEASURE_GRAD_NORM,
  PLM_MEASURE_LEARNING_RATE,
  PLM_MEASURE_TOKENS,   /* since the start of the run */
  PLM_MEASURE_RESIDUES, /* likewise */
  PLM_MEASURE_SECONDS,  /* since the run's first step, resumes included */
  PLM_MEASURE_RESIDUES_PER_S,
  PLM_MEASURE_DATA_WAIT, /* both over the interval since the last line; share of it spent waiting for data, 0..1 */
  PLM_MEASURE_RANKS,
  PLM_MEASURE_COMM_EXPOSED, /* share of the interval spent waiting for other ranks' gradients and weights, 0..1, their mean */
  PLM_MEASURE_IMBALANCE,    /* over the interval: time to compute of each step's slowest rank / the ranks' mean - 1 */
  PLM_MEASURE_SLOWEST_RANK, /* the one that was it most often */
  PLM_MEASURE_EVAL_LOSS,
  PLM_MEASURE_EVAL_LOSS_SE,
  PLM_MEASURE_EVAL_PERPLEXITY,
  PLM_MEASURE_EVAL_ACCURACY,
  PLM_MEASURE_EVAL_COUNT,
  PLM_MEASURE_EVAL_LOSS_MASKED,
  PLM_MEASURE_EVAL_LOSS_MASKED_SE,
  PLM_MEASURE_EVAL_PERPLEXITY_MASKED,
  PLM_MEASURE_EVAL_ACCURACY_MASKED,
  PLM_MEASURE_EVAL_COUNT_MASKED,
  PLM_MEASURE_BASELINE_FREQUENCY, /* perplexity that a model without context reaches: amino-acid frequencies */
  PLM_MEASURE_BASELINE_COPY,      /* the same + copying visible tokens */
  PLM_MEASURE_BASELINE_FREQUENCY_MASKED,
  PLM_MEASURE_BASELINE_COPY_MASKED,
  PLM_MEASURE_GAIN_MASKED, /* frequency loss - model loss */
  PLM_MEASURE_GAIN_MASKED_SE,
  PLM_MEASURE_EVAL_SECONDS,
  PLM_MEASURES
};

/* Add a row for evaluation lines behind the others; before a run begins, from one thread. Its strings stay the
 * caller's, for good; `make` and `words` must be there, `state` and a place must not. PLM_E_BUG: a row that cannot be,
 * the name is taken, or the table is full. */
PLM_CHECKED plm_status plm_measure_register(const plm_measure *measure);
int plm_measure_count(void); /* built in and registered */
const plm_measure *plm_measure_at(int index);
bool plm_measure_is_extra(int index); /* has words and no place */
static inline bool plm_measure_is_percent(const plm_measure *measure) {
  return measure->unit != NULL && strcmp(measure->unit, "%") == 0;
}

/* ---- a record ---- */

typedef struct plm_cell {
  enum { PLM_CELL_EMPTY, PLM_CELL_COUNT, PLM_CELL_NUMBER } kind;
  union {
    int64_t count;
    double number;
  };
} plm_cell;

typedef struct plm_record {
  plm_cell cell[PLM_MAX_MEASURES]; /* zeroed = empty */
} plm_record;

/* A count is cut to whole, and empty where the value is no number or more than 64 bits hold. */
void plm_record_set(plm_record *record, int measure, double value);
void plm_record_set_count(plm_record *record, int measure, int64_t value);
double plm_record_number(const plm_record *record, int measure);              /* NAN when empty */
void plm_record_evaluation(const plm_totals *totals, plm_record *ret_record); /* every measure that has `make` */

/* Of a line of log.jsonl: null is NaN; names of no row are passed over. */
void plm_record_from_json(const json_t *line, plm_record *ret_record);
/* As a line of log.jsonl (step first, then in the order of the table) and of metrics.csv; both end in a newline. */
PLM_CHECKED plm_status plm_record_to_json(const plm_record *record, plm_json_line *ret_line);
void plm_record_put_json(const plm_record *record, int measure, plm_json_line *line); /* one field */
void plm_record_to_csv(const plm_record *record, plm_text *csv);
void plm_record_csv_header(plm_text *csv);

#endif
