/* agree.h - what ranks decide together, written once over `exchange`, so the same for every communicator. Everything is
 * taken in rank order: the same bits on every rank.
 */
#ifndef PLM_DIST_AGREE_H
#define PLM_DIST_AGREE_H

#include "dist/comm.h"
#include "protlm/batch.h"

/* Ends a fallible stage. PLM_OK if all ranks say so; else every rank returns the code, message and hint of the first
 * rank (in rank order) that failed by itself, "rank 1 (n2): " before the message where there are several. A rank that
 * failed because another did (PLM_OK of its own, an exchange that did not match) does not count as long as there is one
 * that did. PLM_STOPPED on some and PLM_OK on others is PLM_STOPPED on all. */
PLM_CHECKED plm_status plm_agree(plm_comm *comm, const char *stage, plm_status mine);

/* This rank failed where the others do not meet it: it goes on as they do, and the next agreement, plm_agree or who asks
 * for what is owed, takes the failure for its own. */
void plm_agree_later(plm_comm *comm, plm_status mine);
/* `mine`, or where that is no failure, what this rank owes; it then owes nothing. */
plm_status plm_agree_owed(plm_comm *comm, plm_status mine);

/* `mine`, or what a test has this rank fail with: PROTLM_TEST_FAIL=RANK:STAGE[:N], at the N-th (first) agreement of that
 * stage; of any, where STAGE is *. plm_agree asks; who agrees otherwise may. Nothing with one rank. */
plm_status plm_agree_fault(const plm_comm *comm, const char *stage, plm_status mine);

/* How all ranks end: agrees until every rank has come here, wherever the others were (they fail, and come too). The
 * status is then all ranks'; the message is that of the first rank that failed by itself, with its rank and host before
 * it where there are several. */
PLM_CHECKED plm_status plm_comm_end(plm_comm *comm, plm_status mine);

/* What all ranks agree on in each step, before the update. */
typedef struct plm_control {
  /* sums */
  plm_loss_sums objective[PLM_MAX_OBJECTIVES]; /* of each over the global batch; the nll is NAN if a row's loss is */
  int64_t nonfinite;                           /* places that are not finite, of losses and gradients */
  int64_t residues, tokens;
  double square;                 /* of the gradient: each rank brings that of the pieces which it owns */
  double compute, exposed, busy; /* seconds: forward and backward; waiting for others; communication under way. Sums */
  int64_t sent;                  /* bytes */
  /* largest */
  double data_wait;
  double slowest_compute; /* of the ranks' `compute` */
  int32_t slowest_rank;   /* whose that is */
  /* or-ed */
  uint32_t stop_flags; /* PLM_STOP_* of train/stop.h */
  uint32_t error_flag; /* a rank failed in this step: plm_agree follows, for its words */
  /* equal everywhere, or PLM_E_BUG on every rank, naming the ranks that differ */
  uint64_t replica_hash; /* of the parameters; 0 in steps that do not compare them */
} plm_control;

/* In place. With one rank only slowest_* is filled in. */
PLM_CHECKED plm_status plm_control_agree(plm_comm *comm, plm_control *control);

/* Values that must be the same on all ranks: PLM_E_USAGE on every rank, "rank 2 (n2) has other <what>", where not. */
PLM_CHECKED plm_status plm_agree_same(plm_comm *comm, const char *what, const void *mine, size_t bytes);

/* Rank 0's value, everywhere: for what the file system, the clock, the environment or chance tell. */
PLM_CHECKED plm_status plm_agree_on_first(plm_comm *comm, const char *stage, void *value, size_t bytes);

/* The same for a string, which others receive newly allocated (plm_free); NULL stays NULL. */
PLM_CHECKED plm_status plm_agree_on_text(plm_comm *comm, const char *stage, char **text);

/* Bits of any rank, on all. */
PLM_CHECKED plm_status plm_agree_any(plm_comm *comm, const char *stage, uint32_t *flags);

/* "rank 1 (n2)"; "" where there is one rank. */
enum { PLM_RANK_WORDS = PLM_HOST_NAME + 24 };
const char *plm_rank_words(const plm_comm *comm, int rank, char words[PLM_RANK_WORDS]);

#endif
