/* ranks_words.c - what is said when ranks have waited too long: who is where, and which rank it is. See ranks_watch.c. */
#include <string.h>

#include "dist/ranks_watch_internal.h"
#include "protlm/log.h"

int plm_ranks_watch_find_culprit(const ranks *r) {
  int culprit = -1;
  for (int rank = 0; rank < r->comm.size; rank++)
    if (!r->watch->peers[rank].has_answered) return rank;
  for (int rank = 0; rank < r->comm.size; rank++) {
    const watch_message *a = &r->watch->peers[rank].answer;
    if (a->is_waiting) continue;
    if (culprit < 0 || a->seconds > r->watch->peers[culprit].answer.seconds) culprit = rank;
  }
  return culprit;
}

void plm_ranks_watch_log_lines(const char *words) {
  for (size_t length; *words != '\0'; words += length + (words[length] == '\n')) {
    length = strcspn(words, "\n");
    plm_log(PLM_LOG_ERROR, "%.*s", (int)length, words);
  }
}

static void log_row(const ranks *r, int rank) {
  const watch_peer *p = &r->watch->peers[rank];
  const char *host = r->places[rank].host;
  if (!p->has_answered) {
    plm_log(PLM_LOG_ERROR, "  rank %d (%s): does not answer: stopped or dead", rank, host);
  } else if (p->answer.is_waiting) {
    plm_log(PLM_LOG_ERROR, "  rank %d (%s): section \"%s\" for %.1f s, waiting for others in \"%s\" for %.1f s", rank,
            host, p->answer.section, p->answer.seconds, p->answer.stage, p->answer.waited);
  } else {
    plm_log(PLM_LOG_ERROR, "  rank %d (%s): section \"%s\" for %.1f s, not waiting for others%s", rank, host,
            p->answer.section, p->answer.seconds, p->answer.words[0] != '\0' ? "; it is in:" : "");
    plm_ranks_watch_log_lines(p->answer.words);
  }
}

void plm_ranks_watch_log_table(const ranks *r) {
  enum { MOST_ROWS = 64 };
  int rows = 0;
  plm_log(PLM_LOG_ERROR, "ranks waited for others for too long; who is where:");
  for (int rank = 0; rank < r->comm.size; rank++) {
    const watch_peer *p = &r->watch->peers[rank];
    if (rows >= MOST_ROWS && p->has_answered && p->answer.is_waiting) continue; /* those that matter always */
    log_row(r, rank);
    rows++;
  }
  if (rows < r->comm.size) plm_log(PLM_LOG_ERROR, "  ... %d more that wait", r->comm.size - rows);
}

void plm_ranks_watch_compose_why(ranks *r, int culprit, plm_error_record *ret_why) {
  const watch_peer *p = culprit >= 0 ? &r->watch->peers[culprit] : NULL;
  const char *host = culprit >= 0 ? r->places[culprit].host : "";
  if (p == NULL)
    plm_fail(PLM_E_FAILURE, "all ranks wait for each other: nothing has come through for longer than the time limit");
  else if (!p->has_answered)
    plm_fail(PLM_E_FAILURE, "rank %d (%s) does not answer: it is stopped or dead; the others wait in section \"%s\"",
             culprit, host, r->watch->stage);
  else
    plm_fail(PLM_E_FAILURE, "rank %d (%s) hangs in section \"%s\", for %.0f s now", culprit, host, p->answer.section,
             p->answer.seconds);
  plm_hint(PLM_E_FAILURE,
           "look at that host, and start again: the run goes on from its last checkpoint; where work may last that "
           "long, raise --timeout");
  plm_error_take(PLM_E_FAILURE, ret_why);
}
