/* ops_guarded.c - each entry of another table between opening and closing the guarded device. A dry call is not let in:
 * it has promised to touch no tensor. */
#include "support/guarded.h"
#include "kernels/ops.h"

static const plm_ops *inner_ops;

#define GUARDED_ENTRY(op)                                                 \
  static plm_status guarded_##op(plm_exec *x, const plm_##op##_args *a) { \
    if (x->dry) return inner_ops->op(x, a);                               \
    PLM_TRY(plm_device_guarded_open(x->device));                          \
    plm_status status = inner_ops->op(x, a);                              \
    plm_status closed = plm_device_guarded_close(x->device);              \
    return status != PLM_OK ? status : closed;                            \
  }
PLM_OPS(GUARDED_ENTRY)

#define TABLE_ENTRY(op) .op = guarded_##op,
static const plm_ops guarded_table = {PLM_OPS(TABLE_ENTRY)};

const plm_ops *plm_ops_guarded(const plm_ops *inner) {
  inner_ops = inner;
  return &guarded_table;
}
