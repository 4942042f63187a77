/* evaluation.c - see evaluation.h */
#include "support/evaluation.h"

#include "kernels/cpu/backend_cpu.h"
#include "support/sequences.h"
#include "support/unit.h"

void open_bench_of(bench *b, int64_t proteins, int64_t shortest, int64_t longest, int64_t max_tokens) {
  const plm_model_config config = {
      .family = &plm_family_esm2,
      .vocab_size = BENCH_VOCABULARY,
      .hidden_size = 16,
      .num_hidden_layers = 1,
      .num_attention_heads = 2,
      .head_width = 8,
      .intermediate_size = 32,
      .layer_norm_eps = 1e-5,
      .initializer_range = 0.2,
      .token_dropout = true,
      .mask_token_id = 32,
      .pad_token_id = 1,
      .max_position_embeddings = 1026,
  };
  const plm_model_options model = {.dtype = PLM_F32, .max_tokens = max_tokens, .max_length = 60};
  memset(b, 0, sizeof *b);
  assert_ok(plm_device_cpu_create(&b->device));
  assert_ok(plm_exec_create_cpu(b->device, 1, "ref", &b->x));
  assert_ok(plm_model_create(&config, &model, b->x, &b->model));
  assert_ok(plm_model_initialise(b->model, 5));
  assert_ok(plm_model_refresh(b->model, b->x, PLM_REFRESH_ALL));
  b->dataset = open_made_up(1, proteins, shortest, longest);
  plm_view_all(b->dataset, &b->view);
  b->options.draws = 1;
  b->options.packer = (plm_packer_options){
      .alphabet = plm_alphabet_esm2(),
      .seed = 7,
      .max_length = 60,
      .micro_batch_tokens = 200,
      .quadratic_cost = 0.01,
  };
  plm_mask_options_defaults(&b->options.packer.mask);
}

void open_bench(bench *b, plm_random_tokens random) {
  open_bench_of(b, BENCH_PROTEINS, 3, 90, 2000);
  b->options.packer.mask.random = random;
}

void close_bench(bench *b) {
  plm_dataset_close(b->dataset);
  plm_model_destroy(b->model);
  plm_exec_destroy(b->x);
  plm_device_destroy(b->device);
}
