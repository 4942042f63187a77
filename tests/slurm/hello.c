/* hello.c - one line a rank, from rank 0: rank, world size, local rank, host; after a sum that proves they are connected. */
#include <mpi.h>
#include <stdio.h>
#include <string.h>

#define LINE 128

int main(int argc, char **argv) {
  int rank, size, local_rank, sum = 0, length;
  char host[MPI_MAX_PROCESSOR_NAME], line[LINE] = "", all[LINE * 64];
  MPI_Comm node;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &node);
  MPI_Comm_rank(node, &local_rank);
  MPI_Get_processor_name(host, &length);
  MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  snprintf(line, sizeof line, "rank %d of %d, local rank %d on %.32s, sum %d", rank, size, local_rank, host, sum);
  if (size > 64) MPI_Abort(MPI_COMM_WORLD, 2);
  MPI_Gather(line, LINE, MPI_CHAR, all, LINE, MPI_CHAR, 0, MPI_COMM_WORLD);
  for (int i = 0; rank == 0 && i < size; i++) puts(all + i * LINE);
  MPI_Comm_free(&node);
  MPI_Finalize();
  return 0;
}
