/* clock.h - time, so that tests can set it. */
#ifndef PLM_BASE_CLOCK_H
#define PLM_BASE_CLOCK_H

#include <stdint.h>

double plm_clock_monotonic(void); /* seconds, never goes back; arbitrary origin */
double plm_clock_wall(void);      /* seconds since 1970-01-01 UTC */
double plm_clock_cpu(void);       /* seconds of processor time used by this process */

/* Test hook: with a fake clock both clocks read `seconds` until it is set again; negative returns to the real one. */
void plm_clock_set_fake(double seconds);

#endif
