/* stream.c - see stream.h. Contents: opening, what the loader is given, batches, for a person. */
#include "train/stream.h"

#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "protlm/log.h"
#include "train/evaluate.h"
#include "train/shared_data.h"

static plm_status open_dataset(const plm_train_settings *s, const plm_run_context *context,
                               const plm_string_list *paths, plm_dataset **ret_dataset) {
  const plm_data_reader reader = {
      .threads = (int)s->o->threads,
      .interrupted = plm_run_interrupted,
      .program = context->observer != NULL ? context->observer->program : NULL,
  };
  plm_run_phase(context, "reading %s%s", paths->items[0], paths->count > 1 ? " and others" : "");
  return plm_shared_data_open(context->comm, &s->o->read, paths, &reader, ret_dataset);
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
static plm_status count_residues(plm_stream *stream, const plm_train_settings *settings) {
  plm_packer_options packer;
  int64_t histogram[256], evaluation[256];
  plm_stream_packer_options(settings, settings->o->micro_batch_tokens, &packer);
  memcpy(histogram, plm_dataset_get_info(stream->train_data)->histogram, sizeof histogram);
  if (stream->has_eval) {
    plm_view_histogram(&stream->eval, evaluation);
    PLM_TRY(check_predictable(&packer, evaluation, &stream->eval, "evaluation"));
  }
  if (stream->train.ids != NULL)
    for (int i = 0; i < 256; i++) histogram[i] -= evaluation[i];
  PLM_TRY(check_predictable(&packer, histogram, &stream->train, "training"));
  if (!stream->has_eval) return PLM_OK;
  PLM_TRY(PLM_NEW(&stream->frequency, packer.alphabet->size));
  plm_residue_frequencies(&packer, histogram, stream->frequency);
  return PLM_OK;
}

static plm_status make_views(plm_stream *stream, const plm_train_options *o) {
  if (o->eval_fraction > 0) {
    PLM_TRY(plm_dataset_split(stream->train_data, o->eval_fraction, (uint64_t)o->seed, &stream->train, &stream->eval));
    stream->has_eval = true;
  } else {
    plm_view_all(stream->train_data, &stream->train);
  }
  return PLM_OK;
}

plm_status plm_stream_open(plm_stream *stream, const plm_train_settings *settings, const plm_run_context *context) {
  const plm_train_options *o = settings->o;
  PLM_TRY(open_dataset(settings, context, &o->train, &stream->train_data));
  const plm_status made = make_views(stream, o);
  PLM_TRY(context->comm != NULL ? plm_agree(context->comm, "data", made) : made);
  if (o->eval.count > 0) {
    PLM_TRY(open_dataset(settings, context, &o->eval, &stream->eval_data));
    plm_view_all(stream->eval_data, &stream->eval);
    stream->has_eval = true;
  }
  return count_residues(stream, settings);
}

void plm_stream_packer_options(const plm_train_settings *s, int64_t micro_batch_tokens,
                               plm_packer_options *ret_packer) {
  *ret_packer = (plm_packer_options){
      .alphabet = s->config.alphabet,
      .policy = plm_data_policy(&s->o->read),
      .mask = s->mask,
      .masked = true,
      .seed = (uint64_t)s->o->seed,
      .max_length = s->o->max_length,
      .micro_batch_tokens = micro_batch_tokens,
      .quadratic_cost =
          1 / (6.0 * (double)s->config.hidden_size), /* 12 L C T of attention beside 72 L C^2 of products, a token */
  };
}

void plm_stream_loader_options(const plm_train_settings *s, int64_t micro_batch_tokens, const plm_comm *comm,
                               plm_loader_options *ret_loader) {
  const plm_train_options *o = s->o;
  *ret_loader = (plm_loader_options){
      .sampler =
          {
              .seed = (uint64_t)o->seed,
              .batch_tokens = o->batch_tokens,
              .batch_sequences = s->batch_sequences,
              .max_length = o->max_length,
          },
      .rank = comm != NULL ? comm->rank : 0,
      .ranks = comm != NULL ? comm->size : 1,
      .workers = (int)o->loader_workers,
      .ahead = 4,
  };
  plm_stream_packer_options(s, micro_batch_tokens, &ret_loader->packer);
  ret_loader->sampler.alphabet = ret_loader->packer.alphabet;
}

plm_status plm_stream_open_loader(plm_stream *stream, const plm_train_settings *s, int64_t micro_batch_tokens,
                                  const plm_comm *comm) {
  plm_loader_options options;
  plm_stream_loader_options(s, micro_batch_tokens, comm, &options);
  return plm_loader_create(&stream->train, &options, &stream->loader);
}

/* Asked before, so that no more is read of a file that was changed, and after, as it may have been changed while the
 * batch was made. */
plm_status plm_stream_get(plm_stream *stream, int64_t step, const plm_step_batch **ret_batch, double *ret_waited) {
  PLM_TRY(plm_dataset_check_unchanged(stream->train_data));
  plm_status status = plm_loader_get(stream->loader, step, ret_batch, ret_waited);
  PLM_TRY(plm_dataset_check_unchanged(stream->train_data)); /* if so, that is what is wrong with the batch */
  return status;
}

void plm_stream_close(plm_stream *stream) {
  plm_loader_destroy(stream->loader);
  if (stream->train_data != NULL) plm_view_free(&stream->train);
  if (stream->has_eval) plm_view_free(&stream->eval);
  plm_dataset_close(stream->eval_data);
  plm_dataset_close(stream->train_data);
  plm_free(stream->frequency);
}

/* ---- for a person ---- */

static void report_dataset(const plm_dataset *dataset, const plm_train_settings *s) {
  const plm_dataset_info *info = plm_dataset_get_info(dataset);
  char count[PLM_COUNTED_TEXT], residues[PLM_COUNTED_TEXT], longest[PLM_NUMBER_TEXT];
  plm_info("%s: %s, %s, the longest %s%s", info->source, plm_counted(info->count, "sequence", "sequences", count),
           plm_counted(info->residues, "residue", "residues", residues), plm_count_text(info->longest, longest),
           info->from_cache ? " (packed form from the cache)" : "");
  plm_data_log(&s->o->read, dataset, s->config.alphabet);
}

/* Of which nothing is to be said twice. */
static bool are_same(const plm_dataset *one, const plm_dataset *other) {
  const plm_dataset_info *a = plm_dataset_get_info(one), *b = plm_dataset_get_info(other);
  return strcmp(a->source, b->source) == 0 && strcmp(a->content_hash, b->content_hash) == 0;
}

static void report_showing(const plm_stream *stream, const plm_train_settings *s) {
  const plm_alphabet *alphabet = s->config.alphabet;
  plm_data_showing showing = {
      .side = "training ",
      .max_length = s->o->max_length,
      .mask_probability = s->mask.probability,
  };
  plm_data_log_showing(&stream->train, alphabet, &showing);
  if (!stream->has_eval) return;
  showing = (plm_data_showing){
      .side = "evaluation ",
      .max_length = s->o->max_length,
      .is_fixed = true,
  };
  plm_data_log_showing(&stream->eval, alphabet, &showing);
}

plm_status plm_stream_report(const plm_stream *stream, const plm_train_settings *settings, bool resumed) {
  char count[PLM_COUNTED_TEXT], total[PLM_COUNTED_TEXT];
  report_dataset(stream->train_data, settings);
  if (stream->eval_data != NULL && !are_same(stream->train_data, stream->eval_data))
    report_dataset(stream->eval_data, settings);
  plm_data_warn_of_unused(&settings->o->read, &settings->o->train, &settings->o->eval);
  report_showing(stream, settings);
  if (stream->train.ids != NULL)
    plm_info("%s %s set aside for evaluation, %s %s", plm_counted(stream->eval.count, "sequence", "sequences", count),
             plm_plural(stream->eval.count, "is", "are"), plm_count_text(stream->train.count, total),
             plm_plural(stream->train.count, "remains", "remain"));
  if (stream->eval_data == NULL || resumed) return PLM_OK;
  int64_t shared = 0;
  PLM_TRY(plm_dataset_count_shared(&stream->train, &stream->eval, &shared));
  if (shared > 0)
    plm_warn("%s of %s %s verbatim in the training data: the evaluation will look better than it is",
             plm_count_text(shared, count),
             plm_counted(stream->eval.count, "evaluation sequence", "evaluation sequences", total),
             plm_plural(shared, "stands", "stand"));
  return PLM_OK;
}
