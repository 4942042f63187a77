/* kills.h - what loops that kill a run and start it again share: draws, and what every start must find and leave.
 *
 * PROTLM_SEED repeats a sequence of draws (not of moments: those are the machine's), PROTLM_KILLS sets how many kills.
 */
#ifndef TESTS_INTEGRATION_KILLS_H
#define TESTS_INTEGRATION_KILLS_H

#include <stdint.h>

#include "integration/run.h"

void kills_begin(void);  /* the seed: given, or the time; it is printed */
int kills_wanted(void);  /* default 20 */
double kills_draw(void); /* uniform in [0, 1) */
int kills_draw_below(int n);

/* The newest checkpoint and all others of {}/run are whole, by their hashes. */
void kills_expect_good_checkpoints(const char *run);

/* The first step of a start was the one after the newest checkpoint before it. */
void kills_expect_continues(const run_result *result, const run_steps *steps, int64_t newest_before);

/* A run of `last` steps is over: each step is logged once, metrics.csv says the same, and no temporary is left. */
void kills_expect_whole_logs(const char *run, int64_t last);

#endif
