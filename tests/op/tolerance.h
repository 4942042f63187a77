/* tolerance.h - how far a backend may be from the truth, by operator and by the storage type of the output.
 *
 * `norm` bounds |got - truth| / |truth| over a whole output, `max` the largest single error over the largest true
 * value. One rounding to fp32 is 6e-8, to bf16 3.9e-3 at worst. fp32 outputs of bf16 inputs are held to the fp32
 * column: sums are in fp32. */
#ifndef TESTS_OP_TOLERANCE_H
#define TESTS_OP_TOLERANCE_H

typedef struct tolerance {
  double norm, max;
} tolerance;

typedef struct op_tolerance {
  const char *op;
  tolerance fp32, bf16;
} op_tolerance;

static const tolerance fp64_tolerance = {1e-13, 1e-12};

static const op_tolerance op_tolerances[] = {
    /* operator               fp32            bf16 */
    {"weight_refresh", {1e-6, 4e-6}, {4e-3, 4e-3}}, /* a product with the packed form */
    {"embed_forward", {1e-7, 1e-7}, {0, 0}},
    {"embed_backward", {5e-7, 1e-6}, {0, 0}},
    {"norm_forward", {1e-6, 4e-6}, {4e-3, 4e-3}},
    {"norm_backward", {2e-6, 8e-6}, {4e-3, 4e-3}},
    {"linear_forward", {1e-6, 4e-6}, {4e-3, 4e-3}},
    {"linear_backward_input", {1e-6, 4e-6}, {4e-3, 4e-3}},
    {"linear_backward_weight", {1e-6, 4e-6}, {0, 0}},
    {"rope_table", {1e-7, 1.2e-7}, {0, 0}},
    {"rope", {2e-7, 3e-7}, {4e-3, 4e-3}},
    {"attention_forward",
     {2e-6, 8e-6},
     {6e-3, 1.2e-2}}, /* probabilities may be rounded to bf16 before the second product */
    {"attention_backward", {4e-6, 2e-5}, {1e-2, 2.5e-2}},
    {"activation_forward", {5e-7, 1e-6}, {4e-3, 4e-3}},
    {"activation_backward", {1e-6, 2e-6}, {4e-3, 4e-3}},
    {"cross_entropy", {1e-6, 4e-6}, {4e-3, 4e-3}},
    {"adamw", {2e-7, 5e-7}, {0, 0}},
    {"square_norm", {0, 0}, {0, 0}}, /* compared by its case */
    {"fill", {0, 0}, {0, 0}},
    {"convert", {0, 0}, {0, 0}},
    {"gather_rows", {0, 0}, {0, 0}},
    {"scatter_rows", {1e-7, 1e-7}, {4e-3, 4e-3}}, /* when adding */
};

#endif
