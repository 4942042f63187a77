/* ranks_watch.c - who is where when somebody has waited too long, and the end of all. Contents: where this rank is,
 * messages, an inquiry, the end, listening.
 *
 * A rank that waits for longer than its section may last asks all others. Their communication threads answer, whatever
 * the thread of the run does: its section, whether it waits itself, and if not, its stack. A rank that does not answer
 * is stopped or dead. The lowest rank that answers says all this and ends all; whoever asked and is not that rank tells
 * it to. In a section that may last long, ranks ask after --timeout already whether all still answer. A process of this
 * machine that has ended is known at once (ranks_dead.c).
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/text.h"
#include "dist/ranks_stack.h"
#include "dist/ranks_watch_internal.h"
#include "protlm/log.h"

static const double look_seconds = 5e-3, stack_seconds = 1;
/* How long an answer is waited for; how long ranks that are to end may take to hear of it. */
static const double answer_seconds = 5, doom_seconds = 5;
static const double most_seconds_on_its_way = 5;

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

static double seconds_waited(const ranks_where *where, double now) {
  return where->is_waiting ? now - where->waiting_since : 0;
}

static bool is_expired(const ranks_where *where, double now) { return seconds_waited(where, now) > where->limit; }
static bool is_doubtful(const ranks_where *where, double now) {
  return seconds_waited(where, now) > fmin(where->limit, where->doubt);
}

static void describe_self(ranks *r, watch_message *m) {
  const double now = plm_clock_monotonic();
  const ranks_where where = look_up(r);
  memset(m, 0, sizeof *m);
  m->is_waiting = where.is_waiting;
  memcpy(m->section, where.section, sizeof m->section);
  memcpy(m->stage, where.stage, sizeof m->stage);
  m->seconds = now - where.since;
  m->waited = seconds_waited(&where, now);
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
    for (int kind = ASK; kind <= PROBE && !p->is_sending; kind *= 2)
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

static void begin_inquiry(ranks *r, double now, bool is_ordered, bool with_stacks) {
  ranks_watch *w = r->watch;
  for (int rank = 0; rank < r->comm.size; rank++) w->peers[rank].has_answered = rank == r->comm.rank;
  w->asked = now;
  w->is_ordered = is_ordered;
  w->stack_due = 0;
  if (with_stacks) ask_for_stack(r, now);
  to_all_that_answer(r, with_stacks ? ASK : PROBE, true);
}

static void end_inquiry(ranks_watch *w, double not_before) {
  w->asked = 0;
  w->stack_due = 0;
  w->not_before = not_before;
}

typedef struct findings {
  bool all_answered;
  bool anyone_expired; /* somebody has waited for longer than its section may last */
  double left;         /* of a rank that is at work in a section that may last still longer */
  double arrived;      /* how long ago the last one began to wait; INFINITY: one does not wait */
} findings;

static findings look_through_answers(const ranks *r) {
  findings f = {.all_answered = true};
  double youngest = INFINITY;
  bool all_wait = true;
  for (int rank = 0; rank < r->comm.size; rank++) {
    const watch_peer *p = &r->watch->peers[rank];
    const watch_message *a = &p->answer;
    f.all_answered = f.all_answered && p->has_answered;
    if (!p->has_answered) continue;
    all_wait = all_wait && a->is_waiting;
    if (a->is_waiting) {
      f.anyone_expired = f.anyone_expired || a->waited > a->seconds + a->left;
      youngest = fmin(youngest, a->waited);
    } else {
      f.left = fmax(f.left, a->left);
    }
  }
  f.arrived = all_wait ? youngest : INFINITY;
  return f;
}

static int find_leader(const ranks *r) {
  int rank = 0;
  while (!r->watch->peers[rank].has_answered) rank++;
  return rank;
}

/* ---- the end ---- */

/* From here on no call of the run returns: what it would do next with memory that is under way, or say, is of no use. */
static void hold_all_calls(ranks *r) {
  pthread_mutex_lock(&r->lock);
  r->is_doomed = true;
  pthread_mutex_unlock(&r->lock);
}

/* Ranks that answer hear why; a moment later all are gone. */
static void doom_all(ranks *r, double now) {
  ranks_watch *w = r->watch;
  plm_ranks_watch_log_lines(w->why.message);
  plm_ranks_watch_log_lines(w->why.hint);
  if (r->comm.before_abort != NULL) r->comm.before_abort(r->comm.user, &w->why, w->culprit, w->stage, true);
  hold_all_calls(r);
  to_all_that_answer(r, DOOM, false);
  w->doomed = now + doom_seconds;
  w->is_leading = true;
  end_inquiry(w, INFINITY);
}

static void lead(ranks *r, double now) {
  ranks_watch *w = r->watch;
  describe_self(r, &w->peers[r->comm.rank].answer);
  const int culprit = plm_ranks_watch_find_culprit(r);
  w->culprit = culprit >= 0 ? culprit : r->comm.rank;
  /* Of a rank that does not answer nobody knows the section; they are all in one, mostly. */
  const bool is_known = w->peers[w->culprit].has_answered;
  memcpy(w->stage, w->peers[is_known ? w->culprit : r->comm.rank].answer.section, sizeof w->stage);
  plm_ranks_watch_log_table(r);
  plm_ranks_watch_compose_why(r, culprit, &w->why);
  doom_all(r, now);
}

/* The lowest of the ranks beside it that still are there finds the others of its machine waiting, as itself. */
static void notice_death(ranks *r, const ranks_where *where, double now) {
  ranks_watch *w = r->watch;
  const bool knows = where->is_waiting && (r->woken <= 0 || now > r->woken + answer_seconds);
  const int dead = knows ? plm_ranks_dead_find(r) : -1;
  if (dead < 0 || strcmp(where->stage, RANKS_LEAVING) == 0 || !plm_ranks_dead_is_lowest_left(r)) return;
  for (int rank = 0; rank < r->comm.size; rank++) w->peers[rank].has_answered = rank != dead;
  w->culprit = dead;
  memcpy(w->stage, where->section, sizeof w->stage);
  plm_fail(PLM_E_FAILURE, "rank %d (%s) has died: its process is gone, and the others wait for it in section \"%s\"",
           dead, r->places[dead].host, w->stage);
  plm_hint(PLM_E_FAILURE,
           "look for what ended it there (`dmesg | tail` tells of too little memory), and start again: the run goes on "
           "from its last checkpoint");
  plm_error_take(PLM_E_FAILURE, &w->why);
  doom_all(r, now);
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
  plm_ranks_watch_log_lines(why->message);
  plm_ranks_watch_log_lines(why->hint);
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
  if (m->kind == ASK || m->kind == PROBE) {
    if (w->asked == 0 && w->stack_due > 0 && now > w->stack_due) w->stack_due = 0;
    if (m->kind == ASK) ask_for_stack(r, now);
    w->not_before = now + 2 * answer_seconds; /* one inquiry at a time, if possible */
    p->to_send |= ANSWER;
  } else if (m->kind == ANSWER) {
    p->answer = *m;
    p->has_answered = true;
  } else if (m->kind == LEAD) {
    if (w->asked == 0 && w->doomed == 0) begin_inquiry(r, now, true, true);
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
  describe_self(r, &w->peers[r->comm.rank].answer);
  const findings f = look_through_answers(r);
  if (!f.all_answered && now < w->asked + answer_seconds) return;
  if (!has_stack(r, now)) return;
  const int leader = find_leader(r);
  const double doubt = look_up(r).doubt, on_its_way = fmin(doubt / 2, most_seconds_on_its_way);
  if (f.all_answered && !f.anyone_expired) {
    end_inquiry(w, now + doubt);
  } else if (f.all_answered && f.arrived < on_its_way) { /* what the last one brought is on its way */
    end_inquiry(w, now + on_its_way);
  } else if (f.all_answered && f.left > 0 && !w->is_ordered) {
    end_inquiry(w, now + fmin(f.left, doubt));
  } else if (leader == r->comm.rank || w->is_ordered || (w->lead_by > 0 && now > w->lead_by)) {
    lead(r, now);
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
  const bool is_due = is_doubtful(&where, now);
  if (w->asked == 0 && w->doomed == 0) {
    if (is_due && now >= w->not_before) begin_inquiry(r, now, false, is_expired(&where, now));
    notice_death(r, &where, now);
  }
  if (w->asked > 0 && !is_due && !w->is_ordered)
    end_inquiry(w, 0);
  else if (w->asked > 0)
    conclude(r, now);
  const bool is_sending = send_what_is_due(r, now);
  if (w->doomed > 0 && (now > w->doomed || r->is_broken || (w->is_leading && !is_sending))) end(r, &w->why);
  return is_sending || w->asked > 0 || w->doomed > 0 || w->is_receiving;
}
