/* cpu_set.c - see cpu_set.h. */
#define _GNU_SOURCE
#include "base/cpu_set.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- members ---- */

static bool has(const plm_cpu_set *set, long cpu) { return (set->words[cpu / 64] >> (cpu % 64) & 1) != 0; }
static void put(plm_cpu_set *set, long cpu) { set->words[cpu / 64] |= (uint64_t)1 << (cpu % 64); }

/* The kernel's set is of longs, in which bit p % 64 of number p / 64 is processor p, as here. It refuses memory that is
 * too small for all its processors, also where few are there. */
void plm_cpu_set_own(plm_cpu_set *ret_set) {
  enum { KERNEL_MOST = 1 << 16 };
  *ret_set = (plm_cpu_set){0};
  const size_t bytes = CPU_ALLOC_SIZE(KERNEL_MOST);
  cpu_set_t *set = CPU_ALLOC(KERNEL_MOST);
  if (set != NULL && sched_getaffinity(0, bytes, set) == 0)
    for (int cpu = 0; cpu < PLM_CPU_SET_MOST; cpu++)
      if (CPU_ISSET_S((size_t)cpu, bytes, set)) put(ret_set, cpu);
  CPU_FREE(set);
}

int plm_cpu_set_count(const plm_cpu_set *set) {
  int count = 0;
  for (int i = 0; i < PLM_CPU_SET_WORDS; i++) count += __builtin_popcountll(set->words[i]);
  return count;
}

bool plm_cpu_set_overlaps(const plm_cpu_set *a, const plm_cpu_set *b) {
  uint64_t both = 0;
  for (int i = 0; i < PLM_CPU_SET_WORDS; i++) both |= a->words[i] & b->words[i];
  return both != 0;
}

void plm_cpu_set_add(plm_cpu_set *set, const plm_cpu_set *more) {
  for (int i = 0; i < PLM_CPU_SET_WORDS; i++) set->words[i] |= more->words[i];
}

/* ---- notation ---- */

/* "4" or "4-7" at *text, which is moved past it. */
static bool take_range(const char **text, long *ret_first, long *ret_last) {
  char *end;
  if (**text < '0' || **text > '9') return false;
  *ret_first = *ret_last = strtol(*text, &end, 10);
  if (*end == '-') {
    if (end[1] < '0' || end[1] > '9') return false;
    *ret_last = strtol(end + 1, &end, 10);
  }
  *text = end;
  return *ret_last >= *ret_first;
}

bool plm_cpu_set_parse(const char *text, plm_cpu_set *ret_set) {
  plm_cpu_set set = {0};
  *ret_set = set;
  for (;; text++) {
    long first, last;
    if (!take_range(&text, &first, &last)) return false;
    for (long cpu = first; cpu <= last && cpu < PLM_CPU_SET_MOST; cpu++) put(&set, cpu);
    if (*text != ',') break;
  }
  if (*text != '\0' && *text != '\n') return false;
  *ret_set = set;
  return true;
}

const char *plm_cpu_set_text(const plm_cpu_set *set, char text[PLM_CPU_SET_TEXT]) {
  enum { RANGE = 16, CUT = 5 }; /* "4094-4095" with a comma and a NUL; ",..." and a NUL */
  size_t length = 0;
  text[0] = '\0';
  for (int cpu = 0; cpu < PLM_CPU_SET_MOST; cpu++) {
    char range[2 * RANGE];
    if (!has(set, cpu)) continue;
    int last = cpu;
    while (last + 1 < PLM_CPU_SET_MOST && has(set, last + 1)) last++;
    snprintf(range, sizeof range, last > cpu ? "%s%d-%d" : "%s%d", length > 0 ? "," : "", cpu, last);
    if (length + strlen(range) + CUT > PLM_CPU_SET_TEXT) {
      strcpy(text + length, ",...");
      return text;
    }
    strcpy(text + length, range);
    length += strlen(range);
    cpu = last;
  }
  return text;
}

/* ---- NUMA ---- */

/* The list in a file of one line. */
static bool read_list(const char *root, const char *name, plm_cpu_set *ret_set) {
  char path[PATH_MAX], line[4096] = "";
  *ret_set = (plm_cpu_set){0};
  if (snprintf(path, sizeof path, "%s/sys/devices/system/node/%s", root, name) >= (int)sizeof path) return false;
  FILE *file = fopen(path, "re");
  if (file == NULL) return false;
  const bool is_read = fgets(line, sizeof line, file) != NULL;
  fclose(file);
  return is_read && plm_cpu_set_parse(line, ret_set);
}

void plm_numa_nodes_of(const char *root, const plm_cpu_set *cpus, plm_cpu_set *ret_nodes) {
  plm_cpu_set online, of_node;
  *ret_nodes = (plm_cpu_set){0};
  if (!read_list(root, "online", &online)) return;
  for (int node = 0; node < PLM_CPU_SET_MOST; node++) {
    char name[32];
    if (!has(&online, node)) continue;
    snprintf(name, sizeof name, "node%d/cpulist", node);
    if (read_list(root, name, &of_node) && plm_cpu_set_overlaps(&of_node, cpus)) put(ret_nodes, node);
  }
}
