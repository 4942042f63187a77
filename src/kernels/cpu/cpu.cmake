# Which files of kernels/cpu this compiler and target can build, and with which flags. Nothing is compiled for the building machine: each
# level file has its own instruction set and runs only where the processor has it (level.c).
include(CheckCSourceCompiles)

set(PLM_CPU_DIR "${CMAKE_CURRENT_LIST_DIR}")
set(PLM_CPU_SOURCES "${PLM_CPU_DIR}/backend_cpu.c" "${PLM_CPU_DIR}/gemm_own.c" "${PLM_CPU_DIR}/level.c")
if(PLM_HAVE_ONEDNN)
  list(APPEND PLM_CPU_SOURCES "${PLM_CPU_DIR}/onednn.c" "${PLM_CPU_DIR}/linear_onednn.c")
  set(PLM_CPU_ONEDNN 1)
else()
  set(PLM_CPU_ONEDNN 0)
endif()

# plm_cpu_level(name intrinsic flags...): level_<name>.c joins the build when a call of `intrinsic` compiles under `flags`.
# -ffp-contract=fast lets a*b + c be one fused instruction, as the kernels are written to be.
function(plm_cpu_level name intrinsic)
  string(TOUPPER "${name}" upper)
  string(JOIN " " CMAKE_REQUIRED_FLAGS ${ARGN})
  check_c_source_compiles("#include <immintrin.h>\nint main(void) { return ${intrinsic}; }" PLM_CPU_COMPILES_${upper})
  set(built 0)
  if(PLM_CPU_COMPILES_${upper})
    set(built 1)
    list(APPEND PLM_CPU_SOURCES "${PLM_CPU_DIR}/level_${name}.c")
    set(PLM_CPU_SOURCES "${PLM_CPU_SOURCES}" PARENT_SCOPE)
    set_source_files_properties("${PLM_CPU_DIR}/level_${name}.c" PROPERTIES COMPILE_OPTIONS "${ARGN};-ffp-contract=fast")
  endif()
  set(PLM_CPU_DEFINITIONS "${PLM_CPU_DEFINITIONS};PLM_CPU_BUILT_${upper}=${built}" PARENT_SCOPE)
endfunction()

set(PLM_CPU_DEFINITIONS "PLM_CPU_ONEDNN=${PLM_CPU_ONEDNN}")
set(PLM_AVX2_FLAGS -mavx2 -mfma)
set(PLM_AVX512_FLAGS ${PLM_AVX2_FLAGS} -mavx512f -mavx512bw -mavx512vl -mavx512dq -mprefer-vector-width=512)
plm_cpu_level(avx2 "_mm256_extract_epi32(_mm256_setzero_si256(), 0)" ${PLM_AVX2_FLAGS})
plm_cpu_level(avx512 "(int)_mm512_reduce_add_ps(_mm512_setzero_ps())" ${PLM_AVX512_FLAGS})
plm_cpu_level(avx512bf16 "((__m256i)_mm512_cvtneps_pbh(_mm512_setzero_ps()))[0] != 0" ${PLM_AVX512_FLAGS} -mavx512bf16)
set_source_files_properties("${PLM_CPU_DIR}/backend_cpu.c" PROPERTIES COMPILE_DEFINITIONS "${PLM_CPU_DEFINITIONS}")
