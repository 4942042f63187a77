/* child.c - see child.h */
#define _GNU_SOURCE
#include "support/child.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/scratch.h"

void child_must(bool ok, const char *what) {
  if (ok) return;
  perror(what);
  _exit(126);
}

void child_set_environment(const char *const *environment) {
  static const char *const removed[] = {
      "NO_COLOR",
      "COLUMNS",
      "HF_HOME",
      "HF_HUB_CACHE",
      "SLURM_NTASKS",
      "SLURM_JOB_END_TIME",
      "TMPDIR",
      "OMP_NUM_THREADS",
      "WORLD_SIZE",
      "PMIX_RANK",
      "OMPI_COMM_WORLD_SIZE",
      "PMI_SIZE",
      "SLURM_STEP_NUM_TASKS",
      "SLURM_CPUS_PER_TASK",
  };
  for (size_t i = 0; i < sizeof removed / sizeof *removed; i++) unsetenv(removed[i]);
  for (char **entry = environ; *entry != NULL;) {
    char name[256];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(*entry, "="), *entry);
    bool is_ours = strncmp(name, "PROTLM_", strlen("PROTLM_")) == 0 && strcmp(name, "PROTLM_CPU") != 0;
    if (is_ours)
      unsetenv(name); /* moves the rest up */
    else
      entry++;
  }
  setenv("HOME", scratch_path("home"), 1);
  setenv("XDG_CACHE_HOME", scratch_path("cache"), 1);
  setenv("TERM", "xterm", 1);
  setenv("OMP_WAIT_POLICY", "passive", 0);
  for (; environment != NULL && *environment != NULL; environment++) {
    char name[256];
    size_t length = strcspn(*environment, "=");
    snprintf(name, sizeof name, "%.*s", (int)length, *environment);
    if ((*environment)[length] == '=')
      setenv(name, *environment + length + 1, 1);
    else
      unsetenv(name);
  }
}
