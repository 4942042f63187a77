#include "support/parity.h"

#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/file.h"
#include "hub/model_dir.h"
#include "kernels/cpu/backend_cpu.h"
#include "support/unit.h"
#include "support/guarded.h"

const char *const parity_cases[PARITY_CASES] = {"d8",           "d10", "d16_half_inv_freq", "d24",
                                                "d32_eps1e-12", "d64", "d8_v4_names"};

static const char *case_path(const char *name, const char *file) {
  static char path[2][512];
  static int next;
  next = 1 - next;
  snprintf(path[next], sizeof path[next], "%s/tests/fixtures/parity/%s/%s", PLM_SOURCE_DIR, name, file);
  return path[next];
}

static int32_t *copy_ints(const plm_safetensors *file, const char *name, int64_t *ret_count) {
  const plm_tensor_info *info = plm_safetensors_find(file, name);
  int32_t *values;
  assert_non_null(info);
  assert_string_equal(info->dtype, "I32");
  assert_ok(PLM_NEW(&values, info->bytes / 4));
  memcpy(values, info->data, (size_t)info->bytes);
  *ret_count = info->bytes / 4;
  return values;
}

static void read_batch(parity *p) {
  int64_t N, labelled, sequences;
  p->tokens = copy_ints(p->forward, "tokens", &N);
  p->cu_seqlens = copy_ints(p->forward, "cu_seqlens", &sequences);
  int32_t *labels = copy_ints(p->forward, "labels", &labelled);
  assert_int_equal(N, labelled);
  assert_ok(PLM_NEW(&p->positions, N));
  assert_ok(PLM_NEW(&p->rows, N));
  assert_ok(PLM_NEW(&p->targets, N));
  int64_t M = 0, longest = 0;
  for (int64_t s = 0; s + 1 < sequences; s++) {
    int32_t first = p->cu_seqlens[s], last = p->cu_seqlens[s + 1];
    longest = last - first > longest ? last - first : longest;
    for (int32_t n = first; n < last; n++) {
      p->positions[n] = n - first;
      if (labels[n] < 0) continue;
      p->rows[M] = n;
      p->targets[M++] = labels[n];
    }
  }
  plm_free(labels);
  p->batch = (plm_batch){
      .encoder =
          {
              .N = N,
              .S = sequences - 1,
              .max_length = longest,
              .tokens = p->tokens,
              .positions = p->positions,
              .cu_seqlens = p->cu_seqlens,
          },
      .objective_count = 1,
      .objectives = {{.kind = PLM_LOSS_CROSS_ENTROPY, .M = M, .rows = p->rows, .targets = p->targets, .weight = 1}},
  };
}

static void open_optional(const char *path, plm_safetensors **ret_file) {
  *ret_file = NULL;
  if (plm_file_exists(path)) assert_ok(plm_safetensors_open(path, ret_file));
}

void parity_open(const char *name, bool guarded, const char *level, plm_dtype dtype, parity *p) {
  plm_model_config config;
  plm_load_report report;
  *p = (parity){.name = name};
  assert_ok(guarded ? plm_device_guarded_create(&p->device) : plm_device_cpu_create(&p->device));
  assert_ok(plm_exec_create_cpu(p->device, 2, guarded ? "ref" : level, &p->x));
  if (guarded) p->x->ops = plm_ops_guarded(plm_ops_ref());
  assert_ok(plm_safetensors_open(case_path(name, "expected_forward.safetensors"), &p->forward));
  open_optional(case_path(name, "expected_grads.safetensors"), &p->gradients);
  open_optional(case_path(name, "expected_steps.safetensors"), &p->steps);
  read_batch(p);
  assert_ok(plm_model_dir_read_config(case_path(name, ""), &config));
  p->C = config.hidden_size;
  p->L = config.num_hidden_layers;
  p->V = config.vocab_size;
  const plm_model_options options = {
      .dtype = dtype,
      .training = true,
      .max_tokens = p->batch.encoder.N,
      .max_length = p->batch.encoder.max_length,
      .all_rows = true,
  };
  assert_ok(plm_model_create(&config, &options, p->x, &p->model));
  assert_ok(plm_model_dir_load(case_path(name, ""), p->model, &report));
  assert_ok(plm_model_refresh(p->model, p->x, PLM_REFRESH_ALL));
}

void parity_close(parity *p) {
  plm_model_destroy(p->model);
  plm_exec_destroy(p->x);
  plm_device_destroy(p->device);
  plm_safetensors_close(p->forward);
  plm_safetensors_close(p->gradients);
  plm_safetensors_close(p->steps);
  int32_t *arrays[] = {p->tokens, p->positions, p->cu_seqlens, p->rows, p->targets};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) plm_free(arrays[i]);
}

const float *parity_expected(const plm_safetensors *file, const char *name, int64_t *ret_count) {
  enum { ROOM = 1 << 16 };
  static float values[2][ROOM];
  static int next;
  const plm_tensor_info *info = plm_safetensors_find(file, name);
  if (info == NULL) fail_msg("%s has no tensor %s", plm_safetensors_path(file), name);
  assert_true(info->bytes <= (int64_t)sizeof values[0]);
  next = 1 - next;
  assert_ok(plm_tensor_to_f32(file, info, values[next]));
  *ret_count = info->bytes / 4;
  return values[next];
}

void parity_take(const plm_batch *batch, const int64_t *sequences, int64_t count, parity_slice *slice) {
  const plm_tokens *t = &batch->encoder;
  const plm_objective *o = &batch->objectives[0];
  int64_t N = t->N, n = 0, m = 0;
  assert_true(5 * N + count + 1 <= (int64_t)(sizeof slice->memory / sizeof *slice->memory));
  int32_t *tokens = slice->memory, *positions = tokens + N, *rows = positions + N, *targets = rows + N,
          *cu_seqlens = targets + N;
  for (int64_t i = 0; i < count; i++) {
    int32_t first = t->cu_seqlens[sequences[i]], last = t->cu_seqlens[sequences[i] + 1];
    cu_seqlens[i] = (int32_t)n;
    for (int64_t k = 0; k < o->M; k++) {
      if (o->rows[k] < first || o->rows[k] >= last) continue;
      rows[m] = (int32_t)(n + o->rows[k] - first);
      targets[m++] = o->targets[k];
    }
    for (int32_t k = first; k < last; k++, n++) {
      tokens[n] = t->tokens[k];
      positions[n] = t->positions[k];
    }
  }
  cu_seqlens[count] = (int32_t)n;
  slice->batch = *batch;
  slice->batch.encoder = (plm_tokens){
      .N = n,
      .S = count,
      .max_length = t->max_length,
      .tokens = tokens,
      .positions = positions,
      .cu_seqlens = cu_seqlens,
  };
  slice->batch.objectives[0].M = m;
  slice->batch.objectives[0].rows = rows;
  slice->batch.objectives[0].targets = targets;
}

double parity_norm(const float *values, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; i++) sum += (double)values[i] * values[i];
  return sqrt(sum);
}

double parity_distance(const float *a, const float *b, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; i++) sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
  return sqrt(sum);
}

double parity_max_error(const float *a, const float *b, int64_t count) {
  double largest = 0;
  for (int64_t i = 0; i < count; i++) {
    double error = fabs((double)a[i] - b[i]);
    if (!(error <= largest)) largest = error; /* NaN is the largest */
  }
  return largest;
}

double parity_max(const float *values, int64_t count) {
  double largest = 0;
  for (int64_t i = 0; i < count; i++) largest = fmax(largest, fabs((double)values[i]));
  return largest;
}
