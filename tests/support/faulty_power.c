/* faulty_power.c - what has not been synced, newest first, and its undoing.
 *
 * Contents. A file is remembered, by inode, when it is written to for the first time since its last sync: its safe
 * content is kept in memory and a descriptor of our own leads to it, whatever its name becomes. Names. Each operation
 * is remembered with the inode of the directory that holds it and with what its undoing needs. A rename changes the
 * paths of what was remembered before; its undoing, which comes first, changes them back.
 */
#define _GNU_SOURCE
#include "support/faulty_power.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct content {
  struct content *next;
  dev_t device;
  ino_t inode;
  int fd;
  char *safe; /* what is on disk for certain */
  size_t safe_bytes;
} content;

typedef struct change {
  struct change *next; /* older */
  name_kind kind;
  char path[PATH_MAX], to[PATH_MAX];
  dev_t device; /* of the directory whose sync makes it safe */
  ino_t inode;
  /* what stood under `path` (unlink, rmdir) or `to` (rename) before */
  bool had_victim, victim_is_directory;
  dev_t victim_device; /* of a directory: what it held is gone for certain when its removal is */
  ino_t victim_inode;
  int victim_fd;                /* of a file, -1 otherwise */
  char victim_target[PATH_MAX]; /* of a symbolic link */
} change;

static content *contents;
static change *changes;

static void fail(const char *what, const char *path) {
  fprintf(stderr, "faulty_fs: cannot %s %s: %s\n", what, path, strerror(errno));
  abort();
}

static void *allocate(size_t bytes) {
  void *memory = calloc(1, bytes + 1);
  if (memory == NULL) abort();
  return memory;
}

/* ---- contents ---- */

static content **find_content(const struct stat *facts) {
  content **c = &contents;
  while (*c != NULL && ((*c)->device != facts->st_dev || (*c)->inode != facts->st_ino)) c = &(*c)->next;
  return c;
}

static void free_content(content **c) {
  content *dead = *c;
  *c = dead->next;
  close(dead->fd);
  free(dead->safe);
  free(dead);
}

static size_t read_all(int fd, char **ret_data) {
  struct stat facts;
  if (fstat(fd, &facts) != 0) fail("look at", "a file");
  *ret_data = allocate((size_t)facts.st_size);
  ssize_t got = pread(fd, *ret_data, (size_t)facts.st_size, 0);
  if (got != facts.st_size) fail("read", "a file");
  return (size_t)got;
}

void power_before_write(int fd) {
  struct stat facts;
  char path[64];
  if (fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode) || *find_content(&facts) != NULL) return;
  content *c = allocate(sizeof *c);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  *c = (content){.next = contents, .device = facts.st_dev, .inode = facts.st_ino, .fd = open(path, O_RDWR | O_CLOEXEC)};
  if (c->fd < 0) fail("open", path);
  c->safe_bytes = read_all(c->fd, &c->safe);
  contents = c;
}

/* ---- names ---- */

static void free_change(change **c) {
  change *dead = *c;
  *c = dead->next;
  if (dead->victim_fd >= 0) close(dead->victim_fd);
  free(dead);
}

void power_forget(void) {
  while (contents != NULL) free_content(&contents);
  while (changes != NULL) free_change(&changes);
}

/* An absolute path whose directory is real; *ret_parent is that directory. False if there is no such directory. */
static bool resolve(const char *path, char ret_path[PATH_MAX], struct stat *ret_parent) {
  char copy[PATH_MAX], parent[PATH_MAX];
  snprintf(copy, sizeof copy, "%s", path);
  for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--) copy[n - 1] = '\0';
  char *slash = strrchr(copy, '/');
  if (slash != NULL) *slash = '\0';
  const char *directory = slash == NULL ? "." : slash == copy ? "/" : copy;
  if (realpath(directory, parent) == NULL || stat(parent, ret_parent) != 0) return false;
  int length =
      snprintf(ret_path, PATH_MAX, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, slash != NULL ? slash + 1 : copy);
  return length < PATH_MAX;
}

static void remember_victim(change *c, const char *path) {
  struct stat facts;
  if (lstat(path, &facts) != 0) return;
  c->had_victim = true;
  c->victim_is_directory = S_ISDIR(facts.st_mode);
  c->victim_device = facts.st_dev;
  c->victim_inode = facts.st_ino;
  if (S_ISLNK(facts.st_mode) && readlink(path, c->victim_target, PATH_MAX - 1) < 0) fail("read the link", path);
  if (S_ISREG(facts.st_mode) && (c->victim_fd = open(path, O_RDONLY | O_CLOEXEC)) < 0) fail("open", path);
}

void *power_before_name(name_kind kind, const char *path, const char *to) {
  struct stat parent;
  change *c = allocate(sizeof *c);
  c->kind = kind;
  c->victim_fd = -1;
  bool is_known = resolve(path, c->path, &parent) && (kind != NAME_RENAME || resolve(to, c->to, &parent));
  if (!is_known) {
    free(c); /* the call will fail */
    return NULL;
  }
  c->device = parent.st_dev;
  c->inode = parent.st_ino;
  if (kind == NAME_UNLINK || kind == NAME_RMDIR) remember_victim(c, c->path);
  if (kind == NAME_RENAME) remember_victim(c, c->to);
  return c;
}

/* `path` was, or lay under, `from`: it now does so with `to`. */
static void move_path(char path[PATH_MAX], const char *from, const char *to) {
  size_t length = strlen(from);
  char moved[PATH_MAX];
  if (strncmp(path, from, length) != 0 || (path[length] != '/' && path[length] != '\0')) return;
  if (snprintf(moved, sizeof moved, "%s%s", to, path + length) >= PATH_MAX) abort();
  strcpy(path, moved);
}

static void move_paths(change *older, const char *from, const char *to) {
  for (change *c = older; c != NULL; c = c->next) {
    move_path(c->path, from, to);
    if (c->kind == NAME_RENAME) move_path(c->to, from, to);
  }
}

/* What older changes call `c->to` is not what this rename has put there: until it is undone they are given a name that
 * no file has. */
static void set_aside(const change *c, bool back) {
  char aside[PATH_MAX];
  if (snprintf(aside, sizeof aside, "\1%s", c->to) >= PATH_MAX) abort();
  move_paths(c->next, back ? aside : c->to, back ? c->to : aside);
}

void power_after_name(void *operation, bool succeeded) {
  change *c = operation;
  if (c == NULL) return;
  c->next = NULL;
  if (!succeeded) {
    free_change(&c);
    return;
  }
  c->next = changes;
  changes = c;
  if (c->kind != NAME_RENAME) return;
  set_aside(c, false);
  move_paths(c->next, c->path, c->to);
}

static void forget_changes_of(change **from, dev_t device, ino_t inode);

/* What follows from `c` being safe. A file that was renamed was made; in a directory that is gone nothing can come
 * back. */
static void keep_causes(change *c) {
  for (change *older = c->next; older != NULL && c->kind == NAME_RENAME; older = older->next)
    if ((older->kind == NAME_CREATE || older->kind == NAME_MKDIR) && strcmp(older->path, c->to) == 0) {
      older->device = c->device;
      older->inode = c->inode;
    }
  if (c->had_victim && c->victim_is_directory) forget_changes_of(&c->next, c->victim_device, c->victim_inode);
}

/* The changes of one directory, from `from` on back in time, are safe. */
static void forget_changes_of(change **from, dev_t device, ino_t inode) {
  for (change **c = from; *c != NULL;) {
    if ((*c)->device == device && (*c)->inode == inode) {
      keep_causes(*c);
      free_change(c);
    } else {
      c = &(*c)->next;
    }
  }
}

void power_synced(int fd) {
  struct stat facts;
  if (fstat(fd, &facts) != 0) return;
  if (S_ISDIR(facts.st_mode)) forget_changes_of(&changes, facts.st_dev, facts.st_ino);
  content **c = find_content(&facts);
  if (*c != NULL) free_content(c);
}

/* ---- the cut ---- */

static uint64_t random_state;
static uint64_t draw(uint64_t n) { /* splitmix64 */
  uint64_t z = random_state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return (z ^ (z >> 31)) % n;
}

static void write_content(int fd, const char *data, size_t bytes) {
  if (ftruncate(fd, 0) != 0 || pwrite(fd, data, bytes, 0) != (ssize_t)bytes) fail("change", "a file");
}

/* Sector by sector of what follows the safe part: as written, zeros, or noise. */
static void garble(char *data, size_t from, size_t bytes) {
  enum { SECTOR = 512 };
  for (size_t start = from; start < bytes; start += SECTOR - start % SECTOR) {
    uint64_t fate = draw(3);
    for (size_t i = start; i < bytes && i / SECTOR == start / SECTOR; i++) {
      if (fate == 1) data[i] = 0;
      if (fate == 2) data[i] = (char)draw(256);
    }
  }
}

static void lose_content(const content *c, faulty_cut mode) {
  char *now;
  size_t bytes = read_all(c->fd, &now), same = 0;
  while (same < bytes && same < c->safe_bytes && now[same] == c->safe[same]) same++;
  uint64_t fate = mode == FAULTY_GARBLE ? draw(5) : 1;
  if (fate == 1) write_content(c->fd, c->safe, c->safe_bytes);
  if (fate == 2) write_content(c->fd, now, same + (size_t)draw(bytes - same + 1));
  if (fate == 3) memset(now + same, 0, bytes - same);
  if (fate == 4) garble(now, same, bytes);
  if (fate >= 3) write_content(c->fd, now, bytes);
  free(now);
}

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *where) {
  (void)facts, (void)kind, (void)where;
  return remove(path);
}

static void restore_victim(const change *c, const char *path) {
  if (!c->had_victim) return;
  if (c->victim_is_directory) {
    if (mkdir(path, 0777) != 0) fail("make again", path);
  } else if (c->victim_fd < 0) {
    if (symlink(c->victim_target, path) != 0) fail("link again", path);
  } else {
    char *data;
    size_t bytes = read_all(c->victim_fd, &data);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) fail("make again", path);
    write_content(fd, data, bytes);
    close(fd);
    free(data);
  }
}

static void undo(const change *c) {
  switch (c->kind) {
    case NAME_CREATE:
    case NAME_MKDIR:
      if (nftw(c->path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT) fail("remove", c->path);
      break;
    case NAME_UNLINK:
    case NAME_RMDIR:
      restore_victim(c, c->path);
      break;
    case NAME_RENAME:
      if (rename(c->to, c->path) != 0) fail("rename back to", c->path);
      move_paths(c->next, c->to, c->path);
      set_aside(c, true);
      restore_victim(c, c->to);
      break;
  }
}

/* Newest first. Where a change survives, so do the older ones of its directory: a first part is left in each. */
static void lose_names(faulty_cut mode) {
  for (change *c = changes; c != NULL; c = c->next) {
    bool survives = mode == FAULTY_GARBLE && draw(2) == 0;
    if (!survives) {
      undo(c);
    } else {
      keep_causes(c);
      forget_changes_of(&c->next, c->device, c->inode);
    }
  }
}

void power_cut(faulty_cut mode, uint64_t seed) {
  random_state = seed;
  bool loses_data = mode == FAULTY_DROP || mode == FAULTY_DROP_DATA || mode == FAULTY_GARBLE;
  bool loses_names = mode == FAULTY_DROP || mode == FAULTY_DROP_NAMES || mode == FAULTY_GARBLE;
  for (const content *c = contents; c != NULL && loses_data; c = c->next) lose_content(c, mode);
  if (loses_names) lose_names(mode);
  power_forget();
}
