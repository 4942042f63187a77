/* ranks_watch.c - who is where when somebody has waited too long, and the end of all. Contents: messages, where this
 * rank is, an inquiry, the table, the end, listening.
 *
 * A rank that waits for longer than its section may last asks all others. Their communication threads answer, whatever
 * the thread of the run does: its section, whether it waits itself, and if not, its stack. A rank that does not answer
 * is stopped or dead. The lowest rank that answers says all this and ends all; whoever asked and is not that rank tells
 * it to.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/text.h"
#include "dist/ranks_internal.h"
#include "dist/ranks_stack.h"
#include "protlm/log.h"

enum { WATCH_TAG = 1, WATCH_WORDS = 3500 };

/* Bits of what is still to be sent to a rank. */
enum { ASK = 1, ANSWER = 2, LEAD = 4, DOOM = 8 };

typedef struct watch_message {
  int32_t kind, is_waiting, culprit;
  char section[RANKS_STAGE], stage[RANKS_STAGE];
  double seconds, waited;  /* in the section; for others */
  double left;             /* until the section has lasted too long */
  char words[WATCH_WORDS]; /* ANSWER: the stack; DOOM: why */
} watch_message;

typedef struct watch_peer {
  ranks_note note;
  watch_message out;
  bool is_sending, has_answered;
  int to_send;
  watch_message answer;
} watch_peer;

struct ranks_watch {
  watch_peer *peers; /* [size] */
  watch_message in;
  ranks_note in_note;
  bool is_receiving;
  bool prints_stacks; /* ranks_stack.c is installed */
  double next_look;
  double asked;      /* when the inquiry began; 0: there is none */
  bool is_ordered;   /* by a rank whose wait has expired: this one need not wait itself */
  double not_before; /* the next inquiry */
  double lead_by;    /* when this rank ends all itself, though another was to; 0 */
  double stack_due;  /* until then the stack is waited for; 0: it was not asked for */
  double doomed;     /* all end then; 0 */
  bool is_leading;   /* and before that, once all that answer have heard of it */
  int culprit;       /* for what reason: its rank, and where that was */
  char stage[RANKS_STAGE];
  plm_error_record why;
};

static const double look_seconds = 5e-3, stack_seconds = 1;
/* How long an answer is waited for; how long ranks that are to end may take to hear of it. */
static const double answer_seconds = 5, doom_seconds = 5;

plm_status plm_ranks_watch_create(ranks *r) {
  PLM_TRY(PLM_NEW(&r->watch, 1));
  PLM_TRY(plm_ranks_stack_install());
  r->watch->prints_stacks = true;
  return PLM_NEW(&r->watch->peers, r->comm.size);
}

void plm_ranks_watch_destroy(ranks *r) {
  if (r->watch == NULL) return;
  if (r->watch->prints_stacks) plm_ranks_stack_remove();
  plm_free(r->watch->peers);
  plm_free(r->watch);
}

/* ---- where this rank is ---- */

static ranks_where look_up(ranks *r) {
  pthread_mutex_lock(&r->lock);
  const ranks_where where = r->where;
  pthread_mutex_unlock(&r->lock);
  return where;
}

static bool is_expired(const ranks_where *where, double now) {
  return where->is_waiting && now - where->waiting_since > where->limit;
}

static void describe_self(ranks *r, watch_message *m) {
  const double now = plm_clock_monotonic();
  const ranks_where where = look_up(r);
  memset(m, 0, sizeof *m);
  m->is_waiting = where.is_waiting;
  memcpy(m->section, where.section, sizeof m->section);
  memcpy(m->stage, where.stage, sizeof m->stage);
  m->seconds = now - where.since;
  m->waited = where.is_waiting ? now - where.waiting_since : 0;
  m->left = where.limit - m->seconds;
  if (!where.is_waiting) plm_ranks_stack_words(m->words, sizeof m->words);
}

/* A thread that does not wait for others is asked for its stack. */
static void ask_for_stack(ranks *r, double now) {
  if (r->watch->stack_due > 0) return;
  r->watch->stack_due = now + stack_seconds;
  if (!look_up(r).is_waiting) plm_ranks_stack_request(r->run_thread);
}

static bool has_stack(const ranks *r, double now) { return plm_ranks_stack_is_ready() || now > r->watch->stack_due; }

/* ---- messages ---- */

static void note_sent(ranks *r, ranks_note *note) { r->watch->peers[note->peer].is_sending = false; }

static void break_if(ranks *r, bool has_failed) { r->is_broken = r->is_broken || has_failed; }

static void send_one(ranks *r, int to, int kind) {
  watch_peer *p = &r->watch->peers[to];
  describe_self(r, &p->out);
  p->out.kind = kind;
  if (kind == DOOM) {
    p->out.culprit = r->watch->culprit;
    memcpy(p->out.section, r->watch->stage, sizeof p->out.section);
    snprintf(p->out.words, sizeof p->out.words, "%.*s", WATCH_WORDS - 1, r->watch->why.message);
  }
  p->to_send &= ~kind;
  p->is_sending = true;
  p->note = (ranks_note){.done = note_sent, .peer = to};
  break_if(r, !r->transport->send(r->transport, PLM_CHANNEL_WATCH, to, WATCH_TAG, &p->out, sizeof p->out, &p->note));
}

/* True: some are not away yet. */
static bool send_what_is_due(ranks *r, double now) {
  bool is_busy = false;
  for (int to = 0; to < r->comm.size; to++) {
    watch_peer *p = &r->watch->peers[to];
    for (int kind = ASK; kind <= DOOM && !p->is_sending; kind *= 2)
      if ((p->to_send & kind) != 0 && (kind != ANSWER || has_stack(r, now))) send_one(r, to, kind);
    is_busy |= p->is_sending || p->to_send != 0;
  }
  return is_busy;
}

static void to_all_that_answer(ranks *r, int kind, bool all) {
  for (int to = 0; to < r->comm.size; to++)
    if (to != r->comm.rank && (all || r->watch->peers[to].has_answered)) r->watch->peers[to].to_send |= kind;
}

/* ---- an inquiry ---- */

static void begin_inquiry(ranks *r, double now, bool is_ordered) {
  ranks_watch *w = r->watch;
  for (int rank = 0; rank < r->comm.size; rank++) w->peers[rank].has_answered = rank == r->comm.rank;
  w->asked = now;
  w->is_ordered = is_ordered;
  w->stack_due = 0;
  ask_for_stack(r, now);
  to_all_that_answer(r, ASK, true);
}

static void end_inquiry(ranks_watch *w, double not_before) {
  w->asked = 0;
  w->stack_due = 0;
  w->not_before = not_before;
}

/* A rank that is at work in a section that may last still longer, where all answer: then it is waited for. */
static double find_time_left(const ranks *r, bool *ret_all_answered) {
  double left = 0;
  *ret_all_answered = true;
  for (int rank = 0; rank < r->comm.size; rank++) {
    const watch_peer *p = &r->watch->peers[rank];
    *ret_all_answered = *ret_all_answered && p->has_answered;
    if (p->has_answered && !p->answer.is_waiting) left = fmax(left, p->answer.left);
  }
  return left;
}

static int find_leader(const ranks *r) {
  int rank = 0;
  while (!r->watch->peers[rank].has_answered) rank++;
  return rank;
}

/* ---- the table ---- */

static int find_culprit(const ranks *r) {
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

static void log_lines(const char *words) {
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
    log_lines(p->answer.words);
  }
}

static void log_table(const ranks *r) {
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

static void compose_why(ranks *r, int culprit, plm_error_record *ret_why) {
  const watch_peer *p = culprit >= 0 ? &r->watch->peers[culprit] : NULL;
  const char *host = culprit >= 0 ? r->places[culprit].host : "";
  if (p == NULL)
    plm_fail(PLM_E_FAILURE, "all ranks wait for each other: nothing has come through for longer than the time limit");
  else if (!p->has_answered)
    plm_fail(PLM_E_FAILURE, "rank %d (%s) does not answer: it is stopped or dead", culprit, host);
  else
    plm_fail(PLM_E_FAILURE, "rank %d (%s) hangs in section \"%s\", for %.0f s now", culprit, host, p->answer.section,
             p->answer.seconds);
  plm_hint(PLM_E_FAILURE,
           "look at that host, and start again: the run goes on from its last checkpoint; where work may last that "
           "long, raise --timeout");
  plm_error_take(PLM_E_FAILURE, ret_why);
}

/* ---- the end ---- */

/* From here on no call of the run returns: what it would do next with memory that is under way, or say, is of no use. */
static void hold_all_calls(ranks *r) {
  pthread_mutex_lock(&r->lock);
  r->is_doomed = true;
  pthread_mutex_unlock(&r->lock);
}

/* Ranks that answer hear of it; a moment later all are gone. */
static void lead(ranks *r, double now) {
  ranks_watch *w = r->watch;
  describe_self(r, &w->peers[r->comm.rank].answer);
  const int culprit = find_culprit(r);
  w->culprit = culprit >= 0 ? culprit : r->comm.rank;
  /* Of a rank that does not answer nobody knows the section; they are all in one, mostly. */
  const bool is_known = w->peers[w->culprit].has_answered;
  memcpy(w->stage, w->peers[is_known ? w->culprit : r->comm.rank].answer.section, sizeof w->stage);
  log_table(r);
  compose_why(r, culprit, &w->why);
  log_lines(w->why.message);
  log_lines(w->why.hint);
  if (r->comm.before_abort != NULL) r->comm.before_abort(r->comm.user, &w->why, w->culprit, w->stage, true);
  hold_all_calls(r);
  to_all_that_answer(r, DOOM, false);
  w->doomed = now + doom_seconds;
  w->is_leading = true;
}

static void be_doomed(ranks *r, const watch_message *m, double now) {
  ranks_watch *w = r->watch;
  if (w->doomed > 0) return;
  plm_fail(PLM_E_FAILURE, "%s", m->words);
  plm_error_take(PLM_E_FAILURE, &w->why);
  if (r->comm.before_abort != NULL) r->comm.before_abort(r->comm.user, &w->why, m->culprit, m->section, false);
  hold_all_calls(r);
  w->doomed = now + doom_seconds;
}

static void end(ranks *r, const plm_error_record *why) {
  r->transport->abort(r->transport, plm_status_exit_code(why->code));
  pthread_mutex_lock(&r->lock);
  r->failure = *why;
  pthread_cond_broadcast(&r->finished);
  pthread_mutex_unlock(&r->lock);
}

void plm_ranks_end_all(ranks *r, const plm_error_record *why, const char *stage) {
  log_lines(why->message);
  log_lines(why->hint);
  if (r->comm.before_abort != NULL) r->comm.before_abort(r->comm.user, why, r->comm.rank, stage, true);
  end(r, why);
}

/* ---- listening ---- */

static void hear(ranks *r, ranks_note *note) {
  ranks_watch *w = r->watch;
  const watch_message *m = &w->in;
  watch_peer *p = &w->peers[note->peer];
  const double now = plm_clock_monotonic();
  w->is_receiving = false;
  if (m->kind == ASK) {
    if (w->asked == 0 && w->stack_due > 0 && now > w->stack_due) w->stack_due = 0;
    ask_for_stack(r, now);
    w->not_before = now + 2 * answer_seconds; /* one inquiry at a time, if possible */
    p->to_send |= ANSWER;
  } else if (m->kind == ANSWER) {
    p->answer = *m;
    p->has_answered = true;
  } else if (m->kind == LEAD) {
    if (w->asked == 0 && w->doomed == 0) begin_inquiry(r, now, true);
    w->is_ordered = true;
  } else if (m->kind == DOOM) {
    be_doomed(r, m, now);
  }
}

static void listen(ranks *r) {
  ranks_watch *w = r->watch;
  if (w->is_receiving) return;
  const int from = r->transport->probe(r->transport, PLM_CHANNEL_WATCH, WATCH_TAG);
  break_if(r, from < -1);
  if (from < 0) return;
  w->is_receiving = true;
  w->in_note = (ranks_note){.done = hear, .peer = from};
  break_if(r,
           !r->transport->receive(r->transport, PLM_CHANNEL_WATCH, from, WATCH_TAG, &w->in, sizeof w->in, &w->in_note));
}

/* What came of the questions. */
static void conclude(ranks *r, double now) {
  ranks_watch *w = r->watch;
  bool all_answered;
  describe_self(r, &w->peers[r->comm.rank].answer);
  const double left = find_time_left(r, &all_answered);
  if (!all_answered && now < w->asked + answer_seconds) return;
  if (!has_stack(r, now)) return;
  const int leader = find_leader(r);
  if (all_answered && left > 0 && !w->is_ordered) {
    end_inquiry(w, now + left);
  } else if (leader == r->comm.rank || w->is_ordered || (w->lead_by > 0 && now > w->lead_by)) {
    lead(r, now);
    end_inquiry(w, INFINITY);
  } else if (w->lead_by == 0) {
    w->peers[leader].to_send |= LEAD;
    w->lead_by = now + 2 * answer_seconds;
  }
}

bool plm_ranks_watch_poll(ranks *r) {
  ranks_watch *w = r->watch;
  const double now = plm_clock_monotonic();
  const bool is_quiet = w->asked == 0 && w->doomed == 0 && !w->is_receiving;
  if (is_quiet && now < w->next_look) return false;
  w->next_look = now + look_seconds;
  listen(r);
  const ranks_where where = look_up(r);
  const bool is_due = is_expired(&where, now);
  if (w->asked == 0 && w->doomed == 0 && is_due && now >= w->not_before) begin_inquiry(r, now, false);
  if (w->asked > 0 && !is_due && !w->is_ordered)
    end_inquiry(w, 0);
  else if (w->asked > 0)
    conclude(r, now);
  const bool is_sending = send_what_is_due(r, now);
  if (w->doomed > 0 && (now > w->doomed || r->is_broken || (w->is_leading && !is_sending))) end(r, &w->why);
  return is_sending || w->asked > 0 || w->doomed > 0 || w->is_receiving;
}
