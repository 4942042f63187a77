/* parity.h - a model of tests/fixtures/parity loaded into protlm, with its batch and what PyTorch makes of it. */
#ifndef TESTS_SUPPORT_PARITY_H
#define TESTS_SUPPORT_PARITY_H

#include "formats/safetensors.h"
#include "model/model.h"

/* The fixtures: all have expected_forward, the first PARITY_TRAINED also expected_grads and expected_steps. */
enum { PARITY_CASES = 7, PARITY_TRAINED = 6 };
extern const char *const parity_cases[PARITY_CASES];

typedef struct parity {
  const char *name;
  plm_device *device;
  plm_exec *x;
  plm_model *model;
  int64_t C, L, V;

  /* the batch, [N] and [S+1]; labels -100 where there is no loss */
  plm_batch batch;
  int32_t *tokens, *positions, *cu_seqlens, *rows, *targets;
  plm_safetensors *forward, *gradients, *steps; /* the last two NULL when the case has none */
} parity;

/* `guarded`: reference operators on the guarded device, else the fastest up to `level` (NULL: as
 * the machine allows). */
void parity_open(const char *name, bool guarded, const char *level, plm_dtype dtype, parity *ret_parity);
void parity_close(parity *p);

/* A tensor of an expected_ file, F32, in a static buffer good until the next but one call. */
const float *parity_expected(const plm_safetensors *file, const char *name, int64_t *ret_count);

/* Sequences first..first+count-1 of a batch as a batch of their own; buffers are the caller's. */
typedef struct parity_slice {
  plm_batch batch;
  int32_t memory[2048];
} parity_slice;
void parity_take(const plm_batch *batch, const int64_t *sequences, int64_t count, parity_slice *ret_slice);

double parity_norm(const float *values, int64_t count);
double parity_distance(const float *a, const float *b, int64_t count); /* L2 */
double parity_max_error(const float *a, const float *b, int64_t count);
double parity_max(const float *values, int64_t count); /* of magnitudes */

#endif
