/* backend_cpu.c - which layers make up the table of each level, and which of them an operator comes from. */
#include "kernels/cpu/backend_cpu.h"

#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "base/alloc.h"
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

/* ---- what an exec keeps ---- */

plm_status plm_cpu_cache_create(plm_cpu_level level, int threads, plm_cpu_cache **ret_cache) {
  plm_cpu_cache *cache;
  (void)threads; /* each call names its team */
  PLM_TRY(PLM_NEW(&cache, 1));
#if PLM_CPU_ONEDNN
  plm_status status = plm_onednn_create(level, &cache->onednn);
  if (status != PLM_OK) {
    plm_free(cache);
    return status;
  }
#else
  (void)level;
#endif
  *ret_cache = cache;
  return PLM_OK;
}

void plm_cpu_cache_destroy(plm_cpu_cache *cache) {
  if (cache == NULL) return;
#if PLM_CPU_ONEDNN
  plm_onednn_destroy(cache->onednn);
#endif
  plm_free(cache);
}
