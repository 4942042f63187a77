/* checkop.c - the op checker: holds every operator of a backend against the reference in fp64 (check.h).
 *
 *   checkop --backend ref
 *   checkop --backend cpu --level avx2 --op norm_forward --case 17 --seed 123     one case again
 *   checkop --backend cpu --bench norm_forward                                    rates instead
 *
 * Exit code 0: all held; 1: some failed; 2: wrong use; 77: this machine cannot run that level. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/rng.h"
#include "internal.h"
#include "kernels/cpu/backend_cpu.h"
#include "support/guarded.h"

static const check_group *const groups[] = {&embed_group,
                                            &norm_group,
                                            &linear_group,
                                            &linear_backward_group,
                                            &rope_group,
                                            &attention_group,
                                            &attention_backward_group,
                                            &activation_group,
                                            &loss_group,
                                            &optimiser_group,
                                            &reduce_group,
                                            &copy_group};

#define OP_NAME(op) #op,
static const char *const op_names[] = {PLM_OPS(OP_NAME)};

typedef struct options {
  const char *backend, *level, *op, *bench;
  int case_number, threads, stride; /* -1: all; ; run every stride-th case */
  uint64_t seed;
  bool list, guarded;
} options;

/* ---- what cases call ---- */

void must(plm_status status) {
  if (status == PLM_OK) return;
  fprintf(stderr, "checkop: %s\n%s", plm_error_message(), plm_error_trace());
  exit(1);
}

void check_describe(check *k, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(k->description, sizeof k->description, format, args);
  va_end(args);
}

/* One line that says what and how to see it again. Of each case only the first failure is shown. */
void check_fail(check *k, const char *format, ...) {
  if (k->has_failed) return;
  k->has_failed = true;
  k->failures++;
  char message[512];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  printf("FAIL checkop --backend %s%s%s --op %s --case %d --seed %llu   # %s, %s: %s\n", k->backend,
         k->level == NULL ? "" : " --level ", k->level == NULL ? "" : k->level, k->family->op, k->number,
         (unsigned long long)k->seed, k->family->name, k->description, message);
}

void check_slack(check *k, double factor) { k->slack = factor; }
bool check_is_reference(const check *k) { return strcmp(k->backend, "ref") == 0; }
bool check_has_type(const check *k, plm_dtype type) { return type != PLM_F64 || check_is_reference(k); }
bool check_is_bench(const check *k) { return k->bench; }

/* Numbers depend on the seed, the operator, the case and how many were drawn in it, so a case can be repeated alone. */
static uint32_t draw(check *k, uint32_t *second) {
  uint32_t op = 0;
  for (const char *c = k->family->op; *c != '\0'; c++) op = op * 31u + (unsigned char)*c;
  plm_rng_block block = plm_rng(k->seed, PLM_RNG_INIT, k->random_count++, op, (uint32_t)k->number);
  *second = block.word[1];
  return block.word[0];
}

double check_normal(check *k) {
  uint32_t second, first = draw(k, &second);
  double normal[2];
  plm_rng_normal(first, second, normal);
  return normal[0];
}

int64_t check_below(check *k, int64_t n) {
  uint32_t second, first = draw(k, &second);
  return plm_rng_below(first, (uint32_t)n);
}

int pick(int *variant, int choices) {
  int choice = *variant % choices;
  *variant /= choices;
  return choice;
}

/* ---- running ---- */

static void run_case(check *k, const check_family *family, int variant, int number) {
  k->family = family;
  k->number = number;
  k->has_failed = false;
  k->slack = 1;
  k->random_count = 0;
  k->description[0] = '\0';
  family->run(k, variant);
  for (int i = 0; i < k->tensor_count; i++) tensor_destroy(k->tensors[i]);
  k->tensor_count = 0;
}

/* All cases of one operator, numbered through its families; returns how many were run. */
static int run_op(check *k, const options *o, const char *op) {
  int number = 0, ran = 0;
  for (int g = 0; g < COUNT(groups); g++)
    for (int f = 0; f < groups[g]->count; f++) {
      const check_family *family = &groups[g]->families[f];
      if (strcmp(family->op, op) != 0 || family->bench != k->bench) continue;
      for (int variant = 0; variant < family->variants; variant++, number++) {
        if (o->case_number >= 0 ? number != o->case_number : number % o->stride != 0) continue;
        run_case(k, family, variant, number);
        ran++;
      }
    }
  return ran;
}

/* Every operator of the table must have been run: a new one without a case is a failure. */
static int run_all(check *k, const options *o) {
  int found = 0, covered = 0, cases = 0;
  double begin = plm_clock_monotonic();
  const char *only = k->bench ? (strcmp(o->bench, "all") == 0 ? NULL : o->bench) : o->op;
  for (int i = 0; i < COUNT(op_names); i++) {
    if (only != NULL && strcmp(only, op_names[i]) != 0) continue;
    int ran = run_op(k, o, op_names[i]);
    found++;
    covered += ran > 0;
    cases += ran;
    if (ran == 0 && !k->bench)
      printf("FAIL operator %s has no case%s\n", op_names[i], o->case_number >= 0 ? " of that number" : "");
  }
  if (found == 0) fprintf(stderr, "checkop: there is no operator '%s'; --list shows them\n", only);
  if (found == 0) return 2;
  if (k->bench) return k->failures > 0;
  printf("%s%s%s: %d operators found, %d run; %d cases, %lld outputs compared, %lld failed; seed %llu, %.1f s\n",
         k->backend, k->level == NULL ? "" : " ", k->level == NULL ? "" : k->level, found, covered, cases,
         (long long)k->comparisons, (long long)k->failures, (unsigned long long)k->seed, plm_clock_monotonic() - begin);
  return k->failures > 0 || covered < found;
}

static void list_all(const options *o) {
  for (int g = 0; g < COUNT(groups); g++)
    for (int f = 0; f < groups[g]->count; f++) {
      const check_family *family = &groups[g]->families[f];
      printf("%-12s %-24s %-28s %5d %-7s %s\n", groups[g]->name, family->op, family->name, family->variants,
             family->bench ? "rates" : "cases",
             o->level == NULL ? "" : plm_ops_cpu_origin(plm_cpu_level_detect(), family->op));
    }
}

/* ---- setting up ---- */

static plm_exec *open_exec(const options *o, plm_device *device, int threads, bool reference) {
  plm_exec *exec;
  must(plm_exec_create_cpu(device, threads, reference ? "ref" : o->level, &exec));
  if (reference) exec->ops = plm_ops_ref();
  return exec;
}

static void open_backend(check *k, const options *o) {
  bool reference = strcmp(o->backend, "ref") == 0;
  must(o->guarded ? plm_device_guarded_create(&k->device) : plm_device_cpu_create(&k->device));
  must(plm_device_cpu_create(&k->truth_device));
  k->tested = open_exec(o, k->device, o->threads, reference);
  k->single = open_exec(o, k->device, 1, reference);
  k->truth = open_exec(o, k->truth_device, 1, true);
  must(plm_exec_reserve(k->truth, 1 << 16)); /* for the gradient checks; other calls raise it as they need */
  if (o->guarded) k->tested->ops = k->single->ops = plm_ops_guarded(k->tested->ops);
  k->current = k->tested;
}

static void close_backend(check *k) {
  check_free_workspace(k);
  plm_exec_destroy(k->tested);
  plm_exec_destroy(k->single);
  plm_exec_destroy(k->truth);
  plm_device_destroy(k->device);
  plm_device_destroy(k->truth_device);
}

/* The level's number, or -1. */
static int find_level(const char *name) {
  for (int level = PLM_CPU_REF; level <= PLM_CPU_AMX; level++)
    if (strcmp(name, plm_cpu_level_name((plm_cpu_level)level)) == 0) return level;
  return -1;
}

static int usage(const char *what) {
  fprintf(
      stderr,
      "checkop: %s\n"
      "usage: checkop [--backend ref|cpu] [--level ref|avx2|avx512|avx512bf16|amx] [--op OP [--case N]] [--seed N] [--threads N]\n"
      "               [--quick] [--guarded] [--bench OP|all] [--list]\n",
      what);
  return 2;
}

static bool parse_flag(options *o, const char *name) {
  if (strcmp(name, "--list") == 0)
    o->list = true;
  else if (strcmp(name, "--guarded") == 0)
    o->guarded = true;
  else if (strcmp(name, "--quick") == 0)
    o->stride = 11;
  else
    return false;
  return true;
}

static bool parse_value(options *o, const char *name, const char *value) {
  if (strcmp(name, "--backend") == 0)
    o->backend = value;
  else if (strcmp(name, "--level") == 0)
    o->level = value;
  else if (strcmp(name, "--op") == 0)
    o->op = value;
  else if (strcmp(name, "--bench") == 0)
    o->bench = value;
  else if (strcmp(name, "--case") == 0)
    o->case_number = atoi(value);
  else if (strcmp(name, "--threads") == 0)
    o->threads = atoi(value);
  else if (strcmp(name, "--seed") == 0)
    o->seed = strtoull(value, NULL, 10);
  else
    return false;
  return o->threads >= 1;
}

int main(int argc, char **argv) {
  options o = {.backend = "ref", .case_number = -1, .threads = 3, .stride = 1, .seed = 1};
  for (int i = 1; i < argc; i++) {
    if (parse_flag(&o, argv[i])) continue;
    if (i + 1 == argc || !parse_value(&o, argv[i], argv[i + 1])) return usage(argv[i]);
    i++;
  }
  bool reference = strcmp(o.backend, "ref") == 0;
  if (!reference && strcmp(o.backend, "cpu") != 0) return usage("there are two backends, ref and cpu");
  if (reference) o.level = NULL;
  if (!reference && o.level == NULL) o.level = plm_cpu_level_name(plm_cpu_level_detect());
  if (o.level != NULL && find_level(o.level) < 0) return usage("unknown level");
  if (o.level != NULL && find_level(o.level) > (int)plm_cpu_level_detect()) {
    printf("SKIP this processor or build has no %s; it has %s\n", o.level, plm_cpu_level_name(plm_cpu_level_detect()));
    return 77;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (o.list) return list_all(&o), 0;
  check k = {.backend = o.backend, .level = o.level, .seed = o.seed, .bench = o.bench != NULL};
  open_backend(&k, &o);
  int code = run_all(&k, &o);
  close_backend(&k);
  if (plm_alloc_live() == 0) return code;
  printf("FAIL %lld allocations were never freed\n", (long long)plm_alloc_live());
  return 1;
}
