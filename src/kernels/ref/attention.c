/* attention.c - packed multi-head attention (model_spec 1.2): o = softmax(scale * q k^T) v, one sequence and head at a
 * time.
 *
 * Forward goes over panels of queries and keeps the scores of one panel against all keys of the sequence. Backward
 * makes two passes that recompute probabilities from lse: over panels of queries for d_q, over panels of keys for d_k
 * and d_v, so that every sum has one owner.
 *   p = exp(scale * q.k - lse),  d_p = d_o.v,  d_s = p * (d_p - d_o.o)
 *   d_q = scale * sum over keys d_s k,  d_k = scale * sum over queries d_s q,  d_v = sum over queries p d_o */
#include <math.h>

#include "kernels/flops.h"
#include "kernels/ref/panel.h"
#include "kernels/ref/ref.h"

/* One head's columns of a packed tensor: row n begins at element offset + n * stride. */
typedef struct head_view {
  const void *data;
  plm_dtype type;
  int64_t offset, stride, D;
} head_view;

static head_view view_head(const void *data, plm_dtype type, int64_t stride, int64_t H, int64_t D, int64_t h) {
  return (head_view){.data = data, .type = type, .offset = h * D, .stride = plm_row_stride(stride, H * D), .D = D};
}

static void view_load_row(const head_view *view, int64_t n, double *row) {
  row_load(row, view->data, view->type, view->offset + n * view->stride, view->D);
}

static void view_load_panel(const head_view *view, int64_t n, int64_t rows, double *panel) {
  panel_load(panel, view->data, view->type, view->offset + n * view->stride, view->stride, rows, view->D);
}

static void store_panel(void *to, plm_dtype type, int64_t stride, int64_t column, int64_t n, int64_t rows,
                        const double *sums, int64_t D) {
  for (int64_t r = 0; r < rows; r++) row_store(to, type, (n + r) * stride + column, sums + r * D, D);
}

/* ---- forward ---- */

typedef struct forward_job {
  const plm_attention_forward_args *a;
  ref_scratch scratch; /* a panel of q, a row of k or v, PANEL rows of o, scores [keys][PANEL] */
} forward_job;

/* Turn scores into probabilities, lane by lane; returns the log-sum-exp of each. Without keys that is -infinity. */
static void softmax_panel(double *scores, int64_t keys, double lse[PANEL]) {
  for (int r = 0; r < PANEL; r++) {
    double largest = -INFINITY, sum = 0;
    for (int64_t j = 0; j < keys; j++) largest = scores[j * PANEL + r] > largest ? scores[j * PANEL + r] : largest;
    for (int64_t j = 0; j < keys; j++) sum += scores[j * PANEL + r] = exp(scores[j * PANEL + r] - largest);
    for (int64_t j = 0; j < keys; j++) scores[j * PANEL + r] /= sum;
    lse[r] = keys == 0 ? -INFINITY : largest + log(sum);
  }
}

static void forward_panel(const forward_job *job, int64_t h, int64_t n0, int64_t rows, int64_t k0, int64_t keys,
                          double *scratch) {
  const plm_attention_forward_args *a = job->a;
  int64_t D = a->D;
  head_view q = view_head(a->q, a->dtype, a->q_stride, a->H, D, h),
            k = view_head(a->k, a->dtype, a->k_stride, a->H, D, h);
  head_view v = view_head(a->v, a->dtype, a->v_stride, a->H, D, h);
  double *panel = scratch, *row = panel + PANEL * D, *sums = row + D, *scores = sums + PANEL * D, lse[PANEL];
  view_load_panel(&q, n0, rows, panel);
  for (int64_t j = 0; j < keys; j++) {
    view_load_row(&k, k0 + j, row);
    panel_dot(panel, row, D, scores + j * PANEL);
    for (int r = 0; r < PANEL; r++) scores[j * PANEL + r] *= a->scale;
  }
  softmax_panel(scores, keys, lse);
  memset(sums, 0, (size_t)(PANEL * D) * sizeof *sums);
  for (int64_t j = 0; j < keys; j++) {
    view_load_row(&v, k0 + j, row);
    panel_add_outer(sums, scores + j * PANEL, row, rows, D);
  }
  store_panel(a->o, a->dtype, plm_row_stride(a->o_stride, a->H * D), h * D, n0, rows, sums, D);
  if (a->lse == NULL) return;
  for (int64_t r = 0; r < rows; r++) element_set(a->lse, plm_wide_type(a->dtype), (n0 + r) * a->H + h, lse[r]);
}

static void forward_task(void *context, int64_t task, int worker) {
  const forward_job *job = context;
  const plm_attention_forward_args *a = job->a;
  int64_t s = task / a->H, h = task % a->H;
  int64_t k0 = a->host_cu_seqlens_k[s], keys = a->host_cu_seqlens_k[s + 1] - k0, last = a->host_cu_seqlens_q[s + 1];
  for (int64_t n = a->host_cu_seqlens_q[s]; n < last; n += PANEL)
    forward_panel(job, h, n, panel_rows(n, last), k0, keys, ref_scratch_of(&job->scratch, worker));
}

/* The scores' room is for Nk keys, not for the longest sequence, so that a plan made for some batch holds for any batch
 * of that size. */
plm_status plm_ref_attention_forward(plm_exec *x, const plm_attention_forward_args *a) {
  PLM_TRY(plm_check_attention_forward(x, a));
  forward_job job = {.a = a};
  x->flops += plm_flops_attention(a);
  PLM_TRY(ref_scratch_claim(x, (2 * PANEL + 1) * a->D + PANEL * a->Nk, &job.scratch));
  if (x->dry) return PLM_OK;
  plm_parallel_tasks(x->pool, a->S * a->H, forward_task, &job);
  return PLM_OK;
}

/* ---- backward ---- */

typedef struct backward_job {
  const plm_attention_backward_args *a;
  ref_scratch scratch; /* two panels, three rows, two times PANEL rows of sums */
} backward_job;

/* The head's tensors and this worker's room, cut up. */
typedef struct backward_head {
  head_view q, k, v, o, d_o;
  const plm_attention_backward_args *a;
  int64_t h;
  double *panel[2], *row[3], *sums[2];
} backward_head;

static double lse_of(const backward_head *b, int64_t n) {
  const plm_attention_forward_args *f = &b->a->forward;
  return element_get(f->lse, plm_wide_type(f->dtype), n * f->H + b->h);
}

/* d_o.o of query n; leaves d_o in row[0]. */
static double load_delta(const backward_head *b, int64_t n) {
  double delta = 0;
  view_load_row(&b->d_o, n, b->row[0]);
  view_load_row(&b->o, n, b->row[1]);
  for (int64_t d = 0; d < b->o.D; d++) delta += b->row[0][d] * b->row[1][d];
  return delta;
}

static void backward_queries(const backward_head *b, int64_t n0, int64_t rows, int64_t k0, int64_t keys) {
  const plm_attention_backward_args *a = b->a;
  const plm_attention_forward_args *f = &a->forward;
  int64_t D = f->D;
  double delta[PANEL] = {0}, lse[PANEL] = {0}, score[PANEL], d_p[PANEL], d_s[PANEL];
  for (int64_t r = 0; r < rows; r++) delta[r] = load_delta(b, n0 + r), lse[r] = lse_of(b, n0 + r);
  view_load_panel(&b->q, n0, rows, b->panel[0]);
  view_load_panel(&b->d_o, n0, rows, b->panel[1]);
  memset(b->sums[0], 0, (size_t)(PANEL * D) * sizeof(double));
  for (int64_t j = k0; j < k0 + keys; j++) {
    view_load_row(&b->k, j, b->row[0]);
    view_load_row(&b->v, j, b->row[1]);
    panel_dot(b->panel[0], b->row[0], D, score);
    panel_dot(b->panel[1], b->row[1], D, d_p);
    for (int64_t r = 0; r < rows; r++) d_s[r] = f->scale * exp(f->scale * score[r] - lse[r]) * (d_p[r] - delta[r]);
    panel_add_outer(b->sums[0], d_s, b->row[0], rows, D);
  }
  store_panel(a->d_q, f->dtype, plm_row_stride(a->d_q_stride, f->H * D), b->h * D, n0, rows, b->sums[0], D);
}

static void backward_keys(const backward_head *b, int64_t k0, int64_t rows, int64_t n0, int64_t queries) {
  const plm_attention_backward_args *a = b->a;
  const plm_attention_forward_args *f = &a->forward;
  int64_t D = f->D;
  double score[PANEL], d_p[PANEL], p[PANEL], d_s[PANEL];
  view_load_panel(&b->k, k0, rows, b->panel[0]);
  view_load_panel(&b->v, k0, rows, b->panel[1]);
  memset(b->sums[0], 0, (size_t)(PANEL * D) * sizeof(double));
  memset(b->sums[1], 0, (size_t)(PANEL * D) * sizeof(double));
  for (int64_t n = n0; n < n0 + queries; n++) {
    double delta = load_delta(b, n), lse = lse_of(b, n);
    view_load_row(&b->q, n, b->row[2]);
    panel_dot(b->panel[0], b->row[2], D, score);
    panel_dot(b->panel[1], b->row[0], D, d_p);
    for (int64_t r = 0; r < rows; r++) {
      p[r] = exp(f->scale * score[r] - lse);
      d_s[r] = f->scale * p[r] * (d_p[r] - delta);
    }
    panel_add_outer(b->sums[0], d_s, b->row[2], rows, D);
    panel_add_outer(b->sums[1], p, b->row[0], rows, D);
  }
  store_panel(a->d_k, f->dtype, plm_row_stride(a->d_k_stride, f->H * D), b->h * D, k0, rows, b->sums[0], D);
  store_panel(a->d_v, f->dtype, plm_row_stride(a->d_v_stride, f->H * D), b->h * D, k0, rows, b->sums[1], D);
}

static backward_head open_head(const plm_attention_backward_args *a, int64_t h, double *scratch) {
  const plm_attention_forward_args *f = &a->forward;
  int64_t H = f->H, D = f->D;
  return (backward_head){
      .q = view_head(f->q, f->dtype, f->q_stride, H, D, h),
      .k = view_head(f->k, f->dtype, f->k_stride, H, D, h),
      .v = view_head(f->v, f->dtype, f->v_stride, H, D, h),
      .o = view_head(f->o, f->dtype, f->o_stride, H, D, h),
      .d_o = view_head(a->d_o, f->dtype, a->d_o_stride, H, D, h),
      .a = a,
      .h = h,
      .panel = {scratch, scratch + PANEL * D},
      .sums = {scratch + 2 * PANEL * D, scratch + 3 * PANEL * D},
      .row = {scratch + 4 * PANEL * D, scratch + (4 * PANEL + 1) * D, scratch + (4 * PANEL + 2) * D},
  };
}

static void backward_task(void *context, int64_t task, int worker) {
  const backward_job *job = context;
  const plm_attention_forward_args *f = &job->a->forward;
  int64_t s = task / f->H;
  backward_head head = open_head(job->a, task % f->H, ref_scratch_of(&job->scratch, worker));
  int64_t n0 = f->host_cu_seqlens_q[s], n1 = f->host_cu_seqlens_q[s + 1];
  int64_t k0 = f->host_cu_seqlens_k[s], k1 = f->host_cu_seqlens_k[s + 1];
  for (int64_t n = n0; n < n1; n += PANEL) backward_queries(&head, n, panel_rows(n, n1), k0, k1 - k0);
  for (int64_t k = k0; k < k1; k += PANEL) backward_keys(&head, k, panel_rows(k, k1), n0, n1 - n0);
}

plm_status plm_ref_attention_backward(plm_exec *x, const plm_attention_backward_args *a) {
  PLM_TRY(plm_check_attention_backward(x, a));
  backward_job job = {.a = a};
  x->flops += 2 * plm_flops_attention(&a->forward);
  PLM_TRY(ref_scratch_claim(x, (4 * PANEL + 3) * a->forward.D, &job.scratch));
  if (x->dry) return PLM_OK;
  plm_parallel_tasks(x->pool, a->forward.S * a->forward.H, backward_task, &job);
  return PLM_OK;
}
