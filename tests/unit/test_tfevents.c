/* Event files are TensorBoard's, byte for byte. The golden bytes are what tensorboard 2.21's own protobuf classes
 * serialise, framed. */
#include "support/unit.h"

#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "runlog/tfevents.h"
#include "support/scratch.h"

static const unsigned char golden[] =
    /* Event(wall_time=1700000000.5, file_version="brain.Event:2") */
    "\x18\x00\x00\x00\x00\x00\x00\x00\xa3\x7f\x4b\x22"
    "\x09\x00\x00\x20\x40\xfc\x54\xd9\x41\x1a\x0d\x62\x72\x61\x69\x6e\x2e\x45\x76\x65\x6e\x74\x3a\x32"
    "\x2b\x35\x31\x10"
    /* Event(wall_time=1700000000.5, step=300, summary=[tag="train/loss", simple_value=2.5]) */
    "\x21\x00\x00\x00\x00\x00\x00\x00\x01\x7b\xec\xf6"
    "\x09\x00\x00\x20\x40\xfc\x54\xd9\x41\x10\xac\x02\x2a\x13\x0a\x11\x0a\x0a\x74\x72\x61\x69\x6e\x2f\x6c\x6f\x73\x73\x15\x00\x00\x20\x40"
    "\x3c\xf0\x90\x30"
    /* Event(wall_time=1700000000.5, step=301, session_log=START) */
    "\x10\x00\x00\x00\x00\x00\x00\x00\x95\xfb\xfe\x18"
    "\x09\x00\x00\x20\x40\xfc\x54\xd9\x41\x10\xad\x02\x3a\x02\x08\x01"
    "\x59\x6f\x3f\x79"
    /* Event(wall_time=1700000000.5, step=0, summary=[tag="eval/loss", simple_value=nan]) */
    "\x1d\x00\x00\x00\x00\x00\x00\x00\x60\x2f\xdf\x23"
    "\x09\x00\x00\x20\x40\xfc\x54\xd9\x41\x2a\x12\x0a\x10\x0a\x09\x65\x76\x61\x6c\x2f\x6c\x6f\x73\x73\x15\x00\x00\xc0\x7f"
    "\x48\x0a\xab\xe7";

/* The path of the only events file in the scratch directory. */
static const char *find_events_file(void) {
  static char path[1024];
  char **names;
  size_t count;
  path[0] = '\0';
  assert_ok(plm_directory_list(scratch_path(""), &names, &count));
  for (size_t i = 0; i < count; i++)
    if (strncmp(names[i], "events.out.tfevents.", 20) == 0) snprintf(path, sizeof path, "%s", scratch_path(names[i]));
  plm_names_free(names, count);
  return path;
}

static void bytes_are_those_tensorboard_writes(void **state) {
  (void)state;
  plm_tfevents *file;
  plm_clock_set_fake(1700000000.5);
  assert_ok(plm_tfevents_open(scratch_path(""), &file));
  assert_ok(plm_tfevents_scalar(file, "train/loss", 300, 2.5));
  assert_ok(plm_tfevents_session_start(file, 301));
  assert_ok(plm_tfevents_scalar(file, "eval/loss", 0, (double)NAN));
  assert_ok(plm_tfevents_close(&file));
  plm_clock_set_fake(-1);

  char *data;
  size_t bytes;
  const char *path = find_events_file();
  assert_non_null(strstr(path, "/events.out.tfevents.1700000000."));
  assert_ok(plm_file_read(path, 1 << 20, &data, &bytes));
  assert_int_equal(bytes, sizeof golden - 1);
  assert_memory_equal(data, golden, bytes);
  plm_free(data);
}

static void a_directory_that_does_not_exist_is_named(void **state) {
  (void)state;
  plm_tfevents *file;
  int64_t live = plm_alloc_live();
  assert_fails(plm_tfevents_open(scratch_path("nowhere"), &file), PLM_E_RESOURCE, "nowhere");
  assert_int_equal(plm_alloc_live(), live);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bytes_are_those_tensorboard_writes),
      cmocka_unit_test(a_directory_that_does_not_exist_is_named),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
