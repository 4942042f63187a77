/* bench.h - what `bench gemm` measures, for `bench step` to compare with. */
#ifndef PLM_APP_BENCH_H
#define PLM_APP_BENCH_H

#include "app/session.h"

/* Best rate in FLOP/s of x W^T with these sizes, over repetitions lasting about `seconds`. */
PLM_CHECKED plm_status plm_bench_linear(plm_exec *exec, plm_dtype dtype, int64_t rows, int64_t out, int64_t in,
                                        double seconds, double *ret_rate);

#endif
