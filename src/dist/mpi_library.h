/* mpi_library.h - the machine's MPI, opened at run time: one program runs with Open MPI, with MPICH and what has its ABI
 * (Cray MPICH, Intel MPI), and without any. */
#ifndef PLM_DIST_MPI_LIBRARY_H
#define PLM_DIST_MPI_LIBRARY_H

#include "dist/launch.h"
#include "dist/transport.h"

typedef struct plm_mpi_library {
  plm_launch launch;
  const plm_mpi_module *module;
} plm_mpi_library;

/* What launched us says which make it is to be: MPICH's, where it speaks PMI, else Open MPI's; PROTLM_MPI=/path/to/the
 * library overrides. Opens that library and our module for it, and sets what MPI has to find in the environment. Nothing
 * of MPI has run yet. PLM_E_USAGE: the launcher and MPI cannot come together, with the line that mends it;
 * PLM_E_FAILURE: a library or module is missing. */
PLM_CHECKED plm_status plm_mpi_library_open(const plm_launch *launch, plm_mpi_library *ret_library);

/* MPI_Init, on the calling thread. `library` is a plm_mpi_library: a plm_transport_opener (ranks.h). */
plm_status plm_mpi_transport_open(void *library, plm_transport **ret_transport);

#endif
