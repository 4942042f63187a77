/* sequence_path.c - what a source is called, and whether it can be read twice. See sequence_file.h. */
#include <string.h>
#include <sys/stat.h>

#include "data/read/sequence_file.h"

const char *plm_sequence_file_words(const char *path) { return strcmp(path, "-") == 0 ? "standard input" : path; }

bool plm_sequence_file_is_stream(const char *path) {
  struct stat facts;
  if (strcmp(path, "-") == 0 || strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/proc/", 6) == 0) return true;
  return stat(path, &facts) == 0 && !S_ISREG(facts.st_mode);
}

bool plm_sequence_file_is_regular(const char *path) {
  struct stat facts;
  return strcmp(path, "-") != 0 && stat(path, &facts) == 0 && S_ISREG(facts.st_mode);
}
