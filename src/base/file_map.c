/* file_map.c - files as memory. All mappings are listed where a signal handler finds them: see lost_file.h. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file_internal.h"
#include "base/lost_file.h"

/* ---- the list, which the handler reads without the lock ---- */

typedef struct listed {
  _Atomic(const char *) begin; /* NULL: free */
  size_t bytes;
  char *path;
} listed;

enum { MOST_LISTED = 256 }; /* beyond the shards of the largest models; one more would only not be named */
static listed list[MOST_LISTED];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The entry of a mapping; of NULL: a free one. NULL when there is none. Under the lock. */
static listed *find_entry(const char *begin) {
  for (int i = 0; i < MOST_LISTED; i++)
    if (atomic_load(&list[i].begin) == begin) return &list[i];
  return NULL;
}

static plm_status register_mapping(const char *path, const char *begin, size_t bytes) {
  char *words;
  PLM_TRY(plm_strdup(path, &words));
  pthread_mutex_lock(&lock);
  listed *entry = find_entry(NULL);
  if (entry != NULL) {
    entry->bytes = bytes;
    entry->path = words;
    atomic_store(&entry->begin, begin);
  }
  pthread_mutex_unlock(&lock);
  if (entry == NULL) plm_free(words);
  return PLM_OK;
}

static void unregister_mapping(const char *begin) {
  pthread_mutex_lock(&lock);
  listed *entry = find_entry(begin);
  if (entry != NULL) {
    atomic_store(&entry->begin, NULL);
    plm_free(entry->path);
    entry->path = NULL;
  }
  pthread_mutex_unlock(&lock);
}

/* ---- the signal ---- */

static plm_lost_file_fn *_Atomic tell_lost;
static struct sigaction previous;

/* Path of the mapping that holds this address, or NULL. */
static const char *find_path(const char *address) {
  for (int i = 0; i < MOST_LISTED; i++) {
    const char *begin = atomic_load(&list[i].begin);
    if (begin != NULL && address >= begin && address < begin + list[i].bytes) return list[i].path;
  }
  return NULL;
}

static void on_lost_page(int number, siginfo_t *info, void *context) {
  const char *path = find_path(info->si_addr);
  plm_lost_file_fn *tell = atomic_load(&tell_lost);
  (void)context;
  if (path != NULL && tell != NULL) tell(path);
  sigaction(number, &previous, NULL); /* it is raised again, for whoever was there before */
}

void plm_on_lost_file(plm_lost_file_fn *tell) {
  struct sigaction action = {.sa_sigaction = on_lost_page, .sa_flags = SA_SIGINFO};
  sigemptyset(&action.sa_mask);
  if (atomic_exchange(&tell_lost, tell) == NULL) sigaction(SIGBUS, &action, &previous);
}

/* ---- mapping ---- */

static plm_status map(int fd, const char *path, size_t bytes, void **ret_base) {
  void *base = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
  if (base == MAP_FAILED) return plm_file_cannot(PLM_E_INPUT, "map", path);
  plm_status status = register_mapping(path, base, bytes);
  if (status != PLM_OK) munmap(base, bytes);
  *ret_base = base;
  return status;
}

plm_status plm_file_map(const char *path, plm_mapping *ret_mapping) {
  int fd;
  struct stat facts;
  PLM_TRY(plm_fs_open_for_reading(path, &fd, &facts));
  plm_status status = PLM_OK;
  void *base = NULL;
  if (!S_ISREG(facts.st_mode))
    status = plm_fail(PLM_E_INPUT, "cannot read %s: it is not a regular file", path);
  else if (facts.st_size > 0)
    status = map(fd, path, (size_t)facts.st_size, &base);
  plm_fs_current()->close(fd);
  if (status != PLM_OK) return status;
  *ret_mapping = (plm_mapping){
      .data = base != NULL ? base : "",
      .bytes = (size_t)facts.st_size,
      .base = base,
      .device = facts.st_dev,
      .inode = facts.st_ino,
      .modified = facts.st_mtim,
  };
  return PLM_OK;
}

void plm_file_let_go(const void *data, size_t bytes) {
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = ((uintptr_t)data + page - 1) / page * page;
  const uintptr_t end = ((uintptr_t)data + bytes) / page * page;
  if (end > first) madvise((void *)first, end - first, MADV_DONTNEED);
}

void plm_file_unmap(plm_mapping *mapping) {
  if (mapping->base != NULL) {
    unregister_mapping(mapping->base);
    munmap(mapping->base, mapping->bytes);
  }
  *mapping = (plm_mapping){0};
}

plm_file_change plm_file_check_unchanged(const char *path, const plm_mapping *mapping) {
  struct stat facts;
  const struct timespec *then = &mapping->modified;
  if (plm_fs_stat(path, &facts) != 0 || facts.st_dev != mapping->device || facts.st_ino != mapping->inode)
    return PLM_FILE_UNCHANGED;
  if ((size_t)facts.st_size < mapping->bytes) return PLM_FILE_CUT;
  return facts.st_mtim.tv_sec == then->tv_sec && facts.st_mtim.tv_nsec == then->tv_nsec ? PLM_FILE_UNCHANGED
                                                                                        : PLM_FILE_TOUCHED;
}
