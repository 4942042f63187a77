/* ranks_exchange.c - what all ranks do at the same time: see ranks_internal.h. Contents: packets, comparing them,
 * larger contents, the tree of a broadcast, what the thread of the run sees.
 *
 * Each rank sends every other a packet that says where it came to, with what is small. Only when all came to the same
 * place does anything larger follow, so that ranks that have parted learn of it and none is left waiting.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "dist/ranks_internal.h"

enum {
  PIECE = 1 << 20,     /* bytes of a broadcast that travel together */
  AHEAD = 4,           /* pieces under way on a link */
  MOST_CHILDREN = 32,  /* of a binomial tree */
  TREE_BELOW = 1 << 20 /* bytes; more goes from rank to rank in a chain, so that none sends it twice */
};

typedef struct packet {
  uint64_t sequence, stage_hash;
  int64_t bytes;
  int32_t kind, root;
  char stage[RANKS_STAGE];
  char data[PLM_AGREE_BYTES];
} packet;

typedef enum phase { PHASE_BEGIN, PHASE_PACKETS, PHASE_DATA, PHASE_TREE, PHASE_DONE } phase;

/* One link of a broadcast. */
typedef struct link {
  ranks_note note[AHEAD];
  bool is_done[AHEAD]; /* received, or not under way */
  int64_t next;        /* piece to be started */
  int peer;
} link;

struct ranks_caller {
  phase phase;
  packet own, *all;     /* [size] */
  ranks_note *in, *out; /* [size] */
  int left;             /* messages under way */
  uint64_t sequence;
  /* the call */
  const void *mine;
  void *ret_all;
  int met; /* a rank that came elsewhere, or -1 */
  /* broadcast */
  link parent, children[MOST_CHILDREN];
  int child_count;
  int64_t pieces, received, sent; /* pieces; received in order; sent, over all children */
};

plm_status plm_ranks_caller_create(ranks *r) {
  const int size = r->comm.size;
  PLM_TRY(PLM_NEW(&r->caller, 1));
  PLM_TRY(PLM_NEW(&r->caller->all, size));
  PLM_TRY(PLM_NEW(&r->caller->in, size));
  return PLM_NEW(&r->caller->out, size);
}

void plm_ranks_caller_destroy(ranks *r) {
  if (r->caller == NULL) return;
  plm_free(r->caller->all);
  plm_free(r->caller->in);
  plm_free(r->caller->out);
  plm_free(r->caller);
}

/* ---- packets ---- */

static void count_down(ranks *r, ranks_note *note) {
  (void)note;
  r->caller->left--;
}

/* `mine` to all the others, theirs to all + rank * bytes. */
static void send_to_all(ranks *r, ranks_tag tag, const void *mine, char *all, size_t bytes) {
  ranks_caller *c = r->caller;
  const int size = r->comm.size, rank = r->comm.rank;
  memmove(all + (size_t)rank * bytes, mine, bytes);
  c->left = 2 * (size - 1);
  for (int i = 1; i < size; i++) {
    const int from = (rank + size - i) % size;
    c->in[from] = (ranks_note){.done = count_down};
    plm_ranks_receive(r, from, ranks_tag_of(tag, 0), all + (size_t)from * bytes, (int64_t)bytes, &c->in[from]);
  }
  for (int i = 1; i < size; i++) {
    const int to = (rank + i) % size;
    c->out[to] = (ranks_note){.done = count_down};
    plm_ranks_send(r, to, ranks_tag_of(tag, 0), mine, (int64_t)bytes, &c->out[to]);
  }
}

/* ---- comparing them ---- */

static bool is_same_place(const packet *a, const packet *b) {
  return a->kind == b->kind && a->root == b->root && a->bytes == b->bytes && a->sequence == b->sequence &&
         a->stage_hash == b->stage_hash;
}

/* A rank that is not where this one is, or -1: all are. All ranks come to the same answer on whether there is one. */
static int find_parted(const ranks_caller *c, int size, int rank) {
  for (int other = 0; other < size; other++)
    if (!is_same_place(&c->all[other], &c->all[rank])) return other;
  return -1;
}

/* ---- the tree of a broadcast ---- */

/* Ranks are counted from the root. Of a binomial tree, rank k's parent is k without its lowest bit; of a chain, k-1. */
static void plan_tree(ranks *r) {
  ranks_caller *c = r->caller;
  const int size = r->comm.size, root = c->own.root, k = (r->comm.rank + size - root) % size;
  const bool is_chain = c->own.bytes >= TREE_BELOW;
  c->child_count = 0;
  c->pieces = (c->own.bytes + PIECE - 1) / PIECE;
  c->sent = 0;
  c->received = k == 0 ? c->pieces : 0;
  c->parent = (link){.peer = (root + (is_chain ? k - 1 : k & (k - 1)) + size) % size};
  for (int bit = 1; k + bit < size && (k & bit) == 0; bit *= 2) {
    c->children[c->child_count++] = (link){.peer = (root + k + bit) % size};
    if (is_chain) break;
  }
  if (is_chain && c->child_count == 0 && k + 1 < size)
    c->children[c->child_count++] = (link){.peer = (root + k + 1) % size};
  for (int i = 0; i < c->child_count; i++)
    for (int j = 0; j < AHEAD; j++) c->children[i].is_done[j] = true;
}

static char *piece_of(const ranks_caller *c, int64_t piece, int64_t *ret_bytes) {
  const int64_t begin = piece * PIECE, left = c->own.bytes - begin;
  *ret_bytes = left < PIECE ? left : PIECE;
  return (char *)c->ret_all + begin;
}

static void piece_received(ranks *r, ranks_note *note) {
  ranks_caller *c = r->caller;
  c->parent.is_done[note->slot] = true;
  while (c->received < c->parent.next && c->parent.is_done[c->received % AHEAD]) {
    c->parent.is_done[c->received % AHEAD] = false;
    c->received++;
  }
}

static void piece_sent(ranks *r, ranks_note *note) {
  ((link *)note->owner)->is_done[note->slot] = true;
  r->caller->sent++;
}

static void receive_pieces(ranks *r) {
  ranks_caller *c = r->caller;
  if (r->comm.rank == c->own.root) return;
  for (int64_t bytes; c->parent.next < c->pieces && c->parent.next < c->received + AHEAD; c->parent.next++) {
    const int slot = (int)(c->parent.next % AHEAD);
    char *data = piece_of(c, c->parent.next, &bytes);
    c->parent.note[slot] = (ranks_note){.done = piece_received, .slot = slot};
    plm_ranks_receive(r, c->parent.peer, ranks_tag_of(RANKS_TAG_TREE, 0), data, bytes, &c->parent.note[slot]);
  }
}

static void send_pieces(ranks *r, link *child) {
  ranks_caller *c = r->caller;
  for (int64_t bytes; child->next < c->received && child->is_done[child->next % AHEAD]; child->next++) {
    const int slot = (int)(child->next % AHEAD);
    const char *data = piece_of(c, child->next, &bytes);
    child->is_done[slot] = false;
    child->note[slot] = (ranks_note){.done = piece_sent, .owner = child, .slot = slot};
    plm_ranks_send(r, child->peer, ranks_tag_of(RANKS_TAG_TREE, 0), data, bytes, &child->note[slot]);
  }
}

static bool advance_tree(ranks *r) {
  ranks_caller *c = r->caller;
  receive_pieces(r);
  for (int i = 0; i < c->child_count; i++) send_pieces(r, &c->children[i]);
  return c->received == c->pieces && c->sent == c->pieces * c->child_count;
}

/* ---- the call ---- */

/* All packets are here. */
static void open_packets(ranks *r) {
  ranks_caller *c = r->caller;
  const size_t bytes = (size_t)c->own.bytes;
  c->met = find_parted(c, r->comm.size, r->comm.rank);
  c->phase = PHASE_DONE;
  if (c->met >= 0) return;
  if (c->own.kind == RANKS_CALL_BROADCAST) {
    plan_tree(r);
    c->phase = PHASE_TREE;
  } else if (bytes <= sizeof c->own.data) {
    for (int rank = 0; rank < r->comm.size; rank++)
      memcpy((char *)c->ret_all + (size_t)rank * bytes, c->all[rank].data, bytes);
  } else {
    send_to_all(r, RANKS_TAG_DATA, c->mine, c->ret_all, bytes);
    c->phase = PHASE_DATA;
  }
}

bool plm_ranks_call_advance(ranks *r) {
  ranks_caller *c = r->caller;
  if (c->phase == PHASE_BEGIN) {
    send_to_all(r, RANKS_TAG_PACKET, &c->own, (char *)c->all, sizeof c->own);
    c->phase = PHASE_PACKETS;
  }
  if (c->phase == PHASE_PACKETS && c->left == 0) open_packets(r);
  if (c->phase == PHASE_DATA && c->left == 0) c->phase = PHASE_DONE;
  if (c->phase == PHASE_TREE && advance_tree(r)) c->phase = PHASE_DONE;
  return c->phase == PHASE_DONE;
}

/* ---- what the thread of the run sees ---- */

void plm_ranks_call_prepare(ranks *r, ranks_call_kind kind, const char *stage, const void *mine, void *all,
                            int64_t bytes, int root) {
  ranks_caller *c = r->caller;
  memset(&c->own, 0, sizeof c->own);
  snprintf(c->own.stage, sizeof c->own.stage, "%s", stage);
  c->own.sequence = ++c->sequence;
  c->own.stage_hash = plm_hash64(stage, strlen(stage));
  c->own.kind = kind;
  c->own.root = root;
  c->own.bytes = bytes;
  if (kind == RANKS_CALL_EXCHANGE && (size_t)bytes <= sizeof c->own.data) memcpy(c->own.data, mine, (size_t)bytes);
  c->mine = mine;
  c->ret_all = all;
  c->met = -1;
  c->phase = PHASE_BEGIN;
}

plm_status plm_ranks_call_outcome(ranks *r) {
  const ranks_caller *c = r->caller;
  if (c->met < 0) return PLM_OK;
  const packet *other = &c->all[c->met];
  const char *differs = strcmp(other->stage, c->own.stage) == 0 ? ", with something else" : "";
  r->comm.parted = true;
  return plm_fail(PLM_E_FAILURE, "rank %d (%s) came to stage \"%s\", but rank %d (%s) to stage \"%s\"%s", r->comm.rank,
                  r->places[r->comm.rank].host, c->own.stage, c->met, r->places[c->met].host, other->stage, differs);
}
