/* no_room.h - a run of twelve steps whose saves fail for want of room, and how it must stand afterwards. */
#ifndef TESTS_INTEGRATION_NO_ROOM_H
#define TESTS_INTEGRATION_NO_ROOM_H

#include "integration/tiny.h"

/* A checkpoint of this model takes about 350 KiB. */
#define NO_ROOM_TRAIN TINY_PLAIN " --max-steps 12 --save-steps 3"

/* A group's set-up: run_setup, and "undisturbed", the run with room. */
int no_room_setup(void **state);

/* All checkpoints that are there are good. */
void no_room_expect_no_bad_checkpoint(const char *run);

/* Given room, the same command goes on to the end, and what is left is what the undisturbed run left. */
void no_room_expect_finish(const char *run);

#endif
