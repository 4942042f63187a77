/* bench_gemm.c - `protlm bench gemm`: this machine's rate at the products of each published model, the yardstick of
 * every step. */
#include <stddef.h>

#include "app/bench.h"
#include "app/commands.h"
#include "app/print.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/rng.h"
#include "base/text.h"

typedef struct gemm_options {
  int64_t threads, rows;
  double seconds;
} gemm_options;

static const plm_option option_list[] = {
    {
        .name = "rows",
        .type = PLM_OPT_COUNT,
        .offset = offsetof(gemm_options, rows),
        .default_value = "4096",
        .min = 1,
        .max = 1e7,
        .group = "What",
        .argument = "N",
        .help = "rows of the product: tokens of a micro-batch",
    },
    {
        .name = "seconds",
        .type = PLM_OPT_DURATION,
        .offset = offsetof(gemm_options, seconds),
        .default_value = "0.5",
        .min = 0.01,
        .max = 60,
        .group = "What",
        .argument = "S",
        .help = "time spent on each product",
    },
    PLM_OPTION_THREADS(gemm_options, threads),
};

const plm_option_table *plm_bench_gemm_option_table(void) {
  static const plm_option_table table = {
      .command = "bench gemm",
      .summary = "measure matrix products at the published models' shapes",
      .usage = "protlm bench gemm [--rows N] [--threads N]",
      .description =
          "Prints the best rate of [rows, in] x [in, out] in GFLOP/s, in fp32 and in bf16. Random data; the best of many repetitions.",
      .examples = "protlm bench gemm --threads 2\n",
      .options = option_list,
      .count = sizeof option_list / sizeof *option_list,
      .struct_size = sizeof(gemm_options),
  };
  return &table;
}

/* `n` numbers around 0 in `dtype`, in device memory. */
static plm_status random_tensor(plm_exec *exec, plm_dtype dtype, int64_t n, void **ret_tensor) {
  float *host = NULL;
  void *wide = NULL, *tensor = NULL;
  plm_status status;
  PLM_TRY_GOTO(PLM_NEW(&host, n), done);
  for (int64_t i = 0; i < n; i++)
    host[i] = (float)(plm_rng_unit(plm_rng(1, PLM_RNG_INIT, (uint64_t)i, 0, 0).word[0]) - 0.5);
  PLM_TRY_GOTO(exec->device->alloc(exec->device, (size_t)n * 4, &wide), done);
  PLM_TRY_GOTO(exec->device->alloc(exec->device, (size_t)n * plm_dtype_size(dtype), &tensor), done);
  PLM_TRY_GOTO(exec->device->copy(exec->device, wide, host, (size_t)n * 4, PLM_COPY_TO_DEVICE), done);
  const plm_convert_args convert = {.n = n, .from = wide, .from_dtype = PLM_F32, .to = tensor, .to_dtype = dtype};
  PLM_TRY_GOTO(exec->ops->convert(exec, &convert), done);
  *ret_tensor = tensor;
  tensor = NULL;
done:
  exec->device->free(exec->device, tensor);
  exec->device->free(exec->device, wide);
  plm_free(host);
  return status;
}

/* The weight's packed form, as the model would keep it. */
static plm_status prepare_weight(plm_exec *exec, plm_weight *weight) {
  const plm_weight_refresh_args query = {.weight = weight, .ret_packed_bytes = &weight->packed_bytes};
  PLM_TRY(exec->ops->weight_refresh(exec, &query));
  if (weight->packed_bytes == 0) return PLM_OK;
  PLM_TRY(exec->device->alloc(exec->device, weight->packed_bytes, &weight->packed));
  const plm_weight_refresh_args fill = {.weight = weight};
  return exec->ops->weight_refresh(exec, &fill);
}

static plm_status reserve_for(plm_exec *exec, const plm_linear_forward_args *args) {
  exec->dry = true;
  plm_status status = exec->ops->linear_forward(exec, args);
  exec->dry = false;
  if (status != PLM_OK) return status;
  return plm_exec_reserve(exec, exec->workspace_needed);
}

static plm_status time_linear(plm_exec *exec, const plm_linear_forward_args *args, double flops, double seconds,
                              double *ret_rate) {
  double best = 0, end = plm_clock_monotonic() + seconds;
  PLM_TRY(exec->ops->linear_forward(exec, args));
  do {
    double start = plm_clock_monotonic();
    PLM_TRY(exec->ops->linear_forward(exec, args));
    PLM_TRY(exec->device->synchronize(exec->device));
    double rate = flops / (plm_clock_monotonic() - start);
    if (rate > best) best = rate;
  } while (plm_clock_monotonic() < end);
  *ret_rate = best;
  return PLM_OK;
}

plm_status plm_bench_linear(plm_exec *exec, plm_dtype dtype, int64_t rows, int64_t out, int64_t in, double seconds,
                            double *ret_rate) {
  plm_device *device = exec->device;
  void *x = NULL, *w = NULL, *y = NULL;
  plm_weight weight = {.dtype = dtype, .out = out, .in = in};
  plm_status status;
  PLM_TRY_GOTO(random_tensor(exec, dtype, rows * in, &x), done);
  PLM_TRY_GOTO(random_tensor(exec, dtype, out * in, &w), done);
  PLM_TRY_GOTO(device->alloc(device, (size_t)(rows * out) * plm_dtype_size(dtype), &y), done);
  weight.data = w;
  PLM_TRY_GOTO(prepare_weight(exec, &weight), done);
  const plm_linear_forward_args args = {.N = rows, .weight = &weight, .x = x, .y = y, .y_dtype = dtype};
  PLM_TRY_GOTO(reserve_for(exec, &args), done);
  PLM_TRY_GOTO(time_linear(exec, &args, 2.0 * (double)rows * (double)out * (double)in, seconds, ret_rate), done);
done:
  device->free(device, weight.packed);
  device->free(device, y);
  device->free(device, w);
  device->free(device, x);
  return status;
}

/* One line: a model's four products in one storage type. */
static plm_status bench_model(plm_exec *exec, const char *preset, plm_dtype dtype, const gemm_options *options,
                              const plm_output *output) {
  plm_model_config c;
  PLM_TRY(plm_model_config_preset(preset, &c));
  const int64_t sizes[][2] = {{3 * c.hidden_size, c.hidden_size},
                              {c.hidden_size, c.hidden_size},
                              {c.intermediate_size, c.hidden_size},
                              {c.hidden_size, c.intermediate_size}};
  plm_print(output, "%-15s %-5s", preset, plm_dtype_name(dtype));
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    double rate;
    PLM_TRY(plm_bench_linear(exec, dtype, options->rows, sizes[i][0], sizes[i][1], options->seconds, &rate));
    plm_print(output, " %12.1f", rate * 1e-9);
  }
  plm_print(output, "\n");
  return PLM_OK;
}

plm_status plm_bench_gemm_run(const plm_option_values *values, const plm_output *output) {
  const gemm_options *options = values->options;
  static const char *const presets[] = {"esm2_t6_8M", "esm2_t12_35M", "esm2_t30_150M", "esm2_t33_650M"};
  static const plm_dtype dtypes[] = {PLM_F32, PLM_BF16};
  plm_session session = {0};
  char threads[PLM_COUNTED_TEXT];
  plm_status status;
  PLM_TRY_GOTO(plm_session_open_machine(options->threads, NULL, &session), done);
  plm_print(output, "GFLOP/s of [%lld, in] x [in, out], %s, %s\n", (long long)options->rows,
            plm_counted(plm_pool_threads(session.machine.exec->pool), "thread", "threads", threads),
            session.machine.exec->kernels);
  plm_print(output, "%s%-15s %-5s %12s %12s %12s %12s%s\n", plm_style(output, PLM_BOLD), "model", "dtype", "qkv",
            "attn out", "ffn up", "ffn down", plm_style(output, PLM_RESET));
  for (size_t m = 0; m < sizeof presets / sizeof *presets; m++)
    for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++)
      PLM_TRY_GOTO(bench_model(session.machine.exec, presets[m], dtypes[d], options, output), done);
done:
  plm_session_close(&session);
  return status;
}
