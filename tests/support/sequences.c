/* sequences.c - see sequences.h */
#include "support/sequences.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "support/scratch.h"
#include "support/unit.h"

int64_t made_up_protein(uint64_t set, int64_t index, int64_t shortest, int64_t longest, char *buffer) {
  uint32_t lengths = (uint32_t)(longest - shortest + 1);
  int64_t length = shortest + plm_rng_below(plm_rng(set, PLM_RNG_INIT, (uint64_t)index, 0, 0).word[0], lengths);
  for (int64_t i = 0; i < length; i++)
    buffer[i] =
        "LAGVSERTIDPKQNFYMHWC"[plm_rng_below(plm_rng(set, PLM_RNG_INIT, (uint64_t)index, 1, (uint32_t)i).word[0], 20)];
  buffer[length] = '\0';
  return length;
}

plm_dataset_options options_for(const char **path) {
  static char cache[1024];
  snprintf(cache, sizeof cache, "%s", scratch_path("cache"));
  return (plm_dataset_options){
      .paths = {.items = path, .count = 1},
      .cache_directory = cache,
      .threads = 1,
      .hdf5_reader = PLM_BINARY_DIR "/protlm",
  };
}

static plm_dataset *open_path(const char *path) {
  plm_dataset *dataset = NULL;
  plm_dataset_options options = options_for(&path);
  assert_ok(plm_dataset_open(&options, &dataset));
  return dataset;
}

plm_dataset *open_text(const char *name, const char *text) {
  scratch_write_text(name, text);
  return open_path(scratch_path(name));
}

plm_dataset *open_made_up(uint64_t set, int64_t count, int64_t shortest, int64_t longest) {
  char name[128], *residues = malloc((size_t)longest + 1);
  snprintf(name, sizeof name, "made-up-%llu-%lld-%lld-%lld.fasta", (unsigned long long)set, (long long)count,
           (long long)shortest, (long long)longest);
  FILE *file = fopen(scratch_path(name), "wb");
  assert_non_null(file);
  for (int64_t i = 0; i < count; i++) {
    made_up_protein(set, i, shortest, longest, residues);
    fprintf(file, ">p%lld\n%s\n", (long long)i, residues);
  }
  assert_int_equal(fclose(file), 0);
  free(residues);
  return open_path(scratch_path(name));
}

plm_status open_file(const char *path, plm_dataset **ret_dataset) {
  plm_dataset_options options = options_for(&path);
  return plm_dataset_open(&options, ret_dataset);
}

const char *records_of(const plm_dataset *dataset) {
  static char text[4096];
  size_t used = 0;
  text[0] = '\0';
  for (int64_t id = 0; id < plm_dataset_count(dataset); id++) {
    char name[64];
    int64_t length;
    plm_dataset_name(dataset, id, name, sizeof name);
    const char *residues = plm_dataset_residues(dataset, id, &length);
    used +=
        (size_t)snprintf(text + used, sizeof text - used, "%s%s:%.*s", id > 0 ? "|" : "", name, (int)length, residues);
  }
  return text;
}
