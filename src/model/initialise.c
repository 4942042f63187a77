/* initialise.c - a model from scratch (model_spec 3.12): each number a function of seed, parameter name and place, so
 * it is the same whatever the number of threads, and adding a layer does not change the others. */
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/rng.h"
#include "model/internal.h"

enum { PER_BLOCK = 4, CHUNK = 1 << 20 /* elements made on the host at a time */ };

typedef struct normal_job {
  uint64_t seed, name;
  int64_t first; /* element that values[0] is; a multiple of PER_BLOCK */
  int64_t count;
  double deviation;
  float *values;
} normal_job;

/* Blocks of four elements from one Philox block: words 0, 1 and words 2, 3 each make two normal numbers. */
static void make_normals(void *context, int64_t begin, int64_t end, int worker) {
  const normal_job *job = context;
  (void)worker;
  for (int64_t block = begin; block < end; block++) {
    plm_rng_block bits = plm_rng(job->seed, PLM_RNG_INIT, (uint64_t)(job->first / PER_BLOCK + block),
                                 (uint32_t)job->name, (uint32_t)(job->name >> 32));
    double z[PER_BLOCK];
    plm_rng_normal(bits.word[0], bits.word[1], z);
    plm_rng_normal(bits.word[2], bits.word[3], z + 2);
    for (int64_t i = 0; i < PER_BLOCK && block * PER_BLOCK + i < job->count; i++)
      job->values[block * PER_BLOCK + i] = (float)(job->deviation * z[i]);
  }
}

/* Elements first .. first + count - 1 of a parameter. */
static void make_values(const plm_model *model, const plm_param *p, uint64_t seed, int64_t first, int64_t count,
                        float *values) {
  if (p->role == PLM_ROLE_MATRIX || p->role == PLM_ROLE_EMBEDDING || p->role == PLM_ROLE_POSITIONS) {
    normal_job job = {seed, plm_hash64_text(p->name), first, count, model->config.initializer_range, values};
    plm_parallel_for(model->pool, (count + PER_BLOCK - 1) / PER_BLOCK, make_normals, &job);
  } else {
    for (int64_t i = 0; i < count; i++) values[i] = p->role == PLM_ROLE_NORM_WEIGHT ? 1.0f : 0.0f;
  }
  if (p->role != PLM_ROLE_EMBEDDING) return;
  int64_t C = p->shape[1], pad = model->config.pad_token_id;
  for (int64_t i = pad * C; i < (pad + 1) * C; i++)
    if (i >= first && i < first + count) values[i - first] = 0.0f;
}

static plm_status initialise_param(plm_model *model, const plm_param *p, uint64_t seed, float *values) {
  for (int64_t first = 0; first < p->count; first += CHUNK) {
    int64_t count = p->count - first < CHUNK ? p->count - first : CHUNK;
    make_values(model, p, seed, first, count, values);
    PLM_TRY(plm_model_set_range(model, p, first, count, values));
  }
  return PLM_OK;
}

plm_status plm_model_initialise(plm_model *model, uint64_t seed) {
  const plm_params *params = model->params;
  plm_status status = PLM_OK;
  float *values;
  int64_t largest = model->config.head_width / 2;
  for (int i = 0; i < params->count; i++) largest = params->items[i].count > largest ? params->items[i].count : largest;
  PLM_TRY(PLM_NEW(&values, largest < CHUNK ? largest : CHUNK));
  for (int i = 0; i < params->count; i++) {
    const plm_param *p = &params->items[i];
    if (p->role != PLM_ROLE_INV_FREQ) {
      PLM_TRY_GOTO(initialise_param(model, p, seed, values), out);
    } else {
      plm_model_config_inv_freq(&model->config, values);
      PLM_TRY_GOTO(plm_model_set(model, i, values), out);
    }
  }
out:
  plm_free(values);
  return status;
}
