/* seen.c - see seen.h. */
#include "train/seen.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"

enum { WITHIN = 6 /* seconds */ };

/* By the directory's list, which is asked for anew; that a name is missing may be remembered. */
static bool is_listed(const char *directory, const char *name) {
  char **names;
  size_t count;
  bool found = false;
  if (plm_directory_list(directory, &names, &count) != PLM_OK) {
    plm_error_clear();
    return false;
  }
  for (size_t i = 0; i < count && !found; i++) found = strcmp(names[i], name) == 0;
  plm_names_free(names, count);
  return found;
}

bool plm_file_is_seen(const char *directory, const char *name) {
  const double until = plm_clock_monotonic() + WITHIN;
  const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
  bool found = is_listed(directory, name);
  while (!found && plm_clock_monotonic() < until) {
    nanosleep(&pause, NULL);
    found = is_listed(directory, name);
  }
  return found;
}
