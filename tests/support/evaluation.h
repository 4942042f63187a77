/* evaluation.h - a small model and made-up proteins to score with it. Needs the scratch directory. */
#ifndef TESTS_SUPPORT_EVALUATION_H
#define TESTS_SUPPORT_EVALUATION_H

#include "train/evaluate.h"

enum { BENCH_PROTEINS = 23, BENCH_VOCABULARY = 33 };

typedef struct bench {
  plm_device *device;
  plm_exec *x;
  plm_model *model;
  plm_dataset *dataset;
  plm_view view;
  plm_evaluate_options options;
} bench;

/* BENCH_PROTEINS proteins of 3 to 90 residues, windows of 60 tokens, one draw. The weights are always the same. */
void open_bench(bench *b, plm_random_tokens random);

/* The same with other proteins, and a model with room for so many tokens at a time. */
void open_bench_of(bench *b, int64_t proteins, int64_t shortest, int64_t longest, int64_t max_tokens);
void close_bench(bench *b);

#endif
