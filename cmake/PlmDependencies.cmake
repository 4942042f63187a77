# The libraries. Required: zlib, htslib, jansson, xxHash, pthreads, libyaml. Found and used when present: oneDNN, HDF5, OpenMP.
# Each optional one defines PLM_HAVE_<NAME>=0|1 for the whole project; `protlm info` reports them.
find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(HTSLIB REQUIRED IMPORTED_TARGET htslib)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)

add_library(plm_deps INTERFACE)
target_link_libraries(plm_deps INTERFACE PkgConfig::HTSLIB PkgConfig::JANSSON PkgConfig::XXHASH PkgConfig::YAML ZLIB::ZLIB Threads::Threads m ${CMAKE_DL_LIBS})

set(PLM_HAVE_OPENMP 0)
if(PROTLM_WITH_OPENMP AND NOT PROTLM_SANITIZE MATCHES "thread")
  find_package(OpenMP COMPONENTS C)
  if(OpenMP_C_FOUND)
    set(PLM_HAVE_OPENMP 1)
    target_link_libraries(plm_deps INTERFACE OpenMP::OpenMP_C)
  endif()
endif()

# Only where OpenMP is: otherwise the library's threads and ours would be two teams on the same cores, so the kernels could not use it.
# Found by header and library: Debian's dnnl-config.cmake insists on an OpenCL that the CPU library does not use.
set(PLM_HAVE_ONEDNN 0)
if(PROTLM_WITH_ONEDNN AND PLM_HAVE_OPENMP)
  find_path(DNNL_INCLUDE_DIR dnnl.h)
  find_library(DNNL_LIBRARY dnnl)
  if(DNNL_INCLUDE_DIR AND DNNL_LIBRARY)
    set(PLM_HAVE_ONEDNN 1)
    target_include_directories(plm_deps SYSTEM INTERFACE "${DNNL_INCLUDE_DIR}")
    target_link_libraries(plm_deps INTERFACE "${DNNL_LIBRARY}")
  endif()
endif()

set(PLM_HAVE_HDF5 0)
if(PROTLM_WITH_HDF5)
  find_package(HDF5 COMPONENTS C QUIET)
  if(HDF5_FOUND)
    set(PLM_HAVE_HDF5 1)
    target_include_directories(plm_deps SYSTEM INTERFACE ${HDF5_C_INCLUDE_DIRS})
    target_link_libraries(plm_deps INTERFACE ${HDF5_C_LIBRARIES})
  endif()
endif()

target_compile_definitions(plm_deps INTERFACE PLM_HAVE_OPENMP=${PLM_HAVE_OPENMP} PLM_HAVE_ONEDNN=${PLM_HAVE_ONEDNN}
  PLM_HAVE_HDF5=${PLM_HAVE_HDF5} PLM_VERSION="${PROJECT_VERSION}")
message(STATUS "protlm: oneDNN ${PLM_HAVE_ONEDNN}, HDF5 ${PLM_HAVE_HDF5}, OpenMP ${PLM_HAVE_OPENMP}")
