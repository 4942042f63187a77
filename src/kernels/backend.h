/* backend.h - which kinds of device this program can compute on, and the way to an exec on one.
 *
 * A backend joins by an entry of the table in backend.c, or, from a program or a test, by plm_backend_register.
 */
#ifndef PLM_KERNELS_BACKEND_H
#define PLM_KERNELS_BACKEND_H

#include "kernels/exec.h"

typedef struct plm_exec_options {
  const char *device; /* name of a backend; NULL or "auto": the first of the built-in ones that can be opened */
  int threads;        /* of the host */
  /* The highest level of the CPU's kernels, where the environment (PROTLM_CPU) names none; NULL: the best there is. */
  const char *level_mask;
  const char *level_limit; /* no higher than this, whatever the environment names: what all ranks have. NULL: none */
} plm_exec_options;

enum { PLM_BACKEND_WORDS = 64 };

struct plm_backend {
  const char *name; /* "cpu" */
  /* Can it be opened here? If not, the message says why, to the user. */
  plm_status (*probe)(void);
  /* The best it has on this machine, whatever the environment masks: what `kernels` of an exec would say. */
  void (*describe)(char ret_words[PLM_BACKEND_WORDS]);
  /* Fill an exec that has its pool: device (owned, unless there is one), ops, context and what the backend answers for
   * (exec.h). What it leaves behind on failure, plm_exec_destroy takes away. */
  plm_status (*open)(const plm_exec_options *options, plm_exec *exec);
  void (*close)(
      plm_exec *exec); /* the context, which may be NULL where `open` failed, as may the device; else it is there */
  /* Where an entry of exec->ops comes from: "ref", "avx2", "onednn", ... */
  const char *(*origin)(const plm_exec *exec, const char *op);
};

extern const plm_backend plm_backend_cpu; /* kernels/cpu */

/* Add a backend, which stays where it is, under a name of its own. Before other threads look. PLM_E_BUG: the name is
 * taken, or the registry is full. */
PLM_CHECKED plm_status plm_backend_register(const plm_backend *backend);
const plm_backend *plm_backend_at(int i);              /* the list, by index; NULL past its end */
const plm_backend *plm_backend_find(const char *name); /* NULL: there is none */

/* An exec, with a device of its own. Fails with PLM_E_USAGE on a name or level that does not exist, or with what the
 * backend says. */
PLM_CHECKED plm_status plm_exec_open(const plm_exec_options *options, plm_exec **ret_exec);

/* The same of a backend already chosen, on a device of its kind that stays the caller's; NULL: one of its own. */
PLM_CHECKED plm_status plm_exec_create(const plm_backend *backend, plm_device *device, const plm_exec_options *options,
                                       plm_exec **ret_exec);

#endif
