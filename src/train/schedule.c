/* schedule.c - the table of schedules, the factor of each, and how warm-up and floor are chosen (design 10.2, 10.3). */
#include "train/schedule.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/text.h"
#include "protlm/log.h"

static const double pi = 3.14159265358979323846;

struct plm_schedule_kind {
  const char *name;
  double (*after_warmup)(const plm_schedule *schedule, double s); /* factor, W <= s <= T */
  bool warms_up;
  double floor_from_scratch, floor_continuing; /* default of --min-lr-ratio */
};

/* Share of the way from W to T. A run that is all warm-up has no way. */
static double progress(const plm_schedule *a, double s) {
  double way = (double)(a->T - a->W);
  return way <= 0 ? 1 : fmin(1, (s - (double)a->W) / way);
}

static double half_cosine(double p) { return 0.5 * (1 + cos(pi * p)); }
static double above_floor(const plm_schedule *a, double share) { return a->r + (1 - a->r) * share; }

static double esm2(const plm_schedule *a, double s) {
  double W = (double)a->W, end = 0.9 * (double)a->T;
  return s < end ? 1 - (1 - a->r) * (s - W) / (end - W) : a->r;
}
static double linear(const plm_schedule *a, double s) { return above_floor(a, 1 - progress(a, s)); }
static double cosine(const plm_schedule *a, double s) { return above_floor(a, half_cosine(progress(a, s))); }
static double cosine_max(const plm_schedule *a, double s) { return fmax(a->r, half_cosine(progress(a, s))); }
static double constant(const plm_schedule *a, double s) {
  (void)a;
  (void)s;
  return 1;
}
static double inverse_sqrt(const plm_schedule *a, double s) {
  double W = fmax((double)a->W, 1);
  return fmax(a->r, sqrt(W / fmax(s, W)));
}
static double warmup_stable_decay(const plm_schedule *a, double s) {
  double T = (double)a->T, D = fmax(1, round(0.1 * T));
  return s <= T - D ? 1 : above_floor(a, half_cosine(fmin(1, (s - T + D) / D)));
}

static const plm_schedule_kind kinds[] = {
    {"esm2", esm2, true, 0.1, 0.1},
    {"linear", linear, true, 0, 0.1},
    {"cosine", cosine, true, 0, 0},
    {"cosine_with_min_lr", cosine, true, 0.1, 0.1},
    {"cosine_max", cosine_max, true, 0.1, 0.1},
    {"constant", constant, false, 0, 0},
    {"constant_with_warmup", constant, true, 0, 0},
    {"inverse_sqrt", inverse_sqrt, true, 0, 0},
    {"warmup_stable_decay", warmup_stable_decay, true, 0, 0},
};

static const plm_schedule_kind *find_kind(const char *name) {
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (strcmp(kinds[i].name, name) == 0) return &kinds[i];
  return NULL;
}

const char *plm_schedule_name(const plm_schedule *schedule) { return schedule->kind->name; }

bool plm_schedule_has_warmup(const char *name) {
  const plm_schedule_kind *kind = find_kind(name);
  return kind != NULL && kind->warms_up;
}

static int64_t default_warmup(int64_t T) {
  int64_t W = llround(0.08 * (double)T);
  W = W < 1 ? 1 : W > 2000 ? 2000 : W;
  return W < T ? W : 0;
}

/* As transformers' get_warmup_steps (5.x): a share is rounded up, of the same product of doubles (0.1 of 30 are 3, but
 * 0.07 of 100 are 8, since that product lies above 7), and a number of steps down. A share is never the whole run. */
static int64_t requested_warmup(double warmup, int64_t T) {
  if (warmup >= 1) return (int64_t)warmup;
  const int64_t W = (int64_t)ceil((double)T * warmup);
  if (W < T) return W;
  plm_info("--warmup-steps %g, as a share of %lld %s, is all of the run: lowered to %lld", warmup, (long long)T,
           plm_plural(T, "step", "steps"), (long long)T - 1);
  return T - 1;
}

/* An explicit warm-up must leave room for what follows it. */
static plm_status check_warmup(const plm_schedule *a) {
  if (a->W >= a->T)
    return plm_hint(plm_fail(PLM_E_USAGE, "--warmup-steps %lld is not less than the %lld %s of the run",
                             (long long)a->W, (long long)a->T, plm_plural(a->T, "step", "steps")),
                    "lower --warmup-steps or raise --max-steps");
  if (a->kind->after_warmup == esm2 && (double)a->W >= 0.9 * (double)a->T)
    return plm_hint(
        plm_fail(
            PLM_E_USAGE,
            "--warmup-steps %lld is too long for --lr-scheduler-type esm2, which ends its decay at step %.0f of %lld",
            (long long)a->W, 0.9 * (double)a->T, (long long)a->T),
        "lower --warmup-steps, raise --max-steps or choose another --lr-scheduler-type");
  return PLM_OK;
}

plm_status plm_schedule_resolve(const plm_schedule_request *request, plm_schedule *ret_schedule) {
  const char *name = request->name != NULL ? request->name : request->from_scratch ? "esm2" : "linear";
  const plm_schedule_kind *kind = find_kind(name);
  if (kind == NULL) return plm_fail(PLM_E_USAGE, "there is no --lr-scheduler-type '%s'", name);
  PLM_ASSERT(request->T >= 1);
  plm_schedule a = {
      .kind = kind,
      .peak = request->peak,
      .T = request->T,
      .warmup_from_zero = request->warmup_from_zero,
  };
  a.r = !isnan(request->min_lr_ratio) ? request->min_lr_ratio
        : request->from_scratch       ? kind->floor_from_scratch
                                      : kind->floor_continuing;
  if (kind->warms_up) {
    a.W = isnan(request->warmup) ? default_warmup(a.T) : requested_warmup(request->warmup, a.T);
    if (a.W > 0 && !a.warmup_from_zero) PLM_TRY(check_warmup(&a));
  }
  *ret_schedule = a;
  return PLM_OK;
}

double plm_schedule_rate(const plm_schedule *a, int64_t updates) {
  if (updates < a->W) return a->peak * ((double)updates + (a->warmup_from_zero ? 0 : 1)) / (double)a->W;
  int64_t s = updates < a->T ? updates : a->T;
  return a->peak * a->kind->after_warmup(a, (double)(s < a->W ? a->W : s));
}

double plm_schedule_highest(const plm_schedule *a) { return plm_schedule_rate(a, a->W < a->T ? a->W : a->T - 1); }
