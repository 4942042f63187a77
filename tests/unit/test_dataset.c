/* A packed file is made once, found again as long as its sources are the same, and never believed
 * when it is damaged. */
#include "support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/rng.h"
#include "data/dataset.h"
#include "data/plmd_format.h"
#include "data/sort.h"
#include "support/scratch.h"
#include "support/sequences.h"

static plm_status open_at(const char *path, plm_dataset **ret_dataset) {
  plm_dataset_options options = options_for(&path);
  return plm_dataset_open(&options, ret_dataset);
}

static int64_t residues_after_opening(const char *path, bool expect_cached) {
  plm_dataset *dataset = NULL;
  assert_ok(open_at(path, &dataset));
  assert_int_equal(plm_dataset_get_info(dataset)->from_cache, expect_cached);
  int64_t residues = plm_dataset_get_info(dataset)->residues;
  plm_dataset_close(dataset);
  return residues;
}

static size_t files_in(const char *directory) {
  char **names;
  size_t count;
  assert_ok(plm_directory_list(directory, &names, &count));
  plm_names_free(names, count);
  return count;
}

/* ---- cache ---- */

static void the_second_opening_uses_the_cache(void **state) {
  (void)state;
  scratch_write_text("twice.fasta", ">a\nMKV\n");
  residues_after_opening(scratch_path("twice.fasta"), false);
  residues_after_opening(scratch_path("twice.fasta"), true);
}

static void a_changed_source_is_read_again_and_replaces_the_cache(void **state) {
  (void)state;
  scratch_write_text("changing.fasta", ">a\nMKV\n");
  assert_int_equal(residues_after_opening(scratch_path("changing.fasta"), false), 3);
  size_t files = files_in(scratch_path("cache"));
  scratch_write_text("changing.fasta", ">a\nMKVL\n");
  assert_int_equal(residues_after_opening(scratch_path("changing.fasta"), false), 4);
  /* the same size, another time in nanoseconds */
  const struct timespec times[2] = {{.tv_sec = 1000000000, .tv_nsec = 1}, {.tv_sec = 1000000000, .tv_nsec = 1}};
  scratch_write_text("changing.fasta", ">a\nMKVM\n");
  assert_int_equal(utimensat(AT_FDCWD, scratch_path("changing.fasta"), times, 0), 0);
  assert_int_equal(residues_after_opening(scratch_path("changing.fasta"), false), 4);
  assert_int_equal(residues_after_opening(scratch_path("changing.fasta"), true), 4);
  assert_int_equal(files_in(scratch_path("cache")), files);
}

static void set_time(const char *path) {
  const struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
  assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* As rsync -a, cp -p, mv, touch -r and archives with fixed dates do. */
static void a_file_of_the_same_size_and_time_is_another_file(void **state) {
  (void)state;
  char path[1024], other[1024];
  snprintf(path, sizeof path, "%s", scratch_path("replaced.fasta"));
  snprintf(other, sizeof other, "%s", scratch_path("other.fasta"));
  scratch_write_text("replaced.fasta", ">a\nMKV\n");
  set_time(path);
  residues_after_opening(path, false);
  residues_after_opening(path, true);
  scratch_write_text("replaced.fasta", ">\nMKVW\n"); /* in place */
  set_time(path);
  assert_int_equal(residues_after_opening(path, false), 4);
  scratch_write_text("other.fasta", ">ab\nMK\n"); /* by a rename */
  set_time(other);
  assert_int_equal(rename(other, path), 0);
  assert_int_equal(residues_after_opening(path, false), 2);
  scratch_write_text("other.fasta", ">abc\nM\n"); /* a link to another file */
  set_time(other);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(link(other, path), 0);
  assert_int_equal(residues_after_opening(path, false), 1);
  residues_after_opening(path, true);
}

/* As a program that had no such number would leave it. */
static void a_cache_by_older_rules_is_made_again(void **state) {
  (void)state;
  plm_packed_file_summary summary;
  char packed[1024], copy[1024];
  plm_dataset *dataset = open_text("older.fasta", ">a\nMKV\n");
  snprintf(packed, sizeof packed, "%s", plm_dataset_get_info(dataset)->path);
  plm_dataset_close(dataset);
  snprintf(copy, sizeof copy, "%s", scratch_path("older.plmd"));
  char *data;
  size_t bytes;
  assert_ok(plm_file_read(packed, 1 << 20, &data, &bytes));
  memcpy(&summary, data + bytes - sizeof summary, sizeof summary);
  assert_int_equal(summary.rules, PLM_READING_RULES);
  summary.rules = 0;
  summary.source_key = 1;
  summary.empty_dropped = 7;
  memset(summary.notes, 0, sizeof summary.notes);
  memset(summary.sources, 0, sizeof summary.sources);
  summary.checksum = plm_hash64(&summary, offsetof(plm_packed_file_summary, checksum));
  memcpy(data + bytes - sizeof summary, &summary, sizeof summary);
  scratch_write("older.plmd", data, bytes);
  FILE *file = fopen(packed, "wb");
  assert_int_equal(fwrite(data, 1, bytes, file), bytes);
  fclose(file);
  plm_free(data);
  residues_after_opening(scratch_path("older.fasta"), false);
  residues_after_opening(scratch_path("older.fasta"), true);
  assert_ok(open_at(copy, &dataset)); /* given as it is: read as ever */
  assert_int_equal(plm_dataset_get_info(dataset)->rules, 0);
  assert_int_equal(plm_dataset_get_info(dataset)->notes.kinds[PLM_NOTE_EMPTY].count, 7);
  plm_dataset_close(dataset);
}

static void what_decides_the_reading_decides_the_cache(void **state) {
  (void)state;
  plm_dataset *dataset = NULL;
  scratch_write_text("decided.fasta", ">a\nMKV\n");
  const char *path = scratch_path("decided.fasta");
  plm_dataset_options options[3] = {options_for(&path), options_for(&path), options_for(&path)};
  options[1].hdf5_dataset = "proteins";
  options[2].hdf5_ids = "proteins";
  for (int again = 0; again < 2; again++)
    for (size_t i = 0; i < 3; i++) {
      assert_ok(plm_dataset_open(&options[i], &dataset));
      assert_int_equal(plm_dataset_get_info(dataset)->from_cache, again);
      plm_dataset_close(dataset);
    }
}

static void the_cache_lies_beside_the_file_when_nothing_else_is_said(void **state) {
  (void)state;
  plm_dataset *dataset = NULL;
  assert_ok(plm_directory_make(scratch_path("beside")));
  scratch_write_text("beside/a.fasta", ">a\nMKV\n");
  const char *path = scratch_path("beside/a.fasta");
  plm_dataset_options options = {.paths = {.items = &path, .count = 1}, .threads = 1};
  assert_ok(plm_dataset_open(&options, &dataset));
  assert_int_equal(strncmp(plm_dataset_get_info(dataset)->path, path, strlen(path)), 0);
  assert_int_equal(files_in(scratch_path("beside")), 2);
  plm_dataset_close(dataset);
}

/* Makes files under .../refused/ impossible to create, as on a read-only file system (the tests may run as root). */
static int refuse_there(const char *path, int flags, mode_t mode) {
  if ((flags & O_CREAT) && strstr(path, "/refused/") != NULL) {
    errno = EROFS;
    return -1;
  }
  return open(path, flags, mode);
}

static void a_directory_that_cannot_be_written_is_passed_over(void **state) {
  (void)state;
  plm_dataset *dataset = NULL;
  plm_fs table = *plm_fs_real();
  table.open = refuse_there;
  assert_ok(plm_directory_make(scratch_path("refused")));
  scratch_write_text("refused/a.fasta", ">a\nMKV\n");
  const char *path = scratch_path("refused/a.fasta");
  plm_dataset_options options = {.paths = {.items = &path, .count = 1}, .threads = 1};
  setenv("PROTLM_CACHE", scratch_path("from-environment"), 1);
  plm_fs_set(&table);
  plm_status status = plm_dataset_open(&options, &dataset);
  plm_fs_set(NULL);
  unsetenv("PROTLM_CACHE");
  assert_ok(status);
  assert_non_null(strstr(plm_dataset_get_info(dataset)->path, "/from-environment/"));
  assert_int_equal(files_in(scratch_path("refused")), 1);
  plm_dataset_close(dataset);
}

static void no_place_to_write_is_a_resource_error_that_lists_them(void **state) {
  (void)state;
  plm_dataset *dataset = NULL;
  scratch_write_text("in-the-way", "");
  scratch_write_text("nowhere.fasta", ">a\nMKV\n");
  const char *path = scratch_path("nowhere.fasta");
  plm_dataset_options options = options_for(&path);
  options.cache_directory = scratch_path("in-the-way/below");
  assert_fails(plm_dataset_open(&options, &dataset), PLM_E_RESOURCE, "in-the-way");
}

static void several_files_are_one_set_in_order(void **state) {
  (void)state;
  plm_dataset *dataset = NULL;
  char name[16];
  scratch_write_text("first.fasta", ">a\nMKV\n>b\nAC\n");
  scratch_write_text("second.fasta", ">c\nWY\n");
  const char *paths[] = {scratch_path("first.fasta"), scratch_path("second.fasta")};
  plm_dataset_options options = options_for(paths);
  options.paths.count = 2;
  assert_ok(plm_dataset_open(&options, &dataset));
  assert_int_equal(plm_dataset_count(dataset), 3);
  plm_dataset_name(dataset, 2, name, sizeof name);
  assert_string_equal(name, "c");
  plm_dataset_close(dataset);
}

/* The first that is there again, in whichever file, and by whichever file it was there before. */
static void a_duplicate_is_placed_in_its_own_file(void **state) {
  (void)state;
  static const struct {
    const char *first, *second, *third, *place;
  } rows[] = {
      {">a\nMKV\n>b\nAC\n", ">c\nWY\n", ">d\nMK\n>c\nMK\n>a\nMK\n", "/third.fasta:3"},
      {">a\nMKV\n", ">c\nWY\n>a\nWY\n", ">d\nMK\n", "/second.fasta:3"},
      {">a\nMKV\n\n>a\nAC\n", ">\nWY\n", ">a\nMK\n", "/first.fasta:4"},
      {">a\nMKV\n", ">b\n", ">a\nMK\n", "/third.fasta:1"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    plm_dataset *dataset = NULL;
    char place[PLM_PLACE_TEXT];
    scratch_write_text("first.fasta", rows[i].first);
    scratch_write_text("second.fasta", rows[i].second);
    scratch_write_text("third.fasta", rows[i].third);
    const char *paths[] = {scratch_path("first.fasta"), scratch_path("second.fasta"), scratch_path("third.fasta")};
    plm_dataset_options options = options_for(paths);
    options.paths.count = 3;
    assert_ok(plm_dataset_open(&options, &dataset));
    plm_dataset_note_place(dataset, PLM_NOTE_DUPLICATES, place);
    if (strlen(place) < strlen(rows[i].place) ||
        strcmp(place + strlen(place) - strlen(rows[i].place), rows[i].place) != 0)
      fail_msg("row %zu: '%s'", i, place);
    plm_dataset_close(dataset);
  }
}

static void *open_in_thread(void *options) {
  plm_dataset *dataset = NULL;
  intptr_t right = plm_dataset_open(options, &dataset) == PLM_OK && plm_dataset_count(dataset) == 500 &&
                   plm_dataset_verify(dataset) == PLM_OK;
  plm_dataset_close(dataset);
  return (void *)right;
}

static void makers_at_the_same_time_do_no_harm(void **state) {
  (void)state;
  enum { MAKERS = 6 };
  pthread_t threads[MAKERS];
  plm_dataset_close(open_made_up(11, 500, 50, 100)); /* writes the file */
  const char *path = scratch_path("made-up-11-500-50-100.fasta");
  plm_dataset_options options = {
      .paths = {.items = &path, .count = 1},
      .cache_directory = scratch_path("crowd"),
      .threads = 1,
  };
  for (int i = 0; i < MAKERS; i++) assert_int_equal(pthread_create(&threads[i], NULL, open_in_thread, &options), 0);
  for (int i = 0; i < MAKERS; i++) {
    void *right;
    pthread_join(threads[i], &right);
    assert_non_null(right);
  }
  assert_int_equal(files_in(scratch_path("crowd")), 1);
}

static void what_a_killed_maker_left_is_removed(void **state) {
  (void)state;
  char name[512], host[65] = "";
  plm_dataset *dataset = open_text("left.fasta", ">a\nMKV\n");
  gethostname(host, 64);
  pid_t gone = fork();
  if (gone == 0) _exit(0);
  assert_int_equal(waitpid(gone, NULL, 0), gone);
  snprintf(name, sizeof name, "cache/%s.tmp-%s-%ld-1.0", plm_path_name(plm_dataset_get_info(dataset)->path), host,
           (long)gone);
  plm_dataset_close(dataset);
  scratch_write_text(name, "half a file");
  const struct timespec long_ago[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
  assert_int_equal(utimensat(AT_FDCWD, scratch_path(name), long_ago, 0), 0);
  scratch_write_text("left.fasta", ">a\nMKVL\n");
  residues_after_opening(scratch_path("left.fasta"), false);
  assert_false(plm_file_exists(scratch_path(name)));
}

/* ---- the packed file itself ---- */

static void a_packed_file_can_be_opened_by_any_name(void **state) {
  (void)state;
  plm_dataset *made = open_text("origin.fasta", ">a\nMKV\n"), *opened = NULL;
  assert_ok(plm_file_rename(plm_dataset_get_info(made)->path, scratch_path("renamed.bin")));
  assert_ok(open_at(scratch_path("renamed.bin"), &opened));
  assert_string_equal(plm_dataset_get_info(opened)->content_hash, plm_dataset_get_info(made)->content_hash);
  assert_false(plm_dataset_get_info(opened)->from_cache);
  assert_ok(plm_dataset_verify(opened));
  plm_dataset_close(opened);
  plm_dataset_close(made);
}

static void it_costs_16_bytes_a_sequence_and_one_a_residue(void **state) {
  (void)state;
  int64_t bytes, names = 0;
  plm_dataset *dataset = open_made_up(12, 1000, 50, 100);
  for (int64_t id = 0; id < 1000; id++) {
    char name[16];
    plm_dataset_name(dataset, id, name, sizeof name);
    names += (int64_t)strlen(name);
  }
  assert_ok(plm_file_size(plm_dataset_get_info(dataset)->path, &bytes));
  assert_in_range(bytes, 0, plm_dataset_get_info(dataset)->residues + names + 16 * 1001 + 4096 + 64 + 16);
  plm_dataset_close(dataset);
}

/* A copy of a small packed file with one 8-byte word changed; the summary's checksum made right again on request. */
static plm_status open_damaged(size_t offset, uint64_t word, size_t bytes, bool with_checksum) {
  static char data[8192];
  plm_dataset *made = open_text("damage.fasta", ">a\nMKV\n>b\nACDE\n"), *opened = NULL;
  FILE *file = fopen(plm_dataset_get_info(made)->path, "rb");
  size_t length = fread(data, 1, sizeof data, file);
  fclose(file);
  plm_dataset_close(made);
  memcpy(data + offset, &word, 8);
  plm_packed_file_summary *summary = (plm_packed_file_summary *)(void *)(data + length - sizeof *summary);
  if (with_checksum) summary->checksum = plm_hash64(summary, offsetof(plm_packed_file_summary, checksum));
  scratch_write("damaged.plmd", data, bytes > 0 ? bytes : length);
  plm_status status = open_at(scratch_path("damaged.plmd"), &opened);
  if (status == PLM_OK) status = plm_dataset_verify(opened);
  plm_dataset_close(opened);
  return status;
}

static void damage_is_noticed(void **state) {
  (void)state;
  const size_t residues_end = PLMD_RESIDUES_AT + 8, names_at = residues_end + 24, name_offsets = names_at + 8,
               summary = name_offsets + 24;
  const uint64_t huge = UINT64_MAX / 2;
  assert_ok(open_damaged(8, 0, 0, false)); /* nothing changed */
  assert_fails(open_damaged(PLMD_RESIDUES_AT, 0x5050505050505050, 0, false), PLM_E_INPUT, "hash of its content");
  assert_fails(open_damaged(8, 0, summary + 4000, false), PLM_E_INPUT, "damaged");
  assert_fails(open_damaged(8, 0, 100, false), PLM_E_INPUT, "cut short");
  assert_fails(open_damaged(summary + offsetof(plm_packed_file_summary, count), 3, 0, false), PLM_E_INPUT,
               "checksum of its summary");
  /* with a right checksum, as an evil file would have it */
  assert_fails(open_damaged(residues_end + 8, huge, 0, true), PLM_E_INPUT, "sequence offsets");
  assert_fails(open_damaged(residues_end + 8, 0, 0, true), PLM_E_INPUT, "sequence offsets");
  assert_fails(open_damaged(name_offsets + 8, huge, 0, true), PLM_E_INPUT, "name offsets");
  assert_fails(open_damaged(summary + offsetof(plm_packed_file_summary, version), 2, 0, true), PLM_E_INPUT,
               "version 2");
  const uint64_t forged_counts[] = {1, UINT64_MAX, huge}; /* of a letter that doesn't occur */
  for (size_t i = 0; i < sizeof forged_counts / sizeof *forged_counts; i++)
    assert_fails(
        open_damaged(summary + offsetof(plm_packed_file_summary, histogram) + 8 * 'J', forged_counts[i], 0, true),
        PLM_E_INPUT, "contradict");
  const size_t fields[] = {
      offsetof(plm_packed_file_summary, file_bytes),       offsetof(plm_packed_file_summary, offsets_at),
      offsetof(plm_packed_file_summary, names_at),         offsetof(plm_packed_file_summary, names_bytes),
      offsetof(plm_packed_file_summary, name_offsets_at),  offsetof(plm_packed_file_summary, count),
      offsetof(plm_packed_file_summary, residues),         offsetof(plm_packed_file_summary, longest),
      offsetof(plm_packed_file_summary, content_hash) + 32};
  const uint64_t words[] = {0, 1, 0x123456, huge, UINT64_MAX, UINT64_MAX - 7};
  for (size_t f = 0; f < sizeof fields / sizeof *fields; f++)
    for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
      if (fields[f] == offsetof(plm_packed_file_summary, content_hash) + 32 && words[w] == 0) continue;
      plm_status status = open_damaged(summary + fields[f], words[w], 0, true);
      if (status != PLM_E_INPUT)
        fail_msg("field at %zu set to %llx: %s", fields[f], (unsigned long long)words[w], plm_status_name(status));
    }
}

static void a_damaged_cache_is_made_anew(void **state) {
  (void)state;
  plm_dataset *made = open_text("spoilt.fasta", ">a\nMKV\n");
  assert_int_equal(truncate(plm_dataset_get_info(made)->path, 100), 0);
  plm_dataset_close(made);
  assert_int_equal(residues_after_opening(scratch_path("spoilt.fasta"), false), 3);
  assert_int_equal(residues_after_opening(scratch_path("spoilt.fasta"), true), 3);
}

/* One residue of the packed copy changed by a disk: it trains nobody. */
static void rotten_residues_are_noticed(void **state) {
  char packed[1024];
  (void)state;
  plm_dataset *made = open_text("rotten.fasta", ">a\nMKV\n"), *opened = NULL;
  snprintf(packed, sizeof packed, "%s", plm_dataset_get_info(made)->path);
  plm_dataset_close(made);
  int fd = open(packed, O_WRONLY);
  assert_int_equal(pwrite(fd, "W", 1, PLMD_RESIDUES_AT), 1);
  close(fd);
  assert_fails(open_at(packed, &opened), PLM_E_INPUT, "hash of its content");
  assert_int_equal(residues_after_opening(scratch_path("rotten.fasta"), false), 3);
  assert_int_equal(residues_after_opening(scratch_path("rotten.fasta"), true), 3);
}

static void overwrite(const char *path, long at, const char *text) {
  int fd = open(path, O_WRONLY);
  assert_int_equal(pwrite(fd, text, strlen(text), at), strlen(text));
  close(fd);
}

/* Under the feet of whoever reads it: found, and until then nothing outside the file is read. */
static void a_packed_file_that_changes_while_it_is_open_is_noticed(void **state) {
  (void)state;
  char packed[1024], name[16];
  int64_t length;
  plm_dataset *dataset = open_text("moving.fasta", ">a\nMKV\n>b\nMKVLA\n");
  snprintf(packed, sizeof packed, "%s", plm_dataset_get_info(dataset)->path);
  assert_ok(plm_dataset_check_unchanged(dataset));
  overwrite(packed, PLMD_RESIDUES_AT, "MKV"); /* as it was */
  assert_ok(plm_dataset_check_unchanged(dataset));
  overwrite(packed, PLMD_RESIDUES_AT, "W");
  assert_fails(plm_dataset_check_unchanged(dataset), PLM_E_INPUT, "changed while it was in use");
  overwrite(packed, PLMD_RESIDUES_AT + 8 + 8, "\xff\xff\xff\xff\xff\xff\xff\xff"); /* where sequence 1 begins */
  for (int64_t id = 0; id < 2; id++) {
    const char *residues = plm_dataset_residues(dataset, id, &length);
    assert_true(length >= 0 && length <= 8 && residues != NULL);
    plm_dataset_name(dataset, id, name, sizeof name);
  }
  assert_int_equal(truncate(packed, 100), 0);
  assert_fails(plm_dataset_check_unchanged(dataset), PLM_E_INPUT, "changed while it was in use");
  plm_dataset_close(dataset);
}

static int left_to_read;
static bool is_enough(void) { return left_to_read-- == 0; }

static void reading_can_be_interrupted(void **state) {
  (void)state;
  plm_dataset *dataset = NULL;
  scratch_write_text("endless.fasta", ">a\nMKV\n>b\nMKVL\n>c\nMKVLA\n");
  size_t files = files_in(scratch_path("cache"));
  for (left_to_read = 0; left_to_read < 3;) {
    int asked = left_to_read;
    const char *path = scratch_path("endless.fasta");
    const plm_dataset_options options = {
        .paths = {.items = &path, .count = 1},
        .cache_directory = scratch_path("cache"),
        .threads = 1,
        .interrupted = is_enough,
    };
    assert_int_equal(plm_dataset_open(&options, &dataset), PLM_STOPPED);
    assert_null(dataset);
    assert_int_equal(files_in(scratch_path("cache")), files);
    left_to_read = asked + 1;
  }
  assert_int_equal(residues_after_opening(scratch_path("endless.fasta"), false), 12);
}

static void collect(void *user, const char *text) { strcat(strcat(user, text), "\n"); }
static void report_of(const plm_dataset *dataset, char *text) {
  text[0] = '\0';
  plm_dataset_report(dataset, plm_alphabet_esm2(), &(plm_alphabet_policy){0}, collect, text);
}

/* Given as it is, a packed file knows its sources by their names alone. */
static void what_the_user_is_told_has_every_count(void **state) {
  (void)state;
  char text[1024], path[1024];
  plm_dataset *dataset = open_text("told.fasta", ">a\nMKV*\n>a\nmk\n>b\n");
  snprintf(path, sizeof path, "%s", plm_dataset_get_info(dataset)->path);
  plm_dataset_close(dataset);
  assert_ok(open_at(path, &dataset));
  report_of(dataset, text);
  assert_string_equal(text,
                      "1 '*' at the end of sequences removed (first: told.fasta:2)\n"
                      "1 empty sequence left out (first: told.fasta:5)\n"
                      "1 sequence has a name that an earlier one has (first: told.fasta:3)\n"
                      "2 lower-case residues read as upper case (first: told.fasta:4)\n");
  plm_dataset_close(dataset);
}

/* A file with every kind in it, behind one without any. */
static void the_cache_tells_the_same_as_the_reading(void **state) {
  (void)state;
  static const char every_kind[] =
      ";c\n> a x\nMKV1*\n--\n>b\nSequence unavailable\n\xef\xbb\xbf>\nMK\xc2\xa0\xc3\xa9Vnan\n>P1;c\ntitle\nA*-JC*\n>d\n"
      ">a\nM<mask>K\n";
  char text[2][4096], place[PLM_PLACE_TEXT];
  scratch_write_text("none.fasta", ">x\nMKV\n");
  scratch_write_text("every.fasta", every_kind);
  const char *paths[] = {scratch_path("none.fasta"), scratch_path("every.fasta")};
  plm_dataset_options options = options_for(paths);
  options.paths.count = 2;
  options.policy.invalid = PLM_INVALID_X;
  for (int again = 0; again < 2; again++) {
    plm_dataset *dataset = NULL;
    assert_ok(plm_dataset_open(&options, &dataset));
    assert_int_equal(plm_dataset_get_info(dataset)->from_cache, again);
    report_of(dataset, text[again]);
    plm_dataset_note_place(dataset, PLM_NOTE_NAN, place);
    assert_non_null(strstr(place, "/every.fasta:8"));
    plm_dataset_close(dataset);
  }
  assert_string_equal(text[0], text[1]);
  size_t lines = 0, placed = 0;
  for (const char *c = text[0]; *c != '\0'; c++) lines += *c == '\n';
  for (const char *c = text[0]; (c = strstr(c, "/every.fasta:")) != NULL; c++) placed++;
  assert_int_equal(lines, 16);
  assert_int_equal(placed, lines);
}

/* ---- failures ---- */

/* Some may be made up for: what cannot be begun in one directory is begun in the next. */
static void every_failed_allocation_is_survived(void **state) {
  (void)state;
  char path[1024];
  int failures = 0;
  scratch_write_text("tiny.fasta", ">a\nMKV\n>b\nACDE\n");
  snprintf(path, sizeof path, "%s", scratch_path("tiny.fasta"));
  for (int n = 1; n < 150; n++) {
    plm_dataset *dataset = NULL;
    assert_ok(plm_tree_remove(scratch_path("cache")));
    int64_t live = plm_alloc_live();
    plm_alloc_fail_at(n);
    plm_status status = open_at(path, &dataset);
    plm_alloc_fail_at(0);
    if (status != PLM_OK) assert_int_equal(status, PLM_E_RESOURCE);
    failures += status != PLM_OK;
    plm_dataset_close(dataset);
    assert_int_equal(plm_alloc_live(), live);
  }
  assert_true(failures > 20);
}

static int writes_left;
static ssize_t fail_write(int fd, const void *data, size_t bytes) {
  if (writes_left-- > 0) return write(fd, data, bytes);
  errno = ENOSPC;
  return -1;
}

static void a_full_disk_is_a_resource_error_and_leaves_nothing(void **state) {
  (void)state;
  plm_fs table = *plm_fs_real();
  table.write = fail_write;
  plm_dataset_close(open_made_up(13, 20, 50, 100));
  const char *path = scratch_path("made-up-13-20-50-100.fasta");
  plm_dataset_options options = options_for(&path);
  options.cache_directory = scratch_path("full");
  for (int n = 0;; n++) {
    plm_dataset *dataset = NULL;
    writes_left = n;
    plm_fs_set(&table);
    plm_status status = plm_dataset_open(&options, &dataset);
    plm_fs_set(NULL);
    if (status == PLM_OK) {
      plm_dataset_close(dataset);
      assert_true(n > 1);
      return;
    }
    assert_int_equal(status, PLM_E_RESOURCE);
    assert_int_equal(files_in(scratch_path("full")), 0);
  }
}

static void sorting_sorts(void **state) {
  (void)state;
  enum { N = 20000 };
  static uint64_t values[N];
  const unsigned shifts[] = {0, 8, 40, 63};
  for (size_t k = 0; k < 4; k++) {
    uint64_t sum = 0;
    for (size_t i = 0; i < N; i++) {
      plm_rng_block b = plm_rng(1, PLM_RNG_INIT, i, 0, 0);
      values[i] = ((uint64_t)b.word[0] << 32 | b.word[1]) >> shifts[k];
      sum += values[i];
    }
    plm_sort_u64(values, N);
    for (size_t i = 0; i < N; i++) {
      sum -= values[i];
      assert_true(i == 0 || values[i - 1] <= values[i]);
    }
    assert_int_equal(sum, 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_second_opening_uses_the_cache),
      cmocka_unit_test(a_changed_source_is_read_again_and_replaces_the_cache),
      cmocka_unit_test(a_file_of_the_same_size_and_time_is_another_file),
      cmocka_unit_test(a_cache_by_older_rules_is_made_again),
      cmocka_unit_test(what_decides_the_reading_decides_the_cache),
      cmocka_unit_test(the_cache_lies_beside_the_file_when_nothing_else_is_said),
      cmocka_unit_test(a_directory_that_cannot_be_written_is_passed_over),
      cmocka_unit_test(no_place_to_write_is_a_resource_error_that_lists_them),
      cmocka_unit_test(several_files_are_one_set_in_order),
      cmocka_unit_test(a_duplicate_is_placed_in_its_own_file),
      cmocka_unit_test(makers_at_the_same_time_do_no_harm),
      cmocka_unit_test(what_a_killed_maker_left_is_removed),
      cmocka_unit_test(a_packed_file_can_be_opened_by_any_name),
      cmocka_unit_test(it_costs_16_bytes_a_sequence_and_one_a_residue),
      cmocka_unit_test(damage_is_noticed),
      cmocka_unit_test(a_damaged_cache_is_made_anew),
      cmocka_unit_test(rotten_residues_are_noticed),
      cmocka_unit_test(a_packed_file_that_changes_while_it_is_open_is_noticed),
      cmocka_unit_test(reading_can_be_interrupted),
      cmocka_unit_test(what_the_user_is_told_has_every_count),
      cmocka_unit_test(the_cache_tells_the_same_as_the_reading),
      cmocka_unit_test(every_failed_allocation_is_survived),
      cmocka_unit_test(a_full_disk_is_a_resource_error_and_leaves_nothing),
      cmocka_unit_test(sorting_sorts),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
