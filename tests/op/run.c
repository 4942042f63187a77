/* run.c - making a call in all the ways that the contract of ops.h speaks about. */
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "internal.h"

#include <stdio.h>

plm_exec *check_exec(check *k, side s) { return s == TRUTH ? k->truth : k->current; }
const plm_ops *check_ops(check *k, side s) { return check_exec(k, s)->ops; }

static void upload_all(check *k) {
  for (int i = 0; i < k->tensor_count; i++) tensor_upload(k->tensors[i]);
}

static void download_all(check *k) {
  for (int i = 0; i < k->tensor_count; i++) tensor_download(k->tensors[i]);
}

static void fail_status(check *k, const char *what, plm_status status) {
  check_fail(k, "%s: %s: %s", what, plm_status_name(status), plm_error_message());
}

/* The call on a dry exec: how much workspace it needs. It must touch nothing. */
static bool run_dry(check *k, check_call_fn *call, void *context, size_t *ret_bytes) {
  plm_exec *exec = check_exec(k, TESTED);
  exec->dry = true;
  exec->workspace_needed = 0;
  plm_status status = call(k, TESTED, context);
  exec->dry = false;
  *ret_bytes = exec->workspace_needed;
  if (status != PLM_OK) {
    fail_status(k, "dry call", status);
    return false;
  }
  download_all(k);
  for (int i = 0; i < k->tensor_count; i++) {
    tensor *t = k->tensors[i];
    if (t->block == NULL || t->is_kept || memcmp(t->before, t->after, t->block_bytes) == 0) continue;
    check_fail(k, "the dry call touched %s", t->spec.name);
    return false;
  }
  return true;
}

/* ---- workspace: a block that grows as calls need it, lent between canaries ---- */

enum { EDGE = 256 }; /* canary bytes before and after */

static void grow_workspace(check *k, size_t bytes) {
  if (bytes <= k->workspace_capacity) return;
  check_free_workspace(k);
  void *block;
  must(k->device->alloc(k->device, 2 * bytes, &block));
  must(PLM_NEW(&k->workspace_pattern, 2 * bytes));
  k->workspace = block;
  k->workspace_capacity = 2 * bytes;
  for (size_t i = 0; i < 2 * bytes; i++) k->workspace_pattern[i] = canary_byte(i);
}

void check_free_workspace(check *k) {
  k->device->free(k->device, k->workspace);
  plm_free(k->workspace_pattern);
  k->workspace = k->workspace_pattern = NULL;
  k->workspace_capacity = 0;
}

/* Lend the exec exactly `bytes` of workspace, full of NaN. */
static void lend_workspace(check *k, size_t bytes) {
  plm_exec *exec = check_exec(k, TESTED);
  exec->workspace = NULL;
  exec->workspace_bytes = bytes;
  if (bytes == 0) return;
  grow_workspace(k, bytes + 2 * EDGE);
  must(k->device->copy(k->device, k->workspace, k->workspace_pattern, bytes + 2 * EDGE, PLM_COPY_TO_DEVICE));
  exec->workspace = k->workspace + EDGE;
}

static bool workspace_is_damaged(check *k) {
  unsigned char before[EDGE], after[EDGE];
  size_t end = EDGE + check_exec(k, TESTED)->workspace_bytes;
  if (check_exec(k, TESTED)->workspace == NULL) return false;
  must(k->device->copy(k->device, before, k->workspace, EDGE, PLM_COPY_TO_HOST));
  must(k->device->copy(k->device, after, k->workspace + end, EDGE, PLM_COPY_TO_HOST));
  return memcmp(before, k->workspace_pattern, EDGE) != 0 || memcmp(after, k->workspace_pattern + end, EDGE) != 0;
}

static void take_workspace_back(check *k) {
  plm_exec *exec = check_exec(k, TESTED);
  exec->workspace = NULL;
  exec->workspace_bytes = 0;
}

/* With half of the workspace it asked for, a call says that the plan is wrong, or makes do with what there is (the
 * query may be for the worst case). It never writes past it. */
static void run_starved(check *k, check_call_fn *call, void *context, size_t bytes) {
  if (bytes < 2) return;
  lend_workspace(k, bytes / 2);
  upload_all(k);
  plm_status status = call(k, TESTED, context);
  if (status != PLM_E_BUG && status != PLM_OK)
    check_fail(k, "with too little workspace it returned '%s' instead of '%s'", plm_status_name(status),
               plm_status_name(PLM_E_BUG));
  if (workspace_is_damaged(k)) check_fail(k, "with too little workspace it wrote past the end");
  take_workspace_back(k);
}

/* One real call on fresh tensors. */
static bool run_tested(check *k, check_call_fn *call, void *context) {
  upload_all(k);
  plm_status status = call(k, TESTED, context);
  if (status != PLM_OK) {
    fail_status(k, "call", status);
    return false;
  }
  must(k->device->synchronize(k->device));
  download_all(k);
  if (workspace_is_damaged(k)) {
    check_fail(k, "memory around the workspace was written");
    return false;
  }
  for (int i = 0; i < k->tensor_count; i++) {
    const char *damage = tensor_find_damage(k->tensors[i]);
    if (damage == NULL) continue;
    check_fail(k, "%s: %s", k->tensors[i]->spec.name, damage);
    return false;
  }
  return true;
}

static bool is_result(const tensor *t) {
  return t->spec.role == OUTPUT || t->spec.role == ACCUMULATED || t->is_overwritten;
}

/* The results of now, for a later call to be compared with bit by bit. */
static void keep_results(check *k, unsigned char *kept[MAX_TENSORS]) {
  for (int i = 0; i < k->tensor_count; i++) {
    tensor *t = k->tensors[i];
    kept[i] = NULL;
    if (!is_result(t) || t->block == NULL) continue;
    must(PLM_NEW(&kept[i], t->block_bytes));
    memcpy(kept[i], t->after, t->block_bytes);
  }
}

static void compare_kept(check *k, unsigned char *kept[MAX_TENSORS], int count, const char *occasion) {
  for (int i = 0; i < count; i++)
    if (kept[i] != NULL && memcmp(kept[i], k->tensors[i]->after, k->tensors[i]->block_bytes) != 0)
      check_fail(k, "%s has other bits %s", k->tensors[i]->spec.name, occasion);
}

/* The call as the plan makes it: asked dry, then made with exactly that much workspace. */
static bool run_planned(check *k, check_call_fn *call, void *context, bool starve) {
  size_t bytes;
  upload_all(k);
  if (!run_dry(k, call, context, &bytes)) return false;
  if (starve) run_starved(k, call, context, bytes);
  lend_workspace(k, bytes);
  return run_tested(k, call, context);
}

/* More than the contract asks for, but the reference has one order of sums whatever the threads. */
static void run_on_one_thread(check *k, check_call_fn *call, void *context, unsigned char *kept[MAX_TENSORS],
                              int count) {
  k->current = k->single;
  if (run_planned(k, call, context, false)) compare_kept(k, kept, count, "on one thread");
  take_workspace_back(k);
  k->current = k->tested;
}

void check_call(check *k, check_call_fn *call, void *context) {
  if (k->bench) {
    bench_call(k, call, context);
    return;
  }
  int count = k->tensor_count;
  unsigned char *kept[MAX_TENSORS] = {0};
  double flops = k->tested->flops, truth_flops = k->truth->flops;
  bool done = run_planned(k, call, context, true);
  if (done) {
    keep_results(k, kept);
    flops = k->tested->flops;
    if (run_tested(k, call, context)) compare_kept(k, kept, count, "when called again");
    flops = k->tested->flops - flops;
  }
  take_workspace_back(k);
  if (done) {
    check_call_truth(k, call, context);
    for (int i = 0; i < count; i++)
      if (k->tensors[i]->spec.role == OUTPUT || k->tensors[i]->spec.role == ACCUMULATED)
        tensor_compare(k, k->tensors[i]);
    if (flops != k->truth->flops - truth_flops)
      check_fail(k, "counts %g flops, not %g", flops, k->truth->flops - truth_flops);
    if (check_is_reference(k)) run_on_one_thread(k, call, context, kept, count);
  }
  for (int i = 0; i < count; i++) plm_free(kept[i]);
}

void check_call_tested(check *k, check_call_fn *call, void *context) {
  run_planned(k, call, context, false);
  take_workspace_back(k);
}

void check_call_truth(check *k, check_call_fn *call, void *context) {
  plm_exec *exec = k->truth;
  for (int i = 0; i < k->tensor_count; i++)
    memcpy(k->tensors[i]->truth, k->tensors[i]->truth_before,
           (size_t)(k->tensors[i]->spec.rows * k->tensors[i]->spec.width) * plm_dtype_size(k->tensors[i]->truth_type));
  double flops = exec->flops;
  exec->dry = true;
  must(call(k, TRUTH, context));
  exec->dry = false;
  exec->flops = flops;
  must(plm_exec_reserve(exec, exec->workspace_needed));
  must(call(k, TRUTH, context));
}

void check_refused(check *k, check_call_fn *call, void *context, plm_status code) {
  upload_all(k);
  for (int dry = 0; dry <= 1; dry++) {
    check_exec(k, TESTED)->dry = dry == 1;
    plm_status status = call(k, TESTED, context);
    check_exec(k, TESTED)->dry = false;
    if (status != code)
      check_fail(k, "%s call returned '%s' instead of '%s'", dry ? "dry" : "real", plm_status_name(status),
                 plm_status_name(code));
    else if (plm_error_message()[0] == '\0')
      check_fail(k, "refused without a reason");
  }
}

/* ---- bench: repeat for a third of a second, report the best ---- */

void bench_call(check *k, check_call_fn *call, void *context) {
  plm_exec *exec = check_exec(k, TESTED);
  size_t bytes;
  upload_all(k);
  if (!run_dry(k, call, context, &bytes)) return;
  lend_workspace(k, bytes);
  int64_t moved = 0;
  for (int i = 0; i < k->tensor_count; i++)
    if (k->tensors[i]->spec.role != SCRATCH) moved += tensor_bytes(k->tensors[i]);
  double best = 1e30, begin = plm_clock_monotonic(), flops = 0;
  for (int i = 0; i < 3 || plm_clock_monotonic() - begin < 0.3; i++) {
    double before = exec->flops, start = plm_clock_monotonic();
    must(call(k, TESTED, context));
    must(k->device->synchronize(k->device));
    double seconds = plm_clock_monotonic() - start;
    if (seconds < best) best = seconds;
    flops = exec->flops - before;
  }
  take_workspace_back(k);
  printf("%-24s %-44s %9.3f ms %8.2f GB/s", k->family->op, k->description, best * 1e3, (double)moved / best * 1e-9);
  if (flops > 0) printf(" %9.1f GFLOP/s", flops / best * 1e-9);
  printf("\n");
}
