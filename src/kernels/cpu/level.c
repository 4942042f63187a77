/* level.c - which instruction sets this processor, its operating system and this build offer. */
#if defined(__linux__)
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/backend_cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

const char *plm_cpu_level_name(plm_cpu_level level) {
  switch (level) {
    case PLM_CPU_REF:
      return "ref";
    case PLM_CPU_AVX2:
      return "avx2";
    case PLM_CPU_AVX512:
      return "avx512";
    case PLM_CPU_AVX512_BF16:
      return "avx512bf16";
    case PLM_CPU_AMX:
      return "amx";
  }
  return "unknown level";
}

#if defined(__x86_64__)

/* CPUID leaf 7: subleaf 1 EAX bit 5 is AVX512_BF16 (not a name that every compiler's __builtin_cpu_supports knows). */
static int has_avx512_bf16(void) {
  uint32_t a, b, c, d;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1);
}

/* CPUID leaf 7: EDX bit 22 is AMX-BF16, bit 24 AMX-TILE. Linux lends the tile registers to a process only when it asks:
 * arch_prctl(ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18). */
static int has_amx(void) {
  uint32_t a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 22 & 1) || !(d >> 24 & 1)) return 0;
#if defined(__linux__) && defined(SYS_arch_prctl)
  return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
#else
  return 0;
#endif
}

static plm_cpu_level processor_level(void) {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return PLM_CPU_REF;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
    return PLM_CPU_AVX2;
  if (!has_avx512_bf16()) return PLM_CPU_AVX512;
  return has_amx() ? PLM_CPU_AMX : PLM_CPU_AVX512_BF16;
}

#else

static plm_cpu_level processor_level(void) { return PLM_CPU_REF; }

#endif

plm_cpu_level plm_cpu_level_detect(void) {
  plm_cpu_level processor = processor_level(), built = plm_ops_cpu_built();
  return processor < built ? processor : built;
}

/* The level called `name`; an unknown name is the user's mistake. */
static plm_status parse_level(const char *name, plm_cpu_level *ret_level) {
  for (int level = PLM_CPU_REF; level <= PLM_CPU_AMX; level++) {
    if (strcmp(name, plm_cpu_level_name((plm_cpu_level)level)) != 0) continue;
    *ret_level = (plm_cpu_level)level;
    return PLM_OK;
  }
  return plm_hint(plm_fail(PLM_E_USAGE, "there is no processor level '%s'", name),
                  "set PROTLM_CPU to ref, avx2, avx512, avx512bf16 or amx, or leave it unset for the fastest");
}

plm_status plm_cpu_level_choose(const char *level_mask, plm_cpu_level *ret_level) {
  const char *name = level_mask != NULL ? level_mask : getenv("PROTLM_CPU");
  plm_cpu_level allowed = PLM_CPU_AMX;
  if (name != NULL && name[0] != '\0') PLM_TRY(parse_level(name, &allowed));
  plm_cpu_level available = plm_cpu_level_detect();
  *ret_level = available < allowed ? available : allowed;
  return PLM_OK;
}
