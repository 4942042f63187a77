/* case_attention.h - batches and tensors that the cases of both attention entries share. */
#ifndef TESTS_OP_CASE_ATTENTION_H
#define TESTS_OP_CASE_ATTENTION_H

#include "check.h"

enum { ATTENTION_BATCHES = 12, ATTENTION_SHAPES = 12, ATTENTION_TYPES = 3, MAX_SEQUENCES = 6 };

typedef struct attention_batch {
  int S, queries[MAX_SEQUENCES], keys[MAX_SEQUENCES];
} attention_batch;

extern const attention_batch attention_batches[ATTENTION_BATCHES];
extern const int attention_shapes[ATTENTION_SHAPES][2]; /* H, D */
extern const plm_dtype attention_types[ATTENTION_TYPES];

/* How q, k, v and o lie in memory. */
typedef enum attention_layout {
  APART,    /* packed */
  GAPPED,   /* odd strides */
  IN_PLACE, /* packed, o in q's memory */
} attention_layout;

typedef struct attention_case {
  int64_t S, H, D, Nq, Nk;
  tensor *cu_q, *cu_k, *q, *k, *v, *o, *lse;
  double scale;
  tensor *d_o, *d_q, *d_k, *d_v; /* backward */
} attention_case;

attention_case attention_open(check *k, const attention_batch *batch, plm_dtype type, int64_t H, int64_t D,
                              attention_layout layout, bool lse);
plm_attention_forward_args attention_args(const attention_case *c, side s);
plm_status attention_call_forward(check *k, side s, void *context);

#endif
