/* rank_runs.h - a small run of training by several ranks: what step.c does, without files and without the stages around
 * it. The ranks are threads of this process, or those of a launcher.
 */
#ifndef TESTS_SUPPORT_RANK_RUNS_H
#define TESTS_SUPPORT_RANK_RUNS_H

#include "support/transport_threads.h"
#include "train/run.h"

enum { RANK_RUNS_MOST = 8 };

typedef struct rank_runs {
  int ranks, steps;
  plm_dtype dtype, wire;
  bool sharded;
  int64_t check_replicas;
  int64_t batch_tokens;              /* 0: 400 */
  const plm_train_pattern *patterns; /* which parameters train */
  int pattern_count;
  int threads[RANK_RUNS_MOST];        /* 0: 1 */
  const char *levels[RANK_RUNS_MOST]; /* of the kernels; NULL: avx2 */
  const struct rank_runs *from;       /* begin with its weights and states; NULL: random ones, zero */
  bool logs;                          /* an agreement follows each step */
  const plm_view *view;               /* what is trained on */
  /* Before step `step` of a rank; what it returns is how that rank gets no batch. NULL: nothing. */
  plm_status (*before)(plm_run *run, int step);

  /* What came of it; free with rank_runs_free. */
  plm_error_record results[RANK_RUNS_MOST];
  uint64_t hashes[RANK_RUNS_MOST]; /* of the parameters as each rank reads them */
  double *losses;                  /* [steps] */
  float *weights, *states;         /* all, in the order of the table, as a checkpoint has them */
  int64_t weight_count, state_count;
  int64_t optimiser_bytes; /* that rank 0's optimiser took of the device */
} rank_runs;

void rank_runs_go(rank_runs *runs);  /* fails the test unless all ranks end well */
void rank_runs_try(rank_runs *runs); /* whatever comes of it: see results */

/* One rank's part, over any communicator: rank_runs_prepare first. All ranks end alike. */
void rank_runs_prepare(rank_runs *runs);
plm_status rank_runs_one(plm_comm *comm, void *runs);
void rank_runs_free(rank_runs *runs);

#endif
