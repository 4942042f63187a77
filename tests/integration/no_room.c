/* no_room.c - see no_room.h */
#include "integration/no_room.h"

#include "integration/files.h"
#include "integration/logs.h"
#include "integration/run.h"

int no_room_setup(void **state) {
  if (run_setup(state) != 0) return -1;
  run_result r = run_protlm(NULL, NO_ROOM_TRAIN " --output-dir {}/undisturbed");
  run_expect(&r, 0);
  return 0;
}

void no_room_expect_no_bad_checkpoint(const char *run) {
  run_result r = run_protlm(NULL, "ckpt ls --deep {}/%s", run);
  run_expect(&r, 0);
}

void no_room_expect_finish(const char *run) {
  run_result r = run_protlm(NULL, NO_ROOM_TRAIN " --output-dir {}/%s", run);
  run_expect(&r, 0);
  file_expect_same_tensors(file_path("%s/checkpoint-12", run), "undisturbed/checkpoint-12");
  log_expect_each_step_once(run, 1, 12);
  log_expect_same(run, "undisturbed");
}
