/* records.h - lines of a log made from values by the index of their measure. */
#ifndef TESTS_SUPPORT_RECORDS_H
#define TESTS_SUPPORT_RECORDS_H

#include "runlog/measures.h"

/* Every built-in measure of such a line (PLM_TRAIN_LINE, PLM_EVAL_LINE) of a run by one rank. */
static inline plm_record record_of(unsigned line, const double values[PLM_MEASURES]) {
  plm_record record = {0};
  for (int i = 0; i < PLM_MEASURES; i++)
    if ((plm_measure_at(i)->lines & line) != 0 && !plm_measure_at(i)->of_ranks) plm_record_set(&record, i, values[i]);
  return record;
}

#endif
