/* reduce.c - sums over all elements. Pieces of fixed size are summed apart and then added in order, whatever the number
 * of threads. */
#include <math.h>

#include "kernels/ref/element.h"
#include "kernels/ref/ref.h"

enum { PIECE = 1 << 14 };

typedef struct square_norm_job {
  const plm_square_norm_args *a;
  plm_norm_sums *pieces;
} square_norm_job;

static void sum_piece(void *context, int64_t task, int worker) {
  const square_norm_job *job = context;
  const plm_square_norm_args *a = job->a;
  (void)worker;
  plm_norm_sums sums = {0};
  int64_t end = (task + 1) * PIECE < a->n ? (task + 1) * PIECE : a->n;
  for (int64_t i = task * PIECE; i < end; i++) {
    double value = element_get(a->x, a->dtype, i);
    if (isfinite(value))
      sums.square += value * value;
    else
      sums.nonfinite++;
  }
  job->pieces[task] = sums;
}

plm_status plm_ref_square_norm(plm_exec *x, const plm_square_norm_args *a) {
  PLM_TRY(plm_check_square_norm(x, a));
  int64_t count = (a->n + PIECE - 1) / PIECE;
  void *pieces;
  PLM_TRY(plm_exec_workspace(x, (size_t)count * sizeof(plm_norm_sums), &pieces));
  if (x->dry) return PLM_OK;
  square_norm_job job = {.a = a, .pieces = pieces};
  plm_parallel_tasks(x->pool, count, sum_piece, &job);
  for (int64_t i = 0; i < count; i++) {
    a->sums->square += job.pieces[i].square;
    a->sums->nonfinite += job.pieces[i].nonfinite;
  }
  return PLM_OK;
}
