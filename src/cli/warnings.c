/* warnings.c - which warnings this process has said; and, where it is a later one of several ranks, those that it holds
 * until it is known whether another says them (ranks.c). Called by the log's sink on any thread. */
#include <pthread.h>
#include <string.h>

#include "base/hash.h"
#include "cli/cli.h"
#include "protlm/log.h"

enum { HELD = CLI_WARNINGS / 2, LONGEST = 1024 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t said[CLI_WARNINGS]; /* hashes */
static size_t said_count;
static char held[HELD][LONGEST];
static size_t held_count;
static bool holds, says_once;

/* 0 is no warning's. */
static uint64_t hash_of(const char *line) {
  const uint64_t hash = plm_hash64(line, strnlen(line, LONGEST - 1));
  return hash != 0 ? hash : 1;
}

static bool is_among(uint64_t hash, const uint64_t *hashes, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (hashes[i] == hash) return true;
  return false;
}

static bool is_held(const char *line) {
  for (size_t i = 0; i < held_count; i++)
    if (strncmp(held[i], line, LONGEST - 1) == 0) return true;
  return false;
}

void cli_warnings_hold(void) { holds = says_once = true; }

bool cli_warning_is_due(const char *line) {
  const uint64_t hash = hash_of(line);
  pthread_mutex_lock(&lock);
  bool is_due = !says_once || !(is_among(hash, said, said_count) || is_held(line));
  if (is_due && holds && held_count < HELD) {
    snprintf(held[held_count++], LONGEST, "%s", line);
    is_due = false;
  } else if (is_due && said_count < CLI_WARNINGS - HELD) {
    said[said_count++] = hash;
  }
  pthread_mutex_unlock(&lock);
  return is_due;
}

void cli_warnings_list(uint64_t ret_hashes[CLI_WARNINGS]) {
  memset(ret_hashes, 0, CLI_WARNINGS * sizeof *ret_hashes);
  pthread_mutex_lock(&lock);
  memcpy(ret_hashes, said, said_count * sizeof *said);
  for (size_t i = 0; i < held_count; i++) ret_hashes[said_count + i] = hash_of(held[i]);
  pthread_mutex_unlock(&lock);
}

void cli_warnings_release(const uint64_t *by_others, size_t count) {
  static char released[HELD][LONGEST];
  pthread_mutex_lock(&lock);
  const size_t releases = held_count;
  memcpy(released, held, sizeof held);
  held_count = 0;
  holds = false;
  pthread_mutex_unlock(&lock);
  for (size_t i = 0; i < releases; i++)
    if (!is_among(hash_of(released[i]), by_others, count)) plm_warn("%s", released[i]);
}
