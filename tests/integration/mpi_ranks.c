/* What several ranks do together, over a real MPI: started by a launcher (mpi_ranks.sh). Says what went wrong, and exits
 * with its status. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protlm/log.h"
#include "support/ranks_cases.h"

typedef struct named {
  const char *name;
  plm_status (*run)(plm_comm *comm, void *context);
  void *context;
} named;

static cases_sums sums[] = {
    {.failing = -1},
    {.failing = -1, .keep_shard = true},
    {.failing = -1, .is_bf16 = true},
    {.failing = -1, .is_bf16 = true, .keep_shard = true},
    {.failing = 1, .started = 1},
};
static int all = PLM_EVERY_RANK, first = 0;

static const named cases[] = {
    {"exchange", cases_exchange_sizes, NULL},
    {"parted", cases_part, NULL},
    {"broadcast", cases_broadcast_sizes, NULL},
    {"sums", cases_add_buckets, &sums[0]},
    {"shards", cases_add_buckets, &sums[1]},
    {"bf16 sums", cases_add_buckets, &sums[2]},
    {"bf16 shards", cases_add_buckets, &sums[3]},
    {"drain", cases_add_buckets, &sums[4]},
    {"steps", cases_take_steps, NULL},
    {"gather to all", cases_gather_spans, &all},
    {"gather to one", cases_gather_spans, &first},
};

static void say(void *user, plm_log_level level, const char *line) {
  (void)user;
  (void)level;
  fprintf(stderr, "%s\n", line);
}

static int fail(const char *name, plm_status status) {
  fprintf(stderr, "%s: %s\n%s\n%s\n", name, plm_error_message(), plm_error_hint(), plm_error_trace());
  return plm_status_exit_code(status);
}

static plm_status run_all(plm_comm *comm, const char **ret_name) {
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    *ret_name = cases[i].name;
    if (strcmp(cases[i].name, "parted") == 0 && comm->size < 3) continue;
    if (cases[i].run == cases_take_steps && comm->size > 3) continue; /* its bucket is for up to three */
    comm->section(comm, cases[i].name, 0);
    PLM_TRY(cases[i].run(comm, cases[i].context));
  }
  return PLM_OK;
}

/* argv[1]: how many ranks there must be. */
int main(int argc, char **argv) {
  plm_comm *comm;
  const char *name = "open";
  plm_log_set_sink(say, NULL);
  plm_status status = plm_comm_open(&comm);
  if (status != PLM_OK) return fail(name, status);
  if (argc > 1 && atoi(argv[1]) != comm->size)
    status = plm_fail(PLM_E_FAILURE, "%d ranks of %s", comm->size, comm->name);
  if (status == PLM_OK) status = run_all(comm, &name);
  const int code = status == PLM_OK ? 0 : fail(name, status);
  if (comm->rank == 0)
    printf("%s, %d ranks, %d here, %d %s: code %d\n", comm->name, comm->size, comm->local_size, comm->nodes,
           comm->nodes == 1 ? "node" : "nodes", code);
  plm_comm_destroy(comm);
  return code;
}
