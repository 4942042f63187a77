/* backend.c - the registry of backends, and opening an exec through it. */
#include "kernels/backend.h"

#include <stdio.h>
#include <string.h>

enum { MOST_BACKENDS = 8, BUILT_IN = 1 };

/* The built-in ones first, by preference; the CPU, which can always be opened, last of them. */
static const plm_backend *backends[MOST_BACKENDS] = {&plm_backend_cpu};
static int backend_count = BUILT_IN;

const plm_backend *plm_backend_at(int i) { return i < backend_count ? backends[i] : NULL; }

const plm_backend *plm_backend_find(const char *name) {
  for (int i = 0; i < backend_count; i++)
    if (strcmp(backends[i]->name, name) == 0) return backends[i];
  return NULL;
}

plm_status plm_backend_register(const plm_backend *backend) {
  if (plm_backend_find(backend->name) != NULL || strcmp(backend->name, "auto") == 0)
    return plm_fail(PLM_E_BUG, "there is a backend '%s' already", backend->name);
  if (backend_count == MOST_BACKENDS)
    return plm_fail(PLM_E_BUG, "backend '%s' is one too many: there is room for %d", backend->name, MOST_BACKENDS);
  backends[backend_count++] = backend;
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
  for (int i = 0; i < backend_count; i++)
    snprintf(names + strlen(names), sizeof names - strlen(names), ", %s", backends[i]->name);
  return plm_hint(plm_fail(PLM_E_USAGE, "there is no device '%s'", name), "this program knows auto%s", names);
}

plm_status plm_exec_open(const plm_exec_options *options, plm_exec **ret_exec) {
  const plm_backend *backend;
  PLM_TRY(choose(options->device, &backend));
  return plm_exec_create(backend, NULL, options, ret_exec);
}
