/* replay.c - a fuzz target without a fuzzer: every file of a corpus, and mutations of them drawn by Philox, the same in
 * every run.
 *
 * usage: replay_<target> MUTATIONS PATH...     (files or directories; `replay_fasta 0 crash-file` reproduces a crash)
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/rng.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_BYTES = 1 << 16, MOST_FILES = 256 };

static struct {
  char *data;
  size_t bytes;
} corpus[MOST_FILES];
static size_t files;

static void add(const char *path) {
  if (files == MOST_FILES || plm_file_read(path, MOST_BYTES, &corpus[files].data, &corpus[files].bytes) != PLM_OK) {
    fprintf(stderr, "%s: %s\n", path, plm_error_message());
    exit(1);
  }
  files++;
}

static void add_directory(const char *path) {
  char **names, *file = NULL;
  size_t count;
  if (plm_directory_list(path, &names, &count) != PLM_OK) exit(1);
  for (size_t i = 0; i < count; i++) {
    if (plm_path_join(path, names[i], &file) != PLM_OK) exit(1);
    add(file);
    plm_free(file);
  }
  plm_names_free(names, count);
}

/* One to eight changes: a byte set, a bit turned, a piece repeated or removed, the end cut off, a piece of another file
 * put in. */
static size_t mutate(uint64_t round, uint8_t *data, size_t size) {
  uint32_t changes = 1 + plm_rng(0, PLM_RNG_INIT, round, 0, 0).word[0] % 8;
  for (uint32_t c = 1; c <= changes && size > 0; c++) {
    plm_rng_block r = plm_rng(0, PLM_RNG_INIT, round, 0, c);
    size_t at = r.word[1] % size, n = 1 + r.word[2] % 16;
    size_t other = r.word[3] % files;
    switch (r.word[0] % 6) {
      case 0:
        data[at] = (uint8_t)r.word[2];
        break;
      case 1:
        data[at] ^= (uint8_t)(1u << r.word[2] % 8);
        break;
      case 2:
        if (n > size - at) n = size - at;
        if (size + n > MOST_BYTES) break;
        memmove(data + at + n, data + at, size - at);
        size += n;
        break;
      case 3:
        if (n > size - at) n = size - at;
        memmove(data + at, data + at + n, size - at - n);
        size -= n;
        break;
      case 4:
        size = at;
        break;
      default:
        if (n > size - at) n = size - at;
        if (n > corpus[other].bytes) n = corpus[other].bytes;
        memcpy(data + at, corpus[other].data, n);
        break;
    }
  }
  return size;
}

int main(int argc, char **argv) {
  static uint8_t data[MOST_BYTES];
  long mutations = argc > 2 ? strtol(argv[1], NULL, 10) : -1;
  if (mutations < 0) {
    fprintf(stderr, "usage: %s MUTATIONS PATH...\n", argv[0]);
    return 2;
  }
  for (int i = 2; i < argc; i++) plm_file_is_directory(argv[i]) ? add_directory(argv[i]) : add(argv[i]);
  for (size_t i = 0; i < files; i++) LLVMFuzzerTestOneInput((const uint8_t *)corpus[i].data, corpus[i].bytes);
  for (long round = 0; round < mutations && files > 0; round++) {
    size_t which = (size_t)round % files;
    memcpy(data, corpus[which].data, corpus[which].bytes);
    LLVMFuzzerTestOneInput(data, mutate((uint64_t)round, data, corpus[which].bytes));
  }
  for (size_t i = 0; i < files; i++) plm_free(corpus[i].data);
  printf("%zu files, %ld mutations\n", files, mutations);
  return 0;
}
