/* stream.c - the run's data: what is trained on, what it is evaluated on, and the stream of batches. */
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "protlm/log.h"
#include "train/run.h"

static plm_status open_dataset(plm_run *run, const plm_string_list *paths, plm_dataset **ret_dataset) {
  const plm_train_settings *s = run->settings;
  const plm_dataset_options options = {
      .paths = {paths->items, paths->count},
      .cache_directory = s->o->cache_dir,
      .policy = s->policy,
      .threads = (int)s->o->threads,
      .interrupted = plm_run_interrupted,
      .hdf5_reader = run->observer != NULL ? run->observer->program : NULL,
  };
  plm_run_phase(run, "reading %s%s", paths->items[0], paths->count > 1 ? " and others" : "");
  return plm_dataset_open(&options, ret_dataset);
}

/* Without a residue to predict a run would go through all its steps and learn nothing. */
static plm_status check_predictable(const plm_packer_options *packer, const int64_t histogram[256],
                                    const plm_view *view, const char *what) {
  if (plm_count_predictable(packer, histogram) > 0) return PLM_OK;
  plm_status status = plm_fail(PLM_E_INPUT, "%s: no residue of the %s sequences can be predicted",
                               plm_dataset_get_info(view->dataset)->source, what);
  return packer->mask.nonstandard
             ? status
             : plm_hint(status, "X, B, U, Z, O, '.' and '-' are predicted with --mask-nonstandard only");
}

/* What was set aside is the smaller part, so that is counted and taken off. */
static plm_status count_residues(plm_run *run) {
  plm_packer_options packer;
  int64_t histogram[256], evaluation[256];
  plm_run_packer_options(run, &packer);
  memcpy(histogram, plm_dataset_get_info(run->train_data)->histogram, sizeof histogram);
  if (run->has_eval) {
    plm_view_histogram(&run->eval, evaluation);
    PLM_TRY(check_predictable(&packer, evaluation, &run->eval, "evaluation"));
  }
  if (run->train.ids != NULL)
    for (int i = 0; i < 256; i++) histogram[i] -= evaluation[i];
  PLM_TRY(check_predictable(&packer, histogram, &run->train, "training"));
  if (!run->has_eval) return PLM_OK;
  PLM_TRY(PLM_NEW(&run->frequency, packer.alphabet->size));
  plm_residue_frequencies(&packer, histogram, run->frequency);
  return PLM_OK;
}

plm_status plm_run_open_sequences(plm_run *run) {
  const plm_train_options *o = run->settings->o;
  PLM_TRY(open_dataset(run, &o->train, &run->train_data));
  if (o->eval_fraction > 0) {
    PLM_TRY(plm_dataset_split(run->train_data, o->eval_fraction, (uint64_t)o->seed, &run->train, &run->eval));
    run->has_eval = true;
  } else {
    plm_view_all(run->train_data, &run->train);
  }
  if (o->eval.count > 0) {
    PLM_TRY(open_dataset(run, &o->eval, &run->eval_data));
    plm_view_all(run->eval_data, &run->eval);
    run->has_eval = true;
  }
  return count_residues(run);
}

void plm_run_packer_options(const plm_run *run, plm_packer_options *ret_packer) {
  const plm_train_settings *s = run->settings;
  *ret_packer = (plm_packer_options){
      .alphabet = plm_family_alphabet(s->config.family),
      .policy = s->policy,
      .mask = s->mask,
      .masked = true,
      .seed = (uint64_t)s->o->seed,
      .max_length = s->o->max_length,
      .micro_batch_tokens = run->micro_batch_tokens,
      .quadratic_cost =
          1 / (6.0 * (double)s->config.hidden_size), /* 12 L C T of attention beside 72 L C^2 of products, a token */
  };
}

void plm_run_loader_options(const plm_run *run, plm_loader_options *ret_loader) {
  const plm_train_options *o = run->settings->o;
  *ret_loader = (plm_loader_options){
      .sampler =
          {
              .seed = (uint64_t)o->seed,
              .batch_tokens = o->batch_tokens,
              .batch_sequences = run->settings->batch_sequences,
              .max_length = o->max_length,
          },
      .rank = run->comm->rank,
      .ranks = run->comm->size,
      .workers = (int)o->loader_workers,
      .ahead = 4,
  };
  plm_run_packer_options(run, &ret_loader->packer);
  ret_loader->sampler.alphabet = ret_loader->packer.alphabet;
}

plm_status plm_run_open_loader(plm_run *run) {
  plm_loader_options options;
  plm_run_loader_options(run, &options);
  run->state.global_batch_sequences = options.sampler.batch_sequences;
  return plm_loader_create(&run->train, &options, &run->loader);
}

void plm_run_close_sequences(plm_run *run) {
  plm_loader_destroy(run->loader);
  if (run->train_data != NULL) plm_view_free(&run->train);
  if (run->has_eval) plm_view_free(&run->eval);
  plm_dataset_close(run->eval_data);
  plm_dataset_close(run->train_data);
  plm_free(run->frequency);
}

/* ---- for a person ---- */

static void say_line(void *user, const char *text) { plm_info("%s: %s", (const char *)user, text); }

static void report_dataset(const plm_run *run, const plm_dataset *dataset) {
  const plm_dataset_info *info = plm_dataset_get_info(dataset);
  char count[PLM_NUMBER_TEXT], residues[PLM_NUMBER_TEXT], longest[PLM_NUMBER_TEXT];
  plm_info("%s: %s sequences, %s residues, the longest %s%s", info->source, plm_count_text(info->count, count),
           plm_count_text(info->residues, residues), plm_count_text(info->longest, longest),
           info->from_cache ? " (packed form from the cache)" : "");
  plm_dataset_report(dataset, plm_family_alphabet(run->settings->config.family), &run->settings->policy, say_line,
                     (void *)(uintptr_t)info->source);
}

plm_status plm_run_report_sequences(plm_run *run) {
  char count[PLM_NUMBER_TEXT], total[PLM_NUMBER_TEXT];
  report_dataset(run, run->train_data);
  if (run->eval_data != NULL) report_dataset(run, run->eval_data);
  if (run->train.ids != NULL)
    plm_info("%s sequences are set aside for evaluation, %s remain", plm_count_text(run->eval.count, count),
             plm_count_text(run->train.count, total));
  if (run->eval_data == NULL || run->resumed) return PLM_OK;
  int64_t shared = 0;
  PLM_TRY(plm_dataset_count_shared(&run->train, &run->eval, &shared));
  if (shared > 0)
    plm_warn(
        "%s of %s evaluation sequences stand verbatim in the training data: the evaluation will look better than it is",
        plm_count_text(shared, count), plm_count_text(run->eval.count, total));
  return PLM_OK;
}
