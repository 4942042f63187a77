/* Two or more ranks of one MPI: a sum of 4 MiB must be right on each. Prints "N of N ranks, <make>" from rank 0. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
  static float mine[1 << 20], sum[1 << 20];
  char make[MPI_MAX_LIBRARY_VERSION_STRING];
  int rank, size, length, right = 1, all = 0;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  for (int i = 0; i < 1 << 20; i++) mine[i] = (float)(rank + 1);
  MPI_Allreduce(mine, sum, 1 << 20, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
  for (int i = 0; i < 1 << 20; i++) right = right && sum[i] == (float)(size * (size + 1) / 2);
  MPI_Reduce(&right, &all, 1, MPI_INT, MPI_SUM, 0, MPI_COMM_WORLD);
  MPI_Get_library_version(make, &length);
  make[strcspn(make, ",\n\t")] = '\0';
  if (rank == 0) printf("%d of %d ranks, %s\n", all, size, make);
  MPI_Finalize();
  return 0;
}
