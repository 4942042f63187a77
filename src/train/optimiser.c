/* optimiser.c - see optimiser.h. Contents: kinds, states, ranges, memory, masters in pieces, norms, the update. What is
 * kept of it: training_parts.c. */
#include "train/optimiser.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "dist/agree.h"
#include "dist/pieces.h"
#include "train/optimiser_internal.h"

/* ---- kinds ---- */

static plm_status update_adamw(plm_exec *x, const plm_optimiser_update_args *u) {
  const plm_optimiser_options *options = u->options;
  const plm_adamw_args args = {
      .n = u->n,
      .w = u->w,
      .grad = u->grad,
      .m = u->state[0],
      .v = u->state[1],
      .copy = u->copy,
      .lr = u->learning_rate,
      .beta1 = options->beta1,
      .beta2 = options->beta2,
      .eps = options->epsilon,
      .decay = u->weight_decay,
      .bias1 = 1 - pow(options->beta1, (double)u->t),
      .bias2 = 1 - pow(options->beta2, (double)u->t),
      .grad_scale = u->gradient_scale,
  };
  return x->ops->adamw(x, &args);
}

static const plm_optimiser_kind adamw = {
    .name = "AdamW",
    .states = {{.suffix = ".exp_avg"}, {.suffix = ".exp_avg_sq"}},
    .state_count = 2,
    .updates_ranges = true,
    .update = update_adamw,
};

static const plm_optimiser_kind *kind_or_default(const plm_optimiser_kind *kind) {
  return kind != NULL ? kind : &adamw;
}

/* ---- states ---- */

enum { ALIGNMENT = 256 /* bytes, as blocks of a model */, ALIGNED = ALIGNMENT / sizeof(float) };

int plm_optimiser_shape(const plm_optimiser_state *state, const plm_param *p, int64_t shape[PLM_TENSOR_MAX_DIMS],
                        int64_t *ret_count) {
  int dims = p->dims;
  if (state->shape != NULL)
    dims = state->shape(p, shape);
  else
    memcpy(shape, p->shape, sizeof p->shape);
  *ret_count = 1;
  for (int d = 0; d < dims; d++) *ret_count *= shape[d];
  return dims;
}

/* Elements before the part of parameter `index`; for params->count: of the whole. A state of the parameters' shapes is
 * laid out as the train block. */
static int64_t offset_of(const plm_optimiser_state *state, const plm_params *params, int index) {
  int64_t shape[PLM_TENSOR_MAX_DIMS], count, offset = 0;
  if (state->shape == NULL) return index < params->count ? params->items[index].train_offset : params->train_size;
  for (int i = 0; i < index; i++) {
    if (params->items[i].train_offset < 0) continue;
    plm_optimiser_shape(state, &params->items[i], shape, &count);
    offset += (int64_t)plm_round_up((size_t)count, ALIGNED);
  }
  return offset;
}

/* Does a master live in pieces? */
static bool has_masters(const plm_params *params) {
  for (int i = 0; i < params->count; i++)
    if (plm_param_is_in_pieces(&params->items[i])) return true;
  return false;
}

static int64_t shard_bytes(const plm_params *params) {
  return (int64_t)plm_round_up((size_t)plm_shard_size(params) * sizeof(float), ALIGNMENT);
}

static int64_t planned_bytes(const void *kind, const plm_params *params) {
  const plm_optimiser_kind *k = kind;
  int64_t bytes = 0;
  if (params->sharded)
    return (k->state_count + has_masters(params)) * shard_bytes(params) + PLM_SHARDS_STAGE * (int64_t)sizeof(float);
  for (int s = 0; s < k->state_count; s++)
    bytes += (int64_t)plm_round_up((size_t)offset_of(&k->states[s], params, params->count) * sizeof(float), ALIGNMENT);
  return bytes;
}

int64_t plm_optimiser_saved_bytes(const plm_optimiser_kind *kind, int64_t trainable) {
  return kind_or_default(kind)->state_count * trainable * (int64_t)sizeof(float);
}

static plm_status planned_update(const void *kind, plm_exec *x, int64_t n, float *w, const float *grad) {
  const plm_optimiser_kind *k = kind;
  const plm_optimiser_options options = {.kind = k};
  const plm_optimiser_update_args args = {.options = &options, .n = n, .t = 1, .w = w, .grad = grad};
  return k->update(x, &args);
}

plm_planned_optimiser plm_optimiser_planned(const plm_optimiser_kind *kind) {
  return (plm_planned_optimiser){kind_or_default(kind), planned_bytes, planned_update};
}

/* ---- ranges ---- */

/* Elements that lie without gaps in every block that has them. */
typedef struct plm_optimiser_range {
  int64_t n, train;
  int64_t master; /* in the full block; -1 = in this rank's pieces */
  int64_t half;   /* -1 = no bf16 copy */
  int64_t shard;  /* in this rank's pieces; of a whole optimiser as `train` */
  int first;      /* index of the first parameter in it */
  bool decay;
} plm_optimiser_range;

static bool follows(int64_t last, int64_t n, int64_t next) { return last < 0 ? next < 0 : next == last + n; }

static bool continues(const plm_optimiser_range *r, const plm_optimiser_range *next) {
  return next->train == r->train + r->n && next->shard == r->shard + r->n && next->decay == r->decay &&
         follows(r->master, r->n, next->master) && follows(r->half, r->n, next->half);
}

/* What this rank updates of a parameter: all, or what lies in its piece of the bucket. False: nothing. */
static bool find_range(const plm_optimiser *o, int index, plm_optimiser_range *ret_range) {
  const plm_params *params = plm_model_get_params(o->model);
  const plm_param *p = &params->items[index];
  plm_piece piece = {.first = p->train_offset, .n = p->count, .shard = p->train_offset};
  if (p->train_offset < 0) return false;
  if (params->sharded && !plm_piece_of(params, p->bucket, o->options.comm->rank, p->train_offset, p->count, &piece))
    return false;
  const int64_t into = piece.first - p->train_offset;
  *ret_range = (plm_optimiser_range){
      .n = piece.n,
      .train = piece.first,
      .master = p->offset >= 0 ? p->offset + into : -1,
      .half = p->half_offset >= 0 ? p->half_offset + into : -1,
      .shard = piece.shard,
      .first = index,
      .decay = p->decay,
  };
  return true;
}

static plm_status find_ranges(plm_optimiser *o) {
  const int count = plm_model_get_params(o->model)->count;
  PLM_TRY(PLM_NEW(&o->ranges, count));
  for (int i = 0; i < count; i++) {
    plm_optimiser_range *last = o->range_count > 0 ? &o->ranges[o->range_count - 1] : NULL, next;
    if (!find_range(o, i, &next)) continue;
    if (last != NULL && o->options.kind->updates_ranges && continues(last, &next))
      last->n += next.n;
    else
      o->ranges[o->range_count++] = next;
  }
  return PLM_OK;
}

/* ---- masters in pieces: what the model asks for ---- */

static plm_status arrive(void *user, int bucket) {
  const plm_optimiser *o = user;
  return plm_shards_arrive(o->shards, bucket);
}

static plm_status get_master(void *user, const plm_param *p, float *ret_values) {
  const plm_optimiser *o = user;
  return plm_shards_whole(o->shards, p, o->masters, ret_values);
}

static plm_status set_master(void *user, const plm_param *p, int64_t first, int64_t count, const float *values) {
  const plm_optimiser *o = user;
  return plm_shards_keep(o->shards, p, first, count, values, o->masters);
}

/* ---- memory ---- */

static plm_status alloc_zero(plm_exec *x, size_t bytes, void *ret_pointer) {
  void *memory = NULL;
  PLM_TRY(x->device->alloc(x->device, bytes, &memory));
  memcpy(ret_pointer, &memory, sizeof memory); /* a float * lies there */
  const plm_fill_args fill = {.to = memory, .bytes = (int64_t)bytes};
  return x->ops->fill(x, &fill);
}

static plm_status prepare_whole(plm_optimiser *o, plm_exec *x) {
  const plm_params *params = plm_model_get_params(o->model);
  const plm_optimiser_kind *kind = o->options.kind;
  for (int s = 0; s < kind->state_count; s++) {
    PLM_ASSERT(kind->states[s].shape == NULL || !kind->updates_ranges);
    int64_t size = offset_of(&kind->states[s], params, params->count);
    PLM_TRY(alloc_zero(x, (size_t)size * sizeof(float), &o->states[s]));
  }
  return PLM_OK;
}

static plm_status prepare_shards(plm_optimiser *o, plm_exec *x) {
  const plm_params *params = plm_model_get_params(o->model);
  const plm_optimiser_kind *kind = o->options.kind;
  const plm_model_shards shards = {.user = o, .arrive = arrive, .get = get_master, .set = set_master};
  if (!kind->updates_ranges)
    return plm_hint(
        plm_fail(PLM_E_UNSUPPORTED, "--zero 1: %s updates whole parameters, not the pieces of ranks", kind->name),
        "--zero 0");
  PLM_TRY(plm_shards_create(o->model, x, o->options.comm, &o->shards));
  for (int s = 0; s < kind->state_count; s++) PLM_TRY(alloc_zero(x, (size_t)shard_bytes(params), &o->states[s]));
  if (has_masters(params)) PLM_TRY(alloc_zero(x, (size_t)shard_bytes(params), &o->masters));
  plm_model_set_shards(o->model, &shards);
  return PLM_OK;
}

static plm_status prepare(plm_optimiser *o, plm_exec *x) {
  const plm_params *params = plm_model_get_params(o->model);
  const plm_comm *comm = o->options.comm;
  PLM_ASSERT(params->ranks == (comm != NULL ? comm->size : 1));
  PLM_TRY(find_ranges(o));
  if (comm != NULL) PLM_TRY(PLM_NEW(&o->counts, comm->size));
  return params->sharded ? prepare_shards(o, x) : prepare_whole(o, x);
}

plm_status plm_optimiser_create(plm_model *model, plm_exec *x, const plm_optimiser_options *options,
                                plm_optimiser **ret_optimiser) {
  plm_optimiser *o;
  PLM_TRY(PLM_NEW(&o, 1));
  o->options = *options;
  o->options.kind = kind_or_default(options->kind);
  o->model = model;
  o->device = x->device;
  plm_status status = prepare(o, x);
  if (status != PLM_OK) {
    plm_optimiser_destroy(o);
    return status;
  }
  *ret_optimiser = o;
  return PLM_OK;
}

void plm_optimiser_destroy(plm_optimiser *o) {
  if (o == NULL) return;
  if (o->shards != NULL) plm_model_set_shards(o->model, NULL);
  plm_shards_destroy(o->shards);
  if (o->masters != NULL) o->device->free(o->device, o->masters);
  for (int s = 0; s < PLM_OPTIMISER_MAX_STATES; s++)
    if (o->states[s] != NULL) o->device->free(o->device, o->states[s]);
  plm_free(o->counts);
  plm_free(o->ranges);
  plm_free(o);
}

float *plm_optimiser_state_of(const plm_optimiser *o, int s, int index) {
  return o->states[s] + offset_of(&o->options.kind->states[s], plm_model_get_params(o->model), index);
}

/* ---- norms ---- */

static plm_status reset_sums(plm_optimiser *o, plm_exec *x) {
  const plm_fill_args fill = {.to = plm_model_norm_sums(o->model), .bytes = sizeof(plm_norm_sums)};
  return x->ops->fill(x, &fill);
}

static plm_status add_norm(plm_optimiser *o, plm_exec *x, const float *values, int64_t n) {
  const plm_square_norm_args args = {.n = n, .x = values, .dtype = PLM_F32, .sums = plm_model_norm_sums(o->model)};
  return x->ops->square_norm(x, &args);
}

/* The pieces that this rank owns. Those that touch are one call: a single rank's are all the gradient. */
plm_status plm_optimiser_norm(plm_optimiser *o, plm_exec *x) {
  const plm_params *params = plm_model_get_params(o->model);
  const float *gradient = plm_model_gradient(o->model);
  const int rank = o->options.comm != NULL ? o->options.comm->rank : 0;
  int64_t from = 0, end = 0;
  PLM_TRY(reset_sums(o, x));
  for (int b = 0; b < params->bucket_count; b++) {
    const int64_t length = plm_piece_length(params->buckets[b].count, params->ranks);
    const int64_t begin = params->buckets[b].first + rank * length;
    if (length == 0) continue;
    if (begin != end) {
      if (end > from) PLM_TRY(add_norm(o, x, gradient + from, end - from));
      from = begin;
    }
    end = begin + length;
  }
  if (end > params->train_size) end = params->train_size; /* one rank's last bucket: no zeros behind it */
  return add_norm(o, x, gradient + from, end - from);
}

/* Where a range's master and state `s` are. */
static float *master_of(const plm_optimiser *o, const plm_optimiser_range *r) {
  return r->master >= 0 ? plm_model_full(o->model) + r->master : o->masters + r->shard;
}

static float *state_at(const plm_optimiser *o, int s, const plm_optimiser_range *r) {
  return o->shards != NULL ? o->states[s] + r->shard : plm_optimiser_state_of(o, s, r->first);
}

static plm_status count_own(plm_optimiser *o, plm_exec *x, int64_t *ret_count) {
  const plm_params *params = plm_model_get_params(o->model);
  const plm_optimiser_kind *kind = o->options.kind;
  plm_step_sums sums;
  PLM_TRY(reset_sums(o, x));
  for (size_t i = 0; i < o->range_count; i++) PLM_TRY(add_norm(o, x, master_of(o, &o->ranges[i]), o->ranges[i].n));
  for (int s = 0; s < kind->state_count; s++) {
    const int64_t size =
        o->shards != NULL ? plm_shard_size(params) : offset_of(&kind->states[s], params, params->count);
    PLM_TRY(add_norm(o, x, o->states[s], size));
  }
  PLM_TRY(plm_model_read_sums(o->model, x, &sums));
  *ret_count = sums.norm.nonfinite;
  return PLM_OK;
}

/* Pieces add up; of whole copies, which are equal, the worst counts. */
plm_status plm_optimiser_count_nonfinite(plm_optimiser *o, plm_exec *x, int64_t *ret_count) {
  plm_comm *comm = o->options.comm;
  int64_t mine = 0, all = 0;
  plm_status status = count_own(o, x, &mine);
  if (comm != NULL) {
    PLM_TRY(plm_agree(comm, "finite", status));
    PLM_TRY(comm->exchange(comm, "finite", &mine, sizeof mine, o->counts));
    for (int rank = 0; rank < comm->size; rank++)
      all = o->shards != NULL ? all + o->counts[rank] : o->counts[rank] > all ? o->counts[rank] : all;
  }
  *ret_count = comm != NULL ? all : mine;
  return status;
}

/* ---- the update ---- */

double plm_optimiser_scale(const plm_optimiser_options *options, double sum_norm, int64_t M) {
  double mean = 1.0 / (double)M, clip = options->max_grad_norm / (sum_norm * mean + 1e-6);
  return options->max_grad_norm > 0 && clip < 1 ? mean * clip : mean;
}

static plm_status update_range(plm_optimiser *o, plm_exec *x, const plm_optimiser_range *r,
                               const plm_optimiser_update_args *step) {
  plm_optimiser_update_args args = *step;
  args.param = &plm_model_get_params(o->model)->items[r->first];
  args.n = r->n;
  args.w = master_of(o, r);
  args.grad = plm_model_gradient(o->model) + r->train;
  args.copy = r->half >= 0 ? plm_model_half(o->model) + r->half : NULL;
  args.weight_decay = r->decay ? o->options.weight_decay : 0;
  for (int s = 0; s < o->options.kind->state_count; s++) args.state[s] = state_at(o, s, r);
  return o->options.kind->update(x, &args);
}

/* A rank that fails sends what it has all the same: the others wait for it. */
plm_status plm_optimiser_update(plm_optimiser *o, plm_exec *x, int64_t t, double learning_rate, double gradient_scale) {
  const plm_optimiser_update_args step = {
      .options = &o->options,
      .t = t,
      .learning_rate = learning_rate,
      .gradient_scale = gradient_scale,
  };
  plm_status status = PLM_OK;
  for (size_t i = 0; i < o->range_count && status == PLM_OK; i++) status = update_range(o, x, &o->ranges[i], &step);
  const plm_status sent = o->shards != NULL ? plm_shards_send(o->shards) : PLM_OK;
  return status != PLM_OK ? status : sent;
}
