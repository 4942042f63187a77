/* machine.h - the device that a command computes on, and the exec on it. Every command opens them here. */
#ifndef PLM_TRAIN_MACHINE_H
#define PLM_TRAIN_MACHINE_H

#include "kernels/backend.h"

typedef struct plm_machine_options {
  int threads;
  const char *level; /* of the kernels, where the environment names none; NULL: the best there is */
} plm_machine_options;

typedef struct plm_machine {
  plm_exec *exec; /* with its device */
} plm_machine;

PLM_CHECKED plm_status plm_machine_open(const plm_machine_options *options, plm_machine *ret_machine);
void plm_machine_close(plm_machine *machine); /* accepts one that was never opened */

#endif
