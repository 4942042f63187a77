/* tfevents.h - TensorBoard event files: length, masked CRC-32C, a hand-written protobuf of the four messages we need
 * (reliability.md 3). */
#ifndef PLM_RUNLOG_TFEVENTS_H
#define PLM_RUNLOG_TFEVENTS_H

#include <stdint.h>

#include "protlm/status.h"

typedef struct plm_tfevents plm_tfevents;
/* events.out.tfevents.<time>.<host>.<pid>.<n> in `directory`. */
PLM_CHECKED plm_status plm_tfevents_open(const char *directory, plm_tfevents **ret_file);
PLM_CHECKED plm_status plm_tfevents_scalar(plm_tfevents *file, const char *tag, int64_t step, double value);
/* TensorBoard drops steps >= step of dead runs */
PLM_CHECKED plm_status plm_tfevents_session_start(plm_tfevents *file, int64_t step);
PLM_CHECKED plm_status plm_tfevents_close(plm_tfevents **file); /* accepts a NULL in it, and leaves one */

#endif
