/* system.c - read from the kernel's files, without fail: a fact that cannot be had gets its neutral value. */
#define _GNU_SOURCE
#include "base/system.h"

#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cgroup.h"
#include "base/cpu_set.h"
#include "base/file.h"
#include "base/parallel.h"
#include "base/text.h"

void plm_cpu_limits_read(plm_cpu_limits *ret_limits) {
  plm_cpu_set own;
  plm_cpu_set_own(&own);
  const int online = (int)sysconf(_SC_NPROCESSORS_ONLN), allowed = plm_cpu_set_count(&own);
  const double quota = ceil(plm_cgroup_read("").cpus); /* INFINITY without one */
  *ret_limits = (plm_cpu_limits){
      .online = online > 1 ? online : 1,
      .affinity = allowed > 0  ? allowed
                  : online > 1 ? online
                               : 1,
      .cgroup = quota < 1         ? 1
                : quota < INT_MAX ? (int)quota
                                  : INT_MAX,
      .openmp = plm_pool_most_threads(),
  };
}

static void trim(char *words) {
  size_t length = strlen(words);
  while (length > 0 && isspace((unsigned char)words[length - 1])) words[--length] = '\0';
}

/* The value of the first line "name : value" or NAME="value" of a file. */
static bool find_value(const char *path, const char *name, char *ret_value, size_t size) {
  FILE *file = fopen(path, "re");
  if (file == NULL) return false;
  char line[512];
  bool is_found = false;
  while (!is_found && fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, name, strlen(name)) != 0) continue;
    char *value = line + strcspn(line, ":=");
    if (*value == '\0') continue;
    value += 1 + strspn(value + 1, " \t\"");
    value[strcspn(value, "\"\n")] = '\0';
    trim(value);
    snprintf(ret_value, size, "%s", value);
    is_found = *value != '\0';
  }
  fclose(file);
  return is_found;
}

void plm_host_name(char *buffer, size_t size) {
  if (gethostname(buffer, size) != 0) buffer[0] = '\0';
  buffer[size - 1] = '\0'; /* a name that was cut has no end of its own */
  if (buffer[0] == '\0') snprintf(buffer, size, "localhost");
  for (char *slash = buffer; (slash = strchr(slash, '/')) != NULL;) *slash = '_';
}

void plm_system_read(plm_system *ret_system) {
  plm_cpu_limits cpus;
  plm_cpu_limits_read(&cpus);
  plm_system s = {.cpus = cpus.affinity};
  struct utsname kernel;
  char distribution[100] = "";
  if (uname(&kernel) != 0) memset(&kernel, 0, sizeof kernel);
  plm_host_name(s.hostname, sizeof s.hostname);
  if (!find_value("/proc/cpuinfo", "model name", s.cpu, sizeof s.cpu))
    snprintf(s.cpu, sizeof s.cpu, "%.64s", kernel.machine);
  bool is_named = find_value("/etc/os-release", "PRETTY_NAME", distribution, sizeof distribution);
  snprintf(s.os, sizeof s.os, "%s%s%.32s %.64s, %.32s", distribution, is_named ? ", " : "", kernel.sysname,
           kernel.release, kernel.machine);

  plm_cgroup_limits limits = plm_cgroup_read("");
  if (cpus.cgroup < s.cpus) s.cpus = cpus.cgroup;
  if (cpus.openmp < s.cpus) s.cpus = cpus.openmp;
  s.memory = (int64_t)sysconf(_SC_PHYS_PAGES) * (int64_t)sysconf(_SC_PAGESIZE);
  if (limits.memory < s.memory) s.memory = limits.memory;
  *ret_system = s;
}

/* A dash in front is an option's here: plm_shell_word takes it for a file's name. */
static void append_word(plm_text *line, const char *word) {
  char quoted[PLM_SHELL_WORD];
  const size_t dashes = strspn(word, "-");
  plm_text_printf(line, "%s%.*s", line->length > 0 ? " " : "", (int)dashes, word);
  if (word[dashes] != '\0' || dashes == 0) plm_text_append(line, plm_shell_word(word + dashes, quoted));
}

plm_status plm_own_command(char **ret_line) {
  enum { MOST_BYTES = 1 << 20 };
  char *words = NULL;
  size_t bytes = 0;
  plm_text line = {0};
  if (plm_file_read("/proc/self/cmdline", MOST_BYTES, &words, &bytes) != PLM_OK) plm_error_clear();
  for (size_t i = 0; i < bytes; i += strlen(words + i) + 1) append_word(&line, words + i);
  plm_free(words);
  return plm_text_take(&line, ret_line);
}

int64_t plm_peak_memory(void) {
  struct rusage usage;
  return getrusage(RUSAGE_SELF, &usage) == 0 ? (int64_t)usage.ru_maxrss * 1024 : 0;
}
