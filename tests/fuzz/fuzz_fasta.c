/* fuzz_fasta.c - any bytes at all, given as a sequence file: opened or refused, never more. Reaches FASTA, gzip, bgzf
 * and .plmd.
 *
 * HDF5 is left out: its library (1.10.8) loops for ever on a global heap whose objects have size 0, and promises
 * nothing about damaged files. Docs say so; there the answer is to import a file of unknown origin once, with FASTA as
 * the alternative.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "data/packer.h"
#include "data/read/sequence_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[64], input[96];

/* In memory if possible: every packed file is synced. */
static void make_directory(void) {
  snprintf(directory, sizeof directory, "%s/protlm-fuzz-%ld", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
           (long)getpid());
  snprintf(input, sizeof input, "%s/input", directory);
  if (plm_directory_make(directory) != PLM_OK) abort();
}

static void remove_directory(void) {
  if (plm_tree_remove(directory) != PLM_OK) abort();
}

static void check(int condition) {
  if (!condition) abort();
}

/* Everything that a run reads of a dataset. */
static void use(const plm_dataset *dataset) {
  const plm_dataset_info *info = plm_dataset_get_info(dataset);
  plm_packer_options options = {
      .alphabet = plm_alphabet_esm2(),
      .policy = {.invalid = PLM_INVALID_X},
      .masked = true,
      .max_length = 64,
      .micro_batch_tokens = 64,
  };
  plm_packed *packed = NULL;
  int64_t residues = 0;
  plm_mask_options_defaults(&options.mask);
  check(plm_packed_create(&packed) == PLM_OK);
  for (int64_t id = 0; id < info->count; id++) {
    char name[64];
    plm_dataset_name(dataset, id, name, sizeof name);
    residues += plm_dataset_length(dataset, id);
    check(plm_dataset_length(dataset, id) > 0);
    check(plm_pack(dataset, &options, 0, &id, 1, packed) == PLM_OK);
  }
  check(residues == info->residues);
  plm_packed_destroy(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static int begun;
  if (!begun++) {
    make_directory();
    atexit(remove_directory);
  }
  FILE *file = fopen(input, "wb");
  if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0) abort();
  const char *path = input;
  plm_sequence_format format = PLM_FORMAT_TEXT;
  if (plm_sequence_file_format(path, &format) == PLM_OK && format == PLM_FORMAT_HDF5) return 0;
  plm_dataset *dataset = NULL;
  plm_dataset_options options = {.paths = {.items = &path, .count = 1}, .cache_directory = directory, .threads = 1};
  options.policy.invalid = (plm_invalid)(size % 3); /* any of the three, the same one every time */
  int64_t live = plm_alloc_live();
  plm_status status = plm_dataset_open(&options, &dataset);
  check(status == PLM_OK || (status == PLM_E_INPUT && plm_error_message()[0] != '\0'));
  if (status == PLM_OK) use(dataset);
  plm_dataset_close(dataset);
  check(plm_alloc_live() == live);
  return 0;
}
