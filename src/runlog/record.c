/* record.c - one line of a run's log, in its three forms: fields of a struct, JSON, CSV. The table below is the
 * contract that docs/formats.md prints. */
#include <math.h>
#include <string.h>

#include "runlog/internal.h"

#define TRAIN(field) .train_offset = offsetof(plm_train_metrics, field), .eval_offset = -1
#define EVAL(field) .train_offset = -1, .eval_offset = offsetof(plm_eval_metrics, field)
#define BOTH(field) .train_offset = offsetof(plm_train_metrics, field), .eval_offset = offsetof(plm_eval_metrics, field)

/* epoch, step and loss lead, as in the CSV of the workshop's demo. */
const plm_metrics_column plm_metrics_columns[PLM_METRICS_COLUMNS] = {
    {.name = "epoch", BOTH(epoch)},
    {.name = "step", .is_count = true, BOTH(step)},
    {.name = "loss", .tag = "train/loss", TRAIN(loss)},
    {.name = "grad_norm", .tag = "train/grad_norm", TRAIN(grad_norm)},
    {.name = "learning_rate", .tag = "train/learning_rate", TRAIN(learning_rate)},
    {.name = "tokens", .is_count = true, TRAIN(tokens)},
    {.name = "residues", .is_count = true, TRAIN(residues)},
    {.name = "seconds", TRAIN(seconds)},
    {.name = "residues_per_s", .tag = "train/residues_per_s", TRAIN(residues_per_s)},
    {.name = "data_wait", .tag = "train/data_wait", TRAIN(data_wait)},
    {.name = "eval_loss", .tag = "eval/loss", EVAL(eval_loss)},
    {.name = "eval_loss_se", EVAL(eval_loss_se)},
    {.name = "eval_perplexity", .tag = "eval/perplexity", EVAL(eval_perplexity)},
    {.name = "eval_accuracy", .tag = "eval/accuracy", EVAL(eval_accuracy)},
    {.name = "eval_count", .is_count = true, EVAL(eval_count)},
    {.name = "eval_loss_masked", .tag = "eval/loss_masked", EVAL(eval_loss_masked)},
    {.name = "eval_loss_masked_se", EVAL(eval_loss_masked_se)},
    {.name = "eval_perplexity_masked", .tag = "eval/perplexity_masked", EVAL(eval_perplexity_masked)},
    {.name = "eval_accuracy_masked", .tag = "eval/accuracy_masked", EVAL(eval_accuracy_masked)},
    {.name = "eval_count_masked", .is_count = true, EVAL(eval_count_masked)},
    {.name = "baseline_frequency", EVAL(baseline_frequency)},
    {.name = "baseline_copy", EVAL(baseline_copy)},
    {.name = "baseline_frequency_masked", EVAL(baseline_frequency_masked)},
    {.name = "baseline_copy_masked", EVAL(baseline_copy_masked)},
    {.name = "gain_masked", .tag = "eval/gain_masked", EVAL(gain_masked)},
    {.name = "gain_masked_se", EVAL(gain_masked_se)},
    {.name = "eval_seconds", EVAL(eval_seconds)},
};

static plm_metrics_cell read_field(const void *values, int offset, bool is_count) {
  plm_metrics_cell cell = {.kind = PLM_CELL_EMPTY};
  if (offset < 0) return cell;
  const char *field = (const char *)values + offset;
  cell.kind = is_count ? PLM_CELL_COUNT : PLM_CELL_NUMBER;
  if (is_count)
    memcpy(&cell.count, field, sizeof cell.count);
  else
    memcpy(&cell.number, field, sizeof cell.number);
  return cell;
}

void plm_metrics_row_train(const plm_train_metrics *values, plm_metrics_row ret_row) {
  for (int i = 0; i < PLM_METRICS_COLUMNS; i++)
    ret_row[i] = read_field(values, plm_metrics_columns[i].train_offset, plm_metrics_columns[i].is_count);
}

void plm_metrics_row_eval(const plm_eval_metrics *values, plm_metrics_row ret_row) {
  for (int i = 0; i < PLM_METRICS_COLUMNS; i++)
    ret_row[i] = read_field(values, plm_metrics_columns[i].eval_offset, plm_metrics_columns[i].is_count);
}

void plm_metrics_row_json(const json_t *line, plm_metrics_row ret_row) {
  for (int i = 0; i < PLM_METRICS_COLUMNS; i++) {
    const json_t *value = json_object_get(line, plm_metrics_columns[i].name);
    plm_metrics_cell cell = {.kind = PLM_CELL_EMPTY};
    if (json_is_integer(value) && plm_metrics_columns[i].is_count)
      cell = (plm_metrics_cell){.kind = PLM_CELL_COUNT, .count = json_integer_value(value)};
    else if (json_is_number(value))
      cell = (plm_metrics_cell){.kind = PLM_CELL_NUMBER, .number = json_number_value(value)};
    else if (json_is_null(value))
      cell = (plm_metrics_cell){.kind = PLM_CELL_NUMBER, .number = NAN};
    ret_row[i] = cell;
  }
}

static void put_json(plm_json_line *line, const char *name, const plm_metrics_cell *cell) {
  if (cell->kind == PLM_CELL_COUNT) plm_json_line_int(line, name, cell->count);
  if (cell->kind == PLM_CELL_NUMBER) plm_json_line_number(line, name, cell->number);
}

plm_status plm_metrics_row_to_json(const plm_metrics_row row, plm_json_line *ret_line) {
  enum { EPOCH = 0, STEP = 1 };
  plm_json_line_begin(ret_line);
  put_json(ret_line, "step", &row[STEP]);
  for (int i = EPOCH; i < PLM_METRICS_COLUMNS; i++)
    if (i != STEP) put_json(ret_line, plm_metrics_columns[i].name, &row[i]);
  return plm_json_line_end(ret_line);
}

void plm_metrics_csv_header(plm_text *csv) {
  for (int i = 0; i < PLM_METRICS_COLUMNS; i++)
    plm_text_printf(csv, "%s%s", i > 0 ? "," : "", plm_metrics_columns[i].name);
  plm_text_append(csv, "\n");
}

/* JSON has only null for what is not finite, so here too NaN and infinity are one word: a table made again from
 * log.jsonl is the same. */
void plm_metrics_row_to_csv(const plm_metrics_row row, plm_text *csv) {
  char number[PLM_NUMBER_TEXT];
  for (int i = 0; i < PLM_METRICS_COLUMNS; i++) {
    if (i > 0) plm_text_append(csv, ",");
    if (row[i].kind == PLM_CELL_COUNT) plm_text_printf(csv, "%lld", (long long)row[i].count);
    if (row[i].kind == PLM_CELL_NUMBER)
      plm_text_append(csv, isfinite(row[i].number) ? plm_number_digits(row[i].number, 9, number) : "nan");
  }
  plm_text_append(csv, "\n");
}
