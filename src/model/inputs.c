/* inputs.c - a packed batch, checked, with what the model derives from its tokens, copied to the device in one piece.
 *
 * All arrays are 4 bytes an element and lie one after the other in a slot of host memory, and so on the device:
 *
 *   tokens[N] positions[N] cu_seqlens[S+1] row_scale[N] | rows[M] row_positions[M] row_cu_seqlens[S+1] targets[M]
 *
 * The second half is left out when every row is read. */
#include <string.h>

#include "model/internal.h"

static const float KEPT_SHARE = 0.88f; /* 1 - 0.15 * 0.8, whatever the masking rate of the run: model_spec 3.4 */

int64_t plm_inputs_room(int64_t max_tokens) { return 8 * max_tokens + 2; }

/* ---- checks: a batch comes from the data room, so what is wrong here is a bug of ours ---- */

static plm_status check_tokens(const plm_model *model, const plm_tokens *t) {
  const plm_model_options *options = &model->options;
  if (t->N > options->max_tokens || t->S > options->max_tokens)
    return plm_fail(PLM_E_BUG, "a batch of %lld tokens in %lld sequences came to a model made for %lld tokens",
                    (long long)t->N, (long long)t->S, (long long)options->max_tokens);
  PLM_ASSERT(t->S >= 1 && t->cu_seqlens[0] == 0 && t->cu_seqlens[t->S] == t->N);
  for (int64_t s = 0; s < t->S; s++) PLM_ASSERT(t->cu_seqlens[s] <= t->cu_seqlens[s + 1]);
  for (int64_t n = 0; n < t->N; n++) {
    PLM_ASSERT(t->tokens[n] >= 0 && t->tokens[n] < model->config.vocab_size);
    if (t->positions[n] < 0 || t->positions[n] >= options->max_length)
      return plm_fail(PLM_E_BUG, "token %lld has position %d in a model made for sequences of %lld tokens",
                      (long long)n, (int)t->positions[n], (long long)options->max_length);
  }
  return PLM_OK;
}

static plm_status check_objective(const plm_model *model, const plm_tokens *t, const plm_objective *o) {
  PLM_ASSERT(o->M <= t->N);
  for (int64_t m = 0; m < o->M; m++) {
    PLM_ASSERT(o->rows[m] < t->N && o->rows[m] > (m == 0 ? -1 : o->rows[m - 1]));
    PLM_ASSERT(o->targets[m] >= 0 && o->targets[m] < model->config.vocab_size);
  }
  return PLM_OK;
}

/* ---- derived arrays ---- */

/* Token dropout: 0 at <mask>, elsewhere 0.88 / (1 - share of <mask> in the sequence). */
static plm_status compute_row_scale(const plm_model *model, const plm_tokens *t, float *row_scale) {
  int32_t mask = model->config.mask_token_id;
  for (int64_t s = 0; s < t->S; s++) {
    int32_t first = t->cu_seqlens[s], last = t->cu_seqlens[s + 1], masks = 0;
    for (int32_t n = first; n < last; n++) masks += t->tokens[n] == mask;
    if (last > first && masks == last - first)
      return plm_fail(PLM_E_INPUT, "sequence %lld of a batch consists of %d <mask> tokens and nothing else",
                      (long long)s, (int)masks);
    float scale = KEPT_SHARE / (1.0f - (float)masks / (float)(last - first));
    for (int32_t n = first; n < last; n++) row_scale[n] = t->tokens[n] == mask ? 0.0f : scale;
  }
  return PLM_OK;
}

/* How the read rows divide over sequences, cumulative. */
static void count_rows(const plm_tokens *t, const plm_objective *o, int32_t *row_cu_seqlens) {
  int64_t m = 0;
  for (int64_t s = 0; s < t->S; s++) {
    row_cu_seqlens[s] = (int32_t)m;
    while (m < o->M && o->rows[m] < t->cu_seqlens[s + 1]) m++;
  }
  row_cu_seqlens[t->S] = (int32_t)m;
}

/* ---- layout ---- */

typedef struct layout {
  int32_t *host;
  int64_t used; /* elements */
} layout;

static int32_t *place(layout *l, int64_t count) {
  int32_t *at = l->host + l->used;
  l->used += count;
  return at;
}

static int32_t *place_copy(layout *l, const int32_t *from, int64_t count) {
  int32_t *at = place(l, count);
  memcpy(at, from, (size_t)count * sizeof *at);
  return at;
}

/* Leaves host addresses in `in`. */
static plm_status fill_slot(plm_pass *pass, const plm_tokens *t, const plm_objective *o, layout *l) {
  plm_model *model = pass->model;
  plm_inputs *in = &pass->in;
  in->tokens = place_copy(l, t->tokens, t->N);
  in->all.positions = place_copy(l, t->positions, t->N);
  in->all.host_cu_seqlens = in->all.cu_seqlens = place_copy(l, t->cu_seqlens, t->S + 1);
  if (model->config.token_dropout) {
    float *row_scale = (float *)(void *)place(l, t->N);
    PLM_TRY(compute_row_scale(model, t, row_scale));
    in->row_scale = row_scale;
  }
  in->read = in->all;
  if (o == NULL) return PLM_OK;
  in->read.count = o->M;
  in->read.ids = place_copy(l, o->rows, o->M);
  int32_t *positions = place(l, o->M), *cu_seqlens = place(l, t->S + 1);
  for (int64_t m = 0; m < o->M; m++) positions[m] = t->positions[o->rows[m]];
  count_rows(t, o, cu_seqlens);
  in->read.positions = positions;
  in->read.host_cu_seqlens = in->read.cu_seqlens = cu_seqlens;
  in->targets = place_copy(l, o->targets, o->M);
  return PLM_OK;
}

plm_status plm_inputs_load(plm_pass *pass, const plm_tokens *tokens, const plm_objective *objective) {
  plm_model *model = pass->model;
  plm_inputs *in = &pass->in;
  PLM_TRY(check_tokens(model, tokens));
  if (objective != NULL) PLM_TRY(check_objective(model, tokens, objective));
  *in = (plm_inputs){.N = tokens->N, .S = tokens->S, .all = {.count = tokens->N}};
  const plm_slot *slot = &model->slots[model->batches++ % PLM_SLOTS];
  plm_device *d = pass->x->device;
  layout l = {.host = slot->host};
  if (!pass->x->dry) PLM_TRY(d->event_wait(d, slot->sent));
  PLM_TRY(fill_slot(pass, tokens, objective, &l));

  int32_t *device;
  plm_stack_release(&model->stack, 0);
  PLM_TRY(PLM_TAKE(&model->stack, l.used, PLM_I32, &device));
  if (!pass->x->dry) {
    PLM_TRY(d->enqueue_copy(d, device, l.host, (size_t)l.used * sizeof *device, PLM_COPY_TO_DEVICE));
    PLM_TRY(d->event_record(d, slot->sent));
  }
  const int32_t **arrays[] = {&in->tokens,         &in->all.positions,   &in->all.cu_seqlens, &in->read.ids,
                              &in->read.positions, &in->read.cu_seqlens, &in->targets};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
    if (*arrays[i] != NULL) *arrays[i] = device + (*arrays[i] - l.host);
  if (in->row_scale != NULL)
    in->row_scale = (const float *)(const void *)(device + ((const int32_t *)(const void *)in->row_scale - l.host));
  return PLM_OK;
}
