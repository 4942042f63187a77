/* link.c - what the link between two ranks carries: time of the smallest message, and bytes a second one way and both ways at once.
 *
 * Compiled and run by paced_link.sh. Medians of ROUNDS; a round sends BYTES after a barrier. Rank 0 prints. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

enum { BYTES = 32 << 20, PIECE = 32 << 10, PIECES = BYTES / PIECE, ROUNDS = 5, PINGS = 100 };

static char *outgoing, *incoming;

static int by_value(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Seconds for `bytes` from rank 0 to rank 1 and as many back: one after the other, or at once. In pieces that need no permission to be sent (it
 * would wait in Open MPI's one socket behind all that goes the same way, so that two large messages often go one after the other). */
static double exchange(int rank, int bytes, int at_once) {
  static MPI_Request requests[2 * PIECES];
  const int pieces = (bytes + PIECE - 1) / PIECE, piece = bytes < PIECE ? bytes : PIECE;
  MPI_Barrier(MPI_COMM_WORLD);
  const double begin = MPI_Wtime();
  for (int turn = 0; turn < 2; turn++) {
    int n = 0;
    for (int i = 0; i < pieces; i++) {
      if (at_once ? turn == 0 : turn != rank)
        MPI_Irecv(incoming + i * PIECE, piece, MPI_BYTE, 1 - rank, 0, MPI_COMM_WORLD, &requests[n++]);
      if (at_once ? turn == 0 : turn == rank)
        MPI_Isend(outgoing + i * PIECE, piece, MPI_BYTE, 1 - rank, 0, MPI_COMM_WORLD, &requests[n++]);
    }
    MPI_Waitall(n, requests, MPI_STATUSES_IGNORE);
  }
  return MPI_Wtime() - begin;
}

static double median(int rank, int bytes, int at_once, int rounds) {
  double seconds[PINGS];
  for (int i = 0; i < rounds; i++) seconds[i] = exchange(rank, bytes, at_once);
  qsort(seconds, (size_t)rounds, sizeof *seconds, by_value);
  return seconds[rounds / 2];
}

int main(int argc, char **argv) {
  int rank, size;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  outgoing = calloc(BYTES, 1);
  incoming = calloc(BYTES, 1);
  if (size != 2 || outgoing == NULL || incoming == NULL) MPI_Abort(MPI_COMM_WORLD, 2);
  const double ping = median(rank, 1, 0, PINGS), one_way = median(rank, BYTES, 0, ROUNDS),
               both = median(rank, BYTES, 1, ROUNDS);
  if (rank == 0)
    printf("one byte there and back %.0f us; one way %.3f GB/s; both ways at once %.3f GB/s each\n", ping * 1e6,
           2e-9 * BYTES / one_way, 1e-9 * BYTES / both);
  free(outgoing);
  free(incoming);
  MPI_Finalize();
  return 0;
}
