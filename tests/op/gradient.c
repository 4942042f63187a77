/* gradient.c - is a backward entry the derivative of its forward entry? Central differences in fp64. */
#include <math.h>

#include "internal.h"

/* With steps of 1e-5 the error of a central difference is about 1e-10 (step squared) + 1e-11 (rounding), relative to
 * the loss. */
void check_gradient(check *k, const char *name, double *values, const double *gradient, int64_t n, loss_fn *loss,
                    void *context) {
  enum { SAMPLES = 40 };
  double largest = 1e-3;
  for (int64_t i = 0; i < n; i++) largest = fmax(largest, fabs(gradient[i]));
  for (int64_t sample = 0; sample < (n < SAMPLES ? n : SAMPLES); sample++) {
    int64_t i = n <= SAMPLES ? sample : check_below(k, n);
    double value = values[i], step = 1e-5 * fmax(1, fabs(value));
    values[i] = value + step;
    double above = loss(context);
    values[i] = value - step;
    double below = loss(context);
    values[i] = value;
    double slope = (above - below) / (2 * step);
    k->comparisons++;
    if (fabs(slope - gradient[i]) <= 1e-6 * largest) continue;
    check_fail(k, "%s[%lld] is %.10g, but the loss has slope %.10g", name, (long long)i, gradient[i], slope);
    return;
  }
}
