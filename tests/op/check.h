/* check.h - what a case of the op checker is written with.
 *
 * A case builds tensors, and describes one operator call in a function that can be made on two sides:
 *
 *   TESTED   the backend, on its storage types: tensors sit between canaries, at odd addresses, with gaps between rows
 *   TRUTH    the reference in fp64, packed, on the same (rounded) inputs
 *
 * check_call then makes the call dry, starved of workspace, for real and again, looks at everything around the outputs,
 * and compares with the truth (run.c). See case_activation.c for a short example. To add a case: a function, and a line
 * in its file's table. */
#ifndef TESTS_OP_CHECK_H
#define TESTS_OP_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/check.h"
#include "kernels/ops.h"

typedef enum side { TESTED, TRUTH } side;

typedef enum tensor_role {
  INPUT,       /* random values; must come back unchanged */
  OUTPUT,      /* NaN before the call; compared */
  ACCUMULATED, /* random values before the call; compared */
  SCRATCH      /* anything goes inside; nothing around it may be touched */
} tensor_role;

typedef struct tensor tensor;

typedef struct tensor_spec {
  const char *name;
  tensor_role role;
  plm_dtype type;       /* on the TESTED side; a float type is F64 on the TRUTH side */
  bool fixed;           /* has `type` on both sides */
  int64_t rows, width;  /* a vector is one row */
  int64_t gap;          /* elements between rows */
  double scale, offset; /* random values are normal * scale + offset; scale 0 = 1 */
  double magnitude; /* errors are measured against at least this size: sums that happen to cancel must not look wrong */
  bool aligned;     /* as device memory is; otherwise one element past that */
  tensor *alias;    /* TESTED: the memory of this earlier input, of the same shape */
} tensor_spec;

typedef struct check check;

/* ---- tensors; freed when the case ends ---- */
tensor *check_tensor(check *k, tensor_spec spec);
/* before the call; rounds to the storage type on both sides */
void tensor_set(tensor *t, int64_t row, int64_t column, double value);
double tensor_input(const tensor *t, int64_t row, int64_t column);  /* the value before the call */
double tensor_result(const tensor *t, int64_t row, int64_t column); /* the TESTED value after the call */
const void *tensor_result_row(const tensor *t, int64_t row);        /* its bytes */
const void *tensor_host(const tensor *t);                           /* the values before the call, in host memory */
void tensor_copy_row(tensor *to, int64_t to_row, const tensor *from, int64_t from_row); /* before the call */
void tensor_keep(tensor *t); /* this result stands: later calls of the case leave it alone */
/* an output of a TRUTH call becomes an input, rounded to its storage type: o, lse, mean, rstd */
void tensor_freeze(tensor *t);

/* Arguments of a call; a NULL tensor gives NULL. */
void *at(const tensor *t, side s);
plm_dtype type_of(const tensor *t, side s);
int64_t stride_of(const tensor *t, side s);

/* ---- calls ---- */
typedef plm_status check_call_fn(check *k, side s, void *context);
plm_exec *check_exec(check *k, side s);
const plm_ops *check_ops(check *k, side s);

void check_call(check *k, check_call_fn *call, void *context); /* everything; in bench mode: time it */
/* the tested side only, uncompared: for invariances */
void check_call_tested(check *k, check_call_fn *call, void *context);
void check_call_truth(check *k, check_call_fn *call, void *context);
void check_refused(check *k, check_call_fn *call, void *context, plm_status code); /* dry and real */

/* ---- what a case says about itself ---- */
void check_describe(check *k, const char *format, ...) PLM_PRINTF(2, 3); /* shapes, for the failure line */
void check_fail(check *k, const char *format, ...) PLM_PRINTF(2, 3);
void check_slack(check *k, double factor); /* multiply the tolerance: badly conditioned on purpose */
bool check_is_reference(const check *k);
bool check_has_type(const check *k, plm_dtype type); /* fp64 belongs to the reference */
bool check_is_bench(const check *k);

/* ---- random numbers and variants ---- */
double check_normal(check *k);
int64_t check_below(check *k, int64_t n); /* 0..n-1 */
int pick(int *variant, int choices);      /* one digit of a mixed-radix number */
#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))
#define PICK(variant, array) ((array)[pick(&(variant), COUNT(array))])

/* Compare `gradient` (n values) with central differences of `loss` as it moves each of `values`. For the reference, in
 * fp64. */
typedef double loss_fn(void *context);
void check_gradient(check *k, const char *name, double *values, const double *gradient, int64_t n, loss_fn *loss,
                    void *context);

/* ---- registry ---- */
typedef void case_fn(check *k, int variant);
typedef struct check_family {
  const char *op, *name;
  case_fn *run;
  int variants;
  bool bench; /* run by --bench only */
} check_family;
#define CASES(op, name, run, variants) \
  { (op), (name), (run), (variants), false }
#define BENCH(op, run, variants) \
  { (op), "bench", (run), (variants), true }

typedef struct check_group {
  const char *name;
  const check_family *families;
  int count;
} check_group;

extern const check_group embed_group, norm_group, linear_group, linear_backward_group, rope_group, attention_group,
    attention_backward_group, activation_group, loss_group, optimiser_group, reduce_group, copy_group;

#endif
