/* scratch.c - plain stdio on purpose: what checks the file layer must not go through it. */
#define _GNU_SOURCE
#include "support/scratch.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char directory[256];

int scratch_setup(void **state) {
  (void)state;
  const char *place = getenv("TMPDIR"), *memory = "/dev/shm"; /* where thousands of small files cost nothing */
  if (place == NULL) place = access(memory, W_OK) == 0 ? memory : "/tmp";
  snprintf(directory, sizeof directory, "%s/protlm-test-XXXXXX", place);
  return mkdtemp(directory) != NULL ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *where) {
  (void)facts, (void)kind, (void)where;
  return remove(path);
}

int scratch_teardown(void **state) {
  (void)state;
  if (getenv("PROTLM_KEEP_SCRATCH") != NULL) {
    printf("scratch directory: %s\n", directory);
    return 0;
  }
  return nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *scratch_path(const char *name) {
  static char paths[16][1024];
  static unsigned next;
  char *path = paths[next++ % 16];
  snprintf(path, sizeof paths[0], *name != '\0' ? "%s/%s" : "%s%s", directory, name);
  return path;
}

void scratch_write(const char *name, const void *data, size_t bytes) {
  FILE *file = fopen(scratch_path(name), "wb");
  if (file == NULL || fwrite(data, 1, bytes, file) != bytes || fclose(file) != 0) abort();
}

void scratch_write_text(const char *name, const char *text) { scratch_write(name, text, strlen(text)); }

const char *scratch_read(const char *name) {
  static char text[1 << 16];
  FILE *file = fopen(scratch_path(name), "rb");
  size_t length = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;
  if (file != NULL) fclose(file);
  text[length] = '\0';
  return text;
}
