/* files.h - looking at what a run left on disk. Paths are relative to the scratch directory unless
 * they begin with '/'. */
#ifndef TESTS_INTEGRATION_FILES_H
#define TESTS_INTEGRATION_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The path itself, in one of 16 buffers used in turn. */
const char *file_path(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The whole file as text, "" when it can't be read; in one of 8 buffers used in turn. */
const char *file_read(const char *path);
void file_copy(const char *from, const char *to);
void file_write(const char *path, const char *text);
void file_flip_byte(const char *path, long at); /* at < 0: counted from the end */
bool file_exists(const char *path);

/* Both files are there and have the same bytes; fail the test if not. */
bool file_is_same(const char *a, const char *b);
void file_expect_same(const char *a, const char *b);
/* model.safetensors and optimizer.safetensors of two checkpoints. */
void file_expect_same_tensors(const char *checkpoint_a, const char *checkpoint_b);

/* Names in a directory, sorted, separated by spaces, directories with a final '/', links as "name->target"; "(none)"
 * when it isn't there. `but`: names beginning with this are left out (NULL: none). Static buffer. */
const char *file_list(const char *directory, const char *but);

/* One number for all names, kinds, link targets, modes, times of change and bytes below a directory:
 * equal = untouched. */
uint64_t file_fingerprint(const char *path);

/* Newest checkpoint-<step> that has a manifest, 0 when there is none; and how many checkpoint-* there are. */
int64_t file_newest_checkpoint(const char *run);
int file_count_checkpoints(const char *run);

/* rm -r */
void file_remove_tree(const char *path);

#endif
