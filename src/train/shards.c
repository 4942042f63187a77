/* shards.c - see shards.h. Contents: pieces, spans, sending and arriving, whole and in pieces. */
#include "train/shards.h"

#include "base/alloc.h"
#include "dist/pieces.h"

struct plm_shards {
  plm_model *model;
  plm_exec *x;
  plm_comm *comm;
  plm_span *spans; /* of all buckets, those of bucket b from first[b] on */
  int *first;      /* [bucket_count + 1] */
  bool *under_way; /* [bucket_count] sent, and not waited for yet */
  plm_span *some;  /* [size] of a parameter that becomes whole */
  float *stage;    /* [PLM_SHARDS_STAGE] device memory; rank 0 alone */
};

/* ---- pieces ---- */

/* Every bucket begins at a multiple of 64 elements a rank, so what lies before it makes first / ranks of a shard. */
bool plm_piece_of(const plm_params *params, int bucket, int rank, int64_t first, int64_t n, plm_piece *ret_piece) {
  const plm_bucket *b = &params->buckets[bucket];
  const int64_t length = plm_piece_length(b->count, params->ranks), begin = b->first + rank * length;
  const int64_t from = first > begin ? first : begin;
  const int64_t end = first + n < begin + length ? first + n : begin + length;
  if (from >= end) return false;
  *ret_piece = (plm_piece){.first = from, .n = end - from, .shard = b->first / params->ranks + from - begin};
  return true;
}

/* ---- spans ---- */

/* Where everybody reads that piece of a parameter. */
static plm_span span_at(plm_model *model, const plm_param *p, const plm_piece *piece, int owner) {
  const int64_t into = piece->first - p->train_offset;
  if (p->offset >= 0)
    return (plm_span){plm_model_full(model) + p->offset + into, piece->n * (int64_t)sizeof(float), owner};
  return (plm_span){plm_model_half(model) + p->half_offset + into, piece->n * (int64_t)sizeof(uint16_t), owner};
}

static bool continues(const plm_span *last, const plm_span *next) {
  return last->owner == next->owner && (char *)last->data + last->bytes == (char *)next->data;
}

/* Neighbours of one owner travel as one. A bucket has a span for each parameter, and one more where a piece ends. */
static plm_status find_spans(plm_shards *s) {
  const plm_params *params = plm_model_get_params(s->model);
  int count = 0, bucket = 0;
  PLM_TRY(PLM_NEW(&s->first, params->bucket_count + 1));
  PLM_TRY(PLM_NEW(&s->spans, params->count + params->bucket_count * params->ranks));
  for (int i = 0; i < params->count; i++) {
    const plm_param *p = &params->items[i];
    while (bucket < p->bucket) s->first[++bucket] = count;
    for (int rank = 0; rank < params->ranks && p->train_offset >= 0; rank++) {
      plm_piece piece;
      if (!plm_piece_of(params, bucket, rank, p->train_offset, p->count, &piece)) continue;
      const plm_span span = span_at(s->model, p, &piece, rank);
      if (count > s->first[bucket] && continues(&s->spans[count - 1], &span))
        s->spans[count - 1].bytes += span.bytes;
      else
        s->spans[count++] = span;
    }
  }
  while (bucket < params->bucket_count) s->first[++bucket] = count;
  return PLM_OK;
}

/* ---- making ---- */

static plm_status prepare(plm_shards *s) {
  const plm_params *params = plm_model_get_params(s->model);
  void *stage = NULL;
  PLM_TRY(find_spans(s));
  PLM_TRY(PLM_NEW(&s->under_way, params->bucket_count));
  PLM_TRY(PLM_NEW(&s->some, params->ranks));
  if (s->comm->rank == 0) PLM_TRY(s->x->device->alloc(s->x->device, PLM_SHARDS_STAGE * sizeof *s->stage, &stage));
  s->stage = stage;
  return PLM_OK;
}

plm_status plm_shards_create(plm_model *model, plm_exec *x, plm_comm *comm, plm_shards **ret_shards) {
  plm_shards *s;
  PLM_TRY(PLM_NEW(&s, 1));
  s->model = model;
  s->x = x;
  s->comm = comm;
  plm_status status = prepare(s);
  if (status != PLM_OK) {
    plm_shards_destroy(s);
    return status;
  }
  *ret_shards = s;
  return PLM_OK;
}

/* What is still under way is not written into memory that is gone. */
static void wait_for_all(plm_shards *s) {
  bool is_any = false;
  for (int b = 0; s->under_way != NULL && b < plm_model_get_params(s->model)->bucket_count; b++)
    is_any |= s->under_way[b];
  if (is_any && s->comm->wait(s->comm, s->x, PLM_EVERY_BUCKET) != PLM_OK) plm_error_clear();
}

void plm_shards_destroy(plm_shards *s) {
  if (s == NULL) return;
  wait_for_all(s);
  if (s->stage != NULL) s->x->device->free(s->x->device, s->stage);
  plm_free(s->some);
  plm_free(s->under_way);
  plm_free(s->spans);
  plm_free(s->first);
  plm_free(s);
}

/* ---- sending and arriving ---- */

plm_status plm_shards_send(plm_shards *s) {
  const int buckets = plm_model_get_params(s->model)->bucket_count;
  for (int b = 0; b < buckets; b++) {
    const int count = s->first[b + 1] - s->first[b];
    if (count == 0) continue;
    PLM_TRY(s->comm->gather(s->comm, s->x, b, s->spans + s->first[b], count, PLM_EVERY_RANK));
    s->under_way[b] = true;
  }
  return PLM_OK;
}

plm_status plm_shards_arrive(plm_shards *s, int bucket) {
  if (!s->under_way[bucket]) return PLM_OK;
  PLM_TRY(s->comm->wait(s->comm, s->x, bucket));
  s->under_way[bucket] = false;
  return plm_model_refresh_bucket(s->model, s->x, bucket);
}

/* ---- whole and in pieces ---- */

/* Elements first .. first + n - 1 of the train block, at most a stage of them. */
static plm_status bring(plm_shards *s, int bucket, int64_t first, int64_t n, float *block, float *ret_values) {
  const plm_params *params = plm_model_get_params(s->model);
  plm_device *device = s->x->device;
  const int me = s->comm->rank;
  int count = 0;
  for (int rank = 0; rank < params->ranks; rank++) {
    plm_piece piece;
    if (!plm_piece_of(params, bucket, rank, first, n, &piece)) continue;
    float *place = rank == me ? block + piece.shard : me == 0 ? s->stage + (piece.first - first) : NULL;
    s->some[count++] = (plm_span){place, piece.n * (int64_t)sizeof *block, rank};
  }
  PLM_TRY(s->comm->gather(s->comm, s->x, bucket, s->some, count, 0));
  PLM_TRY(s->comm->wait(s->comm, s->x, bucket));
  for (int i = 0; i < count && me == 0; i++) {
    PLM_TRY(device->copy(device, ret_values, s->some[i].data, (size_t)s->some[i].bytes, PLM_COPY_TO_HOST));
    ret_values += s->some[i].bytes / (int64_t)sizeof *ret_values;
  }
  return PLM_OK;
}

plm_status plm_shards_whole(plm_shards *s, const plm_param *p, float *block, float *ret_values) {
  PLM_TRY(plm_shards_arrive(s, p->bucket));
  for (int64_t done = 0; done < p->count; done += PLM_SHARDS_STAGE) {
    const int64_t n = p->count - done < PLM_SHARDS_STAGE ? p->count - done : PLM_SHARDS_STAGE;
    PLM_TRY(bring(s, p->bucket, p->train_offset + done, n, block, s->comm->rank == 0 ? ret_values + done : NULL));
  }
  return PLM_OK;
}

plm_status plm_shards_keep(plm_shards *s, const plm_param *p, int64_t first, int64_t n, const float *values,
                           float *block) {
  plm_device *device = s->x->device;
  plm_piece piece;
  const int64_t begin = p->train_offset + first;
  if (!plm_piece_of(plm_model_get_params(s->model), p->bucket, s->comm->rank, begin, n, &piece)) return PLM_OK;
  return device->copy(device, block + piece.shard, values + (piece.first - begin), (size_t)piece.n * sizeof *values,
                      PLM_COPY_TO_DEVICE);
}
