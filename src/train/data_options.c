/* data_options.c - see data_options.h */
#include "train/data_options.h"

#include <string.h>

#include "protlm/log.h"

plm_alphabet_policy plm_data_policy(const plm_data_options *options) {
  return plm_alphabet_policy_from_words(options->lowercase, options->on_invalid);
}

plm_status plm_data_open(const plm_data_options *options, const plm_string_list *paths, const plm_data_reader *reader,
                         plm_dataset **ret_dataset) {
  const plm_dataset_options data = {
      .paths = {paths->items, paths->count},
      .cache_directory = options->cache_dir,
      .policy = plm_data_policy(options),
      .threads = reader->threads,
      .interrupted = reader->interrupted,
      .hdf5_dataset = options->hdf5_dataset,
      .hdf5_ids = options->hdf5_ids,
      .hdf5_reader = reader->program,
  };
  return plm_dataset_open(&data, ret_dataset);
}

void plm_data_warn(const plm_data_options *options, const plm_dataset *dataset) {
  if (strcmp(options->alphabet_check, "off") == 0) return;
  const plm_dataset_info *info = plm_dataset_get_info(dataset);
  if (!plm_dataset_looks_like_nucleotides(info)) return;
  plm_warn(
      "%s: these look like nucleotides, and are read as amino acids; translate them first, or silence this with "
      "--alphabet-check off",
      info->source);
}

void plm_data_log(const plm_data_options *options, const plm_dataset *dataset, const plm_alphabet *alphabet) {
  const plm_alphabet_policy policy = plm_data_policy(options);
  plm_dataset_log(dataset, alphabet, &policy);
  plm_data_warn(options, dataset);
}
