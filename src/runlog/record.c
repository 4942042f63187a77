/* record.c - one line of a run's log in its forms: values by index, JSON, CSV. */
#include <math.h>

#include "runlog/measures.h"

void plm_record_set(plm_record *record, int measure, double value) {
  const bool is_count = plm_measure_at(measure)->is_count;
  if (is_count && fabs(value) < 0x1p63)
    plm_record_set_count(record, measure, (int64_t)value);
  else
    record->cell[measure] = (plm_cell){.kind = is_count ? PLM_CELL_EMPTY : PLM_CELL_NUMBER, .number = value};
}

void plm_record_set_count(plm_record *record, int measure, int64_t value) {
  record->cell[measure].kind = PLM_CELL_COUNT;
  record->cell[measure].count = value;
}

double plm_record_number(const plm_record *record, int measure) {
  const plm_cell *cell = &record->cell[measure];
  return cell->kind == PLM_CELL_COUNT ? (double)cell->count : cell->kind == PLM_CELL_NUMBER ? cell->number : NAN;
}

void plm_record_evaluation(const plm_totals *totals, plm_record *ret_record) {
  *ret_record = (plm_record){0};
  for (int i = 0; i < plm_measure_count(); i++) {
    const plm_measure *m = plm_measure_at(i);
    if (m->make != NULL) plm_record_set(ret_record, i, m->make(totals, m->of, m->per));
  }
}

void plm_record_from_json(const json_t *line, plm_record *ret_record) {
  *ret_record = (plm_record){0};
  for (int i = 0; i < plm_measure_count(); i++) {
    const json_t *value = json_object_get(line, plm_measure_at(i)->name);
    if (json_is_integer(value) && plm_measure_at(i)->is_count)
      plm_record_set_count(ret_record, i, json_integer_value(value));
    else if (json_is_number(value) || json_is_null(value))
      ret_record->cell[i] = (plm_cell){
          .kind = PLM_CELL_NUMBER,
          .number = json_is_null(value) ? (double)NAN : json_number_value(value),
      };
  }
}

void plm_record_put_json(const plm_record *record, int measure, plm_json_line *line) {
  const plm_cell *cell = &record->cell[measure];
  if (cell->kind == PLM_CELL_COUNT) plm_json_line_int(line, plm_measure_at(measure)->name, cell->count);
  if (cell->kind == PLM_CELL_NUMBER) plm_json_line_number(line, plm_measure_at(measure)->name, cell->number);
}

plm_status plm_record_to_json(const plm_record *record, plm_json_line *ret_line) {
  plm_json_line_begin(ret_line);
  plm_record_put_json(record, PLM_MEASURE_STEP, ret_line);
  for (int i = 0; i < plm_measure_count(); i++)
    if (i != PLM_MEASURE_STEP) plm_record_put_json(record, i, ret_line);
  return plm_json_line_end(ret_line);
}

void plm_record_csv_header(plm_text *csv) {
  for (int i = 0; i < plm_measure_count(); i++)
    if (!plm_measure_at(i)->of_ranks) plm_text_printf(csv, "%s%s", i > 0 ? "," : "", plm_measure_at(i)->name);
  plm_text_append(csv, "\n");
}

/* JSON has only null for what is not finite, so here too NaN and infinity are one word: a table made again from
 * log.jsonl is the same. */
void plm_record_to_csv(const plm_record *record, plm_text *csv) {
  char number[PLM_NUMBER_TEXT];
  for (int i = 0; i < plm_measure_count(); i++) {
    const plm_cell *cell = &record->cell[i];
    if (plm_measure_at(i)->of_ranks) continue;
    if (i > 0) plm_text_append(csv, ",");
    if (cell->kind == PLM_CELL_COUNT) plm_text_printf(csv, "%lld", (long long)cell->count);
    if (cell->kind == PLM_CELL_NUMBER)
      plm_text_append(csv, isfinite(cell->number) ? plm_number_digits(cell->number, 9, number) : "nan");
  }
  plm_text_append(csv, "\n");
}
