/* ranks_watch_internal.h - what ranks_watch.c (who asks and who ends all) and ranks_words.c (what is said of it) share. */
#ifndef PLM_DIST_RANKS_WATCH_INTERNAL_H
#define PLM_DIST_RANKS_WATCH_INTERNAL_H

#include "dist/ranks_internal.h"

enum { WATCH_TAG = 1, WATCH_WORDS = 3500 };

/* Bits of what is still to be sent to a rank. */
enum { ASK = 1, ANSWER = 2, LEAD = 4, DOOM = 8, PROBE = 16 /* as ASK, without a stack */ };

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

/* ---- ranks_words.c ---- */

/* The rank that all wait for, by their answers; -1: all wait for each other. */
int plm_ranks_watch_find_culprit(const ranks *r);
void plm_ranks_watch_log_lines(const char *words);
void plm_ranks_watch_log_table(const ranks *r); /* who is where */
void plm_ranks_watch_compose_why(ranks *r, int culprit, plm_error_record *ret_why);

#endif
