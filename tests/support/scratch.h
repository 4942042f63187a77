/* scratch.h - a directory for one test program, gone when it ends well; PROTLM_KEEP_SCRATCH=1 keeps it to look at. */
#ifndef TESTS_SUPPORT_SCRATCH_H
#define TESTS_SUPPORT_SCRATCH_H

#include <stddef.h>

/* Group set-up and tear-down for cmocka_run_group_tests. */
int scratch_setup(void **state);
int scratch_teardown(void **state);

/* <scratch>/name, in one of 16 buffers used in turn. scratch_path("") is the directory itself. */
const char *scratch_path(const char *name);

/* Make a file with these bytes; the content of a file as text ("" when it cannot be read), in a static buffer of 64
 * KiB. */
void scratch_write(const char *name, const void *data, size_t bytes);
void scratch_write_text(const char *name, const char *text);
const char *scratch_read(const char *name);

#endif
