/* files.c - see files.h. Plain stdio: what checks the file layer must not go through it. */
#define _GNU_SOURCE
#include "integration/files.h"

#include <dirent.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/scratch.h"
#include "support/unit.h"

const char *file_path(const char *format, ...) {
  static char paths[16][1024];
  static unsigned next;
  char *path = paths[next++ % 16], relative[512];
  va_list args;
  va_start(args, format);
  vsnprintf(relative, sizeof relative, format, args);
  va_end(args);
  snprintf(path, sizeof paths[0], "%s", relative[0] == '/' ? relative : scratch_path(relative));
  return path;
}

static char *read_whole(const char *path, size_t *ret_bytes) {
  FILE *file = fopen(file_path("%s", path), "rb");
  char *data = NULL;
  size_t length = 0, room = 0;
  if (file == NULL) return NULL;
  do {
    if (length + 1 >= room) data = realloc(data, room = 2 * room + 16384);
    if (data == NULL) abort();
    size_t got = fread(data + length, 1, room - length - 1, file);
    length += got;
  } while (!feof(file) && !ferror(file));
  fclose(file);
  data[length] = '\0';
  *ret_bytes = length;
  return data;
}

const char *file_read(const char *path) {
  static char *texts[8];
  static unsigned next;
  char **slot = &texts[next++ % 8];
  size_t bytes;
  free(*slot);
  *slot = read_whole(path, &bytes);
  return *slot != NULL ? *slot : "";
}

static void write_whole(const char *path, const void *data, size_t bytes) {
  FILE *file = fopen(file_path("%s", path), "wb");
  if (file == NULL || fwrite(data, 1, bytes, file) != bytes || fclose(file) != 0) fail_msg("%s can't be written", path);
}

void file_write(const char *path, const char *text) { write_whole(path, text, strlen(text)); }

void file_copy(const char *from, const char *to) {
  size_t bytes;
  char *data = read_whole(from, &bytes);
  if (data == NULL) fail_msg("%s can't be read", from);
  write_whole(to, data, bytes);
  free(data);
}

/* In place: a run that reads the file as memory must not find it shorter for a moment. */
void file_flip_byte(const char *path, long at) {
  FILE *file = fopen(file_path("%s", path), "r+b");
  if (file == NULL) fail_msg("%s can't be read", path);
  assert_int_equal(fseek(file, at, at >= 0 ? SEEK_SET : SEEK_END), 0);
  const int byte = fgetc(file);
  assert_int_not_equal(byte, EOF);
  assert_int_equal(fseek(file, -1, SEEK_CUR), 0);
  assert_int_not_equal(fputc(byte ^ 0x10, file), EOF);
  assert_int_equal(fclose(file), 0);
}

bool file_exists(const char *path) { return access(file_path("%s", path), F_OK) == 0; }

/* -1 when the bytes are the same, else where the first difference is; fails the test when one of them isn't there. */
static long compare_files(const char *a, const char *b) {
  size_t a_bytes = 0, b_bytes = 0, same = 0;
  char *a_data = read_whole(a, &a_bytes), *b_data = read_whole(b, &b_bytes);
  if (a_data == NULL) fail_msg("%s can't be read", a);
  if (b_data == NULL) fail_msg("%s can't be read", b);
  while (same < a_bytes && same < b_bytes && a_data[same] == b_data[same]) same++;
  bool equal = a_bytes == b_bytes && same == a_bytes;
  free(a_data);
  free(b_data);
  return equal ? -1 : (long)same;
}

bool file_is_same(const char *a, const char *b) { return compare_files(a, b) < 0; }

void file_expect_same(const char *a, const char *b) {
  long at = compare_files(a, b);
  if (at >= 0) fail_msg("%s and %s differ from byte %ld on", a, b, at);
}

void file_expect_same_tensors(const char *checkpoint_a, const char *checkpoint_b) {
  static const char *const names[] = {"model.safetensors", "optimizer.safetensors"};
  for (int i = 0; i < 2; i++)
    file_expect_same(file_path("%s/%s", checkpoint_a, names[i]), file_path("%s/%s", checkpoint_b, names[i]));
}

/* ---- directories ---- */

const char *file_list(const char *directory, const char *but) {
  static char text[1 << 14];
  struct dirent **entries;
  size_t used = 0;
  int count = scandir(file_path("%s", directory), &entries, NULL, alphasort);
  text[0] = '\0';
  if (count < 0) return "(none)";
  for (int i = 0; i < count; i++) {
    const char *name = entries[i]->d_name, *path = file_path("%s/%s", directory, name);
    char target[256] = "";
    struct stat facts;
    bool hidden =
        strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || (but != NULL && strncmp(name, but, strlen(but)) == 0);
    if (!hidden && lstat(path, &facts) == 0) {
      if (S_ISLNK(facts.st_mode) && readlink(path, target, sizeof target - 1) < 0) target[0] = '\0';
      used += (size_t)snprintf(text + used, sizeof text - used, "%s%s%s%s%s", used > 0 ? " " : "", name,
                               S_ISDIR(facts.st_mode) ? "/" : "", S_ISLNK(facts.st_mode) ? "->" : "", target);
    }
    free(entries[i]);
  }
  free(entries);
  return text;
}

static uint64_t print;

static void mix(const void *data, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) print = (print ^ ((const unsigned char *)data)[i]) * 1099511628211u;
}

static int mix_one(const char *path, const struct stat *facts, int kind, struct FTW *where) {
  (void)where;
  char target[256] = "";
  mix(path, strlen(path));
  mix(&kind, sizeof kind);
  mix(&facts->st_mode, sizeof facts->st_mode);
  mix(&facts->st_mtim, sizeof facts->st_mtim);
  if (kind == FTW_SL && readlink(path, target, sizeof target - 1) >= 0) mix(target, strlen(target));
  if (kind == FTW_F) {
    size_t bytes = 0;
    char *data = read_whole(path, &bytes);
    if (data != NULL) mix(data, bytes);
    free(data);
  }
  return 0;
}

uint64_t file_fingerprint(const char *path) {
  print = 14695981039346656037u;
  if (nftw(file_path("%s", path), mix_one, 16, FTW_PHYS) != 0) fail_msg("%s can't be read", path);
  return print;
}

static int64_t look_at_checkpoints(const char *run, int *ret_count) {
  DIR *directory = opendir(file_path("%s", run));
  int64_t newest = 0;
  *ret_count = 0;
  if (directory == NULL) return 0;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    long long step;
    char rest;
    if (sscanf(entry->d_name, "checkpoint-%lld%c", &step, &rest) != 1) continue;
    ++*ret_count;
    if (step > newest && file_exists(file_path("%s/%s/MANIFEST.json", run, entry->d_name))) newest = step;
  }
  closedir(directory);
  return newest;
}

int64_t file_newest_checkpoint(const char *run) {
  int count;
  return look_at_checkpoints(run, &count);
}

int file_count_checkpoints(const char *run) {
  int count;
  look_at_checkpoints(run, &count);
  return count;
}

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *where) {
  (void)facts, (void)kind, (void)where;
  return remove(path);
}

void file_remove_tree(const char *path) {
  if (nftw(file_path("%s", path), remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0) fail_msg("%s can't be removed", path);
}
