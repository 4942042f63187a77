/* batch_view.h - a masked batch as a person reads it. */
#ifndef PLM_APP_BATCH_VIEW_H
#define PLM_APP_BATCH_VIEW_H

#include "app/print.h"
#include "data/packer.h"

/* The first `records` sequences, residues in lines of 60 with their places; predicted residues in colour, or in
 * brackets without it. */
void plm_print_batch(const plm_output *output, const plm_dataset *dataset, const plm_alphabet *alphabet,
                     const plm_packed *packed, int64_t step, int64_t epoch, int64_t records);

#endif
