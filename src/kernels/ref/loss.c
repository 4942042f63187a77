/* loss.c - softmax cross-entropy of the sum over rows (model_spec 1.2). */
#include <math.h>

#include "kernels/ref/element.h"
#include "kernels/ref/ref.h"

typedef struct row_result {
  double nll;
  bool is_correct;
} row_result;

typedef struct cross_entropy_job {
  const plm_cross_entropy_args *a;
  row_result *results; /* [M] */
} cross_entropy_job;

/* The lowest id of the largest logit. */
static int64_t predict_row(const plm_cross_entropy_args *a, int64_t row) {
  int64_t best = 0;
  for (int64_t v = 1; v < a->V; v++)
    if (element_get(a->logits, a->dtype, row + v) > element_get(a->logits, a->dtype, row + best)) best = v;
  return best;
}

static void loss_row(const cross_entropy_job *job, int64_t m) {
  const plm_cross_entropy_args *a = job->a;
  int64_t row = m * a->V, target = a->targets[m], prediction = predict_row(a, row);
  double largest = element_get(a->logits, a->dtype, row + prediction), sum = 0;
  for (int64_t v = 0; v < a->V; v++) sum += exp(element_get(a->logits, a->dtype, row + v) - largest);
  double nll = log(sum) - (element_get(a->logits, a->dtype, row + target) - largest);
  job->results[m] = (row_result){.nll = nll, .is_correct = prediction == target};
  if (a->row_nll != NULL) a->row_nll[m] = (float)nll;
  if (a->row_prediction != NULL) a->row_prediction[m] = (int32_t)prediction;
  if (a->d_logits == NULL) return;
  for (int64_t v = 0; v < a->V; v++) {
    double p = exp(element_get(a->logits, a->dtype, row + v) - largest) / sum;
    element_set(a->d_logits, a->d_dtype, row + v, v == target ? p - 1 : p);
  }
}

static void loss_rows(void *context, int64_t begin, int64_t end, int worker) {
  (void)worker;
  for (int64_t m = begin; m < end; m++) loss_row(context, m);
}

static void add_results(plm_loss_sums *sums, const row_result *results, int64_t M) {
  for (int64_t m = 0; m < M; m++) {
    sums->count++;
    sums->correct += results[m].is_correct;
    if (isfinite(results[m].nll))
      sums->nll += results[m].nll;
    else
      sums->nonfinite++;
  }
}

plm_status plm_ref_cross_entropy(plm_exec *x, const plm_cross_entropy_args *a) {
  PLM_TRY(plm_check_cross_entropy(x, a));
  void *results;
  PLM_TRY(plm_exec_workspace(x, (size_t)a->M * sizeof(row_result), &results));
  if (x->dry) return PLM_OK;
  for (int64_t m = 0; m < a->M; m++) PLM_ASSERT(a->targets[m] >= 0 && a->targets[m] < a->V);
  cross_entropy_job job = {.a = a, .results = results};
  plm_parallel_for(x->pool, a->M, loss_rows, &job);
  if (a->sums != NULL) add_results(a->sums, job.results, a->M);
  return PLM_OK;
}
