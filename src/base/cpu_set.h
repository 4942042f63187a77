/* cpu_set.h - sets of processors by number, in the kernel's notation "0-7,16-23", and the NUMA nodes that they lie on.
 * Fixed size, so that ranks can exchange them. */
#ifndef PLM_BASE_CPU_SET_H
#define PLM_BASE_CPU_SET_H

#include <stdbool.h>
#include <stdint.h>

enum {
  PLM_CPU_SET_MOST = 4096, /* processors with higher numbers are left out */
  PLM_CPU_SET_WORDS = PLM_CPU_SET_MOST / 64,
  PLM_CPU_SET_TEXT = 96,
};

typedef struct plm_cpu_set {
  uint64_t words[PLM_CPU_SET_WORDS]; /* bit p % 64 of word p / 64 */
} plm_cpu_set;

/* Those that this process may run on: taskset, a cpuset, a launcher's binding. Empty where the kernel doesn't tell. */
void plm_cpu_set_own(plm_cpu_set *ret_set);

/* "0-7,16"; false, and an empty set, for what is no such list. A line's end may follow. */
bool plm_cpu_set_parse(const char *text, plm_cpu_set *ret_set);

/* The same notation; "..." at the end where there is no room for all of it; "" for an empty set. */
const char *plm_cpu_set_text(const plm_cpu_set *set, char text[PLM_CPU_SET_TEXT]);

int plm_cpu_set_count(const plm_cpu_set *set);
bool plm_cpu_set_overlaps(const plm_cpu_set *a, const plm_cpu_set *b);
void plm_cpu_set_add(plm_cpu_set *set, const plm_cpu_set *more);

/* Numbers of the NUMA nodes that any of `cpus` belongs to. Files are read below `root`: "" for the running system, a
 * made-up tree in tests. Empty where the kernel has none. */
void plm_numa_nodes_of(const char *root, const plm_cpu_set *cpus, plm_cpu_set *ret_nodes);

#endif
