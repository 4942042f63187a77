/* loader.c - see loader.h. One step is prepared in loader_slot.c; the threads that run ahead are in
 * loader_threads.c. */
#include "data/loader.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "data/loader_slot.h"
#include "data/loader_threads.h"

struct plm_loader {
  plm_view view; /* borrowed */
  plm_loader_options options;
  plm_sampler *sampler;
  plm_loader_threads *threads; /* NULL: no workers, all happens in `slot` */
  plm_loader_slot slot;
  int64_t next; /* step that must be asked for; -1: any */
};

plm_status plm_loader_create(const plm_view *view, const plm_loader_options *options, plm_loader **ret_loader) {
  PLM_ASSERT(options->rank >= 0 && options->rank < options->ranks && options->workers >= 0);
  PLM_ASSERT(options->sampler.max_length == options->packer.max_length &&
             options->sampler.alphabet == options->packer.alphabet);
  plm_status status = PLM_OK;
  plm_loader *loader = NULL;
  PLM_TRY(plm_packer_check(view->dataset, &options->packer));
  PLM_TRY(PLM_NEW(&loader, 1));
  loader->view = *view;
  loader->options = *options;
  loader->next = -1;
  PLM_TRY_GOTO(plm_sampler_create(&loader->view, &options->sampler, &loader->sampler), fail);
  if (options->workers > 0)
    PLM_TRY_GOTO(plm_loader_threads_create(&loader->view, &loader->options, loader->sampler, &loader->threads), fail);
  *ret_loader = loader;
  return PLM_OK;
fail:
  plm_loader_destroy(loader);
  return status;
}

void plm_loader_destroy(plm_loader *loader) {
  if (loader == NULL) return;
  plm_loader_threads_destroy(loader->threads);
  plm_loader_slot_clear(&loader->slot);
  plm_sampler_destroy(loader->sampler);
  plm_free(loader);
}

int64_t plm_loader_steps_per_epoch(const plm_loader *loader) { return plm_sampler_steps_per_epoch(loader->sampler); }
int64_t plm_loader_tokens_per_epoch(const plm_loader *loader) { return plm_sampler_total_tokens(loader->sampler); }

plm_status plm_loader_get(plm_loader *loader, int64_t step, const plm_step_batch **ret_batch, double *ret_waited) {
  PLM_ASSERT(step >= 0 && (loader->next < 0 || step == loader->next));
  const plm_loader_slot *slot = &loader->slot;
  double start = plm_clock_monotonic();
  loader->next = step + 1;
  if (loader->threads != NULL) {
    PLM_TRY(plm_loader_threads_take(loader->threads, step, &slot));
  } else {
    PLM_TRY(plm_loader_slot_sample(&loader->slot, loader->sampler, step));
    PLM_TRY(plm_loader_slot_pack(&loader->slot, &loader->view, &loader->options));
  }
  *ret_batch = &slot->batch;
  if (ret_waited != NULL) *ret_waited = plm_clock_monotonic() - start;
  return PLM_OK;
}

plm_status plm_loader_inspect(const plm_view *view, const plm_loader_options *options, int64_t step, plm_packed *packed,
                              int64_t *ret_epoch) {
  plm_sampler *sampler = NULL;
  const int64_t *ids;
  int64_t count, epoch;
  PLM_TRY(plm_sampler_create(view, &options->sampler, &sampler));
  plm_status status = plm_sampler_batch(sampler, step, &epoch, &ids, &count);
  if (status == PLM_OK) status = plm_pack(view->dataset, &options->packer, (uint32_t)epoch, ids, count, packed);
  if (status == PLM_OK && ret_epoch != NULL) *ret_epoch = epoch;
  plm_sampler_destroy(sampler);
  return status;
}
