/* ranks_stack.c - see ranks_stack.h. Contents: taking a stack, names of functions, words. */
#define _GNU_SOURCE
#include "dist/ranks_stack.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- taking a stack ---- */

enum { MOST_FRAMES = 48 };

/* Written by the handler. */
static void *frames[MOST_FRAMES];
static atomic_int frame_count; /* 0: not there yet */

static pthread_mutex_t users_lock = PTHREAD_MUTEX_INITIALIZER;
static int users;
static struct sigaction previous;

static int signal_number(void) { return SIGRTMIN + 9; }

static void on_signal(int number) {
  const int saved_errno = errno;
  (void)number;
  if (atomic_load(&frame_count) == 0) atomic_store(&frame_count, backtrace(frames, MOST_FRAMES));
  errno = saved_errno;
}

/* The first call of backtrace loads a library, which a handler may not: so there is one here. */
plm_status plm_ranks_stack_install(void) {
  void *here[2];
  plm_status status = PLM_OK;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);
  backtrace(here, 2);
  pthread_mutex_lock(&users_lock);
  if (users == 0 && sigaction(signal_number(), &action, &previous) != 0)
    status = plm_fail(PLM_E_FAILURE, "cannot handle a real-time signal: %s", strerror(errno));
  else
    users++;
  pthread_mutex_unlock(&users_lock);
  return status;
}

void plm_ranks_stack_remove(void) {
  pthread_mutex_lock(&users_lock);
  if (--users == 0) sigaction(signal_number(), &previous, NULL);
  pthread_mutex_unlock(&users_lock);
}

void plm_ranks_stack_request(pthread_t thread) {
  atomic_store(&frame_count, 0);
  pthread_kill(thread, signal_number());
}

bool plm_ranks_stack_is_ready(void) { return atomic_load(&frame_count) > 0; }

/* ---- names of functions ---- */

/* The program's own symbols, of which few are dynamic. */
typedef struct symbols {
  void *file;
  size_t bytes;
  const Elf64_Sym *table;
  size_t count;
  const char *names;
} symbols;

static void find_tables(symbols *s) {
  const char *file = s->file;
  const Elf64_Ehdr *header = s->file;
  if (s->bytes < sizeof *header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_ident[EI_CLASS] != ELFCLASS64 ||
      header->e_shoff + (uint64_t)header->e_shnum * sizeof(Elf64_Shdr) > s->bytes)
    return;
  const Elf64_Shdr *sections = (const Elf64_Shdr *)(const void *)(file + header->e_shoff);
  for (int i = 0; i < header->e_shnum; i++) {
    if (sections[i].sh_type != SHT_SYMTAB || sections[i].sh_link >= header->e_shnum) continue;
    s->table = (const Elf64_Sym *)(const void *)(file + sections[i].sh_offset);
    s->count = sections[i].sh_size / sizeof *s->table;
    s->names = file + sections[sections[i].sh_link].sh_offset;
  }
}

static symbols open_symbols(void) {
  symbols s = {0};
  struct stat status;
  const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (file < 0) return s;
  if (fstat(file, &status) == 0 && status.st_size > 0) {
    s.bytes = (size_t)status.st_size;
    s.file = mmap(NULL, s.bytes, PROT_READ, MAP_PRIVATE, file, 0);
    if (s.file == MAP_FAILED) s.file = NULL;
  }
  close(file);
  if (s.file != NULL) find_tables(&s);
  return s;
}

static void close_symbols(symbols *s) {
  if (s->file != NULL) munmap(s->file, s->bytes);
}

static const char *find_function(const symbols *s, uint64_t offset, uint64_t *ret_begin) {
  for (size_t i = 0; i < s->count; i++) {
    const Elf64_Sym *symbol = &s->table[i];
    if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || offset < symbol->st_value) continue;
    if (offset >= symbol->st_value + symbol->st_size) continue;
    *ret_begin = symbol->st_value;
    return s->names + symbol->st_name;
  }
  return NULL;
}

/* ---- words ---- */

static int describe_frame(const symbols *s, const void *frame, char *ret_words, size_t room) {
  Dl_info info = {0};
  uint64_t begin = 0;
  const char *name = NULL;
  if (dladdr(frame, &info) == 0 || info.dli_fname == NULL) return snprintf(ret_words, room, "    %p\n", frame);
  const char *slash = strrchr(info.dli_fname, '/');
  const uint64_t offset = (uint64_t)((const char *)frame - (const char *)info.dli_fbase);
  if (info.dli_sname != NULL) {
    name = info.dli_sname;
    begin = (uint64_t)((const char *)info.dli_saddr - (const char *)info.dli_fbase);
  } else if (strstr(info.dli_fname, ".so") == NULL) {
    name = find_function(s, offset, &begin);
  }
  return snprintf(ret_words, room, "    %s+0x%llx%s%s\n", slash != NULL ? slash + 1 : info.dli_fname,
                  (unsigned long long)offset, name != NULL ? ", " : "", name != NULL ? name : "");
}

void plm_ranks_stack_words(char *ret_words, size_t room) {
  enum { OURS = 2 }; /* the handler, and the frame by which the kernel calls it */
  const int count = atomic_load(&frame_count);
  ret_words[0] = '\0';
  if (count <= OURS) return;
  symbols s = open_symbols();
  size_t used = 0;
  for (int i = OURS; i < count && used < room; i++) {
    const int written = describe_frame(&s, frames[i], ret_words + used, room - used);
    if (written < 0 || (size_t)written >= room - used) { /* lines are whole */
      ret_words[used] = '\0';
      break;
    }
    used += (size_t)written;
  }
  close_symbols(&s);
}
