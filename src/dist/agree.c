/* agree.c - see agree.h. Contents: words, stages, the step's control block, values that are the same. */
#include "dist/agree.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"

/* ---- words ---- */

const char *plm_rank_words(const plm_comm *comm, int rank, char words[PLM_RANK_WORDS]) {
  words[0] = '\0';
  if (comm->size > 1) snprintf(words, PLM_RANK_WORDS, "rank %d (%s)", rank, comm->places[rank].host);
  return words;
}

/* ---- stages ---- */

typedef struct verdict {
  int32_t code;
  int32_t is_consequence; /* of another rank's failure */
} verdict;

/* How telling a verdict is: a failure of a rank's own before one that came of another's, and that before a stop. */
static int weight_of(const verdict *v) {
  if (v->code == PLM_OK) return 0;
  if (v->code == PLM_STOPPED) return 1;
  return v->is_consequence ? 2 : 3;
}

/* The first of the most telling. */
static int find_spokesman(const verdict *all, int size) {
  int found = 0;
  for (int rank = 1; rank < size; rank++)
    if (weight_of(&all[rank]) > weight_of(&all[found])) found = rank;
  return found;
}

/* What all ranks have agreed on before says whose it is. */
static bool names_a_rank(const char *message) {
  for (; (message = strstr(message, "rank ")) != NULL; message++) {
    int rank, end = 0;
    if (sscanf(message, "rank %d (%*[^)]): %n", &rank, &end) == 1 && end > 0) return true;
  }
  return false;
}

/* What `rank` has to say, everywhere. */
static plm_status hear(plm_comm *comm, const char *stage, int rank, plm_status code, plm_error_record *words) {
  char who[PLM_RANK_WORDS];
  words->code = comm->rank == rank ? code : PLM_OK;
  PLM_TRY(comm->broadcast(comm, stage, words, sizeof *words, rank));
  plm_error_give(words);
  return words->code == PLM_STOPPED || names_a_rank(words->message)
             ? words->code
             : plm_error_prefix(words->code, "%s: ", plm_rank_words(comm, rank, who));
}

plm_status plm_agree_fault(const plm_comm *comm, const char *stage, plm_status mine) {
  static _Thread_local int meetings;
  const char *text = getenv("PROTLM_TEST_FAIL");
  char wanted[64] = "";
  int rank = 0, which = 1;
  if (text == NULL || mine != PLM_OK || comm->size == 1 || sscanf(text, "%d:%63[^:]:%d", &rank, wanted, &which) < 2)
    return mine;
  if (rank != comm->rank || (strcmp(wanted, "*") != 0 && strcmp(wanted, stage) != 0) || ++meetings != which)
    return mine;
  return plm_fail(PLM_E_FAILURE, "a test has this rank fail in \"%s\"", stage);
}

void plm_agree_later(plm_comm *comm, plm_status mine) { plm_error_take(mine, &comm->owed); }

plm_status plm_agree_owed(plm_comm *comm, plm_status mine) {
  if (comm->owed.code == PLM_OK || (mine != PLM_OK && mine != PLM_STOPPED)) return mine;
  const plm_status owed = plm_error_give(&comm->owed);
  comm->owed.code = PLM_OK;
  return owed;
}

/* `comm->parted` afterwards: the others were elsewhere. */
static plm_status meet(plm_comm *comm, const char *stage, plm_status mine) {
  verdict *all = comm->scratch, own = {mine, mine != PLM_OK && comm->parted};
  plm_error_record words;
  plm_error_take(mine, &words);
  comm->parted = false;
  PLM_TRY(comm->exchange(comm, stage, &own, sizeof own, all));
  const int rank = find_spokesman(all, comm->size);
  const plm_status code = (plm_status)all[rank].code;
  if (code == PLM_OK) return PLM_OK;
  if (code == PLM_STOPPED) { /* nothing went wrong */
    plm_error_give(&words);
    return PLM_STOPPED;
  }
  return hear(comm, stage, rank, code, &words);
}

/* A rank that left the others alone for a reason of its own keeps that: they ask for it when all end. */
plm_status plm_agree(plm_comm *comm, const char *stage, plm_status mine) {
  plm_error_record own;
  if (comm->size == 1) return mine;
  mine = plm_agree_fault(comm, stage, plm_agree_owed(comm, mine));
  const bool is_cause = mine != PLM_OK && mine != PLM_STOPPED && !comm->parted;
  plm_error_take(mine, &own);
  const plm_status status = meet(comm, stage, plm_error_give(&own));
  if (!is_cause || !comm->parted) return status;
  comm->parted = false;
  return plm_error_give(&own);
}

/* A rank that left the others alone finds them at some other stage, once for each that they still try; each such
 * meeting fails on both sides, and in the end all are here. */
plm_status plm_comm_end(plm_comm *comm, plm_status mine) {
  plm_error_record first;
  if (comm->size == 1) return mine;
  plm_error_take(plm_agree_owed(comm, mine), &first);
  bool is_consequence = comm->parted;
  for (;;) {
    comm->parted = is_consequence;
    const plm_status status = meet(comm, "end", plm_error_give(&first));
    if (!comm->parted) return status;
    if (first.code != PLM_OK && !is_consequence) continue;
    plm_error_take(status, &first);
    is_consequence = true;
  }
}

/* ---- the step's control block ---- */

static void add(plm_control *sum, const plm_control *one) {
  for (int i = 0; i < PLM_MAX_OBJECTIVES; i++) {
    sum->objective[i].nll += one->objective[i].nll;
    sum->objective[i].count += one->objective[i].count;
    sum->objective[i].correct += one->objective[i].correct;
    sum->objective[i].nonfinite += one->objective[i].nonfinite;
  }
  sum->nonfinite += one->nonfinite;
  sum->residues += one->residues;
  sum->tokens += one->tokens;
  sum->square += one->square;
  sum->compute += one->compute;
  sum->exposed += one->exposed;
  sum->busy += one->busy;
  sum->sent += one->sent;
  sum->data_wait = fmax(sum->data_wait, one->data_wait);
  sum->stop_flags |= one->stop_flags;
  sum->error_flag |= one->error_flag;
}

static plm_status compare_replicas(const plm_comm *comm, const plm_control *all) {
  char who[PLM_RANK_WORDS];
  for (int rank = 1; rank < comm->size; rank++)
    if (all[rank].replica_hash != all[0].replica_hash)
      return plm_hint(
          plm_fail(PLM_E_BUG,
                   "the parameters of %s are not those of rank 0 any more: the ranks' copies have drifted apart",
                   plm_rank_words(comm, rank, who)),
          "the last checkpoint is rank 0's and good; run again, and look at that host's memory and processor if it "
          "comes back");
  return PLM_OK;
}

plm_status plm_control_agree(plm_comm *comm, plm_control *control) {
  plm_control *all = comm->scratch;
  _Static_assert(sizeof *control <= PLM_AGREE_BYTES, "the scratch memory of a communicator holds one for each rank");
  control->slowest_compute = control->compute;
  control->slowest_rank = comm->rank;
  if (comm->size == 1) return PLM_OK;
  PLM_TRY(comm->exchange(comm, "step", control, sizeof *control, all));
  *control = all[0];
  for (int rank = 1; rank < comm->size; rank++) {
    add(control, &all[rank]);
    if (all[rank].compute <= control->slowest_compute) continue;
    control->slowest_compute = all[rank].compute;
    control->slowest_rank = rank;
  }
  return control->error_flag != 0 ? PLM_OK : compare_replicas(comm, all); /* a rank that failed has no hash */
}

/* ---- values that are the same ---- */

plm_status plm_agree_same(plm_comm *comm, const char *what, const void *mine, size_t bytes) {
  char who[PLM_RANK_WORDS];
  uint64_t *all = comm->scratch;
  const uint64_t hash = plm_hash64(mine, bytes);
  if (comm->size == 1) return PLM_OK;
  PLM_TRY(comm->exchange(comm, what, &hash, sizeof hash, all));
  for (int rank = 1; rank < comm->size; rank++)
    if (all[rank] != all[0])
      return plm_fail(PLM_E_USAGE, "%s has other %s than rank 0 (%s): all ranks must be started alike",
                      plm_rank_words(comm, rank, who), what, comm->places[0].host);
  return PLM_OK;
}

plm_status plm_agree_on_first(plm_comm *comm, const char *stage, void *value, size_t bytes) {
  return comm->size == 1 ? PLM_OK : comm->broadcast(comm, stage, value, (int64_t)bytes, 0);
}

plm_status plm_agree_on_text(plm_comm *comm, const char *stage, char **text) {
  if (comm->size == 1) return PLM_OK;
  int64_t bytes = *text != NULL ? (int64_t)strlen(*text) + 1 : 0;
  PLM_TRY(plm_agree_on_first(comm, stage, &bytes, sizeof bytes));
  char *copy = NULL;
  if (comm->rank != 0 && bytes > 0) {
    plm_status status = PLM_NEW(&copy, bytes); /* a rank that cannot says so at the next stage, and the others too */
    if (status != PLM_OK) return status;
  }
  if (bytes > 0) PLM_TRY(comm->broadcast(comm, stage, comm->rank == 0 ? *text : copy, bytes, 0));
  if (comm->rank == 0) return PLM_OK;
  plm_free(*text);
  *text = copy;
  return PLM_OK;
}

plm_status plm_agree_any(plm_comm *comm, const char *stage, uint32_t *flags) {
  uint32_t *all = comm->scratch;
  if (comm->size == 1) return PLM_OK;
  PLM_TRY(comm->exchange(comm, stage, flags, sizeof *flags, all));
  for (int rank = 0; rank < comm->size; rank++) *flags |= all[rank];
  return PLM_OK;
}
