/* info_libraries.c - each library is asked for the version that is really loaded, which may not be the one it was built
 * with. */
#include "app/info_libraries.h"

#include <htslib/hts.h>
#include <jansson.h>
#include <stdio.h>
#include <xxhash.h>
#include <yaml.h>
#include <zlib.h>

#if PLM_HAVE_ONEDNN
#include <dnnl.h>
#endif
#if PLM_HAVE_HDF5
#include <hdf5.h>
#endif

static plm_library library(const char *name, const char *version, const char *absence) {
  plm_library l = {.name = name, .absence = absence};
  snprintf(l.version, sizeof l.version, "%s", version);
  return l;
}

static void three_numbers(char version[32], int major, int minor, int patch) {
  snprintf(version, 32, "%d.%d.%d", major, minor, patch);
}

static plm_library onednn(void) {
  char version[32] = "";
#if PLM_HAVE_ONEDNN
  const dnnl_version_t *v = dnnl_version();
  three_numbers(version, v->major, v->minor, v->patch);
#endif
  return library("oneDNN", version, "matrix products run on protlm's own code, which is slower");
}

static plm_library hdf5(void) {
  char version[32] = "";
#if PLM_HAVE_HDF5
  unsigned major, minor, patch;
  if (H5get_libversion(&major, &minor, &patch) >= 0) three_numbers(version, (int)major, (int)minor, (int)patch);
#endif
  return library("HDF5", version, "HDF5 files cannot be read; FASTA works");
}

static plm_library openmp(void) {
  char version[32] = "";
#if PLM_HAVE_OPENMP && defined(_OPENMP)
  snprintf(version, sizeof version, "%d.%02d", _OPENMP / 100, _OPENMP % 100);
#endif
  return library("OpenMP", version, "threads come from protlm's own pool; oneDNN, which needs OpenMP, is left out too");
}

static plm_library xxhash(void) {
  char version[32];
  int number = (int)XXH_versionNumber();
  three_numbers(version, number / 10000, number / 100 % 100, number % 100);
  return library("xxHash", version, "");
}

static plm_library libyaml(void) {
  char version[32];
  int major, minor, patch;
  yaml_get_version(&major, &minor, &patch);
  three_numbers(version, major, minor, patch);
  return library("libyaml", version, "");
}

void plm_libraries_list(plm_library ret_libraries[PLM_LIBRARIES]) {
  const plm_library list[PLM_LIBRARIES] = {
      onednn(),
      hdf5(),
      openmp(),
      library("htslib", hts_version(), ""),
      library("zlib", zlibVersion(), ""),
      library("jansson", JANSSON_VERSION, ""),
      xxhash(),
      libyaml(),
  };
  for (size_t i = 0; i < PLM_LIBRARIES; i++) ret_libraries[i] = list[i];
}
