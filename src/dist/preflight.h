/* preflight.h - before the first step: does every rank compute what the others compute, and does what is sent arrive?
 *
 * Each rank computes a little, exchanges as much as an exchange takes, and adds up known small integers of 64 KiB, 1 MiB
 * and, where memory is not short, 64 MiB through the transport that the run will use. A fraction of a second, against
 * days with a host whose memory or network is bad.
 */
#ifndef PLM_DIST_PREFLIGHT_H
#define PLM_DIST_PREFLIGHT_H

#include "dist/agree.h"

/* Collective. PLM_E_FAILURE naming rank and host where a result is not exact; a rank that is far slower than the others
 * is a warning. With one rank nothing. */
PLM_CHECKED plm_status plm_preflight(plm_comm *comm, plm_exec *x);

#endif
