/* mpi_library.c - see mpi_library.h. Contents: which make, the environment, the library, the module. */
#define _GNU_SOURCE
#include "dist/mpi_library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"

/* ---- which make ---- */

enum { MOST_NAMES = 12 };

typedef struct make {
  const char *name, *module;
  const char *libraries[MOST_NAMES]; /* tried in this order */
  const char *srun, *package;        /* what srun wants to hear; what Debian calls its headers */
} make;

static const make open_mpi = {"Open MPI", "protlm_mpi_openmpi.so", {"libmpi.so.40"}, "pmix", "libopenmpi-dev"};
/* MPICH's ABI. libmpich is Debian's name, libmpi_gnu_* and libmpi_cray are Cray's. */
static const make mpich = {"MPICH",
                           "protlm_mpi_mpich.so",
                           {"libmpi.so.12", "libmpich.so.12", "libmpi_gnu_123.so.12", "libmpi_gnu_112.so.12",
                            "libmpi_gnu_103.so.12", "libmpi_gnu_91.so.12", "libmpi_gnu_82.so.12", "libmpi_cray.so.12"},
                           "pmi2",
                           "libmpich-dev"};

static const make *choose_make(const plm_launch *launch) {
  return launch->mpi == PLM_MPI_MPICH ? &mpich : launch->mpi == PLM_MPI_OPEN_MPI ? &open_mpi : NULL;
}

/* ---- the environment ---- */

/* Inside a user namespace, as rootless containers are, Open MPI's single copy between processes warns or hangs. */
static bool is_in_user_namespace(void) {
  unsigned long inside = 0, outside = 0, count = 0;
  FILE *file = fopen("/proc/self/uid_map", "re");
  if (file == NULL) return false;
  const int read = fscanf(file, "%lu %lu %lu", &inside, &outside, &count);
  fclose(file);
  return read == 3 && (inside != 0 || outside != 0 || count < 4294967295ul);
}

/* What the user has set stays. Only host memory is passed to MPI; Cray's aborts if it is to know of GPUs and its library
 * for that is not linked, so this one is set whatever it was. */
static void prepare_environment(const make *m) {
  setenv("MPICH_GPU_SUPPORT_ENABLED", "0", 1);
  if (m == &open_mpi && is_in_user_namespace()) setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 0);
}

/* ---- the library ---- */

static const make *make_of(void *library) {
  if (dlsym(library, "ompi_mpi_comm_world") != NULL) return &open_mpi;
  return dlsym(library, "MPI_Init_thread") != NULL ? &mpich : NULL;
}

/* The modules' symbols are resolved from it, so they are global. It stays open as long as the process. */
static void *open_library(const char *name) { return dlopen(name, RTLD_NOW | RTLD_GLOBAL); }

static plm_status open_named(const char *path, const make **ret_make) {
  void *library = open_library(path);
  if (library == NULL) {
    const char *why = dlerror();
    return plm_hint(plm_fail(PLM_E_USAGE, "PROTLM_MPI=%s cannot be opened: %s", path, why != NULL ? why : "no reason"),
                    "name a library of MPI, such as libmpi.so.40 or libmpi.so.12, or unset PROTLM_MPI");
  }
  *ret_make = make_of(library);
  if (*ret_make == NULL)
    return plm_hint(plm_fail(PLM_E_USAGE, "PROTLM_MPI=%s is no library of MPI", path),
                    "name libmpi.so.40 or libmpi.so.12, or unset PROTLM_MPI");
  return PLM_OK;
}

/* Of Charliecloud, Apptainer, Singularity, Docker, Podman. */
static bool is_in_container(void) {
  static const char *const variables[] = {"CH_RUNNING", "APPTAINER_NAME", "SINGULARITY_NAME"};
  for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
    if (getenv(variables[i]) != NULL) return true;
  return access("/.dockerenv", F_OK) == 0 || access("/run/.containerenv", F_OK) == 0;
}

/* srun starts the ranks of either make. */
static void hint_other_make(plm_status code, const plm_launch *launch, const make *other) {
  char *line;
  if (plm_launch_line(launch, other->srun, &line) != PLM_OK) return;
  plm_hint(code,
           "load the site's module for it, or PROTLM_MPI=/path/to/the/library; with the other make: `%s`; "
           "`srun --mpi=list` shows what this Slurm has",
           line);
  plm_free(line);
}

static plm_status fail_no_library(const plm_launch *launch, const make *m) {
  const make *other = m == &mpich ? &open_mpi : &mpich;
  plm_status status =
      plm_fail(PLM_E_FAILURE, "%s started %d processes for %s, but its library %s is not found%s%s", launch->by,
               launch->size, m->name, m->libraries[0], m == &mpich ? ", nor " : "", m == &mpich ? m->libraries[1] : "");
  if (is_in_container())
    plm_hint(status, "bind the host's MPI (docs/CONTAINERS.md), or use an image with one");
  else if (strcmp(launch->by, "srun") == 0)
    hint_other_make(status, launch, other);
  else
    plm_hint(status, "load the site's module for it, or set PROTLM_MPI=/path/to/%s", m->libraries[0]);
  return status;
}

static plm_status open_usual(const plm_launch *launch, const make *m) {
  for (int i = 0; i < MOST_NAMES && m->libraries[i] != NULL; i++) {
    void *library = open_library(m->libraries[i]);
    if (library != NULL && make_of(library) == m) return PLM_OK;
    if (library != NULL) dlclose(library);
  }
  return fail_no_library(launch, m);
}

/* ---- the module ---- */

/* Beside the program, where it was built; else under its prefix, where it was installed. */
static plm_status find_module(const char *name, char **ret_path) {
  static const char *const places[] = {"", "../lib/protlm/"};
  char program[4096];
  const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  program[length > 0 ? length : 0] = '\0';
  char *slash = strrchr(program, '/');
  if (slash != NULL) slash[1] = '\0';
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    PLM_TRY(plm_sprintf(ret_path, "%s%s%s", program, places[i], name));
    if (access(*ret_path, R_OK) == 0) return PLM_OK;
    plm_free(*ret_path);
  }
  return plm_fail(PLM_E_FAILURE, "%s is neither beside the program, in %s, nor in %s../lib/protlm", name, program,
                  program);
}

static plm_status fail_no_module(const make *m, plm_status code) {
  plm_error_prefix(code, "this build of protlm cannot use %s: ", m->name);
  return plm_hint(code,
                  "install its headers (Debian: `apt-get install %s`), then build again with cmake's "
                  "-DPROTLM_MPI_%s=ON; without MPI start one process",
                  m->package, m == &mpich ? "MPICH" : "OPENMPI");
}

static plm_status open_module(const make *m, const plm_mpi_module **ret_module) {
  char *path;
  plm_status status = find_module(m->module, &path);
  if (status != PLM_OK) return fail_no_module(m, status);
  void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  const char *why = module == NULL ? dlerror() : "";
  const plm_mpi_module *found = module != NULL ? dlsym(module, PLM_MPI_MODULE_SYMBOL) : NULL;
  if (module == NULL)
    status = plm_fail(PLM_E_FAILURE, "%s cannot be opened: %s", path, why != NULL ? why : "no reason");
  else if (found == NULL || found->abi != PLM_TRANSPORT_ABI)
    status = plm_hint(plm_fail(PLM_E_FAILURE, "%s belongs to another build of protlm", path),
                      "install program and modules together");
  plm_free(path);
  *ret_module = found;
  return status;
}

plm_status plm_mpi_library_open(const plm_launch *launch, plm_mpi_library *ret_library) {
  const char *path = getenv("PROTLM_MPI");
  const make *m = choose_make(launch);
  plm_mpi_library library = {.launch = *launch};
  if (path != NULL && *path != '\0') {
    PLM_TRY(open_named(path, &m));
  } else {
    PLM_ASSERT(m != NULL); /* plm_launch_expect_ranks has been asked */
    PLM_TRY(open_usual(launch, m));
  }
  PLM_TRY(open_module(m, &library.module));
  prepare_environment(m);
  *ret_library = library;
  return PLM_OK;
}

plm_status plm_mpi_transport_open(void *context, plm_transport **ret_transport) {
  const plm_mpi_library *library = context;
  char words[PLM_TRANSPORT_WORDS];
  *ret_transport = library->module->open(words, sizeof words);
  return *ret_transport != NULL ? PLM_OK : plm_fail(PLM_E_FAILURE, "MPI could not be started: %s", words);
}
