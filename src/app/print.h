/* print.h - text for a person or a pipe, through plm_output. */
#ifndef PLM_APP_PRINT_H
#define PLM_APP_PRINT_H

#include "protlm/commands.h"

void plm_print(const plm_output *output, const char *format, ...) PLM_PRINTF(2, 3);

/* ANSI escape when colour is wanted, else "". */
static inline const char *plm_style(const plm_output *output, const char *ansi) { return output->colour ? ansi : ""; }
#define PLM_BOLD "\033[1m"
#define PLM_DIM "\033[2m"
#define PLM_RED "\033[31m"
#define PLM_GREEN "\033[32m"
#define PLM_YELLOW "\033[33m"
#define PLM_RESET "\033[0m"

#endif
