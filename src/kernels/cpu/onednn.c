/* onednn.c - oneDNN behind onednn.h: versions 2.6 and 3.x of its C interface, and a cache of its primitives. */
#include "kernels/cpu/onednn.h"

#include <dnnl.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "base/alloc.h"
#include "base/hash.h"

enum { CACHE_ENTRIES = 1024 };

struct plm_onednn_entry {
  dnnl_primitive_desc_t description;
  dnnl_primitive_t primitive;
  size_t scratch_bytes;
  int64_t last_use;
};
typedef struct plm_onednn_entry entry;

struct plm_onednn {
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  bool has_bf16;
  int64_t uses;
  size_t count;
  uint64_t hashes[CACHE_ENTRIES]; /* of the products, beside each other: most of a search looks at nothing else */
  plm_onednn_product products[CACHE_ENTRIES];
  entry entries[CACHE_ENTRIES];
};

static plm_status fail_library(dnnl_status_t code, const char *what) {
  return plm_fail(code == dnnl_out_of_memory ? PLM_E_RESOURCE : PLM_E_FAILURE, "oneDNN: %s failed with status %d", what,
                  (int)code);
}

/* ---- the library and its primitives ---- */

/* Sets the highest instruction set of the library. It obeys before its first use in the process only; later it keeps
 * what it has. */
static void mask_instructions(plm_cpu_level level) {
  dnnl_cpu_isa_t isa = level >= PLM_CPU_AVX512_BF16 ? dnnl_cpu_isa_avx512_core_bf16
                       : level == PLM_CPU_AVX512    ? dnnl_cpu_isa_avx512_core
                                                    : dnnl_cpu_isa_avx2;
  if (level < PLM_CPU_AMX) dnnl_set_max_cpu_isa(isa);
}

plm_status plm_onednn_create(plm_cpu_level level, plm_onednn **ret_library) {
  plm_onednn *library;
  *ret_library = NULL;
  if (level < PLM_CPU_AVX2) return PLM_OK;
  PLM_TRY(PLM_NEW(&library, 1));
  mask_instructions(level);
  library->has_bf16 =
      level >= PLM_CPU_AVX512_BF16; /* below, its emulation runs at 0.4 times the rate of our widening products */
  dnnl_status_t code = dnnl_engine_create(&library->engine, dnnl_cpu, 0);
  if (code == dnnl_success) code = dnnl_stream_create(&library->stream, library->engine, dnnl_stream_default_flags);
  if (code != dnnl_success) {
    plm_onednn_destroy(library);
    return fail_library(code, "creating the CPU engine");
  }
  *ret_library = library;
  return PLM_OK;
}

void plm_onednn_name(char ret_name[32]) {
  const dnnl_version_t *v = dnnl_version();
  snprintf(ret_name, 32, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
}

static void destroy_entry(entry *e) {
  if (e->primitive != NULL) dnnl_primitive_destroy(e->primitive);
  if (e->description != NULL) dnnl_primitive_desc_destroy(e->description);
  *e = (entry){0};
}

void plm_onednn_destroy(plm_onednn *library) {
  if (library == NULL) return;
  for (size_t i = 0; i < library->count; i++) destroy_entry(&library->entries[i]);
  if (library->stream != NULL) dnnl_stream_destroy(library->stream);
  if (library->engine != NULL) dnnl_engine_destroy(library->engine);
  plm_free(library);
}

static dnnl_data_type_t library_type(int64_t type) { return type == PLM_BF16 ? dnnl_bf16 : dnnl_f32; }

bool plm_onednn_does(const plm_onednn *library, plm_dtype type) {
  return library != NULL && (type == PLM_F32 || (type == PLM_BF16 && library->has_bf16));
}

size_t plm_onednn_scratch_bytes(const entry *e) { return e->scratch_bytes; }

/* The primitive descriptor of a product. */
static dnnl_status_t describe(const plm_onednn *library, const plm_onednn_product *p, const_dnnl_primitive_attr_t attr,
                              dnnl_primitive_desc_t *ret_pd) {
  dnnl_dims_t src_dims = {p->M, p->K}, wei_dims = {p->K, p->N}, bias_dims = {1, p->N}, dst_dims = {p->M, p->N};
  dnnl_dims_t src_strides = {p->src_strides[0], p->src_strides[1]},
              wei_strides = {p->wei_strides[0], p->wei_strides[1]};
  dnnl_dims_t bias_strides = {p->N, 1}, dst_strides = {p->dst_stride, 1};
  dnnl_data_type_t type = library_type(p->type), dst_type = library_type(p->dst_type);
#if DNNL_VERSION_MAJOR >= 3
  dnnl_memory_desc_t src = NULL, wei = NULL, bias = NULL, dst = NULL;
  dnnl_status_t code = dnnl_memory_desc_create_with_strides(&src, 2, src_dims, type, src_strides);
  if (code == dnnl_success) code = dnnl_memory_desc_create_with_strides(&wei, 2, wei_dims, type, wei_strides);
  if (code == dnnl_success) code = dnnl_memory_desc_create_with_strides(&bias, 2, bias_dims, dnnl_f32, bias_strides);
  if (code == dnnl_success) code = dnnl_memory_desc_create_with_strides(&dst, 2, dst_dims, dst_type, dst_strides);
  if (code == dnnl_success)
    code = dnnl_matmul_primitive_desc_create(ret_pd, library->engine, src, wei, p->has_bias ? bias : NULL, dst, attr);
  if (src != NULL) dnnl_memory_desc_destroy(src);
  if (wei != NULL) dnnl_memory_desc_destroy(wei);
  if (bias != NULL) dnnl_memory_desc_destroy(bias);
  if (dst != NULL) dnnl_memory_desc_destroy(dst);
#else
  dnnl_memory_desc_t src, wei, bias, dst;
  dnnl_matmul_desc_t desc;
  dnnl_status_t code = dnnl_memory_desc_init_by_strides(&src, 2, src_dims, type, src_strides);
  if (code == dnnl_success) code = dnnl_memory_desc_init_by_strides(&wei, 2, wei_dims, type, wei_strides);
  if (code == dnnl_success) code = dnnl_memory_desc_init_by_strides(&bias, 2, bias_dims, dnnl_f32, bias_strides);
  if (code == dnnl_success) code = dnnl_memory_desc_init_by_strides(&dst, 2, dst_dims, dst_type, dst_strides);
  if (code == dnnl_success) code = dnnl_matmul_desc_init(&desc, &src, &wei, p->has_bias ? &bias : NULL, &dst);
  if (code == dnnl_success) code = dnnl_primitive_desc_create(ret_pd, &desc, attr, library->engine, NULL);
#endif
  return code;
}

static dnnl_status_t append_sum(dnnl_post_ops_t post_ops) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_post_ops_append_sum(post_ops, 1.0f, 0, dnnl_data_type_undef);
#else
  return dnnl_post_ops_append_sum(post_ops, 1.0f);
#endif
}

static dnnl_status_t describe_with_attributes(const plm_onednn *library, const plm_onednn_product *p,
                                              dnnl_primitive_desc_t *ret_pd) {
  dnnl_primitive_attr_t attr = NULL;
  dnnl_post_ops_t post_ops = NULL;
  dnnl_status_t code = dnnl_primitive_attr_create(&attr);
  if (code == dnnl_success) code = dnnl_post_ops_create(&post_ops);
  if (code == dnnl_success && p->accumulates) code = append_sum(post_ops);
  if (code == dnnl_success) code = dnnl_primitive_attr_set_post_ops(attr, post_ops);
  if (code == dnnl_success) code = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
  if (code == dnnl_success) code = describe(library, p, attr, ret_pd);
  if (post_ops != NULL) dnnl_post_ops_destroy(post_ops);
  if (attr != NULL) dnnl_primitive_attr_destroy(attr);
  return code;
}

/* The library writes a product's code into fresh memory without looking whether it got any, and dies where `ulimit -v`
 * lets it have none. What a product takes stays below this. */
static plm_status check_room_for_code(void) {
  const size_t enough = 64 << 20;
  struct rlimit limit;
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return PLM_OK;
  void *room = mmap(NULL, enough, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED)
    return plm_hint(
        plm_fail(PLM_E_RESOURCE,
                 "the address space of this process is limited to %llu MiB, which is too little to compute in",
                 (unsigned long long)(limit.rlim_cur >> 20)),
        "raise the limit (ulimit -v unlimited)");
  munmap(room, enough);
  return PLM_OK;
}

static dnnl_status_t make_entry(const plm_onednn *library, const plm_onednn_product *p, entry *e) {
  dnnl_status_t code = describe_with_attributes(library, p, &e->description);
  if (code == dnnl_success) code = dnnl_primitive_create(&e->primitive, e->description);
  if (code == dnnl_success)
    e->scratch_bytes =
        dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(e->description, dnnl_query_scratchpad_md, 0));
  else
    destroy_entry(e);
  return code;
}

/* Give the library a team of `threads` until leave_team. */
static int enter_team(int64_t threads) {
  int before = omp_get_max_threads();
  if (before != threads) omp_set_num_threads((int)threads);
  return before;
}
static void leave_team(int before) {
  if (before != omp_get_max_threads()) omp_set_num_threads(before);
}

static size_t oldest_entry(const plm_onednn *library) {
  size_t oldest = 0;
  for (size_t i = 1; i < library->count; i++)
    if (library->entries[i].last_use < library->entries[oldest].last_use) oldest = i;
  return oldest;
}

plm_status plm_onednn_find(plm_onednn *library, const plm_onednn_product *p, entry **ret_entry) {
  uint64_t hash = plm_hash64(p, sizeof *p);
  for (size_t i = 0; i < library->count; i++) {
    if (library->hashes[i] != hash || memcmp(&library->products[i], p, sizeof *p) != 0) continue;
    library->entries[i].last_use = ++library->uses;
    *ret_entry = &library->entries[i];
    return PLM_OK;
  }
  PLM_TRY(check_room_for_code());
  entry made = {.last_use = ++library->uses};
  int before = enter_team(p->threads);
  dnnl_status_t code = make_entry(library, p, &made);
  leave_team(before);
  if (code == dnnl_unimplemented)
    return plm_fail(PLM_E_UNSUPPORTED, "oneDNN has no product [%lld,%lld]x[%lld,%lld] of this type", (long long)p->M,
                    (long long)p->K, (long long)p->K, (long long)p->N);
  if (code != dnnl_success) return fail_library(code, "making a product");
  size_t at = library->count < CACHE_ENTRIES ? library->count++ : oldest_entry(library);
  destroy_entry(&library->entries[at]);
  library->hashes[at] = hash;
  library->products[at] = *p;
  library->entries[at] = made;
  *ret_entry = &library->entries[at];
  return PLM_OK;
}

/* dst = the product, by a team of `threads`: the team that the entry was made for. */
static plm_status execute(const plm_onednn *library, const entry *e, int64_t threads, const plm_onednn_operands *o) {
  const struct {
    int argument, index;
    dnnl_query_t query;
    const void *data;
  } wanted[] = {{DNNL_ARG_SRC, 0, dnnl_query_src_md, o->src},
                {DNNL_ARG_WEIGHTS, 0, dnnl_query_weights_md, o->wei},
                {DNNL_ARG_DST, 0, dnnl_query_dst_md, o->dst},
                {DNNL_ARG_SCRATCHPAD, 0, dnnl_query_scratchpad_md, o->scratch},
                {DNNL_ARG_BIAS, 1, dnnl_query_weights_md, o->bias}};
  int count = o->bias != NULL ? 5 : 4;
  dnnl_exec_arg_t args[5] = {{0}};
  dnnl_status_t code = dnnl_success;
  for (int i = 0; i < count && code == dnnl_success; i++) {
    args[i].arg = wanted[i].argument;
    code = dnnl_memory_create(&args[i].memory,
                              dnnl_primitive_desc_query_md(e->description, wanted[i].query, wanted[i].index),
                              library->engine, (void *)wanted[i].data);
  }
  int before = enter_team(threads);
  if (code == dnnl_success) code = dnnl_primitive_execute(e->primitive, library->stream, count, args);
  if (code == dnnl_success) code = dnnl_stream_wait(library->stream);
  leave_team(before);
  for (int i = 0; i < count; i++)
    if (args[i].memory != NULL) dnnl_memory_destroy(args[i].memory);
  return code == dnnl_success ? PLM_OK : fail_library(code, "a product");
}

plm_status plm_onednn_run_entry(const plm_onednn *library, const entry *e, const plm_onednn_operands *o) {
  return execute(library, e, 1, o);
}

plm_status plm_onednn_run(plm_onednn *library, const plm_onednn_product *p, const plm_onednn_operands *o) {
  entry *e = NULL;
  PLM_TRY(plm_onednn_find(library, p, &e));
  return execute(library, e, p->threads, o);
}
