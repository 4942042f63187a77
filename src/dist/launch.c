/* launch.c - who started us, read from the environment (platform_facts: under mpirun inside Slurm the SLURM_ task
 * variables are those of the daemon, so MPI's come first). */
#include <stdlib.h>

#include "dist/comm.h"

typedef struct launcher {
  const char *by, *rank, *size, *local_rank;
} launcher;

static const launcher launchers[] = {
    {"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"},
    {"mpirun", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"},
    {"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK"},
    {"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"},
};

/* A non-negative number from the environment, or `fallback`. */
static int read_int(const char *name, int fallback) {
  const char *text = getenv(name);
  if (text == NULL || *text == '\0') return fallback;
  char *end;
  long value = strtol(text, &end, 10);
  return *end == '\0' && value >= 0 && value < 1 << 24 ? (int)value : fallback;
}

void plm_launch_detect(plm_launch *ret_launch) {
  *ret_launch = (plm_launch){.rank = 0, .size = 1, .local_rank = 0, .by = "nothing"};
  for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++) {
    int size = read_int(launchers[i].size, 0);
    if (size < 1) continue;
    *ret_launch = (plm_launch){
        .rank = read_int(launchers[i].rank, 0),
        .size = size,
        .local_rank = read_int(launchers[i].local_rank, 0),
        .by = launchers[i].by,
    };
    return;
  }
}
