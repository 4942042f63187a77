/* backend.c - the registry of backends, and opening an exec through it. */
#include "kernels/backend.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

enum { MOST_BACKENDS = 8, BUILT_IN = 1 };

/* The built-in ones first, by preference; the CPU, which can always be opened, last of them. */
static const plm_backend *backends[MOST_BACKENDS + 1] = {&plm_backend_cpu};

const plm_backend *plm_backend_at(int i) { return i < MOST_BACKENDS ? backends[i] : NULL; }

const plm_backend *plm_backend_find(const char *name) {
  int i = 0;
  while (backends[i] != NULL && strcmp(backends[i]->name, name) != 0) i++;
  return backends[i];
}

plm_status plm_backend_register(const plm_backend *backend) {
  int count = 0;
  while (backends[count] != NULL) count++;
  if (plm_backend_find(backend->name) != NULL || strcmp(backend->name, "auto") == 0)
    return plm_fail(PLM_E_USAGE, "there is a backend '%s' already", backend->name);
  if (count == MOST_BACKENDS)
    return plm_fail(PLM_E_USAGE, "backend '%s' is one too many: there is room for %d", backend->name, MOST_BACKENDS);
  backends[count] = backend;
  return PLM_OK;
}

static plm_status choose(const char *name, const plm_backend **ret_backend) {
  if (name == NULL || strcmp(name, "auto") == 0) {
    int i = 0;
    while (i < BUILT_IN - 1 && backends[i]->probe() != PLM_OK) i++;
    plm_error_clear();
    *ret_backend = backends[i];
    return PLM_OK;
  }
  *ret_backend = plm_backend_find(name);
  if (*ret_backend != NULL) return PLM_OK;
  char names[256] = "";
  for (int i = 0; backends[i] != NULL; i++) {
    size_t length = strlen(names);
    snprintf(names + length, sizeof names - length, ", %s", backends[i]->name);
  }
  return plm_hint(plm_fail(PLM_E_USAGE, "there is no device '%s'", name), "this program knows auto%s", names);
}

plm_status plm_exec_open(const plm_exec_options *options, plm_exec **ret_exec) {
  plm_exec *exec;
  plm_status status;
  PLM_TRY(PLM_NEW(&exec, 1));
  PLM_TRY_GOTO(choose(options->device, &exec->backend), fail);
  PLM_TRY_GOTO(plm_pool_create(options->threads, &exec->pool), fail);
  PLM_TRY_GOTO(exec->backend->open(options, exec), fail);
  *ret_exec = exec;
  return PLM_OK;
fail:
  plm_exec_destroy(exec);
  return status;
}
