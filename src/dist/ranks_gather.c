/* ranks_gather.c - spans travel from their owners to one rank, or to all. Contents: memory, streams, one gather.
 *
 * To and from each other rank there is a stream: the owner's spans one behind the other, in pieces. Streams know nothing
 * of each other, so a slow rank holds up its own only.
 */
#include "base/alloc.h"
#include "dist/ranks_internal.h"

enum {
  PIECE = 1 << 20, /* bytes that travel together */
  AHEAD = 2,       /* pieces under way on a stream */
};

typedef struct stream {
  int span; /* at which it is; span_count: at its end */
  int64_t offset;
  ranks_note note[AHEAD];
  bool is_busy[AHEAD];
} stream;

typedef struct lane {
  ranks_op *op;     /* NULL: free */
  stream *out, *in; /* [size] */
  int under_way;    /* pieces */
} lane;

struct ranks_gatherer {
  lane lanes[RANKS_LANES];
};

/* ---- memory ---- */

plm_status plm_ranks_gatherer_create(ranks *r) {
  PLM_TRY(PLM_NEW(&r->gatherer, 1));
  for (int i = 0; i < RANKS_LANES; i++) {
    PLM_TRY(PLM_NEW(&r->gatherer->lanes[i].out, r->comm.size));
    PLM_TRY(PLM_NEW(&r->gatherer->lanes[i].in, r->comm.size));
  }
  return PLM_OK;
}

void plm_ranks_gatherer_destroy(ranks *r) {
  for (int i = 0; r->gatherer != NULL && i < RANKS_LANES; i++) {
    plm_free(r->gatherer->lanes[i].out);
    plm_free(r->gatherer->lanes[i].in);
  }
  plm_free(r->gatherer);
}

/* ---- streams ---- */

static void piece_done(ranks *r, ranks_note *note) {
  stream *s = note->owner;
  s->is_busy[note->slot] = false;
  r->gatherer->lanes[note->peer].under_way--; /* `peer` is the lane here */
}

/* To the next byte that `owner` has. */
static bool find_piece(const ranks_op *op, stream *s, int owner) {
  while (s->span < op->span_count && (op->spans[s->span].owner != owner || s->offset >= op->spans[s->span].bytes)) {
    s->span++;
    s->offset = 0;
  }
  return s->span < op->span_count;
}

/* As many pieces as may be under way. `peer` is whom to, or from; false: the stream has ended. */
static bool advance_stream(ranks *r, int lane_number, stream *s, int owner, int peer) {
  lane *l = &r->gatherer->lanes[lane_number];
  const int tag = ranks_tag_of(RANKS_TAG_GATHER, l->op->bucket);
  for (int slot = 0; slot < AHEAD; slot++) {
    if (!find_piece(l->op, s, owner)) return false;
    if (s->is_busy[slot]) continue;
    const plm_span *span = &l->op->spans[s->span];
    const int64_t left = span->bytes - s->offset, bytes = left < PIECE ? left : PIECE;
    char *data = (char *)span->data + s->offset;
    s->offset += bytes;
    s->is_busy[slot] = true;
    s->note[slot] = (ranks_note){.done = piece_done, .owner = s, .peer = lane_number, .slot = slot};
    l->under_way++;
    if (owner == r->comm.rank)
      plm_ranks_send(r, peer, tag, data, bytes, &s->note[slot]);
    else
      plm_ranks_receive(r, peer, tag, data, bytes, &s->note[slot]);
  }
  return find_piece(l->op, s, owner);
}

/* ---- one gather ---- */

bool plm_ranks_gather_begin(ranks *r, ranks_op *op) {
  lane *found = NULL;
  for (int i = 0; i < RANKS_LANES; i++) {
    lane *l = &r->gatherer->lanes[i];
    if (l->op == NULL) found = l;
    if (l->op != NULL && l->op->bucket == op->bucket) return false; /* their messages could not be told apart */
  }
  if (found == NULL) return false;
  found->op = op;
  for (int peer = 0; peer < r->comm.size; peer++) {
    const bool is_sent = peer != r->comm.rank && (op->root == PLM_EVERY_RANK || op->root == peer);
    const bool is_received = peer != r->comm.rank && (op->root == PLM_EVERY_RANK || op->root == r->comm.rank);
    found->out[peer] = (stream){.span = is_sent ? 0 : op->span_count};
    found->in[peer] = (stream){.span = is_received ? 0 : op->span_count};
  }
  return true;
}

static void advance_lane(ranks *r, int number) {
  lane *l = &r->gatherer->lanes[number];
  const int size = r->comm.size, rank = r->comm.rank;
  bool is_open = false;
  for (int i = 1; i < size; i++) {
    const int from = (rank + size - i) % size, to = (rank + i) % size;
    is_open |= advance_stream(r, number, &l->in[from], from, from);
    is_open |= advance_stream(r, number, &l->out[to], rank, to);
  }
  if (is_open || l->under_way > 0) return;
  ranks_op *op = l->op;
  l->op = NULL;
  plm_ranks_op_finish(r, op);
}

void plm_ranks_gather_advance(ranks *r) {
  for (int i = 0; i < RANKS_LANES; i++)
    if (r->gatherer->lanes[i].op != NULL) advance_lane(r, i);
}
