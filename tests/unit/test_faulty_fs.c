/* The faulty file system fails as planned, and a power cut takes exactly what was not synced; the file layer survives
 * both. */
#define _GNU_SOURCE
#include "support/unit.h"

#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "support/faulty_fs.h"
#include "support/scratch.h"

static const char old_text[] = "the old state, which is safe\n";
static char new_text[5000];

/* A directory d with the file f in its old state, all of it safe. */
static void prepare(void) {
  faulty_fs_remove();
  assert_ok(plm_tree_remove(scratch_path("d")));
  assert_ok(plm_directory_create(scratch_path("d")));
  scratch_write_text("d/f", old_text);
  memset(new_text, 'n', sizeof new_text - 1);
}

static plm_status replace(void) { return plm_file_replace(scratch_path("d/f"), new_text, strlen(new_text)); }

static bool is_old(void) { return strcmp(scratch_read("d/f"), old_text) == 0; }
static bool is_new(void) { return strcmp(scratch_read("d/f"), new_text) == 0; }

/* Names in d, leftovers of temporaries told apart. */
static void count_names(size_t *ret_temporary, size_t *ret_other) {
  char **names;
  size_t count;
  *ret_temporary = *ret_other = 0;
  assert_ok(plm_directory_list(scratch_path("d"), &names, &count));
  for (size_t i = 0; i < count; i++) ++*(strncmp(names[i], "tmp-", 4) == 0 ? ret_temporary : ret_other);
  plm_names_free(names, count);
}

static void every_failed_operation_leaves_old_or_new(void **state) {
  (void)state;
  const int errors[] = {ENOSPC, EIO, EDQUOT};
  for (size_t e = 0; e < 3; e++) {
    int64_t n = 1, failed = 0, operations = 0;
    for (;; n++) {
      size_t temporary, other;
      prepare();
      int64_t live = plm_alloc_live();
      faulty_fs_install(&(faulty_plan){.fail_at = n, .error = errors[e]});
      plm_status status = replace();
      int64_t failures = faulty_fs_failures();
      operations = faulty_fs_operations();
      assert_int_equal(plm_alloc_live(), live);
      if (failures > 0 && status == PLM_OK)
        fail_msg("operation %lld, %s, failed and nobody noticed", (long long)n, faulty_fs_failed());
      faulty_fs_remove();
      count_names(&temporary, &other);
      assert_int_equal(temporary, 0);
      assert_int_equal(other, 1);
      assert_true(is_old() || is_new());
      if (failures == 0) break;
      assert_int_equal(status, PLM_E_RESOURCE);
      failed++;
    }
    assert_true(is_new());
    assert_int_equal(operations, failed);
    print_message("%lld operations counted, %lld failed\n", (long long)operations, (long long)failed);
  }
}

static void a_disk_that_stays_full_leaves_the_old_state(void **state) {
  (void)state;
  for (int64_t n = 1; n <= 3; n++) {
    prepare();
    faulty_fs_install(&(faulty_plan){.fail_at = n, .error = ENOSPC, .stays_broken = true});
    assert_fails(replace(), PLM_E_RESOURCE, "No space left");
    assert_true(faulty_fs_failures() > 1 || n == 1);
    faulty_fs_remove();
    assert_true(is_old());
  }
}

static void short_writes_are_continued(void **state) {
  (void)state;
  prepare();
  faulty_fs_install(&(faulty_plan){.largest_write = 7});
  assert_ok(replace());
  assert_true(faulty_fs_operations() > 5000 / 7);
  faulty_fs_remove();
  assert_true(is_new());
}

static void a_process_killed_at_any_operation_leaves_old_or_new(void **state) {
  (void)state;
  for (int64_t n = 1;; n++) {
    size_t temporary, other;
    prepare();
    pid_t child = fork();
    if (child == 0) {
      faulty_fs_install(&(faulty_plan){.kill_at = n});
      _exit(replace() == PLM_OK ? 0 : 1);
    }
    int ended;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_true(WIFEXITED(ended) && (WEXITSTATUS(ended) == 137 || WEXITSTATUS(ended) == 0));
    count_names(&temporary, &other);
    assert_true(other == 1 && temporary <= 1);
    assert_true(is_old() || is_new());
    assert_ok(replace()); /* what is left is in nobody's way */
    assert_true(is_new());
    if (WEXITSTATUS(ended) == 0) break;
  }
}

static void the_power_may_go_at_any_operation_of_a_replacement(void **state) {
  (void)state;
  for (int mode = 0; mode < FAULTY_CUTS; mode++)
    for (uint64_t seed = 0; seed < (mode == FAULTY_GARBLE ? 20 : 1); seed++)
      for (int64_t n = 1;; n++) {
        prepare();
        faulty_fs_install(&(faulty_plan){.cut_at = n});
        plm_status status = replace();
        bool was_cut = faulty_fs_failures() > 0;
        faulty_fs_power_cut((faulty_cut)mode, seed);
        if (!is_old() && !is_new())
          fail_msg("mode %d, seed %d, operation %d: neither old nor new: '%.60s'", mode, (int)seed, (int)n,
                   scratch_read("d/f"));
        if (status == PLM_OK && !is_new())
          fail_msg("mode %d, seed %d, operation %d: done, and lost", mode, (int)seed, (int)n);
        if (!was_cut) break;
      }
}

/* Replaces f as a careless program does: write, rename, and each sync only if asked for. */
static void replace_carelessly(bool syncs_file, bool syncs_directory) {
  plm_appender *appender;
  assert_ok(plm_appender_open(scratch_path("d/t"), &appender));
  assert_ok(plm_appender_write(appender, new_text, strlen(new_text)));
  if (syncs_file) assert_ok(plm_appender_close(&appender));
  assert_ok(plm_file_rename(scratch_path("d/t"), scratch_path("d/f")));
  if (syncs_directory) assert_ok(plm_directory_sync(scratch_path("d")));
  if (syncs_file) return;
  faulty_fs_power_cut(FAULTY_DROP_DATA, 0); /* before the appender's close, which syncs */
  assert_ok(plm_appender_close(&appender));
}

static void a_replacement_without_its_syncs_is_found_out(void **state) {
  (void)state;
  prepare();
  faulty_fs_install(&(faulty_plan){0});
  replace_carelessly(false, true);
  assert_string_equal(scratch_read("d/f"), ""); /* a file of length 0 under the final name */

  prepare();
  faulty_fs_install(&(faulty_plan){0});
  replace_carelessly(true, false);
  faulty_fs_power_cut(FAULTY_DROP_NAMES, 0);
  assert_true(is_old()); /* done, and lost */

  prepare();
  faulty_fs_install(&(faulty_plan){0});
  replace_carelessly(true, true);
  faulty_fs_power_cut(FAULTY_DROP, 0);
  assert_true(is_new());
}

static void garbled_data_is_kept_dropped_cut_zeroed_or_noise(void **state) {
  (void)state;
  int seen_new = 0, seen_empty = 0, seen_short = 0, seen_other = 0;
  for (uint64_t seed = 0; seed < 200; seed++) {
    prepare();
    scratch_write_text("d/log", "safe\n");
    faulty_fs_install(&(faulty_plan){.cut_at = 3}); /* open, write, and the sync of close */
    plm_appender *appender;
    assert_ok(plm_appender_open(scratch_path("d/log"), &appender));
    assert_ok(plm_appender_write(appender, new_text, strlen(new_text)));
    assert_fails(plm_appender_close(&appender), PLM_E_RESOURCE, "Input/output error");
    faulty_fs_power_cut(FAULTY_GARBLE, seed);
    plm_mapping log;
    assert_ok(plm_file_map(scratch_path("d/log"), &log));
    assert_memory_equal(log.data, "safe\n", 5); /* what was synced stays */
    bool is_whole = log.bytes == 5 + strlen(new_text);
    if (is_whole && memcmp((const char *)log.data + 5, new_text, strlen(new_text)) == 0)
      seen_new++;
    else if (is_whole)
      seen_other++;
    else if (log.bytes == 5)
      seen_empty++;
    else
      seen_short++;
    plm_file_unmap(&log);
  }
  assert_true(seen_new > 10 && seen_empty > 10 && seen_short > 10 && seen_other > 30);
}

/* A checkpoint directory is made under a temporary name, filled, published by a rename; the one before is moved away
 * and removed. */
static plm_status turn_over(void) {
  plm_writer *writer;
  PLM_TRY(plm_directory_create(scratch_path("d/tmp-2")));
  PLM_TRY(plm_writer_open(scratch_path("d/tmp-2/weights"), &writer));
  plm_status status = plm_writer_write(writer, new_text, strlen(new_text));
  if (status != PLM_OK) {
    plm_writer_abandon(writer);
    return status;
  }
  PLM_TRY(plm_writer_close(&writer, NULL));
  PLM_TRY(plm_link_replace("weights", scratch_path("d/tmp-2/link")));
  PLM_TRY(plm_directory_sync(scratch_path("d/tmp-2")));
  PLM_TRY(plm_file_rename(scratch_path("d/tmp-2"), scratch_path("d/checkpoint-2")));
  PLM_TRY(plm_directory_sync(scratch_path("d")));
  PLM_TRY(plm_file_rename(scratch_path("d/checkpoint-1"), scratch_path("d/.trash-1")));
  PLM_TRY(plm_directory_sync(scratch_path("d")));
  return plm_tree_remove(scratch_path("d/.trash-1"));
}

static bool is_whole(const char *name) {
  char path[64];
  snprintf(path, sizeof path, "d/%s/weights", name);
  return strcmp(scratch_read(path), new_text) == 0;
}

static void the_power_may_go_at_any_operation_of_a_turnover_of_directories(void **state) {
  (void)state;
  for (int mode = 0; mode < FAULTY_CUTS; mode++)
    for (uint64_t seed = 0; seed < (mode == FAULTY_GARBLE ? 40 : 1); seed++)
      for (int64_t n = 1;; n++) {
        prepare();
        assert_ok(plm_directory_create(scratch_path("d/checkpoint-1")));
        scratch_write_text("d/checkpoint-1/weights", new_text);
        faulty_fs_install(&(faulty_plan){.cut_at = n});
        plm_status status = turn_over();
        bool was_cut = faulty_fs_failures() > 0;
        faulty_fs_power_cut((faulty_cut)mode, seed);
        bool has_first = plm_file_exists(scratch_path("d/checkpoint-1")),
             has_second = plm_file_exists(scratch_path("d/checkpoint-2"));
        bool holds = (has_first || has_second) && (!has_first || is_whole("checkpoint-1")) &&
                     (!has_second || is_whole("checkpoint-2"));
        if (!holds)
          fail_msg("mode %d, seed %d, operation %d: no whole checkpoint, or a listed one that is not", mode, (int)seed,
                   (int)n);
        if (status == PLM_OK) assert_true(has_second && !has_first);
        if (!was_cut) break;
      }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_failed_operation_leaves_old_or_new),
      cmocka_unit_test(a_disk_that_stays_full_leaves_the_old_state),
      cmocka_unit_test(short_writes_are_continued),
      cmocka_unit_test(a_process_killed_at_any_operation_leaves_old_or_new),
      cmocka_unit_test(the_power_may_go_at_any_operation_of_a_replacement),
      cmocka_unit_test(a_replacement_without_its_syncs_is_found_out),
      cmocka_unit_test(garbled_data_is_kept_dropped_cut_zeroed_or_noise),
      cmocka_unit_test(the_power_may_go_at_any_operation_of_a_turnover_of_directories),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
