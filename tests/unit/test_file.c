/* The file layer writes whole files or none, reads with limits, and says what and why. */
#define _GNU_SOURCE
#include "support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "protlm/log.h"
#include "base/lost_file.h"
#include "support/scratch.h"

/* ---- reading ---- */

static void a_file_is_read_whole_with_a_nul_behind_it(void **state) {
  (void)state;
  char *data;
  size_t bytes;
  scratch_write("a", "ab\0cd", 5);
  assert_ok(plm_file_read(scratch_path("a"), 5, &data, &bytes));
  assert_int_equal(bytes, 5);
  assert_memory_equal(data, "ab\0cd", 6);
  plm_free(data);
  scratch_write("empty", "", 0);
  assert_ok(plm_file_read(scratch_path("empty"), 0, &data, &bytes));
  assert_int_equal(bytes, 0);
  assert_int_equal(data[0], '\0');
  plm_free(data);
  assert_ok(plm_file_read("/proc/self/status", 1 << 20, &data, &bytes)); /* st_size is 0 */
  assert_true(bytes > 100);
  plm_free(data);
}

static void a_pipe_is_read_to_its_end(void **state) {
  (void)state;
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  assert_int_equal(write(ends[1], "seed: 7\n", 8), 8);
  close(ends[1]);
  char path[64], *data;
  size_t bytes;
  snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
  assert_ok(plm_stream_read(path, 100, &data, &bytes));
  assert_string_equal(data, "seed: 7\n");
  plm_free(data);
  close(ends[0]);
}

static void what_cannot_be_read_is_named(void **state) {
  (void)state;
  char *data;
  size_t bytes;
  plm_mapping mapping;
  int64_t size;
  scratch_write("six", "123456", 6);
  assert_fails(plm_file_read(scratch_path("six"), 5, &data, &bytes), PLM_E_INPUT, "larger than 5 B");
  assert_fails(plm_file_read(scratch_path("absent"), 5, &data, &bytes), PLM_E_INPUT, "absent: No such file");
  assert_fails(plm_file_read(scratch_path(""), 5, &data, &bytes), PLM_E_INPUT, "is a directory");
  assert_fails(plm_stream_read("/dev/zero", 1000, &data, &bytes), PLM_E_INPUT, "larger than 1000 B");
  assert_fails(plm_file_read("/dev/zero", 1000, &data, &bytes), PLM_E_INPUT, "/dev/zero: it is not a regular file");
  assert_fails(plm_file_map(scratch_path("absent"), &mapping), PLM_E_INPUT, "absent: No such file");
  assert_fails(plm_file_map("/dev/null", &mapping), PLM_E_INPUT, "not a regular file");
  assert_fails(plm_file_size(scratch_path("absent"), &size), PLM_E_INPUT, "absent");
}

static void a_mapping_shows_the_file(void **state) {
  (void)state;
  plm_mapping mapping;
  scratch_write_text("mapped", "MKV");
  assert_ok(plm_file_map(scratch_path("mapped"), &mapping));
  assert_int_equal(mapping.bytes, 3);
  assert_memory_equal(mapping.data, "MKV", 3);
  plm_file_unmap(&mapping);
  scratch_write_text("mapped", "");
  assert_ok(plm_file_map(scratch_path("mapped"), &mapping));
  assert_int_equal(mapping.bytes, 0);
  assert_non_null(mapping.data);
  plm_file_unmap(&mapping);
}

static void set_time_of_change(const char *name, time_t seconds) {
  const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = seconds}};
  assert_int_equal(utimensat(AT_FDCWD, scratch_path(name), times, 0), 0);
}

static void a_mapped_file_can_be_looked_at_again(void **state) {
  (void)state;
  plm_mapping mapping;
  scratch_write_text("watched", "MKVLA");
  set_time_of_change("watched", 1000);
  assert_ok(plm_file_map(scratch_path("watched"), &mapping));
  assert_int_equal(plm_file_check_unchanged(scratch_path("watched"), &mapping), PLM_FILE_UNCHANGED);
  set_time_of_change("watched", 1001);
  assert_int_equal(plm_file_check_unchanged(scratch_path("watched"), &mapping), PLM_FILE_TOUCHED);
  assert_int_equal(truncate(scratch_path("watched"), 4), 0);
  assert_int_equal(plm_file_check_unchanged(scratch_path("watched"), &mapping), PLM_FILE_CUT);
  assert_ok(plm_file_replace(scratch_path("watched"), "M", 1)); /* another file, by rename */
  assert_int_equal(plm_file_check_unchanged(scratch_path("watched"), &mapping), PLM_FILE_UNCHANGED);
  assert_ok(plm_file_remove(scratch_path("watched")));
  assert_int_equal(plm_file_check_unchanged(scratch_path("watched"), &mapping), PLM_FILE_UNCHANGED);
  plm_file_unmap(&mapping);
}

static int tell_to = -1;
static void tell_path_and_leave(const char *path) {
  ssize_t written = write(tell_to, path, strlen(path));
  _exit(written > 0 ? 7 : 8);
}

/* In a process of its own, as it does not live long. */
static int read_after_truncation(const char *path, FILE *said) {
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    plm_mapping mapping;
    tell_to = fileno(said);
    plm_on_lost_file(tell_path_and_leave);
    if (plm_file_map(path, &mapping) != PLM_OK || truncate(path, 0) != 0) _exit(100);
    volatile char first = *(const volatile char *)mapping.data;
    _exit(first == 'M' ? 101 : 102);
  }
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void a_page_that_is_lost_is_told_with_the_name_of_its_file(void **state) {
  (void)state;
  char words[512] = "";
  FILE *said = tmpfile();
  scratch_write_text("lost_page", "MKVLA");
  assert_int_equal(read_after_truncation(scratch_path("lost_page"), said), 7);
  rewind(said);
  words[fread(words, 1, sizeof words - 1, said)] = '\0';
  fclose(said);
  assert_string_equal(words, scratch_path("lost_page"));
}

/* Whose writer never comes. */
static void a_fifo_does_not_hold_anything_up(void **state) {
  (void)state;
  plm_mapping mapping;
  char *data;
  size_t bytes;
  assert_int_equal(mkfifo(scratch_path("fifo"), 0600), 0);
  assert_fails(plm_file_map(scratch_path("fifo"), &mapping), PLM_E_INPUT, "not a regular file");
  assert_fails(plm_file_read(scratch_path("fifo"), 100, &data, &bytes), PLM_E_INPUT, "not a regular file");
}

/* As `--config fifo` does, whose writer comes later and writes in pieces. */
static void a_stream_is_read_from_its_first_writer_to_its_last_byte(void **state) {
  (void)state;
  char *data;
  size_t bytes;
  int status;
  assert_int_equal(mkfifo(scratch_path("late"), 0600), 0);
  const pid_t writer = fork();
  if (writer == 0) {
    usleep(200000);
    const int fd = open(scratch_path("late"), O_WRONLY);
    if (write(fd, "seed", 4) != 4) _exit(1);
    usleep(100000);
    _exit(write(fd, ": 7\n", 4) == 4 ? 0 : 1);
  }
  assert_ok(plm_stream_read(scratch_path("late"), 100, &data, &bytes));
  assert_string_equal(data, "seed: 7\n");
  plm_free(data);
  assert_int_equal(waitpid(writer, &status, 0), writer);
  assert_int_equal(status, 0);
}

static int preads_before_success;
static ssize_t flaky_pread(int fd, void *data, size_t bytes, off_t offset) {
  if (preads_before_success-- > 0) {
    errno = EIO;
    return -1;
  }
  return plm_fs_real()->pread(fd, data, bytes > 2 ? 2 : bytes, offset);
}

static void passing_read_errors_are_survived_and_lasting_ones_reported(void **state) {
  (void)state;
  plm_fs table = *plm_fs_real();
  table.pread = flaky_pread;
  char *data;
  size_t bytes;
  scratch_write_text("flaky", "MKVLA");
  plm_fs_set(&table);
  preads_before_success = 3;
  assert_ok(plm_file_read(scratch_path("flaky"), 100, &data, &bytes));
  assert_string_equal(data, "MKVLA");
  plm_free(data);
  preads_before_success = 4;
  assert_fails(plm_file_read(scratch_path("flaky"), 100, &data, &bytes), PLM_E_INPUT, "flaky: Input/output error");
  plm_fs_set(NULL);
}

/* ---- writing ---- */

static void the_writer_counts_hashes_and_keeps_every_byte(void **state) {
  (void)state;
  plm_writer *writer;
  char hash[33], *large;
  assert_ok(PLM_NEW(&large, 600000));
  memset(large, 'x', 600000);
  assert_ok(plm_writer_open(scratch_path("w"), &writer));
  assert_ok(plm_writer_write(writer, "begin\n", 6));
  assert_ok(plm_writer_write(writer, large, 600000)); /* past the buffer */
  large[5000] = '\0';
  assert_ok(plm_writer_write(writer, large, 5000));
  for (int i = 0; i < 100000; i++)
    assert_ok(plm_writer_write(writer, "abcdef", 6)); /* through the buffer, several times */
  assert_int_equal(plm_writer_bytes(writer), 6 + 600000 + 5000 + 600000);
  assert_ok(plm_writer_close(&writer, hash));
  plm_free(large);

  plm_mapping mapping;
  assert_ok(plm_file_map(scratch_path("w"), &mapping));
  assert_int_equal(mapping.bytes, 6 + 600000 + 5000 + 600000);
  const char *bytes = mapping.data;
  assert_memory_equal(bytes, "begin\nxxx", 9);
  assert_memory_equal(bytes + 6 + 605000 - 1, "xabcdefabcdef", 13);
  assert_memory_equal(bytes + mapping.bytes - 7, "fabcdef", 7);
  plm_file_unmap(&mapping);
  assert_int_equal(strlen(hash), 32);
}

static void the_writer_never_touches_an_existing_file(void **state) {
  (void)state;
  plm_writer *writer;
  scratch_write_text("mine", "mine");
  assert_fails(plm_writer_open(scratch_path("mine"), &writer), PLM_E_RESOURCE, "mine: File exists");
  assert_string_equal(scratch_read("mine"), "mine");
  assert_fails(plm_writer_open(scratch_path("no/such/place"), &writer), PLM_E_RESOURCE, "No such file");
}

static void an_abandoned_file_is_gone(void **state) {
  (void)state;
  plm_writer *writer;
  assert_ok(plm_writer_open(scratch_path("gone"), &writer));
  assert_ok(plm_writer_write(writer, "x", 1));
  plm_writer_abandon(writer);
  assert_false(plm_file_exists(scratch_path("gone")));
  plm_writer_abandon(NULL);
}

static int lying_stat(const char *path, struct stat *facts) {
  int result = plm_fs_real()->stat(path, facts);
  if (result == 0) facts->st_size -= 1;
  return result;
}

static void a_file_system_that_loses_bytes_is_caught_at_close(void **state) {
  (void)state;
  plm_fs table = *plm_fs_real();
  table.stat = lying_stat;
  plm_writer *writer;
  plm_fs_set(&table);
  assert_ok(plm_writer_open(scratch_path("lost"), &writer));
  assert_ok(plm_writer_write(writer, "12345", 5));
  assert_fails(plm_writer_close(&writer, NULL), PLM_E_RESOURCE, "has 4 bytes after 5 were written");
  plm_fs_set(NULL);
  assert_false(plm_file_exists(scratch_path("lost")));
}

static int full_fsync(int fd) {
  (void)fd;
  errno = ENOSPC;
  return -1;
}

static void a_full_disk_is_reported_with_what_is_left(void **state) {
  (void)state;
  plm_fs table = *plm_fs_real();
  table.fsync = full_fsync;
  scratch_write_text("kept", "old");
  plm_fs_set(&table);
  assert_fails(plm_file_replace(scratch_path("kept"), "new", 3), PLM_E_RESOURCE, "No space left on device");
  assert_non_null(strstr(plm_error_hint(), "are free there"));
  plm_fs_set(NULL);
  assert_string_equal(scratch_read("kept"), "old");
}

static size_t count_names(const char *directory) {
  char **names;
  size_t count;
  assert_ok(plm_directory_list(scratch_path(directory), &names, &count));
  plm_names_free(names, count);
  return count;
}

static void replacing_leaves_one_file_with_the_new_bytes(void **state) {
  (void)state;
  assert_ok(plm_directory_create(scratch_path("r")));
  assert_ok(plm_file_replace(scratch_path("r/f"), "one", 3));
  assert_string_equal(scratch_read("r/f"), "one");
  assert_ok(plm_file_replace(scratch_path("r/f"), "second", 6));
  assert_string_equal(scratch_read("r/f"), "second");
  assert_int_equal(count_names("r"), 1);
}

static void a_leftover_temporary_of_the_same_process_id_is_no_obstacle(void **state) {
  (void)state;
  char name[64];
  assert_ok(plm_directory_create(scratch_path("l")));
  snprintf(name, sizeof name, "l/tmp-f-%ld-0", (long)getpid());
  scratch_write_text(name, "leftover");
  assert_ok(plm_file_replace(scratch_path("l/f"), "new", 3));
  assert_string_equal(scratch_read("l/f"), "new");
  snprintf(name, sizeof name, "l/tmp-k-%ld-0", (long)getpid());
  scratch_write_text(name, "leftover");
  assert_ok(plm_link_replace("f", scratch_path("l/k")));
  assert_string_equal(scratch_read("l/k"), "new");
}

static void an_appender_adds_lines_to_what_is_there(void **state) {
  (void)state;
  plm_appender *appender;
  for (int i = 0; i < 2; i++) {
    assert_ok(plm_appender_open(scratch_path("log"), &appender));
    assert_ok(plm_appender_write(appender, "line\n", 5));
    assert_ok(plm_appender_close(&appender));
  }
  assert_string_equal(scratch_read("log"), "line\nline\n");
  assert_null(appender);
  assert_ok(plm_appender_close(&appender));
}

static char said[256];
static void remember(void *user, plm_log_level level, const char *line) {
  (void)user, (void)level;
  snprintf(said, sizeof said, "%s", line);
}

static void a_log_that_is_removed_is_said_once(void **state) {
  (void)state;
  plm_appender *appender;
  plm_log_set_sink(remember, NULL);
  assert_ok(plm_appender_open(scratch_path("removed"), &appender));
  assert_ok(plm_appender_sync(appender));
  assert_string_equal(said, "");
  assert_ok(plm_file_remove(scratch_path("removed")));
  assert_ok(plm_appender_sync(appender));
  assert_non_null(strstr(said, "/removed was removed while it is written to"));
  said[0] = '\0';
  assert_ok(plm_appender_sync(appender));
  assert_string_equal(said, "");
  assert_ok(plm_appender_close(&appender));
  plm_log_set_sink(NULL, NULL);
}

static int writes_left;
static ssize_t filling_write(int fd, const void *data, size_t bytes) {
  if (writes_left-- > 0) return plm_fs_real()->write(fd, data, bytes > 3 ? 3 : bytes);
  errno = ENOSPC;
  return -1;
}

static void a_line_that_does_not_fit_leaves_no_half_behind(void **state) {
  (void)state;
  plm_fs table = *plm_fs_real();
  table.write = filling_write;
  plm_appender *appender;
  assert_ok(plm_appender_open(scratch_path("half"), &appender));
  assert_ok(plm_appender_write(appender, "whole\n", 6));
  plm_fs_set(&table);
  writes_left = 1;
  assert_fails(plm_appender_write(appender, "second\n", 7), PLM_E_RESOURCE, "No space left");
  plm_fs_set(NULL);
  assert_ok(plm_appender_write(appender, "third\n", 6));
  assert_ok(plm_appender_close(&appender));
  assert_string_equal(scratch_read("half"), "whole\nthird\n");
}

/* ---- directories and names ---- */

static void directories_are_made_with_parents_and_removed_whole(void **state) {
  (void)state;
  assert_ok(plm_directory_make(scratch_path("d/e/f")));
  assert_ok(plm_directory_make(scratch_path("d/e/f/")));
  assert_true(plm_file_is_directory(scratch_path("d/e/f")));
  assert_fails(plm_directory_create(scratch_path("d/e")), PLM_E_RESOURCE, "File exists");
  scratch_write_text("d/file", "x");
  assert_fails(plm_directory_make(scratch_path("d/file")), PLM_E_RESOURCE, "a file of that name exists");
  assert_fails(plm_directory_make(scratch_path("d/file/under")), PLM_E_RESOURCE, "a file of that name exists");
  scratch_write_text("outside", "kept");
  assert_int_equal(symlink("../../outside", scratch_path("d/e/link")), 0);
  assert_int_equal(symlink("..", scratch_path("d/e/up")), 0);
  assert_ok(plm_tree_remove(scratch_path("d")));
  assert_false(plm_file_exists(scratch_path("d")));
  assert_string_equal(scratch_read("outside"), "kept");
  assert_ok(plm_tree_remove(scratch_path("d")));
}

static void names_come_sorted_by_their_bytes(void **state) {
  (void)state;
  assert_ok(plm_directory_create(scratch_path("s")));
  const char *const made[] = {"s/b", "s/B", "s/a10", "s/a9", "s/.h"};
  for (size_t i = 0; i < 5; i++) scratch_write_text(made[i], "");
  char **names;
  size_t count;
  assert_ok(plm_directory_list(scratch_path("s"), &names, &count));
  const char *const sorted[] = {".h", "B", "a10", "a9", "b"};
  assert_int_equal(count, 5);
  for (size_t i = 0; i < 5; i++) assert_string_equal(names[i], sorted[i]);
  plm_names_free(names, count);
  assert_fails(plm_directory_list(scratch_path("s/b"), &names, &count), PLM_E_INPUT, "Not a directory");
}

static void a_link_is_replaced_in_one_step(void **state) {
  (void)state;
  assert_ok(plm_directory_make(scratch_path("k/one")));
  assert_ok(plm_directory_make(scratch_path("k/two")));
  assert_ok(plm_link_replace("one", scratch_path("k/latest")));
  assert_ok(plm_link_replace("two", scratch_path("k/latest")));
  char target[16] = "";
  assert_int_equal(readlink(scratch_path("k/latest"), target, sizeof target), 3);
  assert_string_equal(target, "two");
  assert_int_equal(count_names("k"), 3);
  assert_fails(plm_file_rename(scratch_path("k/three"), scratch_path("k/four")), PLM_E_RESOURCE, "k/three to ");
  assert_ok(plm_file_remove(scratch_path("k/three")));
}

static void paths_are_joined_and_taken_apart(void **state) {
  (void)state;
  const struct {
    const char *directory, *name, *expected;
  } joins[] = {{"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"a//", "b", "a/b"}, {"/", "b", "/b"},
               {"", "b", "b"},    {".", "b", "./b"},  {"a", "/b", "/b"}};
  for (size_t i = 0; i < sizeof joins / sizeof *joins; i++) {
    char *path;
    assert_ok(plm_path_join(joins[i].directory, joins[i].name, &path));
    assert_string_equal(path, joins[i].expected);
    plm_free(path);
  }
  const struct {
    const char *path, *parent;
  } parents[] = {{"a/b", "a"}, {"a/b/", "a"}, {"a", "."}, {"/a", "/"},
                 {"/", "/"},   {"a//b", "a"}, {"", "."},  {"//a", "/"}};
  for (size_t i = 0; i < sizeof parents / sizeof *parents; i++) {
    char *parent;
    assert_ok(plm_path_parent(parents[i].path, &parent));
    assert_string_equal(parent, parents[i].parent);
    plm_free(parent);
  }
  assert_string_equal(plm_path_name("a/b.c"), "b.c");
  assert_string_equal(plm_path_name("b.c"), "b.c");
  assert_true(plm_path_is_plain("b.c") && plm_path_is_plain(".b"));
  const char *const leading_away[] = {"", "/b", "a/b", "..", "../b", "a\\b", "b/"};
  for (size_t i = 0; i < sizeof leading_away / sizeof *leading_away; i++)
    assert_false(plm_path_is_plain(leading_away[i]));
}

static void assert_expands(const char *path, const char *expected) {
  char *expanded;
  assert_ok(plm_path_expand_home(path, "--output-dir", &expanded));
  assert_string_equal(expanded, expected);
  plm_free(expanded);
}

static void a_tilde_is_a_home_directory(void **state) {
  (void)state;
  char *path, *before = strdup(getenv("HOME") != NULL ? getenv("HOME") : "/");
  setenv("HOME", "/home/ada", 1);
  assert_expands("~", "/home/ada");
  assert_expands("~/", "/home/ada");
  assert_expands("~/run/final", "/home/ada/run/final");
  assert_expands("~//run", "/home/ada/run");
  assert_expands("./~/run", "./~/run");
  assert_expands("a~", "a~");
  assert_expands("", "");
  assert_expands("~nobody-of-this-name/x", "~nobody-of-this-name/x");
  const struct passwd *root = getpwuid(0);
  if (root != NULL && strcmp(root->pw_name, "root") == 0) {
    char expected[300];
    snprintf(expected, sizeof expected, "%s/x", root->pw_dir);
    assert_expands("~root/x", expected);
  }
  setenv("HOME", "", 1);
  assert_fails(plm_path_expand_home("~/x", "--output-dir ~/x", &path), PLM_E_USAGE,
               "--output-dir ~/x: HOME is not set");
  unsetenv("HOME");
  assert_fails(plm_path_expand_home("~", "PROTLM_CACHE", &path), PLM_E_USAGE, "PROTLM_CACHE: HOME is not set");
  assert_expands("./~", "./~");
  setenv("HOME", before, 1);
  free(before);
}

static void free_space_is_known_also_for_what_is_still_to_be_made(void **state) {
  (void)state;
  int64_t here, below;
  assert_ok(plm_disk_free(scratch_path(""), &here));
  assert_ok(plm_disk_free(scratch_path("not/yet/made"), &below));
  assert_true(here > 0 && below > 0);
}

/* ---- lock ---- */

static void a_second_process_finds_the_lock_held_until_the_first_dies(void **state) {
  (void)state;
  int ready[2];
  assert_int_equal(pipe(ready), 0);
  pid_t child = fork();
  if (child == 0) {
    plm_lock *lock;
    bool held;
    if (plm_lock_take(scratch_path("lock"), "node7 42", &lock, &held, NULL) != PLM_OK || held) _exit(1);
    if (write(ready[1], "r", 1) != 1) _exit(1);
    pause();
    _exit(0);
  }
  char byte;
  assert_int_equal(read(ready[0], &byte, 1), 1);
  plm_lock *lock;
  bool held;
  char *holder;
  assert_ok(plm_lock_take(scratch_path("lock"), "node8 43", &lock, &held, &holder));
  assert_true(held);
  assert_null(lock);
  assert_string_equal(holder, "node7 42");
  plm_free(holder);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  assert_ok(plm_lock_take(scratch_path("lock"), "node8 43", &lock, &held, NULL));
  assert_false(held);
  assert_string_equal(scratch_read("lock"), "node8 43");
  plm_lock_release(lock);
  assert_string_equal(scratch_read("lock"), "");
  plm_lock_release(NULL);
  close(ready[0]);
  close(ready[1]);
}

/* ---- every allocation ---- */

static plm_status do_everything(void) {
  char *data = NULL, **names = NULL;
  size_t bytes, count = 0;
  plm_lock *lock = NULL;
  bool held;
  plm_status status;
  plm_appender *appender = NULL;
  PLM_TRY_GOTO(plm_directory_make(scratch_path("all/x")), done);
  PLM_TRY_GOTO(plm_lock_take(scratch_path("all/lock"), "me", &lock, &held, NULL), done);
  PLM_TRY_GOTO(plm_file_replace(scratch_path("all/x/f"), "abc", 3), done);
  PLM_TRY_GOTO(plm_link_replace("f", scratch_path("all/x/l")), done);
  PLM_TRY_GOTO(plm_file_read(scratch_path("all/x/l"), 100, &data, &bytes), done);
  PLM_TRY_GOTO(plm_directory_list(scratch_path("all/x"), &names, &count), done);
  PLM_TRY_GOTO(plm_appender_open(scratch_path("all/x/log"), &appender), done);
  PLM_TRY_GOTO(plm_appender_write(appender, "x\n", 2), done);
done:
  if (status == PLM_OK)
    status = plm_appender_close(&appender);
  else
    (void)!plm_appender_close(&appender);
  plm_names_free(names, count);
  plm_free(data);
  plm_lock_release(lock);
  if (status == PLM_OK) status = plm_tree_remove(scratch_path("all"));
  return status;
}

static void any_failed_allocation_ends_in_a_status_without_a_leak(void **state) {
  (void)state;
  int64_t live = plm_alloc_live(), n = 1;
  for (;; n++) {
    plm_alloc_fail_at(n);
    plm_status status = do_everything();
    plm_alloc_fail_at(0);
    assert_int_equal(plm_alloc_live(), live);
    if (status == PLM_OK) break;
    assert_int_equal(status, PLM_E_RESOURCE);
  }
  assert_true(n > 20);
}

static void hash_of_a_file_is_the_one_taken_while_writing(void **state) {
  (void)state;
  plm_writer *writer;
  char written[33], read[33];
  int64_t bytes = 0;
  assert_ok(plm_writer_open(scratch_path("hashed"), &writer));
  for (int i = 0; i < 300000; i++) {
    char line[32];
    assert_ok(plm_writer_write(writer, line, (size_t)snprintf(line, sizeof line, "line %d\n", i)));
  }
  assert_ok(plm_writer_close(&writer, written));
  assert_ok(plm_file_hash(scratch_path("hashed"), read, &bytes));
  assert_string_equal(written, read);
  assert_true(bytes > 1 << 21);
  assert_fails(plm_file_hash(scratch_path("nothing"), read, &bytes), PLM_E_INPUT, "nothing");
}

static void finding_tells_absent_from_unknown(void **state) {
  (void)state;
  bool exists = true;
  assert_ok(plm_file_find(scratch_path("absent"), &exists));
  assert_false(exists);
  assert_ok(plm_file_find(scratch_path(""), &exists));
  assert_true(exists);
  char too_long[300]; /* more than a file name may have */
  memset(too_long, 'x', sizeof too_long - 1);
  too_long[sizeof too_long - 1] = '\0';
  assert_fails(plm_file_find(scratch_path(too_long), &exists), PLM_E_INPUT, "name too long");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_file_is_read_whole_with_a_nul_behind_it),
      cmocka_unit_test(a_pipe_is_read_to_its_end),
      cmocka_unit_test(what_cannot_be_read_is_named),
      cmocka_unit_test(a_mapping_shows_the_file),
      cmocka_unit_test(a_mapped_file_can_be_looked_at_again),
      cmocka_unit_test(a_page_that_is_lost_is_told_with_the_name_of_its_file),
      cmocka_unit_test(a_fifo_does_not_hold_anything_up),
      cmocka_unit_test(a_stream_is_read_from_its_first_writer_to_its_last_byte),
      cmocka_unit_test(passing_read_errors_are_survived_and_lasting_ones_reported),
      cmocka_unit_test(the_writer_counts_hashes_and_keeps_every_byte),
      cmocka_unit_test(the_writer_never_touches_an_existing_file),
      cmocka_unit_test(an_abandoned_file_is_gone),
      cmocka_unit_test(a_file_system_that_loses_bytes_is_caught_at_close),
      cmocka_unit_test(a_full_disk_is_reported_with_what_is_left),
      cmocka_unit_test(replacing_leaves_one_file_with_the_new_bytes),
      cmocka_unit_test(a_leftover_temporary_of_the_same_process_id_is_no_obstacle),
      cmocka_unit_test(an_appender_adds_lines_to_what_is_there),
      cmocka_unit_test(a_log_that_is_removed_is_said_once),
      cmocka_unit_test(a_line_that_does_not_fit_leaves_no_half_behind),
      cmocka_unit_test(directories_are_made_with_parents_and_removed_whole),
      cmocka_unit_test(names_come_sorted_by_their_bytes),
      cmocka_unit_test(a_link_is_replaced_in_one_step),
      cmocka_unit_test(paths_are_joined_and_taken_apart),
      cmocka_unit_test(a_tilde_is_a_home_directory),
      cmocka_unit_test(free_space_is_known_also_for_what_is_still_to_be_made),
      cmocka_unit_test(a_second_process_finds_the_lock_held_until_the_first_dies),
      cmocka_unit_test(any_failed_allocation_ends_in_a_status_without_a_leak),
      cmocka_unit_test(hash_of_a_file_is_the_one_taken_while_writing),
      cmocka_unit_test(finding_tells_absent_from_unknown),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
