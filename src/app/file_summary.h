/* file_summary.h - what a whole sequence file is, on one screen: for `inspect tokens --summary`. */
#ifndef PLM_APP_FILE_SUMMARY_H
#define PLM_APP_FILE_SUMMARY_H

#include "app/print.h"
#include "data/dataset.h"

/* max_length: tokens; how many sequences are longer is told. Reads every residue once, and takes 16 bytes a sequence. */
PLM_CHECKED plm_status plm_print_file_summary(const plm_output *output, const plm_dataset *dataset,
                                              const plm_alphabet *alphabet, const plm_alphabet_policy *policy,
                                              int64_t max_length);

#endif
