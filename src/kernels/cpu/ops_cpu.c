/* ops_cpu.c - the table for each level: the reference, as long as nothing faster is laid over it. */
#include "kernels/cpu/ops_cpu.h"

plm_cpu_level plm_ops_cpu_built(void) { return PLM_CPU_AMX; }

const plm_ops *plm_ops_cpu(plm_cpu_level level) {
  (void)level;
  return plm_ops_ref();
}

const char *plm_ops_cpu_origin(plm_cpu_level level, const char *op) {
  (void)level, (void)op;
  return "ref";
}

plm_status plm_cpu_cache_create(plm_cpu_level level, int threads, plm_cpu_cache **ret_cache) {
  (void)level, (void)threads;
  *ret_cache = NULL;
  return PLM_OK;
}

void plm_cpu_cache_destroy(plm_cpu_cache *cache) { (void)cache; }
