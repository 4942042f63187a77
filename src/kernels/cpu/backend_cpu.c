/* backend_cpu.c - which layers make up the table of each level, which of them an operator comes from, and execs. */
#include "kernels/cpu/backend_cpu.h"

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/backend.h"
#include "kernels/cpu/cpu.h"

/* Laid over the reference from top to bottom, from level `from` on and up to `to`: the last that has an entry provides
 * it. */
static const struct layer {
  plm_cpu_level from, to;
  const char *name;
  const plm_ops *ops;
} layers[] = {
#if PLM_CPU_BUILT_AVX2
    {PLM_CPU_AVX2, PLM_CPU_AVX2, "avx2", &plm_cpu_layer_avx2},
#endif
#if PLM_CPU_BUILT_AVX512
    {PLM_CPU_AVX512, PLM_CPU_AVX512, "avx512", &plm_cpu_layer_avx512},
#endif
#if PLM_CPU_BUILT_AVX512BF16
    {PLM_CPU_AVX512_BF16, PLM_CPU_AMX, "avx512bf16", &plm_cpu_layer_avx512bf16},
#endif
    {PLM_CPU_AVX2, PLM_CPU_AMX, "gemm", &plm_cpu_layer_gemm},
#if PLM_CPU_ONEDNN
    {PLM_CPU_AVX2, PLM_CPU_AMX, "onednn", &plm_cpu_layer_onednn},
#endif
};
enum { LAYERS = sizeof layers / sizeof layers[0] };

plm_cpu_level plm_ops_cpu_built(void) {
#if PLM_CPU_BUILT_AVX512BF16
  return PLM_CPU_AMX; /* beyond avx512bf16 only the library's products differ */
#elif PLM_CPU_BUILT_AVX512
  return PLM_CPU_AVX512;
#elif PLM_CPU_BUILT_AVX2
  return PLM_CPU_AVX2;
#else
  return PLM_CPU_REF;
#endif
}

const plm_cpu_product_kernels *plm_cpu_products(plm_cpu_level level) {
#if PLM_CPU_BUILT_AVX512BF16
  if (level >= PLM_CPU_AVX512_BF16) return &plm_cpu_products_avx512bf16;
#endif
#if PLM_CPU_BUILT_AVX512
  if (level >= PLM_CPU_AVX512) return &plm_cpu_products_avx512;
#endif
#if PLM_CPU_BUILT_AVX2
  if (level >= PLM_CPU_AVX2) return &plm_cpu_products_avx2;
#endif
  (void)level;
  return NULL;
}

/* ---- the tables, made once ---- */

#define ORIGIN_FIELD(op) const char *op;
typedef struct origins {
  PLM_OPS(ORIGIN_FIELD)
} origins;

static plm_ops tables[PLM_CPU_AMX + 1];
static origins names[PLM_CPU_AMX + 1];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* One operator at one level; a macro because every entry has a type of its own. */
#define LAY_OVER(op)                                                                \
  names[level].op = "ref";                                                          \
  for (size_t i = 0; i < LAYERS; i++) {                                             \
    const struct layer *l = &layers[i];                                             \
    if (level < (int)l->from || level > (int)l->to || l->ops->op == NULL) continue; \
    tables[level].op = l->ops->op;                                                  \
    names[level].op = l->name;                                                      \
  }

static void build_tables(void) {
  for (int level = PLM_CPU_REF; level <= PLM_CPU_AMX; level++) {
    tables[level] = *plm_ops_ref();
    PLM_OPS(LAY_OVER)
  }
}

const plm_ops *plm_ops_cpu(plm_cpu_level level) {
  pthread_once(&once, build_tables);
  return &tables[level];
}

#define MATCH_ORIGIN(entry) \
  if (strcmp(op, #entry) == 0) return names[level].entry;

const char *plm_ops_cpu_origin(plm_cpu_level level, const char *op) {
  pthread_once(&once, build_tables);
  PLM_OPS(MATCH_ORIGIN)
  return "unknown operator";
}

void plm_cpu_products_name(char ret_name[32]) {
#if PLM_CPU_ONEDNN
  plm_onednn_name(ret_name);
#else
  strcpy(ret_name, "own");
#endif
}

/* ---- execs ---- */

static plm_status limit_level(const char *name, plm_cpu_level *level) {
  plm_cpu_level limit;
  PLM_TRY(plm_cpu_level_choose(name, &limit));
  if (limit < *level) *level = limit;
  return PLM_OK;
}

/* On a device of the caller's, the caller's mask goes before the environment's (backend_cpu.h). */
static plm_status open_exec(const plm_exec_options *options, plm_exec *exec) {
  const char *environment = getenv("PROTLM_CPU");
  const bool masked = exec->device == NULL && environment != NULL && *environment != '\0';
  plm_cpu_context *context;
  plm_cpu_level level;
  if (exec->device == NULL) {
    PLM_TRY(plm_device_cpu_create(&exec->device));
    exec->owns_device = true;
  }
  PLM_TRY(plm_cpu_level_choose(masked ? NULL : options->level_mask, &level));
  if (options->level_limit != NULL) PLM_TRY(limit_level(options->level_limit, &level));
  PLM_TRY(PLM_NEW(&context, 1));
  context->level = level;
  exec->context = context;
  exec->ops = plm_ops_cpu(level);
  snprintf(exec->kernels, sizeof exec->kernels, "%s", plm_cpu_level_name(level));
  plm_cpu_products_name(exec->products);
  exec->level = (int)level;
  exec->computes_bf16 = level >= PLM_CPU_AVX512_BF16;
  exec->usual_micro_batch = 4096; /* keeps products efficient, and activations near the caches */
  exec->plan_share = 0.7;
#if PLM_CPU_ONEDNN
  return plm_onednn_create(level, &context->onednn);
#else
  return PLM_OK;
#endif
}

static void close_exec(plm_exec *exec) {
#if PLM_CPU_ONEDNN
  plm_cpu_context *context = exec->context;
  if (context != NULL) plm_onednn_destroy(context->onednn);
#endif
  plm_free(exec->context);
}

/* ---- the backend ---- */

static plm_status probe(void) { return PLM_OK; }

static void describe(char ret_words[PLM_BACKEND_WORDS]) {
  snprintf(ret_words, PLM_BACKEND_WORDS, "%s", plm_cpu_level_name(plm_cpu_level_detect()));
}

static const char *origin(const plm_exec *exec, const char *op) {
  return plm_ops_cpu_origin(plm_cpu_context_of(exec)->level, op);
}

const plm_backend plm_backend_cpu = {
    .name = "cpu",
    .probe = probe,
    .describe = describe,
    .open = open_exec,
    .close = close_exec,
    .origin = origin,
};

plm_status plm_exec_create_cpu(plm_device *device, int threads, const char *level_mask, plm_exec **ret_exec) {
  PLM_ASSERT(device != NULL);
  return plm_exec_create(&plm_backend_cpu, device, &(plm_exec_options){.threads = threads, .level_mask = level_mask},
                         ret_exec);
}
