/* child.h - between fork and exec, for tests that run protlm: what a user's shell would give it, and nothing of the
 * test's own. */
#ifndef TESTS_SUPPORT_CHILD_H
#define TESTS_SUPPORT_CHILD_H

#include <stdbool.h>

/* Exit with 126, as a shell does for what it cannot run, saying `what`. */
void child_must(bool ok, const char *what);

/* Home and cache in the scratch directory; no variable that changes protlm, but for PROTLM_CPU; then these:
 * "NAME=value" sets, "NAME" unsets; ends with NULL, and may be NULL. */
void child_set_environment(const char *const *environment);

#endif
