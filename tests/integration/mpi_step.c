/* Training by ranks of a real MPI, started by a launcher: mpi_step.c prints what came of it, which mpi_step.sh compares
 * between numbers of ranks, makes of MPI, and with the state in pieces or not.
 *
 * usage: mpi_step RANKS fp32|bf16 ZERO(0|1) fp32|bf16(gradients) STEPS [flip]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "protlm/log.h"
#include "support/rank_runs.h"
#include "support/scratch.h"
#include "support/sequences.h"

static void say(void *user, plm_log_level level, const char *line) {
  (void)user;
  (void)level;
  fprintf(stderr, "%s\n", line);
}

static plm_dtype type_of(const char *word) { return strcmp(word, "bf16") == 0 ? PLM_BF16 : PLM_F32; }

/* One bit of one weight, on the last rank. */
static plm_status flip_a_bit(plm_run *run, int step) {
  const plm_comm *comm = run->context.comm;
  if (step != 1 || comm->rank != comm->size - 1) return PLM_OK;
  uint32_t bits;
  float *weight =
      plm_model_full(run->model) + plm_params_find(plm_model_get_params(run->model), "lm_head.bias")->offset;
  memcpy(&bits, weight, sizeof bits);
  bits ^= 1;
  memcpy(weight, &bits, sizeof bits);
  return PLM_OK;
}

static void print(const rank_runs *runs) {
  for (int i = 0; i < runs->steps; i++) printf("loss %d %.9g\n", i + 1, runs->losses[i]);
  printf("weights %016llx\n", (unsigned long long)plm_hash64(runs->weights, (size_t)runs->weight_count * 4));
  printf("states %016llx\n", (unsigned long long)plm_hash64(runs->states, (size_t)runs->state_count * 4));
}

static plm_status train(plm_comm *comm, char **argv) {
  plm_dataset *dataset = open_made_up(50, 60, 20, 120);
  plm_view view;
  plm_view_all(dataset, &view);
  rank_runs runs = {
      .ranks = comm->size,
      .dtype = type_of(argv[2]),
      .sharded = strcmp(argv[3], "1") == 0,
      .wire = type_of(argv[4]),
      .steps = atoi(argv[5]),
      .check_replicas = 1,
      .before = argv[6] != NULL ? flip_a_bit : NULL,
      .view = &view,
  };
  plm_status status = comm->size == atoi(argv[1]) ? PLM_OK : plm_fail(PLM_E_FAILURE, "%d ranks", comm->size);
  rank_runs_prepare(&runs);
  if (status == PLM_OK) status = rank_runs_one(comm, &runs);
  if (status == PLM_OK && comm->rank == 0) print(&runs);
  rank_runs_free(&runs);
  plm_dataset_close(dataset);
  return status;
}

int main(int argc, char **argv) {
  plm_comm *comm;
  void *state = NULL;
  if (argc < 6 || scratch_setup(&state) != 0) return 2;
  plm_log_set_sink(say, NULL);
  plm_status status = plm_comm_open(&comm);
  if (status == PLM_OK) {
    status = train(comm, argv);
    if (status != PLM_OK && comm->rank == 0) fprintf(stderr, "%s\n%s\n", plm_error_message(), plm_error_trace());
    fflush(stdout);
    plm_comm_destroy(comm);
  } else {
    fprintf(stderr, "%s\n", plm_error_message());
  }
  scratch_teardown(&state);
  return status == PLM_OK ? 0 : plm_status_exit_code(status);
}
