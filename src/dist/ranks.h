/* ranks.h - the communicator of several ranks, over any transport (transport.h).
 *
 * One thread of each rank, the communication thread, makes every call of the transport, from its opening to its end. It
 * never waits inside one: sends and receives are started, and tested in a loop. The thread of the run posts what it
 * wants, and waits on a condition. So a rank always sees its time limit, and answers others that ask where it is while
 * it computes or hangs.
 */
#ifndef PLM_DIST_RANKS_H
#define PLM_DIST_RANKS_H

#include "dist/comm.h"
#include "dist/transport.h"

/* Opens the transport, on the communication thread. */
typedef plm_status plm_transport_opener(void *context, plm_transport **ret_transport);

/* Collective. Any size, one too. The calling thread is the one whose stack is shown when it hangs. */
PLM_CHECKED plm_status plm_comm_ranks_create(plm_transport_opener *open, void *context, plm_comm **ret_comm);

#endif
