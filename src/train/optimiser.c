/* optimiser.c - see optimiser.h. Contents: ranges, memory, norms, the update. */
#include "train/optimiser.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"

/* Elements begin..begin+n of the train block, which lie without gaps in the other blocks too. */
typedef struct range {
  int64_t n, train, master, half; /* half: -1 = no bf16 copy */
  bool decay;
} range;

struct plm_optimiser {
  plm_optimiser_options options;
  plm_model *model;
  plm_device *device;
  plm_moments moments;
  range *ranges;
  size_t range_count;
};

/* ---- ranges ---- */

static bool continues(const range *r, const plm_param *p, int64_t half) {
  return p->train_offset == r->train + r->n && p->offset == r->master + r->n && p->decay == r->decay &&
         (half < 0 ? r->half < 0 : r->half >= 0 && half == r->half + r->n);
}

static plm_status find_ranges(plm_optimiser *o, const plm_params *params, bool has_half) {
  PLM_TRY(PLM_NEW(&o->ranges, params->count));
  for (int i = 0; i < params->count; i++) {
    const plm_param *p = &params->items[i];
    int64_t half = has_half ? p->half_offset : -1;
    if (p->train_offset < 0) continue;
    range *last = o->range_count > 0 ? &o->ranges[o->range_count - 1] : NULL;
    if (last != NULL && continues(last, p, half))
      last->n += p->count;
    else
      o->ranges[o->range_count++] =
          (range){.n = p->count, .train = p->train_offset, .master = p->offset, .half = half, .decay = p->decay};
  }
  return PLM_OK;
}

/* ---- memory ---- */

static plm_status alloc_zero(plm_exec *x, size_t bytes, void *ret_pointer) {
  void *memory = NULL;
  PLM_TRY(x->device->alloc(x->device, bytes, &memory));
  memcpy(ret_pointer, &memory, sizeof memory); /* a float * or plm_norm_sums * lies there */
  const plm_fill_args fill = {.to = memory, .bytes = (int64_t)bytes};
  return x->ops->fill(x, &fill);
}

static plm_status prepare(plm_optimiser *o, plm_exec *x) {
  const plm_params *params = plm_model_get_params(o->model);
  PLM_TRY(find_ranges(o, params, plm_model_half(o->model) != NULL));
  PLM_TRY(alloc_zero(x, (size_t)params->train_size * sizeof(float), &o->moments.m));
  return alloc_zero(x, (size_t)params->train_size * sizeof(float), &o->moments.v);
}

plm_status plm_optimiser_create(plm_model *model, plm_exec *x, const plm_optimiser_options *options,
                                plm_optimiser **ret_optimiser) {
  plm_optimiser *o;
  PLM_TRY(PLM_NEW(&o, 1));
  o->options = *options;
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
  if (o->moments.m != NULL) o->device->free(o->device, o->moments.m);
  if (o->moments.v != NULL) o->device->free(o->device, o->moments.v);
  plm_free(o->ranges);
  plm_free(o);
}

plm_moments plm_optimiser_moments(const plm_optimiser *o) { return o->moments; }

/* ---- norms ---- */

static plm_status reset_sums(plm_optimiser *o, plm_exec *x) {
  const plm_fill_args fill = {.to = plm_model_norm_sums(o->model), .bytes = sizeof(plm_norm_sums)};
  return x->ops->fill(x, &fill);
}

static plm_status add_norm(plm_optimiser *o, plm_exec *x, const float *values, int64_t n) {
  const plm_square_norm_args args = {.n = n, .x = values, .dtype = PLM_F32, .sums = plm_model_norm_sums(o->model)};
  return x->ops->square_norm(x, &args);
}

plm_status plm_optimiser_norm(plm_optimiser *o, plm_exec *x) {
  PLM_TRY(reset_sums(o, x));
  return add_norm(o, x, plm_model_gradient(o->model), plm_model_get_params(o->model)->train_size);
}

plm_status plm_optimiser_count_nonfinite(plm_optimiser *o, plm_exec *x, int64_t *ret_count) {
  const plm_params *params = plm_model_get_params(o->model);
  plm_step_sums sums;
  PLM_TRY(reset_sums(o, x));
  for (size_t i = 0; i < o->range_count; i++)
    PLM_TRY(add_norm(o, x, plm_model_full(o->model) + o->ranges[i].master, o->ranges[i].n));
  PLM_TRY(add_norm(o, x, o->moments.m, params->train_size));
  PLM_TRY(add_norm(o, x, o->moments.v, params->train_size));
  PLM_TRY(plm_model_read_sums(o->model, x, &sums));
  *ret_count = sums.norm.nonfinite;
  return PLM_OK;
}

/* ---- the update ---- */

double plm_optimiser_scale(const plm_optimiser_options *options, double sum_norm, int64_t M) {
  double mean = 1.0 / (double)M, clip = options->max_grad_norm / (sum_norm * mean + 1e-6);
  return options->max_grad_norm > 0 && clip < 1 ? mean * clip : mean;
}

plm_status plm_optimiser_update(plm_optimiser *o, plm_exec *x, int64_t t, double learning_rate, double gradient_scale) {
  const plm_optimiser_options *options = &o->options;
  float *master = plm_model_full(o->model);
  const float *gradient = plm_model_gradient(o->model);
  uint16_t *half = plm_model_half(o->model);
  for (size_t i = 0; i < o->range_count; i++) {
    const range *r = &o->ranges[i];
    const plm_adamw_args args = {
        .n = r->n,
        .w = master + r->master,
        .grad = gradient + r->train,
        .m = o->moments.m + r->train,
        .v = o->moments.v + r->train,
        .copy = r->half >= 0 ? half + r->half : NULL,
        .lr = learning_rate,
        .beta1 = options->beta1,
        .beta2 = options->beta2,
        .eps = options->epsilon,
        .decay = r->decay ? options->weight_decay : 0,
        .bias1 = 1 - pow(options->beta1, (double)t),
        .bias2 = 1 - pow(options->beta2, (double)t),
        .grad_scale = gradient_scale,
    };
    PLM_TRY(x->ops->adamw(x, &args));
  }
  return PLM_OK;
}
