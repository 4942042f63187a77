/* ranks_reduce.c - the sum rule of comm.h. Contents: memory, sums, contributions to other owners, sums of this one's
 * piece, one reduction.
 *
 * A piece is cut into chunks. Toward each owner this rank has a few cells, each of which carries one chunk there and,
 * unless everyone keeps its shard, the sum back. For its own piece it has as many slots, each of which takes in a chunk
 * of every other rank, adds them up in rank order and, where wanted, sends the sum to all. Chunks travel in order on
 * each way, so that they need no number.
 */
#include <string.h>

#include "base/alloc.h"
#include "dist/pieces.h"
#include "dist/ranks_internal.h"
#include "kernels/bf16.h"

enum {
  AHEAD = 4,               /* cells and slots: chunks under way on each way */
  MOST_STAGING = 64 << 20, /* bytes, all chunks of both lanes */
  MOST_CHUNK = 128 * 1024, /* elements */
  LEAST_CHUNK = 4096,
  BLOCK = 2048, /* elements that are added up in cache */
};

typedef enum cell_state { IDLE, SENDING, SENT, RECEIVING } cell_state;

typedef struct cell {
  cell_state state;
  ranks_note note;
  void *staging; /* of a chunk: rounded, or where nobody wants it */
} cell;

typedef struct way { /* to one owner and back */
  cell cell[AHEAD];
  int64_t next_sent, next_sum; /* chunks */
} way;

typedef struct slot {
  bool is_busy;
  int missing, unsent;
  ranks_note *in, *out; /* [size] */
  char *contributions;  /* [size][chunk], of the type on the wire */
  void *sum;            /* [chunk], where it is not in place */
} slot;

typedef struct lane {
  ranks_op *op; /* NULL: free */
  way *ways;    /* [size] */
  slot slots[AHEAD];
  int64_t length, chunks;      /* elements of a piece; its chunks */
  int64_t next_slot, next_sum; /* chunks of the own piece: taken in, added up */
  int64_t left;                /* chunks of any piece that are not done */
} lane;

struct ranks_reducer {
  int64_t chunk; /* elements */
  char *zeros;   /* a chunk of them */
  lane lanes[RANKS_LANES];
};

/* ---- memory ---- */

static int64_t choose_chunk(int size) {
  const int64_t chunks = (int64_t)RANKS_LANES * AHEAD * 2 * size, bytes = MOST_STAGING / chunks;
  int64_t elements = bytes / (int64_t)sizeof(float) / PLM_PIECE_ALIGN * PLM_PIECE_ALIGN;
  if (elements > MOST_CHUNK) elements = MOST_CHUNK;
  return elements > LEAST_CHUNK ? elements : LEAST_CHUNK;
}

static plm_status create_lane(lane *l, int size, size_t bytes) {
  PLM_TRY(PLM_NEW(&l->ways, size));
  for (int peer = 0; peer < size; peer++)
    for (int i = 0; i < AHEAD; i++) PLM_TRY(plm_alloc_bytes(&l->ways[peer].cell[i].staging, 1, bytes));
  for (int i = 0; i < AHEAD; i++) {
    PLM_TRY(PLM_NEW(&l->slots[i].in, size));
    PLM_TRY(PLM_NEW(&l->slots[i].out, size));
    PLM_TRY(PLM_NEW(&l->slots[i].contributions, (size_t)size * bytes));
    PLM_TRY(plm_alloc_bytes(&l->slots[i].sum, 1, bytes));
  }
  return PLM_OK;
}

plm_status plm_ranks_reducer_create(ranks *r) {
  PLM_TRY(PLM_NEW(&r->reducer, 1));
  r->reducer->chunk = choose_chunk(r->comm.size);
  const size_t bytes = (size_t)r->reducer->chunk * sizeof(float);
  PLM_TRY(PLM_NEW(&r->reducer->zeros, bytes));
  for (int i = 0; i < RANKS_LANES; i++) PLM_TRY(create_lane(&r->reducer->lanes[i], r->comm.size, bytes));
  return PLM_OK;
}

static void destroy_lane(lane *l, int size) {
  for (int peer = 0; l->ways != NULL && peer < size; peer++)
    for (int i = 0; i < AHEAD; i++) plm_free(l->ways[peer].cell[i].staging);
  plm_free(l->ways);
  for (int i = 0; i < AHEAD; i++) {
    plm_free(l->slots[i].in);
    plm_free(l->slots[i].out);
    plm_free(l->slots[i].contributions);
    plm_free(l->slots[i].sum);
  }
}

void plm_ranks_reducer_destroy(ranks *r) {
  if (r->reducer == NULL) return;
  for (int i = 0; i < RANKS_LANES; i++) destroy_lane(&r->reducer->lanes[i], r->comm.size);
  plm_free(r->reducer->zeros);
  plm_free(r->reducer);
}

/* ---- sums ---- */

static void round_all(const float *restrict from, plm_bf16 *restrict to, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] = plm_bf16_from_float(from[i]);
}

static void widen_all(const plm_bf16 *restrict from, float *restrict to, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] = plm_bf16_to_float(from[i]);
}

static void add_floats(float *restrict sum, const float *restrict x, int64_t n) {
  for (int64_t i = 0; i < n; i++) sum[i] += x[i];
}

static void add_rounded(float *restrict sum, const float *restrict x, int64_t n) {
  for (int64_t i = 0; i < n; i++) sum[i] += plm_bf16_to_float(plm_bf16_from_float(x[i]));
}

static void add_bf16(float *restrict sum, const plm_bf16 *restrict x, int64_t n) {
  for (int64_t i = 0; i < n; i++) sum[i] += plm_bf16_to_float(x[i]);
}

/* The own contribution `own` and those of the others, in rank order; the first one is copied, so that -0 stays -0. */
static void add_fp32(float *sum, const float *own, const char *others, int64_t chunk, int64_t at, int64_t n,
                     const plm_comm *comm) {
  for (int rank = 0; rank < comm->size; rank++) {
    const float *x = rank == comm->rank ? own + at : (const float *)(const void *)others + rank * chunk + at;
    if (rank == 0)
      memcpy(sum, x, (size_t)n * sizeof *sum);
    else
      add_floats(sum, x, n);
  }
}

static void add_on_bf16_wire(float *sum, const float *own, const char *others, int64_t chunk, int64_t at, int64_t n,
                             const plm_comm *comm) {
  for (int64_t i = 0; i < n; i++) sum[i] = -0.0f; /* x + -0 is x, for every x */
  for (int rank = 0; rank < comm->size; rank++) {
    if (rank == comm->rank)
      add_rounded(sum, own + at, n);
    else
      add_bf16(sum, (const plm_bf16 *)(const void *)others + rank * chunk + at, n);
  }
}

/* n elements from `own` and the slot's contributions to `to`, which may be `own`; with bf16 on the wire also to `wire`,
 * and what is in `to` is what was sent. */
static void add_up(const ranks *r, const slot *s, const float *own, float *to, plm_bf16 *wire, int64_t n) {
  const int64_t chunk = r->reducer->chunk;
  float sum[BLOCK];
  for (int64_t at = 0; at < n; at += BLOCK) {
    const int64_t count = n - at < BLOCK ? n - at : BLOCK;
    (wire != NULL ? add_on_bf16_wire : add_fp32)(sum, own, s->contributions, chunk, at, count, &r->comm);
    if (wire != NULL) {
      round_all(sum, wire + at, count);
      widen_all(wire + at, sum, count);
    }
    memcpy(to + at, sum, (size_t)count * sizeof *to);
  }
}

/* ---- contributions to other owners ---- */

static int64_t chunk_length(const ranks *r, const lane *l, int64_t chunk) {
  const int64_t left = l->length - chunk * r->reducer->chunk;
  return left < r->reducer->chunk ? left : r->reducer->chunk;
}

static size_t wire_bytes(const ranks_op *op) { return op->is_bf16 ? sizeof(plm_bf16) : sizeof(float); }

static float *chunk_of(const ranks *r, const lane *l, int owner, int64_t chunk) {
  return l->op->data + owner * l->length + chunk * r->reducer->chunk;
}

static void finish_chunk(lane *l) { l->left--; }

static void sum_received(ranks *r, ranks_note *note) {
  lane *l = note->owner;
  way *w = &l->ways[note->peer];
  cell *c = &w->cell[note->slot % AHEAD];
  const int64_t chunk = note->slot;
  if (l->op->is_bf16 && l->op->data != NULL)
    widen_all(c->staging, chunk_of(r, l, note->peer, chunk), chunk_length(r, l, chunk));
  c->state = IDLE;
  finish_chunk(l);
}

/* In order, as they are sent; and not before the contribution has left the place where the sum will be. */
static void receive_sums(ranks *r, lane *l, int owner) {
  way *w = &l->ways[owner];
  for (; w->next_sum < w->next_sent && w->cell[w->next_sum % AHEAD].state == SENT; w->next_sum++) {
    cell *c = &w->cell[w->next_sum % AHEAD];
    const bool in_place = l->op->data != NULL && !l->op->is_bf16;
    void *to = in_place ? chunk_of(r, l, owner, w->next_sum) : c->staging;
    c->state = RECEIVING;
    c->note = (ranks_note){.done = sum_received, .owner = l, .peer = owner, .slot = (int)w->next_sum};
    plm_ranks_receive(r, owner, ranks_tag_of(RANKS_TAG_SUM, l->op->bucket), to,
                      chunk_length(r, l, w->next_sum) * (int64_t)wire_bytes(l->op), &c->note);
  }
}

static void contribution_sent(ranks *r, ranks_note *note) {
  lane *l = note->owner;
  cell *c = &l->ways[note->peer].cell[note->slot % AHEAD];
  c->state = SENT;
  if (!l->op->keep_shard) {
    receive_sums(r, l, note->peer);
    return;
  }
  c->state = IDLE;
  finish_chunk(l);
}

static void send_contribution(ranks *r, lane *l, int owner) {
  way *w = &l->ways[owner];
  cell *c = &w->cell[w->next_sent % AHEAD];
  const int64_t n = chunk_length(r, l, w->next_sent);
  const void *from = l->op->data != NULL ? (const void *)chunk_of(r, l, owner, w->next_sent) : r->reducer->zeros;
  if (l->op->is_bf16 && l->op->data != NULL) {
    round_all(from, c->staging, n);
    from = c->staging;
  }
  c->state = SENDING;
  c->note = (ranks_note){.done = contribution_sent, .owner = l, .peer = owner, .slot = (int)w->next_sent};
  w->next_sent++;
  plm_ranks_send(r, owner, ranks_tag_of(RANKS_TAG_CONTRIBUTION, l->op->bucket), from, n * (int64_t)wire_bytes(l->op),
                 &c->note);
}

/* ---- sums of this rank's piece ---- */

static void sum_sent(ranks *r, ranks_note *note) {
  lane *l = note->owner;
  slot *s = &l->slots[note->slot % AHEAD];
  (void)r;
  if (--s->unsent > 0) return;
  s->is_busy = false;
  finish_chunk(l);
}

static void send_sum(ranks *r, lane *l, slot *s, int64_t chunk, const void *sum) {
  const int size = r->comm.size;
  const int64_t bytes = chunk_length(r, l, chunk) * (int64_t)wire_bytes(l->op);
  s->unsent = size - 1;
  for (int i = 1; i < size; i++) {
    const int to = (r->comm.rank + i) % size;
    s->out[to] = (ranks_note){.done = sum_sent, .owner = l, .peer = to, .slot = (int)chunk};
    plm_ranks_send(r, to, ranks_tag_of(RANKS_TAG_SUM, l->op->bucket), sum, bytes, &s->out[to]);
  }
}

static void add_chunk(ranks *r, lane *l, int64_t chunk) {
  slot *s = &l->slots[chunk % AHEAD];
  const ranks_op *op = l->op;
  const int64_t n = chunk_length(r, l, chunk);
  float *own = op->data != NULL ? chunk_of(r, l, r->comm.rank, chunk) : NULL;
  /* Nobody here wants the sum of a rank that contributes zeros, but others may. */
  float *to = own != NULL ? own : s->sum;
  if (own == NULL) own = (float *)(void *)r->reducer->zeros;
  /* Among the contributions this rank's own place is free. */
  plm_bf16 *wire = op->is_bf16 ? (plm_bf16 *)(void *)s->contributions + r->comm.rank * r->reducer->chunk : NULL;
  add_up(r, s, own, to, wire, n);
  if (op->keep_shard) {
    s->is_busy = false;
    finish_chunk(l);
  } else {
    send_sum(r, l, s, chunk, wire != NULL ? (void *)wire : (void *)to);
  }
}

static void contribution_received(ranks *r, ranks_note *note) {
  lane *l = note->owner;
  l->slots[note->slot % AHEAD].missing--;
  for (; l->next_sum < l->next_slot && l->slots[l->next_sum % AHEAD].missing == 0; l->next_sum++)
    add_chunk(r, l, l->next_sum);
}

static void receive_contributions(ranks *r, lane *l) {
  slot *s = &l->slots[l->next_slot % AHEAD];
  const int size = r->comm.size;
  const size_t wire = wire_bytes(l->op);
  const int64_t bytes = chunk_length(r, l, l->next_slot) * (int64_t)wire;
  const int chunk = (int)l->next_slot++;
  s->is_busy = true;
  s->missing = size - 1;
  for (int i = 1; i < size; i++) {
    const int from = (r->comm.rank + size - i) % size;
    s->in[from] = (ranks_note){.done = contribution_received, .owner = l, .peer = from, .slot = chunk};
    plm_ranks_receive(r, from, ranks_tag_of(RANKS_TAG_CONTRIBUTION, l->op->bucket),
                      s->contributions + (size_t)from * (size_t)r->reducer->chunk * wire, bytes, &s->in[from]);
  }
}

/* ---- one reduction ---- */

bool plm_ranks_reduce_begin(ranks *r, ranks_op *op) {
  lane *found = NULL;
  for (int i = 0; i < RANKS_LANES; i++) {
    lane *l = &r->reducer->lanes[i];
    if (l->op == NULL) found = l;
    if (l->op != NULL && l->op->bucket == op->bucket) return false; /* their messages could not be told apart */
  }
  if (found == NULL) return false;
  const int64_t length = op->n / r->comm.size, chunk = r->reducer->chunk;
  found->op = op;
  found->length = length;
  found->chunks = (length + chunk - 1) / chunk;
  found->next_slot = found->next_sum = 0;
  found->left = found->chunks * r->comm.size;
  for (int peer = 0; peer < r->comm.size; peer++) found->ways[peer].next_sent = found->ways[peer].next_sum = 0;
  return true;
}

static void advance_lane(ranks *r, lane *l) {
  const int size = r->comm.size;
  while (l->next_slot < l->chunks && !l->slots[l->next_slot % AHEAD].is_busy) receive_contributions(r, l);
  for (int i = 1; i < size; i++) {
    const int owner = (r->comm.rank + i) % size;
    way *w = &l->ways[owner];
    while (w->next_sent < l->chunks && w->cell[w->next_sent % AHEAD].state == IDLE) send_contribution(r, l, owner);
  }
  if (l->left > 0) return;
  ranks_op *op = l->op;
  l->op = NULL;
  plm_ranks_op_finish(r, op);
}

void plm_ranks_reduce_advance(ranks *r) {
  for (int i = 0; i < RANKS_LANES; i++)
    if (r->reducer->lanes[i].op != NULL) advance_lane(r, &r->reducer->lanes[i]);
}
