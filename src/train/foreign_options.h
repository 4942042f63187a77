/* foreign_options.h - what people bring from other programs' command lines, and what to do here instead. */
#ifndef PLM_TRAIN_FOREIGN_OPTIONS_H
#define PLM_TRAIN_FOREIGN_OPTIONS_H

#include "protlm/options.h"

/* Each ends with an empty row. */
extern const plm_foreign_option plm_train_foreign_options[];
extern const plm_foreign_value plm_train_foreign_values[];

#endif
