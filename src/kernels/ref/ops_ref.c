/* ops_ref.c - the reference table: every entry of PLM_OPS, one file a group in this folder. */
#include "kernels/ref/ref.h"

#define TABLE_ENTRY(op) .op = plm_ref_##op,
static const plm_ops table = {PLM_OPS(TABLE_ENTRY)};

const plm_ops *plm_ops_ref(void) { return &table; }
